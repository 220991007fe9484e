//! What is answered, and to whom nothing is.

use std::sync::Arc;

use cocoasyncer::api::service::ManagedService;
use cocoasyncer::api::vocab::Line;
use cocoasyncer::http::admission;
use cocoasyncer::pki::{Authority, Rotating};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Hook, NAME};
use crate::support::{World, cocoa_node, managed, until};

/// An operator with a webhook.
struct Asked {
    world: World,
    hook: Hook,
    bundle: String,
    now: Timestamp,
}

impl Asked {
    async fn new() -> Asked {
        let world = World::new().await;
        let judge = world.judge.clone().unwrap();
        let judge: admission::Judge = Arc::new(move |question| {
            let verdict = judge.judge(&question);
            Box::pin(async { Some(verdict) })
        });
        let now = Timestamp::now();
        let authority = Authority::make("test", now, 10).unwrap();
        let signed = authority.sign(&[NAME.to_owned()], now, 10).unwrap();
        let rotating = Arc::<Rotating>::default();
        rotating.replace(&signed.certificate, &signed.key).unwrap();
        let hook = Hook::serve(rotating, judge).await;
        Asked { world, hook, bundle: authority.certificate().to_owned(), now }
    }

    async fn ask(&self, kind: &str, old: Value, new: Value) -> Value {
        let operation = if old.is_null() { "CREATE" } else { "UPDATE" };
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "7d0a", "kind": {"group": "cocoasyncer.io", "version": "v1alpha1", "kind": kind},
            "resource": {"group": "cocoasyncer.io", "version": "v1alpha1", "resource": "x"},
            "operation": operation, "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
            "object": new, "oldObject": old, "dryRun": false, "options": {"kind": "CreateOptions"},
        }});
        let (status, body) = self.hook.post(&self.bundle, self.now, review.to_string().as_bytes()).await;
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["response"]["uid"], "7d0a");
        answer["response"].clone()
    }

    async fn refuses(&self, kind: &str, new: Value, part: &str) {
        let said = self.ask(kind, Value::Null, new).await;
        let message = said["status"]["message"].as_str().unwrap_or_default();
        assert!(said["allowed"] == false && message.contains(part), "{part}: {said}");
        assert_eq!(said["status"]["code"], 422);
    }

    async fn warns(&self, kind: &str, new: Value, part: &str) {
        let said = self.ask(kind, Value::Null, new).await;
        let warnings = said["warnings"].to_string();
        assert!(said["allowed"] == true && warnings.contains(part), "{part}: {said}");
    }
}

fn service(namespace: &str, name: &str, spec: Value) -> Value {
    let mut all = json!({"serviceName": name, "domain": "example.com", "record": name});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "ManagedService",
        "metadata": {"name": name, "namespace": namespace}, "spec": all})
}

fn node(name: &str, code: &str) -> Value {
    json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "CocoaNode", "metadata": {"name": name},
        "spec": {"nodeName": name, "nodeCode": code, "nodeAddress": format!("http://{name}"),
            "secretRef": {"name": name}}})
}

fn app(name: &str, version: &str) -> Value {
    json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "App",
        "metadata": {"name": "shop", "namespace": "default"}, "spec": {"appName": name, "appVersion": version}})
}

#[tokio::test]
async fn what_the_operator_would_not_serve_is_refused_with_the_field_to_mend() {
    let asked = Asked::new().await;
    let world = &asked.world;
    world.create_node(&cocoa_node("n1", &[Line::Default], "203.0.113.1")).await;
    world.create(&managed("www", "www")).await;
    world.settles(&["www.example.com A [default] 203.0.113.1 (ttl 60)"]).await;
    assert_eq!(asked.ask("CocoaNode", Value::Null, node("n2", "code-n2")).await["allowed"], true);
    asked
        .refuses("CocoaNode", node("n2", "code-n1"), "spec.nodeCode: node n1 has this nodeCode already")
        .await;
    let taken = "spec.record: www.example.com is managed by default/www already";
    asked.refuses("ManagedService", service("elsewhere", "other", json!({"record": "www"})), taken).await;
    let below = json!({"domain": "www.example.com", "record": "@"});
    asked.refuses("ManagedService", service("elsewhere", "other", below), taken).await;
    asked.refuses("ManagedService", service("default", "a-", json!({})), "spec.record").await;
    let missing = json!({"platformProvider": "Ali"});
    asked
        .warns("ManagedService", service("default", "ali", missing), "spec.platformProvider: no Secret")
        .await;
    let named = json!({"platformProvider": "Ali", "accountRef": {"name": "keys"}});
    asked
        .warns("ManagedService", service("default", "ali", named), "spec.accountRef: there is no Secret")
        .await;
    let absent = json!({"nodes": ["n1", "n9"]});
    asked
        .warns("ManagedService", service("default", "api", absent), "spec.nodes: there is no CocoaNode")
        .await;
    asked.refuses("App", app("no-such", "1"), "spec.appName: the catalogue has no no-such").await;
    asked.refuses("App", app("redis", "0.0.1"), "spec.appVersion").await;
}

