//! Strategic merge patches, which built-in kinds take.

use serde_json::{Value, json};

use super::{Env, STRATEGIC, conform, text};

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "d"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {
                    "containers": [
                        {"name": "one", "image": "one:1", "env": [{"name": "A", "value": "1"}],
                            "ports": [{"containerPort": 80}]},
                        {"name": "two", "image": "two:1"},
                    ],
                    "tolerations": [{"key": "a", "operator": "Exists"}],
                },
            },
        },
    })
}

fn containers(deployment: &Value) -> Vec<String> {
    let all = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    all.iter().map(|one| format!("{}={}", text(&one["name"]), text(&one["image"]))).collect()
}

#[tokio::test]
async fn lists_merge_by_their_keys() {
    conform(|env: Env| async move {
        let deployments = env.builtin("apps/v1", "deployments");
        let path = format!("{deployments}/d");
        env.post(&deployments, deployment()).await.ok();
        let patch = async |spec: Value| {
            env.patch(&path, STRATEGIC, json!({"spec": {"template": {"spec": spec}}})).await.ok()
        };
        let done = patch(json!({"containers": [
            {"name": "one", "image": "one:2", "env": [{"name": "B", "value": "2"}], "ports": [{"containerPort": 443}]},
        ]}))
        .await;
        assert_eq!(containers(&done), ["one=one:2", "two=two:1"]);
        let one = &done["spec"]["template"]["spec"]["containers"][0];
        let env_names: Vec<String> = one["env"].as_array().unwrap().iter().map(|e| text(&e["name"])).collect();
        assert_eq!(env_names.len(), 2, "{one}");
        assert!(env_names.contains(&"A".to_owned()) && env_names.contains(&"B".to_owned()), "{one}");
        assert_eq!(one["ports"].as_array().unwrap().len(), 2, "{one}");
        let done = patch(json!({"containers": [{"name": "two", "$patch": "delete"}]})).await;
        assert_eq!(containers(&done), ["one=one:2"]);
        let done = patch(json!({"containers": [{"$patch": "replace"}, {"name": "three", "image": "three:1"}]})).await;
        assert_eq!(containers(&done), ["three=three:1"]);
        let done = patch(json!({
            "$setElementOrder/containers": [{"name": "four"}, {"name": "three"}],
            "containers": [{"name": "four", "image": "four:1"}],
        }))
        .await;
        assert_eq!(containers(&done), ["four=four:1", "three=three:1"]);
        let done = patch(json!({"tolerations": [{"key": "b", "operator": "Exists"}]})).await;
        let tolerations = &done["spec"]["template"]["spec"]["tolerations"];
        assert_eq!(tolerations, &json!([{"key": "b", "operator": "Exists"}]), "an atomic list is replaced");
    })
    .await;
}

#[tokio::test]
async fn maps_merge_and_primitive_lists_merge_where_they_are_sets() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let path = format!("{maps}/m");
        let mut map = env.map("m", json!({"a": "1", "b": "2"}));
        map["metadata"]["finalizers"] = json!(["example.com/a"]);
        env.post(&maps, map).await.ok();
        let patch = json!({"data": {"a": null, "c": "3"}, "metadata": {"finalizers": ["example.com/b"]}});
        let done = env.patch(&path, STRATEGIC, patch).await.ok();
        assert_eq!(done["data"], json!({"b": "2", "c": "3"}));
        assert_eq!(done["metadata"]["finalizers"].as_array().unwrap().len(), 2, "{done}");
        let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}});
        let done = env.patch(&path, STRATEGIC, patch).await.ok();
        assert_eq!(done["metadata"]["finalizers"], json!(["example.com/b"]));
        let patch = json!({"data": {"$patch": "replace", "d": "4"}, "metadata": {"finalizers": null}});
        let done = env.patch(&path, STRATEGIC, patch).await.ok();
        assert_eq!(done["data"], json!({"d": "4"}));
        assert!(done["metadata"]["finalizers"].is_null(), "{done}");
    })
    .await;
}

#[tokio::test]
async fn a_union_keeps_the_keys_it_is_told_to_keep() {
    conform(|env: Env| async move {
        let deployments = env.builtin("apps/v1", "deployments");
        let path = format!("{deployments}/d");
        env.post(&deployments, deployment()).await.ok();
        let volume = |v: Value| json!({"spec": {"template": {"spec": {"volumes": [v]}}}});
        env.patch(&path, STRATEGIC, volume(json!({"name": "v", "emptyDir": {}}))).await.ok();
        let change = json!({"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}});
        let done = env.patch(&path, STRATEGIC, volume(change)).await.ok();
        let volume = &done["spec"]["template"]["spec"]["volumes"][0];
        assert!(volume["emptyDir"].is_null() && volume["configMap"]["name"] == "c", "{volume}");
    })
    .await;
}
