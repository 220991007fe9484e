//! Against a recording API server of a few lines: in which order a push is written, and what a refusal leaves.

use std::sync::{Arc, Mutex};

use super::*;
use crate::wire::cluster::Request;
use http_body_util::BodyExt;
use kube::client::Body;

/// What the recording server was asked, as `METHOD path`, and what it holds.
#[derive(Default)]
pub(in crate::http) struct Recorded {
    pub calls: Vec<String>,
    pub nodes: Vec<Value>,
    pub services: Vec<Value>,
    pub secrets: Vec<Value>,
    pub refuse: Option<&'static str>,
}

/// A client of a server that records.
pub(in crate::http) fn recording(recorded: Arc<Mutex<Recorded>>) -> Client {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let recorded = recorded.clone();
        async move {
            let call = format!("{} {}", request.method(), request.uri());
            let body = request.into_body().collect().await?.to_bytes();
            let (status, answer) = answered(&mut recorded.lock().unwrap(), &call, &body);
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, tower::BoxError>(http::Response::builder().status(status).body(body).unwrap())
        }
    });
    Client::new(service, "default")
}

fn answered(recorded: &mut Recorded, call: &str, body: &[u8]) -> (u16, Value) {
    recorded.calls.push(call.to_owned());
    let failure = |code: u16, reason: &str, message: &str| {
        (
            code,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}),
        )
    };
    let list = |kind: &str, items: &Vec<Value>| {
        (200, json!({"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}))
    };
    let (method, path) = call.split_once(' ').unwrap();
    let last = path.split('?').next().unwrap().rsplit('/').next().unwrap();
    match (method, last) {
        ("GET", "cocoanodes") => list("CocoaNodeList", &recorded.nodes),
        ("GET", "managedservices") => list("ManagedServiceList", &recorded.services),
        ("GET", "secrets") => list("SecretList", &recorded.secrets),
        ("GET", _) => failure(404, "NotFound", "not found"),
        ("PATCH", _) if recorded.refuse.is_some_and(|part| path.contains(part)) => {
            failure(422, "Invalid", "spec.ttl: Invalid value")
        }
        ("PATCH" | "POST", _) => (200, serde_json::from_slice(body).unwrap()),
        _ => (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
    }
}

fn push(generation: u64) -> CocoaBasic {
    let text = json!({"cocoaSecret": "x", "cocoaBasic": {
        "nodeCode": "a", "createdAt": "2026-01-01T00:00:00Z", "operator": {"generation": generation},
        "otherCocoaSyncer": [
            {"nodeName": "A", "nodeCode": "a", "nodeAddress": "http://a.example", "workMode": "leader",
             "ISPs": ["default"], "cocoaSecret": "canary-a"},
            {"nodeName": "B", "nodeCode": "b", "nodeAddress": "http://b.example", "workMode": "follower", "ISPs": []}
        ],
        "cocoaManagedService": [
            {"serviceName": "S", "domain": "example.com", "record": "www", "platformProvider": "Local"}]}});
    Request::read(text.to_string().as_bytes()).unwrap().basic().unwrap()
}

fn world() -> Arc<Mutex<Recorded>> {
    let own = json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "CocoaNode", "metadata": {"name": "b"},
        "spec": {"nodeName": "b", "nodeCode": "b", "nodeAddress": "http://b.example", "workMode": "follower"}});
    let old = json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "ManagedService",
        "metadata": {"name": "old", "namespace": "default", "labels": {ORIGIN_LABEL: ORIGIN_LEADER}},
        "spec": {"serviceName": "old", "domain": "example.com", "record": "old"}});
    Arc::new(Mutex::new(Recorded { nodes: vec![own], services: vec![old], ..Recorded::default() }))
}

/// Calls that change something, in short.
fn changes(recorded: &Mutex<Recorded>) -> Vec<String> {
    let recorded = recorded.lock().unwrap();
    let real = |call: &&String| !call.starts_with("GET") && !call.contains("dryRun");
    let short = |call: &String| {
        let path = call.split('?').next().unwrap();
        let mut parts = path.rsplit('/');
        let (name, kind) = (parts.next().unwrap(), parts.next().unwrap());
        format!("{} {kind}/{name}", call.split(' ').next().unwrap())
    };
    recorded.calls.iter().filter(real).map(short).collect()
}

#[tokio::test]
async fn a_push_is_written_in_an_order_in_which_each_finds_what_it_needs() {
    let recorded = world();
    let changed =
        Pushes::new(recording(recorded.clone()), Arc::default(), None).take(&push(3), "b").await.unwrap();
    assert_eq!(changed, 5, "a secret, two nodes, a service, a removal");
    assert_eq!(
        changes(&recorded),
        [
            "POST v1/namespaces",
            "POST v1/namespaces",
            "POST cocoasyncer-system/configmaps",
            "PATCH secrets/leader-node-a",
            "PATCH cocoanodes/a",
            "PATCH cocoanodes/b",
            "PATCH managedservices/www.example.com",
            "PATCH managedservices/old",
            "DELETE managedservices/old",
        ]
    );
    let all = recorded.lock().unwrap().calls.join("\n");
    assert!(all.contains("fieldManager=cocoasyncer%2Fleader-push"), "{all}");
    assert!(!all.contains("canary"));
}

#[tokio::test]
async fn what_the_api_server_refuses_changes_nothing() {
    let recorded = world();
    recorded.lock().unwrap().refuse = Some("managedservices/");
    let err =
        Pushes::new(recording(recorded.clone()), Arc::default(), None).take(&push(3), "b").await.unwrap_err();
    assert!(err.to_string().contains("spec.ttl"), "{err}");
    let changed = changes(&recorded);
    assert!(changed.iter().all(|call| call.starts_with("POST v1/namespaces")), "{changed:?}");
}

#[tokio::test]
async fn a_push_that_is_refused_is_not_written() {
    let recorded = world();
    let mut bad = push(3);
    bad.other_cocoa_syncer[0].isps = vec!["telecom".into()];
    let err =
        Pushes::new(recording(recorded.clone()), Arc::default(), None).take(&bad, "b").await.unwrap_err();
    assert!(matches!(err, PushError::Refused(_)), "{err}");
    assert!(changes(&recorded).is_empty());
}
