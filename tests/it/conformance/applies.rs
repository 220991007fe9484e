//! Server-side apply: who owns which field, and what follows from it.

use serde_json::{Value, json};

use super::things::manager;
use super::{APPLY, Env, MERGE, Reply, conform, text, version};

/// Applies a thing's spec as `who`.
async fn apply(env: &Env, path: &str, who: &str, spec: Value) -> Reply {
    let name = path.rsplit('/').next().unwrap().to_owned();
    env.patch(&format!("{path}?fieldManager={who}"), APPLY, env.thing(&name, spec)).await
}

#[tokio::test]
async fn an_apply_creates_what_is_not_there_and_owns_what_it_names() {
    conform(|env: Env| async move {
        let path = format!("{}/a", env.things().await);
        let reply = apply(&env, &path, "one", json!({"size": 1})).await;
        assert_eq!(reply.code, 201);
        let made = reply.ok();
        let managed = manager(&made, "one", "Apply").expect("an entry");
        assert_eq!(managed["fieldsV1"], json!({"f:spec": {"f:size": {}}}), "defaults are owned by nobody");
        assert_eq!(made["spec"]["colour"], "red");
        assert_eq!(made["metadata"]["managedFields"].as_array().unwrap().len(), 1);
        let reply = apply(&env, &path, "one", json!({"size": 2, "words": "w"})).await;
        assert_eq!(reply.code, 200);
        let now = reply.ok();
        assert_eq!((&now["spec"]["size"], &now["spec"]["words"]), (&json!(2), &json!("w")));
        assert_eq!(now["metadata"]["uid"], made["metadata"]["uid"]);
    })
    .await;
}

#[tokio::test]
async fn an_apply_over_anothers_value_is_a_conflict_that_names_both() {
    conform(|env: Env| async move {
        let path = format!("{}/a", env.things().await);
        apply(&env, &path, "one", json!({"size": 1, "colour": "blue"})).await.ok();
        let conflict = apply(&env, &path, "two", json!({"size": 1, "colour": "green"})).await;
        let conflict = conflict.refused(409, "Conflict");
        let causes = conflict["details"]["causes"].as_array().unwrap();
        assert_eq!(causes.len(), 1, "{conflict}");
        assert_eq!(causes[0]["reason"], "FieldManagerConflict");
        assert_eq!(causes[0]["field"], ".spec.colour");
        assert!(text(&causes[0]["message"]).starts_with("conflict with \"one\""), "{conflict}");
        assert!(text(&conflict["message"]).contains(".spec.colour"), "{conflict}");
        let body = env.thing("a", json!({"size": 1, "colour": "green"}));
        let forced = env.patch(&format!("{path}?fieldManager=two&force=true"), APPLY, body).await.ok();
        assert_eq!(forced["spec"]["colour"], "green");
        let one = manager(&forced, "one", "Apply").expect("one still owns the size");
        assert_eq!(one["fieldsV1"], json!({"f:spec": {"f:size": {}}}));
        let two = manager(&forced, "two", "Apply").unwrap();
        assert_eq!(two["fieldsV1"], json!({"f:spec": {"f:size": {}, "f:colour": {}}}));
        apply(&env, &path, "one", json!({"size": 1, "colour": "blue"})).await.refused(409, "Conflict");
    })
    .await;
}

#[tokio::test]
async fn a_field_that_two_apply_alike_goes_when_both_have_let_go() {
    conform(|env: Env| async move {
        let path = format!("{}/a", env.things().await);
        apply(&env, &path, "one", json!({"size": 1, "words": "both", "colour": "blue"})).await.ok();
        apply(&env, &path, "two", json!({"size": 1, "words": "both"})).await.ok();
        let now = apply(&env, &path, "one", json!({"size": 1})).await.ok();
        assert_eq!(now["spec"]["words"], "both", "two holds it still");
        assert_eq!(now["spec"]["colour"], "red", "what nobody wants falls back to its default");
        let now = apply(&env, &path, "two", json!({"size": 1})).await.ok();
        assert!(now["spec"].get("words").is_none(), "{now}");
    })
    .await;
}

