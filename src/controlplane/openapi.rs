//! The OpenAPI v3 document of one group-version: what `kubectl explain` reads, and where kubectl looks
//! whether `dryRun` and `fieldValidation` are understood.
//!
//! PURE. Made from the shapes on demand; whoever serves it decides whether to keep it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::schema::TypeInfo;

/// One kind that is served.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// Its group; empty for the core group.
    pub group: &'a str,
    /// Its version: `v1`.
    pub version: &'a str,
    /// Its kind: `Secret`.
    pub kind: &'a str,
    /// Its name in paths: `secrets`.
    pub plural: &'a str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether `/status` is served.
    pub has_status: bool,
    /// Its shape.
    pub info: &'a TypeInfo,
}

/// The document of one group-version; kinds of other group-versions in `kinds` are left out.
pub fn document(group: &str, version: &str, kinds: &[Served]) -> Value {
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    let mut paths = Map::new();
    for served in kinds.iter().filter(|served| served.group == group && served.version == version) {
        let name = describe(served, &mut schemas);
        routes(served, &name, &mut paths);
    }
    schemas
        .insert(STATUS.to_owned(), plain("Status", "The outcome of a call that does not return the object."));
    schemas.insert(DELETE_OPTIONS.to_owned(), plain("DeleteOptions", "How an object is deleted."));
    schemas.insert(
        PATCH.to_owned(),
        json!({ "type": "object", "description": "A patch, by its content type." }),
    );
    schemas.values_mut().for_each(wrap_references);
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": "v1.36.0" },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// Adds the kind and its list; returns the name of the kind's schema.
fn describe(served: &Served, schemas: &mut BTreeMap<String, Value>) -> String {
    let (root, definitions) = served.info.describe();
    let named = root.get("$ref").and_then(Value::as_str).and_then(|text| text.rsplit('/').next());
    let builtin = named.is_some();
    let name = named.map_or_else(|| schema_name(served), str::to_owned);
    schemas.extend(definitions);
    if !builtin {
        schemas.insert(name.clone(), root);
    }
    let kind = gvk(served, served.kind);
    if let Some(schema) = schemas.get_mut(&name).and_then(Value::as_object_mut) {
        schema.insert("x-kubernetes-group-version-kind".to_owned(), json!([kind]));
    }
    let list = json!({
        "description": format!("A list of {}.", served.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": reference(LIST_META),
            "items": { "type": "array", "items": reference(&name) },
        },
        "x-kubernetes-group-version-kind": [gvk(served, &format!("{}List", served.kind))],
    });
    schemas.insert(format!("{name}List"), list);
    let fields = ["resourceVersion", "continue"].map(|field| (field.to_owned(), json!({ "type": "string" })));
    schemas.insert(LIST_META.to_owned(), json!({ "type": "object", "properties": Map::from_iter(fields) }));
    name
}

/// `dns.example.com/v1 Record` is `com.example.dns.v1.Record`, as the real server names custom kinds.
fn schema_name(served: &Served) -> String {
    let mut parts: Vec<&str> = served.group.split('.').filter(|part| !part.is_empty()).rev().collect();
    parts.extend([served.version, served.kind]);
    parts.join(".")
}

fn routes(served: &Served, name: &str, paths: &mut Map<String, Value>) {
    let base = match served.group {
        "" => format!("/api/{}", served.version),
        group => format!("/apis/{group}/{}", served.version),
    };
    let plural = served.plural;
    let (collection, mut scope) = match served.namespaced {
        true => (format!("{base}/namespaces/{{namespace}}/{plural}"), vec![in_path("namespace")]),
        false => (format!("{base}/{plural}"), Vec::new()),
    };
    let list = format!("{name}List");
    if served.namespaced {
        let all = json!({ "get": read(served, "list", &list, &LIST), "parameters": [] });
        paths.insert(format!("{base}/{plural}"), all);
    }
    let many = json!({
        "get": read(served, "list", &list, &LIST),
        "post": write(served, "post", name, &WRITE),
        "delete": delete(served, "deletecollection"),
        "parameters": scope,
    });
    paths.insert(collection.clone(), many);
    scope.push(in_path("name"));
    let mut one = item(served, name, &scope);
    one["delete"] = delete(served, "delete");
    paths.insert(format!("{collection}/{{name}}"), one);
    if served.has_status {
        paths.insert(format!("{collection}/{{name}}/status"), item(served, name, &scope));
    }
}

fn item(served: &Served, name: &str, scope: &[Value]) -> Value {
    json!({
        "get": read(served, "get", name, &[]),
        "put": write(served, "put", name, &WRITE),
        "patch": patch(served, name),
        "parameters": scope,
    })
}

/// Query parameters: name, type, meaning.
type Parameter = (&'static str, &'static str, &'static str);

const DRY_RUN: Parameter = ("dryRun", "string", "`All`: judge and answer, but store nothing.");
const MANAGER: Parameter = ("fieldManager", "string", "Name of the actor that owns the fields it writes.");
const VALIDATION: Parameter =
    ("fieldValidation", "string", "What unknown and duplicate fields lead to: `Ignore`, `Warn` or `Strict`.");
const FORCE: Parameter = ("force", "boolean", "Take over fields that others own; only for apply.");
const WRITE: [Parameter; 3] = [DRY_RUN, MANAGER, VALIDATION];
const LIST: [Parameter; 8] = [
    ("allowWatchBookmarks", "boolean", "Send bookmarks while watching."),
    ("continue", "string", "Where the page before this one ended."),
    ("fieldSelector", "string", "Only objects whose fields match."),
    ("labelSelector", "string", "Only objects whose labels match."),
    ("limit", "integer", "Most objects on one page."),
    ("resourceVersion", "string", "The state to answer from."),
    ("timeoutSeconds", "integer", "How long a watch lasts."),
    ("watch", "boolean", "Stream changes instead of answering with a list."),
];

fn read(served: &Served, action: &str, schema: &str, query: &[Parameter]) -> Value {
    operation(served, action, query, json!({ "200": answer(schema) }))
}

fn write(served: &Served, action: &str, name: &str, query: &[Parameter]) -> Value {
    let mut operation = operation(served, action, query, json!({ "200": answer(name), "201": answer(name) }));
    operation["requestBody"] =
        json!({ "required": true, "content": { "*/*": { "schema": reference(name) } } });
    operation
}

fn patch(served: &Served, name: &str) -> Value {
    let query = [DRY_RUN, MANAGER, VALIDATION, FORCE];
    let mut operation =
        operation(served, "patch", &query, json!({ "200": answer(name), "201": answer(name) }));
    let mut types =
        vec!["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
    if served.info.is_builtin() {
        // kubectl builds a strategic merge patch exactly when this is offered.
        types.push("application/strategic-merge-patch+json");
    }
    let content: Map<String, Value> =
        types.into_iter().map(|kind| (kind.to_owned(), json!({ "schema": reference(PATCH) }))).collect();
    operation["requestBody"] = json!({ "required": true, "content": content });
    operation
}

fn delete(served: &Served, action: &str) -> Value {
    let query: &[Parameter] =
        &[DRY_RUN, ("propagationPolicy", "string", "`Orphan`, `Background` or `Foreground`.")];
    let mut operation = operation(served, action, query, json!({ "200": answer(STATUS) }));
    operation["requestBody"] = json!({ "content": { "*/*": { "schema": reference(DELETE_OPTIONS) } } });
    operation
}

fn operation(served: &Served, action: &str, query: &[Parameter], responses: Value) -> Value {
    let parameters: Vec<Value> = query
        .iter()
        .map(|(name, kind, meaning)| {
            json!({ "name": name, "in": "query", "description": meaning, "schema": { "type": kind, "uniqueItems": true } })
        })
        .collect();
    json!({
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk(served, served.kind),
        "parameters": parameters,
        "responses": responses,
    })
}

fn in_path(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

fn answer(schema: &str) -> Value {
    json!({ "description": "OK", "content": { "application/json": { "schema": reference(schema) } } })
}

fn gvk(served: &Served, kind: &str) -> Value {
    json!({ "group": served.group, "version": served.version, "kind": kind })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn plain(kind: &str, prose: &str) -> Value {
    json!({
        "type": "object",
        "description": prose,
        "x-kubernetes-group-version-kind": [{ "group": "", "version": "v1", "kind": kind }],
    })
}

/// OpenAPI 3.0 ignores what stands beside `$ref`; readers find the prose only when the reference is wrapped.
fn wrap_references(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let (true, Some(Value::String(_))) = (1 < map.len(), map.get("$ref"))
                && let Some(reference) = map.remove("$ref")
            {
                map.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
            }
            map.values_mut().for_each(wrap_references);
        }
        Value::Array(items) => items.iter_mut().for_each(wrap_references),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom() -> TypeInfo {
        let schema = json!({
            "type": "object",
            "properties": {
                "spec": { "type": "object", "description": "What is wanted.", "properties": { "x": { "type": "string" } } },
            },
        });
        TypeInfo::from_crd(&schema).unwrap()
    }

    fn served<'a>(group: &'a str, kind: &'a str, plural: &'a str, info: &'a TypeInfo) -> Served<'a> {
        Served { group, version: "v1", kind, plural, namespaced: true, has_status: true, info }
    }

    #[test]
    fn explain_finds_the_kind_by_its_path_and_the_schema_by_its_kind() {
        let info = custom();
        let doc = document("dns.example.com", "v1", &[served("dns.example.com", "Record", "records", &info)]);
        let path = "/apis/dns.example.com/v1/namespaces/{namespace}/records";
        let kind = &doc["paths"][path]["get"]["x-kubernetes-group-version-kind"];
        assert_eq!(kind["kind"], "Record");
        let schema = &doc["components"]["schemas"]["com.example.dns.v1.Record"];
        assert_eq!(schema["x-kubernetes-group-version-kind"][0], *kind);
        assert_eq!(schema["properties"]["spec"]["description"], "What is wanted.");
        let meta = &schema["properties"]["metadata"]["allOf"][0]["$ref"];
        let name = meta.as_str().unwrap().rsplit('/').next().unwrap();
        assert!(doc["components"]["schemas"][name]["properties"]["labels"].is_object());
    }

    #[test]
    fn kubectl_finds_the_parameters_it_asks_for_on_patch() {
        let info = custom();
        let doc = document("dns.example.com", "v1", &[served("dns.example.com", "Record", "records", &info)]);
        for path in ["records/{name}", "records/{name}/status"] {
            let patch =
                &doc["paths"][format!("/apis/dns.example.com/v1/namespaces/{{namespace}}/{path}")]["patch"];
            let names: Vec<_> =
                patch["parameters"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
            for name in ["dryRun", "fieldManager", "fieldValidation", "force"] {
                assert!(names.contains(&json!(name)), "{path} lacks {name}");
            }
            assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_null());
        }
    }

    #[test]
    fn every_reference_of_every_built_in_leads_somewhere() {
        let table =
            [("", "Pod", "pods"), ("apps", "Deployment", "deployments"), ("batch", "CronJob", "cronjobs")];
        for (group, kind, plural) in table {
            let info = TypeInfo::builtin(group, "v1", kind);
            let doc = document(group, "v1", &[served(group, kind, plural, &info)]);
            let mut references = Vec::new();
            collect(&doc, &mut references);
            assert!(!references.is_empty());
            for name in references {
                assert!(doc["components"]["schemas"][&name].is_object(), "{kind}: {name}");
            }
        }
    }

    #[test]
    fn a_strategic_patch_is_offered_with_the_keys_it_needs() {
        let info = TypeInfo::builtin("", "v1", "Pod");
        let doc = document("", "v1", &[served("", "Pod", "pods", &info)]);
        let patch = &doc["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
        assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_object());
        let containers =
            &doc["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(text)) = map.get("$ref") {
                    references.push(text.rsplit('/').next().unwrap().to_owned());
                }
                map.values().for_each(|child| collect(child, references));
            }
            Value::Array(items) => items.iter().for_each(|child| collect(child, references)),
            _ => {}
        }
    }
}
