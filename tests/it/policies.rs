//! The ValidatingAdmissionPolicies of the chart: every expression is CEL, every policy is bound, and no refusal is without
//! words. What they refuse is asked where there is an API server (`admission::cluster`): no other evaluates them whole.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::core::cel::{VapEvaluator, VapExpression};
use serde::de::DeserializeOwned;
use serde_json::Value;

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
