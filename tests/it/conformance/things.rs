//! The test's own kind: `Thing`, with one field for each rule that a schema can hold.

use serde_json::{Value, json};

use super::{Env, text, until};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

impl Env {
    /// Makes the kind `Thing` in the test's group and gives its collection's path.
    pub async fn things(&self) -> String {
        self.define(self.thing_definition()).await;
        format!("/apis/{}/v1/namespaces/{}/things", self.group, self.ns)
    }

    /// Makes a kind and waits until it is served.
    pub async fn define(&self, definition: Value) -> Value {
        let made = self.post(DEFINITIONS, definition).await.ok();
        let name = text(&made["metadata"]["name"]);
        let made = until("the kind is established", || async {
            let now = self.get(&format!("{DEFINITIONS}/{name}")).await.ok();
            condition(&now, "Established").is_some_and(|one| one["status"] == "True").then_some(now)
        })
        .await;
        for version in made["spec"]["versions"].as_array().unwrap() {
            let path = format!(
                "/apis/{}/{}/{}",
                self.group,
                text(&version["name"]),
                text(&made["spec"]["names"]["plural"])
            );
            if version["served"] == true {
                until("the kind is served", || async { (self.get(&path).await.code == 200).then_some(()) })
                    .await;
            }
        }
        made
    }

    /// The definition of `Thing`.
    pub fn thing_definition(&self) -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("things.{}", self.group)},
            "spec": {
                "group": self.group, "scope": "Namespaced",
                "names": {"plural": "things", "singular": "thing", "kind": "Thing", "shortNames": ["th"],
                    "categories": ["oddments"]},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "subresources": {"status": {}, "scale": {
                        "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.ready",
                        "labelSelectorPath": ".status.selector",
                    }},
                    "selectableFields": [{"jsonPath": ".spec.colour"}],
                    "additionalPrinterColumns": [
                        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                        {"name": "Colour", "type": "string", "jsonPath": ".spec.colour"},
                        {"name": "Words", "type": "string", "jsonPath": ".spec.words", "priority": 1},
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                    "schema": {"openAPIV3Schema": schema()},
                }],
            },
        })
    }

    /// A thing that is not made yet.
    pub fn thing(&self, name: &str, spec: Value) -> Value {
        json!({
            "apiVersion": format!("{}/v1", self.group), "kind": "Thing",
            "metadata": {"name": name}, "spec": spec,
        })
    }

    /// A ConfigMap that is not made yet.
    pub fn map(&self, name: &str, data: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
    }
}

/// A condition by its type.
pub fn condition(object: &Value, kind: &str) -> Option<Value> {
    let all = object["status"]["conditions"].as_array()?;
    all.iter().find(|one| one["type"] == kind).cloned()
}

/// The entry of managedFields for this manager and operation.
pub fn manager(object: &Value, name: &str, operation: &str) -> Option<Value> {
    let all = object["metadata"]["managedFields"].as_array()?;
    all.iter().find(|one| one["manager"] == name && one["operation"] == operation).cloned()
}

fn schema() -> Value {
    json!({
        "description": "A thing of the tests.", "type": "object",
        "properties": {"spec": spec(), "status": status()},
        "x-kubernetes-validations": [
            {"rule": "self.metadata.name != 'forbidden'", "message": "the name is taken by fairies"},
        ],
    })
}

fn spec() -> Value {
    json!({
        "description": "What the thing shall be.", "type": "object", "required": ["size"],
        "properties": {
            "size": {"description": "How large it is, 1 to 100.", "type": "integer", "minimum": 1, "maximum": 100},
            "colour": {"type": "string", "enum": ["red", "green", "blue"], "default": "red"},
            "words": {"type": "string", "maxLength": 10, "pattern": "^[a-z]*$"},
            "when": {"type": "string", "format": "date-time"},
            "note": {"type": "string", "nullable": true},
            "level": {"type": "integer", "default": 3},
            "plain": {"type": "string"},
            "ports": {
                "type": "array", "maxItems": 4, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string", "maxLength": 20}, "port": {"type": "integer"},
                    "protocol": {"type": "string", "default": "TCP"},
                }},
            },
            "tags": {"type": "array", "maxItems": 8, "x-kubernetes-list-type": "set",
                "items": {"type": "string", "maxLength": 20}},
            "list": {"type": "array", "items": {"type": "string"}},
            "fixed": {"type": "string", "maxLength": 20, "x-kubernetes-validations": [
                {"rule": "self == oldSelf", "message": "fixed stays as it was made"},
            ]},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "map": {"type": "object", "maxProperties": 3, "additionalProperties": {"type": "string"}},
            "either": {"x-kubernetes-int-or-string": true},
            "inner": {"type": "object", "properties": {
                "deep": {"type": "string", "default": "down"}, "other": {"type": "string"},
            }},
            "low": {"type": "integer"}, "high": {"type": "integer"},
        },
        "x-kubernetes-validations": [
            {"rule": "!has(self.low) || !has(self.high) || self.low <= self.high",
                "messageExpression": "self.low > 50 ? 'low lies far above high' : 'low lies above high'",
                "fieldPath": ".low"},
            {"rule": "!has(self.words) || self.words != 'secret'", "message": "that word is forbidden",
                "reason": "FieldValueForbidden", "fieldPath": ".words"},
        ],
    })
}

fn status() -> Value {
    json!({
        "type": "object",
        "properties": {
            "phase": {"type": "string"}, "ready": {"type": "integer", "minimum": 0}, "selector": {"type": "string"},
            "conditions": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                "items": {"type": "object", "required": ["type", "status"], "properties": {
                    "type": {"type": "string"}, "status": {"type": "string"}, "reason": {"type": "string"},
                    "message": {"type": "string"}, "lastTransitionTime": {"type": "string", "format": "date-time"},
                    "observedGeneration": {"type": "integer"},
                }},
            },
        },
    })
}
