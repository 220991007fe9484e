//! Every right of the table is used, and nothing else is asked for: an operator is led through all that it can do, as the
//! API servers of today answer it and as those of 1.30 do, and what it asked is held against what it was granted.

use std::collections::BTreeSet;

use cocoasyncer::api::rbac::{Right, TABLE};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::cluster::asked::Asked;
use crate::support::cluster::faults::Fault;
use crate::support::cluster::rights::grants;
use crate::support::objects;
use crate::support::process::{http, wait};
use crate::world::{ADDRESS, NODE, Replica, World, installed, service};

const SYSTEM: &str = cocoasyncer::api::SYSTEM_NAMESPACE;
/// The webhook's configuration, as the chart names it.
const WEBHOOK: &str = "cocoasyncer-system-cocoasyncer";
/// Rights that no call here asks for: one an admission plugin asks for, the other takes a server without lists as streams.
const ASKED_ELSEWHERE: [&str; 2] = ["update apps/finalizers", "list leases"];
/// What every replica here is told beside the usual.
const FLAGS: [&str; 16] = [
    "--work-mode",
    "follower",
    "--lease-seconds",
    "6",
    "--docker",
    "none",
    "--webhook-listen",
    "127.0.0.1:0",
    "--webhook-configuration",
    WEBHOOK,
    "--app-auth",
    "gateway",
    "--app-gateway-from",
    "127.0.0.0/8",
    "--app-namespace",
    SYSTEM,
];

/// A template with all that becomes an object: containers, one that ends, a file, a volume, a port.
fn template() -> Value {
    let compose = "\
services:
  web:
    image: nginx:$W9_VERSION
    container_name: $W9_ID
    restart: unless-stopped
    ports: [\"$W9_HTTP_PORT_SET:80\"]
    volumes: [\"./src/index.html:/usr/share/nginx/html/index.html:ro\", \"data:/data\"]
  once:
    image: busybox:1
    container_name: $W9_ID-once
    restart: \"no\"
    command: [\"true\"]
volumes: { data: {} }
networks:
  default: { name: $W9_NETWORK, external: true }
";
    let env = "W9_ID=all\nW9_VERSION=1\nW9_NETWORK=websoft9\nW9_HTTP_PORT=80\nW9_HTTP_PORT_SET=9001\n";
    let about = json!({
        "name": "all", "trademark": "All", "release": true,
        "edition": [{"dist": "community", "version": ["1", "2"]}],
        "requirements": {"cpu": "1", "memory": "0.5", "disk": "1"},
    });
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "all-template", "namespace": SYSTEM, "labels": {"cocoasyncer.io/catalog-app": "all"},
        },
        "data": {
            "docker-compose.yml": compose, ".env": env, "variables.json": about.to_string(),
            "src__index.html": "<h1>Hello</h1>",
        },
    })
}

fn app(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "cocoasyncer.io/v1alpha1", "kind": "App",
        "metadata": {"name": name, "namespace": SYSTEM},
        "spec": {"appName": "all", "appVersion": version, "domain": format!("{name}.example.com")},
    })
}

/// A leader's document for the node here, with one more node, these services and, where there are any, an account.
fn push(secret: &str, generation: u64, services: &[&str], namespace: &str) -> Value {
    let service = |name: &&str| {
        json!({
            "serviceName": name, "domain": "example.com", "record": name, "platformProvider": "Local",
            "operator": {"namespace": namespace, "name": name},
        })
    };
    let info = |code: &str, mode: &str, lines: Value, secret: &str| {
        json!({
            "nodeName": code, "nodeCode": code, "nodeAddress": format!("http://{code}.invalid"), "workMode": mode,
            "cocoaSecret": secret, "ISPs": lines, "networkType": "IPV4", "statusCode": 504,
            "watchDog": "2001-01-01T00:00:00+08:00", "cocoaManagedService": [],
        })
    };
    let mut all = vec![
        info("lead", "leader", json!(["default"]), "lead-secret"),
        info(NODE, "follower", json!(["default", "CT"]), secret),
    ];
    if !services.is_empty() {
        all.push(info("third", "follower", json!(["CU"]), "third-secret"));
    }
    let services: Vec<Value> = services.iter().map(service).collect();
    json!({"cocoaSecret": secret, "cocoaBasic": {
        "nodeName": "lead", "nodeCode": "lead", "nodeAddress": "http://lead.invalid", "workMode": "leader",
        "createdAt": "2026-01-01T00:00:00+08:00", "timeout": 10, "otherCocoaSyncer": all,
        "cocoaManagedService": services, "cloudPlatformInfo": [],
        "operator": {"version": "9", "generation": generation, "owner": "ours"},
    }})
}

/// Waits until an object is there, or gone.
async fn stands(world: &World, api_version: &str, kind: &str, name: &str, there: bool) -> Option<Value> {
    let object = json!({
        "apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": SYSTEM},
    });
    let api: Api<DynamicObject> = world.api(&object);
    wait(&format!("{kind} {name} stands: {there}"), || async {
        let found = api.get_opt(name).await.ok()?;
        (found.is_some() == there).then(|| found.map(|found| serde_json::to_value(found).unwrap()))
    })
    .await
}

