//! What clients ask before they ask for objects: versions, groups, resources, schemas, health.

use std::{collections::BTreeMap, sync::Arc};

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use ring::digest;
use serde_json::{Value, json};

use super::{
    engine::Engine,
    openapi,
    path::Target,
    registry::{Origin, Resource, Served},
    service::{bytes, document},
    status::Refusal,
};

/// The Kubernetes version whose behaviour is served.
pub const VERSION: &str = "v1.36.0";

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const SUBRESOURCE_VERBS: &[&str] = &["get", "patch", "update"];

/// Answers everything that is not about objects.
pub fn answer(engine: &Engine, target: &Target, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let served = engine.registry.served();
    let aggregated = wants_aggregated(headers);
    let value = match target {
        Target::Version => version(),
        Target::Health => return Ok(health(engine, false)),
        Target::Index => json!({"paths": paths(&served)}),
        Target::CoreVersions if aggregated => return Ok(aggregate(&served, true)),
        Target::Groups if aggregated => return Ok(aggregate(&served, false)),
        Target::CoreVersions => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        Target::Groups => json!({
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": served.groups().iter().filter(|(name, _)| !name.is_empty()).map(group).collect::<Vec<_>>(),
        }),
        Target::Group(name) => {
            let groups = served.groups();
            let found = groups.iter().find(|(one, _)| one == name && !one.is_empty());
            let mut value = group(found.ok_or_else(Refusal::no_such_path)?);
            value["kind"] = json!("APIGroup");
            value["apiVersion"] = json!("v1");
            value
        }
        Target::Resources { group, version } => resources(&served, group, version)?,
        Target::OpenApiIndex => Value::clone(&engine.cached_index(openapi_index)),
        Target::OpenApi { group, version } => openapi_document(&served, group, version)?,
        Target::OpenApiV2 => return Ok(openapi_v2(headers)),
        Target::Unknown | Target::Resource(_) => return Err(Refusal::no_such_path()),
    };
    Ok(document(StatusCode::OK, &value, false))
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": format!("{VERSION}+cocoasyncer"),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// Whether the plane can do its work; said in detail where that is asked for.
pub fn health(engine: &Engine, verbose: bool) -> Response<Body> {
    let kind = "text/plain; charset=utf-8";
    let checks = [("store", engine.store.healthy()), ("running", !engine.stop.is_cancelled())];
    let well = checks.iter().all(|(_, well)| *well);
    if well && !verbose {
        return bytes(StatusCode::OK, kind, b"ok".to_vec());
    }
    let mut text = String::new();
    for (name, well) in checks {
        text.push_str(&if well { format!("[+]{name} ok\n") } else { format!("[-]{name} failed\n") });
    }
    text.push_str(if well { "check passed\n" } else { "check failed\n" });
    let code = if well { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    bytes(code, kind, text.into_bytes())
}

fn paths(served: &Served) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, versions) in served.groups().into_iter().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.extend(["/healthz", "/livez", "/openapi/v3", "/readyz", "/version"].map(str::to_owned));
    paths
}

fn group((name, versions): &(String, Vec<String>)) -> Value {
    let one = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let list: Vec<Value> = versions.iter().map(one).collect();
    json!({"name": name, "preferredVersion": list.first(), "versions": list})
}

fn resources(served: &Served, group: &str, version: &str) -> Result<Value, Refusal> {
    let list: Vec<Value> = served.of_version(group, version).flat_map(entries).collect();
    if list.is_empty() {
        return Err(Refusal::no_such_path());
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list}),
    )
}

