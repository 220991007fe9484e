//! The plane on a socket and over plain HTTP: identity, forms, discovery, refusals.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tower::Service;

use super::{ControlPlane, Options, widget, widgets};
use crate::controlplane::{
    OpenError,
    serve::BindError,
    service::{ApiService, Identity},
};

async fn ask(plane: &ControlPlane, request: Request<Body>) -> (Response<()>, Value) {
    let mut service = ApiService::new(plane.engine.clone(), Some(Identity::admin()));
    let (parts, body) = service.call(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
    (Response::from_parts(parts, ()), value)
}

fn get(path: &str, accept: &str) -> Request<Body> {
    Request::get(path).header("accept", accept).body(Body::empty()).unwrap()
}

fn send(method: Method, path: &str, kind: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(method).uri(path).header("content-type", kind).body(body.into()).unwrap()
}

#[tokio::test]
async fn kubectl_reaches_the_plane_by_its_kubeconfig_and_nobody_without_the_token() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let bound = plane.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = bound.local_addr();
    let mut kubeconfig = Kubeconfig::from_yaml(&bound.kubeconfig()).unwrap();
    let taken = plane.bind(addr).await.err().unwrap();
    assert!(matches!(&taken, BindError::InUse { addr: named } if *named == addr), "{taken}");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(bound.serve(async { drop(stopped.await) }));
    let client = |kubeconfig: Kubeconfig| async {
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    };
    let api: Api<ConfigMap> = Api::default_namespaced(client(kubeconfig.clone()).await);
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "m"}})).unwrap();
    api.create(&PostParams::default(), &map).await.unwrap();
    kubeconfig.auth_infos[0].auth_info.as_mut().unwrap().token = Some("guess".to_owned().into());
    let stranger = client(kubeconfig).await;
    let api: Api<ConfigMap> = Api::default_namespaced(stranger.clone());
    assert_eq!(super::status(api.list(&ListParams::default()).await.unwrap_err()).code, 401);
    stranger.apiserver_version().await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), server).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_second_process_on_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { dir: Some(dir.path().to_owned()), ..Options::default() };
    let plane = ControlPlane::open(options.clone()).await.unwrap();
    let second = ControlPlane::open(options.clone()).await.err().unwrap();
    assert!(matches!(second, OpenError::Store(_)), "{second}");
    assert!(second.to_string().contains("in use by another process"), "{second}");
    plane.close().await;
    ControlPlane::open(options).await.unwrap();
}

