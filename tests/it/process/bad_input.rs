//! Bad input against the running process, by kubectl's road, the v1 API and DNS: every refusal names the field, and
//! objects and answers stay as they were.

use std::net::SocketAddr;
use std::time::Duration;

use cocoasyncer::api::node::CocoaNode;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::support::objects::{node, service};
use crate::support::process::{Site, wait};
use crate::support::ran::run;

const SUBNETS: [&str; 4] = ["192.0.2.0/26", "192.0.2.64/26", "198.51.100.0/24", "203.0.113.0/24"];

/// Specs of all nodes and services, and what DNS answers each line.
async fn state(site: &Site) -> (Vec<String>, Vec<Option<String>>) {
    let nodes = site.nodes().await.list(&ListParams::default()).await.unwrap();
    let services = site.services().await.list(&ListParams::default()).await.unwrap();
    let mut specs: Vec<String> = nodes
        .iter()
        .map(|n| format!("{} {}", n.name_any(), serde_json::to_string(&n.spec).unwrap()))
        .collect();
    specs.extend(
        services.iter().map(|s| format!("{} {}", s.name_any(), serde_json::to_string(&s.spec).unwrap())),
    );
    let mut answers = Vec::new();
    for subnet in SUBNETS {
        answers.push(site.a("www.example.com", subnet).await);
    }
    (specs, answers)
}

async fn site_with_www() -> Site {
    let site = Site::leader("a", &[]).await;
    site.apply(service("www")).await.unwrap();
    site.becomes("www", "Ready", "AsWished").await;
    site.answers("www.example.com", SUBNETS[0], "203.0.113.1").await;
    site
}

fn with(mut object: Value, path: &str, value: Value) -> Value {
    *object.pointer_mut(path).unwrap_or_else(|| panic!("{path} is in the object")) = value;
    object
}

#[tokio::test]
async fn what_the_schema_refuses_changes_nothing_and_names_the_field() {
    let site = site_with_www().await;
    let before = state(&site).await;
    let good = || {
        let mut good = service("bad");
        good["spec"]["ttl"] = json!(60);
        good["spec"]["platformProvider"] = json!("Local");
        good
    };
    let peer = || node("b", &["CU"], "http://192.0.2.1:44443", Some("203.0.113.2"));
    for (object, part) in [
        (with(good(), "/spec/ttl", json!(0)), "spec.ttl"),
        (with(good(), "/spec/ttl", json!(86_401)), "spec.ttl"),
        (with(good(), "/spec/ttl", json!("60")), "ttl"),
        (with(good(), "/spec/record", json!("www.example.org.")), "spec.record"),
        (with(good(), "/spec/record", json!("")), "spec.record"),
        (with(good(), "/spec/record", json!("a..b")), "spec.record"),
        (with(good(), "/spec/domain", json!("example.com.")), "spec.domain"),
        (with(good(), "/spec/domain", json!("localhost")), "spec.domain"),
        (with(good(), "/spec/platformProvider", json!("Cloud")), "spec.platformProvider"),
        (with(peer(), "/spec/isps", json!(["Telecom"])), "spec.isps[0]"),
        (with(peer(), "/spec/isps", json!(["CT", "CT"])), "spec.isps"),
        (with(peer(), "/spec/nodeAddress", json!("tokyo:44443")), "spec.nodeAddress"),
        (with(peer(), "/spec/nodeCode", json!("")), "spec.nodeCode"),
        (with(peer(), "/spec/addresses", json!({"fixed": ["site.example.com"]})), "spec.addresses.fixed"),
        (with(peer(), "/spec/addresses", json!({"fixed": ["203.0.113.9"], "node": "x"})), "spec.addresses"),
        (with(peer(), "/spec/workMode", json!("boss")), "spec.workMode"),
        (with(peer(), "/spec/liveness/heartbeatSeconds", json!(0)), "spec.liveness.heartbeatSeconds"),
    ] {
        match site.apply(object.clone()).await {
            Err(kube::Error::Api(status)) => {
                assert!(matches!(status.code, 400 | 422 | 500), "{object}: {status:?}");
                assert!(status.message.contains(part), "{part} is not in {}", status.message);
            }
            other => panic!("{other:?}: {object}"),
        }
        // The person at kubectl reads the same.
        if part == "spec.record" || part == "spec.isps[0]" {
            let mut kubectl = std::process::Command::new("kubectl");
            kubectl.arg("--kubeconfig").arg(site.kubeconfig()).args(["apply", "-f", "-"]);
            kubectl.env("HOME", site.home.path());
            if std::process::Command::new("kubectl").arg("version").arg("--client").output().is_ok() {
                run(kubectl, &object.to_string()).await.refused(1, &[part]);
            }
        }
    }
    assert_eq!(state(&site).await, before);
}

