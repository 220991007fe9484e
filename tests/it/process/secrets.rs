//! No secret anywhere: canaries are planted wherever a secret can lie, and everything that is written or told is
//! searched for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::config::Kubeconfig;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::support::objects::{node, node_secret, service};
use crate::support::process::{Site, wait};

const OWN: &str = "canary-of-the-leader-4711";
const PEER: &str = "canary-of-the-peer-4712";
const KEY: &str = "canary-access-key-4713";
const KEYS_SECRET: &str = "canary-access-secret-4714";
const WRONG: &str = "canary-wrong-guess-4715";
const MANIFEST: &str = "canary-in-a-manifest-4716";
const USER: &str = "canary-url-password-4717";

struct Search {
    canaries: Vec<String>,
}

impl Search {
    #[track_caller]
    fn clean(&self, place: &str, text: &str) {
        for canary in &self.canaries {
            if let Some(at) = text.find(canary.as_str()) {
                let from = text[..at].rfind('\n').map_or(0, |line| line + 1);
                let line = text[from..].lines().next().unwrap_or_default();
                panic!("{canary} stands in {place}: {line}");
            }
        }
    }
}

#[tokio::test]
async fn no_secret_is_told_anywhere() {
    let mut a = Site::new("a", &["--lines", "default,CT", "--public-address", "203.0.113.1"]);
    a.log_filter = "debug".into();
    let dir = a.home.path().join("manifests");
    std::fs::create_dir(&dir).unwrap();
    let bad = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: bad}}\ndata: {{cocoaSecret: '{MANIFEST}!'}}\n---\nkind: [{MANIFEST}\n"
    );
    std::fs::write(dir.join("bad.yaml"), bad).unwrap();
    let own = a.write("secret", OWN);
    a.flags.extend(["--secret-file".into(), own, "--manifests".into(), dir.display().to_string()]);
    let mut b =
        Site::new("b", &["--work-mode", "follower", "--lines", "CU", "--public-address", "203.0.113.2"]);
    b.log_filter = "debug".into();
    let peers = b.write("secret", PEER);
    b.flags.extend(["--secret-file".into(), peers]);
    tokio::join!(a.start(), b.start());

    let tokens = [&a, &b].map(|site| {
        let file = Kubeconfig::read_from(site.kubeconfig()).unwrap();
        let user = file.auth_infos[0].auth_info.clone().unwrap();
        secrecy(&serde_json::to_value(user).unwrap(), site)
    });
    let mut canaries: Vec<String> =
        [OWN, PEER, KEY, KEYS_SECRET, WRONG, MANIFEST, USER].map(str::to_owned).to_vec();
    canaries.extend(tokens);
    let coded: Vec<String> = canaries.iter().map(|canary| STANDARD.encode(canary)).collect();
    canaries.extend(coded);
    let search = Search { canaries };

    // Everything that handles secrets, well and badly.
    let url = format!("http://{}", b.at.api);
    let mut told = vec![
        a.cli_with(&["node", "join", &url, "--yes", "-o", "json"], &format!("{WRONG}\n")).await,
        a.cli_with(&["node", "join", &url, "--yes", "-o", "json"], &format!("{PEER}\n")).await,
        a.cli_with(
            &["node", "join", &format!("http://u:{USER}@{}", b.at.api), "--yes"],
            &format!("{PEER}\n"),
        )
        .await,
        a.cli_with(&["provider", "set", "Ali", "-o", "json"], &format!("{KEY}\n{KEYS_SECRET}\n")).await,
    ];
    a.apply(service("www")).await.unwrap();
    a.apply(node_secret("dead", WRONG)).await.unwrap();
    let at = format!("http://u:{USER}@127.0.0.1:9");
    let mut dead = node("dead", &["CNEdu"], &at, Some("203.0.113.3"));
    // Where the schema takes a password in an address, nothing may show it.
    if a.apply(dead.clone()).await.is_err() {
        dead = node("dead", &["CNEdu"], "http://127.0.0.1:9", Some("203.0.113.3"));
        a.apply(dead).await.unwrap();
    }
    a.apply(json!({
        "apiVersion": "cocoasyncer.io/v1alpha1", "kind": "CocoaNode", "metadata": {"name": "stranger"},
        "spec": {"nodeName": "s", "nodeCode": "s", "nodeAddress": url, "secretRef": {"name": "dead"}},
    }))
    .await
    .unwrap();
    a.answers("www.example.com", "192.0.2.64/26", "203.0.113.1").await;
    wait("the follower took the account", || async {
        let secrets: Api<Secret> = Api::all(b.client().await);
        let labelled = ListParams::default().labels("cocoasyncer.io/platform-provider=Ali");
        (!secrets.list(&labelled).await.unwrap().items.is_empty()).then_some(())
    })
    .await;
    a.says(&["beat missed", "dead"]).await;
    a.says(&["beat missed", "stranger"]).await;

    for (site, secret) in [(&a, OWN), (&b, PEER)] {
        let (code, info) = site.call("getClusterInfo", &json!({"cocoaSecret": secret})).await;
        assert_eq!(code, 200);
        assert_eq!(info["cocoaBasic"]["cocoaSecret"], "***");
        assert_eq!(info["cocoaBasic"]["cloudPlatformInfo"][0]["accessSecret"], "***");
        search.clean("getClusterInfo", &info.to_string());
        let bodies = [
            json!({"cocoaSecret": WRONG}),
            json!({"cocoaSecret": secret, "cocoaBasic": {"otherCocoaSyncer": WRONG, "cocoaSecret": [WRONG]}}),
            json!({"cocoaSecret": secret, "cocoaBasic": {"otherCocoaSyncer": [{"cocoaSecret": WRONG, "workMode": 7}]}}),
            json!({"cocoaSecret": secret, "cocoaBasic": {"cloudPlatformInfo": [{"accessKey": {"x": KEY}}]}}),
            json!({"cocoaSecret": [WRONG]}),
        ];
        for route in ["getClusterInfo", "updateClusterInfo"] {
            for body in &bodies {
                let (_, answer) = site.call(route, body).await;
                if route == "updateClusterInfo" || body["cocoaBasic"].is_null() {
                    search.clean(route, &answer.to_string());
                }
            }
            let cut = format!("{{\"cocoaSecret\":\"{secret}\",\"x\": nonsense {KEYS_SECRET}");
            let (_, answer) = site.post(&format!("/v1/{route}"), "application/json", cut).await;
            search.clean(route, &answer.to_string());
        }
        for path in
            ["/", "/v1/status", "/v1/badge", "/metrics", "/v1/swagger/index.html", "/v1/swagger/openapi.json"]
        {
            search.clean(path, &site.get(site.at.api, path).await.unwrap().1);
        }
        for path in ["/metrics", "/readyz", "/healthz", "/log-level"] {
            search.clean(path, &site.get(site.at.ops, path).await.unwrap().1);
        }
        for words in ["status", "node list", "service list", "provider list", "plan", "simulate --lose b"] {
            for form in ["json", "yaml", "table"] {
                let mut all: Vec<&str> = words.split(' ').collect();
                all.extend(["-o", form]);
                told.push(site.cli(&all).await);
            }
        }
        objects(site, &search).await;
    }
    let mut no_access = a.program();
    no_access.args(["status", "--kubeconfig"]).arg(a.home.path().join("secret"));
    told.push(crate::support::ran::run(no_access, "").await);
    for ran in &told {
        search.clean("a command's output", &format!("{}\n{}", ran.out, ran.err));
    }
    assert!(a.stop().await.success());
    assert!(b.stop().await.success());
    search.clean("the leader's log", &a.log());
    search.clean("the follower's log", &b.log());
    for site in [&a, &b] {
        let mode = |path: std::path::PathBuf| {
            use std::os::unix::fs::PermissionsExt;
            std::fs::metadata(path).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode(site.kubeconfig()), 0o600);
        assert_eq!(mode(site.data().join("store.redb")), 0o600);
        assert_eq!(mode(site.data().join("credentials.json")), 0o600);
    }
}

