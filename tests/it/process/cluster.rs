//! A leader and its followers as processes: joining, pushes, failover without the leader, and the command line on all
//! of it.

use cocoasyncer::api::node::CocoaNode;
use cocoasyncer::api::service::ManagedService;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::support::process::{LINES, Site, wait};

const CT: &str = "192.0.2.0/26";
const CU: &str = "192.0.2.64/26";
const EDU: &str = "192.0.2.192/26";

fn url(site: &Site) -> String {
    format!("http://{}", site.at.api)
}

/// Beats of a second and a short hold-down, so that a test need not wait for minutes.
async fn quicken(site: &Site, name: &str) {
    let liveness = json!({"heartbeatSeconds": 1, "holdDownSeconds": 1, "backAfterBeats": 2});
    let patch = kube::api::Patch::Merge(json!({"spec": {"liveness": liveness}}));
    site.nodes().await.patch(name, &Default::default(), &patch).await.unwrap();
}

pub(super) async fn join(leader: &Site, follower: &Site) {
    let secret = follower.secret().await;
    let ran = leader.cli_with(&["node", "join", &url(follower), "--yes"], &format!("{secret}\n")).await;
    let shown = ran.done();
    assert!(shown.contains(&follower.name) && !shown.contains(&secret), "{shown}");
}

