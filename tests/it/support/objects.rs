//! Objects as they stand in manifests, for tests that write them from outside.

use serde_json::{Value, json};

/// A ManagedService `record.example.com` in `default`.
pub fn service(record: &str) -> Value {
    json!({
        "apiVersion": "cocoasyncer.io/v1alpha1", "kind": "ManagedService",
        "metadata": {"name": record, "namespace": "default"},
        "spec": {"serviceName": record, "domain": "example.com", "record": record},
    })
}

/// A CocoaNode at `address` with the secret that lies in the Secret of its name.
pub fn node(name: &str, lines: &[&str], at: &str, public: Option<&str>) -> Value {
    let mut spec = json!({
        "nodeName": name, "nodeCode": name, "nodeAddress": at, "workMode": "follower", "isps": lines,
        "secretRef": {"name": name},
        "liveness": {"heartbeatSeconds": 1, "holdDownSeconds": 1, "backAfterBeats": 2},
    });
    if let Some(public) = public {
        spec["addresses"] = json!({"fixed": [public]});
    }
    json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "CocoaNode", "metadata": {"name": name}, "spec": spec})
}

/// The Secret of a node.
pub fn node_secret(name: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "cocoasyncer-system"},
        "stringData": {"cocoaSecret": secret},
    })
}