#[tokio::test]
async fn an_apply_that_changes_nothing_leaves_the_version_and_the_times() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        let made = apply(&env, &path, "one", json!({"size": 1})).await.ok();
        // Times are in whole seconds: only a later second can show that one was touched.
        let second = text(&manager(&made, "one", "Apply").unwrap()["time"]);
        super::until("a second has passed", || async {
            let probe =
                env.post(&format!("{things}?dryRun=All"), env.thing("t", json!({"size": 1}))).await.ok();
            (text(&probe["metadata"]["creationTimestamp"]) > second).then_some(())
        })
        .await;
        let mut watch = env.watch(&format!("{things}?resourceVersion={}", version(&made))).await;
        let again = apply(&env, &path, "one", json!({"size": 1})).await.ok();
        assert_eq!(again, made);
        let body =
            json!({"apiVersion": format!("{}/v1", env.group), "kind": "Thing", "status": {"phase": "Busy"}});
        let status = format!("{path}/status?fieldManager=loop&force=true");
        let first = env.patch(&status, APPLY, body.clone()).await.ok();
        assert_eq!(env.patch(&status, APPLY, body).await.ok(), first);
        assert_eq!(watch.said().await, "MODIFIED a");
        env.post(&things, env.thing("b", json!({"size": 1}))).await.ok();
        assert_eq!(watch.said().await, "ADDED b");
    })
    .await;
}

#[tokio::test]
async fn status_is_applied_to_its_subresource() {
    conform(|env: Env| async move {
        let path = format!("{}/a", env.things().await);
        apply(&env, &path, "one", json!({"size": 1})).await.ok();
        let ready = |status: &str, reason: &str| {
            json!({
                "apiVersion": format!("{}/v1", env.group), "kind": "Thing", "metadata": {"name": "a"},
                "spec": {"size": 77},
                "status": {"phase": "Busy", "conditions": [
                    {"type": "Ready", "status": status, "reason": reason, "message": "m"},
                ]},
            })
        };
        let loop_path = format!("{path}/status?fieldManager=loop");
        let now = env.patch(&loop_path, APPLY, ready("False", "Wait")).await.ok();
        assert_eq!((&now["spec"]["size"], &now["status"]["phase"]), (&json!(1), &json!("Busy")));
        let managed = manager(&now, "loop", "Apply").unwrap();
        assert_eq!(managed["subresource"], "status");
        assert!(managed["fieldsV1"]["f:spec"].is_null(), "{managed}");
        let condition = &managed["fieldsV1"]["f:status"]["f:conditions"]["k:{\"type\":\"Ready\"}"];
        assert!(condition["f:reason"].is_object() && condition["."].is_object(), "{managed}");
        // Another manager adds a condition beside it; neither loses its own.
        let other = json!({
            "apiVersion": format!("{}/v1", env.group), "kind": "Thing",
            "status": {"conditions": [{"type": "Valid", "status": "True"}]},
        });
        env.patch(&format!("{path}/status?fieldManager=judge"), APPLY, other).await.ok();
        let now = env.patch(&loop_path, APPLY, ready("True", "Done")).await.ok();
        let conditions = now["status"]["conditions"].as_array().unwrap();
        assert_eq!(conditions.len(), 2, "{now}");
        let mut with_status = env.thing("a", json!({"size": 2}));
        with_status["status"] = json!({"phase": "Stolen"});
        let now = env.patch(&format!("{path}?fieldManager=one"), APPLY, with_status).await.ok();
        assert_eq!((&now["spec"]["size"], &now["status"]["phase"]), (&json!(2), &json!("Busy")));
        let one = manager(&now, "one", "Apply").unwrap();
        assert!(one["fieldsV1"]["f:status"].is_null(), "{one}");
    })
    .await;
}

