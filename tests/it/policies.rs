//! The ValidatingAdmissionPolicies of the chart: every expression is CEL, and each refuses what it is for and lets the
//! rest through. What they ask the API server's authorizer is compiled here, and asked where there is an API server.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::core::cel::{VapEvaluator, VapExpression};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const FILE: &str = include_str!("../../charts/cocoasyncer/files/policies.yaml");

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

/// An expression with the policy's variables put in: the evaluator knows none.
fn whole(policy: &ValidatingAdmissionPolicy, expression: &str) -> String {
    let mut text = expression.to_owned();
    let variables = policy.spec.as_ref().unwrap().variables.clone().unwrap_or_default();
    for variable in variables.iter().rev() {
        text = text.replace(&format!("variables.{}", variable.name), &format!("({})", variable.expression));
    }
    assert!(!text.contains("variables."), "{text}");
    text
}

/// What the policy `name` says of an edit in a namespace with these annotations.
fn judged(name: &str, namespace: Value, old: Value, new: Value) -> Vec<String> {
    let policy = &policies()[name];
    let namespace = json!({"metadata": {"name": "team", "annotations": namespace}});
    let evaluator = VapEvaluator::builder().object(new).old_object(old).namespace_object(namespace).build();
    let validations = policy.spec.as_ref().unwrap().validations.clone().unwrap();
    let expressions: Vec<VapExpression> = validations
        .iter()
        .map(|validation| VapExpression {
            expression: whole(policy, &validation.expression),
            message: validation.message.clone(),
            message_expression: validation.message_expression.as_ref().map(|text| whole(policy, text)),
        })
        .collect();
    let failed = evaluator.evaluate(&expressions).into_iter().filter(|result| !result.passed);
    failed.map(|result| result.message.unwrap_or_default()).collect()
}

#[track_caller]
fn check(name: &str, namespace: Value, (old, new): (Value, Value), part: &str) {
    let said = judged(name, namespace, old, new);
    match part {
        "" => assert_eq!(said, Vec::<String>::new()),
        part => assert!(said.len() == 1 && said[0].contains(part), "{said:?}"),
    }
}

fn app(allow: &[&str]) -> Value {
    json!({"metadata": {"name": "shop"}, "spec": {"allow": allow}})
}

fn service(spec: Value) -> Value {
    json!({"metadata": {"name": "www"}, "spec": spec})
}

#[test]
fn every_policy_has_its_binding_and_every_expression_is_cel() {
    let policies = policies();
    let bound: Vec<ValidatingAdmissionPolicyBinding> = all("ValidatingAdmissionPolicyBinding");
    let bound: Vec<String> = bound.into_iter().map(|binding| binding.spec.policy_name).collect();
    let mut names: Vec<String> = policies.keys().cloned().collect();
    names.sort_by_key(|name| bound.iter().position(|bound| bound == name));
    assert_eq!(bound, names);
    let evaluator = VapEvaluator::builder().build();
    for (name, policy) in &policies {
        let spec = policy.spec.as_ref().unwrap();
        let conditions = spec.match_conditions.iter().flatten().map(|condition| condition.expression.clone());
        let validations = spec.validations.iter().flatten();
        let validations =
            validations.flat_map(|one| [Some(one.expression.clone()), one.message_expression.clone()]);
        for expression in conditions.chain(validations.flatten()) {
            let expression = whole(policy, &expression);
            let one = VapExpression { expression, message: None, message_expression: None };
            let compiled = evaluator.compile_expressions(std::slice::from_ref(&one));
            assert!(compiled.iter().all(Result::is_ok), "{name}: {}", one.expression);
        }
        let told = spec
            .validations
            .iter()
            .flatten()
            .all(|one| one.message.is_some() || one.message_expression.is_some());
        assert!(told, "{name}: a refusal without words");
    }
}

#[test]
fn an_app_has_the_rights_that_its_namespace_grants() {
    const NAME: &str = "app-rights.cocoasyncer.io";
    let granted = || json!({"cocoasyncer.io/allowed-rights": "host-path, devices"});
    check(NAME, json!({}), (Value::Null, app(&[])), "");
    check(NAME, json!({}), (Value::Null, app(&["privileged"])), "does not grant privileged");
    check(NAME, granted(), (Value::Null, app(&["devices", "host-path"])), "");
    check(NAME, granted(), (Value::Null, app(&["devices", "privileged"])), "does not grant privileged");
    check(NAME, json!({}), (app(&["privileged"]), app(&["privileged"])), "");
    check(NAME, json!({}), (app(&["privileged"]), app(&["privileged", "devices"])), "does not grant");
    let bare = json!({"metadata": {"name": "shop"}, "spec": {}});
    check(NAME, json!({}), (Value::Null, bare), "");
}

#[test]
fn a_namespace_has_names_in_its_own_zones() {
    const NAME: &str = "zones.cocoasyncer.io";
    let zones = || json!({"cocoasyncer.io/zones": "example.com, example.net"});
    let of = |domain: &str| (Value::Null, service(json!({"domain": domain})));
    check(NAME, json!({}), of("example.org"), "");
    check(NAME, zones(), of("example.net"), "");
    check(NAME, zones(), of("Sub.Example.com"), "");
    check(NAME, zones(), of("example.org"), "example.org is not one of this namespace");
    check(NAME, zones(), of("badexample.com"), "is not one of this namespace");
}

#[test]
fn a_ttl_keeps_to_its_namespaces_floor() {
    const NAME: &str = "ttl.cocoasyncer.io";
    let floor = || json!({"cocoasyncer.io/ttl-floor": "120"});
    let ttl = |seconds: u32| service(json!({"ttl": seconds}));
    check(NAME, json!({}), (Value::Null, ttl(1)), "");
    check(NAME, floor(), (Value::Null, ttl(120)), "");
    check(NAME, floor(), (Value::Null, ttl(119)), "use at least 120");
    check(NAME, floor(), (Value::Null, service(json!({}))), "60 is under this namespace's floor");
    check(NAME, floor(), (ttl(60), ttl(60)), "");
    check(NAME, floor(), (ttl(600), ttl(60)), "use at least 120");
    check(NAME, json!({"cocoasyncer.io/ttl-floor": "soon"}), (Value::Null, ttl(1)), "");
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
    check(NAME, json!({}), (Value::Null, node("a", Value::Null)), "");
    check(NAME, json!({}), (node("a", Value::Null), node("a", json!({"name": "x"}))), "");
    check(
        NAME,
        json!({}),
        (node("a", Value::Null), node("b", Value::Null)),
        "spec.nodeCode: peers know a node by it",
    );
    let own = json!({"name": "x", "namespace": "cocoasyncer-system"});
    check(NAME, json!({}), (Value::Null, node("a", own)), "");
    let other = json!({"name": "x", "namespace": "kube-system"});
    check(NAME, json!({}), (Value::Null, node("a", other)), "spec.secretRef.namespace");
}
