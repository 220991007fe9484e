//! Folders that come, change, break and go; names that several sources have. No clock: a look is a call.

use std::fs;

use super::*;
use crate::domain::app::verdict::{Backend, Verdict, verdict};

fn write(folder: &Path, name: &str, image: &str) {
    let app = folder.join(name);
    fs::create_dir_all(&app).unwrap();
    fs::write(app.join("docker-compose.yml"), compose(image)).unwrap();
    fs::write(app.join("variables.json"), METADATA.replace("NAME", name)).unwrap();
}

fn compose(image: &str) -> String {
    format!("services: {{web: {{image: '{image}', ports: ['80:80']}}}}")
}

const METADATA: &str =
    r#"{"name":"NAME","edition":[{"version":["1"]}],"requirements":{"cpu":1,"memory":1,"disk":1}}"#;

fn source(folder: &Path, official: bool) -> Source {
    Source { folder: folder.to_owned(), official }
}

fn images(sources: &Sources) -> Vec<String> {
    let image = |offer: &Arc<Offer>| {
        let workload = offer.checked.workload.as_ref();
        let image = workload.and_then(|workload| workload.services[0].image.clone());
        format!("{} {}", offer.template.name, image.unwrap_or_default())
    };
    sources.sorted().offers.iter().map(image).collect()
}

/// Looks until a change had to be taken: one look to see it, one to see that it stays.
fn settle(sources: &mut Sources) -> bool {
    let first = sources.look();
    sources.look() || first
}

fn map<'a>(key: (&str, &str), app: &'a str, created: i64, own: bool, compose: &'a str) -> Map<'a> {
    let data = vec![("docker-compose.yml", compose.as_bytes())];
    Map { key: (key.0.into(), key.1.into()), app, created, own, data }
}

#[test]
fn only_what_changed_is_read_anew_and_only_when_it_stays() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "blog", "blog:1");
    write(dir.path(), "wiki", "wiki:1");
    let mut sources = Sources::folders([source(dir.path(), false)]);
    assert!(sources.look());
    assert!(!sources.look());
    let before = sources.sorted().offers;
    write(dir.path(), "blog", "blog:2");
    assert!(!sources.look(), "it may be half written");
    assert_eq!(images(&sources), ["blog blog:1", "wiki wiki:1"]);
    assert!(sources.look());
    assert!(!sources.look());
    assert_eq!(images(&sources), ["blog blog:2", "wiki wiki:1"]);
    let after = sources.sorted().offers;
    assert!(Arc::ptr_eq(&before[1], &after[1]), "what did not change is the same value");
    write(dir.path(), "blog", "blog:2");
    assert!(!settle(&mut sources), "written anew, and the same");
    fs::remove_dir_all(dir.path().join("blog")).unwrap();
    write(dir.path(), "chat", "chat:1");
    assert!(settle(&mut sources));
    assert_eq!(images(&sources), ["chat chat:1", "wiki wiki:1"]);
}

#[test]
fn a_source_that_cannot_be_read_keeps_what_it_gave() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("apps");
    write(&folder, "blog", "blog:1");
    let mut sources = Sources::folders([source(&folder, false)]);
    settle(&mut sources);
    for emptied in [false, true] {
        fs::remove_dir_all(&folder).unwrap();
        if emptied {
            fs::create_dir(&folder).unwrap();
        }
        assert!(!settle(&mut sources));
        assert_eq!(images(&sources), ["blog blog:1"]);
        assert_eq!(sources.troubles().len(), 1);
        assert_eq!(sources.readable().collect::<Vec<_>>(), [(folder.as_path(), false)]);
        write(&folder, "blog", "blog:2");
        settle(&mut sources);
        assert_eq!((images(&sources), sources.troubles()), (vec!["blog blog:2".to_owned()], vec![]));
        write(&folder, "blog", "blog:1");
        settle(&mut sources);
    }
    // One template of several, as a failing disk has it: here what was a file is none.
    fs::remove_file(folder.join("blog/docker-compose.yml")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(folder.join("blog/docker-compose.yml")).unwrap();
    assert!(!settle(&mut sources));
    assert_eq!(images(&sources), ["blog blog:1"]);
    assert_eq!(sources.troubles()[0].0, folder.join("blog"));
    drop(socket);
}