#[tokio::test]
async fn an_update_takes_over_the_fields_that_it_changes() {
    conform(|env: Env| async move {
        let path = format!("{}/a", env.things().await);
        let mut now = apply(&env, &path, "one", json!({"size": 1, "words": "w"})).await.ok();
        now["spec"]["size"] = json!(2);
        let now = env.put(&format!("{path}?fieldManager=two"), now).await.ok();
        let two = manager(&now, "two", "Update").expect("an entry");
        assert_eq!(two["fieldsV1"], json!({"f:spec": {"f:size": {}}}));
        let one = manager(&now, "one", "Apply").unwrap();
        assert_eq!(one["fieldsV1"], json!({"f:spec": {"f:words": {}}}));
        let conflict =
            apply(&env, &path, "one", json!({"size": 1, "words": "w"})).await.refused(409, "Conflict");
        let cause = &conflict["details"]["causes"][0];
        assert!(text(&cause["message"]).starts_with("conflict with \"two\" using "), "{cause}");
        env.patch(&format!("{path}?fieldManager=three"), MERGE, json!({"spec": {"words": null}})).await.ok();
        let now = env.get(&path).await.ok();
        assert!(manager(&now, "one", "Apply").is_none(), "who owns nothing any more has no entry: {now}");
    })
    .await;
}

#[tokio::test]
async fn an_apply_says_who_and_what_or_is_refused() {
    conform(|env: Env| async move {
        let path = format!("{}/a", env.things().await);
        let thing = env.thing("a", json!({"size": 1}));
        env.patch(&path, APPLY, thing.clone()).await.refused(422, "Invalid");
        let with = format!("{path}?fieldManager=one");
        let mut managed = thing.clone();
        managed["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Apply"}]);
        env.patch(&with, APPLY, managed).await.refused(400, "BadRequest");
        let mut other = thing.clone();
        other["metadata"]["name"] = json!("b");
        env.patch(&with, APPLY, other).await.refused(400, "BadRequest");
        env.patch(&with, APPLY, json!({"metadata": {"name": "a"}, "spec": {"size": 1}}))
            .await
            .refused(400, "BadRequest");
        let made = env.patch(&with, APPLY, thing.clone()).await.ok();
        let mut stale = thing.clone();
        stale["metadata"]["resourceVersion"] = json!("1");
        stale["spec"]["size"] = json!(2);
        env.patch(&with, APPLY, stale).await.refused(409, "Conflict");
        let mut bad = thing.clone();
        bad["spec"]["size"] = json!(0);
        env.patch(&with, APPLY, bad).await.invalid("spec.size", "FieldValueInvalid");
        assert_eq!(env.get(&path).await.ok(), made);
        let dry = format!("{with}&dryRun=All");
        assert_eq!(env.patch(&dry, APPLY, env.thing("a", json!({"size": 5}))).await.ok()["spec"]["size"], 5);
        assert_eq!(env.get(&path).await.ok(), made);
    })
    .await;
}

#[tokio::test]
async fn managed_fields_may_be_cleared_and_are_kept_when_left_out() {
    conform(|env: Env| async move {
        let path = format!("{}/a", env.things().await);
        let made = apply(&env, &path, "one", json!({"size": 1})).await.ok();
        let mut without = made.clone();
        without["metadata"].as_object_mut().unwrap().remove("managedFields");
        let kept = env.put(&path, without).await.ok();
        assert!(manager(&kept, "one", "Apply").is_some(), "{kept}");
        let cleared = env.patch(&path, MERGE, json!({"metadata": {"managedFields": [{}]}})).await.ok();
        assert!(cleared["metadata"]["managedFields"].is_null(), "{cleared}");
        let again = apply(&env, &path, "two", json!({"size": 2})).await;
        let codes = (again.code, again.raw.contains("before-first-apply"));
        assert!(codes == (409, true) || codes.0 == 200, "{}", again.raw);
    })
    .await;
}