fn entries(resource: &Arc<Resource>) -> Vec<Value> {
    let mut main = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        main["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        main["categories"] = json!(resource.categories);
    }
    if resource.origin != Origin::Review {
        main["storageVersionHash"] = json!(digest_text(resource.full_name().as_bytes())[..11]);
    }
    let sub = |name: &str, kind: &str| {
        json!({
            "name": format!("{}/{name}", resource.plural), "singularName": "",
            "namespaced": resource.namespaced, "kind": kind, "verbs": SUBRESOURCE_VERBS,
        })
    };
    let mut list = vec![main];
    if resource.status {
        list.push(sub("status", &resource.kind));
    }
    if resource.scale.is_some() {
        let mut scale = sub("scale", "Scale");
        scale["group"] = json!("autoscaling");
        scale["version"] = json!("v1");
        list.push(scale);
    }
    list
}

fn verbs(resource: &Resource) -> &'static [&'static str] {
    match resource.origin {
        Origin::Review => &["create"],
        Origin::Builtin | Origin::Custom => VERBS,
    }
}

fn wants_aggregated(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|one| one.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|range| {
            range.contains("as=APIGroupDiscoveryList")
                && range.contains("v=v2")
                && !range.contains("v=v2beta1")
        })
}

/// Everything below `/api` or `/apis` in one document.
fn aggregate(served: &Served, core: bool) -> Response<Body> {
    let items: Vec<Value> = served
        .groups()
        .iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> = served.of_version(name, version).map(aggregated).collect();
                    json!({"version": version, "freshness": "Current", "resources": resources})
                })
                .collect();
            let metadata = if core {
                json!({"creationTimestamp": null})
            } else {
                json!({"name": name, "creationTimestamp": null})
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    let mut response = document(StatusCode::OK, &list, false);
    let kind =
        HeaderValue::from_static("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn aggregated(resource: &Arc<Resource>) -> Value {
    let kind =
        |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let own = kind(&resource.group, &resource.version, &resource.kind);
    let mut value = json!({
        "resource": resource.plural, "responseKind": own,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular, "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
    let mut subs = Vec::new();
    if resource.status {
        subs.push(json!({"subresource": "status", "responseKind": own, "verbs": SUBRESOURCE_VERBS}));
    }
    if resource.scale.is_some() {
        let scale = kind("autoscaling", "v1", "Scale");
        subs.push(json!({"subresource": "scale", "responseKind": scale, "verbs": SUBRESOURCE_VERBS}));
    }
    if !subs.is_empty() {
        value["subresources"] = Value::Array(subs);
    }
    value
}

/// One entry a group-version; the hash changes when what is served does, which is how clients cache.
/// kubectl reads the old document before it applies a `List`, and checks only what it finds there; the schemas are in
/// v3, and every write is checked here.
fn openapi_v2(headers: &HeaderMap) -> Response<Body> {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepted.contains("proto-openapi") {
        let kind = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
        // Field 1, a text of three bytes.
        return bytes(StatusCode::OK, kind, b"\x0a\x032.0".to_vec());
    }
    let value = json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": {}});
    document(StatusCode::OK, &value, false)
}

fn openapi_index(served: &Served) -> Value {
    let mut paths = BTreeMap::new();
    for (group, versions) in served.groups() {
        for version in versions {
            let path =
                if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let hash = openapi_document(served, &group, &version)
                .map(|value| digest_text(value.to_string().as_bytes()))
                .unwrap_or_default();
            paths.insert(
                path.clone(),
                json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}),
            );
        }
    }
    json!({"paths": paths})
}

fn openapi_document(served: &Served, group: &str, version: &str) -> Result<Value, Refusal> {
    let resources: Vec<&Arc<Resource>> = served.of_version(group, version).collect();
    if resources.is_empty() {
        return Err(Refusal::no_such_path());
    }
    let kinds: Vec<openapi::Served> = resources
        .iter()
        .map(|one| openapi::Served {
            group: &one.group,
            version: &one.version,
            kind: &one.kind,
            plural: &one.plural,
            namespaced: one.namespaced,
            has_status: one.status,
            info: one.info(),
        })
        .collect();
    Ok(openapi::document(group, version, &kinds))
}

fn digest_text(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}
