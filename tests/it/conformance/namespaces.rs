//! The life of a namespace.

use serde_json::json;

use super::things::condition;
use super::{Env, MERGE, conform, text, until};

#[tokio::test]
async fn a_namespace_is_born_active_and_labelled_with_its_name() {
    conform(|env: Env| async move {
        let path = format!("/api/v1/namespaces/{}", env.ns);
        let namespace = env.get(&path).await.ok();
        assert_eq!(namespace["status"]["phase"], "Active");
        assert_eq!(namespace["metadata"]["labels"]["kubernetes.io/metadata.name"], json!(env.ns));
        assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
        let other = env.patch(&path, MERGE, json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
        assert_eq!(other["metadata"]["labels"]["a"], "b");
        let bad = json!({"metadata": {"name": "With.Dots"}});
        env.post("/api/v1/namespaces", bad).await.invalid("metadata.name", "FieldValueInvalid");
        env.delete("/api/v1/namespaces/default", json!({"dryRun": ["All"]})).await.refused(403, "Forbidden");
        env.delete("/api/v1/namespaces", json!({})).await.refused(405, "MethodNotAllowed");
    })
    .await;
}

#[tokio::test]
async fn a_namespace_that_ends_takes_nothing_new_and_everything_old_with_it() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("/api/v1/namespaces/{}", env.ns);
        let maps = env.core("configmaps");
        env.post(&maps, env.map("free", json!({}))).await.ok();
        let mut held = env.map("held", json!({}));
        held["metadata"]["finalizers"] = json!(["example.com/x"]);
        env.post(&maps, held).await.ok();
        env.post(&things, env.thing("thing", json!({"size": 1}))).await.ok();
        let going = env.delete(&path, json!({})).await.ok();
        assert_eq!(going["status"]["phase"], "Terminating", "{going}");
        assert!(going["metadata"]["deletionTimestamp"].is_string(), "{going}");
        let refused = env.post(&maps, env.map("new", json!({}))).await.refused(403, "Forbidden");
        assert_eq!(refused["details"]["causes"][0]["reason"], "NamespaceTerminating", "{refused}");
        env.post(&things, env.thing("new", json!({"size": 1}))).await.refused(403, "Forbidden");
        for gone in [format!("{maps}/free"), format!("{things}/thing")] {
            until(&format!("{gone} is gone"), || async { (env.get(&gone).await.code == 404).then_some(()) })
                .await;
        }
        let now = until("it says what it waits for", || async {
            let now = env.get(&path).await.ok();
            let waits = |kind| condition(&now, kind).is_some_and(|c| c["status"] == "True");
            (waits("NamespaceContentRemaining") && waits("NamespaceFinalizersRemaining")).then_some(now)
        })
        .await;
        assert_eq!(now["status"]["phase"], "Terminating");
        let remaining = condition(&now, "NamespaceFinalizersRemaining").unwrap();
        assert!(text(&remaining["message"]).contains("example.com/x"), "{remaining}");
        // What is there may still be changed, or nothing could let go.
        env.patch(&format!("{maps}/held"), MERGE, json!({"metadata": {"finalizers": null}})).await.ok();
        until("the namespace is gone", || async { (env.get(&path).await.code == 404).then_some(()) }).await;
        env.get(&format!("{maps}/held")).await.refused(404, "NotFound");
    })
    .await;
}

#[tokio::test]
async fn a_namespace_with_a_finalizer_of_its_own_waits_for_that_too() {
    conform(|env: Env| async move {
        let path = format!("/api/v1/namespaces/{}", env.ns);
        env.patch(&path, MERGE, json!({"metadata": {"finalizers": ["example.com/x"]}})).await.ok();
        env.delete(&path, json!({})).await.ok();
        until("the content is finalized", || async {
            let now = env.get(&path).await.ok();
            now["spec"]["finalizers"].is_null().then_some(())
        })
        .await;
        env.patch(&path, MERGE, json!({"metadata": {"finalizers": null}})).await.ok();
        until("the namespace is gone", || async { (env.get(&path).await.code == 404).then_some(()) }).await;
    })
    .await;
}
