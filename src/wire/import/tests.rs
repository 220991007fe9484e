//! A world of objects, pushes into it, and the laws that hold whatever is pushed.

use super::*;
use crate::api::node::{AddressSource, CocoaNodeSpec, SecretKeyRef};
use crate::api::vocab::{Line, PlatformProvider, WorkMode};
use crate::api::{PROVIDER_LABEL, SYSTEM_NAMESPACE};
use crate::wire::cluster::Request;
use k8s_openapi::ByteString;
use kube::api::ObjectMeta;
use serde_json::json;

fn node(name: &str, code: &str) -> CocoaNode {
    let spec: CocoaNodeSpec = serde_json::from_value(json!({
        "nodeName": name, "nodeCode": code, "nodeAddress": format!("http://{name}.example:44443"),
        "workMode": "follower", "isps": ["CU"]
    }))
    .unwrap();
    CocoaNode::new(name, spec)
}

fn service(namespace: &str, name: &str, domain: &str, record: &str) -> ManagedService {
    let spec: ManagedServiceSpec = serde_json::from_value(json!({
        "serviceName": name, "domain": domain, "record": record, "platformProvider": "Ali", "ttl": 7
    }))
    .unwrap();
    let mut service = ManagedService::new(name, spec);
    service.metadata.namespace = Some(namespace.into());
    service
}

fn leaders<T: kube::Resource>(mut object: T) -> T {
    object.meta_mut().labels = Some(leaders_mark());
    object
}

fn push(body: serde_json::Value) -> CocoaBasic {
    let text = serde_json::to_vec(&json!({"cocoaSecret": "x", "cocoaBasic": body})).unwrap();
    Request::read(&text).unwrap().basic().unwrap()
}

fn legacy() -> serde_json::Value {
    json!({
        "nodeCode": "sh01",
        "otherCocoaSyncer": [
            {"nodeName": "Shanghai", "nodeCode": "sh01", "nodeAddress": "http://sh.example:44443",
             "workMode": "leader", "cocoaSecret": "canary-sh", "ISPs": ["default", "CT"], "networkType": "IPV4",
             "statusCode": 200, "watchDog": "2023-09-18T22:54:22+08:00"},
            {"nodeName": "Tokyo", "nodeCode": "tk01", "nodeAddress": "http://tk.example:44443",
             "workMode": "follower", "cocoaSecret": "canary-tk", "ISPs": ["CU"], "networkType": "Both",
             "statusCode": 504, "watchDog": "2023-09-18T22:54:22+08:00"}
        ],
        "cocoaManagedService": [
            {"serviceName": "Blog", "domain": "example.com", "record": "www", "platformProvider": "Ali"},
            {"serviceName": "Apex", "domain": "example.com", "record": "@", "platformProvider": "Ali"},
            {"serviceName": "All", "domain": "example.com", "record": "*", "platformProvider": "Ali"}
        ],
        "cloudPlatformInfo": [{"platformProvider": "Ali", "accessKey": "canary-k", "accessSecret": "canary-s"}]
    })
}

/// This node is `tokyo`, with its own addresses and secret.
fn me() -> CocoaNode {
    let mut me = node("tokyo", "tk01");
    me.spec.secret_ref = Some(SecretKeyRef { name: "mine".into(), namespace: None, key: None });
    me.spec.addresses = Some(AddressSource { fixed: Some(vec!["203.0.113.9".into()]), ..Default::default() });
    me.spec.preference = 70;
    me
}

struct World {
    nodes: Vec<CocoaNode>,
    services: Vec<ManagedService>,
    secrets: Vec<SecretObject>,
    taken: Option<Taken>,
    owner: Option<OwnerId>,
}

impl World {
    fn new() -> Self {
        Self { nodes: vec![me()], services: vec![], secrets: vec![], taken: None, owner: None }
    }

    fn plan(&self, body: serde_json::Value) -> Result<Plan, FieldError> {
        plan(
            &push(body),
            &Existing {
                system: SYSTEM_NAMESPACE,
                me: "tokyo",
                nodes: &self.nodes,
                services: &self.services,
                secrets: &self.secrets,
                taken: self.taken.as_ref(),
                owner: self.owner.as_ref(),
            },
        )
    }

