//! Server-side apply of lists: by key, as a set, whole; and of built-in kinds.

use serde_json::{Value, json};

use super::things::manager;
use super::{APPLY, Env, Reply, conform, text};

async fn apply(env: &Env, path: &str, who: &str, spec: Value) -> Reply {
    env.patch(&format!("{path}?fieldManager={who}"), APPLY, env.thing("a", spec)).await
}

fn port_names(thing: &Value) -> Vec<String> {
    thing["spec"]["ports"].as_array().into_iter().flatten().map(|port| text(&port["name"])).collect()
}

#[tokio::test]
async fn items_of_a_map_list_have_owners_of_their_own() {
    conform(|env: Env| async move {
        let path = format!("{}/a", env.things().await);
        let port = |name: &str, port: u16| json!({"name": name, "port": port});
        apply(&env, &path, "one", json!({"size": 1, "ports": [port("http", 80)]})).await.ok();
        let both = apply(&env, &path, "two", json!({"size": 1, "ports": [port("dns", 53)]})).await.ok();
        assert_eq!(port_names(&both), ["http", "dns"]);
        assert_eq!(both["spec"]["ports"][0]["protocol"], "TCP", "defaults reach into items");
        let two = manager(&both, "two", "Apply").unwrap();
        let key = &two["fieldsV1"]["f:spec"]["f:ports"]["k:{\"name\":\"dns\"}"];
        assert_eq!(key, &json!({".": {}, "f:name": {}, "f:port": {}}));
        let conflict = apply(&env, &path, "two", json!({"size": 1, "ports": [port("http", 81)]})).await;
        let conflict = conflict.refused(409, "Conflict");
        assert_eq!(conflict["details"]["causes"][0]["field"], ".spec.ports[name=\"http\"].port");
        let left = apply(&env, &path, "one", json!({"size": 1})).await.ok();
        assert_eq!(port_names(&left), ["dns"], "an item that its only owner drops is removed");
    })
    .await;
}

#[tokio::test]
async fn members_of_a_set_have_owners_of_their_own() {
    conform(|env: Env| async move {
        let path = format!("{}/a", env.things().await);
        apply(&env, &path, "one", json!({"size": 1, "tags": ["x", "y"]})).await.ok();
        let both = apply(&env, &path, "two", json!({"size": 1, "tags": ["y", "z"]})).await.ok();
        let mut tags: Vec<String> = both["spec"]["tags"].as_array().unwrap().iter().map(text).collect();
        tags.sort();
        assert_eq!(tags, ["x", "y", "z"]);
        let two = manager(&both, "two", "Apply").unwrap();
        assert!(two["fieldsV1"]["f:spec"]["f:tags"]["v:\"z\""].is_object(), "{two}");
        let left = apply(&env, &path, "one", json!({"size": 1})).await.ok();
        assert_eq!(left["spec"]["tags"], json!(["y", "z"]));
    })
    .await;
}

#[tokio::test]
async fn a_list_without_a_type_is_owned_whole() {
    conform(|env: Env| async move {
        let path = format!("{}/a", env.things().await);
        apply(&env, &path, "one", json!({"size": 1, "list": ["x"]})).await.ok();
        let conflict = apply(&env, &path, "two", json!({"size": 1, "list": ["x", "y"]})).await;
        let conflict = conflict.refused(409, "Conflict");
        assert_eq!(conflict["details"]["causes"][0]["field"], ".spec.list");
        apply(&env, &path, "two", json!({"size": 1, "list": ["x"]})).await.ok();
    })
    .await;
}

#[tokio::test]
async fn maps_have_owners_key_by_key() {
    conform(|env: Env| async move {
        let path = format!("{}/m", env.core("configmaps"));
        let apply = async |who: &str, data: Value| {
            env.patch(&format!("{path}?fieldManager={who}"), APPLY, env.map("m", data)).await
        };
        apply("one", json!({"a": "1"})).await.ok();
        let both = apply("two", json!({"b": "2"})).await.ok();
        assert_eq!(both["data"], json!({"a": "1", "b": "2"}));
        apply("two", json!({"a": "x"})).await.refused(409, "Conflict");
        assert_eq!(apply("one", json!({})).await.ok()["data"], json!({"b": "2"}));
    })
    .await;
}

