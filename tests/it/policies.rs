//! The ValidatingAdmissionPolicies of the chart: every policy is bound, no refusal is without words, and each refuses what
//! it is for and lets the rest through. A real API server is asked too, where there is one (`admission::cluster`).

mod judge;

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::judge::{Edit, judged};

const FILE: &str = include_str!("../../charts/cocoasyncer/files/policies.yaml");
/// Whom the policies let through where a push is written.
const OPERATOR: &str = "system:serviceaccount:cocoasyncer-system:cocoasyncer";

/// The file as the chart renders it for the operator's usual namespace.
pub fn rendered() -> String {
    let text = FILE.replace("{{ .Release.Namespace }}", "cocoasyncer-system");
    let text = text.replace(r#"{{ include "cocoasyncer.serviceAccount" . }}"#, "cocoasyncer");
    assert!(!text.contains("{{"), "a placeholder that this test doesn't know");
    text
}

fn all<K: DeserializeOwned>(kind: &str) -> Vec<K> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&rendered()).unwrap();
    let mine = documents.into_iter().filter(|document| document["kind"] == kind);
    mine.map(|document| serde_json::from_value(document).unwrap()).collect()
}

fn policies() -> BTreeMap<String, ValidatingAdmissionPolicy> {
    let named = |policy: ValidatingAdmissionPolicy| (policy.metadata.name.clone().unwrap(), policy);
    all("ValidatingAdmissionPolicy").into_iter().map(named).collect()
}

fn bindings() -> BTreeMap<String, ValidatingAdmissionPolicyBinding> {
    let named = |binding: ValidatingAdmissionPolicyBinding| (binding.spec.policy_name.clone(), binding);
    all("ValidatingAdmissionPolicyBinding").into_iter().map(named).collect()
}

/// The policy `name` says `part` of an edit, and nothing else; nothing at all where that is empty.
#[track_caller]
fn check(name: &str, edit: Edit, part: &str) {
    let said = judged(&policies()[name], &bindings()[name], &edit);
    match part {
        "" => assert_eq!(said, Vec::<String>::new()),
        part => assert!(said.len() == 1 && said[0].contains(part), "{said:?}"),
    }
}

/// An edit in a namespace with these annotations, or none.
fn edit(annotations: Value, (old, new): (Value, Value)) -> Edit {
    Edit { old, new, annotations, user: "anna".into(), ..Edit::default() }
}

fn made(new: Value) -> (Value, Value) {
    (Value::Null, new)
}

fn app(allow: &[&str]) -> Value {
    json!({"metadata": {"name": "shop"}, "spec": {"allow": allow}})
}

fn service(spec: Value) -> Value {
    json!({"metadata": {"name": "www"}, "spec": spec})
}

#[test]
fn every_policy_is_bound_enforced_and_tested_here() {
    let names: Vec<String> = policies().into_keys().collect();
    let tested = [
        "app-rights.cocoasyncer.io",
        "nodes.cocoasyncer.io",
        "records.cocoasyncer.io",
        "ttl.cocoasyncer.io",
        "zones.cocoasyncer.io",
    ];
    assert_eq!(names, tested, "a policy without a test below");
    assert_eq!(bindings().into_keys().collect::<Vec<_>>(), names);
    for (name, binding) in bindings() {
        assert_eq!(binding.spec.validation_actions, ["Deny"], "{name}");
    }
    for (name, policy) in policies() {
        let validations = policy.spec.unwrap().validations.unwrap_or_default();
        let told = validations.iter().all(|one| one.message.is_some() || one.message_expression.is_some());
        assert!(told && !validations.is_empty(), "{name}: a refusal without words");
    }
}

#[test]
fn an_app_has_the_rights_that_its_namespace_grants() {
    const NAME: &str = "app-rights.cocoasyncer.io";
    let granted = || json!({"cocoasyncer.io/allowed-rights": "host-path, devices"});
    check(NAME, edit(Value::Null, made(app(&[]))), "");
    check(NAME, edit(json!({"other": "x"}), made(app(&[]))), "");
    let said = "does not grant privileged: who may edit";
    check(NAME, edit(Value::Null, made(app(&["privileged"]))), said);
    check(NAME, edit(json!({}), made(app(&["privileged"]))), said);
    check(NAME, edit(granted(), made(app(&["devices", "host-path"]))), "");
    check(NAME, edit(granted(), made(app(&["devices", "privileged"]))), said);
    check(NAME, edit(json!({}), (app(&["privileged"]), app(&["privileged"]))), "");
    check(
        NAME,
        edit(json!({}), (app(&["privileged"]), app(&["privileged", "devices"]))),
        "does not grant devices",
    );
    let bare = || json!({"metadata": {"name": "shop"}, "spec": {}});
    check(NAME, edit(json!({}), made(bare())), "");
    check(NAME, edit(json!({}), (bare(), app(&["devices"]))), "does not grant devices");
    let off = json!({"cocoasyncer.io/policies": "off"});
    check(NAME, Edit { labels: off, ..edit(json!({}), made(app(&["privileged"]))) }, "");
}

