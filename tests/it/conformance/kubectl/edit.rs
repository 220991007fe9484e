//! `apply`, `diff`, `edit`, `patch`, `label`, `annotate`, `replace`, `create`.

use serde_json::json;

use super::super::things::manager;
use super::{Env, Kubectl, conform, thing};

#[tokio::test]
async fn apply_on_the_client_merges_three_ways() {
    conform(|env: Env| async move {
        env.things().await;
        let (kubectl, kind) = (Kubectl::new(&env).await, format!("things.{}", env.group));
        let apply = ["apply", "-f", "-"];
        let first = thing(&env, "a", "{size: 1, words: w, list: [x]}");
        assert!(kubectl.feed(&apply, &first).await.contains("created"));
        assert!(kubectl.feed(&apply, &first).await.contains("unchanged"));
        kubectl.ok(&["patch", &kind, "a", "--type", "merge", "-p", r#"{"spec":{"note":"theirs"}}"#]).await;
        let out = kubectl.feed(&apply, &thing(&env, "a", "{size: 2, list: [x, z]}")).await;
        assert!(out.contains("configured"), "{out}");
        let now = kubectl.json(&["get", &kind, "a"]).await;
        assert_eq!((&now["spec"]["size"], &now["spec"]["list"]), (&json!(2), &json!(["x", "z"])));
        assert!(now["spec"].get("words").is_none(), "what is no longer applied goes: {now}");
        assert_eq!(now["spec"]["note"], "theirs", "what others wrote stays: {now}");
        let last = kubectl.ok(&["apply", "view-last-applied", &kind, "a"]).await;
        assert!(last.contains("size: 2"), "{last}");
    })
    .await;
}

#[tokio::test]
async fn apply_of_built_in_kinds_merges_by_key() {
    conform(|env: Env| async move {
        let kubectl = Kubectl::new(&env).await;
        let deployment = |image: &str, more: &str| {
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec:\n  replicas: 0\n  selector: \
                 {{matchLabels: {{app: d}}}}\n  template:\n    metadata: {{labels: {{app: d}}}}\n    spec:\n      \
                 containers:\n      - {{name: one, image: \"{image}\"}}\n{more}"
            )
        };
        kubectl.feed(&["apply", "-f", "-"], &deployment("one:1", "      - {name: two, image: \"two:1\"}\n")).await;
        kubectl.ok(&["set", "env", "deployment/d", "-c", "one", "A=1"]).await;
        kubectl.feed(&["apply", "-f", "-"], &deployment("one:2", "")).await;
        let now = kubectl.json(&["get", "deployment", "d"]).await;
        let containers = now["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        assert_eq!(containers.len(), 1, "{containers:?}");
        assert_eq!(containers[0]["image"], "one:2");
        assert_eq!(containers[0]["env"][0]["name"], "A", "{containers:?}");
        kubectl.ok(&["set", "image", "deployment/d", "one=one:3"]).await;
        let image = "jsonpath={.spec.template.spec.containers[0].image}";
        assert_eq!(kubectl.ok(&["get", "deployment", "d", "-o", image]).await, "one:3");
    })
    .await;
}

#[tokio::test]
async fn apply_on_the_server_knows_owners_and_conflicts() {
    conform(|env: Env| async move {
        env.things().await;
        let (kubectl, kind) = (Kubectl::new(&env).await, format!("things.{}", env.group));
        let one = ["apply", "--server-side", "--field-manager", "one", "-f", "-"];
        let two = ["apply", "--server-side", "--field-manager", "two", "-f", "-"];
        let out = kubectl.feed(&one, &thing(&env, "a", "{size: 1, words: w}")).await;
        assert!(out.contains("serverside-applied"), "{out}");
        let said = kubectl.try_feed(&two, &thing(&env, "a", "{size: 2}")).await;
        assert_eq!(said.code, 1);
        assert!(
            said.err.contains("conflict with \"one\"") && said.err.contains(".spec.size"),
            "{}",
            said.err
        );
        let forced: Vec<&str> = two.iter().copied().chain(["--force-conflicts"]).collect();
        kubectl.feed(&forced, &thing(&env, "a", "{size: 2}")).await;
        let now = kubectl.json(&["get", &kind, "a", "--show-managed-fields"]).await;
        assert_eq!(now["spec"]["size"], 2);
        assert!(manager(&now, "one", "Apply").is_some() && manager(&now, "two", "Apply").is_some(), "{now}");
        // From client-side to server-side: what the client had applied is taken over.
        kubectl.feed(&["apply", "-f", "-"], &thing(&env, "b", "{size: 1, words: w}")).await;
        kubectl.feed(&["apply", "--server-side", "-f", "-"], &thing(&env, "b", "{size: 3}")).await;
        let now = kubectl.json(&["get", &kind, "b"]).await;
        assert_eq!(now["spec"]["size"], 3);
        assert!(now["spec"].get("words").is_none(), "{now}");
    })
    .await;
}

#[tokio::test]
async fn apply_takes_lists_folders_and_many_documents() {
    conform(|env: Env| async move {
        env.things().await;
        let kubectl = Kubectl::new(&env).await;
        let many = format!("{}---\n{}", thing(&env, "a", "{size: 1}"), thing(&env, "b", "{size: 1}"));
        assert_eq!(kubectl.feed(&["apply", "-f", "-"], &many).await.lines().count(), 2);
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            env.map("m", json!({"k": "v"})), env.thing("c", json!({"size": 1})),
        ]});
        assert_eq!(kubectl.feed(&["apply", "-f", "-"], &list.to_string()).await.lines().count(), 2);
        kubectl.file("folder/one.yaml", &thing(&env, "d", "{size: 1}"));
        kubectl.file("folder/sub/two.yaml", &thing(&env, "e", "{size: 1}"));
        assert_eq!(kubectl.ok(&["apply", "-R", "-f", "folder"]).await.lines().count(), 2);
        let dry =
            kubectl.feed(&["apply", "--dry-run=server", "-f", "-"], &thing(&env, "f", "{size: 1}")).await;
        assert!(dry.contains("server dry run"), "{dry}");
        assert_eq!(kubectl.run(&["get", &format!("things.{}", env.group), "f"]).await.code, 1);
        let bad = kubectl.try_feed(&["apply", "-f", "-"], &thing(&env, "g", "{size: 0}")).await;
        assert_eq!(bad.code, 1);
        assert!(
            bad.err.contains("spec.size") && bad.err.contains("greater than or equal to 1"),
            "{}",
            bad.err
        );
        let unknown = kubectl.try_feed(&["apply", "-f", "-"], &thing(&env, "g", "{size: 1, odd: 1}")).await;
        assert!(unknown.code != 0 && unknown.err.contains("unknown field \"spec.odd\""), "{unknown:?}");
    })
    .await;
}

#[tokio::test]
async fn diff_shows_what_an_apply_would_change() {
    conform(|env: Env| async move {
        env.things().await;
        let kubectl = Kubectl::new(&env).await;
        let first = thing(&env, "a", "{size: 1}");
        kubectl.feed(&["apply", "-f", "-"], &first).await;
        assert_eq!(kubectl.try_feed(&["diff", "-f", "-"], &first).await.code, 0);
        for mode in [&["diff", "-f", "-"][..], &["diff", "--server-side", "--force-conflicts", "-f", "-"]] {
            let said = kubectl.try_feed(mode, &thing(&env, "a", "{size: 2}")).await;
            assert_eq!(said.code, 1, "{said:?}");
            assert!(said.out.contains("-  size: 1") && said.out.contains("+  size: 2"), "{}", said.out);
        }
        let said = kubectl.try_feed(&["diff", "-f", "-"], &thing(&env, "new", "{size: 2}")).await;
        assert!(said.code == 1 && said.out.contains("+  size: 2"), "{said:?}");
    })
    .await;
}

#[tokio::test]
async fn edit_patch_label_and_annotate_change_it() {
    conform(|env: Env| async move {
        let things = env.things().await;
        env.post(&things, env.thing("a", json!({"size": 1, "list": ["x"]}))).await.ok();
        let (kubectl, kind) = (Kubectl::new(&env).await, format!("things.{}", env.group));
        let said = kubectl.with_editor(&["edit", &kind, "a"], "sed -i s/size:.*1/size:\\ 5/").await;
        assert!(said.code == 0 && said.out.contains("edited"), "{said:?}");
        let said = kubectl.with_editor(&["edit", &kind, "a"], "true").await;
        assert!(said.err.contains("Edit cancelled") || said.out.contains("Edit cancelled"), "{said:?}");
        let size = async || kubectl.ok(&["get", &kind, "a", "-o", "jsonpath={.spec.size}"]).await;
        assert_eq!(size().await, "5");
        kubectl.ok(&["patch", &kind, "a", "--type", "merge", "-p", r#"{"spec":{"size":6}}"#]).await;
        assert_eq!(size().await, "6");
        let operations = r#"[{"op":"replace","path":"/spec/size","value":7}]"#;
        kubectl.ok(&["patch", &kind, "a", "--type", "json", "-p", operations]).await;
        assert_eq!(size().await, "7");
        let status = r#"{"status":{"phase":"Busy"}}"#;
        kubectl.ok(&["patch", &kind, "a", "--subresource", "status", "--type", "merge", "-p", status]).await;
        assert_eq!(kubectl.ok(&["get", &kind, "a", "-o", "jsonpath={.status.phase}"]).await, "Busy");
        let none =
            kubectl.ok(&["patch", &kind, "a", "--type", "merge", "-p", r#"{"spec":{"size":7}}"#]).await;
        assert!(none.contains("no change"), "{none}");
        assert!(kubectl.ok(&["label", &kind, "a", "x=1"]).await.contains("labeled"));
        let said = kubectl.run(&["label", &kind, "a", "x=2"]).await;
        assert!(said.code != 0 && said.err.contains("overwrite"), "{said:?}");
        kubectl.ok(&["label", &kind, "a", "x=2", "--overwrite"]).await;
        kubectl.ok(&["annotate", &kind, "a", "note=hello world"]).await;
        let now = kubectl.json(&["get", &kind, "a"]).await;
        assert_eq!(
            (&now["metadata"]["labels"]["x"], &now["metadata"]["annotations"]["note"]),
            (&json!("2"), &json!("hello world"))
        );
        kubectl.ok(&["label", &kind, "a", "x-"]).await;
        assert!(kubectl.json(&["get", &kind, "a"]).await["metadata"]["labels"].is_null());
        kubectl.ok(&["create", "configmap", "m", "--from-literal=k=v"]).await;
        kubectl.ok(&["patch", "configmap", "m", "-p", r#"{"data":{"l":"w"}}"#]).await;
        assert_eq!(kubectl.json(&["get", "configmap", "m"]).await["data"], json!({"k": "v", "l": "w"}));
    })
    .await;
}

#[tokio::test]
async fn replace_and_create_say_what_they_did() {
    conform(|env: Env| async move {
        env.things().await;
        let (kubectl, kind) = (Kubectl::new(&env).await, format!("things.{}", env.group));
        assert!(
            kubectl.feed(&["create", "-f", "-"], &thing(&env, "a", "{size: 1}")).await.contains("created")
        );
        let again = kubectl.try_feed(&["create", "-f", "-"], &thing(&env, "a", "{size: 1}")).await;
        assert!(again.code == 1 && again.err.contains("(AlreadyExists)"), "{again:?}");
        let mut now = kubectl.json(&["get", &kind, "a"]).await;
        let uid = now["metadata"]["uid"].clone();
        now["spec"]["size"] = json!(2);
        assert!(kubectl.feed(&["replace", "-f", "-"], &now.to_string()).await.contains("replaced"));
        now["spec"]["size"] = json!(3);
        let stale = kubectl.try_feed(&["replace", "-f", "-"], &now.to_string()).await;
        assert!(stale.code == 1 && stale.err.contains("(Conflict)"), "{stale:?}");
        kubectl.feed(&["replace", "--force", "-f", "-"], &thing(&env, "a", "{size: 4}")).await;
        let now = kubectl.json(&["get", &kind, "a"]).await;
        assert_eq!(now["spec"]["size"], 4);
        assert_ne!(now["metadata"]["uid"], uid);
        kubectl.ok(&["create", "secret", "generic", "s", "--from-literal=k=v"]).await;
        assert_eq!(kubectl.ok(&["get", "secret", "s", "-o", "jsonpath={.data.k}"]).await, "dg==");
        kubectl.ok(&["create", "deployment", "d", "--image=d:1", "--replicas=0"]).await;
        let dry = kubectl.ok(&["create", "configmap", "m", "--dry-run=server", "-o", "yaml"]).await;
        assert!(dry.contains("creationTimestamp: \"2"), "{dry}");
        let ns = format!("{}-more", env.ns);
        kubectl.ok(&["create", "namespace", &ns]).await;
        kubectl.ok(&["delete", "namespace", &ns]).await;
    })
    .await;
}
