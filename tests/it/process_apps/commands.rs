//! `cocoasyncer app …` against a live process and a real engine: what a person types, from the catalogue to the removal.

use serde_json::Value;

use super::pulls::{compose, registry};
use crate::support::apps::{Host, shows};
use crate::support::engine::lab;

#[tokio::test]
async fn an_applications_whole_life_by_the_command_line() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name().leak() as &str;
    let host = Host::start(lab, &[], &[]).await;
    let cli = async |words: &[&str]| host.site.cli(words).await;

    let folder = host.site.home.path().join("catalog").display().to_string();
    let listed = cli(&["-o", "json", "app", "catalog", &folder]).await.json();
    assert!(listed.as_array().unwrap().iter().any(|app| app["name"] == "pair"), "{listed}");
    let api = format!("http://{}", host.site.at.api);
    let tokens = host.site.data().join("app-tokens").display().to_string();
    let asked = ["--api", &api, "--token-file", &tokens];
    let offered = cli(&[&["-o", "json", "app", "catalog"], &asked[..]].concat()).await.json();
    let all = offered.as_array().unwrap();
    assert!(["pair", "redis"].iter().all(|name| all.iter().any(|app| app["name"] == *name)), "{offered}");
    let none = cli(&["app", "list"]).await.done();
    assert!(none.contains("no applications yet"), "{none}");
    cli(&["app", "status", name]).await.refused(3, &[name]);

    // Without a version: the first that the operator offers.
    let ran = cli(&[&["app", "install", "pair", name, "--wait"], &asked[..]].concat()).await;
    assert!(
        ran.err.contains(&format!("{name}: creating")),
        "how far it is goes to standard error: {}",
        ran.err
    );
    let said = ran.done();
    assert!(said.starts_with(&format!("App default/{name} runs http://127.0.0.1:")), "{said}");
    let (password, port) = host.chosen(name).await;
    assert!(said.contains(&port.to_string()), "{said}");
    cli(&["app", "install", "pair", name, "--version", "1"]).await.refused(1, &[name, "already exists"]);

    let table = cli(&["app", "list"]).await.done();
    let row = table.lines().find(|row| row.contains(name)).unwrap();
    for part in ["default/", "pair", "running", &port.to_string(), "AsWished"] {
        assert!(row.contains(part), "{part}: {table}");
    }
    let rows = cli(&["-o", "json", "app", "list", "-n", "default"]).await.json();
    assert_eq!(
        (&rows[0]["name"], &rows[0]["statusCode"], &rows[0]["ports"][0]),
        (&name.into(), &"30".into(), &port.into())
    );
    let shown = cli(&["app", "status", name]).await.done();
    for part in ["running", &format!("Secret default/app-{name}"), "tiny:1", "Healthy", "docker-compose.yml"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let object = cli(&["-o", "json", "app", "status", name]).await.json();
    assert_eq!((&object["kind"], &object["status"]["status"]), (&"App".into(), &"running".into()));
    assert!(!shown.contains(&password) && !object.to_string().contains(&password));

    host.shell(name, "echo the word is $WORD > /proc/1/fd/1").await;
    let logs = ["app", "logs", name, "--service", "web", "--lines", "50"];
    let said = cli(&[&logs, &asked[..]].concat()).await.done();
    assert!(said.contains("web | the word is ***"), "{said}");

    assert!(cli(&["app", "stop", name, "--wait"]).await.done().contains("is stopped"));
    assert_eq!(host.status(name).await.as_deref(), Some("stopped"));
    assert!(cli(&["app", "start", name, "--wait"]).await.done().contains("runs"));
    let before = host.standing(name).await;
    let object = cli(&["-o", "json", "app", "restart", name, "--wait"]).await.json();
    assert_eq!(object["status"]["status"], "running");
    let after = host.standing(name).await;
    assert!(
        before.iter().zip(&after).all(|(old, new)| old.id == new.id && old.started != new.started),
        "{after:?}"
    );

    cli(&["app", "upgrade", name, "9", "--wait"]).await.refused(1, &["VersionUnknown", "gated"]);
    assert!(cli(&["app", "upgrade", name, "2", "--wait"]).await.done().contains("runs"));
    shows(port, "/version", "2").await;
    cli(&["app", "upgrade", name, "bad", "--wait"]).await.refused(1, &["no such luck"]);
    shows(port, "/version", "2").await;

    cli(&["app", "uninstall", name]).await.refused(2, &["--yes"]);
    let said = cli(&["app", "uninstall", name, "--yes", "--keep-data", "--wait"]).await.done();
    assert!(said.contains("is removed"), "{said}");
    let kept = host.lab.things(name).await;
    assert!(!kept.is_empty() && kept.iter().all(|thing| thing.starts_with("volume ")), "{kept:?}");
    cli(&["app", "install", "pair", name, "--version", "2", "--wait"]).await.done();
    assert_eq!(host.chosen(name).await.0, password, "its data came back with their password");
    cli(&["app", "rm", name, "-y", "--wait"]).await.done();
    host.left_nothing(name).await;
}

#[tokio::test]
async fn a_pull_shows_how_far_it_is_and_a_wait_ends_in_time_or_with_the_reason() {
    let Some(lab) = lab(&[]).await else { return };
    let registry = registry(&lab).await;
    let (slow, none) = (lab.name().leak() as &str, lab.name().leak() as &str);
    let (waits, absent) = (compose(&lab, &registry.image("slow")), compose(&lab, &registry.image("unknown")));
    let host = Host::start(lab, &[("slow", &waits), ("absent", &absent)], &[]).await;
    let cli = async |words: &[&str]| host.site.cli(words).await;
    let said = cli(&["app", "install", "slow", slow, "--version", "1", "--wait", "--timeout", "3"]).await;
    let said = said.refused(1, &["still pulling after 3 s"]);
    assert!(said.contains(&format!("{slow}: pulling: pulling {}", registry.image("slow"))), "{said}");
    let queued = cli(&["app", "install", "absent", none, "--version", "1"]).await.done();
    assert!(queued.contains(&format!("cocoasyncer app status {none}")), "{queued}");
    registry.release();
    // One that was cancelled in mid-pull, or can't be pulled, is gone without a trace.
    cli(&["app", "start", slow, "--wait"]).await.done();
    let why = cli(&["app", "start", none, "--wait"]).await.refused(1, &["ImageUnknown", "check the version"]);
    assert!(why.contains(&registry.image("unknown")), "{why}");
    let object: Value = cli(&["-o", "json", "app", "status", none]).await.json();
    assert_eq!(object["status"]["statusCode"], "50");
    for name in [slow, none] {
        cli(&["app", "uninstall", name, "--yes", "--delete-image", "--wait"]).await.done();
        host.left_nothing(name).await;
    }
}