async fn lives(site: &Site, name: &str, code: i32) {
    wait(&format!("{} judges {name} {code}", site.name), || async {
        (site.nodes().await.get(name).await.ok()?.status?.status_code == Some(code)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn three_sites_join_serve_fail_over_and_obey() {
    let mut a = Site::leader("a", &[]).await;
    let (b, mut c) = tokio::join!(
        Site::follower("b", "CU,CMCC", "203.0.113.2", &[]),
        Site::follower("c", "CNEdu", "203.0.113.3", &[])
    );
    joining(&a, &b).await;
    join(&a, &c).await;
    for name in ["a", "b", "c"] {
        quicken(&a, name).await;
    }
    a.cli(&["service", "add", "www.example.com", "--name", "www"]).await.done();
    a.cli_with(&["provider", "set", "Ali"], "the-key\nthe-keys-secret\n").await.done();
    for site in [&a, &b, &c] {
        site.answers("www.example.com", CT, "203.0.113.1").await;
        site.answers("www.example.com", CU, "203.0.113.2").await;
        site.answers("www.example.com", EDU, "203.0.113.3").await;
    }
    pushed(&b).await;
    command_line(&a).await;
    wait("the last edit reached the followers", || async {
        (!pinned(&b).await && !pinned(&c).await).then_some(())
    })
    .await;

    // The leader dies: the followers serve on, and fail over among themselves.
    a.kill();
    for site in [&b, &c] {
        lives(site, "a", 504).await;
        site.answers("www.example.com", CU, "203.0.113.2").await;
        wait("the dead leader's lines moved", || async {
            let now = site.a("www.example.com", CT).await?;
            (now == "203.0.113.2" || now == "203.0.113.3").then_some(())
        })
        .await;
    }
    assert_eq!(b.a("www.example.com", CT).await, c.a("www.example.com", CT).await, "the survivors agree");
    c.kill();
    lives(&b, "c", 504).await;
    for line in [CT, CU, EDU] {
        b.answers("www.example.com", line, "203.0.113.2").await;
    }
    c.start().await;
    a.start().await;
    for site in [&a, &b, &c] {
        site.answers("www.example.com", CT, "203.0.113.1").await;
        site.answers("www.example.com", EDU, "203.0.113.3").await;
    }
    // Back, it commands again.
    // (Few records, so that taking them away is no mass change.)
    a.cli(&["service", "add", "api.example.com", "--name", "api", "--nodes", "a"]).await.done();
    b.answers("api.example.com", CU, "203.0.113.1").await;
    a.cli(&["service", "rm", "api", "--yes"]).await.done();
    wait("the follower forgot the service", || async {
        b.services().await.get_opt("api").await.unwrap().is_none().then_some(())
    })
    .await;

    leaving(&a, &b, &c).await;
}

/// Whether a site knows the node `c` as pinned.
async fn pinned(site: &Site) -> bool {
    site.nodes().await.get("c").await.unwrap().spec.pin.is_some()
}

/// What `node join` refuses, and how it takes.
async fn joining(a: &Site, b: &Site) {
    let (code, answer) = b.call("getClusterInfo", &json!({"cocoaSecret": b.secret().await})).await;
    assert_eq!((code, answer["statusString"].as_str()), (201, Some("Mafu?")), "fresh: {answer}");
    let (code, answer) = b.call("getClusterInfo", &json!({"cocoaSecret": "wrong"})).await;
    assert_eq!((code, &answer["cocoaBasic"]), (401, &json!({})), "{answer}");
    let (code, answer) = a.call("updateClusterInfo", &json!({"cocoaSecret": "wrong"})).await;
    assert_eq!(code, 405, "before the secret is looked at: {answer}");

    let join = |address: String, input: &'static str| async move {
        a.cli_with(&["node", "join", &address, "--yes"], input).await
    };
    join(url(b), "wrong-secret\n").await.refused(1, &["refused the secret"]);
    join(url(b), "\n").await.refused(2, &["empty"]);
    join("b:44443".into(), "x\n").await.refused(2, &["ADDRESS", "http://"]);
    join("http://127.0.0.1:9".into(), "x\n").await.refused(1, &["127.0.0.1:9"]);
    let own = format!("{}\n", a.secret().await);
    a.cli_with(&["node", "join", &url(a), "--yes"], &own).await.refused(2, &["leader"]);
    let secret = format!("{}\n", b.secret().await);
    let unsure = a.cli_with(&["node", "join", &url(b)], &secret).await;
    unsure.refused(2, &["--yes"]);
    assert_eq!(
        a.nodes().await.list(&ListParams::default()).await.unwrap().items.len(),
        1,
        "nothing was created"
    );
    let secrets: Api<Secret> = Api::namespaced(a.client().await, "cocoasyncer-system");
    assert!(secrets.get_opt("b").await.unwrap().is_none());

    a.cli_with(&["node", "join", &url(b), "--yes"], &secret).await.done();
    a.cli_with(&["node", "join", &url(b), "--yes"], &secret).await.refused(2, &["nodeCode b already"]);
    wait("the follower is in a cluster", || async {
        let (code, _) = b.call("getClusterInfo", &json!({"cocoaSecret": b.secret().await})).await;
        (code == 200).then_some(())
    })
    .await;
}

/// What a push made on the follower: marked objects, secrets only in Secrets.
async fn pushed(b: &Site) {
    let marked = ListParams::default().labels("cocoasyncer.io/origin=leader");
    let names = |objects: Vec<String>| objects;
    let nodes: Api<CocoaNode> = b.nodes().await;
    let nodes = nodes.list(&marked).await.unwrap().iter().map(ResourceExt::name_any).collect();
    assert_eq!(names(nodes), ["a", "c"], "its own node is not the leader's");
    let services: Api<ManagedService> = Api::all(b.client().await);
    let services = services.list(&marked).await.unwrap().iter().map(ResourceExt::name_any).collect();
    assert_eq!(names(services), ["www"]);
    wait("the account arrived", || async {
        let accounts: Api<Secret> = Api::all(b.client().await);
        let labelled = ListParams::default().labels("cocoasyncer.io/platform-provider=Ali");
        let all = accounts.list(&labelled).await.unwrap().items;
        (all.first()?.data.as_ref()?["accessSecret"].0 == b"the-keys-secret").then_some(())
    })
    .await;
}

async fn command_line(a: &Site) {
    let nodes = a.cli(&["node", "list", "-o", "json"]).await.json();
    let states: Vec<&str> =
        nodes.as_array().unwrap().iter().map(|node| node["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["lives", "lives", "lives"], "{nodes}");
    let table = a.cli(&["node", "list"]).await.done();
    assert!(table.contains("NODE") && table.contains("203.0.113.2"), "{table}");
    let status = a.cli(&["status", "-o", "json"]).await.json();
    assert_eq!((&status["live"], &status["total"]), (&json!(3), &json!(3)), "{status}");
    assert!(a.cli(&["status"]).await.done().starts_with("3 of 3 nodes live"));
    let yaml = a.cli(&["status", "-o", "yaml"]).await.done();
    assert!(yaml.contains("live: 3"), "{yaml}");
    a.becomes("www", "Ready", "AsWished").await;
    let services = a.cli(&["service", "list", "-o", "json"]).await.json();
    assert_eq!((&services[0]["fqdn"], &services[0]["ready"]), (&json!("www.example.com"), &json!("True")));

    let plan = a.cli(&["plan", "-o", "json", "--detailed-exitcode"]).await.json();
    assert_eq!(plan["steps"], json!([]), "{plan}");
    let lost = a.cli(&["simulate", "--lose", "b", "-o", "json"]).await.json();
    let row = |line: &str| lost.as_array().unwrap().iter().find(|row| row["line"] == line).unwrap().clone();
    assert_eq!((&row("CU")["changes"], &row("CU")["now"]["node"]), (&json!(true), &json!("b")), "{lost}");
    assert_ne!(row("CU")["then"]["node"], "b");
    assert_eq!(row("CT")["changes"], json!(false));
    a.cli(&["simulate", "--lose", "nobody"]).await.refused(3, &["nobody"]);
    a.cli(&["simulate"]).await.refused(2, &["--lose"]);

    let dns = a.at.dns.to_string();
    let asked = a
        .cli(&["resolve", "www.example.com", "--server", &dns, "--line-table", LINES, "-o", "json"])
        .await
        .json();
    let value = |line: &str| {
        let rows = asked.as_array().unwrap();
        rows.iter().find(|row| row["line"] == line).map(|row| row["values"][0].clone()).unwrap_or_default()
    };
    let all = ["default", "CT", "CU", "CMCC", "CNEdu"].map(value);
    let expect = ["203.0.113.1", "203.0.113.1", "203.0.113.2", "203.0.113.2", "203.0.113.3"];
    assert_eq!(all.map(|value| value.as_str().unwrap().to_owned()), expect, "{asked}");
    let table = a.cli(&["resolve", "www.example.com", "--server", &dns, "--subnet", CU]).await.done();
    assert!(table.contains("203.0.113.2"), "{table}");
    assert_eq!(a.cli(&["resolve", "none.example.com", "--server", &dns, "--subnet", CU]).await.code, 3);
    let nobody = a.cli(&["resolve", "www.example.com", "--server", "127.0.0.1:9", "--subnet", CU]).await;
    nobody.refused(1, &["127.0.0.1:9"]);

    let accounts = a.cli(&["provider", "list", "-o", "json"]).await;
    assert!(!accounts.out.contains("the-key"), "{}", accounts.out);
    assert_eq!(accounts.json()[0]["complete"], true);
    a.cli(&["provider", "rm", "Local", "--yes"]).await.refused(2, &["PLATFORM"]);
    a.cli_with(&["provider", "set", "Nimbus"], "x\ny\n").await.refused(2, &["PLATFORM", "Nimbus"]);
    a.cli(&["service", "add", "www.example.com"]).await.refused(2, &["www.example.com", "default/www"]);
    a.cli(&["service", "add", "x.example.com", "--ttl", "0"]).await.refused(2, &["--ttl"]);
    a.cli(&["service", "rm", "none", "--yes"]).await.refused(3, &["default/none"]);
    a.cli(&["service", "rm", "www"]).await.refused(2, &["--yes"]);

    a.cli(&["node", "drain", "b", "--for", "2h", "--reason", "new disk"]).await.done();
    wait("the drained node's line moved", || async {
        let now = a.a("www.example.com", CU).await?;
        (now != "203.0.113.2").then_some(())
    })
    .await;
    a.cli(&["node", "undrain", "b"]).await.done();
    a.answers("www.example.com", CU, "203.0.113.2").await;
    a.cli(&["node", "pin", "c", "--lines", "CU"]).await.done();
    a.answers("www.example.com", CU, "203.0.113.3").await;
    a.cli(&["node", "unpin", "c"]).await.done();
    a.answers("www.example.com", CU, "203.0.113.2").await;
    a.cli(&["node", "drain", "nobody"]).await.refused(3, &["nobody"]);
    a.cli(&["node", "drain", "b", "--for", "soon"]).await.refused(2, &["--for"]);
}

async fn leaving(a: &Site, b: &Site, c: &Site) {
    a.cli(&["provider", "rm", "Ali", "--yes"]).await.done();
    a.cli(&["node", "quit", "c"]).await.refused(2, &["--yes"]);
    a.cli(&["node", "quit", "c", "--yes"]).await.done();
    wait("the others forget it", || async {
        b.nodes().await.get_opt("c").await.unwrap().is_none().then_some(())
    })
    .await;
    for site in [a, b] {
        wait("its line is served by the others", || async {
            let now = site.a("www.example.com", EDU).await?;
            (now != "203.0.113.3").then_some(())
        })
        .await;
    }
    c.cli(&["node", "quit", "--me", "c", "--yes"]).await.done();
    let left = c.nodes().await.list(&ListParams::default()).await.unwrap();
    assert_eq!(left.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["c"]);
    assert!(c.services().await.list(&ListParams::default()).await.unwrap().items.is_empty());
    let (code, _) = c.call("getClusterInfo", &json!({"cocoaSecret": c.secret().await})).await;
    assert_eq!(code, 201, "it may join again");
    join(a, c).await;
    c.answers("www.example.com", EDU, "203.0.113.3").await;
}

/// A leader's document for `site`, with `services`.
fn push(site: &Site, secret: &str, generation: u64, services: &[&str]) -> Value {
    let service = |name: &&str| json!({"serviceName": name, "domain": "example.com", "record": name, "platformProvider": "Local"});
    let info = |code: &str, address: String, mode: &str, isps: Value, secret: &str| {
        json!({
            "nodeName": code, "nodeCode": code, "nodeAddress": address, "workMode": mode, "cocoaSecret": secret,
            "ISPs": isps, "networkType": "IPV4", "statusCode": 504, "watchDog": "2001-01-01T00:00:00+08:00",
            "cocoaManagedService": [],
        })
    };
    let all: Vec<Value> = services.iter().map(service).collect();
    json!({"cocoaSecret": secret, "cocoaBasic": {
        "nodeName": "lead", "nodeCode": "lead", "nodeAddress": "http://127.0.0.1:9", "workMode": "leader",
        "createdAt": "2026-01-01T00:00:00+08:00", "timeout": 10,
        "otherCocoaSyncer": [
            info("lead", "http://127.0.0.1:9".into(), "leader", json!(["default"]), "lead-secret"),
            info(&site.name, url(site), "follower", json!(["CU"]), secret),
        ],
        "cocoaManagedService": all, "cloudPlatformInfo": [],
        "operator": {"version": "9", "generation": generation},
    }})
}

#[tokio::test]
async fn an_old_push_never_undoes_a_newer_one_and_own_readings_survive() {
    let mut site = Site::follower("f", "CU", "203.0.113.2", &[]).await;
    let secret = site.secret().await;
    let services = || async {
        let all = site.services().await.list(&ListParams::default()).await.unwrap();
        all.iter().map(|service| service.spec.record.clone()).collect::<Vec<_>>()
    };
    let (code, answer) = site.call("updateClusterInfo", &push(&site, &secret, 7, &["new", "www"])).await;
    assert_eq!(code, 200, "{answer}");
    assert_eq!(services().await, ["new", "www"]);
    let node = site.nodes().await.get("f").await.unwrap();
    assert_eq!(node.status.unwrap().status_code, Some(200), "its own reading, not the push's");
    let (code, answer) = site.call("updateClusterInfo", &push(&site, &secret, 6, &["old"])).await;
    assert_eq!(code, 405, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("generation"), "{answer}");
    assert_eq!(services().await, ["new", "www"], "the old push undid nothing");
    let (code, _) = site.call("updateClusterInfo", &push(&site, "wrong", 8, &[])).await;
    assert_eq!(code, 401);
    let mut twins = push(&site, &secret, 8, &[]);
    twins["cocoaBasic"]["otherCocoaSyncer"][0]["nodeCode"] = json!("f");
    let (code, answer) = site.call("updateClusterInfo", &twins).await;
    assert_eq!(code, 405);
    assert!(answer["error"].as_str().unwrap().contains("otherCocoaSyncer[1].nodeCode"), "{answer}");
    assert_eq!(services().await, ["new", "www"], "a refusal changes nothing");
    // The memory of the last push survives a kill.
    site.kill();
    site.start().await;
    let (code, _) = site.call("updateClusterInfo", &push(&site, &secret, 6, &["old"])).await;
    assert_eq!(code, 405, "still older");
    let (code, _) = site.call("updateClusterInfo", &push(&site, &secret, 8, &["www"])).await;
    assert_eq!(code, 200);
    let maps: Api<ConfigMap> = Api::namespaced(site.client().await, "cocoasyncer-system");
    let taken = maps.get("cocoasyncer-cluster").await.unwrap().data.unwrap();
    assert_eq!(taken["generation"], "8", "{taken:?}");
}

#[tokio::test]
async fn commands_say_where_no_plane_answers() {
    let mut site = Site::leader("a", &[]).await;
    site.cli(&["node", "list"]).await.done();
    site.kill();
    site.cli(&["status"]).await.refused(5, &["no control plane answers", &site.at.plane.to_string()]);
    let mut elsewhere = site.program();
    elsewhere.args(["status", "--kubeconfig", "/nonexistent"]);
    crate::support::ran::run(elsewhere, "").await.refused(2, &["--kubeconfig", "/nonexistent"]);
}
