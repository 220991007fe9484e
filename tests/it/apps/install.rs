//! From an App to an application that answers, and back to nothing.

use cocoasyncer::domain::app::observed::{Container, Wellness};
use cocoasyncer::runtimes::memory::Script;

use super::*;

#[tokio::test]
async fn an_app_comes_up_says_where_it_is_and_rests() {
    let apps = Apps::new().await;
    apps.install("blog", "pair").await;
    let status = apps.comes_to("blog", "running").await;
    assert_eq!(status.status_code, "30");
    let status = apps.holds("blog", "has a revision", |status| status.revision == Some(1)).await;
    assert_eq!(status.running_version.as_deref(), Some("1"));
    assert_eq!(status.queued_at, None);
    assert_eq!(status.compose_file.as_deref(), Some("/memory/blog/docker-compose.yml"));
    assert_eq!(ports(&status), [9001].into());
    assert!(status.url.as_deref().is_some_and(|url| url.contains("apps.example:9001")), "{:?}", status.url);
    assert_eq!(apps.condition("blog", "Ready", "AsWished").await, "");
    let password = apps.password("blog").await;
    assert!(16 <= password.len() && !words(&status).contains(&password));
    // The one with the check before the one that waits for it.
    let steps = apps.runtime.steps();
    let at = |step: &str| steps.iter().position(|other| other == step).unwrap();
    assert!(at("default/blog: start back") < at("default/blog: start front"), "{steps:?}");
    let view = apps.views.borrow().clone();
    let shown = view.get("blog").unwrap();
    assert_eq!(shown.password.as_ref().map(|p| p.matches(&password)), Some(true));
    // At rest nothing is written and nobody is asked.
    let version = until("it rests", || async {
        let before = apps.get("default", "blog").await.metadata.resource_version;
        let calls = (apps.took("observe"), apps.took("probe"));
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let after = apps.get("default", "blog").await.metadata.resource_version;
        (before == after && calls == (apps.took("observe"), apps.took("probe"))).then_some(after)
    })
    .await;
    apps.runtime.tell(&key("default", "blog"));
    let seen = apps.took("observe");
    until("the event was looked at", || async { (seen < apps.took("observe")).then_some(()) }).await;
    assert_eq!(apps.get("default", "blog").await.metadata.resource_version, version);
}

#[tokio::test]
async fn stop_start_and_restart() {
    let apps = Apps::new().await;
    apps.install("blog", "web").await;
    apps.comes_to("blog", "running").await;
    apps.edit("blog", json!({"power": "Stopped"})).await;
    apps.comes_to("blog", "stopped").await;
    assert_eq!(apps.status("blog").await.status_code, "40");
    apps.edit("blog", json!({"power": "Running"})).await;
    apps.comes_to("blog", "running").await;
    let starts = apps.took("start");
    apps.pass(60);
    let now = Timestamp::from_second(apps.clock.load(Ordering::SeqCst)).unwrap();
    apps.pass(1);
    apps.edit("blog", json!({"restartedAt": now.to_string()})).await;
    until("it was started anew", || async { (starts < apps.took("start")).then_some(()) }).await;
    apps.comes_to("blog", "running").await;
    assert_eq!(apps.took("start"), starts + 1, "once");
    assert_eq!(apps.took("create"), 1, "in the same container");
}

#[tokio::test]
async fn who_waits_for_another_at_a_start_has_not_failed() {
    let apps = Apps::new().await;
    apps.install("blog", "pair").await;
    apps.holds("blog", "stands", |status| status.revision == Some(1)).await;
    apps.edit("blog", json!({"power": "Stopped"})).await;
    apps.comes_to("blog", "stopped").await;
    let slow = Script { health: Some(Wellness::Starting), ..Script::default() };
    apps.runtime.script("back:1", slow);
    apps.edit("blog", json!({"power": "Running"})).await;
    apps.holds("blog", "says who waits", |status| words(status).contains("front waits")).await;
    apps.looked_at("blog").await;
    assert_eq!(apps.status("blog").await.status, "creating");
    let well = |container: &mut Container| container.health = Some(Wellness::Healthy);
    apps.runtime.change(&key("default", "blog"), "back", well);
    apps.comes_to("blog", "running").await;
}

#[tokio::test]
async fn what_somebody_removes_or_stops_by_hand_comes_back() {
    let apps = Apps::new().await;
    apps.install("blog", "web").await;
    apps.holds("blog", "stands", |status| status.revision == Some(1)).await;
    let blog = key("default", "blog");
    apps.runtime.remove(&blog, "web");
    until("it is made again", || async { (apps.took("create") == 2).then_some(()) }).await;
    apps.comes_to("blog", "running").await;
    apps.runtime.change(&blog, "web", |container| container.digest = "another".into());
    until("it is made as it should be", || async { (apps.took("create") == 3).then_some(()) }).await;
    apps.comes_to("blog", "running").await;
    assert_eq!(apps.took("pull"), 1);
}

