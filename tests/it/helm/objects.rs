//! The chart's objects: valid for every version of Kubernetes, hardened, of one piece, with no more rights than the table
//! has.

use std::collections::BTreeSet;

use cocoasyncer::api::rbac::{Feature, Scope, TABLE};
use serde_json::{Value, json};

use super::{Helm, NAMESPACE, Objects, others};
use crate::support::schemas::assert_valid;

/// All that the chart can make.
fn everything() -> Value {
    json!({
        "namespaces": ["default"], "image": {"pullSecrets": ["mine"]},
        "api": {"ingress": {"enabled": true, "host": "a.example.com", "tlsSecret": "cert"}},
        "dns": {"lineTables": {"isps": "192.0.2.0/24 CT\n"}},
        "node": {"secret": {"existingSecret": "site"}, "publicAddresses": ["203.0.113.1"]},
        "apps": {"auth": {"existingSecret": "tokens"}},
        "metrics": {"monitor": "ServiceMonitor", "rules": {"enabled": true}, "dashboard": {"enabled": true}},
        "networkPolicy": {"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]},
        "rbac": {"createNamespaces": true}, "podAntiAffinity": "hard", "priorityClassName": "system-cluster-critical",
    })
}

/// What the level `restricted` of the Pod Security Standards forbids in a pod, as Kubernetes documents it.
fn forbidden(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let own = &pod["securityContext"];
    let containers =
        ["containers", "initContainers"].map(|list| pod[list].as_array().cloned().unwrap_or_default());
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        if pod[host] == true {
            found.push(host.to_owned());
        }
    }
    let allowed = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let kinds: Vec<&String> = volume.as_object().unwrap().keys().filter(|key| *key != "name").collect();
        if kinds.iter().any(|kind| !allowed.contains(&kind.as_str())) {
            found.push(format!("volume {volume}"));
        }
    }
    for container in containers.iter().flatten() {
        let context = &container["securityContext"];
        let either =
            |field: &str| if context[field].is_null() { own[field].clone() } else { context[field].clone() };
        let profile = either("seccompProfile")["type"].clone();
        let ports = container["ports"].as_array().into_iter().flatten();
        let rules = [
            ("privileged", context["privileged"] != true),
            ("allowPrivilegeEscalation", context["allowPrivilegeEscalation"] == false),
            ("runAsNonRoot", either("runAsNonRoot") == true),
            ("runAsUser", either("runAsUser").as_i64().is_none_or(|uid| 0 < uid)),
            ("seccompProfile", profile == "RuntimeDefault" || profile == "Localhost"),
            ("capabilities.drop", context["capabilities"]["drop"] == json!(["ALL"])),
            ("capabilities.add", context["capabilities"]["add"].is_null()),
            ("hostPort", ports.clone().all(|port| port["hostPort"].is_null())),
            ("procMount", context["procMount"].is_null()),
        ];
        found.extend(rules.into_iter().filter(|(_, fine)| !fine).map(|(rule, _)| rule.to_owned()));
    }
    found
}

fn pods(objects: &Objects) -> Vec<&Value> {
    let makers = objects.0.iter().filter(|o| o["kind"] == "Deployment" || o["kind"] == "Job");
    makers.map(|object| &object["spec"]["template"]).collect()
}

