//! Deletes: finalizers, propagation, collection, namespaces, definitions.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
};
use serde_json::{Value, json};

use super::{ControlPlane, eventually, status, widget, widgets};

fn map(name: &str, owners: Value) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "ownerReferences": owners}})).unwrap()
}

fn owner(of: &ConfigMap, block: bool) -> Value {
    json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": of.metadata.name, "uid": of.metadata.uid,
        "blockOwnerDeletion": block,
    }])
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_gone() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api = widgets(&plane.client()).await;
    api.create(&PostParams::default(), &widget("a", json!({"size": 1}))).await.unwrap();
    // As kube's `finalizer` does it: a test for null on a path that does not exist must pass.
    let patch: json_patch::Patch = serde_json::from_value(json!([
        {"op": "test", "path": "/metadata/finalizers", "value": null},
        {"op": "add", "path": "/metadata/finalizers", "value": ["example.org/f"]},
    ]))
    .unwrap();
    api.patch("a", &PatchParams::default(), &Patch::Json::<()>(patch)).await.unwrap();
    let marked = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    assert_eq!(marked.metadata.generation, Some(2));
    let more = Patch::Merge(json!({"metadata": {"finalizers": ["example.org/f", "example.org/g"]}}));
    let refused = status(api.patch("a", &PatchParams::default(), &more).await.unwrap_err());
    assert_eq!(refused.code, 422);
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("a", &PatchParams::default(), &free).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn dependents_follow_their_owner_and_survive_with_another() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(plane.client());
    let post = PostParams::default();
    let first = api.create(&post, &map("first", json!([]))).await.unwrap();
    let second = api.create(&post, &map("second", json!([]))).await.unwrap();
    let both: Vec<Value> = [owner(&first, false), owner(&second, false)]
        .into_iter()
        .flat_map(|list| list.as_array().unwrap().clone())
        .collect();
    api.create(&post, &map("child", owner(&first, false))).await.unwrap();
    api.create(&post, &map("shared", json!(both))).await.unwrap();
    api.delete("first", &DeleteParams::default()).await.unwrap();
    eventually(&plane, "the child goes", || async { api.get_opt("child").await.unwrap().is_none() }).await;
    eventually(&plane, "the shared one loses one owner", || async {
        api.get("shared").await.unwrap().metadata.owner_references.unwrap_or_default().len() == 1
    })
    .await;
    // An owner that never was is gone as well.
    api.create(&post, &map("stray", owner(&first, false))).await.unwrap();
    eventually(&plane, "the stray goes", || async { api.get_opt("stray").await.unwrap().is_none() }).await;
}

#[tokio::test]
async fn in_the_foreground_the_owner_goes_last_and_an_orphan_stays() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(plane.client());
    let post = PostParams::default();
    let top = api.create(&post, &map("top", json!([]))).await.unwrap();
    let mut child = map("child", owner(&top, true));
    child.metadata.finalizers = Some(vec!["example.org/f".to_owned()]);
    api.create(&post, &child).await.unwrap();
    api.delete("top", &DeleteParams::foreground()).await.unwrap().left().unwrap();
    eventually(&plane, "the child is marked", || async {
        api.get("child").await.unwrap().metadata.deletion_timestamp.is_some()
    })
    .await;
    assert!(api.get_opt("top").await.unwrap().is_some(), "the owner waits");
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("child", &PatchParams::default(), &free).await.unwrap();
    eventually(&plane, "both go", || async { api.get_opt("top").await.unwrap().is_none() }).await;

    let top = api.create(&post, &map("top", json!([]))).await.unwrap();
    api.create(&post, &map("child", owner(&top, true))).await.unwrap();
    let orphan =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    api.delete("top", &orphan).await.unwrap();
    eventually(&plane, "the owner goes", || async { api.get_opt("top").await.unwrap().is_none() }).await;
    assert_eq!(api.get("child").await.unwrap().metadata.owner_references, None);
}

