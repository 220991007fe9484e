//! The status and scale subresources, and the shapes of refusals.

use serde_json::json;

use super::things::manager;
use super::{Env, MERGE, conform, text, version};

#[tokio::test]
async fn status_is_written_by_its_subresource_only_and_nothing_else_by_it() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        let mut thing = env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        thing["spec"]["size"] = json!(9);
        thing["metadata"]["labels"] = json!({"by": "status"});
        thing["status"] = json!({"phase": "Busy"});
        let done = env.put(&format!("{path}/status?fieldManager=loop"), thing.clone()).await.ok();
        assert_eq!((&done["spec"]["size"], &done["status"]["phase"]), (&json!(1), &json!("Busy")));
        assert!(done["metadata"]["labels"].is_null(), "{done}");
        let managed = manager(&done, "loop", "Update").expect("an entry");
        assert_eq!(managed["subresource"], "status");
        assert!(managed["fieldsV1"]["f:status"]["f:phase"].is_object(), "{managed}");
        let body = json!({"spec": {"size": 2}, "status": {"phase": "Other"}});
        let patched = env.patch(&path, MERGE, body).await.ok();
        assert_eq!((&patched["spec"]["size"], &patched["status"]["phase"]), (&json!(2), &json!("Busy")));
        let mut replaced = patched.clone();
        replaced.as_object_mut().unwrap().remove("status");
        assert_eq!(env.put(&path, replaced).await.ok()["status"]["phase"], "Busy");
        assert_eq!(env.get(&format!("{path}/status")).await.ok()["kind"], "Thing");
        env.patch(&format!("{path}/status"), MERGE, json!({"status": {"ready": -1}}))
            .await
            .invalid("status.ready", "FieldValueInvalid");
    })
    .await;
}

#[tokio::test]
async fn scale_is_a_view_on_the_object() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        let made = env.post(&things, env.thing("a", json!({"size": 4}))).await.ok();
        env.patch(&format!("{path}/status"), MERGE, json!({"status": {"ready": 3, "selector": "app=a"}}))
            .await
            .ok();
        let scale = env.get(&format!("{path}/scale")).await.ok();
        assert_eq!((&scale["kind"], &scale["apiVersion"]), (&json!("Scale"), &json!("autoscaling/v1")));
        assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&json!(4), &json!(3)));
        assert_eq!(scale["status"]["selector"], "app=a");
        assert_eq!(scale["metadata"]["uid"], made["metadata"]["uid"]);
        let scaled = env.patch(&format!("{path}/scale"), MERGE, json!({"spec": {"replicas": 5}})).await.ok();
        assert_eq!(scaled["spec"]["replicas"], 5);
        let now = env.get(&path).await.ok();
        assert_eq!((&now["spec"]["size"], &now["metadata"]["generation"]), (&json!(5), &json!(2)));
        let mut stale = scale.clone();
        stale["spec"]["replicas"] = json!(6);
        env.put(&format!("{path}/scale"), stale).await.refused(409, "Conflict");
        let mut fresh = scaled.clone();
        fresh["spec"]["replicas"] = json!(7);
        env.put(&format!("{path}/scale"), fresh).await.ok();
        assert_eq!(env.get(&path).await.ok()["spec"]["size"], 7);
    })
    .await;
}

#[tokio::test]
async fn every_refusal_is_a_status_that_names_what_it_is_about() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let absent = env.get(&format!("{things}/none")).await.refused(404, "NotFound");
        assert_eq!(absent["details"], json!({"name": "none", "group": env.group, "kind": "things"}));
        assert_eq!(absent["message"], format!("things.{} \"none\" not found", env.group));
        let core = env.get(&format!("{}/none", env.core("secrets"))).await.refused(404, "NotFound");
        assert_eq!(core["details"], json!({"name": "none", "kind": "secrets"}));
        for path in [
            "/apis/nothing.example.com/v1/things".to_owned(),
            format!("/apis/{}/v9/things", env.group),
            format!("{things}/none/nothing"),
        ] {
            assert_eq!(env.get(&path).await.code, 404, "{path}");
        }
        let invalid = env.post(&things, env.thing("a", json!({"size": 0}))).await.refused(422, "Invalid");
        assert_eq!(invalid["details"]["name"], "a");
        assert_eq!(invalid["details"]["group"], json!(env.group));
        assert_eq!(invalid["details"]["kind"], "Thing", "an invalid object is named by its kind");
        assert!(text(&invalid["message"]).starts_with(&format!("Thing.{} \"a\" is invalid: ", env.group)));
        let json_type = [("content-type", "application/json")];
        env.call("POST", &things, &json_type, b"{not json".to_vec()).await.refused(400, "BadRequest");
        let odd = [("content-type", "text/plain")];
        env.call("POST", &things, &odd, b"hello".to_vec()).await.refused(415, "UnsupportedMediaType");
        env.get_as(&things, "text/html").await.refused(406, "NotAcceptable");
        env.call("PATCH", &env.core("configmaps"), &json_type, b"{}".to_vec())
            .await
            .refused(405, "MethodNotAllowed");
    })
    .await;
}

#[tokio::test]
async fn a_body_may_be_yaml_and_so_may_an_answer() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let yaml = format!(
            "apiVersion: {}/v1\nkind: Thing\nmetadata:\n  name: yam\nspec:\n  size: 2\n  words: \"on\"\n",
            env.group
        );
        let kind = [("content-type", "application/yaml")];
        let made = env.call("POST", &things, &kind, yaml.into_bytes()).await.ok();
        assert_eq!((&made["spec"]["size"], &made["spec"]["words"]), (&json!(2), &json!("on")));
        let reply = env.get_as(&format!("{things}/yam"), "application/yaml").await;
        assert!(reply.kind.starts_with("application/yaml"), "{}", reply.kind);
        assert!(reply.raw.contains("kind: Thing\n"), "{}", reply.raw);
        assert!(reply.raw.contains(&format!("resourceVersion: \"{}\"", version(&made))), "{}", reply.raw);
    })
    .await;
}