#[test]
fn a_template_that_broke_is_offered_as_it_stands_so_that_it_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "blog", "blog:1");
    let mut sources = Sources::folders([source(dir.path(), false)]);
    sources.look();
    fs::write(dir.path().join("blog/docker-compose.yml"), "services: [").unwrap();
    assert!(settle(&mut sources));
    let offers = sources.sorted().offers;
    assert_eq!(verdict(&offers[0].checked.findings, Backend::Docker, &BTreeSet::new()), Verdict::Cannot);
}

#[test]
fn of_two_with_one_name_the_later_source_holds_and_the_other_is_told() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(first.path(), "redis", "mine:1");
    write(first.path(), "blog", "blog:1");
    write(second.path(), "blog", "blog:2");
    let mut sources = Sources::new([source(first.path(), true), source(second.path(), false)]);
    sources.look();
    let sorted = sources.sorted();
    let told: Vec<String> = sorted
        .shadowed
        .iter()
        .map(|(offer, by)| format!("{} {} {}", offer.template.name, offer.origin, by.origin))
        .collect();
    let blog = |dir: &tempfile::TempDir| dir.path().join("blog").display().to_string();
    let redis = first.path().join("redis").display().to_string();
    assert_eq!(told, [format!("redis built-in {redis}"), format!("blog {} {}", blog(&first), blog(&second))]);
    let official =
        |name: &str| sorted.offers.iter().find(|offer| offer.template.name == name).unwrap().official;
    assert!(official("redis") && official("nginx") && !official("blog"));
}

#[test]
fn anybodys_config_map_adds_and_only_the_operators_own_replaces() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "blog", "blog:1");
    let mut sources = Sources::folders([source(dir.path(), true)]);
    sources.look();
    let evil = compose("evil:1");
    assert!(sources.set_map(map(("team", "blog"), "blog", 1, false, &evil)));
    assert!(sources.set_map(map(("team", "wiki"), "wiki", 1, false, &evil)));
    assert!(!sources.set_map(map(("team", "wiki"), "wiki", 1, false, &evil)), "the same again");
    assert_eq!(images(&sources), ["blog blog:1", "wiki evil:1"]);
    let late = compose("late:1");
    sources.set_map(map(("a", "a"), "wiki", 2, false, &late));
    assert_eq!(images(&sources), ["blog blog:1", "wiki evil:1"], "the older holds");
    let own = compose("own:1");
    sources.set_map(map(("system", "x"), "blog", 9, true, &own));
    assert_eq!(images(&sources), ["blog own:1", "wiki evil:1"]);
    assert!(sources.sorted().offers.iter().all(|offer| !offer.official));
    assert_eq!(sources.sorted().shadowed.len(), 3);
    assert!(sources.keep_maps(None, &BTreeSet::from([("a".into(), "a".into())])));
    assert_eq!(images(&sources), ["blog blog:1", "wiki late:1"]);
    assert!(sources.remove_map(&("a".into(), "a".into())) && !sources.remove_map(&("a".into(), "a".into())));
}

#[test]
fn what_has_no_applications_name_is_left_out_and_told() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "My_Blog", "blog:1");
    write(dir.path(), &"a".repeat(64), "blog:1");
    write(dir.path(), "ok", "ok:1");
    let mut sources = Sources::folders([source(dir.path(), false)]);
    sources.look();
    sources.set_map(map(("team", "x"), "-x", 1, false, ""));
    assert_eq!(images(&sources), ["ok ok:1"]);
    let refused = sources.sorted().refused;
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|offer| offer.checked.findings.iter().any(|f| f.code == Code::AppName)));
}

#[test]
fn the_contents_of_a_folders_files_are_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "blog", "blog:1");
    fs::create_dir(dir.path().join("blog/src")).unwrap();
    fs::write(dir.path().join("blog/src/a"), "1").unwrap();
    let mut sources = Sources::folders([source(dir.path(), false)]);
    sources.look();
    fs::write(dir.path().join("blog/src/a"), "2").unwrap();
    let offers = sources.sorted().offers;
    assert_eq!(&*offers[0].files().unwrap()["src/a"].bytes, b"2", "read when they are wanted");
}
