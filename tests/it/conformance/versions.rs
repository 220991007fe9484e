//! A kind in several versions, without conversion.

use serde_json::{Value, json};

use super::{Env, MERGE, conform, text};

fn two_versions(env: &Env) -> Value {
    let mut definition = env.thing_definition();
    let mut second = definition["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    second["storage"] = json!(false);
    second["deprecated"] = json!(true);
    let mut third = second.clone();
    third["name"] = json!("v3alpha1");
    third["served"] = json!(false);
    definition["spec"]["versions"].as_array_mut().unwrap().extend([second, third]);
    definition
}

#[tokio::test]
async fn an_object_is_there_in_every_served_version() {
    conform(|env: Env| async move {
        env.define(two_versions(&env)).await;
        let at = |version: &str| format!("/apis/{}/{version}/namespaces/{}/things", env.group, env.ns);
        let made = env.post(&at("v1"), env.thing("a", json!({"size": 1}))).await.ok();
        let reply = env.get(&format!("{}/a", at("v2"))).await;
        assert_eq!(reply.warnings.len(), 1, "a deprecated version says so: {:?}", reply.warnings);
        assert!(reply.warnings[0].contains("deprecated"), "{:?}", reply.warnings);
        let seen = reply.ok();
        assert_eq!(seen["apiVersion"], format!("{}/v2", env.group));
        assert_eq!(seen["metadata"]["uid"], made["metadata"]["uid"]);
        assert_eq!(seen["spec"], made["spec"]);
        let changed = env.patch(&format!("{}/a", at("v2")), MERGE, json!({"spec": {"size": 2}})).await.ok();
        assert_eq!(changed["apiVersion"], format!("{}/v2", env.group));
        let back = env.get(&format!("{}/a", at("v1"))).await.ok();
        assert_eq!((&back["apiVersion"], &back["spec"]["size"]), (&made["apiVersion"], &json!(2)));
        let list = env.get(&at("v2")).await.ok();
        assert_eq!(list["items"][0]["apiVersion"], format!("{}/v2", env.group));
        assert_eq!(env.get(&at("v3alpha1")).await.code, 404, "a version that is not served");
        let wrong = env.post(&at("v2"), env.thing("b", json!({"size": 1}))).await;
        wrong.refused(400, "BadRequest");
    })
    .await;
}

#[tokio::test]
async fn discovery_names_the_versions_and_prefers_the_most_stable() {
    conform(|env: Env| async move {
        env.define(two_versions(&env)).await;
        let group = super::until("the group is discovered whole", || async {
            let reply = env.get(&format!("/apis/{}", env.group)).await;
            let count = reply.body["versions"].as_array().map_or(0, Vec::len);
            (reply.code == 200 && count == 2).then_some(reply.body)
        })
        .await;
        assert_eq!(group["kind"], "APIGroup");
        let versions: Vec<String> =
            group["versions"].as_array().unwrap().iter().map(|one| text(&one["version"])).collect();
        assert_eq!(versions, ["v2", "v1"]);
        assert_eq!(group["preferredVersion"]["version"], "v2");
    })
    .await;
}
