//! The form of requests and answers: routes, methods, where parameters stand, and bodies as the document spells them.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::{World, running, settings};

async fn post(world: &World, path: &str, kind: &str, body: impl Into<Body>) -> super::Answer {
    let request = Request::post(path).header("content-type", kind).body(body.into()).unwrap();
    world.ask(request).await
}

#[tokio::test]
async fn parameters_may_stand_wherever_the_document_has_them_under_every_root() {
    let world = World::new().await;
    let version = world.version("redis");
    let form = |name: &str| format!("app_name=redis&customer_app_name={name}&app_version={version}");
    let json = |name: &str| {
        json!({"app_name": "redis", "customer_app_name": name, "app_version": version}).to_string()
    };
    let (url, text) = ("application/x-www-form-urlencoded", "application/json");
    for (root, n) in [("", 1), ("/v1", 2), ("/apps", 3)] {
        let install = format!("{root}/AppInstall");
        world.get(&format!("{install}?{}", form(&format!("a{n}")))).await.done(&format!("a{n}"));
        let path = format!("{install}?{}", form(&format!("b{n}")));
        post(&world, &path, "", "").await.done(&format!("b{n}"));
        post(&world, &install, url, form(&format!("c{n}"))).await.done(&format!("c{n}"));
        post(&world, &install, text, json(&format!("d{n}"))).await.done(&format!("d{n}"));
        post(&world, &install, url, json(&format!("e{n}"))).await.done(&format!("e{n}"));
        let list = world.get(&format!("{root}/AppList")).await.json();
        assert_eq!(list["ResponseData"].as_array().unwrap().len(), 5 * n);
    }
    let list = world.get("/AppList?customer_app_name=c2").await.json();
    assert_eq!(list["ResponseData"][0]["app_id"], "c2");
    assert_eq!(list["ResponseData"].as_array().unwrap().len(), 1);
    let list = world.get("/AppList?customer_app_name=nobody").await;
    assert_eq!((list.status, list.json()), (200, json!({"ResponseData": []})));
}

#[tokio::test]
async fn answers_are_spelt_as_the_document_spells_them() {
    let world = World::new().await;
    world.install("wordpress", "blog").await.done("blog");
    let patch = kube::api::Patch::Merge(json!({"spec": {"domain": "blog.example.com"}}));
    world.apps().patch("blog", &Default::default(), &patch).await.unwrap();
    world.report("blog", running()).await;
    world.install("redis", "7cache").await.done("7cache");
    let golden = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let list = world.get("/AppList").await;
    assert_eq!(list.headers["content-type"], "application/json; charset=utf-8");
    let expect = golden(include_str!("../../golden/app-list.json"));
    assert_eq!(list.json(), expect, "{:#}", list.json());
    let status = world.get("/AppStatus?app_id=blog").await.json();
    assert_eq!(status, golden(include_str!("../../golden/app-status.json")), "{status:#}");
    // The older form of an id, where the application is the one that it says.
    assert_eq!(world.get("/AppStatus?app_id=wordpress_blog").await.json(), status);
    assert_eq!(world.get("/AppStatus?app_id=redis_blog").await.code(), "Param.APPID.NotExist");
}

#[tokio::test]
async fn every_phase_has_its_code_and_its_two_words() {
    let world = World::new().await;
    world.install("redis", "cache").await.done("cache");
    for (word, code, listed) in [
        ("queuing", "00", "queuing"),
        ("pulling", "10", "pulling"),
        ("creating", "11", "creating"),
        ("initing", "12", "initing"),
        ("running", "30", "running"),
        ("stopping", "40", "stop"),
        ("stopped", "40", "stop"),
        ("uninstalling", "40", "stop"),
        ("error", "50", "error"),
    ] {
        world.report("cache", json!({"status": word, "title": word})).await;
        let status = world.get("/AppStatus?app_id=cache").await.json();
        let list = world.get("/AppList").await.json();
        let (one, all) = (&status["ResponseData"], &list["ResponseData"][0]);
        assert_eq!((&one["status"], &one["status_code"]), (&json!(word), &json!(code)));
        assert_eq!((&all["status"], &all["status_code"]), (&json!(listed), &json!(code)));
        assert_eq!(all["running_info"].is_null(), word != "running", "{all}");
        assert!(all.as_object().unwrap().contains_key("running_info"));
    }
}

#[tokio::test]
async fn where_the_setting_says_so_a_failure_is_http_200_too() {
    let world = World::with(super::AppApiSettings { always_200: true, ..settings() }, super::PLENTY).await;
    let answer = world.get("/AppStatus?app_id=ghost").await;
    assert_eq!((answer.status, answer.code().as_str()), (200, "Param.APPID.NotExist"));
    // What never became a call keeps HTTP's own status.
    assert_eq!(post(&world, "/AppStatus", "application/json", "{").await.status, 400);
}

#[tokio::test]
async fn icons_are_drawn_and_asked_for_without_a_token() {
    let settings = super::AppApiSettings { auth: super::tokens(), ..settings() };
    let world = World::with(settings, super::PLENTY).await;
    let icon = world.get("/apps/icons/wordpress.svg").await;
    assert_eq!(
        (icon.status, &icon.headers["content-type"]),
        (200, &"image/svg+xml;charset=utf-8".parse().unwrap())
    );
    for bad in ["/apps/icons/wordpress.png", "/apps/icons/%3Cscript%3E.svg", "/apps/icons/..%2Fx.svg"] {
        assert_eq!(world.get(bad).await.status, 404, "{bad}");
    }
}

#[tokio::test]
async fn what_can_be_installed_is_told_as_the_operator_has_it() {
    let world = World::new().await;
    let told = world.get("/apps/catalog").await.json();
    let entry = |name: &str| {
        let all = told["ResponseData"].as_array().unwrap();
        all.iter().find(|entry| entry["name"] == name).unwrap().clone()
    };
    let redis = entry("redis");
    assert_eq!((&redis["title"], &redis["official_app"]), (&json!("Redis"), &json!(true)));
    assert_eq!(redis["versions"][0], world.version("redis"));
    assert_eq!((&redis["docker"], &redis["kubernetes"]), (&json!("runs"), &json!("runs")));
    let hostile = entry("hostile");
    assert_eq!((&hostile["docker"], &hostile["official_app"]), (&json!("cannot"), &json!(false)));
}