#[test]
fn a_namespace_has_names_in_its_own_zones() {
    const NAME: &str = "zones.cocoasyncer.io";
    let zones = || json!({"cocoasyncer.io/zones": "example.com, example.net"});
    let of = |domain: &str| made(service(json!({"domain": domain})));
    check(NAME, edit(Value::Null, of("example.org")), "");
    check(NAME, edit(zones(), of("example.net")), "");
    check(NAME, edit(zones(), of("Sub.Example.com")), "");
    check(
        NAME,
        edit(zones(), of("example.org")),
        "example.org is not one of this namespace, which may have names in example.com, example.net",
    );
    check(NAME, edit(zones(), of("badexample.com")), "is not one of this namespace");
    // What stands may be edited: its zone can't change.
    let there = service(json!({"domain": "example.org"}));
    check(NAME, edit(zones(), (there.clone(), there)), "");
}

#[test]
fn a_ttl_keeps_to_its_namespaces_floor() {
    const NAME: &str = "ttl.cocoasyncer.io";
    let floor = || json!({"cocoasyncer.io/ttl-floor": "120"});
    let ttl = |seconds: u32| service(json!({"ttl": seconds}));
    check(NAME, edit(Value::Null, made(ttl(1))), "");
    check(NAME, edit(floor(), made(ttl(120))), "");
    check(NAME, edit(floor(), made(ttl(119))), "119 is under this namespace's floor: use at least 120");
    check(NAME, edit(floor(), made(service(json!({})))), "60 is under this namespace's floor");
    check(NAME, edit(floor(), (ttl(60), ttl(60))), "");
    check(NAME, edit(floor(), (ttl(600), ttl(60))), "use at least 120");
    check(NAME, edit(json!({"cocoasyncer.io/ttl-floor": "soon"}), made(ttl(1))), "");
}

#[test]
fn a_node_keeps_its_code_and_its_secret_lies_with_the_operator() {
    const NAME: &str = "nodes.cocoasyncer.io";
    let node = |code: &str, secret: Value| {
        let mut spec = json!({"nodeCode": code});
        if !secret.is_null() {
            spec["secretRef"] = secret;
        }
        json!({"metadata": {"name": "sh"}, "spec": spec})
    };
    let plain = |code: &str| node(code, Value::Null);
    check(NAME, edit(Value::Null, made(plain("a"))), "");
    check(NAME, edit(Value::Null, (plain("a"), node("a", json!({"name": "x"})))), "");
    let renamed = edit(Value::Null, (plain("a"), plain("b")));
    check(NAME, renamed.clone(), "spec.nodeCode: peers know a node by it");
    check(NAME, Edit { user: OPERATOR.into(), ..renamed }, "");
    let own = json!({"name": "x", "namespace": "cocoasyncer-system"});
    check(NAME, edit(Value::Null, made(node("a", own))), "");
    let other = json!({"name": "x", "namespace": "kube-system"});
    check(NAME, edit(Value::Null, made(node("a", other))), "spec.secretRef.namespace");
}

#[test]
fn records_are_taken_over_and_mass_changes_released_by_who_may() {
    const NAME: &str = "records.cocoasyncer.io";
    let noted = |key: &str, value: &str| {
        let key = format!("cocoasyncer.io/{key}");
        json!({"metadata": {"name": "www", "annotations": {key: value}}, "spec": {}})
    };
    let bare = || json!({"metadata": {"name": "www"}, "spec": {}});
    let by = |may: &[&'static str], edits| Edit { may: may.into(), ..edit(Value::Null, edits) };
    for (key, value, verb) in [("adopt", "true", "adopt"), ("release-plan", "bd1366fb0b1f", "release")] {
        let said = format!("you need the verb {verb} on managedservices");
        let other = if verb == "adopt" { "release" } else { "adopt" };
        check(NAME, by(&[], made(bare())), "");
        check(NAME, by(&[], made(noted(key, value))), &said);
        check(NAME, by(&[], (bare(), noted(key, value))), &said);
        check(NAME, by(&[other], (bare(), noted(key, value))), &said);
        check(NAME, by(&[verb], (bare(), noted(key, value))), "");
        check(NAME, by(&[], (noted(key, value), noted(key, value))), "");
        check(NAME, by(&[], (noted(key, value), bare())), "");
        let push = Edit { user: OPERATOR.into(), ..by(&[], made(noted(key, value))) };
        check(NAME, push, "");
    }
    check(NAME, by(&[], made(noted("adopt", "false"))), "");
    check(NAME, by(&[], (noted("release-plan", "a"), noted("release-plan", "b"))), "the verb release");
}
