//! Rendered files: where they lie, with which modes, and that what was changed on purpose stays.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use cocoasyncer::domain::app::plan::Step;
use cocoasyncer::runtimes::Runtime;

use crate::support::engine::{Setting, TINY, lab};

fn compose() -> String {
    format!(
        "services:\n  web:\n    image: {TINY}\n    container_name: $W9_ID\n    command: [sleep, '1000']\n    \
         restart: always\n    init: true\n    \
         volumes: ['./src/run.sh:/run.sh:ro', './src/conf:/conf', './data:/data']\n    configs:\n      \
         - source: motd\n        target: /etc/motd\n        mode: 0440\nconfigs:\n  motd:\n    content: \"hello\\n\"\n"
    )
}

#[tokio::test]
async fn files_lie_where_compose_looks_and_containers_find_them() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let files = [("src/run.sh", "#!/bin/sh\necho ran\n", 0o755), ("src/conf/a.ini", "a=1\n", 0o640)];
    let made = lab.composed(&compose(), &files, &name, Setting::default());
    let seen = lab.settles(&made).await;
    assert!(seen.files);
    let home = lab.apps.path().join(&name);
    let mode = |path: &str| fs::metadata(home.join(path)).unwrap().permissions().mode() & 0o7777;
    let expect = [
        ("", 0o700),
        ("docker-compose.yml", 0o600),
        (".env", 0o600),
        ("src/run.sh", 0o755),
        ("src/conf/a.ini", 0o640),
    ];
    for (path, expect) in expect {
        assert_eq!(mode(path), expect, "{path}");
    }
    assert_eq!(
        lab.runtime.compose_file(&made.key).unwrap(),
        home.join("docker-compose.yml").to_str().unwrap()
    );
    assert!(fs::read_to_string(home.join(".env")).unwrap().contains("W9_ID"));
    assert_eq!(lab.exec(&name, &["/run.sh"]).await.trim(), "ran");
    assert_eq!(lab.exec(&name, &["cat", "/etc/motd"]).await.trim(), "hello");
    assert_eq!(lab.exec(&name, &["stat", "-c", "%a", "/etc/motd"]).await.trim(), "440");
    // A source that the template lacks is an empty folder.
    assert_eq!(lab.exec(&name, &["ls", "/data"]).await.trim(), "");
}

#[tokio::test]
async fn what_was_changed_on_purpose_stays_until_the_template_changes() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let one =
        [("src/run.sh", "one", 0o755), ("src/conf/a.ini", "a=1\n", 0o644), ("src/conf/b.ini", "b\n", 0o644)];
    let made = lab.composed(&compose(), &one, &name, Setting::default());
    lab.settles(&made).await;
    let home = lab.apps.path().join(&name);
    let read = |path: &str| fs::read_to_string(home.join(path)).unwrap();
    lab.exec(&name, &["sh", "-c", "echo a=2 > /conf/a.ini; echo c > /conf/c.ini"]).await;
    assert!(lab.turn(&made).await.is_empty(), "what the application writes is its own");
    lab.step(&made, &Step::Files).await.unwrap();
    assert_eq!((read("src/conf/a.ini"), read("src/conf/c.ini")), ("a=2\n".into(), "c\n".into()));
    // What is rendered is ours alone; a file that went away comes back.
    fs::write(home.join(".env"), "broken").unwrap();
    fs::remove_file(home.join("src/run.sh")).unwrap();
    assert_eq!(lab.turn(&made).await, [Step::Files]);
    assert!(read(".env").contains("W9_ID") && read("src/run.sh") == "one");
    assert_eq!(read("src/conf/a.ini"), "a=2\n");
    // Another template: its news are written, what it drops and nobody changed goes.
    let two = [("src/run.sh", "two", 0o755), ("src/conf/a.ini", "a=3\n", 0o644)];
    let other = lab.composed(&compose(), &two, &name, Setting::default());
    assert!(!lab.runtime.observe(&other).await.unwrap().files);
    lab.settles(&other).await;
    assert_eq!((read("src/run.sh"), read("src/conf/a.ini")), ("two".into(), "a=3\n".into()));
    assert!(!home.join("src/conf/b.ini").exists() && home.join("src/conf/c.ini").exists());
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_not_written_to() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let made = lab.composed(&compose(), &[("src/run.sh", "", 0o755)], &name, Setting::default());
    let home = lab.apps.path().join(&name);
    fs::create_dir(&home).unwrap();
    fs::write(home.join("theirs"), "x").unwrap();
    let error = lab.step(&made, &Step::Files).await.unwrap_err();
    assert!(error.what.contains(&name), "{error}");
    let all = cocoasyncer::runtimes::Clear { images: false, data: true };
    lab.runtime.clear(&made.key, &made.uid, all).await.unwrap();
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
    fs::remove_file(home.join("theirs")).unwrap();
    lab.step(&made, &Step::Files).await.unwrap();
}
