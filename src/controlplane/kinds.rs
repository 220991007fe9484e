//! What single built-in kinds ask for beyond the rules of every object. PURE.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    cause::Cause,
    defaults,
    names::invalid,
    registry::{Origin, Resource},
};

/// Bytes that all values of a ConfigMap or Secret may have together.
const MOST_BYTES: usize = 1024 * 1024;

/// Namespaces that are there from the start and cannot be deleted.
pub const STANDING: &[&str] = &["default", "kube-system", "kube-public"];

/// Brings a written object into the form that its kind stores, and says what is wrong with it.
pub fn prepare(resource: &Resource, old: Option<&Value>, new: &mut Value) -> Vec<Cause> {
    if resource.origin == Origin::Custom {
        return Vec::new();
    }
    drop_nulls(new);
    defaults::fill(&resource.group, &resource.plural, new);
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "secrets") => secret(old, new),
        ("", "configmaps") => config_map(old, new),
        ("", "namespaces") => namespace(old, new),
        ("", "events") => core_event(new),
        ("events.k8s.io", "events") if old.is_none() => new_event(new),
        ("coordination.k8s.io", "leases") => lease(new),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            unchangeable(old, new, &["/roleRef"])
        }
        ("apps", "deployments" | "replicasets" | "daemonsets") => workload(old, new, true),
        ("apps", "statefulsets") => workload(old, new, false),
        _ => Vec::new(),
    }
}

/// A typed decoder takes null for absent; stored objects are as it would write them.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn secret(old: Option<&Value>, new: &mut Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(plain) = new.as_object_mut().and_then(|map| map.remove("stringData")) {
        for (key, value) in plain.as_object().into_iter().flatten() {
            match value.as_str() {
                Some(text) => {
                    if !new["data"].is_object() {
                        new["data"] = json!({});
                    }
                    new["data"][key] = json!(STANDARD.encode(text));
                }
                None => causes.push(not_text(&format!("stringData.{key}"))),
            }
        }
    }
    if new["type"].as_str().is_none_or(str::is_empty) {
        new["type"] = json!("Opaque");
    }
    causes.extend(base64_map("data", &new["data"]));
    causes.extend(keys("data", &new["data"]));
    causes.extend(too_large(&[&new["data"]]));
    causes.extend(unchangeable(old, new, &["/type"]));
    causes.extend(sealed(old, new, &["/data"]));
    causes
}

fn config_map(old: Option<&Value>, new: &mut Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    causes.extend(keys("data", &new["data"]));
    causes.extend(keys("binaryData", &new["binaryData"]));
    causes.extend(too_large(&[&new["data"], &new["binaryData"]]));
    causes.extend(base64_map("binaryData", &new["binaryData"]));
    let twice = new["data"].as_object().into_iter().flat_map(serde_json::Map::keys);
    let twice = twice.filter(|key| new["binaryData"].get(key.as_str()).is_some());
    causes.extend(
        twice.map(|key| invalid(&format!("data[{key}]"), key, "duplicate of key present in binaryData")),
    );
    causes.extend(sealed(old, new, &["/data", "/binaryData"]));
    causes
}

/// An event lies where what it is about lies; about something without a namespace, in `default`.
fn core_event(new: &Value) -> Vec<Cause> {
    let about = new["involvedObject"]["namespace"].as_str().unwrap_or_default();
    let lies = new["metadata"]["namespace"].as_str().unwrap_or_default();
    if about == lies || (about.is_empty() && lies == "default") {
        return Vec::new();
    }
    vec![invalid("involvedObject.namespace", about, "does not match event.namespace")]
}

fn new_event(new: &Value) -> Vec<Cause> {
    let fields = ["reportingController", "reportingInstance", "action", "reason"];
    let missing = fields.iter().filter(|field| new[**field].as_str().is_none_or(str::is_empty));
    let mut causes: Vec<Cause> = missing.map(|field| Cause::required(*field, "")).collect();
    if new["eventTime"].is_null() {
        causes.push(Cause::required("eventTime", ""));
    }
    causes
}

fn lease(new: &Value) -> Vec<Cause> {
    let field = "leaseDurationSeconds";
    let seconds = &new["spec"][field];
    match seconds.as_i64() {
        Some(..=0) => vec![Cause::invalid(format!("spec.{field}"), seconds, "must be greater than 0")],
        _ => Vec::new(),
    }
}

fn namespace(old: Option<&Value>, new: &mut Value) -> Vec<Cause> {
    let name = new["metadata"]["name"].clone();
    if !new["metadata"]["labels"].is_object() {
        new["metadata"]["labels"] = json!({});
    }
    new["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    if old.is_none() {
        new["spec"] = json!({"finalizers": ["kubernetes"]});
        new["status"] = json!({"phase": "Active"});
    } else if let Some(old) = old {
        // Only /finalize changes them, and it does not come through here.
        new["spec"] = old["spec"].clone();
    }
    Vec::new()
}

