//! A change of version that fails comes back by itself with its data, and one that was killed in the middle is finished.

use serde_json::json;

use crate::support::apps::{Host, shows};
use crate::support::engine::lab;

#[tokio::test]
async fn a_version_that_ends_is_taken_back_with_its_data() {
    let Some(lab) = lab(&[]).await else { return };
    let name = &lab.name();
    let host = Host::start(lab, &[], &[]).await;
    host.install("pair", "1", name).await;
    host.runs(name).await;
    let chosen = host.chosen(name).await;
    let sums =
        "cd /data; dd if=/dev/urandom of=large bs=1M count=8 2>&-; md5sum large > sum; echo kept > page";
    host.shell(name, sums).await;
    host.edit(name, json!({ "appVersion": "bad" })).await;
    host.wait("the change is undone", async || {
        let status = host.app(name).await.status?;
        (status.rolled_back.is_some() && status.upgrade.is_none()).then_some(())
    })
    .await;
    host.runs(name).await;
    let status = host.app(name).await.status.unwrap();
    let undone = status.rolled_back.unwrap();
    assert_eq!((status.running_version.as_deref(), undone.app_version.as_str()), (Some("1"), "bad"));
    assert!(undone.message.contains("no such luck"), "its last words are told: {}", undone.message);
    let (reason, words) = host.condition(name, "Degraded").await.unwrap();
    assert!(reason == "RolledBack" && words.contains("bad"), "{reason}: {words}");
    shows(chosen.1, "/page", "kept").await;
    shows(chosen.1, "/version", "1").await;
    assert_eq!(host.shell(name, "cd /data; md5sum -c sum").await, "large: OK");
    assert_eq!(host.chosen(name).await, chosen);
    let things = host.lab.things(name).await;
    assert_eq!(things.len(), 4, "two containers, a volume, a network: {things:?}");
    // A version that runs is taken from here as if nothing had been.
    host.edit(name, json!({ "appVersion": "2" })).await;
    shows(chosen.1, "/version", "2").await;
    shows(chosen.1, "/page", "kept").await;
    host.uninstalls(name, &[]).await;
    host.left_nothing(name).await;
}

#[tokio::test]
async fn killed_while_copying_switching_and_removing_it_is_finished() {
    let Some(lab) = lab(&[]).await else { return };
    let name = &lab.name();
    let mut host = Host::start(lab, &[], &[]).await;
    host.install("pair", "1", name).await;
    host.runs(name).await;
    let chosen = host.chosen(name).await;
    let db = &format!("{name}-db");
    let fill = "cd /data; dd if=/dev/urandom of=large bs=1M count=64 2>&-; md5sum large > sum; touch hold; echo kept > page";
    host.shell(db, fill).await;
    host.edit(name, json!({ "appVersion": "gated" })).await;

    host.wait("it waits for the old version to stop", async || {
        (host.upgrade_step(name).await.as_deref() == Some("Snapshotting")).then_some(())
    })
    .await;
    host.falls().await;
    host.shell(db, "rm /data/hold").await;
    host.wait("the copy has begun", async || {
        let things = host.lab.things(name).await;
        things.iter().any(|thing| thing.starts_with("volume ") && thing.ends_with("-r1")).then_some(())
    })
    .await;
    host.falls().await;

    host.wait("the new version is made", async || {
        let step = host.upgrade_step(name).await;
        matches!(step.as_deref(), Some("Switching" | "Probing")).then_some(())
    })
    .await;
    host.falls().await;
    host.wait("its first service waits", async || {
        let found = host.inspect(db).await?;
        (found.state?.running == Some(true)).then_some(())
    })
    .await;
    host.shell(db, "touch /data/go-db").await;
    host.wait("its second service waits", async || {
        let step = host.upgrade_step(name).await;
        let running = host.inspect(name).await?.state?.running == Some(true);
        (step.as_deref() == Some("Probing") && running).then_some(())
    })
    .await;
    host.falls().await;
    assert_ne!(host.status(name).await.as_deref(), Some("running"), "it does not answer yet");
    host.shell(db, "touch /data/go-web").await;
    host.wait("the change is through", async || {
        let status = host.app(name).await.status?;
        (status.running_version.as_deref() == Some("gated") && status.upgrade.is_none()).then_some(())
    })
    .await;
    host.runs(name).await;
    shows(chosen.1, "/version", "gated").await;
    shows(chosen.1, "/page", "kept").await;
    assert_eq!(host.shell(name, "cd /data; md5sum -c sum").await, "large: OK");
    assert_eq!(host.chosen(name).await, chosen);
    let things = host.lab.things(name).await;
    assert_eq!(things.len(), 5, "two containers, a volume and its copy, a network: {things:?}");

    host.shell(db, "touch /data/hold").await;
    host.done("AppUninstall", &[("app_id", name)]).await;
    for things in [5, 4, 3, 1] {
        host.wait("it goes", async || (host.lab.things(name).await.len() <= things).then_some(())).await;
        host.falls().await;
        assert!(matches!(host.status(name).await.as_deref(), None | Some("uninstalling")));
        if things == 5 && host.inspect(db).await.is_some() {
            host.shell(db, "rm -f /data/hold").await;
        }
    }
    host.gone(name).await;
    host.left_nothing(name).await;
}