#[tokio::test]
async fn a_namespace_takes_its_content_along_and_takes_nothing_new() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let namespaces: Api<Namespace> = Api::all(plane.client());
    let post = PostParams::default();
    let space: Namespace = serde_json::from_value(json!({"metadata": {"name": "ns"}})).unwrap();
    namespaces.create(&post, &space).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client(), "ns");
    let mut held = map("held", json!([]));
    held.metadata.finalizers = Some(vec!["example.org/f".to_owned()]);
    maps.create(&post, &held).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(plane.client(), "ns");
    for i in 0..50 {
        let secret: Secret = serde_json::from_value(json!({"metadata": {"name": format!("s{i}")}})).unwrap();
        secrets.create(&post, &secret).await.unwrap();
    }
    namespaces.delete("ns", &DeleteParams::default()).await.unwrap();
    eventually(&plane, "the secrets go", || async {
        secrets.list(&ListParams::default()).await.unwrap().items.is_empty()
    })
    .await;
    let refused = status(maps.create(&post, &map("late", json!([]))).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (403, "Forbidden"));
    assert_eq!(namespaces.get("ns").await.unwrap().status.unwrap().phase.as_deref(), Some("Terminating"));
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &free).await.unwrap();
    eventually(&plane, "the namespace goes", || async { namespaces.get_opt("ns").await.unwrap().is_none() })
        .await;
    let refused = status(maps.create(&post, &map("late", json!([]))).await.unwrap_err());
    assert_eq!(refused.code, 404);
    let refused = status(namespaces.delete("default", &DeleteParams::default()).await.unwrap_err());
    assert_eq!(refused.code, 403);
}

#[tokio::test]
async fn a_definition_takes_its_objects_along() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api = widgets(&plane.client()).await;
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &widget(name, json!({"size": 1}))).await.unwrap();
    }
    let definitions: Api<CustomResourceDefinition> = Api::all(plane.client());
    definitions.delete("widgets.example.org", &DeleteParams::default()).await.unwrap();
    eventually(&plane, "the definition goes", || async {
        definitions.get_opt("widgets.example.org").await.unwrap().is_none()
    })
    .await;
    eventually(&plane, "its kind is served no more", || async {
        api.list(&ListParams::default()).await.is_err_and(|error| status(error).code == 404)
    })
    .await;
    // Applied again it starts empty.
    let api = widgets(&plane.client()).await;
    assert!(api.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_delete_may_be_bound_to_what_was_seen() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(plane.client());
    let made = api.create(&PostParams::default(), &map("m", json!([]))).await.unwrap();
    let bound = |uid: Option<String>, resource_version: Option<String>| DeleteParams {
        preconditions: Some(Preconditions { uid, resource_version }),
        ..DeleteParams::default()
    };
    let wrong = bound(Some("other".to_owned()), None);
    assert_eq!(status(api.delete("m", &wrong).await.unwrap_err()).code, 409);
    let stale = bound(None, Some("1".to_owned()));
    assert_eq!(status(api.delete("m", &stale).await.unwrap_err()).code, 409);
    let dry = DeleteParams { dry_run: true, ..DeleteParams::default() };
    api.delete("m", &dry).await.unwrap();
    let right = bound(made.metadata.uid.clone(), made.metadata.resource_version.clone());
    api.delete("m", &right).await.unwrap();
    assert!(api.get_opt("m").await.unwrap().is_none());
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(plane.client());
    for (name, colour) in [("a", "red"), ("b", "blue"), ("c", "red")] {
        let mut one = map(name, json!([]));
        one.metadata.labels = Some([("colour".to_owned(), colour.to_owned())].into());
        api.create(&PostParams::default(), &one).await.unwrap();
    }
    api.delete_collection(&DeleteParams::default(), &ListParams::default().labels("colour=red"))
        .await
        .unwrap();
    let left: Vec<String> = api
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .into_iter()
        .filter_map(|one| one.metadata.name)
        .collect();
    assert_eq!(left, ["b"]);
}
