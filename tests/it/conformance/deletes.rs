//! Deletion: finalizers, preconditions, collections.

use serde_json::json;

use super::{Env, MERGE, conform, names, text, version};

#[tokio::test]
async fn a_delete_without_finalizers_is_done_at_once() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let made = env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        let done = env.delete(&format!("{things}/a"), json!({})).await.ok();
        assert_eq!((&done["kind"], &done["status"]), (&json!("Status"), &json!("Success")));
        let details =
            json!({"name": "a", "group": env.group, "kind": "things", "uid": made["metadata"]["uid"]});
        assert_eq!(done["details"], details);
        env.get(&format!("{things}/a")).await.refused(404, "NotFound");
        env.delete(&format!("{things}/a"), json!({})).await.refused(404, "NotFound");
        let again = env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        assert_ne!(again["metadata"]["uid"], made["metadata"]["uid"]);
        let bare = env.call("DELETE", &format!("{things}/a"), &[], Vec::new()).await;
        assert_eq!(bare.ok()["status"], "Success", "options may be left out");
    })
    .await;
}

#[tokio::test]
async fn an_object_with_a_finalizer_stays_until_the_last_one_is_gone() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        let mut thing = env.thing("a", json!({"size": 1}));
        thing["metadata"]["finalizers"] = json!(["example.com/x", "example.com/y"]);
        let made = env.post(&things, thing).await.ok();
        let mut watch = env.watch(&format!("{things}?resourceVersion={}", version(&made))).await;
        let going = env.delete(&path, json!({})).await.ok();
        assert_eq!(going["kind"], "Thing", "the object as it waits");
        let since = text(&going["metadata"]["deletionTimestamp"]);
        assert!(!since.is_empty());
        assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 0);
        let again = env.delete(&path, json!({})).await.ok();
        assert_eq!(again["metadata"]["deletionTimestamp"], json!(since));
        // It may be changed, but not be given more to wait for, nor be called back.
        env.patch(&path, MERGE, json!({"spec": {"size": 2}})).await.ok();
        let more = json!({"metadata": {"finalizers": ["example.com/x", "example.com/y", "example.com/z"]}});
        let refused = env.patch(&path, MERGE, more).await;
        refused.invalid("metadata.finalizers", "FieldValueForbidden");
        let back = env.patch(&path, MERGE, json!({"metadata": {"deletionTimestamp": null}})).await.ok();
        assert_eq!(back["metadata"]["deletionTimestamp"], json!(since));
        let one = json!({"metadata": {"finalizers": ["example.com/x"]}});
        let left = env.patch(&path, MERGE, one).await.ok();
        assert_eq!(left["metadata"]["finalizers"], json!(["example.com/x"]));
        let mut last = left.clone();
        last["metadata"].as_object_mut().unwrap().remove("finalizers");
        env.put(&path, last).await.ok();
        env.get(&path).await.refused(404, "NotFound");
        let mut seen = Vec::new();
        while seen.last().is_none_or(|event: &String| event != "DELETED a") {
            seen.push(watch.said().await);
        }
        assert_eq!(seen, ["MODIFIED a", "MODIFIED a", "MODIFIED a", "DELETED a"]);
    })
    .await;
}

#[tokio::test]
async fn a_finalizer_that_goes_before_the_deletion_holds_up_nothing() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let mut map = env.map("m", json!({}));
        map["metadata"]["finalizers"] = json!(["example.com/x"]);
        env.post(&maps, map).await.ok();
        env.patch(&format!("{maps}/m"), MERGE, json!({"metadata": {"finalizers": null}})).await.ok();
        env.get(&format!("{maps}/m")).await.ok();
        env.delete(&format!("{maps}/m"), json!({})).await.ok();
        env.get(&format!("{maps}/m")).await.refused(404, "NotFound");
    })
    .await;
}

#[tokio::test]
async fn a_delete_with_preconditions_deletes_only_what_meets_them() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let path = format!("{maps}/m");
        let made = env.post(&maps, env.map("m", json!({}))).await.ok();
        let delete = |preconditions| env.delete(&path, json!({"preconditions": preconditions}));
        let uid = "6b8a4f1c-1111-4222-8333-444455556666";
        delete(json!({"uid": uid})).await.refused(409, "Conflict");
        delete(json!({"resourceVersion": "1"})).await.refused(409, "Conflict");
        env.get(&path).await.ok();
        delete(json!({"uid": made["metadata"]["uid"], "resourceVersion": version(&made)})).await.ok();
        env.get(&path).await.refused(404, "NotFound");
    })
    .await;
}

#[tokio::test]
async fn options_of_a_delete_are_checked() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let path = format!("{maps}/m");
        env.post(&maps, env.map("m", json!({}))).await.ok();
        env.delete(&path, json!({"propagationPolicy": "Sideways"})).await.refused(422, "Invalid");
        let both = json!({"propagationPolicy": "Orphan", "orphanDependents": true});
        env.delete(&path, both).await.refused(422, "Invalid");
        env.delete(&path, json!({"dryRun": ["Some"]})).await.refused(422, "Invalid");
        env.get(&path).await.ok();
        env.delete(&format!("{path}?gracePeriodSeconds=0"), json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_collection_is_deleted_as_far_as_it_is_selected() {
    conform(|env: Env| async move {
        let things = env.things().await;
        for (name, group, finalizer) in [("a", "x", false), ("b", "x", true), ("c", "y", false)] {
            let mut thing = env.thing(name, json!({"size": 1}));
            thing["metadata"]["labels"] = json!({"group": group});
            if finalizer {
                thing["metadata"]["finalizers"] = json!(["example.com/x"]);
            }
            env.post(&things, thing).await.ok();
        }
        let done = env.delete(&format!("{things}?labelSelector=group%3Dx"), json!({})).await.ok();
        assert_eq!(done["kind"], "ThingList", "what was deleted: {done}");
        assert_eq!(names(&env.get(&things).await.ok()), ["b", "c"]);
        let b = env.get(&format!("{things}/b")).await.ok();
        assert!(b["metadata"]["deletionTimestamp"].is_string(), "{b}");
        env.delete(&format!("{things}?fieldSelector=metadata.name%3Dc"), json!({})).await.ok();
        assert_eq!(names(&env.get(&things).await.ok()), ["b"]);
        env.patch(&format!("{things}/b"), MERGE, json!({"metadata": {"finalizers": null}})).await.ok();
        assert!(names(&env.get(&things).await.ok()).is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_runs_nowhere_is_deleted_at_once_whatever_the_grace() {
    conform(|env: Env| async move {
        let pods = env.core("pods");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"schedulerName": "nobody", "automountServiceAccountToken": false,
                "containers": [{"name": "c", "image": "c:1"}]},
        });
        super::until("pods may be made", || async {
            (env.post(&pods, pod.clone()).await.code == 201).then_some(())
        })
        .await;
        env.delete(&format!("{pods}/p"), json!({"gracePeriodSeconds": 30})).await.ok();
        env.get(&format!("{pods}/p")).await.refused(404, "NotFound");
    })
    .await;
}
