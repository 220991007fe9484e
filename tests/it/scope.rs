//! An operator that serves some namespaces only, and one whose rights are missing: what it asks, what it says, and that
//! it goes on by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use cocoasyncer::api::service::ManagedService;
use cocoasyncer::api::{PROVIDER_LABEL, vocab::Line};
use cocoasyncer::apiserver::{ApiServer, Open};
use cocoasyncer::controllers::stores::Stores;
use cocoasyncer::controlplane::ControlPlane;
use cocoasyncer::domain::scope::Scope;
use cocoasyncer::telemetry::troubles::Troubles;
use http::{Request, Response};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, PostParams};
use kube::client::Body;
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use crate::support::{World, cocoa_node, managed, until};

/// What was asked, method and path.
type Asked = Arc<Mutex<Vec<String>>>;

/// A client that notes what it asks, and is refused what `refused` says.
fn watched(
    client: Client,
    asked: &Asked,
    refused: impl Fn(&str) -> bool + Clone + Send + Sync + 'static,
) -> Client {
    let asked = asked.clone();
    let call = move |request: Request<Body>| {
        let (client, asked, refused) = (client.clone(), asked.clone(), refused.clone());
        async move {
            let what = format!("{} {}", request.method(), request.uri());
            asked.lock().unwrap().push(what.clone());
            if refused(&what) {
                let words = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden",
                    "code": 403, "message": "secrets is forbidden: User \"x\" cannot list resource \"secrets\""});
                let body = Body::from(serde_json::to_vec(&words).unwrap());
                return Ok(Response::builder().status(403).body(body).unwrap());
            }
            client.send(request).await
        }
    };
    Client::new(service_fn(call), "default")
}

async fn namespace(client: &Client, name: &str) {
    let object: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
}

async fn account(client: &Client, namespace: &str) {
    let object: Secret = serde_json::from_value(json!({
        "metadata": {"name": "ali", "labels": {PROVIDER_LABEL: "Ali"}},
        "stringData": {"accessKey": "id", "accessSecret": "secret"},
    }))
    .unwrap();
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &object).await.unwrap();
}

async fn reason(client: &Client, namespace: &str, name: &str) -> Option<(String, String)> {
    let api = Api::<ManagedService>::namespaced(client.clone(), namespace);
    let status = api.get(name).await.unwrap().status?;
    let ready = status.conditions.into_iter().find(|condition| condition.type_ == "Ready")?;
    Some((ready.reason, ready.message))
}

#[tokio::test]
async fn outside_its_namespaces_an_operator_asks_nothing_and_says_what_to_do() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let client = plane.client();
    for name in ["ops", "blog", "elsewhere"] {
        namespace(&client, name).await;
        account(&client, name).await;
    }
    let asked = Asked::default();
    let through = watched(client.clone(), &asked, |_| false);
    let scope = Scope::only("ops", ["blog".to_owned()]);
    let world = World::through(plane, "n1", scope, through).await;
    world.create_node(&cocoa_node("n1", &[Line::Default], "203.0.113.1")).await;
    for (namespace, name) in [("blog", "inside"), ("elsewhere", "outside")] {
        let mut service = managed(name, name);
        service.metadata.namespace = Some(namespace.into());
        Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &service).await.unwrap();
    }
    until("the one inside is served", || async {
        reason(&client, "blog", "inside").await.filter(|(reason, _)| reason == "AsWished")
    })
    .await;
    let (_, words) = until("the one outside says why not", || async {
        reason(&client, "elsewhere", "outside").await.filter(|(reason, _)| reason == "NamespaceNotServed")
    })
    .await;
    assert!(words.contains("serves blog, ops only") && words.contains("--namespaces"), "{words}");
    let outside = |call: &&String| {
        let path = call.split(['?', ' ']).nth(1).unwrap();
        path == "/api/v1/secrets"
            || path == "/api/v1/configmaps"
            || path.contains("/v1/namespaces/elsewhere/")
    };
    let calls = asked.lock().unwrap().clone();
    let status = "PATCH /apis/cocoasyncer.io/v1alpha1/namespaces/elsewhere/managedservices/outside/status";
    let strange: Vec<&String> =
        calls.iter().filter(outside).filter(|call| !call.starts_with(status)).collect();
    assert!(strange.is_empty(), "{strange:#?}");
    assert!(calls.iter().any(|call| call.contains("/api/v1/namespaces/blog/secrets")), "{calls:#?}");
}

#[tokio::test]
async fn an_object_that_somebody_else_serves_is_left_as_it_is() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let client = plane.client();
    namespace(&client, "ops").await;
    namespace(&client, "theirs").await;
    let world = World::through(plane, "n1", Scope::only("ops", []), client.clone()).await;
    let api = Api::<ManagedService>::namespaced(client.clone(), "theirs");
    let mut service = managed("www", "www");
    service.metadata.namespace = Some("theirs".into());
    api.create(&PostParams::default(), &service).await.unwrap();
    until("it says that it does not serve it", || reason(&client, "theirs", "www")).await;
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "AsWished",
        "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let patch = kube::api::Patch::Merge(status);
    let theirs = api.patch_status("www", &Default::default(), &patch).await.unwrap();
    // Something else that it reports comes after it has seen the change.
    let mut late = managed("late", "late");
    late.metadata.namespace = Some("theirs".into());
    api.create(&PostParams::default(), &late).await.unwrap();
    until("it reports a later one", || reason(&client, "theirs", "late")).await;
    assert_eq!(api.get("www").await.unwrap().resource_version(), theirs.resource_version());
    drop(world);
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_and_the_watch_goes_on_once_it_is_granted() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let client = plane.client();
    namespace(&client, "ops").await;
    account(&client, "ops").await;
    let (granted, asked) = (Arc::new(AtomicBool::new(false)), Asked::default());
    let may = granted.clone();
    let refused = move |call: &str| call.contains("/secrets") && !may.load(Ordering::SeqCst);
    let through = watched(client, &asked, refused);
    let open: Open = Arc::new(move || {
        let through = through.clone();
        Box::pin(async move { Ok(through) })
    });
    let troubles = Troubles::default();
    let server = ApiServer::open(open, 1000.0, troubles.clone(), Default::default()).await.unwrap();
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    let scope = Arc::new(Scope::only("ops", []));
    let stores = Stores::start(&server.client(), &scope, &stop, &mut |_, watch| drop(tasks.spawn(watch)));
    let words = until("the right is missed", || async {
        troubles.words().into_iter().find(|words| words.starts_with("rights: "))
    })
    .await;
    assert!(words.contains("secrets in the namespace ops"), "{words}");
    assert!(stores.accounts().is_empty());
    granted.store(true, Ordering::SeqCst);
    until("the account is seen", || async { (stores.accounts().len() == 1).then_some(()) }).await;
    until("no right is missed", || async {
        (!troubles.words().iter().any(|words| words.starts_with("rights: "))).then_some(())
    })
    .await;
}
