//! Create, get, update: what an object carries, which writes are refused, and that none is lost.

use serde_json::json;

use super::things::manager;
use super::{Env, MERGE, conform, text, version};

#[tokio::test]
async fn a_created_object_carries_what_the_server_gives_and_nothing_that_only_it_may_give() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let mut thing = env.thing("a", json!({"size": 1}));
        thing["metadata"]["uid"] = json!("mine");
        thing["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
        thing["metadata"]["deletionTimestamp"] = json!("2001-01-01T00:00:00Z");
        thing["metadata"]["generation"] = json!(7);
        thing["status"] = json!({"phase": "Done"});
        let reply = env.post(&format!("{things}?fieldManager=maker"), thing).await;
        assert_eq!(reply.code, 201);
        let made = reply.ok();
        let meta = &made["metadata"];
        assert_eq!((&meta["name"], &meta["namespace"]), (&json!("a"), &json!(env.ns)));
        assert!(text(&meta["uid"]).len() == 36, "{meta}");
        assert!(!text(&meta["creationTimestamp"]).starts_with("2001"), "{meta}");
        assert!(meta["deletionTimestamp"].is_null(), "{meta}");
        assert_eq!(meta["generation"], 1);
        assert!(version(&made).parse::<u64>().unwrap() > 0);
        assert!(made["status"].is_null(), "status is written by /status only: {made}");
        let managed = manager(&made, "maker", "Update").expect("an entry for the maker");
        assert_eq!(
            (&managed["apiVersion"], &managed["fieldsType"]),
            (&made["apiVersion"], &json!("FieldsV1"))
        );
        assert!(managed["fieldsV1"]["f:spec"]["f:size"].is_object(), "{managed}");
        assert!(managed["time"].is_string() && managed["subresource"].is_null(), "{managed}");
        assert_eq!(env.get(&format!("{things}/a")).await.ok(), made);
    })
    .await;
}

#[tokio::test]
async fn a_generated_name_is_the_prefix_and_five_characters() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let body = json!({"metadata": {"generateName": "many-"}});
        let first = text(&env.post(&maps, body.clone()).await.ok()["metadata"]["name"]);
        let second = text(&env.post(&maps, body).await.ok()["metadata"]["name"]);
        assert_ne!(first, second);
        assert!(first.starts_with("many-") && first.len() == "many-".len() + 5, "{first}");
        let neither = env.post(&maps, json!({"metadata": {}})).await;
        neither.invalid("metadata.name", "FieldValueRequired");
    })
    .await;
}

#[tokio::test]
async fn a_create_that_contradicts_itself_is_refused() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        env.post(&maps, env.map("a", json!({}))).await.ok();
        let twice = env.post(&maps, env.map("a", json!({}))).await.refused(409, "AlreadyExists");
        assert_eq!(twice["details"], json!({"name": "a", "kind": "configmaps"}));
        assert_eq!(twice["message"], "configmaps \"a\" already exists");
        for (field, value, code, reason) in
            [("namespace", "elsewhere", 400, "BadRequest"), ("name", "Not_A_Name", 422, "Invalid")]
        {
            let mut map = env.map("b", json!({}));
            map["metadata"][field] = json!(value);
            env.post(&maps, map).await.refused(code, reason);
        }
        let mut versioned = env.map("b", json!({}));
        versioned["metadata"]["resourceVersion"] = json!("5");
        let refused = env.post(&maps, versioned).await;
        assert!(
            refused.code >= 400 && refused.raw.contains("resourceVersion should not be set"),
            "{}",
            refused.raw
        );
        let wrong = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}});
        env.post(&maps, wrong).await.refused(400, "BadRequest");
        let label = json!({"metadata": {"name": "b", "labels": {"a b": "c"}}});
        env.post(&maps, label).await.invalid("metadata.labels", "FieldValueInvalid");
        env.get(&format!("{maps}/b")).await.refused(404, "NotFound");
        let nowhere = format!("/api/v1/namespaces/{}-not/configmaps", env.ns);
        let refused = env.post(&nowhere, env.map("b", json!({}))).await.refused(404, "NotFound");
        assert_eq!(refused["details"]["kind"], "namespaces");
    })
    .await;
}

