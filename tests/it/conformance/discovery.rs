//! What tells clients what there is: versions, groups, resources, OpenAPI, health.

use serde_json::{Value, json};

use super::{Env, conform, text, until};

const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

fn find<'a>(list: &'a Value, field: &str, wanted: &str) -> &'a Value {
    let all = list.as_array().unwrap_or_else(|| panic!("a list, not {list}"));
    all.iter().find(|one| one[field] == wanted).unwrap_or_else(|| panic!("no {wanted} in {list}"))
}

#[tokio::test]
async fn the_server_says_its_version_and_its_health() {
    conform(|env: Env| async move {
        let version = env.get("/version").await.ok();
        assert_eq!(version["major"], "1");
        let minor: u32 = text(&version["minor"]).trim_end_matches('+').parse().unwrap();
        assert!(minor >= 28, "{version}");
        assert!(text(&version["gitVersion"]).starts_with(&format!("v1.{minor}")), "{version}");
        for path in ["/healthz", "/livez", "/readyz"] {
            let reply = env.get(path).await;
            assert_eq!((reply.code, reply.raw.as_str()), (200, "ok"), "{path}");
        }
        let verbose = env.get("/readyz?verbose").await;
        assert!(verbose.raw.contains("[+]") && verbose.raw.ends_with("check passed\n"), "{}", verbose.raw);
    })
    .await;
}

#[tokio::test]
async fn resources_are_discovered_group_by_group() {
    conform(|env: Env| async move {
        env.things().await;
        assert_eq!(env.get("/api").await.ok()["versions"], json!(["v1"]));
        let core = env.get("/api/v1").await.ok();
        assert_eq!((&core["kind"], &core["groupVersion"]), (&json!("APIResourceList"), &json!("v1")));
        let maps = find(&core["resources"], "name", "configmaps");
        assert_eq!((&maps["kind"], &maps["namespaced"]), (&json!("ConfigMap"), &json!(true)));
        assert_eq!(maps["shortNames"], json!(["cm"]));
        let verbs = maps["verbs"].as_array().unwrap();
        for verb in ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"] {
            assert!(verbs.contains(&json!(verb)), "{verb} in {verbs:?}");
        }
        assert_eq!(find(&core["resources"], "name", "namespaces")["namespaced"], false);
        find(&core["resources"], "name", "namespaces/status");
        until("our group is discovered", || async {
            let groups = env.get("/apis").await.ok();
            let all = groups["groups"].as_array().unwrap().clone();
            all.iter().any(|one| one["name"] == json!(env.group)).then_some(())
        })
        .await;
        let ours = env.get(&format!("/apis/{}/v1", env.group)).await.ok();
        let thing = find(&ours["resources"], "name", "things");
        assert_eq!((&thing["singularName"], &thing["kind"]), (&json!("thing"), &json!("Thing")));
        assert_eq!((&thing["shortNames"], &thing["categories"]), (&json!(["th"]), &json!(["oddments"])));
        let scale = find(&ours["resources"], "name", "things/scale");
        assert_eq!((&scale["group"], &scale["kind"]), (&json!("autoscaling"), &json!("Scale")));
        for group in [
            "apps",
            "batch",
            "coordination.k8s.io",
            "events.k8s.io",
            "rbac.authorization.k8s.io",
            "networking.k8s.io",
            "apiextensions.k8s.io",
            "authorization.k8s.io",
        ] {
            assert_eq!(env.get(&format!("/apis/{group}")).await.ok()["kind"], "APIGroup", "{group}");
        }
    })
    .await;
}

#[tokio::test]
async fn discovery_may_be_had_in_two_requests() {
    conform(|env: Env| async move {
        env.things().await;
        let reply = env.get_as("/api", AGGREGATED).await;
        assert!(reply.kind.contains("as=APIGroupDiscoveryList"), "{}", reply.kind);
        let core = reply.ok();
        assert_eq!(core["apiVersion"], "apidiscovery.k8s.io/v2");
        let version = find(&core["items"][0]["versions"], "version", "v1");
        let maps = find(&version["resources"], "resource", "configmaps");
        assert_eq!(
            (&maps["scope"], &maps["responseKind"]["kind"]),
            (&json!("Namespaced"), &json!("ConfigMap"))
        );
        let ours = until("our group is discovered", || async {
            let all = env.get_as("/apis", AGGREGATED).await.ok();
            let items = all["items"].as_array().unwrap().clone();
            items.into_iter().find(|one| one["metadata"]["name"] == json!(env.group))
        })
        .await;
        let thing = find(&find(&ours["versions"], "version", "v1")["resources"], "resource", "things");
        assert_eq!((&thing["singularResource"], &thing["shortNames"]), (&json!("thing"), &json!(["th"])));
        let subresources = thing["subresources"].as_array().unwrap();
        assert!(subresources.iter().any(|one| one["subresource"] == "status"), "{thing}");
        // kube's own discovery reads both ways.
        let kind = kube::core::GroupVersionKind::gvk(&env.group, "v1", "Thing");
        let (resource, capabilities) = kube::discovery::pinned_kind(&env.client, &kind).await.unwrap();
        assert_eq!(resource.plural, "things");
        assert!(capabilities.supports_operation(kube::discovery::verbs::WATCH));
    })
    .await;
}

#[tokio::test]
async fn schemas_are_published_as_openapi_v3() {
    conform(|env: Env| async move {
        env.things().await;
        let key = format!("apis/{}/v1", env.group);
        let url = until("our group is published", || async {
            let index = env.get("/openapi/v3").await.ok();
            assert!(index["paths"]["api/v1"].is_object(), "{index}");
            index["paths"][&key]["serverRelativeURL"].as_str().map(str::to_owned)
        })
        .await;
        let document = env.get(&url).await.ok();
        assert!(text(&document["openapi"]).starts_with("3."), "{}", document["openapi"]);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let gvk = json!([{"group": env.group, "kind": "Thing", "version": "v1"}]);
        let thing = schemas.values().find(|one| one["x-kubernetes-group-version-kind"] == gvk).unwrap();
        assert_eq!(thing["description"], "A thing of the tests.");
        let spec = &thing["properties"]["spec"];
        assert_eq!(spec["properties"]["size"]["description"], "How large it is, 1 to 100.");
        assert_eq!(spec["required"], json!(["size"]));
        let path = format!("/apis/{}/v1/namespaces/{{namespace}}/things", env.group);
        assert_eq!(document["paths"][&path]["get"]["x-kubernetes-action"], "list", "{path}");
        let core = env.get("/openapi/v3/api/v1").await.ok();
        let map = &core["components"]["schemas"]["io.k8s.api.core.v1.ConfigMap"];
        assert_eq!(map["properties"]["data"]["type"], "object");
    })
    .await;
}
