//! JSON and merge patches.

use serde_json::{Value, json};

use super::{Env, JSON_PATCH, MERGE, STRATEGIC, conform, text, version};

async fn patched(env: &Env, path: &str, patch: Value) -> Value {
    env.patch(path, JSON_PATCH, patch).await.ok()
}

#[tokio::test]
async fn a_json_patch_does_each_of_its_operations_or_nothing() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        let spec = json!({"size": 1, "list": ["x", "y"], "map": {"a/b": "1", "c~d": "2"}});
        env.post(&things, env.thing("a", spec)).await.ok();
        let done = patched(
            &env,
            &path,
            json!([
                {"op": "test", "path": "/spec/size", "value": 1},
                {"op": "replace", "path": "/spec/size", "value": 2},
                {"op": "add", "path": "/spec/list/-", "value": "z"},
                {"op": "add", "path": "/spec/list/0", "value": "w"},
                {"op": "remove", "path": "/spec/map/a~1b"},
                {"op": "move", "from": "/spec/map/c~0d", "path": "/spec/map/e"},
                {"op": "copy", "from": "/spec/list/1", "path": "/spec/words"},
            ]),
        )
        .await;
        assert_eq!(done["spec"]["list"], json!(["w", "x", "y", "z"]));
        assert_eq!(done["spec"]["map"], json!({"e": "2"}));
        assert_eq!((&done["spec"]["words"], &done["spec"]["size"]), (&json!("x"), &json!(2)));
        for failing in [
            json!([{"op": "replace", "path": "/spec/size", "value": 3}, {"op": "test", "path": "/spec/size", "value": 9}]),
            json!([{"op": "remove", "path": "/spec/nothing"}]),
            json!([{"op": "add", "path": "/spec/no/such/parent", "value": 1}]),
            json!([{"op": "move", "from": "/spec/nothing", "path": "/spec/words"}]),
            json!([{"op": "test", "path": "/spec/no/such", "value": null}]),
            json!([{"op": "add", "path": "/spec/list/99", "value": "x"}]),
            json!([{"op": "test", "path": "/spec/nothing", "value": "x"}]),
        ] {
            env.patch(&path, JSON_PATCH, failing).await.refused(422, "Invalid");
        }
        assert_eq!(env.get(&path).await.ok(), done);
        env.patch(&path, JSON_PATCH, json!({"op": "add"})).await.refused(400, "BadRequest");
    })
    .await;
}

#[tokio::test]
async fn a_json_patch_may_test_for_null_what_is_not_there() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        // The way in which kube's finalizer() adds the first one, and takes the last one away.
        let add = json!([
            {"op": "test", "path": "/metadata/finalizers", "value": null},
            {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/x"]},
        ]);
        let done = patched(&env, &path, add.clone()).await;
        assert_eq!(done["metadata"]["finalizers"], json!(["example.com/x"]));
        env.patch(&path, JSON_PATCH, add).await.refused(422, "Invalid");
        let remove = json!([
            {"op": "test", "path": "/metadata/finalizers/0", "value": "example.com/x"},
            {"op": "remove", "path": "/metadata/finalizers/0"},
        ]);
        let done = patched(&env, &path, remove).await;
        assert!(done["metadata"]["finalizers"].is_null(), "an empty list is left out: {done}");
    })
    .await;
}

#[tokio::test]
async fn a_merge_patch_merges_maps_replaces_lists_and_removes_by_null() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        let spec = json!({"size": 1, "list": ["x", "y"], "map": {"a": "1", "b": "2"}, "words": "w"});
        env.post(&things, env.thing("a", spec)).await.ok();
        let patch = json!({
            "metadata": {"labels": {"new": "one"}},
            "spec": {"list": ["z"], "map": {"a": null, "c": "3"}, "words": null},
        });
        let done = env.patch(&path, MERGE, patch).await.ok();
        assert_eq!(
            (&done["spec"]["list"], &done["spec"]["map"]),
            (&json!(["z"]), &json!({"b": "2", "c": "3"}))
        );
        assert!(done["spec"].get("words").is_none(), "{done}");
        assert_eq!(done["metadata"]["labels"], json!({"new": "one"}));
        env.patch(&path, MERGE, json!({"spec": {"size": "big"}}))
            .await
            .invalid("spec.size", "FieldValueTypeInvalid");
        assert_eq!(env.get(&path).await.ok(), done);
        env.patch(&format!("{things}/none"), MERGE, json!({})).await.refused(404, "NotFound");
    })
    .await;
}

#[tokio::test]
async fn a_patch_may_ask_for_the_version_it_was_made_for() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let path = format!("{maps}/m");
        let made = env.post(&maps, env.map("m", json!({"k": "1"}))).await.ok();
        let at =
            |version: String, k: &str| json!({"metadata": {"resourceVersion": version}, "data": {"k": k}});
        let second = env.patch(&path, MERGE, at(version(&made), "2")).await.ok();
        env.patch(&path, MERGE, at(version(&made), "3")).await.refused(409, "Conflict");
        env.patch(&path, STRATEGIC, at(version(&made), "3")).await.refused(409, "Conflict");
        let stale = json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": version(&made)},
            {"op": "replace", "path": "/data/k", "value": "3"}]);
        env.patch(&path, JSON_PATCH, stale).await.refused(409, "Conflict");
        assert_eq!(env.get(&path).await.ok(), second);
    })
    .await;
}

#[tokio::test]
async fn a_patch_cannot_change_who_an_object_is() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let path = format!("{maps}/m");
        let made = env.post(&maps, env.map("m", json!({"k": "1"}))).await.ok();
        let name = env.patch(&path, MERGE, json!({"metadata": {"name": "n"}})).await;
        assert!([400, 422].contains(&name.code), "{}", name.raw);
        let uid = json!({"metadata": {"uid": "6b8a4f1c-1111-4222-8333-444455556666"}});
        let uid = env.patch(&path, MERGE, uid).await;
        assert!([409, 422].contains(&uid.code), "{}", uid.raw);
        assert_eq!(env.get(&path).await.ok(), made);
    })
    .await;
}

#[tokio::test]
async fn patches_are_known_by_their_media_type() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        env.patch(&path, STRATEGIC, json!({"spec": {"size": 2}})).await.refused(415, "UnsupportedMediaType");
        env.patch(&path, "application/json", json!({})).await.refused(415, "UnsupportedMediaType");
        let broken = env.call("PATCH", &path, &[("content-type", MERGE)], b"{".to_vec()).await;
        broken.refused(400, "BadRequest");
        env.patch(&format!("{path}?force=true"), MERGE, json!({})).await.refused(422, "Invalid");
    })
    .await;
}

#[tokio::test]
async fn sixteen_patchers_lose_no_patch() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let path = format!("{maps}/m");
        env.post(&maps, env.map("m", json!({}))).await.ok();
        let all = (0..16).map(|n| {
            let patch = json!({"data": {format!("k{n}"): "v"}});
            env.patch(&path, MERGE, patch)
        });
        for reply in futures::future::join_all(all).await {
            reply.ok();
        }
        let data = &env.get(&path).await.ok()["data"];
        assert_eq!(data.as_object().unwrap().len(), 16, "{data}");
        assert_eq!(text(&data["k15"]), "v");
    })
    .await;
}