/// The selector is part of the identity of a workload; it must choose the pods of its own template.
fn workload(old: Option<&Value>, new: &Value, require_match: bool) -> Vec<Cause> {
    let mut causes = unchangeable(old, new, &["/spec/selector"]);
    let selector = &new["spec"]["selector"];
    if selector.is_null() {
        causes.push(Cause {
            field: "spec.selector".to_owned(),
            reason: "FieldValueRequired",
            message: "Required value".to_owned(),
        });
        return causes;
    }
    let labels = &new["spec"]["template"]["metadata"]["labels"];
    let wanted = selector["matchLabels"].as_object();
    if require_match && wanted.is_some_and(|wanted| wanted.iter().any(|(key, value)| labels[key] != *value)) {
        causes.push(Cause {
            field: "spec.template.metadata.labels".to_owned(),
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {labels}: `selector` does not match template `labels`"),
        });
    }
    causes
}

fn unchangeable(old: Option<&Value>, new: &Value, paths: &[&str]) -> Vec<Cause> {
    let Some(old) = old else { return Vec::new() };
    let changed = paths.iter().filter(|path| old.pointer(path) != new.pointer(path));
    changed
        .map(|path| Cause {
            field: path[1..].replace('/', "."),
            reason: "FieldValueInvalid",
            // Never the value: it may be a secret.
            message: "Invalid value: field is immutable".to_owned(),
        })
        .collect()
}

/// What an object that calls itself immutable may no longer change.
fn sealed(old: Option<&Value>, new: &Value, paths: &[&str]) -> Vec<Cause> {
    if old.is_none_or(|old| old["immutable"] != json!(true)) {
        return Vec::new();
    }
    let all: Vec<&str> = paths.iter().copied().chain(["/immutable"]).collect();
    unchangeable(old, new, &all)
        .into_iter()
        .map(|cause| Cause {
            reason: "FieldValueForbidden",
            message: "Forbidden: field is immutable when `immutable` is set".to_owned(),
            ..cause
        })
        .collect()
}

fn base64_map(field: &str, map: &Value) -> Vec<Cause> {
    let bad = map
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.as_str().is_none_or(|text| STANDARD.decode(text).is_err()));
    bad.map(|(key, _)| Cause {
        field: format!("{field}.{key}"),
        // To a typed reader it is of the wrong type.
        reason: "FieldValueTypeInvalid",
        // The value may be a secret that somebody forgot to encode.
        message: "Invalid value: must be base64".to_owned(),
    })
    .collect()
}

/// Neither is a place for files.
fn too_large(maps: &[&Value]) -> Option<Cause> {
    let values = maps.iter().filter_map(|map| map.as_object()).flat_map(serde_json::Map::values);
    let size: usize = values.filter_map(Value::as_str).map(str::len).sum();
    (MOST_BYTES < size).then(|| Cause::too_long("", MOST_BYTES as u64))
}

fn keys(field: &str, map: &Value) -> Vec<Cause> {
    let fits = |key: &str| {
        !key.is_empty()
            && key.len() <= 253
            && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && !matches!(key, "." | "..")
    };
    let bad = map.as_object().into_iter().flatten().filter(|(key, _)| !fits(key));
    bad.map(|(key, _)| {
        let why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        invalid(&format!("{field}[{key}]"), key, why)
    })
    .collect()
}

fn not_text(field: &str) -> Cause {
    Cause {
        field: field.to_owned(),
        reason: "FieldValueTypeInvalid",
        message: "Invalid type: must be a string".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controlplane::registry::Registry;

    fn prepared(plural: &str, old: Option<&Value>, mut new: Value) -> (Value, Vec<Cause>) {
        let resource = Registry::new().served().find("", "v1", plural).unwrap();
        let causes = prepare(&resource, old, &mut new);
        (new, causes)
    }

    #[test]
    fn plain_secret_text_is_encoded_and_never_stored_plain() {
        let (secret, causes) =
            prepared("secrets", None, json!({"data": {"a": "eA=="}, "stringData": {"b": "y"}}));
        assert!(causes.is_empty());
        assert_eq!(secret, json!({"data": {"a": "eA==", "b": "eQ=="}, "type": "Opaque"}));
    }

    #[test]
    fn a_refused_secret_is_not_quoted() {
        let (_, causes) = prepared("secrets", None, json!({"data": {"k": "hunter2!"}}));
        assert_eq!(causes[0].field, "data.k");
        assert!(!format!("{causes:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_sealed_stays() {
        let old = json!({"data": {"a": "b"}, "immutable": true});
        let (_, causes) = prepared("configmaps", Some(&old), json!({"data": {"a": "c"}, "immutable": true}));
        assert_eq!(causes[0].reason, "FieldValueForbidden");
        let (_, causes) = prepared("configmaps", Some(&old), old.clone());
        assert!(causes.is_empty());
    }

    #[test]
    fn a_new_namespace_is_active_and_held() {
        let (namespace, _) = prepared("namespaces", None, json!({"metadata": {"name": "a"}, "status": null}));
        assert_eq!(namespace["status"]["phase"], "Active");
        assert_eq!(namespace["spec"]["finalizers"][0], "kubernetes");
        assert_eq!(namespace["metadata"]["labels"]["kubernetes.io/metadata.name"], "a");
    }
}