    /// Carries a plan out as an API server would.
    fn apply(&mut self, plan: Plan) {
        for write in plan.secrets {
            self.secrets.retain(|s| secret_id(s) != write.id);
            let data = write.data.iter().map(|(k, v)| (k.clone(), ByteString(v.expose().into()))).collect();
            self.secrets.push(SecretObject {
                metadata: ObjectMeta {
                    name: Some(write.id.name),
                    namespace: Some(write.id.namespace),
                    labels: Some(write.labels),
                    ..Default::default()
                },
                data: Some(data),
                ..Default::default()
            });
        }
        for write in plan.nodes {
            let old = self.nodes.iter().position(|n| nodes::name_of(n) == write.name);
            let old = old.map(|index| self.nodes.remove(index));
            let mut spec: CocoaNodeSpec = serde_json::from_value(write.spec).unwrap();
            if let Some(old) = &old {
                spec.addresses = old.spec.addresses.clone();
                spec.secret_ref = spec.secret_ref.or(old.spec.secret_ref.clone());
            }
            let mut node = CocoaNode::new(&write.name, spec);
            node.metadata.labels = write.marked.then(leaders_mark);
            self.nodes.push(node);
        }
        for write in plan.services {
            self.services.retain(|s| {
                (s.metadata.namespace.as_deref(), s.metadata.name.as_deref())
                    != (Some(write.id.namespace.as_str()), Some(write.id.name.as_str()))
            });
            let mut service = leaders(ManagedService::new(&write.id.name, write.spec));
            service.metadata.namespace = Some(write.id.namespace);
            self.services.push(service);
        }
        for gone in plan.deletions {
            match gone {
                Deletion::Node(name) => self.nodes.retain(|n| nodes::name_of(n) != name),
                Deletion::Secret(id) => self.secrets.retain(|s| secret_id(s) != id),
                Deletion::Service(id) => self.services.retain(|s| {
                    s.metadata.name != Some(id.name.clone())
                        || s.metadata.namespace != Some(id.namespace.clone())
                }),
            }
        }
        self.taken = plan.taken.or(self.taken.take());
        self.owner = plan.owner.or(self.owner.take());
    }
}

#[test]
fn a_legacy_push_becomes_objects_with_the_leaders_mark() {
    let plan = World::new().plan(legacy()).unwrap();
    let names: Vec<_> = plan.services.iter().map(|s| s.id.to_string()).collect();
    assert_eq!(names, ["default/www.example.com", "default/example.com", "default/wildcard.example.com"]);
    let nodes: Vec<_> = plan.nodes.iter().map(|n| (n.name.as_str(), n.marked)).collect();
    assert_eq!(nodes, [("sh01", true), ("tokyo", false)]);
    assert_eq!(plan.nodes[0].spec["secretRef"]["name"], "leader-node-sh01");
    let secrets: Vec<_> = plan.secrets.iter().map(|s| s.id.to_string()).collect();
    assert_eq!(
        secrets,
        [format!("{SYSTEM_NAMESPACE}/leader-node-sh01"), format!("{SYSTEM_NAMESPACE}/leader-platform-ali")]
    );
    assert_eq!(plan.secrets[1].labels[PROVIDER_LABEL], "Ali");
    assert!(plan.deletions.is_empty());
    assert_eq!(plan.taken, None, "the old program does not count its pushes");
    assert!(!format!("{plan:?}").contains("canary"), "a plan is printed without secrets");
}

#[test]
fn this_node_keeps_what_is_its_own_and_readings_are_never_taken() {
    let mut world = World::new();
    let plan = world.plan(legacy()).unwrap();
    let mine = &plan.nodes[1];
    for name in ["addresses", "secretRef", "statusCode", "watchDog"] {
        assert!(mine.spec.get(name).is_none(), "{name}");
    }
    assert_eq!(mine.spec["preference"], 70, "what the old wire cannot say survives");
    world.apply(plan);
    let me = world.nodes.iter().find(|n| nodes::name_of(n) == "tokyo").unwrap();
    assert_eq!(me.spec.secret_ref.as_ref().unwrap().name, "mine");
    assert_eq!(me.spec.node_name, "Tokyo");
    assert_eq!(me.spec.work_mode, WorkMode::Follower);
}

