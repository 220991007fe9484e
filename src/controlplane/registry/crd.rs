//! CustomResourceDefinitions: what their status says, and which resources they make. PURE.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::{Column, Origin, Resource, Scale, Served};
use crate::controlplane::{names::NameRule, schema::TypeInfo};

/// The finalizer that keeps a definition until its objects are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

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
    let deprecated = (version["deprecated"] == json!(true)).then(|| match &version["deprecationWarning"] {
        Value::String(words) => words.clone(),
        _ => format!("{group}/{} {} is deprecated", text(&version["name"]), text(&spec["names"]["kind"])),
    });
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
        since: crd["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0),
        deprecated,
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
    use super::{
        super::faults::{complete, faults},
        *,
    };

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
