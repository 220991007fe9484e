//! Input that nobody should send: it gets a clear answer that names the field, and changes nothing.

use axum::body::Body;
use cocoasyncer::http::app::state::AppApiSettings;
use http::{Method, Request, Response};
use kube::Client;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;

use super::{PLENTY, World, settings};

async fn nothing_made(world: &World) {
    let all: Api<cocoasyncer::api::app::App> = Api::all(world.client.clone());
    assert!(all.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn what_never_became_a_call_gets_https_own_status_in_the_same_envelope() {
    let world = World::new().await;
    let long = format!(r#"{{"app_name":"{}"}}"#, "a".repeat(1 << 20));
    for (method, body, kind, status, word) in [
        (Method::POST, "{".to_owned(), "application/json", 400, "JSON"),
        (Method::POST, "[1]".to_owned(), "application/json", 400, "JSON object"),
        (Method::POST, "app_name=%zz".to_owned(), "", 400, "%"),
        (Method::POST, "--x".to_owned(), "multipart/form-data; boundary=x", 400, "x-www-form"),
        (Method::POST, long, "application/json", 413, "body"),
        (Method::PUT, String::new(), "", 405, "GET or POST"),
        (Method::DELETE, String::new(), "", 405, "GET or POST"),
    ] {
        let request = Request::builder().method(method).uri("/AppInstall").header("content-type", kind);
        let answer = world.ask(request.body(Body::from(body)).unwrap()).await;
        let text = &answer.text;
        assert_eq!((answer.status, answer.code().as_str()), (status, "Parameter.Format.Error"), "{text}");
        assert!(answer.json()["Error"]["Detail"].as_str().unwrap().contains(word), "{text}");
    }
    let version = world.version("redis");
    let path = format!("/AppInstall?app_name=redis&customer_app_name=a&app_version={version}");
    // Some tools look by HEAD first: that must not install.
    let head = Request::builder().method(Method::HEAD).uri(&path).body(Body::empty()).unwrap();
    assert_eq!(world.ask(head).await.status, 405);
    let head = Request::builder().method(Method::HEAD).uri("/AppList").body(Body::empty()).unwrap();
    assert_eq!(world.ask(head).await.status, 200);
    nothing_made(&world).await;
}

#[tokio::test]
async fn a_parameter_that_contradicts_itself_or_is_no_text_is_named() {
    let world = World::new().await;
    for (path, body, word) in [
        ("/AppInstall?app_name=redis&app_name=nginx", "", "app_name"),
        ("/AppInstall?app_name=redis", r#"{"app_name":"nginx"}"#, "app_name"),
        ("/AppInstall", r#"{"app_name":["redis"]}"#, "app_name"),
        ("/AppInstall", r#"{"app_version":8.10}"#, "app_version"),
    ] {
        let answer = world.ask(Request::post(path).body(Body::from(body)).unwrap()).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "Parameter.Value.Error"), "{path} {body}");
        assert!(answer.json()["Error"]["Detail"].as_str().unwrap().starts_with(word));
    }
    nothing_made(&world).await;
}

#[tokio::test]
async fn a_template_that_runs_nowhere_is_refused_before_anything_is_made() {
    let world = World::new().await;
    let path = "/AppInstall?app_name=hostile&customer_app_name=a&app_version=1";
    let (zh, en) = (world.get(path).await, world.get_with(path, ("language", "en")).await);
    assert_eq!((en.status, en.code().as_str()), (404, "Param.AppName.NotExis"));
    let detail = |answer: &super::Answer| answer.json()["Error"]["Detail"].as_str().unwrap().to_owned();
    assert!(detail(&en).starts_with("docker-compose.yml"), "{}", en.text);
    assert!(detail(&en).is_ascii() && !detail(&zh).is_ascii(), "{} {}", zh.text, en.text);
    nothing_made(&world).await;
}

#[tokio::test]
async fn one_name_in_two_namespaces_is_one_app_to_the_api() {
    let world = World::new().await;
    let spec = json!({"appName": "redis", "appVersion": world.version("redis")});
    let namespace = serde_json::from_value(json!({"metadata": {"name": "team"}})).unwrap();
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(world.client.clone());
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    world.create("team", "cache", spec).await;
    world.shows(|view| view.get("cache").is_some()).await;
    assert_eq!(world.install("redis", "cache").await.code(), "Param.CustomerAppName.Wait");
    assert!(world.apps().list(&ListParams::default()).await.unwrap().items.is_empty());
    // What the API does, it does to the one that it shows.
    world.get("/AppStop?app_id=cache").await.done("cache");
    let team: Api<cocoasyncer::api::app::App> = Api::namespaced(world.client.clone(), "team");
    assert_eq!(team.get("cache").await.unwrap().spec.power, cocoasyncer::api::app::Power::Stopped);
}

#[tokio::test]
async fn a_control_plane_that_fails_is_told_and_not_taken_for_a_refusal() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let broken = tower::service_fn(|_: Request<kube::client::Body>| async {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500,
            "reason": "InternalError", "message": "the store is full"});
        let response = Response::builder().status(500).body(Body::from(status.to_string())).unwrap();
        Ok::<_, std::convert::Infallible>(response)
    });
    let client = Client::new(broken, "default");
    let plane = cocoasyncer::controlplane::ControlPlane::in_memory().await.unwrap();
    let reader = plane.client();
    crate::support::install_crds(&reader).await;
    let world = World::over(&reader, client.clone(), Some(plane), settings(), PLENTY);
    let answer = world.install("redis", "cache").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "SystemError"), "{}", answer.text);
    assert!(answer.text.contains("the store is full"));
    // Where nothing could be read yet, nobody is told that an App is not there.
    let world = World::over(&client.clone(), client, None, settings(), PLENTY);
    for path in ["/AppStatus?app_id=cache", "/AppList"] {
        assert_eq!(world.get(path).await.code(), "SystemError");
    }
    // A namespace that is not there is the operator's mistake, not the caller's.
    let lost = AppApiSettings { namespace: "nowhere".into(), ..settings() };
    let world = World::with(lost, PLENTY).await;
    assert_eq!(world.install("redis", "cache").await.code(), "SystemError");
}