#[tokio::test]
async fn a_deployments_containers_are_owned_by_name() {
    conform(|env: Env| async move {
        let path = format!("{}/d", env.builtin("apps/v1", "deployments"));
        let apply = async |who: &str, containers: Value| {
            let body = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
                "spec": {
                    "replicas": 0, "selector": {"matchLabels": {"app": "d"}},
                    "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": containers}},
                },
            });
            env.patch(&format!("{path}?fieldManager={who}"), APPLY, body).await
        };
        apply("one", json!([{"name": "main", "image": "main:1", "env": [{"name": "A", "value": "1"}]}]))
            .await
            .ok();
        let both = apply("two", json!([{"name": "side", "image": "side:1"}])).await.ok();
        let containers = &both["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers.as_array().unwrap().len(), 2, "{containers}");
        let conflict =
            apply("two", json!([{"name": "main", "image": "other:1"}])).await.refused(409, "Conflict");
        assert_eq!(
            conflict["details"]["causes"][0]["field"],
            ".spec.template.spec.containers[name=\"main\"].image"
        );
        let kept = apply("one", json!([{"name": "main", "image": "main:2"}])).await.ok();
        let main = &kept["spec"]["template"]["spec"]["containers"][0];
        assert_eq!((&main["image"], &main["env"]), (&json!("main:2"), &Value::Null));
        let twice = apply("one", json!([{"name": "m", "image": "a:1"}, {"name": "m", "image": "b:1"}])).await;
        assert!(twice.code >= 400 && twice.raw.contains("duplicate entries for key"), "{}", twice.raw);
    })
    .await;
}

#[tokio::test]
async fn a_services_ports_are_owned_by_port_and_protocol() {
    conform(|env: Env| async move {
        let path = format!("{}/s", env.core("services"));
        let apply = async |who: &str, ports: Value| {
            let body = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
                "spec": {"clusterIP": "None", "selector": {"app": "s"}, "ports": ports},
            });
            env.patch(&format!("{path}?fieldManager={who}"), APPLY, body).await.ok()
        };
        apply("one", json!([{"name": "tcp", "port": 53, "protocol": "TCP"}])).await;
        let both = apply("two", json!([{"name": "udp", "port": 53, "protocol": "UDP"}])).await;
        assert_eq!(both["spec"]["ports"].as_array().unwrap().len(), 2, "{both}");
        let two = manager(&both, "two", "Apply").unwrap();
        let key = &two["fieldsV1"]["f:spec"]["f:ports"]["k:{\"port\":53,\"protocol\":\"UDP\"}"];
        assert!(key["f:name"].is_object(), "{two}");
    })
    .await;
}

#[tokio::test]
async fn finalizers_and_owners_merge_when_applied() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        let mut thing = env.thing("a", json!({"size": 1}));
        thing["metadata"]["finalizers"] = json!(["example.com/one"]);
        env.patch(&format!("{path}?fieldManager=one"), APPLY, thing.clone()).await.ok();
        thing["metadata"]["finalizers"] = json!(["example.com/two"]);
        let both = env.patch(&format!("{path}?fieldManager=two"), APPLY, thing.clone()).await.ok();
        assert_eq!(both["metadata"]["finalizers"], json!(["example.com/one", "example.com/two"]));
        thing["metadata"].as_object_mut().unwrap().remove("finalizers");
        let left = env.patch(&format!("{path}?fieldManager=one"), APPLY, thing.clone()).await.ok();
        assert_eq!(left["metadata"]["finalizers"], json!(["example.com/two"]));
        env.patch(&format!("{path}?fieldManager=two"), APPLY, thing).await.ok();
    })
    .await;
}
