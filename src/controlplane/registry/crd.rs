//! CustomResourceDefinitions: what is wrong with one, what its status says, and which resources it makes. PURE.

use std::{collections::BTreeSet, sync::OnceLock};

use serde_json::{Value, json};

use super::{Column, Origin, Resource, Scale, Served};
use crate::controlplane::{
    cause::Cause,
    names::{self, NameRule},
    schema::TypeInfo,
};

/// The finalizer that keeps a definition until its objects are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

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
        let at = format!("{at}.schema.openAPIV3Schema");
        if !schema.is_object() {
            causes.push(required(&at));
        } else if let Err(found) = TypeInfo::from_crd(schema) {
            causes.extend(found.into_iter().map(|cause| within(&at, cause)));
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

/// Writes the status that says whether the kind is served.
pub fn set_status(crd: &mut Value, served: &Served, now: &str) {
    let taken = conflict(crd, served);
    let accepted = taken.is_none();
    let names = crd["spec"]["names"].clone();
    let storage = storage_version(crd);
    let status = &mut crd["status"];
    if !status.is_object() {
        *status = json!({});
    }
    if accepted {
        status["acceptedNames"] = names;
    } else if !status["acceptedNames"].is_object() {
        status["acceptedNames"] = json!({"kind": "", "plural": ""});
    }
    let mut stored: Vec<Value> = status["storedVersions"].as_array().cloned().unwrap_or_default();
    if !stored.iter().any(|one| one.as_str() == Some(&storage)) {
        stored.push(json!(storage));
    }
    status["storedVersions"] = Value::Array(stored);
    let (reason, message) = match &taken {
        None => ("NoConflicts", "no conflicts found".to_owned()),
        Some(why) => ("Conflict", why.clone()),
    };
    set_condition(status, "NamesAccepted", accepted, reason, &message, now);
    if accepted {
        set_condition(
            status,
            "Established",
            true,
            "InitialNamesAccepted",
            "the initial names have been accepted",
            now,
        );
    } else if !established(crd) {
        set_condition(
            &mut crd["status"],
            "Established",
            false,
            "NotAccepted",
            "not all names are accepted",
            now,
        );
    }
}

/// Sets a condition; its transition time moves only when its status does.
pub fn set_condition(status: &mut Value, kind: &str, value: bool, reason: &str, message: &str, now: &str) {
    let value = if value { "True" } else { "False" };
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(list) = status["conditions"].as_array_mut() else { return };
    let fresh = |since: &Value| json!({"type": kind, "status": value, "reason": reason, "message": message, "lastTransitionTime": since});
    match list.iter_mut().find(|one| one["type"] == kind) {
        Some(found) => {
            let since =
                if found["status"] == value { found["lastTransitionTime"].clone() } else { json!(now) };
            *found = fresh(&since);
        }
        None => list.push(fresh(&json!(now))),
    }
}

/// Whether its resources are served.
pub fn established(crd: &Value) -> bool {
    let list = crd["status"]["conditions"].as_array();
    list.is_some_and(|list| list.iter().any(|one| one["type"] == "Established" && one["status"] == "True"))
}

/// Who else has one of its names.
fn conflict(crd: &Value, served: &Served) -> Option<String> {
    let spec = &crd["spec"];
    let group = spec["group"].as_str()?;
    let plural = spec["names"]["plural"].as_str()?;
    let kinds = [spec["names"]["kind"].as_str(), spec["names"]["listKind"].as_str()];
    let mut words: Vec<&str> = vec![plural];
    words.extend(spec["names"]["singular"].as_str());
    words.extend(spec["names"]["shortNames"].as_array().into_iter().flatten().filter_map(Value::as_str));
    served
        .all()
        .filter(|one| one.group == group && !(one.origin == Origin::Custom && one.plural == plural))
        .find_map(|one| {
            let kind = kinds.iter().flatten().find(|kind| one.kind == **kind || one.list_kind == **kind);
            let word = words.iter().find(|word| {
                one.plural == **word
                    || one.singular == **word
                    || one.short_names.iter().any(|short| short == *word)
            });
            kind.or(word).map(|taken| format!("\"{taken}\" is already in use by {}", one.full_name()))
        })
}

/// The apiVersion that its objects are stored in.
fn storage_version(crd: &Value) -> String {
    let versions = crd["spec"]["versions"].as_array();
    let found = versions.and_then(|list| list.iter().find(|version| version["storage"] == json!(true)));
    found.and_then(|version| version["name"].as_str()).unwrap_or_default().to_owned()
}

/// The resources that an established definition makes, one a served version.
pub fn resources(crd: &Value) -> Vec<Resource> {
    if !established(crd) {
        return Vec::new();
    }
    let versions = crd["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    versions
        .iter()
        .filter(|version| version["served"] != json!(false))
        .filter_map(|version| resource(crd, version, 1 < versions.len()))
        .collect()
}

fn resource(crd: &Value, version: &Value, shared: bool) -> Option<Resource> {
    let spec = &crd["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let subresources = &version["subresources"];
    let scale = &subresources["scale"];
    // A definition in the store was judged when it was written.
    let info = TypeInfo::from_crd(&version["schema"]["openAPIV3Schema"]).ok()?;
    Some(Resource {
        prefix: format!("{group}/{plural}/"),
        storage_version: format!("{group}/{}", storage_version(crd)),
        group,
        version: text(&version["name"]),
        kind: text(&spec["names"]["kind"]),
        list_kind: text(&spec["names"]["listKind"]),
        plural,
        singular: text(&spec["names"]["singular"]),
        short_names: list(&spec["names"]["shortNames"]),
        categories: list(&spec["names"]["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        status: subresources["status"].is_object(),
        scale: scale.is_object().then(|| Scale {
            wanted: text(&scale["specReplicasPath"]),
            present: text(&scale["statusReplicasPath"]),
            selector: scale["labelSelectorPath"].as_str().map(str::to_owned),
        }),
        generation: true,
        unconditional_update: false,
        name_rule: NameRule::Subdomain,
        columns: columns(&version["additionalPrinterColumns"]),
        fields: version["selectableFields"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|field| field["jsonPath"].as_str())
            .map(|path| path.trim_start_matches('.').to_owned())
            .collect(),
        origin: Origin::Custom,
        shared,
        info: OnceLock::from(info),
    })
}

fn columns(wanted: &Value) -> Vec<Column> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let column = |name: &str, kind: &str, format: &str, path: &str| Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
        format: format.to_owned(),
        description: String::new(),
        priority: 0,
        path: path.to_owned(),
    };
    let mut columns = vec![column("Name", "string", "name", ".metadata.name")];
    match wanted.as_array().filter(|list| !list.is_empty()) {
        None => columns.push(column("Age", "date", "", ".metadata.creationTimestamp")),
        Some(list) => columns.extend(list.iter().map(|one| Column {
            name: text(&one["name"]),
            kind: text(&one["type"]),
            format: text(&one["format"]),
            description: text(&one["description"]),
            priority: one["priority"].as_i64().unwrap_or(0),
            path: text(&one["jsonPath"]),
        })),
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widget() -> Value {
        json!({
            "metadata": {"name": "widgets.example.org"},
            "spec": {
                "group": "example.org", "scope": "Namespaced",
                "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
                "versions": [{
                    "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }],
            },
        })
    }

    #[test]
    fn a_sound_definition_is_established_and_served() {
        let mut crd = widget();
        complete(&mut crd);
        assert!(faults(&crd, None).is_empty());
        set_status(&mut crd, &Served::default(), "2024-01-01T00:00:00Z");
        let made = resources(&crd);
        assert_eq!(made.len(), 1);
        assert_eq!((made[0].singular.as_str(), made[0].list_kind.as_str()), ("widget", "WidgetList"));
        assert!(made[0].status && made[0].namespaced);
        assert_eq!(crd["status"]["storedVersions"], json!(["v1"]));
    }

    #[test]
    fn every_fault_is_named() {
        for (path, value, field) in [
            ("/metadata/name", json!("x"), "metadata.name"),
            ("/spec/scope", json!("Global"), "spec.scope"),
            ("/spec/versions/0/storage", json!(false), "spec.versions"),
            ("/spec/versions", json!([]), "spec.versions"),
            ("/spec/versions/0/schema", json!({}), "spec.versions[0].schema.openAPIV3Schema"),
            ("/spec/versions/0/name", json!("V1"), "spec.versions[0].name"),
            ("/spec/group", json!(""), "spec.group"),
        ] {
            let mut crd = widget();
            complete(&mut crd);
            *crd.pointer_mut(path).unwrap() = value;
            let found = faults(&crd, None);
            assert_eq!(found.first().map(|cause| cause.field.as_str()), Some(field), "{path}: {found:?}");
        }
        let mut other = widget();
        other["spec"]["scope"] = json!("Cluster");
        assert_eq!(faults(&other, Some(&widget()))[0].field, "spec.scope");
    }

    #[test]
    fn a_name_that_is_taken_is_not_served() {
        let mut crd = widget();
        complete(&mut crd);
        crd["spec"]["group"] = json!("apps");
        crd["spec"]["names"]["shortNames"] = json!(["deploy"]);
        let registry = super::super::Registry::new();
        set_status(&mut crd, &registry.served(), "2024-01-01T00:00:00Z");
        assert!(!established(&crd));
        assert_eq!(crd["status"]["conditions"][0]["reason"], "Conflict");
    }
}
