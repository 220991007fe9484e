//! What the built-in kinds do by themselves.

use serde_json::json;

use super::{Env, MERGE, conform, names, text, until, version};

#[tokio::test]
async fn a_secret_takes_strings_and_keeps_them_in_base64() {
    conform(|env: Env| async move {
        let secrets = env.core("secrets");
        let path = format!("{secrets}/s");
        let body = json!({"metadata": {"name": "s"}, "data": {"a": "b2xk", "b": "Yg=="}, "stringData": {"a": "new"}});
        let made = env.post(&secrets, body).await.ok();
        assert_eq!(made["data"], json!({"a": "bmV3", "b": "Yg=="}));
        assert!(made.get("stringData").is_none(), "{made}");
        assert_eq!(made["type"], "Opaque");
        let patched = env.patch(&path, MERGE, json!({"stringData": {"c": "c"}})).await.ok();
        assert_eq!(patched["data"]["c"], "Yw==");
        env.post(&secrets, json!({"metadata": {"name": "bad"}, "data": {"a": "not base64!"}}))
            .await
            .refused(400, "BadRequest");
        env.post(&secrets, json!({"metadata": {"name": "bad"}, "stringData": {"no spaces": ""}}))
            .await
            .invalid("data[no spaces]", "FieldValueInvalid");
        env.patch(&path, MERGE, json!({"type": "kubernetes.io/tls"})).await.invalid("type", "FieldValueInvalid");
        let listed = env.get(&format!("{secrets}?fieldSelector=type%3DOpaque")).await.ok();
        assert_eq!(names(&listed), ["s"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_immutable_stays_so() {
    conform(|env: Env| async move {
        for (plural, data) in [("configmaps", json!({"k": "v"})), ("secrets", json!({"k": "dg=="}))] {
            let all = env.core(plural);
            let path = format!("{all}/x");
            let body = json!({"metadata": {"name": "x"}, "immutable": true, "data": data});
            env.post(&all, body).await.ok();
            env.patch(&path, MERGE, json!({"data": {"k": "eA=="}}))
                .await
                .invalid("data", "FieldValueForbidden");
            env.patch(&path, MERGE, json!({"immutable": false}))
                .await
                .invalid("immutable", "FieldValueForbidden");
            env.patch(&path, MERGE, json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
            env.delete(&path, json!({})).await.ok();
        }
    })
    .await;
}

#[tokio::test]
async fn a_config_map_has_keys_that_files_can_have() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        env.post(&maps, env.map("a", json!({"no/slash": ""})))
            .await
            .invalid("data[no/slash]", "FieldValueInvalid");
        let both = json!({"metadata": {"name": "a"}, "data": {"k": ""}, "binaryData": {"k": "eA=="}});
        env.post(&maps, both).await.refused(422, "Invalid");
        let binary = json!({"metadata": {"name": "b"}, "binaryData": {"k": "AAE="}});
        assert_eq!(env.post(&maps, binary).await.ok()["binaryData"]["k"], "AAE=");
        let large = env.map("c", json!({"k": "x".repeat(1_100_000)}));
        env.post(&maps, large).await.refused(422, "Invalid");
    })
    .await;
}

#[tokio::test]
async fn a_lease_is_taken_by_one_of_many() {
    conform(|env: Env| async move {
        let leases = env.builtin("coordination.k8s.io/v1", "leases");
        let path = format!("{leases}/l");
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
            "spec": {"holderIdentity": "", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"},
        });
        let made = env.post(&leases, lease.clone()).await.ok();
        assert_eq!(made["spec"]["renewTime"], "2026-01-01T00:00:00.000000Z", "with its microseconds");
        env.put(&path, lease).await.invalid("metadata.resourceVersion", "FieldValueInvalid");
        let take = (0..16).map(|n| {
            let mut mine = made.clone();
            mine["spec"]["holderIdentity"] = json!(format!("node-{n}"));
            env.put(&path, mine)
        });
        let won = futures::future::join_all(take).await.iter().filter(|reply| reply.code == 200).count();
        assert_eq!(won, 1);
        let negative = json!({"spec": {"leaseDurationSeconds": 0}});
        env.patch(&path, MERGE, negative).await.invalid("spec.leaseDurationSeconds", "FieldValueInvalid");
        let now = env.get(&path).await.ok();
        assert_ne!(version(&now), version(&made));
    })
    .await;
}

#[tokio::test]
async fn an_event_has_two_faces() {
    conform(|env: Env| async move {
        let (old, new) = (env.core("events"), env.builtin("events.k8s.io/v1", "events"));
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e1"},
            "eventTime": "2026-01-01T00:00:00.000000Z", "action": "Test", "reason": "Tested", "type": "Normal",
            "note": "a note", "reportingController": "example.com/test", "reportingInstance": "test-1",
            "regarding": {"kind": "ConfigMap", "name": "m", "namespace": env.ns},
        });
        env.post(&new, event.clone()).await.ok();
        let seen = env.get(&format!("{old}/e1")).await.ok();
        assert_eq!((&seen["kind"], &seen["apiVersion"]), (&json!("Event"), &json!("v1")));
        assert_eq!((&seen["message"], &seen["involvedObject"]["name"]), (&json!("a note"), &json!("m")));
        assert_eq!(seen["reportingComponent"], "example.com/test");
        let series = json!({"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}});
        let series = env.patch(&format!("{new}/e1"), MERGE, series).await.ok();
        assert_eq!(series["series"]["count"], 2);
        let by = "fieldSelector=involvedObject.name%3Dm,involvedObject.kind%3DConfigMap";
        assert_eq!(names(&env.get(&format!("{old}?{by}")).await.ok()), ["e1"]);
        let by = "fieldSelector=involvedObject.name%3Dother";
        assert!(names(&env.get(&format!("{old}?{by}")).await.ok()).is_empty());
        let mut bare = event.clone();
        bare["metadata"]["name"] = json!("e2");
        bare.as_object_mut().unwrap().remove("action");
        env.post(&new, bare).await.invalid("action", "FieldValueRequired");
        let core = json!({
            "metadata": {"name": "e3"}, "reason": "Old", "message": "as before", "type": "Normal",
            "involvedObject": {"kind": "ConfigMap", "name": "m", "namespace": env.ns}, "count": 3,
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z",
            "source": {"component": "old"},
        });
        env.post(&old, core).await.ok();
        assert_eq!(env.get(&format!("{new}/e3")).await.ok()["note"], "as before");
        let elsewhere = json!({
            "metadata": {"name": "e4"}, "involvedObject": {"kind": "ConfigMap", "name": "m", "namespace": "elsewhere"},
        });
        env.post(&old, elsewhere).await.refused(422, "Invalid");
    })
    .await;
}

#[tokio::test]
async fn one_may_ask_what_one_may_do_and_who_one_is() {
    conform(|env: Env| async move {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": env.ns, "verb": "create", "resource": "secrets"}},
        });
        let reply = env.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review).await;
        assert_eq!(reply.code, 201);
        let answer = reply.ok();
        assert_eq!(answer["status"]["allowed"], true, "{answer}");
        assert_eq!(answer["spec"]["resourceAttributes"]["verb"], "create");
        let rules = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": env.ns},
        });
        let rules = env.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", rules).await.ok();
        assert!(rules["status"]["resourceRules"].is_array(), "{rules}");
        let who = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let who = env.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", who).await.ok();
        assert!(!text(&who["status"]["userInfo"]["username"]).is_empty(), "{who}");
    })
    .await;
}