/// The token of a kubeconfig's user.
fn secrecy(user: &Value, site: &Site) -> String {
    if let Some(token) = user["token"].as_str().filter(|token| !token.contains('*') && token.len() > 8) {
        return token.to_owned();
    }
    let text = std::fs::read_to_string(site.kubeconfig()).unwrap();
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with("token:"))
        .expect("the kubeconfig has a token");
    line.split_once(':').unwrap().1.trim().trim_matches('"').to_owned()
}

/// All objects but Secrets, events among them.
async fn objects(site: &Site, search: &Search) {
    let client = site.client().await;
    let events: Api<Event> = Api::all(client.clone());
    let events = events.list(&ListParams::default()).await.unwrap();
    search.clean("core events", &serde_json::to_string(&events).unwrap());
    for (group, version, kind, plural) in [
        ("cocoasyncer.io", "v1alpha1", "CocoaNode", "cocoanodes"),
        ("cocoasyncer.io", "v1alpha1", "ManagedService", "managedservices"),
        ("events.k8s.io", "v1", "Event", "events"),
        ("", "v1", "ConfigMap", "configmaps"),
    ] {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        for object in api.list(&ListParams::default()).await.unwrap() {
            let mut told = serde_json::to_value(&object).unwrap();
            // What the user wrote into a spec is the user's; what we say of it is in the rest.
            told.as_object_mut().unwrap().remove("spec");
            let meta = told["metadata"].as_object_mut().unwrap();
            meta.remove("managedFields");
            search.clean(kind, &told.to_string());
        }
    }
}