#[tokio::test]
async fn an_update_on_older_state_is_refused_and_an_unconditional_one_where_the_kind_forbids_it() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        let first = env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        let mut next = first.clone();
        next["spec"]["size"] = json!(2);
        let second = env.put(&path, next.clone()).await.ok();
        assert_ne!(version(&second), version(&first));
        next["spec"]["size"] = json!(3);
        let stale = env.put(&path, next.clone()).await.refused(409, "Conflict");
        assert_eq!(stale["details"], json!({"name": "a", "group": env.group, "kind": "things"}));
        assert!(text(&stale["message"]).contains("the object has been modified"), "{stale}");
        next["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        env.put(&path, next.clone()).await.invalid("metadata.resourceVersion", "FieldValueInvalid");
        env.put(&format!("{things}/b"), env.thing("b", json!({"size": 1}))).await.refused(404, "NotFound");

        let maps = env.core("configmaps");
        env.post(&maps, env.map("m", json!({"k": "1"}))).await.ok();
        let updated = env.put(&format!("{maps}/m"), env.map("m", json!({"k": "2"}))).await.ok();
        assert_eq!(updated["data"]["k"], "2", "a ConfigMap may be updated unconditionally");
    })
    .await;
}

#[tokio::test]
async fn an_update_keeps_what_it_leaves_out_of_the_servers_own_and_refuses_a_change_of_it() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let path = format!("{maps}/m");
        let made = env.post(&maps, env.map("m", json!({"k": "1"}))).await.ok();
        let updated = env.put(&path, env.map("m", json!({"k": "2"}))).await.ok();
        for field in ["uid", "creationTimestamp", "namespace"] {
            assert_eq!(updated["metadata"][field], made["metadata"][field], "{field}");
        }
        let mut other = updated.clone();
        other["metadata"]["uid"] = json!("6b8a4f1c-1111-4222-8333-444455556666");
        env.put(&path, other).await.refused(409, "Conflict");
        let mut renamed = updated.clone();
        renamed["metadata"]["name"] = json!("n");
        env.put(&path, renamed).await.refused(400, "BadRequest");
    })
    .await;
}

#[tokio::test]
async fn sixteen_writers_lose_no_update() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let path = format!("{maps}/count");
        env.post(&maps, env.map("count", json!({"n": "0"}))).await.ok();
        let add = async || {
            for _ in 0..3 {
                loop {
                    let mut now = env.get(&path).await.ok();
                    let n: u32 = text(&now["data"]["n"]).parse().unwrap();
                    now["data"]["n"] = json!((n + 1).to_string());
                    let reply = env.put(&path, now).await;
                    match reply.code {
                        409 => reply.refused(409, "Conflict"),
                        _ => {
                            reply.ok();
                            break;
                        }
                    };
                }
            }
        };
        futures::future::join_all((0..16).map(|_| add())).await;
        assert_eq!(env.get(&path).await.ok()["data"]["n"], "48");
    })
    .await;
}

#[tokio::test]
async fn of_sixteen_creates_of_one_name_one_wins() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let all = (0..16).map(|n| env.post(&maps, env.map("one", json!({"n": n.to_string()}))));
        let codes: Vec<u16> = futures::future::join_all(all).await.iter().map(|reply| reply.code).collect();
        let count = |code| codes.iter().filter(|one| **one == code).count();
        assert_eq!((count(201), count(409)), (1, 15), "{codes:?}");
    })
    .await;
}

