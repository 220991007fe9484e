//! Rules of the built-in kinds.

use serde_json::{Value, json};

use super::*;

#[test]
fn every_built_in_has_a_shape() {
    let table = [
        (
            "",
            "Namespace Secret ConfigMap Event ServiceAccount Service Pod PersistentVolumeClaim PersistentVolume Node Endpoints",
        ),
        ("events.k8s.io", "Event"),
        ("coordination.k8s.io", "Lease"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("apps", "Deployment ReplicaSet StatefulSet DaemonSet"),
        ("batch", "Job CronJob"),
        ("networking.k8s.io", "Ingress IngressClass NetworkPolicy"),
        ("rbac.authorization.k8s.io", "Role RoleBinding ClusterRole ClusterRoleBinding"),
        ("policy", "PodDisruptionBudget"),
        ("storage.k8s.io", "StorageClass"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding",
        ),
    ];
    for (group, kinds) in table {
        for kind in kinds.split(' ') {
            let info = TypeInfo::builtin(group, "v1", kind);
            let mut given =
                json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": "a" }, "nobody": 1 });
            assert_eq!(info.prune(&mut given), ["nobody"], "{kind}");
            assert!(info.openapi().is_object());
        }
    }
}

#[test]
fn a_built_in_knows_its_nested_fields_and_forgives_null() {
    let info = TypeInfo::builtin("apps", "v1", "Deployment");
    let mut given = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a", "creationTimestamp": null },
        "spec": {
            "selector": { "matchLabels": { "a": "b" } }, "strategy": {}, "replicas": null,
            "template": { "metadata": { "creationTimestamp": null, "labels": { "a": "b" } }, "spec": {
                "containers": [{ "name": "c", "image": "i", "colour": "red", "resources": { "limits": { "cpu": 1, "memory": "1Gi" } },
                    "ports": [{ "containerPort": 80 }] }] } },
        },
        "status": {},
    });
    assert_eq!(info.prune(&mut given), ["spec.template.spec.containers[0].colour"]);
    info.default(&mut given);
    assert!(given["spec"].get("replicas").is_none());
    assert_eq!(given["spec"]["template"]["spec"]["containers"][0]["ports"][0]["protocol"], "TCP");
    assert_eq!(info.validate(&given, None), []);
    given["spec"]["replicas"] = json!("two");
    given["spec"].as_object_mut().unwrap().remove("selector");
    let at: Vec<_> = info.validate(&given, None).into_iter().map(|cause| cause.field).collect();
    assert_eq!(at, ["spec.selector", "spec.replicas"]);
}

#[test]
fn a_secret_must_be_base64_and_an_unknown_kind_keeps_everything() {
    let info = TypeInfo::builtin("", "v1", "Secret");
    let given = json!({ "metadata": { "name": "a" }, "data": { "k": "not base64!" } });
    let causes = info.validate(&given, None);
    assert_eq!(causes.len(), 1);
    assert!(!causes[0].message.contains("not base64!"), "what may be a secret is not repeated");
    let info = TypeInfo::builtin("", "v1", "Teapot");
    let mut given = json!({ "metadata": { "name": "a" }, "anything": { "goes": null } });
    assert_eq!(info.prune(&mut given), Vec::<String>::new());
    info.default(&mut given);
    assert_eq!(given["anything"]["goes"], Value::Null);
}

#[test]
fn a_definition_of_a_custom_kind_survives_the_built_in_shape() {
    let info = TypeInfo::builtin("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let given = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "things.example.com" },
        "spec": { "group": "example.com", "scope": "Namespaced", "names": { "kind": "Thing", "plural": "things" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "properties": { "spec": { "type": "object", "nullable": true,
                    "properties": { "a": { "type": "string", "default": "x", "enum": ["x", null] },
                        "m": { "type": "object", "additionalProperties": { "type": "string" } },
                        "l": { "type": "array", "items": { "type": "object", "properties": { "z": { "type": "integer", "minimum": 0.0 } } } } },
                    "x-kubernetes-validations": [{ "rule": "true" }] } } } } }] },
    });
    let mut pruned = given.clone();
    assert_eq!(info.prune(&mut pruned), Vec::<String>::new());
    info.default(&mut pruned);
    assert_eq!(pruned, given);
    assert_eq!(info.validate(&given, None), []);
}