#[test]
fn the_same_push_again_changes_nothing() {
    let mut world = World::new();
    let first = world.plan(legacy()).unwrap();
    assert!(!first.is_empty());
    world.apply(first);
    let again = world.plan(legacy()).unwrap();
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn what_the_push_no_longer_has_goes_and_what_is_not_the_leaders_stays() {
    let mut world = World::new();
    world.nodes.push(node("byhand", "bh"));
    world.services.push(service("default", "byhand", "example.net", "x"));
    world.apply(world.plan(legacy()).unwrap());
    let mut less = legacy();
    less["otherCocoaSyncer"][1]["ISPs"] = json!(["default"]);
    less["otherCocoaSyncer"].as_array_mut().unwrap().remove(0);
    less["cocoaManagedService"].as_array_mut().unwrap().truncate(1);
    less["cloudPlatformInfo"] = json!(null);
    let plan = world.plan(less).unwrap();
    let gone: Vec<String> = plan.deletions.iter().map(|d| format!("{d:?}")).collect();
    assert_eq!(gone.len(), 5, "two services, a node and its secret, an account: {gone:?}");
    assert!(gone.iter().all(|d| !d.contains("byhand") && !d.contains("tokyo")));
    world.apply(plan);
    assert_eq!(world.nodes.len(), 2);
    assert_eq!(world.services.len(), 2);
    assert!(world.secrets.is_empty());
}

#[test]
fn a_masked_secret_is_no_secret() {
    let mut world = World::new();
    world.apply(world.plan(legacy()).unwrap());
    let mut masked = legacy();
    masked["otherCocoaSyncer"][0]["cocoaSecret"] = json!("***");
    masked["cloudPlatformInfo"][0]["accessSecret"] = json!("***");
    let plan = world.plan(masked).unwrap();
    assert!(plan.is_empty(), "what is known stays: {plan:?}");
}

#[track_caller]
fn refused(change: impl Fn(&mut serde_json::Value), field: &str) {
    let mut body = legacy();
    change(&mut body);
    let err = World::new().plan(body).unwrap_err();
    assert_eq!(err.field, format!("cocoaBasic.{field}"), "{err}");
    assert!(!err.to_string().contains("canary"), "{err}");
}

#[test]
fn bad_input_is_refused_by_its_field() {
    let node = |name: &'static str, value: serde_json::Value| {
        move |body: &mut serde_json::Value| body["otherCocoaSyncer"][0][name] = value.clone()
    };
    refused(node("ISPs", json!(["default", "telecom"])), "otherCocoaSyncer[0].ISPs[1]");
    refused(node("nodeCode", json!("tk01")), "otherCocoaSyncer[1].nodeCode");
    refused(node("nodeCode", json!("")), "otherCocoaSyncer[0].nodeCode");
    refused(node("nodeName", json!("x".repeat(65))), "otherCocoaSyncer[0].nodeName");
    refused(node("nodeAddress", json!("ftp://sh.example")), "otherCocoaSyncer[0].nodeAddress");
    refused(node("nodeAddress", json!("http://sh.example/?q=1")), "otherCocoaSyncer[0].nodeAddress");
    refused(node("nodeAddress", json!("sh.example:44443")), "otherCocoaSyncer[0].nodeAddress");
    refused(node("workMode", json!("boss")), "otherCocoaSyncer[0].workMode");
    refused(node("networkType", json!("ipv4")), "otherCocoaSyncer[0].networkType");
    refused(node("ISPs", json!(["CT"])), "otherCocoaSyncer");
    refused(
        node("operator", json!({"object": "sh", "spec": {"nodeName": 7}})),
        "otherCocoaSyncer[0].operator.spec",
    );
    refused(
        node(
            "operator",
            json!({"spec": {"nodeName": "a", "nodeCode": "b", "nodeAddress": "http://c", "preference": 101}}),
        ),
        "otherCocoaSyncer[0].operator.spec.preference",
    );
    refused(|body| body["otherCocoaSyncer"][1]["workMode"] = json!("leader"), "otherCocoaSyncer[1].workMode");
    refused(|body| body["otherCocoaSyncer"] = json!([]), "otherCocoaSyncer");
    refused(|body| drop(body["otherCocoaSyncer"].as_array_mut().unwrap().pop()), "otherCocoaSyncer");
    let service = |name: &'static str, value: serde_json::Value| {
        move |body: &mut serde_json::Value| body["cocoaManagedService"][1][name] = value.clone()
    };
    refused(service("record", json!("www.elsewhere.net.")), "cocoaManagedService[1].record");
    refused(service("record", json!("")), "cocoaManagedService[1].record");
    refused(service("domain", json!("exa mple.com")), "cocoaManagedService[1].domain");
    refused(service("domain", json!("com")), "cocoaManagedService[1].domain");
    refused(service("serviceName", json!("")), "cocoaManagedService[1].serviceName");
    refused(service("platformProvider", json!("Nowhere")), "cocoaManagedService[1].platformProvider");
    refused(
        service("operator", json!({"namespace": "A", "name": "b"})),
        "cocoaManagedService[1].operator.namespace",
    );
    refused(
        |body| body["cloudPlatformInfo"][0]["platformProvider"] = json!(""),
        "cloudPlatformInfo[0].platformProvider",
    );
}

