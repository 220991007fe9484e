//! `get` and `describe`.

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{Env, Kubectl, conform, rows, thing};

async fn three(env: &Env) -> Kubectl {
    let things = env.things().await;
    for (name, size, colour) in [("a", 3, "red"), ("b", 1, "blue"), ("c", 2, "red")] {
        let mut thing = env.thing(name, json!({"size": size, "colour": colour, "words": "w"}));
        thing["metadata"]["labels"] = json!({"first": (name == "a").to_string()});
        env.post(&things, thing).await.ok();
    }
    Kubectl::new(env).await
}

#[tokio::test]
async fn get_prints_what_it_is_asked_to_print() {
    conform(|env: Env| async move {
        let kubectl = three(&env).await;
        let kind = format!("things.{}", env.group);
        let table = rows(&kubectl.ok(&["get", &kind]).await);
        assert_eq!(table[0], ["NAME", "SIZE", "COLOUR", "AGE"]);
        assert_eq!(table[1][..3], ["a", "3", "red"]);
        assert_eq!(table.len(), 4);
        let wide = rows(&kubectl.ok(&["get", &kind, "-o", "wide"]).await);
        assert_eq!(wide[0], ["NAME", "SIZE", "COLOUR", "WORDS", "AGE"]);
        assert_eq!(
            kubectl.ok(&["get", &kind, "-o", "name"]).await.lines().next().unwrap(),
            format!("thing.{}/a", env.group)
        );
        assert_eq!(kubectl.ok(&["get", &kind, "a", "-o", "jsonpath={.spec.size}"]).await, "3");
        let yaml = kubectl.ok(&["get", &kind, "a", "-o", "yaml"]).await;
        assert!(yaml.contains("kind: Thing\n") && !yaml.contains("managedFields"), "{yaml}");
        let yaml = kubectl.ok(&["get", &kind, "a", "-o", "yaml", "--show-managed-fields"]).await;
        assert!(yaml.contains("managedFields"), "{yaml}");
        let list = kubectl.json(&["get", &kind]).await;
        assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("List"), 3));
        let columns = "custom-columns=NAME:.metadata.name,SIZE:.spec.size";
        let table = rows(&kubectl.ok(&["get", &kind, "-o", columns]).await);
        assert_eq!(table[2], ["b", "1"]);
        let sorted = kubectl.ok(&["get", &kind, "--sort-by", ".spec.size", "-o", "name"]).await;
        assert!(sorted.lines().next().unwrap().ends_with("/b"), "{sorted}");
        let paged = kubectl.ok(&["get", &kind, "--chunk-size", "1", "--no-headers"]).await;
        assert_eq!(paged.lines().count(), 3, "{paged}");
        let labelled = kubectl.ok(&["get", &kind, "-l", "first=true", "--no-headers"]).await;
        assert_eq!(labelled.lines().count(), 1, "{labelled}");
        let labels = rows(&kubectl.ok(&["get", &kind, "-L", "first"]).await);
        assert_eq!(labels[0].last().unwrap(), "FIRST");
        assert_eq!(labels[1].last().unwrap(), "true");
        let by_field =
            kubectl.ok(&["get", &kind, "--field-selector", "metadata.name!=a", "-o", "name"]).await;
        assert_eq!(by_field.lines().count(), 2, "{by_field}");
        let everywhere = rows(&kubectl.ok(&["get", &kind, "-A"]).await);
        assert_eq!((everywhere[0][0].as_str(), everywhere[1][0].as_str()), ("NAMESPACE", env.ns.as_str()));
        let both = kubectl.ok(&["get", &format!("{kind},configmaps"), "-o", "name"]).await;
        assert!(both.contains(&format!("thing.{}/a", env.group)), "{both}");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    conform(|env: Env| async move {
        let kubectl = three(&env).await;
        let said = kubectl.run(&["get", &format!("things.{}", env.group), "none"]).await;
        assert_eq!(said.code, 1);
        assert!(said.err.contains("(NotFound)") && said.err.contains("\"none\" not found"), "{}", said.err);
        let said = kubectl.run(&["get", "secrets"]).await;
        assert!(said.err.contains("No resources found") || said.out.contains("TYPE"), "{said:?}");
        let said = kubectl.run(&["get", "nonsense"]).await;
        assert!(said.err.contains("doesn't have a resource type \"nonsense\""), "{}", said.err);
        let kind = format!("things.{}", env.group);
        kubectl.ok(&["get", &kind, "none", "--ignore-not-found"]).await;
    })
    .await;
}

