//! What becomes of dependents.

use serde_json::{Value, json};

use super::{Env, MERGE, conform, until};

fn owned_by(mut object: Value, owners: &[&Value], blocks: bool) -> Value {
    let reference = |owner: &&Value| {
        json!({
            "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"], "blockOwnerDeletion": blocks,
        })
    };
    object["metadata"]["ownerReferences"] = owners.iter().map(reference).collect();
    object
}

async fn gone(env: &Env, path: &str) {
    until(&format!("{path} is gone"), || async { (env.get(path).await.code == 404).then_some(()) }).await;
}

#[tokio::test]
async fn dependents_of_a_deleted_owner_are_collected() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let owner = env.post(&maps, env.map("owner", json!({}))).await.ok();
        let child = env.post(&maps, owned_by(env.map("child", json!({})), &[&owner], false)).await.ok();
        env.post(&maps, owned_by(env.map("grandchild", json!({})), &[&child], false)).await.ok();
        env.post(&maps, env.map("other", json!({}))).await.ok();
        env.delete(&format!("{maps}/owner"), json!({"propagationPolicy": "Background"})).await.ok();
        env.get(&format!("{maps}/owner")).await.refused(404, "NotFound");
        gone(&env, &format!("{maps}/child")).await;
        gone(&env, &format!("{maps}/grandchild")).await;
        env.get(&format!("{maps}/other")).await.ok();
    })
    .await;
}

#[tokio::test]
async fn an_owner_deleted_in_the_foreground_waits_for_its_dependents() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let owner = env.post(&maps, env.map("owner", json!({}))).await.ok();
        let mut child = owned_by(env.map("child", json!({})), &[&owner], true);
        child["metadata"]["finalizers"] = json!(["example.com/x"]);
        env.post(&maps, child).await.ok();
        let going =
            env.delete(&format!("{maps}/owner"), json!({"propagationPolicy": "Foreground"})).await.ok();
        assert_eq!(going["metadata"]["finalizers"], json!(["foregroundDeletion"]));
        assert!(going["metadata"]["deletionTimestamp"].is_string(), "{going}");
        until("the child is told to go", || async {
            let child = env.get(&format!("{maps}/child")).await.ok();
            child["metadata"]["deletionTimestamp"].is_string().then_some(())
        })
        .await;
        env.get(&format!("{maps}/owner")).await.ok();
        env.patch(&format!("{maps}/child"), MERGE, json!({"metadata": {"finalizers": null}})).await.ok();
        gone(&env, &format!("{maps}/child")).await;
        gone(&env, &format!("{maps}/owner")).await;
    })
    .await;
}

#[tokio::test]
async fn orphans_stay_and_forget_their_owner() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let owner = env.post(&maps, env.map("owner", json!({}))).await.ok();
        env.post(&maps, owned_by(env.map("child", json!({})), &[&owner], false)).await.ok();
        env.delete(&format!("{maps}/owner"), json!({"propagationPolicy": "Orphan"})).await.ok();
        gone(&env, &format!("{maps}/owner")).await;
        let child = env.get(&format!("{maps}/child")).await.ok();
        assert!(child["metadata"]["ownerReferences"].is_null(), "{child}");
    })
    .await;
}

#[tokio::test]
async fn a_dependent_stays_while_one_of_its_owners_lives() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let one = env.post(&maps, env.map("one", json!({}))).await.ok();
        let two = env.post(&maps, env.map("two", json!({}))).await.ok();
        env.post(&maps, owned_by(env.map("child", json!({})), &[&one, &two], false)).await.ok();
        env.delete(&format!("{maps}/one"), json!({"propagationPolicy": "Background"})).await.ok();
        until("the dead owner is forgotten", || async {
            let child = env.get(&format!("{maps}/child")).await.ok();
            let owners = child["metadata"]["ownerReferences"].as_array().unwrap().clone();
            (owners.len() == 1 && owners[0]["name"] == "two").then_some(())
        })
        .await;
        env.delete(&format!("{maps}/two"), json!({"propagationPolicy": "Background"})).await.ok();
        gone(&env, &format!("{maps}/child")).await;
    })
    .await;
}

#[tokio::test]
async fn an_owner_that_never_was_or_was_another_is_no_owner() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let mut owner = env.post(&maps, env.map("owner", json!({}))).await.ok();
        owner["metadata"]["uid"] = json!("6b8a4f1c-1111-4222-8333-444455556666");
        env.post(&maps, owned_by(env.map("child", json!({})), &[&owner], false)).await.ok();
        gone(&env, &format!("{maps}/child")).await;
    })
    .await;
}

#[tokio::test]
async fn dependents_of_our_own_kinds_are_collected_too() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let maps = env.core("configmaps");
        let owner = env.post(&things, env.thing("owner", json!({"size": 1}))).await.ok();
        env.post(&maps, owned_by(env.map("child", json!({})), &[&owner], false)).await.ok();
        env.post(&things, owned_by(env.thing("child", json!({"size": 1})), &[&owner], false)).await.ok();
        env.delete(&format!("{things}/owner"), json!({})).await.ok();
        gone(&env, &format!("{maps}/child")).await;
        gone(&env, &format!("{things}/child")).await;
    })
    .await;
}