fn ours(generation: u64, created: &str) -> serde_json::Value {
    let mut body = legacy();
    body["operator"] = json!({"version": "1", "generation": generation});
    body["createdAt"] = json!(created);
    body
}

#[test]
fn an_old_push_never_undoes_a_newer_one() {
    let mut world = World::new();
    let day = "2026-01-01T00:00:00+08:00";
    world.apply(world.plan(ours(7, day)).unwrap());
    assert_eq!(world.taken.as_ref().unwrap().generation, 7);
    assert_eq!(world.plan(ours(6, day)).unwrap_err().field, "cocoaBasic.operator.generation");
    assert!(world.plan(ours(7, day)).is_ok());
    assert!(world.plan(ours(1, "2026-02-01T00:00:00Z")).is_ok(), "a leader set up anew counts anew");
    let mut other = ours(1, "2020-01-01T00:00:00Z");
    other["nodeCode"] = json!("another");
    assert!(world.plan(other).is_ok(), "another leader counts for itself");
}

#[test]
fn names_of_our_kind_are_kept_and_never_trespass() {
    let mut world = World::new();
    world.nodes.push(node("shanghai", "byhand"));
    world.services.push(service("web", "blog", "example.net", "x"));
    let mut body = ours(1, "2026-01-01T00:00:00Z");
    body["otherCocoaSyncer"][0]["operator"] = json!({"object": "shanghai"});
    body["cocoaManagedService"][0]["operator"] = json!({"namespace": "web", "name": "blog", "spec": {
        "serviceName": "Blog", "domain": "example.com", "record": "www", "platformProvider": "Ali",
        "ttl": 5, "nodes": ["shanghai"], "weights": {"shanghai": 3}, "deletionPolicy": "Retain"}});
    body["cloudPlatformInfo"][0]["operator"] = json!({"namespace": "web", "name": "ali"});
    let plan = world.plan(body.clone()).unwrap();
    assert_eq!(plan.nodes[0].name, "shanghai-2", "somebody else's node has the name");
    let write = &plan.services[0];
    assert_eq!(write.id.to_string(), "web/blog-2", "somebody else's service has the name");
    assert_eq!((write.spec.ttl, write.spec.nodes.as_slice()), (5, &["shanghai-2".to_owned()][..]));
    assert_eq!(
        write.spec.weights,
        [("shanghai-2".to_owned(), 3)].into(),
        "weights go by our names of nodes too"
    );
    assert!(plan.namespaces.contains("web"));
    assert!(plan.secrets.iter().any(|s| s.id.to_string() == "web/ali"));
    world.apply(plan);
    assert!(world.plan(body).unwrap().is_empty());
}

#[test]
fn an_object_of_the_same_name_is_the_same_service_and_keeps_what_the_old_wire_cannot_say() {
    let mut world = World::new();
    world.services.push(service("web", "blog", "Example.com", "www"));
    let plan = world.plan(legacy()).unwrap();
    let blog = plan.services.iter().find(|s| s.id.name == "blog").unwrap();
    assert_eq!(blog.spec.ttl, 7);
    assert_eq!(blog.spec.domain, "Example.com", "immutable, in spelling too");
    assert_eq!(blog.spec.platform_provider, PlatformProvider::Ali);
}

#[test]
fn a_node_of_the_line_none_answers_for_nothing() {
    let mut body = legacy();
    body["otherCocoaSyncer"][1]["ISPs"] = json!(["None"]);
    let plan = World::new().plan(body).unwrap();
    assert_eq!(plan.nodes[1].spec["isps"], json!([]));
    assert_eq!(plan.nodes[0].spec["isps"], json!([Line::Default, Line::CT]));
}

