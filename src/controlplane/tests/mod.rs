//! The plane as its clients see it, through `kube::Client`.

mod controlling;
mod deletion;
mod surface;
mod watching;
mod writing;

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{
    api::core::v1::ConfigMap, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{
        ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent,
        WatchParams,
    },
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use super::{ControlPlane, Options};

fn crd() -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {
                        "size": {"type": "integer", "minimum": 1}, "colour": {"type": "string", "default": "red"},
                    }},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    }))
    .unwrap()
}

/// Waits for `done`, with a deadline, looking again after every write of the plane.
async fn eventually<F: Future<Output = bool>>(plane: &ControlPlane, what: &str, mut done: impl FnMut() -> F) {
    let mut wake = plane.engine.store.subscribe();
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !done().await {
            let _ = tokio::time::timeout(Duration::from_millis(200), wake.changed()).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// The refusal in an error.
fn status(error: kube::Error) -> kube::core::Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("{other:?}"),
    }
}

async fn widgets(client: &Client) -> Api<DynamicObject> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let made = definitions.create(&PostParams::default(), &crd()).await;
    if let Err(kube::Error::Api(status)) = &made {
        assert!(status.is_already_exists(), "{status:?}");
    }
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.org", "v1", "Widget"), "widgets");
    Api::namespaced_with(client.clone(), "default", &resource)
}

fn widget(name: &str, spec: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap()
}

#[tokio::test]
async fn an_object_lives_its_life_and_watchers_see_all_of_it() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api = widgets(&plane.client()).await;
    let list = api.list(&ListParams::default()).await.unwrap();
    let from = list.metadata.resource_version.unwrap();
    assert_ne!(from, "0");
    let made = api.create(&PostParams::default(), &widget("a", json!({"size": 1}))).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let patch = Patch::Merge(json!({"spec": {"size": 2}}));
    let patched = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!((patched.metadata.generation, &patched.data["spec"]["size"]), (Some(2), &json!(2)));
    assert_eq!(api.get("a").await.unwrap(), patched);
    let mut replaced = patched.clone();
    replaced.data["spec"]["size"] = json!(3);
    api.replace("a", &PostParams::default(), &replaced).await.unwrap();
    let stale = api.replace("a", &PostParams::default(), &replaced).await.unwrap_err();
    assert!(matches!(&stale, kube::Error::Api(status) if status.is_conflict()), "{stale:?}");
    api.delete("a", &DeleteParams::default()).await.unwrap().right().unwrap();
    let events: Vec<String> = api
        .watch(&WatchParams::default().timeout(2), &from)
        .await
        .unwrap()
        .try_filter_map(|event| async move {
            Ok(match event {
                WatchEvent::Added(one) => Some(format!("added {}", one.data["spec"]["size"])),
                WatchEvent::Modified(one) => Some(format!("modified {}", one.data["spec"]["size"])),
                WatchEvent::Deleted(one) => Some(format!("deleted {}", one.data["spec"]["size"])),
                WatchEvent::Bookmark(_) => None,
                WatchEvent::Error(error) => panic!("{error:?}"),
            })
        })
        .take(4)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(events, ["added 1", "modified 2", "modified 3", "deleted 3"]);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { dir: Some(dir.path().to_owned()), ..Options::default() };
    let plane = ControlPlane::open(options.clone()).await.unwrap();
    let api = widgets(&plane.client()).await;
    let made = api.create(&PostParams::default(), &widget("a", json!({"size": 1}))).await.unwrap();
    plane.close().await;
    let plane = ControlPlane::open(options).await.unwrap();
    // The definition is not applied again: it must be served from the store.
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.org", "v1", "Widget"), "widgets");
    let api: Api<DynamicObject> = Api::namespaced_with(plane.client(), "default", &resource);
    assert_eq!(api.get("a").await.unwrap(), made);
    // Versions go on from where they were, and the past before the start is gone.
    let old = api
        .watch(&WatchParams::default().timeout(2), "1")
        .await
        .unwrap()
        .boxed()
        .next()
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(old, WatchEvent::Error(status) if status.code == 410));
}

#[tokio::test]
async fn a_write_that_changes_nothing_is_no_write() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let client = plane.client();
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    let map = ConfigMap { data: Some([("k".to_owned(), "v".to_owned())].into()), ..ConfigMap::default() };
    let mut named = map.clone();
    named.metadata.name = Some("m".to_owned());
    let first = api.create(&PostParams::default(), &named).await.unwrap();
    let patch = Patch::Merge(json!({"data": {"k": "v"}}));
    let second = api.patch("m", &PatchParams::default(), &patch).await.unwrap();
    let third = api.replace("m", &PostParams::default(), &first).await.unwrap();
    assert_eq!(first.metadata.resource_version, second.metadata.resource_version);
    assert_eq!(first.metadata.resource_version, third.metadata.resource_version);
    let wait = Duration::from_millis(100);
    let from = first.metadata.resource_version.clone().unwrap();
    let mut watch = api.watch(&WatchParams::default(), &from).await.unwrap().boxed();
    assert!(tokio::time::timeout(wait, watch.next()).await.is_err(), "an event for nothing");
}