#[tokio::test]
async fn all_objects_are_valid_for_all_versions_of_kubernetes_and_restricted() {
    let mut helm = Helm::beside(&others()).await;
    let all = helm.render(&everything()).await;
    for pod in pods(&all) {
        assert_eq!(forbidden(&pod["spec"]), Vec::<String>::new());
        assert!(pod["spec"]["containers"].as_array().unwrap().iter().all(|container| {
            container["securityContext"]["readOnlyRootFilesystem"] == true
                && !container["resources"]["limits"]["memory"].is_null()
        }));
        let mut bad = pod["spec"].clone();
        bad["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        assert_eq!(forbidden(&bad), ["allowPrivilegeEscalation"]);
    }
    let plain =
        helm.render(&json!({"podAntiAffinity": "none", "replicas": 1, "resources": {"limits": {}}})).await;
    let own = |object: &&Value| {
        let version = object["apiVersion"].as_str().unwrap();
        !version.contains("monitoring.coreos.com") && !version.contains("gateway.networking")
    };
    assert_valid([all.0, plain.0].concat().iter().filter(own).cloned().collect());
}

#[tokio::test]
async fn what_refers_to_something_finds_it() {
    let mut helm = Helm::beside(&others()).await;
    let all = helm.render(&everything()).await;
    let template = &all.get("Deployment/cocoasyncer").unwrap()["spec"]["template"];
    let labels = &template["metadata"]["labels"];
    let selects =
        |selector: &Value| selector.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value);
    let ports = template["spec"]["containers"][0]["ports"].as_array().unwrap();
    let named: BTreeSet<&str> = ports.iter().map(|port| port["name"].as_str().unwrap()).collect();
    for service in all.of_kind("Service") {
        assert!(selects(&service["spec"]["selector"]), "{service}");
        for port in service["spec"]["ports"].as_array().unwrap() {
            let target = ports.iter().find(|one| one["name"] == port["targetPort"]).unwrap();
            assert_eq!(target["protocol"], port["protocol"]);
        }
    }
    let dns = all.get("Service/cocoasyncer-dns").unwrap();
    let protocols: Vec<&Value> =
        dns["spec"]["ports"].as_array().unwrap().iter().map(|p| &p["protocol"]).collect();
    assert_eq!(protocols, ["UDP", "TCP"], "on one address");
    let budget = all.get("PodDisruptionBudget/cocoasyncer");
    let policy = &all.get("NetworkPolicy/cocoasyncer").unwrap()["spec"];
    assert!(selects(&policy["podSelector"]["matchLabels"]));
    for port in
        policy["ingress"].as_array().unwrap().iter().flat_map(|rule| rule["ports"].as_array().unwrap())
    {
        assert!(named.contains(port["port"].as_str().unwrap()));
    }
    assert!(budget.is_none_or(|budget| selects(&budget["spec"]["selector"]["matchLabels"])));
    let account = template["spec"]["serviceAccountName"].as_str().unwrap();
    assert!(all.get(&format!("ServiceAccount/{account}")).is_some());
    for binding in all.0.iter().filter(|o| o["kind"].as_str().unwrap().ends_with("RoleBinding")) {
        assert_eq!(
            binding["subjects"],
            json!([{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}])
        );
        let namespace = binding["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE);
        let role =
            (binding["roleRef"]["kind"].as_str().unwrap(), binding["roleRef"]["name"].as_str().unwrap());
        assert!(all.get(&format!("{}/{namespace}/{}", role.0, role.1)).is_some(), "{binding}");
    }
    let monitor = &all.get("ServiceMonitor/cocoasyncer").unwrap()["spec"];
    let figures = all.get("Service/cocoasyncer-metrics").unwrap();
    let wanted = monitor["selector"]["matchLabels"].as_object().unwrap();
    assert!(wanted.iter().all(|(key, value)| figures["metadata"]["labels"][key] == *value));
    // The test's pod is no replica: no Service may lead to it.
    let test = &all.get("Job/cocoasyncer-test").unwrap()["spec"]["template"]["metadata"]["labels"];
    assert!(all.of_kind("Service").all(|service| {
        service["spec"]["selector"].as_object().unwrap().iter().any(|(key, value)| test[key] != *value)
    }));
}

/// `group/resource verb` of a role's rules.
fn granted(role: &Value) -> BTreeSet<String> {
    let words = |rule: &Value, field: &str| -> Vec<String> {
        rule[field].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut all = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let names = rule["resourceNames"].as_array().map(Vec::len);
        for verb in words(rule, "verbs") {
            let said =
                format!("{}/{} {verb} {names:?}", words(rule, "apiGroups")[0], words(rule, "resources")[0]);
            assert!(all.insert(said.clone()), "{said} stands twice");
        }
    }
    all
}

fn rights(scopes: &[Scope], features: &[Feature]) -> BTreeSet<String> {
    let fits =
        |row: &&cocoasyncer::api::rbac::Right| scopes.contains(&row.scope) && features.contains(&row.feature);
    let said = TABLE.iter().filter(fits).flat_map(|row| {
        let names = (!row.names.is_empty()).then_some(row.names.len());
        row.verbs.iter().map(move |verb| format!("{}/{} {verb} {names:?}", row.group, row.resource))
    });
    said.collect()
}

#[tokio::test]
async fn roles_grant_what_the_table_says_where_it_says_it() {
    let mut helm = Helm::new().await;
    let all = helm.render(&json!({"namespaces": ["default"]})).await;
    let features = [Feature::Base, Feature::Capacity, Feature::Webhook];
    let role = |name: &str| granted(all.get(name).unwrap());
    assert_eq!(role("ClusterRole/cocoasyncer-system-cocoasyncer"), rights(&[Scope::Cluster], &features));
    assert_eq!(role("Role/cocoasyncer"), rights(&[Scope::System, Scope::Namespaces], &features));
    assert_eq!(role("Role/default/cocoasyncer"), rights(&[Scope::Namespaces], &features));
    assert_eq!(all.of_kind("Role").count(), 2);
}
