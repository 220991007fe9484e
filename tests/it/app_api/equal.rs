//! App API calls and kubectl's edits are the same thing: each shows in the other at once.

use cocoasyncer::api::app::{App, Power};
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch};
use serde_json::json;

use super::{World, running};
use crate::support::until;

#[tokio::test]
async fn an_install_is_the_app_that_kubectl_would_apply_and_shows_at_once() {
    let world = World::new().await;
    let version = world.version("wordpress");
    world.install("wordpress", "blog").await.done("blog");
    // No waiting: the call returned when the view had it.
    assert_eq!(world.get("/AppStatus?app_id=blog").await.json()["ResponseData"]["status"], "queuing");
    let made = world.apps().get("blog").await.unwrap();
    let applied =
        world.create("default", "other", json!({"appName": "wordpress", "appVersion": version})).await;
    assert_eq!(made.spec, applied.spec, "the API says more than kubectl must");
    until("the other shows", async || {
        let answer = world.get("/AppStatus?app_id=other").await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn power_and_restart_are_fields_of_the_app() {
    let world = World::new().await;
    world.install("redis", "cache").await.done("cache");
    world.report("cache", running()).await;
    let app = async || world.apps().get("cache").await.unwrap();
    world.get("/AppStop?app_id=cache").await.done("cache");
    assert_eq!(app().await.spec.power, Power::Stopped);
    world.get("/AppStart?app_id=redis_cache").await.done("cache");
    assert_eq!((app().await.spec.power, app().await.spec.restarted_at), (Power::Running, None));
    world.get("/AppStop?app_id=cache").await.done("cache");
    world.get("/AppRestart?app_id=cache").await.done("cache");
    let restarted = app().await;
    assert_eq!(restarted.spec.power, Power::Running);
    assert!(restarted.spec.restarted_at.is_some());
    // Nothing else of the object moved, and the call returned with the view at this version.
    assert_eq!(restarted.spec.app_version, world.version("redis"));
    let shown = world.views.borrow().get("cache").unwrap().resource_version.clone();
    assert_eq!(Some(shown), restarted.resource_version());
    // What kubectl stops shows as what the controller makes of it.
    let patch = Patch::Merge(json!({"spec": {"power": "Stopped"}}));
    world.apps().patch("cache", &Default::default(), &patch).await.unwrap();
    world.report("cache", json!({"status": "stopped"})).await;
    assert_eq!(world.get("/AppStatus?app_id=cache").await.json()["ResponseData"]["status"], "stopped");
}

async fn held(world: &World, name: &str) -> App {
    world.install("redis", name).await.done(name);
    let patch = Patch::Merge(json!({"metadata": {"finalizers": ["cocoasyncer.io/app"]}}));
    world.apps().patch(name, &Default::default(), &patch).await.unwrap()
}

#[tokio::test]
async fn an_uninstall_says_first_what_goes_with_it_and_is_the_same_when_repeated() {
    let world = World::new().await;
    for (name, flags, image, data) in [
        ("a", "", false, true),
        ("b", "&delete_image=True&delete_data=false", true, false),
        ("c", "&delete_image=1&delete_data=1", true, true),
        ("d", "&delete_data=0", false, false),
    ] {
        held(&world, name).await;
        world.get(&format!("/AppUninstall?app_id={name}{flags}")).await.done(name);
        let app = world.apps().get(name).await.unwrap();
        assert!(app.metadata.deletion_timestamp.is_some());
        assert_eq!(
            (app.spec.uninstall.delete_image, app.spec.uninstall.delete_data),
            (image, data),
            "{flags}"
        );
        let status = world.get(&format!("/AppStatus?app_id={name}")).await.json();
        assert_eq!(status["ResponseData"]["status"], "uninstalling");
        // Once more, with other flags: it goes as it was wished first.
        world.get(&format!("/AppUninstall?app_id={name}&delete_data={}", !data)).await.done(name);
        assert_eq!(world.apps().get(name).await.unwrap().resource_version(), app.resource_version());
        // Meanwhile nothing starts it, and nobody takes its name.
        for action in ["AppStart", "AppStop", "AppRestart"] {
            let refused = world.get(&format!("/{action}?app_id={name}")).await;
            assert_eq!(refused.code(), "Param.APPID.NotExist");
        }
        assert_eq!(world.install("redis", name).await.code(), "Param.CustomerAppName.Repeat");
    }
    // A flag that is none changes nothing.
    held(&world, "e").await;
    let refused = world.get("/AppUninstall?app_id=e&delete_data=maybe").await;
    assert_eq!((refused.status, refused.code().as_str()), (404, "Parameter.Value.Error"));
    assert!(world.apps().get("e").await.unwrap().metadata.deletion_timestamp.is_none());
}

#[tokio::test]
async fn what_is_gone_is_gone_in_the_next_answer_and_its_name_is_free() {
    let world = World::new().await;
    world.install("redis", "cache").await.done("cache");
    world.get("/AppUninstall?app_id=cache").await.done("cache");
    assert_eq!(world.get("/AppStatus?app_id=cache").await.code(), "Param.APPID.NotExist");
    world.install("wordpress", "cache").await.done("cache");
    world.apps().delete("cache", &DeleteParams::default()).await.unwrap();
    world.shows(|view| view.get("cache").is_none()).await;
    assert_eq!(world.get("/AppUninstall?app_id=cache").await.code(), "Param.APPID.NotExist");
}

#[tokio::test]
async fn of_twenty_installs_of_one_name_at_once_one_is_made() {
    let world = World::new().await;
    let calls = (0..20).map(|_| world.install("redis", "cache"));
    let answers = futures::future::join_all(calls).await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(done, 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.code(), "Param.CustomerAppName.Wait", "{}", answer.text);
    }
}
