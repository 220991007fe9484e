//! The level `restricted` of the Pod Security Standards, over the pods that the chart makes. The checker is tested first:
//! a cluster that enforces the level would say the same.

use serde_json::{Value, json};

use crate::pod_security::unrestricted;
use crate::world::installed;

/// A pod as hardened as the level asks for.
fn hardened() -> Value {
    json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "main", "image": "x",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "key", "secret": {"secretName": "key"}}],
    })
}

#[test]
fn the_checker_names_what_the_standard_forbids_and_nothing_else() {
    assert_eq!(unrestricted(&hardened()), [""; 0]);
    let bad: [(&str, Value, &str); 14] = [
        ("/hostNetwork", json!(true), "hostNetwork is true"),
        ("/securityContext/runAsNonRoot", json!(false), "\"main\": runAsNonRoot is not true"),
        ("/securityContext/runAsUser", json!(0), "\"main\": runAsUser is 0"),
        ("/securityContext/seccompProfile", json!(null), "\"main\": seccompProfile is null"),
        ("/securityContext/seLinuxOptions", json!({"type": "spc_t"}), "the pod: seLinuxOptions"),
        ("/securityContext/sysctls", json!([{"name": "kernel.msgmax", "value": "1"}]), "sysctl"),
        ("/volumes/0", json!({"name": "a", "nfs": {}}), "volume \"a\" is of the kind nfs"),
        ("/volumes/1", json!({"name": "a", "hostPath": {"path": "/"}}), "volume \"a\" is a hostPath"),
        ("/containers/0/securityContext/allowPrivilegeEscalation", json!(null), "allowPrivilegeEscalation"),
        ("/containers/0/securityContext/capabilities/drop", json!(["NET_RAW"]), "capabilities.drop"),
        ("/containers/0/securityContext/capabilities/add", json!(["SYS_ADMIN"]), "capabilities.add"),
        ("/containers/0/securityContext/privileged", json!(true), "privileged"),
        ("/containers/0/securityContext/procMount", json!("Unmasked"), "procMount"),
        ("/containers/0/ports", json!([{"containerPort": 80, "hostPort": 80}]), "hostPort 80"),
    ];
    for (path, value, words) in bad {
        let mut pod = hardened();
        let (parent, key) = path.rsplit_once('/').unwrap();
        match pod.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
            parent => parent[key] = value,
        }
        let found = unrestricted(&pod);
        assert!(found.iter().any(|one| one.contains(words)), "{path}: {found:?}");
    }
    // A container's word goes before its pod's.
    let mut pod = hardened();
    pod["containers"][0]["securityContext"]["runAsNonRoot"] = json!(false);
    assert_eq!(unrestricted(&pod).len(), 1);
}

#[test]
fn the_charts_pods_pass_the_level_that_its_namespace_enforces() {
    let all = installed();
    let enforced = |object: &&Value| {
        object["kind"] == "Namespace"
            && object["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    };
    assert_eq!(all.iter().filter(enforced).count(), 1);
    let pods: Vec<&Value> =
        all.iter().filter(|object| object["spec"]["template"]["spec"].is_object()).collect();
    assert!(!pods.is_empty());
    for object in pods {
        let found = unrestricted(&object["spec"]["template"]["spec"]);
        assert_eq!(found, [""; 0], "{}", object["metadata"]["name"]);
    }
}
