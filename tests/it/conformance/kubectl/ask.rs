//! `explain`, `api-resources`, `api-versions`, `auth`, `version`, `cluster-info`, `get --raw`.

use serde_json::json;

use super::{Env, Kubectl, conform};

#[tokio::test]
async fn explain_knows_the_schema() {
    conform(|env: Env| async move {
        env.things().await;
        let kubectl = Kubectl::new(&env).await;
        let kind = format!("things.{}", env.group);
        super::super::until("the schema is published", || async {
            let said = kubectl.run(&["explain", &kind]).await;
            (said.code == 0).then_some(())
        })
        .await;
        let text = kubectl.ok(&["explain", &kind]).await;
        for part in ["KIND:", "Thing", "A thing of the tests.", "spec", "metadata"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let version = format!("--api-version={}/v1", env.group);
        let field = kubectl.ok(&["explain", "things.spec.size", &version]).await;
        assert!(field.contains("<integer>") && field.contains("How large it is, 1 to 100."), "{field}");
        let all = kubectl.ok(&["explain", &kind, "--recursive"]).await;
        assert!(all.contains("ports") && all.contains("protocol"), "{all}");
        let choice = kubectl.ok(&["explain", "things.spec.colour", &version]).await;
        assert!(["red", "green", "blue"].iter().all(|one| choice.contains(one)), "{choice}");
        let said = kubectl.run(&["explain", "things.spec.nothing", &version]).await;
        assert!(said.code != 0 && said.err.contains("does not exist"), "{said:?}");
        let map = kubectl.ok(&["explain", "configmap.data"]).await;
        assert!(map.contains("map[string]string"), "{map}");
    })
    .await;
}

#[tokio::test]
async fn what_is_served_is_listed() {
    conform(|env: Env| async move {
        env.things().await;
        let kubectl = Kubectl::new(&env).await;
        let all = kubectl.ok(&["api-resources", "--api-group", &env.group, "--no-headers"]).await;
        let cells: Vec<&str> = all.split_whitespace().collect();
        assert_eq!(cells, ["things", "th", &format!("{}/v1", env.group), "true", "Thing"]);
        let wide = kubectl.ok(&["api-resources", "-o", "wide", "--categories", "oddments"]).await;
        assert!(wide.contains("deletecollection") && wide.contains("things"), "{wide}");
        let cluster = kubectl.ok(&["api-resources", "--namespaced=false", "-o", "name"]).await;
        assert!(cluster.lines().any(|line| line == "namespaces"), "{cluster}");
        let versions = kubectl.ok(&["api-versions"]).await;
        for version in ["v1", "apps/v1", &format!("{}/v1", env.group)] {
            assert!(versions.lines().any(|line| line == version), "{version} in {versions}");
        }
        let said = kubectl.ok(&["get", &format!("th.{}", env.group)]).await;
        assert!(said.is_empty(), "a short name with its group: {said}");
    })
    .await;
}

#[tokio::test]
async fn questions_about_oneself_and_the_server_are_answered() {
    conform(|env: Env| async move {
        let kubectl = Kubectl::new(&env).await;
        assert_eq!(kubectl.ok(&["auth", "can-i", "create", "secrets"]).await.trim(), "yes");
        assert_eq!(kubectl.ok(&["auth", "can-i", "*", "*"]).await.trim(), "yes");
        let list = kubectl.ok(&["auth", "can-i", "--list"]).await;
        assert!(list.contains("*.*"), "{list}");
        let who = kubectl.ok(&["auth", "whoami", "-o", "json"]).await;
        let who: serde_json::Value = serde_json::from_str(&who).unwrap();
        assert!(who["status"]["userInfo"]["username"].is_string(), "{who}");
        let version = kubectl.json(&["version"]).await;
        assert!(version["serverVersion"]["gitVersion"].is_string(), "{version}");
        let info = kubectl.ok(&["cluster-info"]).await;
        assert!(info.contains("is running at"), "{info}");
        assert_eq!(kubectl.ok(&["get", "--raw", "/readyz"]).await.trim(), "ok");
        let raw = kubectl.ok(&["get", "--raw", "/api/v1/namespaces/default"]).await;
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&raw).unwrap()["metadata"]["name"],
            json!("default")
        );
    })
    .await;
}

#[tokio::test]
async fn who_has_no_token_is_not_let_in() {
    conform(|env: Env| async move {
        let kubectl = Kubectl::new(&env).await;
        let config = kubectl.json(&["config", "view", "--raw"]).await;
        let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap().to_owned();
        let none = kubectl.file("none", "apiVersion: v1\nkind: Config\n");
        // The last --kubeconfig counts, and that is the test's own: so the environment of this one is bare.
        let mut command = tokio::process::Command::new(super::binary());
        command.args([
            "get",
            "secrets",
            "--server",
            &server,
            "--insecure-skip-tls-verify",
            "--kubeconfig",
            &none,
        ]);
        command.args(["--token", "wrong"]).kill_on_drop(true);
        let output = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("Unauthorized") || said.contains("must be logged in"), "{said}");
    })
    .await;
}