#[tokio::test]
async fn get_watch_prints_what_comes() {
    conform(|env: Env| async move {
        let kubectl = three(&env).await;
        let kind = format!("things.{}", env.group);
        let mut all = kubectl.start(&["get", &kind, "-w"]);
        let mut lines = BufReader::new(all.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().unwrap();
        assert!(first.starts_with("NAME"), "{first}");
        for name in ["a", "b", "c"] {
            assert!(lines.next_line().await.unwrap().unwrap().starts_with(name));
        }
        kubectl.feed(&["create", "-f", "-"], &thing(&env, "d", "{size: 7}")).await;
        let row = lines.next_line().await.unwrap().unwrap();
        assert!(row.starts_with("d") && row.contains('7'), "{row}");
        kubectl.ok(&["delete", &kind, "d"]).await;
        assert!(lines.next_line().await.unwrap().unwrap().starts_with('d'));
        all.kill().await.unwrap();
        let mut only = kubectl.start(&["get", &kind, "--watch-only", "-o", "name"]);
        let mut lines = BufReader::new(only.stdout.take().unwrap()).lines();
        let next = tokio::spawn(async move { lines.next_line().await.unwrap().unwrap() });
        // Nobody can tell when it listens; so something changes until it has seen it.
        let mut size = 1;
        while !next.is_finished() {
            size = size % 90 + 1;
            let patch = format!(r#"{{"spec":{{"size":{size}}}}}"#);
            kubectl.ok(&["patch", &kind, "b", "--type", "merge", "-p", &patch]).await;
        }
        assert!(next.await.unwrap().ends_with("/b"));
        only.kill().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn describe_tells_the_object_and_its_events() {
    conform(|env: Env| async move {
        let kubectl = three(&env).await;
        let things = format!("/apis/{}/v1/namespaces/{}/things/a", env.group, env.ns);
        let a = env.get(&things).await.ok();
        let event = json!({
            "metadata": {"name": "e"}, "reason": "Shone", "message": "it shone brightly", "type": "Normal",
            "involvedObject": {"apiVersion": a["apiVersion"], "kind": "Thing", "name": "a", "namespace": env.ns,
                "uid": a["metadata"]["uid"]},
            "count": 1, "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z",
            "source": {"component": "test"},
        });
        env.post(&env.core("events"), event).await.ok();
        let text = kubectl.ok(&["describe", &format!("things.{}", env.group), "a"]).await;
        for part in ["Name:", "Size:", "Events:", "Shone", "it shone brightly"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let events = kubectl.ok(&["get", "events"]).await;
        assert!(events.contains("Shone") && events.contains("thing/a"), "{events}");
        let events = kubectl.ok(&["events"]).await;
        assert!(events.contains("Shone"), "{events}");
        let namespace = kubectl.ok(&["describe", "namespace", &env.ns]).await;
        assert!(namespace.contains("Active"), "{namespace}");
        kubectl.ok(&["create", "configmap", "m", "--from-literal=k=v"]).await;
        let map = kubectl.ok(&["describe", "configmap", "m"]).await;
        assert!(map.contains("k:\n----\nv"), "{map}");
        kubectl.ok(&["create", "secret", "generic", "s", "--from-literal=k=hidden"]).await;
        let secret = kubectl.ok(&["describe", "secret", "s"]).await;
        assert!(secret.contains("6 bytes") && !secret.contains("hidden"), "{secret}");
    })
    .await;
}