/// Leads it through names, sites, accounts and what lies in the cluster's own kinds.
async fn serves(world: &World, replica: &Replica) {
    let lines = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "lines", "namespace": SYSTEM, "labels": {"cocoasyncer.io/line-table": "true"}},
        "data": {"lines.txt": "198.51.100.0/24 OverSea\n"},
    });
    world.apply(lines).await;
    world.local("www").await;
    world.at_ali("a").await;
    replica.serves("www").await;
    world.holds(&["a"]).await;
    let mut kept = service("kept");
    kept["spec"]["deletionPolicy"] = json!("Retain");
    world.apply(kept).await;
    world.becomes("kept", "Ready", "AsWished").await;
    world.delete(service("kept")).await;
    let worker = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "worker"}});
    world.apply(worker.clone()).await;
    let status = Patch::Merge(json!({"status": {
        "addresses": [{"type": "ExternalIP", "address": "203.0.113.7"}],
        "allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"},
        "conditions": [{"type": "Ready", "status": "True"}],
    }}));
    world.api(&worker).patch_status("worker", &PatchParams::default(), &status).await.unwrap();
    let balanced = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "balanced", "namespace": SYSTEM},
        "spec": {"ports": [{"port": 80}], "externalIPs": ["203.0.113.8"]},
    });
    world.apply(balanced).await;
    let here = json!({"namespace": SYSTEM, "name": "balanced"});
    for (source, resource) in [(json!({"node": "worker"}), "nodes"), (json!({"service": here}), "services")] {
        addresses(world, source).await;
        let used = async || (0 < replica.proxy.ledger().count("get", resource)).then_some(());
        wait(&format!("{resource} are asked for"), used).await;
    }
    addresses(world, json!({"fixed": [ADDRESS]})).await;
    replica.serves("www").await;
    refused_again(world).await;
}

/// The second event of one kind about one object counts the first one up.
async fn refused_again(world: &World) {
    let refusals = || {
        world.ali.calls().iter().filter(|call| call.action == "AddDomainRecord" && !call.is_done()).count()
    };
    world.ali.deny("key-id", "AddDomainRecord");
    let mut object = service("refused");
    object["spec"]["platformProvider"] = json!("Ali");
    for ttl in [600, 700] {
        let before = refusals();
        object["spec"]["ttl"] = json!(ttl);
        world.apply(object.clone()).await;
        wait("it is refused", || async { (before < refusals()).then_some(()) }).await;
    }
    world.ali.allow_all("key-id");
    let patched = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"namespace": SYSTEM, "name": "x"}});
    wait("the event was counted up", || async {
        let all = world.api(&patched).list(&ListParams::default()).await.ok()?;
        all.items.iter().any(|event| event.data["series"]["count"].as_i64().is_some()).then_some(())
    })
    .await;
}

/// Has the node's addresses from this source alone.
async fn addresses(world: &World, source: Value) {
    let node = objects::node(NODE, &[], "x", None);
    let mut all = json!({"fixed": null, "node": null, "service": null});
    let (key, value) = source.as_object().and_then(|source| source.iter().next()).unwrap();
    all[key] = value.clone();
    let patch = Patch::Merge(json!({"spec": {"addresses": all}}));
    world.api(&node).patch(NODE, &PatchParams::default(), &patch).await.unwrap();
}