#[tokio::test]
async fn tables_and_metadata_come_in_the_form_that_was_asked_for() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api = widgets(&plane.client()).await;
    api.create(&PostParams::default(), &widget("a", json!({"size": 3}))).await.unwrap();
    let path = "/apis/example.org/v1/namespaces/default/widgets";
    let (_, table) =
        ask(&plane, get(path, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")).await;
    assert_eq!((&table["kind"], &table["rows"][0]["cells"]), (&json!("Table"), &json!(["a", 3])));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let (_, list) = ask(&plane, get(path, partial)).await;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert!(list["items"][0].get("spec").is_none() && list["items"][0]["metadata"]["name"] == "a");
    let (response, _) = ask(&plane, get(path, "application/vnd.kubernetes.protobuf")).await;
    assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn unknown_fields_are_dropped_with_a_warning_or_refused_when_strict() {
    let plane = ControlPlane::in_memory().await.unwrap();
    widgets(&plane.client()).await;
    let path = "/apis/example.org/v1/namespaces/default/widgets";
    let body = |name: &str| {
        let spec = json!({"size": 1, "sise": 2});
        json!({"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
            .to_string()
    };
    let (response, made) = ask(&plane, send(Method::POST, path, "application/json", body("a"))).await;
    assert_eq!(response.headers()["warning"], "299 - \"unknown field \\\"spec.sise\\\"\"");
    assert!(made["spec"].get("sise").is_none());
    let doubled = r#"{"apiVersion":"example.org/v1","kind":"Widget","metadata":{"name":"d"},"spec":{"size":1,"size":2}}"#;
    let (response, _) = ask(&plane, send(Method::POST, path, "application/json", doubled)).await;
    assert_eq!(response.headers()["warning"], "299 - \"duplicate field \\\"spec.size\\\"\"");
    let quiet = format!("{path}?fieldValidation=Ignore");
    let (response, _) = ask(&plane, send(Method::POST, &quiet, "application/json", body("b"))).await;
    assert!(response.headers().get("warning").is_none());
    let strict = format!("{path}?fieldValidation=Strict");
    let (response, refused) = ask(&plane, send(Method::POST, &strict, "application/json", body("c"))).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(refused["message"].as_str().unwrap().contains("unknown field \"spec.sise\""), "{refused}");
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_in_the_words_of_the_protocol() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let maps = "/api/v1/namespaces/default/configmaps";
    let json_type = "application/json";
    for (request, code) in [
        (send(Method::POST, maps, json_type, "{"), 400),
        (send(Method::POST, maps, json_type, "[]"), 400),
        (send(Method::POST, maps, json_type, r#"{"kind":"Secret","metadata":{"name":"a"}}"#), 400),
        (send(Method::POST, maps, "text/html", "{}"), 415),
        (send(Method::POST, maps, json_type, vec![b' '; (3 << 20) + 1]), 413),
        (send(Method::POST, "/api/v1/configmaps", json_type, "{}"), 400),
        (send(Method::PUT, maps, json_type, "{}"), 405),
        (send(Method::PATCH, &format!("{maps}/a"), "application/json", "{}"), 415),
        (get("/api/v1/nothings", "*/*"), 404),
        (get("/apis/nowhere/v1", "*/*"), 404),
        (get("/api/v1/pods?labelSelector=a%3D%3D%3D", "*/*"), 400),
        (get("/api/v1/pods?limit=x", "*/*"), 400),
        (get("/api/v1/pods?continue=x", "*/*"), 400),
        (get("/api/v1/pods?resourceVersion=999999", "*/*"), 504),
        (get("/api/v1/pods?resourceVersion=x", "*/*"), 400),
        (get("/api/v1/namespaces/default/pods/a/log", "*/*"), 404),
    ] {
        let what = format!("{} {}", request.method(), request.uri());
        let (response, body) = ask(&plane, request).await;
        assert_eq!(response.status().as_u16(), code, "{what}: {body}");
        assert_eq!((&body["kind"], &body["code"]), (&json!("Status"), &json!(code)), "{what}");
    }
}

#[tokio::test]
async fn discovery_names_every_kind_and_forgets_none_that_is_applied() {
    let plane = ControlPlane::in_memory().await.unwrap();
    widgets(&plane.client()).await;
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let (_, groups) = ask(&plane, get("/apis", aggregated)).await;
    assert_eq!(groups["kind"], "APIGroupDiscoveryList");
    let found = groups["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["metadata"]["name"] == "example.org")
        .unwrap();
    assert_eq!(found["versions"][0]["resources"][0]["resource"], "widgets");
    let (_, plain) = ask(&plane, get("/apis", "application/json")).await;
    assert_eq!(plain["kind"], "APIGroupList");
    let (_, list) = ask(&plane, get("/apis/example.org/v1", "application/json")).await;
    assert_eq!(list["resources"][0]["shortNames"], json!(["wd"]));
    let (_, index) = ask(&plane, get("/openapi/v3", "application/json")).await;
    let url = index["paths"]["apis/example.org/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let (response, document) = ask(&plane, get(&url, "application/json")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(document.to_string().contains("Widget"));
    for path in ["/healthz", "/livez", "/readyz", "/version", "/api", "/api/v1", "/"] {
        let (response, _) = ask(&plane, get(path, "*/*")).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    let head = Request::head("/api/v1/namespaces").body(Body::empty()).unwrap();
    assert_eq!(ask(&plane, head).await.1, json!(""), "no body after HEAD");
    let discovered = kube::Discovery::new(plane.client()).run().await.unwrap();
    assert!(discovered.has_group("example.org") && discovered.has_group("apps"));
}

#[tokio::test]
async fn a_bug_under_a_request_is_a_500_and_not_the_end_of_the_caller() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let engine: Arc<_> = plane.engine.clone();
    // A body that panics when it is read stands for any bug below the surface.
    let body = Body::from_stream(futures::stream::once(async {
        panic!("a bug") as Result<Vec<u8>, std::io::Error>
    }));
    let mut service = ApiService::new(engine, Some(Identity::admin()));
    let response =
        service.call(send(Method::POST, "/api/v1/namespaces", "application/json", body)).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}