/// Waits until a condition of a node says `parts`.
async fn node_says(site: &Site, name: &str, parts: &[&str]) {
    wait(&format!("CocoaNode {name} says {parts:?}"), || async {
        let status = site.nodes().await.get(name).await.ok()?.status?;
        let says = |text: &str| parts.iter().all(|part| text.contains(part));
        status.conditions.iter().any(|c| c.status == "False" && says(&c.message)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_only_the_operator_can_judge_is_said_in_a_condition_and_moves_no_record() {
    let site = site_with_www().await;
    let (_, answers) = state(&site).await;
    let unreachable = "http://127.0.0.1:9";

    let twin =
        with(node("twin", &["CU", "CT"], unreachable, Some("203.0.113.66")), "/spec/nodeCode", json!("a"));
    site.apply(twin).await.unwrap();
    node_says(&site, "twin", &["spec.nodeCode", "node a has this nodeCode already"]).await;

    let family = node("family", &["CU"], unreachable, Some("2001:db8::1"));
    site.apply(family).await.unwrap();
    node_says(&site, "family", &["spec.addresses.fixed[0]", "2001:db8::1", "wrong family"]).await;

    site.apply(node("inner", &["CU"], unreachable, Some("10.1.2.3"))).await.unwrap();
    node_says(&site, "inner", &["spec.addresses.fixed[0]", "10.1.2.3", "allowPrivate"]).await;

    let mut lost = service("nodefault");
    lost["spec"]["nodes"] = json!(["inner"]);
    site.apply(lost).await.unwrap();
    let said = site.becomes("nodefault", "Valid", "NoDefaultLine").await;
    assert!(said.starts_with("spec.nodes"), "{said}");
    let reply = site.ask("nodefault.example.com", "A", None).await.unwrap();
    assert!(reply.values("A").is_empty() && reply.rcode == "NXDOMAIN", "{reply:?}");

    site.apply(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "lines", "namespace": "default", "labels": {"cocoasyncer.io/line-table": "true"}},
        "data": {"lines": "10.0.0.0/8 CU\n192.0.2.0/40 CT\n"},
    }))
    .await
    .unwrap();
    site.says(&["line table refused", "default/lines", "192.0.2.0/40"]).await;
    assert_eq!(state(&site).await.1, answers, "no answer moved");

    // Said aloud, a private address is published.
    let mut own = site.nodes().await.get("a").await.unwrap();
    own.metadata.managed_fields = None;
    let nodes: Api<CocoaNode> = site.nodes().await;
    for name in ["twin", "family", "inner"] {
        nodes.delete(name, &DeleteParams::default()).await.unwrap();
    }
    let patch = |addresses: Value| kube::api::Patch::Merge(json!({"spec": {"addresses": addresses}}));
    let private = json!({"fixed": ["10.9.9.9"]});
    nodes.patch("a", &Default::default(), &patch(private)).await.unwrap();
    node_says(&site, "a", &["10.9.9.9", "allowPrivate"]).await;
    assert_eq!(state(&site).await.1, answers, "the last good address stays");
    let allowed = json!({"fixed": ["10.9.9.9"], "allowPrivate": true});
    nodes.patch("a", &Default::default(), &patch(allowed)).await.unwrap();
    site.answers("www.example.com", SUBNETS[0], "10.9.9.9").await;
}

#[tokio::test]
async fn the_v1_api_refuses_what_is_no_call_and_outlives_slow_heads() {
    let site = Site::follower("f", "CU", "203.0.113.2", &[]).await;
    site.apply(service("www")).await.unwrap();
    let before = state(&site).await;
    let mut slow = TcpStream::connect(site.at.api).await.unwrap();
    slow.write_all(b"POST /v1/getClusterInfo HTTP/1.1\r\nHost: a\r\nX-Slow: ").await.unwrap();
    let started = tokio::time::Instant::now();

    let secret = site.secret().await;
    let long = format!("{{\"cocoaSecret\":\"{secret}\",\"x\":\"{}\"}}", "x".repeat(1 << 20));
    let deep = format!("{{\"cocoaSecret\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    for route in ["/v1/getClusterInfo", "/v1/updateClusterInfo"] {
        for (body, code, part) in [
            ("{\"cocoaSecret\":", 400, "JSON"),
            ("nonsense", 400, "JSON"),
            ("[]", 400, "object"),
            ("\"\u{fffd}\"", 400, "object"),
            (deep.as_str(), 400, "JSON"),
            (long.as_str(), 413, "body"),
        ] {
            let (status, answer) = site.post(route, "application/json", body.to_owned()).await;
            let said = answer["error"].as_str().unwrap_or_default().to_owned();
            let head: String = body.chars().take(30).collect();
            assert_eq!(status, code, "{route} {head}: {answer}");
            assert!(said.contains(part), "{route} {head}: {said:?} does not say {part}");
            assert!(!said.contains(&secret), "a refusal repeats the secret");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "\u{201c}"] {
            let kind = if kind.is_ascii() { kind } else { "x/y; charset=\"" };
            let body = json!({"cocoaSecret": "wrong"}).to_string();
            let (status, answer) = site.post(route, kind, body).await;
            assert_eq!((status, answer["statusCode"].as_i64()), (200, Some(401)), "{route} {kind}: {answer}");
            let (status, _) = site.post(route, kind, "cocoaSecret=wrong").await;
            assert_eq!(status, 400, "{route} {kind}");
        }
    }
    // Right secret, wrong document: 405 with the field, and nothing changed.
    for (basic, part) in [
        (json!(null), "cocoaBasic"),
        (json!([]), "cocoaBasic"),
        (json!({}), "otherCocoaSyncer"),
        (json!({"otherCocoaSyncer": [{"nodeCode": "x"}]}), "otherCocoaSyncer[0]"),
        (json!({"otherCocoaSyncer": "all"}), "otherCocoaSyncer"),
    ] {
        let (code, answer) =
            site.call("updateClusterInfo", &json!({"cocoaSecret": secret, "cocoaBasic": basic})).await;
        assert!(code == 405 || code == 400, "{basic}: {answer}");
        assert!(answer["error"].as_str().unwrap_or_default().contains(part), "{basic}: {answer}");
    }
    let (status, answer) = site.post("/v1/nowhere", "application/json", "{}").await;
    assert_eq!((status, answer["statusCode"].as_i64()), (404, Some(404)));
    assert_eq!(state(&site).await.0, before.0);

    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), slow.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "a head that never ends is cut off");
    assert!(Duration::from_secs(5) < started.elapsed(), "a head that is only slow gets its time");
}