#[tokio::test]
async fn a_write_that_changes_nothing_raises_nothing_and_sends_no_event() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        let made = env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        let mut watch = env.watch(&format!("{things}?resourceVersion={}", version(&made))).await;
        assert_eq!(env.put(&path, made.clone()).await.ok(), made);
        assert_eq!(env.patch(&path, MERGE, json!({"spec": {"size": 1}})).await.ok(), made);
        // What pruning and defaulting undo is no change either.
        let undone = json!({"spec": {"unknown": true, "colour": null}});
        assert_eq!(env.patch(&path, MERGE, undone).await.ok(), made);
        assert_eq!(env.patch(&format!("{path}/status"), MERGE, json!({})).await.ok(), made);
        env.post(&things, env.thing("b", json!({"size": 1}))).await.ok();
        assert_eq!(watch.said().await, "ADDED b");
    })
    .await;
}

#[tokio::test]
async fn a_generation_counts_changes_of_what_is_wanted_only() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        for (to, body, generation) in [
            ("", json!({"metadata": {"labels": {"x": "y"}}}), 1),
            ("/status", json!({"status": {"phase": "Busy"}}), 1),
            ("", json!({"spec": {"size": 2}}), 2),
            ("", json!({"spec": {"size": 2}}), 2),
            ("", json!({"metadata": {"finalizers": ["example.com/x"]}}), 2),
        ] {
            let now = env.patch(&format!("{path}{to}"), MERGE, body.clone()).await.ok();
            assert_eq!(now["metadata"]["generation"], generation, "{to} {body}");
        }
        let going = env.delete(&path, json!({})).await.ok();
        assert_eq!(going["metadata"]["generation"], 3, "a deletion that waits counts too");
        let map = env.post(&env.core("configmaps"), env.map("m", json!({}))).await.ok();
        assert!(map["metadata"]["generation"].is_null(), "a ConfigMap has no generation: {map}");
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_answers_as_the_write_would_and_writes_nothing() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        let reply = env.post(&format!("{things}?dryRun=All"), env.thing("a", json!({"size": 1}))).await;
        assert_eq!(reply.code, 201);
        assert_eq!(reply.ok()["spec"]["colour"], "red", "defaults are shown");
        env.get(&path).await.refused(404, "NotFound");
        env.post(&format!("{things}?dryRun=All"), env.thing("a", json!({"size": 0})))
            .await
            .invalid("spec.size", "FieldValueInvalid");
        let made = env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        let mut next = made.clone();
        next["spec"]["size"] = json!(2);
        assert_eq!(env.put(&format!("{path}?dryRun=All"), next).await.ok()["spec"]["size"], 2);
        let patched =
            env.patch(&format!("{path}?dryRun=All"), MERGE, json!({"spec": {"size": 3}})).await.ok();
        assert_eq!(patched["spec"]["size"], 3);
        env.delete(&path, json!({"dryRun": ["All"]})).await.ok();
        env.delete(&things, json!({"dryRun": ["All"]})).await.ok();
        assert_eq!(env.get(&path).await.ok(), made);
        env.post(&format!("{things}?dryRun=Some"), env.thing("b", json!({"size": 1})))
            .await
            .refused(422, "Invalid");
    })
    .await;
}

#[tokio::test]
async fn metadata_is_bounded_as_documented() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let make = |metadata| env.post(&maps, json!({"metadata": metadata, "data": {}}));
        make(json!({"name": "a", "annotations": {"k": "x".repeat(300_000)}}))
            .await
            .invalid("metadata.annotations", "FieldValueTooLong");
        make(json!({"name": "a", "labels": {"k": "x".repeat(64)}}))
            .await
            .invalid("metadata.labels", "FieldValueInvalid");
        make(json!({"name": "a".repeat(254)})).await.invalid("metadata.name", "FieldValueInvalid");
        make(json!({"name": "a", "finalizers": ["no slash or space"]})).await.refused(422, "Invalid");
        let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}]);
        make(json!({"name": "a", "ownerReferences": owner}))
            .await
            .invalid("metadata.ownerReferences.uid", "FieldValueInvalid");
        make(json!({"name": "b".repeat(253)})).await.ok();
    })
    .await;
}
