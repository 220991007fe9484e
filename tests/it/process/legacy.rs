//! Peers of the old program: read exactly as the published document shows them, judged by `timeout`, pushed to and
//! obeyed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::objects::{node, node_secret, service};
use crate::support::process::{Site, own_ip, wait};

/// How old the watchdog is that an old peer tells.
struct Old {
    at: SocketAddr,
    name: &'static str,
    dog_minutes: i64,
    pushes: Mutex<Vec<Value>>,
    asked: Mutex<usize>,
}

struct Peer {
    old: Arc<Old>,
    server: JoinHandle<()>,
}

impl Peer {
    fn url(&self) -> String {
        format!("http://{}", self.old.at)
    }
}

/// The old program's two routes on a port of its own. Its secret is `old-secret`.
async fn old_peer(name: &'static str, dog_minutes: i64) -> Peer {
    let listener = tokio::net::TcpListener::bind((own_ip(), 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let old = Arc::new(Old { at, name, dog_minutes, pushes: Mutex::default(), asked: Mutex::default() });
    let routes = Router::new()
        .route("/v1/getClusterInfo", post(info))
        .route("/v1/updateClusterInfo", post(update))
        .with_state(old.clone());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    Peer { old, server }
}

/// The answer of the published sample, codes and secrets masked as there; only watchdogs and addresses are this test's.
async fn info(State(old): State<Arc<Old>>, Json(asked): Json<Value>) -> Json<Value> {
    *old.asked.lock().unwrap() += 1;
    if asked["cocoaSecret"] != "old-secret" {
        let text = "Unauthorized! You are not Cocoa!";
        return Json(json!({"statusCode": 401, "statusString": text, "cocoaBasic": {}}));
    }
    let dog = Timestamp::now() - SignedDuration::from_mins(old.dog_minutes);
    let fed = dog.display_with_offset(jiff::tz::Offset::constant(8)).to_string();
    let services = json!([
        {"serviceName": "测试", "domain": "luckykeeper.site", "record": "test", "platformProvider": "Ali"},
        {"serviceName": "测试2", "domain": "luckykeeper.site", "record": "test2", "platformProvider": "Ali"},
    ]);
    let url = format!("http://{}", old.at);
    Json(json!({
        "statusCode": 200, "statusString": "MafuMafu~",
        "cocoaBasic": {
            "apiPort": old.at.port(), "nodeName": "***", "nodeCode": "**", "nodeAddress": url, "workMode": "follower",
            "cocoaSecret": "***", "reverseProxy": true,
            "otherCocoaSyncer": [
                {
                    "nodeName": "***", "nodeCode": "***", "nodeAddress": "http://127.0.0.1:44443", "workMode": "leader",
                    "cocoaSecret": "999", "ISPs": ["default", "CT", "OverSea"], "networkType": "IPV4",
                    "statusCode": 200, "watchDog": "2023-09-18T22:54:22.0765568+08:00",
                    "cocoaManagedService": services,
                },
                {
                    "nodeName": old.name, "nodeCode": "**", "nodeAddress": url, "workMode": "follower",
                    "cocoaSecret": "***", "ISPs": ["CU", "CMCC", "CNEdu"], "networkType": "IPV4",
                    "statusCode": 200, "watchDog": fed, "cocoaManagedService": services,
                },
            ],
            "cocoaManagedService": services,
            "cloudPlatformInfo": [{"platformProvider": "Ali", "accessKey": "***", "accessSecret": "***"}],
            "timeout": 10, "DataBaseType": "mysql",
            "Dsn": "root:***@tcp(192.168.1.2:3306)/cocoasyncer?charset=utf8mb4",
            "createdAt": "2023-09-07T15:52:46+08:00", "updatedAt": "2023-09-18T22:54:22+08:00", "configImported": true,
        },
    }))
}

async fn update(State(old): State<Arc<Old>>, Json(push): Json<Value>) -> Json<Value> {
    old.pushes.lock().unwrap().push(push);
    Json(json!({"statusCode": 200, "statusString": "MafuMafu~"}))
}

async fn code(site: &Site, name: &str) -> Option<i32> {
    site.nodes().await.get(name).await.ok()?.status?.status_code
}

#[tokio::test]
async fn an_old_peer_is_judged_by_its_timeout_and_pushed_to_in_the_old_format() {
    let (fresh, stale) = (old_peer("fresh", 9).await, old_peer("stale", 11).await);
    let site = Site::leader("a", &[]).await;
    for (peer, lines, public) in [(&fresh, &["CU"][..], "203.0.113.2"), (&stale, &["CNEdu"], "203.0.113.3")] {
        site.apply(node_secret(peer.old.name, "old-secret")).await.unwrap();
        site.apply(node(peer.old.name, lines, &peer.url(), Some(public))).await.unwrap();
    }
    site.apply(service("www")).await.unwrap();
    wait("the peer fed 9 minutes ago lives, the one of 11 minutes does not", || async {
        (code(&site, "fresh").await? == 200 && code(&site, "stale").await? == 504).then_some(())
    })
    .await;
    site.answers("www.example.com", "192.0.2.64/26", "203.0.113.2").await;
    wait("the lost one's line has moved", || async {
        let now = site.a("www.example.com", "192.0.2.192/26").await?;
        (now != "203.0.113.3").then_some(())
    })
    .await;
    let push = wait("the leader pushed all that the old kind needs", || async {
        let pushes = fresh.old.pushes.lock().unwrap();
        pushes.iter().find(|push| push["cocoaBasic"]["cocoaManagedService"][0]["record"] == "www").cloned()
    })
    .await;
    let basic = &push["cocoaBasic"];
    assert_eq!(push["cocoaSecret"], "old-secret", "addressed with its own secret");
    assert_eq!(basic["otherCocoaSyncer"].as_array().unwrap().len(), 3);
    for info in basic["otherCocoaSyncer"].as_array().unwrap() {
        assert_eq!(
            info["cocoaManagedService"][0]["record"], "www",
            "every node repeats its services: {info}"
        );
        assert!(
            info["ISPs"].is_array() && info["networkType"] == "IPV4" && info["watchDog"].is_string(),
            "{info}"
        );
    }
    // It dies: nobody judges it by missed beats, for its watchdog is fresh by `timeout`.
    fresh.server.abort();
    let misses = "cocoasyncer_peer_calls_total{call=\"beat\",outcome=\"transient\"}";
    let _ = misses;
    site.says(&["beat missed", "fresh"]).await;
    let asked = *stale.old.asked.lock().unwrap();
    assert!(
        0 < asked && asked < 20,
        "a peer of the old kind is asked now and then, not every second: {asked}"
    );
    assert_eq!(code(&site, "fresh").await, Some(200), "still fresh by its timeout");
}

#[tokio::test]
async fn an_old_leader_commands_our_follower() {
    let site = Site::follower("f", "CU", "203.0.113.2", &["--node-code", "f-code"]).await;
    let secret = site.secret().await;
    let services = json!([
        {"serviceName": "测试", "domain": "luckykeeper.site", "record": "test", "platformProvider": "Local"},
        {"serviceName": "测试2", "domain": "luckykeeper.site", "record": "test2", "platformProvider": "Ali"},
    ]);
    let info = |code: &str, at: &str, mode: &str, secret: &str, isps: Value| {
        json!({
            "nodeName": code, "nodeCode": code, "nodeAddress": at, "workMode": mode, "cocoaSecret": secret,
            "ISPs": isps, "networkType": "IPV4", "statusCode": 200, "watchDog": "2023-09-18T22:54:22.0765568+08:00",
            "cocoaManagedService": services,
        })
    };
    // Its public address is the literal one in its URL.
    let nodes = json!([
        info("lead-code", "http://198.18.0.1:9", "leader", "999", json!(["default", "CT", "OverSea"])),
        info(
            "f-code",
            &format!("http://{}", site.at.api),
            "follower",
            &secret,
            json!(["CU", "CMCC", "CNEdu"])
        ),
    ]);
    let push = json!({"cocoaSecret": secret, "cocoaBasic": {
        "apiPort": 44443, "nodeName": "Shanghai", "nodeCode": "lead-code", "nodeAddress": "http://198.18.0.1:9",
        "workMode": "leader", "cocoaSecret": "999", "reverseProxy": true, "otherCocoaSyncer": nodes,
        "cocoaManagedService": services,
        "cloudPlatformInfo": [{"platformProvider": "Ali", "accessKey": "an-old-key", "accessSecret": "an-old-secret"}],
        "timeout": 10, "DataBaseType": "mysql", "Dsn": "root:canary-dsn@tcp(192.168.1.2:3306)/cocoasyncer",
        "createdAt": "2023-09-07T15:52:46+08:00", "updatedAt": "2023-09-18T22:54:22+08:00", "configImported": true,
    }});
    let (status, answer) = site.call("updateClusterInfo", &push).await;
    assert_eq!((status, answer["statusString"].as_str()), (200, Some("MafuMafu~")), "{answer}");
    let own = site.nodes().await.get("f").await.unwrap();
    let isps: Vec<&str> = own.spec.isps.iter().map(|line| line.as_str()).collect();
    assert_eq!(isps, ["CU", "CMCC", "CNEdu"], "the leader gives lines");
    assert_eq!(
        own.spec.addresses.unwrap().fixed.unwrap(),
        ["203.0.113.2"],
        "its own address is its own affair"
    );
    let all =
        site.nodes().await.list(&ListParams::default().labels("cocoasyncer.io/origin=leader")).await.unwrap();
    assert_eq!(all.items.len(), 1, "the leader is marked as the leader's");
    assert_eq!(all.items[0].name_any(), "lead-code");
    // Alone alive, it answers for every line of what it serves itself.
    site.answers("test.luckykeeper.site", "192.0.2.64/26", "203.0.113.2").await;
    site.answers("test.luckykeeper.site", "203.0.113.0/24", "203.0.113.2").await;
    let (code, again) = site.call("updateClusterInfo", &push).await;
    assert_eq!(code, 200, "the same push again is fine: {again}");
    let (code, info) = site.call("getClusterInfo", &json!({"cocoaSecret": secret})).await;
    assert_eq!(code, 200);
    let text = info.to_string();
    for canary in ["an-old-key", "an-old-secret", "canary-dsn", "\"999\"", &secret] {
        assert!(!text.contains(canary), "{canary} is told");
    }
}