/// A leader pushes services of a namespace, and takes them back.
async fn obeys(world: &World, replica: &Replica, from: u64, namespace: &str) {
    let secret = {
        let object = objects::node_secret(NODE, "");
        let found = world.api(&object).get(NODE).await.unwrap().data["data"]["cocoaSecret"].clone();
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(found.as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    for (generation, services) in [(from, &["pushed"][..]), (from + 1, &[])] {
        let push = push(&secret, generation, services, namespace);
        // A moment after the start its own secret is not read yet.
        let taken = async || (replica.site.call("updateClusterInfo", &push).await.0 == 200).then_some(());
        wait("the push is taken", taken).await;
    }
}

/// Applications come by the App API and by kubectl, show their logs, and go.
async fn runs(world: &World, replica: &Replica) {
    world.apply(template()).await;
    // Somebody else's, under the name that the application's own would have.
    let mut others = service("app-byhand");
    others["spec"]["record"] = json!("others");
    world.apply(others).await;
    replica.proxy.trouble("patch", "apps", Fault::Conflict, 1);
    let api = |action: &str| format!("http://{}/{action}", replica.site.at.api);
    let install = api("AppInstall?app_name=all&customer_app_name=byapi&app_version=1");
    wait("the template is offered", || async {
        let offered = replica.site.log().contains("catalogue taken templates=12");
        offered.then_some(())
    })
    .await;
    let answer = http().post(&install).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    world.apply(app("byhand", "1")).await;
    for name in ["byapi", "byhand"] {
        let deployment = stands(world, "apps/v1", "Deployment", name, true).await.unwrap();
        stands(world, "batch/v1", "Job", &format!("{name}-once"), true).await;
        pod(world, &deployment).await;
    }
    let looked = async || (0 < replica.proxy.ledger().count("get", "managedservices")).then_some(());
    wait("it looks whose the name is", looked).await;
    let log = api("apps/byhand/logs");
    let _ = http().get(&log).send().await;
    world.apply(app("byhand", "2")).await;
    wait("another version runs", || async {
        let now = stands(world, "apps/v1", "Deployment", "byhand", true).await?;
        let image = now["spec"]["template"]["spec"]["containers"][0]["image"].as_str()?;
        image.ends_with(":2").then_some(())
    })
    .await;
    let uninstall = api("AppUninstall?app_id=byapi");
    http().post(&uninstall).send().await.unwrap();
    // One whose data are kept is taken up again with what it chose.
    let mut keeps = app("byhand", "2");
    keeps["spec"]["uninstall"] = json!({"deleteData": false});
    for again in [keeps.clone(), app("byhand", "2")] {
        world.apply(again.clone()).await;
        stands(world, "apps/v1", "Deployment", "byhand", true).await;
        world.delete(again).await;
        stands(world, "cocoasyncer.io/v1alpha1", "App", "byhand", false).await;
    }
    stands(world, "cocoasyncer.io/v1alpha1", "App", "byapi", false).await;
}

/// What is off unless somebody wants it: all namespaces, those that are missing made, and Gateways.
async fn everywhere(world: &World) -> Replica {
    let names = json!({"plural": "httproutes", "singular": "httproute", "kind": "HTTPRoute"});
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version =
        json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    world.apply(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "httproutes.gateway.networking.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api"},
        },
        "spec": {
            "group": "gateway.networking.k8s.io", "scope": "Namespaced", "names": names, "versions": [version],
        },
    }))
    .await;
    let rules: Vec<Value> = TABLE.iter().map(|right| json!(rule(right, right.verbs))).collect();
    let group = "rbac.authorization.k8s.io";
    world.apply(json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": "everywhere"}, "rules": rules,
    }))
    .await;
    world.apply(json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "everywhere"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "everywhere"},
        "subjects": [{"kind": "ServiceAccount", "name": world.account.name, "namespace": world.account.namespace}],
    }))
    .await;
    let flags = [&FLAGS[..], &["--app-gateway", "edge/public"]].concat();
    let mut replica = world.replica_within(&[], &flags).await;
    replica.site.start().await;
    obeys(world, &replica, 9, "fresh").await;
    world.apply(app("routed", "1")).await;
    let made = async || (0 < replica.proxy.ledger().count("create", "httproutes")).then_some(());
    wait("a route is made", made).await;
    world.delete(app("routed", "1")).await;
    stands(world, "cocoasyncer.io/v1alpha1", "App", "routed", false).await;
    replica
}

/// Plays the controller of a Deployment: its pod, which fails and has a last word.
async fn pod(world: &World, deployment: &Value) {
    let template = deployment["spec"]["template"].clone();
    let name = format!("{}-pod", deployment["metadata"]["name"].as_str().unwrap());
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"],
    });
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["namespace"] = json!(SYSTEM);
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"],
        "uid": deployment["metadata"]["uid"],
    }]);
    world.apply(pod).await;
}

/// A row of the table as a rule.
fn rule(right: &Right, verbs: &[&str]) -> PolicyRule {
    let names: Vec<String> = right.names.iter().map(|name| name.replace("{webhook}", WEBHOOK)).collect();
    PolicyRule {
        api_groups: Some(vec![right.group.to_owned()]),
        resources: Some(vec![right.resource.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        resource_names: Some(names).filter(|names| !names.is_empty()),
        ..PolicyRule::default()
    }
}

/// What of the table no call of `used` needed.
fn left_over(used: &BTreeSet<Asked>) -> Vec<String> {
    let each = TABLE.iter().flat_map(|right| right.verbs.iter().map(move |verb| (right, *verb)));
    let left = each.filter(|(right, verb)| {
        let rule = rule(right, &[verb]);
        !used.iter().any(|asked| grants(&rule, asked))
    });
    left.map(|(right, verb)| format!("{verb} {}", right.resource)).collect()
}

#[tokio::test]
async fn every_right_that_is_granted_is_used() {
    let world = World::new().await;
    let webhook = installed().into_iter().find(|object| object["kind"] == "ValidatingWebhookConfiguration");
    world.apply(webhook.unwrap()).await;
    let mut replica = world.replica(&FLAGS).await;
    replica.site.start().await;
    obeys(&world, &replica, 7, SYSTEM).await;
    serves(&world, &replica).await;
    runs(&world, &replica).await;
    assert!(replica.site.stop().await.success());
    let other = everywhere(&world).await;
    let mut used = replica.proxy.ledger().used();
    used.extend(other.proxy.ledger().used());
    let mut left = left_over(&used);
    left.retain(|right| !ASKED_ELSEWHERE.contains(&right.as_str()));
    assert!(left.is_empty(), "granted, and used by nothing here: {left:?}");
}