#[tokio::test]
async fn workloads_get_their_defaults_and_can_be_scaled() {
    conform(|env: Env| async move {
        let deployments = env.builtin("apps/v1", "deployments");
        let path = format!("{deployments}/d");
        let body = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {
                "selector": {"matchLabels": {"app": "d"}},
                "template": {
                    "metadata": {"labels": {"app": "d"}},
                    "spec": {"containers": [{"name": "c", "image": "c:1", "ports": [{"containerPort": 80}]}]},
                },
            },
        });
        let made = env.post(&deployments, body.clone()).await.ok();
        assert_eq!((&made["spec"]["replicas"], &made["metadata"]["generation"]), (&json!(1), &json!(1)));
        assert_eq!(made["spec"]["strategy"]["type"], "RollingUpdate");
        let pod = &made["spec"]["template"]["spec"];
        assert_eq!((&pod["restartPolicy"], &pod["dnsPolicy"]), (&json!("Always"), &json!("ClusterFirst")));
        assert_eq!(pod["containers"][0]["imagePullPolicy"], "IfNotPresent");
        assert_eq!(pod["containers"][0]["ports"][0]["protocol"], "TCP");
        let scaled = env.patch(&format!("{path}/scale"), MERGE, json!({"spec": {"replicas": 0}})).await.ok();
        assert_eq!(
            (&scaled["kind"], &scaled["spec"]["replicas"]),
            (&json!("Scale"), &scaled["spec"]["replicas"])
        );
        assert_eq!(scaled["spec"]["replicas"].as_i64().unwrap_or(0), 0, "zero may be left out");
        until("the scale shows", || async {
            let now = env.get(&path).await.ok();
            (now["spec"]["replicas"] == 0 && now["metadata"]["generation"] == 2).then_some(())
        })
        .await;
        let mut bad = body;
        bad["metadata"]["name"] = json!("e");
        bad["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
        env.post(&deployments, bad.clone())
            .await
            .invalid("spec.template.metadata.labels", "FieldValueInvalid");
        bad["spec"].as_object_mut().unwrap().remove("selector");
        env.post(&deployments, bad).await.refused(422, "Invalid");
    })
    .await;
}
