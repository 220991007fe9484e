//! What `catalog` prints, for people and for programs.

use std::path::Path;

use super::*;
use crate::catalog::library::{Offer, Origin};
use crate::cli::fixtures::Page;
use crate::cli::output::Format;
use crate::domain::app::template::Template;

const METADATA: &str =
    r#"{"name":"blog","edition":[{"version":["1"]}],"requirements":{"cpu":1,"memory":1,"disk":1}}"#;

fn template(compose: &str) -> Offered {
    let template = Template {
        name: "blog".into(),
        compose: Some(compose.as_bytes().to_vec()),
        metadata: Some(METADATA.as_bytes().to_vec()),
        ..Template::default()
    };
    let offer = Offer::new(template, false, Origin::Folder("apps/blog".into()));
    Offered { offer: offer.into(), replaced_by: None }
}

fn shown(offered: &[Offered], allow: &[Right], detailed: bool, lang: Lang) -> String {
    let page = Page::default();
    let mut out = Out::to(page.clone(), Format::Table);
    let allowed = allow.iter().copied().collect();
    write(&report(offered, &allowed, lang), detailed, &mut out, lang).unwrap();
    page.text()
}

const SOCKET: &str = "\
services:
  web:
    image: nginx:1
    ports: ['80:80']
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock
";

#[test]
fn a_right_over_the_host_is_refused_until_it_is_given() {
    let expect = "APP   DOCKER  KUBERNETES  BECAUSE
blog  can't   can't       docker-socket

blog:
docker-compose.yml:6 web.volumes  docker-socket  docker needs docker-socket, kubernetes cannot  it gets the Docker engine through /var/run/docker.sock, which is root on the host
Docker: 0 run, 0 with findings, 1 can't run
Kubernetes: 0 run, 0 with findings, 1 can't run
";
    assert_eq!(shown(&[template(SOCKET)], &[], true, Lang::En), expect);
    let allowed = shown(&[template(SOCKET)], &[Right::DockerSocket], true, Lang::Zh);
    assert!(allowed.contains("blog  可运行,有提示  不可运行    docker-socket"), "{allowed}");
}

#[test]
fn programs_get_the_place_and_the_codes() {
    let report = report(&[template(SOCKET)], &BTreeSet::new(), Lang::En);
    let value = serde_json::to_value(&report).unwrap();
    let row = &value["templates"][0];
    assert_eq!(row["docker"], serde_json::json!({"verdict": "cannot", "because": ["docker-socket"]}));
    assert_eq!(row["findings"][0]["line"], 6);
    assert_eq!(row["findings"][0]["service"], "web");
    assert_eq!((&row["from"], &row["official"]), (&"apps/blog".into(), &false.into()));
}

#[test]
fn a_folder_that_is_not_there_is_said() {
    assert_eq!(Folders::of(["/no/such/folder".into()]).read().unwrap_err().code(), 3);
}

#[test]
fn of_several_folders_it_is_told_which_template_holds() {
    let dir = tempfile::tempdir().unwrap();
    let write = |folder: &str, name: &str| {
        let app = dir.path().join(folder).join(name);
        std::fs::create_dir_all(&app).unwrap();
        let compose = "services: {web: {image: 'nginx:1', ports: ['80:80']}}";
        std::fs::write(app.join("docker-compose.yml"), compose).unwrap();
        std::fs::write(app.join("variables.json"), METADATA.replace("blog", name)).unwrap();
        app
    };
    let (first, second) = (write("one", "blog"), write("two", "blog"));
    write("two", "My_Wiki");
    let parent = |path: &Path| path.parent().unwrap().to_owned();
    let read = Folders::of([parent(&first), parent(&second)]).read().unwrap();
    let text = shown(&read, &[], false, Lang::En);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let (first, second) = (first.display().to_string(), second.display().to_string());
    let wiki = Path::new(&second).with_file_name("My_Wiki").display().to_string();
    assert_eq!(lines[0], ["APP", "DOCKER", "KUBERNETES", "BECAUSE", "FROM", "STATE"]);
    assert_eq!(lines[1], ["My_Wiki", "can't", "can't", "app-name", &wiki, "-"]);
    assert_eq!(lines[2], ["blog", "runs", "runs", "-", &second, "-"]);
    assert_eq!(lines[3], ["blog", "runs", "runs", "-", &first, "replaced", "by", &second]);
}
