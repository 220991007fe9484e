//! The process is killed in every phase and started again: it ends the same.

use super::*;

/// Kills while a step whose text contains `held` hangs, and starts again.
async fn killed_at(held: &str, word: &str) {
    let mut apps = Apps::new().await;
    apps.runtime.hold(held);
    apps.install("blog", "pair").await;
    apps.comes_to("blog", word).await;
    until("the step hangs", || async {
        apps.runtime.steps().iter().any(|step| step.contains(held)).then_some(())
    })
    .await;
    let password = apps.password("blog").await;
    apps.kill().await;
    apps.runtime.release(held);
    apps.start();
    apps.holds("blog", "stands", |status| status.status == "running" && status.revision == Some(1)).await;
    assert_eq!(apps.password("blog").await, password);
    assert_eq!(apps.took("create"), 2, "no container is made twice: {:?}", apps.runtime.steps());
}

#[tokio::test]
async fn while_pulling() {
    killed_at("pull", "pulling").await;
}

#[tokio::test]
async fn while_creating() {
    killed_at("create front", "creating").await;
}

#[tokio::test]
async fn while_starting() {
    killed_at("start back", "creating").await;
}

#[tokio::test]
async fn while_queuing_the_order_stays() {
    let mut apps = Apps::new().await;
    apps.runtime.hold("pull");
    apps.install("z", "pair").await;
    apps.comes_to("z", "pulling").await;
    apps.pass(1);
    apps.install("y", "web").await;
    apps.comes_to("y", "queuing").await;
    apps.pass(1);
    apps.install("x", "web").await;
    apps.comes_to("x", "queuing").await;
    apps.kill().await;
    let before = apps.runtime.steps().len();
    apps.start();
    apps.holds("y", "is next", |status| {
        status.progress.as_ref().and_then(|progress| progress.queue_position) == Some(1)
    })
    .await;
    apps.runtime.release("pull");
    for name in ["x", "y", "z"] {
        apps.comes_to(name, "running").await;
    }
    let begun: Vec<String> =
        apps.runtime.steps().split_off(before).into_iter().filter(|step| step.contains("create")).collect();
    let at =
        |name: &str| begun.iter().position(|step| step.starts_with(&format!("default/{name}:"))).unwrap();
    assert!(at("z") < at("y") && at("y") < at("x"), "{begun:?}");
}

#[tokio::test]
async fn at_rest_a_restart_writes_nothing_and_stopped_stays_stopped() {
    let mut apps = Apps::new().await;
    apps.install("blog", "web").await;
    apps.install("shop", "pair").await;
    apps.holds("blog", "stands", |status| status.revision == Some(1)).await;
    apps.holds("shop", "stands", |status| status.revision == Some(1)).await;
    apps.edit("shop", json!({"power": "Stopped"})).await;
    apps.comes_to("shop", "stopped").await;
    apps.kill().await;
    let versions = [
        apps.get("default", "blog").await.metadata.resource_version,
        apps.get("default", "shop").await.metadata.resource_version,
    ];
    let (steps, seen) = (apps.runtime.steps().len(), apps.took("observe"));
    apps.start();
    until("both were looked at", || async { (seen + 2 <= apps.took("observe")).then_some(()) }).await;
    apps.looked_at("blog").await;
    apps.looked_at("shop").await;
    assert_eq!(apps.runtime.steps().len(), steps);
    assert_eq!(apps.get("default", "blog").await.metadata.resource_version, versions[0]);
    assert_eq!(apps.get("default", "shop").await.metadata.resource_version, versions[1]);
}

#[tokio::test]
async fn while_uninstalling() {
    let mut apps = Apps::new().await;
    apps.install("blog", "web").await;
    apps.comes_to("blog", "running").await;
    let (kind, class) =
        (cocoasyncer::runtimes::Kind::Unreachable, cocoasyncer::domain::retry::Class::Transient);
    apps.runtime.fail("clear", kind, class, usize::MAX);
    apps.delete("blog").await;
    let status = apps.comes_to("blog", "uninstalling").await;
    assert_eq!(status.status_code, "40");
    let message =
        apps.holds("blog", "says why it stays", |status| words(status).contains("told to fail")).await;
    assert_eq!(message.status, "uninstalling");
    apps.kill().await;
    apps.runtime.mend();
    apps.start();
    apps.gone("blog").await;
    assert!(!apps.runtime.has_any(&key("default", "blog")));
}
