//! `delete`, `wait`, `scale`, `rollout`.

use serde_json::json;

use super::{Env, Kubectl, conform, thing};

#[tokio::test]
async fn delete_waits_until_the_object_is_gone_unless_told_not_to() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let (kubectl, kind) = (Kubectl::new(&env).await, format!("things.{}", env.group));
        for (name, held) in [("a", false), ("b", true), ("c", false)] {
            let mut thing = env.thing(name, json!({"size": 1}));
            if held {
                thing["metadata"]["finalizers"] = json!(["example.com/x"]);
            }
            thing["metadata"]["labels"] = json!({"app": "x"});
            env.post(&things, thing).await.ok();
        }
        assert!(kubectl.ok(&["delete", &kind, "a"]).await.contains("deleted"));
        assert!(kubectl.ok(&["delete", &kind, "b", "--wait=false"]).await.contains("deleted"));
        let said = kubectl.run(&["delete", &kind, "b", "--timeout=300ms"]).await;
        assert!(said.code != 0 && said.err.contains("timed out"), "{said:?}");
        let waiting = kubectl.start(&["delete", &kind, "b"]);
        kubectl
            .ok(&["patch", &kind, "b", "--type", "merge", "-p", r#"{"metadata":{"finalizers":null}}"#])
            .await;
        let ended = waiting.wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success() || said.contains("NotFound"), "{said}");
        kubectl.ok(&["delete", &kind, "-l", "app=x", "--grace-period=0", "--force"]).await;
        assert!(kubectl.ok(&["get", &kind, "-o", "name"]).await.is_empty());
        kubectl.ok(&["delete", &kind, "a", "--ignore-not-found"]).await;
        kubectl.feed(&["create", "-f", "-"], &thing(&env, "d", "{size: 1}")).await;
        kubectl.ok(&["delete", &kind, "--all"]).await;
    })
    .await;
}

#[tokio::test]
async fn delete_leaves_or_takes_the_dependents_as_told() {
    conform(|env: Env| async move {
        let kubectl = Kubectl::new(&env).await;
        let maps = env.core("configmaps");
        for (cascade, stays) in [("orphan", true), ("foreground", false), ("background", false)] {
            let owner = env.post(&maps, env.map(&format!("{cascade}-owner"), json!({}))).await.ok();
            let mut child = env.map(&format!("{cascade}-child"), json!({}));
            child["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
            }]);
            env.post(&maps, child).await.ok();
            let owner = format!("{cascade}-owner");
            kubectl.ok(&["delete", "configmap", &owner, &format!("--cascade={cascade}")]).await;
            let child = format!("configmap/{cascade}-child");
            if stays {
                assert_eq!(
                    kubectl.ok(&["get", &child, "-o", "jsonpath={.metadata.ownerReferences}"]).await,
                    ""
                );
            } else {
                kubectl.ok(&["wait", "--for=delete", &child, "--timeout=60s"]).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn wait_waits_for_conditions_values_and_ends() {
    conform(|env: Env| async move {
        let things = env.things().await;
        env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        let (kubectl, kind) = (Kubectl::new(&env).await, format!("things.{}", env.group));
        let object = format!("{kind}/a");
        let said = kubectl.run(&["wait", "--for=condition=Ready", &object, "--timeout=300ms"]).await;
        assert!(said.code != 0 && said.err.contains("timed out"), "{said:?}");
        let ready = kubectl.start(&["wait", "--for=condition=Ready", &object, "--timeout=60s"]);
        let value = kubectl.start(&["wait", "--for=jsonpath={.status.phase}=Done", &object, "--timeout=60s"]);
        let gone = kubectl.start(&["wait", "--for=delete", &object, "--timeout=60s"]);
        let status = json!({"status": {"phase": "Done", "conditions": [
            {"type": "Ready", "status": "True", "reason": "Done", "message": ""},
        ]}});
        env.patch(&format!("{things}/a/status"), super::super::MERGE, status).await.ok();
        for child in [ready, value] {
            let output = child.wait_with_output().await.unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.contains("condition met"), "{said}");
        }
        kubectl.ok(&["delete", &kind, "a"]).await;
        assert!(gone.wait_with_output().await.unwrap().status.success());
        kubectl.ok(&["wait", "--for=condition=Established", &format!("crd/things.{}", env.group)]).await;
        let namespace = format!("namespace/{}", env.ns);
        kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Active", &namespace]).await;
    })
    .await;
}

#[tokio::test]
async fn scale_and_rollout_work_on_what_scales() {
    conform(|env: Env| async move {
        let things = env.things().await;
        env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        let (kubectl, kind) = (Kubectl::new(&env).await, format!("things.{}", env.group));
        assert!(kubectl.ok(&["scale", &kind, "a", "--replicas=5"]).await.contains("scaled"));
        assert_eq!(kubectl.ok(&["get", &kind, "a", "-o", "jsonpath={.spec.size}"]).await, "5");
        let said = kubectl.run(&["scale", &kind, "a", "--current-replicas=9", "--replicas=1"]).await;
        assert!(said.code != 0, "{said:?}");
        kubectl.ok(&["create", "deployment", "d", "--image=d:1", "--replicas=0"]).await;
        kubectl.ok(&["scale", "deployment", "d", "--replicas=0"]).await;
        kubectl.ok(&["rollout", "restart", "deployment", "d"]).await;
        let template = "jsonpath={.spec.template.metadata.annotations}";
        let annotations = kubectl.ok(&["get", "deployment", "d", "-o", template]).await;
        assert!(annotations.contains("restartedAt"), "{annotations}");
        let now = kubectl.json(&["get", "deployment", "d"]).await;
        let status = json!({"status": {
            "observedGeneration": now["metadata"]["generation"], "replicas": 0, "updatedReplicas": 0,
            "availableReplicas": 0,
        }});
        let path = format!("{}/d/status", env.builtin("apps/v1", "deployments"));
        env.patch(&path, super::super::MERGE, status).await.ok();
        let out = kubectl.ok(&["rollout", "status", "deployment", "d", "--timeout=60s"]).await;
        assert!(out.contains("successfully rolled out"), "{out}");
    })
    .await;
}
