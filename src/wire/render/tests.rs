//! What a leader pushes is what a follower takes: the whole way from view to plan, for both audiences.

use std::sync::Arc;

use std::collections::BTreeMap;

use super::*;
use crate::api::node::CocoaNode;
use crate::api::vocab::{Family, Line, PlatformProvider};
use crate::domain::liveness::Pulse;
use crate::domain::marks::OwnerId;
use crate::domain::names::ObjectId;
use crate::wire::cluster::Request;
use crate::wire::import::{Existing, plan};
use jiff::Timestamp;
use serde_json::json;

fn node(object: &str, mode: &str, isps: &[Line]) -> NodeView {
    let spec = serde_json::from_value(json!({
        "nodeName": format!("Site {object}"), "nodeCode": format!("code-{object}"),
        "nodeAddress": format!("https://{object}.example.com:44443"), "workMode": mode, "isps": isps,
        "secretRef": {"name": "there"}, "addresses": {"fixed": ["203.0.113.1"]}, "preference": 80
    }));
    NodeView {
        object: object.into(),
        spec: spec.unwrap(),
        secret: Secret::new(format!("canary-{object}")),
        pulse: Pulse::unseen(Timestamp::UNIX_EPOCH),
        addresses: BTreeMap::from([(Family::V4, ["203.0.113.1".parse().unwrap()].into())]),
        serving: vec![],
    }
}

fn view(nodes: usize, services: usize) -> ClusterView {
    let service = |index: usize| {
        ServiceView {
            release: None,
            adopt: false,
        id: ObjectId { namespace: "default".into(), name: format!("service-{index:04}") },
        spec: serde_json::from_value(json!({
            "serviceName": format!("Service {index:04}"), "domain": "example.com", "record": format!("s{index:04}"),
            "ttl": 30
        }))
        .unwrap(),
        lines: String::new(),
        ready: None,
    }
    };
    let mut all = vec![node("n00", "leader", &[Line::Default, Line::CT])];
    all.extend((1..nodes).map(|index| node(&format!("n{index:02}"), "follower", &[Line::CU])));
    ClusterView {
        me: "n00".into(),
        api_port: 44443,
        reverse_proxy: false,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        generation: 3,
        owner: Some(OwnerId::parse("ours", "").unwrap()),
        nodes: all,
        lines: Vec::new(),
        services: Arc::new((0..services).map(service).collect()),
        accounts: vec![AccountView {
            id: ObjectId { namespace: "default".into(), name: "ali".into() },
            provider: PlatformProvider::Ali,
            access_key: Secret::new("canary-key"),
            access_secret: Secret::new("canary-\"quoted\""),
            data: [("endpoint", "https://u:canary@ali.example"), ("securityToken", "canary-token")]
                .map(|(key, value)| (key.to_owned(), Secret::new(value)))
                .into(),
        }],
    }
}

fn taken(body: &[u8]) -> crate::wire::import::Plan {
    let request = Request::read(body).unwrap();
    assert!(request.secret == Secret::new("fo\"llower"));
    let me = CocoaNode::new("n01", node("n01", "follower", &[]).spec);
    let nodes = [me];
    let existing = Existing {
        system: "cocoasyncer-system",
        me: "n01",
        nodes: &nodes,
        services: &[],
        secrets: &[],
        taken: None,
        owner: None,
    };
    plan(&request.basic().unwrap(), &existing).unwrap()
}

#[test]
fn a_push_carries_what_a_follower_needs_to_serve_alone() {
    for audience in [Audience::Ours, Audience::Legacy] {
        let push = Push::of(&view(3, 2), audience).addressed(&Secret::new("fo\"llower")).concat();
        let plan = taken(&push);
        let names: Vec<_> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["n00", "n01", "n02"]);
        assert_eq!(plan.nodes[0].spec["preference"], 80);
        assert_eq!(plan.services[1].id.to_string(), "default/service-0001");
        assert_eq!(plan.services[1].spec.ttl, 30);
        let secrets: Vec<_> = plan.secrets.iter().map(|s| s.id.name.as_str()).collect();
        assert_eq!(secrets, ["leader-node-n00", "leader-node-n02", "ali"]);
        assert_eq!(plan.secrets[2].data["accessSecret"], Secret::new("canary-\"quoted\""));
        assert_eq!(plan.secrets[2].data["securityToken"], Secret::new("canary-token"));
        assert_eq!(plan.taken.unwrap().generation, 3);
        assert_eq!(plan.owner.unwrap().as_str(), "ours");
        assert!(!String::from_utf8_lossy(&push).contains("there"), "where secrets lie is not pushed");
    }
}

#[test]
fn the_old_program_finds_the_services_under_every_node_and_ours_once() {
    let text = |audience| {
        String::from_utf8(to_json(&basic(&view(3, 1), Reveal::Masked, Scope::Full, audience))).unwrap()
    };
    let count = |text: String| text.matches("\"s0000\"").count();
    assert_eq!(count(text(Audience::Legacy)), 3 + 2);
    assert_eq!(count(text(Audience::Ours)), 2);
}

#[test]
fn the_largest_cluster_we_promise_fits_into_a_push() {
    let push = Push::of(&view(50, 2000), Audience::Ours).addressed(&Secret::new("fo\"llower")).concat();
    assert!(push.len() < 1 << 20, "{} octets", push.len());
    assert_eq!(taken(&push).services.len(), 2000);
}

#[test]
fn a_masked_document_holds_no_secret() {
    for scope in [Scope::Full, Scope::BeatOnly] {
        let text = String::from_utf8(to_json(&answer(&view(3, 1), Reveal::Masked, scope))).unwrap();
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("\"cocoaSecret\":\"***\""));
        let data = r#""data":{"endpoint":"https://ali.example","securityToken":"***"}"#;
        assert_eq!(text.contains(data), scope == Scope::Full, "{text}");
    }
}

#[test]
fn an_address_is_shown_without_its_user() {
    assert_eq!(without_user("https://u:p@h.example:1/a@b"), "https://h.example:1/a@b");
    assert_eq!(without_user("https://h.example"), "https://h.example");
    assert_eq!(without_user("h.example"), "h.example");
}
