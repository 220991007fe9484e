//! `--manifests DIR` and `--old-config FILE`, for people without kubectl.

use std::fs;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;

use crate::support::objects::service;
use crate::support::process::{Site, wait};

const OLD: &str = "APIPort: 80\nNodeName: Cocoa\nNodeCode: old-code\nNodeAddress: http://127.0.0.1:44443/\n\
    ReverseProxy: true\nWorkMode: leader\nCocoaSecret: canary-old-secret\nTimeout: 7\nDataBaseType: mysql\nDSN: canary-dsn\n";

fn map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: '{value}'}}\n")
}

#[tokio::test]
async fn a_folder_is_followed_and_an_empty_one_deletes_nothing() {
    let mut site = Site::new("a", &["--public-address", "203.0.113.1"]);
    let dir = site.home.path().join("manifests");
    fs::create_dir(&dir).unwrap();
    let put = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    put("one.yaml", &format!("{}---\n{}", map("one", "1"), map("two", "1")));
    put("www.json", &service("www").to_string());
    put("notes.txt", "not a manifest");
    site.flags.extend(["--manifests".to_owned(), dir.display().to_string()]);
    site.start().await;
    let maps: Api<ConfigMap> = Api::namespaced(site.client().await, "default");
    let value = |name: &'static str| {
        let maps = maps.clone();
        async move { maps.get_opt(name).await.unwrap().map(|map| map.data.unwrap()["value"].clone()) }
    };
    let becomes = |name: &'static str, want: Option<&'static str>| async move {
        wait(&format!("{name} is {want:?}"), || async {
            (value(name).await.as_deref() == want).then_some(())
        })
        .await;
    };
    assert_eq!(value("one").await.as_deref(), Some("1"), "applied before the process is ready");
    site.answers("www.example.com", "203.0.113.0/24", "203.0.113.1").await;
    maps.create(
        &Default::default(),
        &serde_json::from_value(json!({"metadata": {"name": "by-hand"}})).unwrap(),
    )
    .await
    .unwrap();

    put("one.yaml", &format!("{}---\n{}", map("one", "2"), map("two", "1")));
    becomes("one", Some("2")).await;
    put("three.yml", &map("three", "1"));
    becomes("three", Some("1")).await;

    // A bad file, a bad object and a bad document: said with their place, and they stop no other and delete nothing.
    put("bad.yaml", "kind: [unclosed\nsecretWord: canary-in-a-bad-file\n");
    put("bad2.yaml", &service("bad").to_string().replace("\"spec\":{", "\"spec\":{\"ttl\":0,"));
    put("three.yml", &map("three", "2"));
    becomes("three", Some("2")).await;
    site.says(&["manifest refused", "bad.yaml, document 1"]).await;
    site.says(&["refused; mend the file", "bad2.yaml", "spec.ttl"]).await;
    assert!(!site.log().contains("canary-in-a-bad-file"));
    fs::remove_file(dir.join("three.yml")).unwrap();
    put("one.yaml", &format!("{}---\n{}", map("one", "3"), map("two", "1")));
    becomes("one", Some("3")).await;
    assert_eq!(
        value("three").await.as_deref(),
        Some("2"),
        "while a document can't be read nothing is deleted"
    );
    fs::remove_file(dir.join("bad.yaml")).unwrap();
    fs::remove_file(dir.join("bad2.yaml")).unwrap();
    becomes("three", None).await;

    put("one.yaml", &map("one", "3"));
    becomes("two", None).await;
    assert!(maps.get_opt("by-hand").await.unwrap().is_some(), "what the folder did not make stays");

    for file in ["one.yaml", "www.json"] {
        fs::remove_file(dir.join(file)).unwrap();
    }
    site.says(&["holds no object", "nothing is deleted"]).await;
    site.kill();
    site.start().await;
    assert_eq!(value_after(&site, "one").await.as_deref(), Some("3"), "an empty folder deletes nothing");
    site.answers("www.example.com", "203.0.113.0/24", "203.0.113.1").await;
}

async fn value_after(site: &Site, name: &str) -> Option<String> {
    let maps: Api<ConfigMap> = Api::namespaced(site.client().await, "default");
    maps.get_opt(name).await.unwrap().map(|map| map.data.unwrap()["value"].clone())
}

#[tokio::test]
async fn the_old_configuration_becomes_this_node_once() {
    let mut site = Site::new("a", &[]);
    let path = site.write("config.yaml", OLD);
    site.flags = vec!["--old-config".into(), path.clone()];
    site.start().await;
    let node = site.nodes().await.get("a").await.unwrap();
    assert_eq!((node.spec.node_name.as_str(), node.spec.node_code.as_str()), ("Cocoa", "old-code"));
    assert_eq!(node.spec.liveness.timeout_minutes, 7);
    let (code, _) = site.call("getClusterInfo", &json!({"cocoaSecret": "canary-old-secret"})).await;
    assert_eq!(code, 200, "its secret is the old one");
    site.says(&["the old configuration was imported"]).await;
    // What was edited since stays, and so does what was read then.
    let patch = kube::api::Patch::Merge(json!({"spec": {"nodeName": "Edited"}}));
    site.nodes().await.patch("a", &Default::default(), &patch).await.unwrap();
    site.kill();
    site.start().await;
    assert_eq!(site.nodes().await.get("a").await.unwrap().spec.node_name, "Edited");
    site.says(&["was imported before"]).await;
    assert!(!site.log().contains("canary"), "no secret is logged");

    let mut bad = Site::new("b", &[]);
    let path = bad.write("config.yaml", &OLD.replace("WorkMode: leader", "WorkMode: canary-boss"));
    bad.flags = vec!["--old-config".into(), path.clone()];
    bad.refuses().await.refused(1, &["--old-config", &path, "WorkMode"]);
}
