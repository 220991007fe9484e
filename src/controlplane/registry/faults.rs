//! What is wrong with a CustomResourceDefinition. PURE.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::controlplane::{cause::Cause, names, schema::TypeInfo};

/// Fills what may be left out.
pub fn complete(crd: &mut Value) {
    let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
    let spec = &mut crd["spec"];
    if spec["names"].is_object() {
        if spec["names"]["singular"].as_str().is_none_or(str::is_empty) {
            spec["names"]["singular"] = json!(kind.to_lowercase());
        }
        if spec["names"]["listKind"].as_str().is_none_or(str::is_empty) {
            spec["names"]["listKind"] = json!(format!("{kind}List"));
        }
    }
    if spec.is_object() && spec.get("conversion").is_none_or(Value::is_null) {
        spec["conversion"] = json!({"strategy": "None"});
    }
}

/// Everything that is wrong with `crd`.
pub fn faults(crd: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &crd["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let mut causes = Vec::new();
    for (field, value) in [
        ("spec.group", &group),
        ("spec.names.plural", &plural),
        ("spec.names.kind", &text(&spec["names"]["kind"])),
        ("spec.scope", &text(&spec["scope"])),
    ] {
        if value.is_empty() {
            causes.push(required(field));
        }
    }
    if !causes.is_empty() {
        return causes;
    }
    let name = text(&crd["metadata"]["name"]);
    if name != format!("{plural}.{group}") {
        causes.push(names::invalid("metadata.name", &name, "must be spec.names.plural+\".\"+spec.group"));
    }
    if !matches!(spec["scope"].as_str(), Some("Namespaced" | "Cluster")) {
        causes.push(Cause {
            field: "spec.scope".to_owned(),
            reason: "FieldValueNotSupported",
            message: format!(
                "Unsupported value: {}: supported values: \"Cluster\", \"Namespaced\"",
                spec["scope"]
            ),
        });
    }
    if let Some(why) = names::subdomain(&group) {
        causes.push(names::invalid("spec.group", &group, &why));
    }
    if let Some(why) = names::label_1035(&plural) {
        causes.push(names::invalid("spec.names.plural", &plural, &why));
    }
    if let Some(why) = names::label_1035(&text(&spec["names"]["kind"]).to_lowercase()) {
        causes.push(names::invalid("spec.names.kind", &text(&spec["names"]["kind"]), &why));
    }
    if !matches!(spec["conversion"]["strategy"].as_str(), None | Some("None")) {
        causes.push(Cause {
            field: "spec.conversion.strategy".to_owned(),
            reason: "FieldValueNotSupported",
            message: "Unsupported value: conversion by webhook is not served here, use \"None\"".to_owned(),
        });
    }
    if let Some(old) = old {
        causes.extend(changed(old, crd));
    }
    causes.extend(version_faults(spec));
    causes
}

/// What a definition may not change once it is established.
fn changed(old: &Value, new: &Value) -> Vec<Cause> {
    ["/spec/group", "/spec/scope", "/spec/names/plural", "/spec/names/kind"]
        .into_iter()
        .filter(|path| old.pointer(path) != new.pointer(path))
        .map(|path| Cause {
            field: path[1..].replace('/', "."),
            reason: "FieldValueInvalid",
            message: "Invalid value: field is immutable".to_owned(),
        })
        .collect()
}

fn version_faults(spec: &Value) -> Vec<Cause> {
    let Some(versions) = spec["versions"].as_array().filter(|list| !list.is_empty()) else {
        return vec![required("spec.versions")];
    };
    let mut causes = Vec::new();
    let mut seen = BTreeSet::new();
    for (i, version) in versions.iter().enumerate() {
        let at = format!("spec.versions[{i}]");
        let name = version["name"].as_str().unwrap_or_default();
        if let Some(why) = names::label_1035(name) {
            causes.push(names::invalid(&format!("{at}.name"), name, &why));
        }
        if !seen.insert(name) {
            causes.push(Cause {
                field: format!("{at}.name"),
                reason: "FieldValueDuplicate",
                message: format!("Duplicate value: \"{name}\""),
            });
        }
        let schema = &version["schema"]["openAPIV3Schema"];
        let here = format!("{at}.schema.openAPIV3Schema");
        // Where all versions have one schema, the real server speaks of it as of the whole definition's.
        let at = if versions.len() == 1 { "spec.validation.openAPIV3Schema" } else { here.as_str() };
        if !schema.is_object() {
            causes.push(required(&here));
        } else if let Err(found) = TypeInfo::from_crd(schema) {
            causes.extend(found.into_iter().map(|cause| within(at, cause)));
        }
    }
    if versions.iter().filter(|version| version["storage"] == json!(true)).count() != 1 {
        causes.push(names::invalid(
            "spec.versions",
            "",
            "must have exactly one version marked as storage version",
        ));
    }
    causes
}

fn within(at: &str, cause: Cause) -> Cause {
    let field =
        cause.field.strip_prefix("openAPIV3Schema").map(|rest| rest.trim_start_matches('.').to_owned());
    let cause = Cause { field: field.unwrap_or(cause.field), ..cause };
    let field = match cause.field.as_str() {
        "" => at.to_owned(),
        field if field.starts_with("spec.versions") => field.to_owned(),
        field if field.starts_with('[') => format!("{at}{field}"),
        field => format!("{at}.{field}"),
    };
    Cause { field, ..cause }
}

fn required(field: &str) -> Cause {
    Cause { field: field.to_owned(), reason: "FieldValueRequired", message: "Required value".to_owned() }
}