/// A packet by UDP; what came back, if anything.
async fn udp(at: SocketAddr, packet: &[u8], within: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind((at.ip(), 0)).await.unwrap();
    socket.send_to(packet, at).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let length = tokio::time::timeout(within, socket.recv(&mut buffer)).await.ok()?.ok()?;
    buffer.truncate(length);
    Some(buffer)
}

#[tokio::test]
async fn hostile_dns_packets_get_an_error_or_silence_and_the_next_asker_an_answer() {
    let site = site_with_www().await;
    let head = |flags: u16, counts: [u16; 4]| -> Vec<u8> {
        [0xBEEF, flags, counts[0], counts[1], counts[2], counts[3]]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect()
    };
    let name = b"\x03www\x07example\x03com\x00";
    let question = [name.as_slice(), &[0, 1, 0, 1]].concat();
    let hostile: Vec<Vec<u8>> = vec![
        vec![],
        vec![0xBE],
        head(0, [1, 0, 0, 0])[..11].to_vec(),
        head(0, [1, 0, 0, 0]),
        head(0, [0xFFFF; 4]),
        [head(0, [1, 0, 0, 0]), question[..question.len() - 2].to_vec()].concat(),
        // A name that points at itself, one that points ahead, a label that is longer than the packet.
        [head(0, [1, 0, 0, 0]), vec![0xC0, 0x0C, 0, 1, 0, 1]].concat(),
        [head(0, [1, 0, 0, 0]), vec![0xC0, 0xFF, 0, 1, 0, 1]].concat(),
        [head(0, [1, 0, 0, 0]), vec![63, b'a', 0, 1, 0, 1]].concat(),
        [head(0, [1, 0, 0, 0]), vec![0x80, 0, 0, 1, 0, 1]].concat(),
        // A reply, an unknown opcode, an update, two questions, a zone transfer.
        [head(0x8000, [1, 0, 0, 0]), question.clone()].concat(),
        [head(0x7800, [1, 0, 0, 0]), question.clone()].concat(),
        [head(0x2800, [1, 0, 0, 0]), question.clone()].concat(),
        [head(0, [2, 0, 0, 0]), question.clone(), question.clone()].concat(),
        [head(0, [1, 0, 0, 0]), name.to_vec(), vec![0, 252, 0, 1]].concat(),
        // OPT twice, and a client subnet with more bits than an address has.
        [head(0, [1, 0, 0, 2]), question.clone(), [0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0].repeat(2)].concat(),
        [
            head(0, [1, 0, 0, 1]),
            question.clone(),
            vec![0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 8, 0, 8, 0, 4, 0, 1, 255, 0],
        ]
        .concat(),
        vec![0xFF; 4096],
    ];
    for packet in &hostile {
        // A reply to a reply would be a loop; whatever else comes must be an error and no longer than a header needs.
        if let Some(reply) = udp(site.at.dns, packet, Duration::from_millis(60)).await {
            assert_eq!(reply[..2], packet[..2], "the id is the asker's");
            assert!(packet[2] & 0x80 == 0, "a reply was answered");
            assert_ne!(reply[3] & 0x0F, 0, "{packet:02x?} was answered as if it were good: {reply:02x?}");
        }
        let mut stream = TcpStream::connect(site.at.dns).await.unwrap();
        let length = u16::try_from(packet.len()).unwrap();
        stream.write_all(&[&length.to_be_bytes(), packet.as_slice()].concat()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{packet:02x?} left a connection hanging");
    }
    // Lengths that lie: more promised than sent, and nothing at all.
    for lie in [&b"\xff\xff\x00"[..], b"\x00", b"\x00\x00"] {
        let mut stream = TcpStream::connect(site.at.dns).await.unwrap();
        stream.write_all(lie).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // Closed in order or reset, but without a word.
        let _ = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty());
    }
    site.answers("www.example.com", SUBNETS[0], "203.0.113.1").await;
}