#[test]
fn a_drain_set_here_stays_and_one_that_the_leader_took_back_goes() {
    let mut world = World::new();
    let mut body = ours(1, "2026-01-01T00:00:00Z");
    body["otherCocoaSyncer"][0]["operator"] = json!({"object": "sh01", "spec": {
        "nodeName": "Shanghai", "nodeCode": "sh01", "nodeAddress": "http://sh.example:44443"}});
    world.apply(world.plan(body.clone()).unwrap());
    let node = world.nodes.iter_mut().find(|node| nodes::name_of(node) == "sh01").unwrap();
    node.spec.drain = Some(crate::api::node::Drain { until: None, reason: Some("works".into()) });
    assert!(world.plan(body.clone()).unwrap().is_empty(), "somebody here drained it");
    let node = world.nodes.iter_mut().find(|node| nodes::name_of(node) == "sh01").unwrap();
    node.metadata.managed_fields = Some(vec![
        serde_json::from_value(json!({"manager": FIELD_MANAGER, "operation": "Apply",
            "fieldsV1": {"f:spec": {"f:drain": {"f:reason": {}}}}}))
        .unwrap(),
    ]);
    let plan = world.plan(body).unwrap();
    assert_eq!(plan.nodes.len(), 1, "an earlier push drained it");
    assert!(plan.nodes[0].spec.get("drain").is_none());
}

#[test]
fn the_leaders_owner_id_is_taken_and_an_older_leader_changes_none() {
    let mut world = World::new();
    let mut body = ours(1, "2026-01-01T00:00:00Z");
    world.owner = Some(OwnerId::parse("mine", "").unwrap());
    for older in [body.clone(), legacy()] {
        assert_eq!(world.plan(older).unwrap().owner, None);
    }
    body["operator"]["owner"] = json!("cocoa-1");
    world.apply(world.plan(body.clone()).unwrap());
    assert_eq!(world.owner.as_ref().unwrap().as_str(), "cocoa-1");
    assert!(world.plan(body.clone()).unwrap().is_empty());
    body["operator"]["owner"] = json!("Not an id");
    assert_eq!(world.plan(body).unwrap_err().field, "cocoaBasic.operator.owner");
}

#[test]
fn an_account_is_taken_with_all_its_keys_and_bounded() {
    let mut world = World::new();
    let account = |data: serde_json::Value| {
        let mut body = ours(1, "2026-01-01T00:00:00Z");
        body["cloudPlatformInfo"][0]["operator"] = json!({"namespace": "web", "name": "dns", "data": data});
        body
    };
    let line = json!({"server": "ns1", "accessKey.CT": "k-ct", "accessSecret.CT": "canary"});
    let plan = world.plan(account(line.clone())).unwrap();
    let write = plan.secrets.iter().find(|secret| secret.id.name == "dns").unwrap();
    let keys: Vec<&str> = write.data.keys().map(String::as_str).collect();
    assert_eq!(keys, ["accessKey", "accessKey.CT", "accessSecret", "accessSecret.CT", "server"]);
    world.apply(plan);
    assert!(world.plan(account(line)).unwrap().is_empty());
    let masked = account(json!({"server": "ns1", "accessKey.CT": "***", "accessSecret.CT": "***"}));
    assert!(world.plan(masked).unwrap().is_empty(), "what is known stays");
    let less = world.plan(account(json!({"server": "ns2"}))).unwrap();
    assert_eq!(less.secrets[0].data.len(), 3, "a line's key that the leader took back goes");

    let at = "cocoaBasic.cloudPlatformInfo[0].operator.data";
    for bad in [json!({"a/b": "x"}), json!({"": "x"}), json!({"..": "x"}), json!({"accessSecret": "x"})] {
        assert_eq!(world.plan(account(bad)).unwrap_err().field, at);
    }
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("k{n}"), json!("x"))).collect();
    for (bad, field) in [
        (json!(many), at.to_owned()),
        (json!({"k".repeat(254): "x"}), at.to_owned()),
        (json!({"k": "x".repeat(4097)}), format!("{at}.k")),
        (json!({"k": {}}), format!("{at}.k")),
    ] {
        let text = json!({"cocoaBasic": account(bad)}).to_string();
        assert_eq!(Request::read(text.as_bytes()).unwrap().basic().unwrap_err().field, field);
    }
}
