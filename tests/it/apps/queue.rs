//! Who installs when, and who leaves the queue.

use super::*;

#[tokio::test]
async fn first_come_first_served_in_turns_between_namespaces() {
    let apps = Apps::new().await;
    apps.runtime.hold("pull");
    apps.install("a1", "web").await;
    apps.comes_to("a1", "pulling").await;
    for name in ["a2", "a3"] {
        apps.install(name, "web").await;
        apps.comes_to(name, "queuing").await;
        apps.pass(1);
    }
    apps.create("other", "b1", json!({"appName": "pair", "appVersion": "2"})).await;
    apps.holds("a2", "is behind the other namespace", |status| {
        status.progress.as_ref().and_then(|progress| progress.queue_position) == Some(2)
    })
    .await;
    apps.runtime.release("pull");
    for name in ["a2", "a3"] {
        apps.comes_to(name, "running").await;
    }
    until("all came", || async { (apps.get("other", "b1").await.status?.status == "running").then_some(()) })
        .await;
    let mut order = apps.pulls();
    order.dedup();
    // What is there already is not pulled again: of web there was one pull.
    assert_eq!(order, ["default/a1", "other/b1"]);
    let begun: Vec<String> =
        apps.runtime.steps().into_iter().filter(|step| step.contains("create")).collect();
    let at = |name: &str| begun.iter().position(|step| step.starts_with(name)).unwrap();
    assert!(at("other/b1") < at("default/a2") && at("default/a2") < at("default/a3"), "{begun:?}");
}

#[tokio::test]
async fn a_queued_one_and_a_pulling_one_can_be_removed() {
    let apps = Apps::new().await;
    apps.runtime.hold("pull");
    apps.install("first", "web").await;
    let status = apps.holds("first", "tells its layers", |status| {
        status.progress.as_ref().is_some_and(|progress| !progress.layers.is_empty())
    });
    assert_eq!(status.await.status_code, "10");
    apps.install("second", "web").await;
    apps.comes_to("second", "queuing").await;
    apps.delete("second").await;
    apps.gone("second").await;
    apps.install("third", "pair").await;
    apps.comes_to("third", "queuing").await;
    apps.delete("first").await;
    apps.gone("first").await;
    apps.comes_to("third", "pulling").await;
    apps.runtime.release("pull");
    apps.comes_to("third", "running").await;
}

#[tokio::test]
async fn a_failed_install_gives_its_turn_back() {
    let apps = Apps::new().await;
    let user = cocoasyncer::domain::retry::Class::User;
    apps.runtime.fail("pull web:1", cocoasyncer::runtimes::Kind::ImageUnknown, user, usize::MAX);
    apps.install("bad", "web").await;
    apps.condition("bad", "Ready", "ImageUnknown").await;
    apps.install("good", "pair").await;
    apps.comes_to("good", "running").await;
    assert_eq!(apps.status("bad").await.status, "error");
}
