//! Our own kinds, as an API server enforces them: what is refused names its field, what is printed is what people want.
//!
//! The definitions stay on the cluster afterwards: deleting them would delete everybody's objects with them.

use cocoasyncer::api::crds;
use serde_json::{Value, json};

use super::things::condition;
use super::{Env, MERGE, conform, text};
use crate::support::install_crds;

const NODES: &str = "/apis/cocoasyncer.io/v1alpha1/cocoanodes";

fn node(name: &str, spec: Value) -> Value {
    let mut whole = json!({"nodeName": name, "nodeCode": name, "nodeAddress": "http://n.example.com:44443"});
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "CocoaNode", "metadata": {"name": name}, "spec": whole})
}

fn service(name: &str, spec: Value) -> Value {
    let mut whole = json!({"serviceName": name, "domain": "example.com", "record": "www"});
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({
        "apiVersion": "cocoasyncer.io/v1alpha1", "kind": "ManagedService", "metadata": {"name": name}, "spec": whole,
    })
}

#[tokio::test]
async fn our_definitions_are_accepted_and_established() {
    conform(|env: Env| async move {
        install_crds(&env.client).await;
        for crd in crds::all() {
            let name = crd.metadata.name.clone().unwrap();
            let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
            let now = env.get(&path).await.ok();
            assert_eq!(condition(&now, "Established").unwrap()["status"], "True", "{name}");
            // A schema that is not structural is said so here.
            assert!(condition(&now, "NonStructuralSchema").is_none(), "{now}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_bad_node_is_refused_by_its_field() {
    conform(|env: Env| async move {
        install_crds(&env.client).await;
        let cases = [
            (json!({"isps": ["CTT"]}), "spec.isps[0]"),
            (json!({"isps": ["CT", "CT"]}), "spec.isps"),
            (json!({"networkType": "IPV5"}), "spec.networkType"),
            (json!({"workMode": "boss"}), "spec.workMode"),
            (json!({"nodeAddress": "not a url"}), "spec.nodeAddress"),
            (json!({"nodeCode": ""}), "spec.nodeCode"),
            (json!({"preference": 101}), "spec.preference"),
            (json!({"addresses": {"fixed": ["not an address"]}}), "spec.addresses.fixed"),
            (json!({"addresses": {"fixed": []}}), "spec.addresses.fixed"),
            (json!({"addresses": {}}), "spec.addresses"),
            (json!({"addresses": {"fixed": ["203.0.113.1"], "node": "n"}}), "spec.addresses"),
            (
                json!({"addresses": {"echo": {"services": ["http://e.example.com"], "agreement": 2}}}),
                "spec.addresses.echo",
            ),
            (json!({"liveness": {"heartbeatSeconds": 0}}), "spec.liveness.heartbeatSeconds"),
            (json!({"liveness": {"holdDownSeconds": 90000}}), "spec.liveness.holdDownSeconds"),
            (json!({"drain": {"until": "tomorrow"}}), "spec.drain.until"),
            (json!({"pin": {"lines": []}}), "spec.pin.lines"),
        ];
        for (spec, field) in cases {
            let refused = env.post(&format!("{NODES}?dryRun=All"), node("n", spec.clone())).await;
            let refused = refused.refused(422, "Invalid");
            let causes = refused["details"]["causes"].as_array().unwrap();
            assert!(causes.iter().any(|cause| cause["field"] == field), "{spec}: {refused}");
        }
        for missing in ["nodeName", "nodeCode", "nodeAddress"] {
            let mut one = node("n", json!({}));
            one["spec"].as_object_mut().unwrap().remove(missing);
            let refused = env.post(&format!("{NODES}?dryRun=All"), one).await;
            refused.invalid(&format!("spec.{missing}"), "FieldValueRequired");
        }
        let unknown = node("n", json!({"isp": ["CT"]}));
        env.post(&format!("{NODES}?dryRun=All&fieldValidation=Strict"), unknown)
            .await
            .refused(400, "BadRequest");
    })
    .await;
}

#[tokio::test]
async fn a_good_node_gets_its_defaults() {
    conform(|env: Env| async move {
        install_crds(&env.client).await;
        let spec = json!({"isps": ["default", "CT"], "addresses": {"fixed": ["203.0.113.1", "2001:db8::1"]}});
        let made = env.post(&format!("{NODES}?dryRun=All"), node("n", spec)).await.ok();
        let spec = &made["spec"];
        assert_eq!((&spec["workMode"], &spec["networkType"]), (&json!("leader"), &json!("IPV4")));
        assert_eq!(spec["preference"], 50);
        assert_eq!(spec["liveness"]["heartbeatSeconds"], 2);
        assert_eq!(spec["liveness"]["lostAfterMisses"], 3);
    })
    .await;
}

#[tokio::test]
async fn a_bad_service_is_refused_by_its_field_and_a_name_stays_what_it_is() {
    conform(|env: Env| async move {
        install_crds(&env.client).await;
        let all = format!("/apis/cocoasyncer.io/v1alpha1/namespaces/{}/managedservices", env.ns);
        let cases = [
            (json!({"ttl": 0}), "spec.ttl"),
            (json!({"ttl": 86401}), "spec.ttl"),
            (json!({"ttl": "60"}), "spec.ttl"),
            (json!({"domain": "example.com."}), "spec.domain"),
            (json!({"domain": "com"}), "spec.domain"),
            (json!({"record": "www."}), "spec.record"),
            (json!({"record": "a.*"}), "spec.record"),
            (json!({"platformProvider": "Bind"}), "spec.platformProvider"),
            (json!({"deletionPolicy": "Maybe"}), "spec.deletionPolicy"),
            (json!({"nodes": ["a", "a"]}), "spec.nodes"),
        ];
        for (spec, field) in cases {
            let refused = env.post(&all, service("s", spec.clone())).await.refused(422, "Invalid");
            let causes = refused["details"]["causes"].as_array().unwrap();
            assert!(causes.iter().any(|cause| cause["field"] == field), "{spec}: {refused}");
        }
        for (name, record) in [("apex", "@"), ("any", "*"), ("deep", "a.b"), ("wild", "*.a")] {
            let made = env.post(&all, service(name, json!({"record": record}))).await.ok();
            assert_eq!(
                (&made["spec"]["ttl"], &made["spec"]["platformProvider"]),
                (&json!(60), &json!("Local"))
            );
        }
        let path = format!("{all}/apex");
        for (field, value) in [("domain", "example.org"), ("record", "www")] {
            let refused = env.patch(&path, MERGE, json!({"spec": {field: value}})).await;
            let message = refused.invalid(&format!("spec.{field}"), "FieldValueInvalid");
            assert!(message.contains("immutable"), "{message}");
        }
        env.patch(&path, MERGE, json!({"spec": {"ttl": 30}})).await.ok();
        let status = json!({"status": {"fqdn": "example.com", "lines": "default=n1", "conditions": [{
            "type": "Ready", "status": "True", "reason": "InSync", "message": "", "observedGeneration": 2,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}});
        let done = env.patch(&format!("{path}/status"), MERGE, status).await.ok();
        assert_eq!(text(&done["status"]["fqdn"]), "example.com");
    })
    .await;
}