#[tokio::test]
async fn an_uninstall_takes_what_it_was_told_to() {
    let apps = Apps::new().await;
    apps.install("blog", "web").await;
    apps.comes_to("blog", "running").await;
    apps.edit("blog", json!({"uninstall": {"deleteImage": true, "deleteData": true}})).await;
    apps.delete("blog").await;
    apps.gone("blog").await;
    assert!(!apps.runtime.has_any(&key("default", "blog")));
    assert!(apps.runtime.images().is_empty());
    assert!(apps.secret("app-blog").await.is_none());
    until("no revision is left", || async { apps.secret("app-blog-r1").await.is_none().then_some(()) }).await;
}

#[tokio::test]
async fn kept_data_open_again_with_their_old_password_and_for_their_application_alone() {
    let apps = Apps::new().await;
    apps.install("blog", "web").await;
    apps.comes_to("blog", "running").await;
    let password = apps.password("blog").await;
    apps.edit("blog", json!({"uninstall": {"deleteData": false}})).await;
    apps.delete("blog").await;
    apps.gone("blog").await;
    apps.install("blog", "other").await;
    let message = apps.condition("blog", "Valid", "DataOfAnother").await;
    assert!(message.contains("data of web were kept"), "{message}");
    apps.delete("blog").await;
    apps.gone("blog").await;
    assert_eq!(apps.password("blog").await, password, "another's removal leaves them");
    apps.install("blog", "web").await;
    apps.comes_to("blog", "running").await;
    assert_eq!(apps.password("blog").await, password);
    let volume = apps.runtime.volume(&key("default", "blog"), "data").unwrap();
    assert_eq!(volume, "[web:1][web:1]", "the same volume");
}

#[tokio::test]
async fn two_installs_want_one_port_and_a_foreign_one_is_avoided() {
    let mut apps = Apps::stopped(Backend::Docker).await;
    apps.settings.at_once = 2;
    apps.runtime.occupy(9001, cocoasyncer::domain::app::workload::Protocol::Tcp);
    apps.install("a", "web").await;
    apps.install("b", "web").await;
    apps.start();
    let (a, b) = (apps.comes_to("a", "running").await, apps.comes_to("b", "running").await);
    let both: BTreeSet<u16> = ports(&a).union(&ports(&b)).copied().collect();
    assert_eq!(both, [9002, 9003].into());
}

#[tokio::test]
async fn a_name_belongs_to_the_older_app() {
    let apps = Apps::new().await;
    apps.install("blog", "web").await;
    apps.comes_to("blog", "running").await;
    apps.create("other", "blog", json!({"appName": "web", "appVersion": "1"})).await;
    let refused = until("the younger is refused", || async {
        let status = apps.get("other", "blog").await.status?;
        status.conditions.into_iter().find(|c| c.type_ == "Valid" && c.reason == "NameRepeated")
    })
    .await;
    assert!(refused.message.contains("default/blog"), "{}", refused.message);
    assert_eq!(apps.views.borrow().apps.len(), 1);
    assert_eq!(apps.views.borrow().apps[0].key.namespace, "default");
    apps.delete("blog").await;
    apps.gone("blog").await;
    until("the name is free", || async {
        (apps.get("other", "blog").await.status?.status == "running").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_domain_is_a_service_that_comes_and_goes_with_it() {
    let apps = Apps::new().await;
    let neighbour = crate::support::managed("www", "www");
    apps.services().create(&PostParams::default(), &neighbour).await.unwrap();
    apps.create(
        "default",
        "blog",
        json!({"appName": "web", "appVersion": "1", "domain": "blog.example.com"}),
    )
    .await;
    let status = apps.holds("blog", "has its domain", |status| status.domain.is_some()).await;
    assert_eq!(status.domain.as_deref(), Some("blog.example.com"));
    let service = apps.services().get("app-blog").await.unwrap();
    assert_eq!((service.spec.domain.as_str(), service.spec.record.as_str()), ("example.com", "blog"));
    apps.edit("blog", json!({"domain": "www.example.com"})).await;
    let message = apps.condition("blog", "Degraded", "NameTaken").await;
    assert!(message.contains("default/www"), "{message}");
    apps.edit("blog", json!({"domain": "news.example.com"})).await;
    until("the new name is served", || async {
        (apps.services().get_opt("app-blog").await.unwrap()?.spec.record == "news").then_some(())
    })
    .await;
    apps.delete("blog").await;
    until("the service goes with it", || async {
        apps.services().get_opt("app-blog").await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_cluster_is_installed_into_as_well() {
    let mut apps = Apps::stopped(Backend::Kubernetes).await;
    apps.start();
    apps.install("blog", "pair").await;
    let status = apps.comes_to("blog", "running").await;
    assert_eq!(status.runtime, Some(cocoasyncer::api::app::RuntimeKind::Kubernetes));
    assert_eq!(apps.took("apply"), 1);
    apps.delete("blog").await;
    apps.gone("blog").await;
    assert!(!apps.runtime.has_any(&key("default", "blog")));
}
