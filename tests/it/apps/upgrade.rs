//! A change of version: with a way back, and through kills.

use cocoasyncer::domain::app::observed::State;
use cocoasyncer::domain::retry::Class;
use cocoasyncer::runtimes::Kind;
use cocoasyncer::runtimes::memory::Script;

use super::*;

async fn installed() -> Apps {
    let apps = Apps::new().await;
    apps.install("blog", "web").await;
    apps.holds("blog", "stands", |status| status.revision == Some(1) && status.status == "running").await;
    apps
}

fn blog() -> AppKey {
    key("default", "blog")
}

async fn stands(apps: &Apps, revision: i64, version: &str) -> AppStatus {
    apps.holds("blog", &format!("runs revision {revision}"), |status| {
        let runs = status.revision == Some(revision) && status.running_version.as_deref() == Some(version);
        runs && status.upgrade.is_none() && status.status == "running"
    })
    .await
}

#[tokio::test]
async fn an_upgrade_pulls_first_keeps_a_copy_and_trims_old_ones() {
    let apps = installed().await;
    apps.runtime.hold("pull");
    apps.edit("blog", json!({"appVersion": "2"})).await;
    let status = apps.holds("blog", "upgrades", |status| status.upgrade.is_some()).await;
    assert_eq!((status.upgrade.unwrap().step.as_str(), status.status.as_str()), ("Pulling", "running"));
    until("it pulls", || async { apps.pulls().get(1).map(|_| ()) }).await;
    assert_eq!(apps.status("blog").await.status, "running", "the old one runs meanwhile");
    assert_eq!(apps.took("stop"), 0);
    apps.runtime.release("pull");
    stands(&apps, 2, "2").await;
    assert_eq!(apps.runtime.volume(&blog(), "data").unwrap(), "[web:1][web:2]");
    assert_eq!(apps.runtime.copies(&blog(), "data"), ["r1"]);
    apps.edit("blog", json!({"appVersion": "3"})).await;
    let status = stands(&apps, 3, "3").await;
    let kept: Vec<i64> = status.revisions.iter().map(|revision| revision.number).collect();
    assert_eq!(kept, [2, 3], "one version is kept for going back");
    until("what is not kept is removed", || async {
        (apps.runtime.copies(&blog(), "data") == ["r2"] && apps.secret("app-blog-r1").await.is_none())
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_bad_version_is_undone_with_its_data_and_not_tried_again() {
    let apps = installed().await;
    apps.runtime.script("web:2", Script { exits: Some(1), ..Script::default() });
    apps.edit("blog", json!({"appVersion": "2"})).await;
    let message = apps.condition("blog", "Degraded", "RolledBack").await;
    assert!(message.contains("the change to 2 failed"), "{message}");
    let status = stands(&apps, 1, "1").await;
    assert_eq!(status.rolled_back.as_ref().map(|undone| undone.app_version.as_str()), Some("2"));
    assert_eq!(apps.runtime.volume(&blog(), "data").unwrap(), "[web:1][web:1]", "what 2 wrote is gone");
    let steps = apps.runtime.steps().len();
    apps.looked_at("blog").await;
    assert_eq!(apps.runtime.steps().len(), steps, "not before an edit");
    apps.edit("blog", json!({"appVersion": "3"})).await;
    // The number of what was undone is free again.
    let status = stands(&apps, 2, "3").await;
    assert_eq!(status.rolled_back, None);
}

#[tokio::test]
async fn a_version_without_an_image_never_stops_the_old_one() {
    let apps = installed().await;
    apps.runtime.fail("pull web:2", Kind::ImageUnknown, Class::User, usize::MAX);
    apps.edit("blog", json!({"appVersion": "2"})).await;
    let message = apps.condition("blog", "Degraded", "RolledBack").await;
    assert!(message.contains("pull web:2"), "{message}");
    stands(&apps, 1, "1").await;
    assert_eq!(apps.took("stop"), 0);
    apps.edit("blog", json!({"appVersion": "7"})).await;
    apps.condition("blog", "Valid", "VersionUnknown").await;
    stands(&apps, 1, "1").await;
}

#[tokio::test]
async fn what_runs_is_looked_after_while_its_change_pulls_and_waits() {
    let apps = installed().await;
    apps.runtime.hold("pull web:2");
    apps.edit("blog", json!({"appVersion": "2"})).await;
    until("it pulls", || async { apps.pulls().get(1).map(|_| ()) }).await;
    apps.runtime.change(&blog(), "web", |container| {
        (container.state, container.exit) = (State::Exited, Some(1));
    });
    let status = apps.holds("blog", "is not said to run", |status| status.status != "running").await;
    assert_eq!(status.upgrade.unwrap().step, "Pulling");
    apps.runtime.fail("pull web:2", Kind::RegistryUnreachable, Class::Transient, usize::MAX);
    apps.runtime.release("pull web:2");
    // It waits for the registry, and what should run meanwhile comes back.
    let waits = async || apps.condition("blog", "Degraded", "RegistryUnreachable").await;
    assert!(waits().await.contains("the change of version waits"));
    apps.comes_to("blog", "running").await;
    let made = apps.took("create");
    apps.runtime.remove(&blog(), "web");
    until("it is made again", || async { (made < apps.took("create")).then_some(()) }).await;
    apps.comes_to("blog", "running").await;
    waits().await;
    assert_eq!(apps.status("blog").await.running_version.as_deref(), Some("1"));
    apps.runtime.mend();
    stands(&apps, 2, "2").await;
}

/// Kills in the middle of an upgrade; with `good` the new version answers.
async fn killed_at(held: &str, good: bool) {
    let mut apps = installed().await;
    if !good {
        apps.runtime.script("web:2", Script { exits: Some(1), ..Script::default() });
    }
    apps.runtime.hold(held);
    apps.edit("blog", json!({"appVersion": "2"})).await;
    let before = apps.runtime.steps().len();
    until("the step hangs", || async {
        apps.runtime.steps()[before..].iter().any(|step| step.contains(held)).then_some(())
    })
    .await;
    apps.kill().await;
    apps.runtime.release(held);
    apps.start();
    let (revision, volume) = if good { (2, "[web:1][web:2]") } else { (1, "[web:1][web:1]") };
    stands(&apps, revision, &revision.to_string()).await;
    assert_eq!(apps.runtime.volume(&blog(), "data").unwrap(), volume, "{:?}", apps.runtime.steps());
}

#[tokio::test]
async fn killed_while_pulling() {
    killed_at("pull web:2", true).await;
}

#[tokio::test]
async fn killed_while_copying() {
    killed_at("copy volume", true).await;
}

#[tokio::test]
async fn killed_while_switching() {
    killed_at("create web", true).await;
}

#[tokio::test]
async fn killed_while_going_back() {
    killed_at("restore volume", false).await;
}

#[tokio::test]
async fn a_changed_catalogue_changes_nothing_that_is_installed() {
    let apps = installed().await;
    let steps = apps.runtime.steps().len();
    let seen = apps.took("observe");
    let changed = template("web", &WEB.replace("/data", "/elsewhere"));
    apps.library.replace([Offer::new(changed, true, Origin::ConfigMap("a/b".into(), Arc::default()))]);
    until("it was looked at", || async { (seen < apps.took("observe")).then_some(()) }).await;
    apps.looked_at("blog").await;
    assert_eq!(apps.runtime.steps().len(), steps);
    apps.edit("blog", json!({"appVersion": "2"})).await;
    stands(&apps, 2, "2").await;
}