#[tokio::test]
async fn the_same_is_a_condition_where_nobody_was_asked() {
    let asked = Asked::new().await;
    let world = &asked.world;
    world.create_node(&cocoa_node("n1", &[Line::Default], "203.0.113.1")).await;
    world.create(&managed("www", "www")).await;
    world.settles(&["www.example.com A [default] 203.0.113.1 (ttl 60)"]).await;
    let twin: ManagedService =
        serde_json::from_value(service("default", "x-twin", json!({"record": "www"}))).unwrap();
    let said = asked.ask("ManagedService", Value::Null, serde_json::to_value(&twin).unwrap()).await;
    world.create(&twin).await;
    let told = world.condition("x-twin", "Valid", "Invalid").await;
    assert_eq!(said["status"]["message"], told);
    let below = json!({"domain": "www.example.com", "record": "@"});
    let below: ManagedService = serde_json::from_value(service("default", "y-below", below)).unwrap();
    let said = asked.ask("ManagedService", Value::Null, serde_json::to_value(&below).unwrap()).await;
    world.create(&below).await;
    assert_eq!(said["status"]["message"], world.condition("y-below", "Valid", "Invalid").await);
}

#[tokio::test]
async fn an_edit_answers_for_what_it_adds_and_what_goes_is_never_held_up() {
    let asked = Asked::new().await;
    let services: Api<ManagedService> = asked.world.services();
    services.create(&PostParams::default(), &managed("www", "www")).await.unwrap();
    let twin = service("default", "twin", json!({"record": "www"}));
    until("the service is known", || async {
        (asked.ask("ManagedService", Value::Null, twin.clone()).await["allowed"] == false).then_some(())
    })
    .await;
    let longer = service("default", "twin", json!({"record": "www", "ttl": 600}));
    assert_eq!(asked.ask("ManagedService", twin.clone(), longer).await["allowed"], true);
    let other = service("default", "twin", json!({"record": "other"}));
    assert_eq!(asked.ask("ManagedService", other, twin.clone()).await["allowed"], false);
    let mut going = twin;
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(asked.ask("ManagedService", Value::Null, going).await["allowed"], true);
    // A later release's object is not this operator's to refuse.
    let odd = json!({"apiVersion": "cocoasyncer.io/v1", "kind": "App", "metadata": {"name": "a"}, "spec": 7});
    asked.warns("App", odd, "not checked").await;
}

#[tokio::test]
async fn hostile_bodies_end_themselves_and_nobody_else() {
    let asked = Asked::new().await;
    let (hook, bundle, now) = (&asked.hook, &asked.bundle, asked.now);
    let deep = "[".repeat(200_000);
    for (body, expect) in [
        (&b""[..], 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (deep.as_bytes(), 400),
        (br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#, 400),
        (br#"{"apiVersion":"v1","kind":"Secret","request":{}}"#, 400),
    ] {
        assert_eq!(hook.post(bundle, now, body).await.0, expect, "{:?}", &body[..body.len().min(40)]);
    }
    let told = format!(
        "POST /admission HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        (4 << 20) + 1
    );
    assert_eq!(hook.raw(bundle, now, told.as_bytes()).await.0, 413);
    let get = b"GET /admission HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(hook.raw(bundle, now, get).await.0, 405);
    let elsewhere = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(hook.raw(bundle, now, elsewhere).await.0, 404);
    let mut long = b"POST /admission HTTP/1.1\r\nx: ".to_vec();
    // As much as is read of a head, and not more: what is left unread would cut the connection under the refusal.
    long.resize(64 << 10, b'a');
    assert_eq!(hook.raw(bundle, now, &long).await.0, 431);
    let mut plain = TcpStream::connect(hook.at).await.unwrap();
    plain.write_all(get).await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "it speaks TLS alone");
    assert!(hook.connect(Authority::make("other", now, 10).unwrap().certificate(), now).await.is_err());
    assert_eq!(asked.ask("CocoaNode", Value::Null, node("n2", "n2")).await["allowed"], true);
    let registry = prometheus::Registry::new();
    hook.metrics.register(&registry).unwrap();
    let text = cocoasyncer::telemetry::metrics::text(&registry);
    let counted = |labels: &str| text.contains(&format!("cocoasyncer_admission_requests_total{{{labels}}}"));
    assert!(counted(r#"kind="CocoaNode",result="allowed""#), "{text}");
    assert!(counted(r#"kind="other",result="unread""#), "{text}");
}
