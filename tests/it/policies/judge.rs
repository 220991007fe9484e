//! The ValidatingAdmissionPolicies' expressions evaluated as an API server does it: variables one after the other, the
//! authorizer, the object of the namespace with its keys as they are written (the evaluator of the client's crate escapes
//! them). It knows nothing of what the policies are for.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, Variable,
};
use kube::core::cel::KubeCelExt;
use kube::core::cel::cel::extractors::This;
use kube::core::cel::cel::objects::{Key, Map};
use kube::core::cel::cel::{Context, ExecutionError, Program, Value as Cel};
use serde_json::{Value, json};

/// One call that an API server would judge.
#[derive(Clone, Default)]
pub struct Edit {
    /// Null: it is created.
    pub old: Value,
    pub new: Value,
    /// The namespace's annotations.
    pub annotations: Value,
    /// Its labels.
    pub labels: Value,
    /// Who calls.
    pub user: String,
    /// What the user may beside, as verbs on the resource.
    pub may: Vec<&'static str>,
}

/// Why a policy would refuse an edit; empty: it lets it through.
#[track_caller]
pub fn judged(
    policy: &ValidatingAdmissionPolicy,
    binding: &ValidatingAdmissionPolicyBinding,
    edit: &Edit,
) -> Vec<String> {
    let spec = policy.spec.as_ref().unwrap();
    if !concerns(policy, edit) || !selects(binding, &edit.labels) {
        return Vec::new();
    }
    let mut context = context(edit);
    let mut asked = spec.match_conditions.iter().flatten();
    if !asked.all(|condition| holds(&condition.expression, &context)) {
        return Vec::new();
    }
    define(&mut context, spec.variables.as_deref().unwrap_or_default());
    let failed = spec.validations.iter().flatten().filter(|one| !holds(&one.expression, &context));
    let words = failed.map(|one| match &one.message_expression {
        Some(expression) => match evaluated(expression, &context) {
            Cel::String(words) => words.to_string(),
            other => panic!("{expression} is {other:?}, and must be words"),
        },
        None => one.message.clone().expect("a refusal has words"),
    });
    words.collect()
}

/// Whether the policy's rules name the operation.
fn concerns(policy: &ValidatingAdmissionPolicy, edit: &Edit) -> bool {
    let operation = if edit.old.is_null() { "CREATE" } else { "UPDATE" };
    let constraints = policy.spec.as_ref().unwrap().match_constraints.as_ref().unwrap();
    let mut rules = constraints.resource_rules.iter().flatten();
    rules.any(|rule| rule.operations.iter().flatten().any(|one| one == operation))
}

/// Whether the binding selects a namespace with these labels.
fn selects(binding: &ValidatingAdmissionPolicyBinding, labels: &Value) -> bool {
    let resources = binding.spec.match_resources.as_ref();
    let selector = resources.and_then(|resources| resources.namespace_selector.as_ref());
    selector.into_iter().flat_map(|selector| selector.match_expressions.iter().flatten()).all(|term| {
        assert_eq!(term.operator, "NotIn", "an operator that this test doesn't know");
        let label = labels[&term.key].as_str();
        !term.values.iter().flatten().any(|value| label == Some(value.as_str()))
    })
}

/// The variables in their order; each may name those before it.
fn define(context: &mut Context<'_>, variables: &[Variable]) {
    let mut all = HashMap::new();
    for variable in variables {
        all.insert(Key::from(variable.name.as_str()), evaluated(&variable.expression, context));
        context.add_variable_from_value("variables", Cel::Map(Map { map: Arc::new(all.clone()) }));
    }
}

/// Whether an expression is true; anything but a boolean fails the test, for it would fail the call.
#[track_caller]
fn holds(expression: &str, context: &Context<'_>) -> bool {
    match evaluated(expression, context) {
        Cel::Bool(held) => held,
        other => panic!("{expression} is {other:?}, and must be true or false"),
    }
}

#[track_caller]
fn evaluated(expression: &str, context: &Context<'_>) -> Cel {
    let program = Program::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    program.execute(context).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

fn context(edit: &Edit) -> Context<'static> {
    let mut context = Context::default().with_all();
    let mut namespace = json!({"metadata": {"name": "team"}});
    if !edit.annotations.is_null() {
        namespace["metadata"]["annotations"] = edit.annotations.clone();
    }
    let request = json!({
        "name": edit.new["metadata"]["name"], "namespace": "team", "userInfo": {"username": edit.user},
    });
    let all = [
        ("object", &edit.new),
        ("oldObject", &edit.old),
        ("namespaceObject", &namespace),
        ("request", &request),
        ("authorizer", &json!([])),
    ];
    for (name, value) in all {
        context.add_variable_from_value(name, cel(value));
    }
    // What is asked is gathered word by word, and answered at the end.
    for step in ["group", "resource", "namespace", "name", "check"] {
        context.add_function(step, |This(asked): This<Arc<Vec<Cel>>>, word: Arc<String>| {
            Ok::<_, ExecutionError>(Cel::List(Arc::new(
                asked.iter().cloned().chain([Cel::String(word)]).collect(),
            )))
        });
    }
    let may = edit.may.clone();
    context.add_function("allowed", move |This(asked): This<Arc<Vec<Cel>>>| {
        let words: Vec<String> = asked.iter().map(|word| format!("{word:?}")).collect();
        may.iter().any(|verb| {
            let whole = ["cocoasyncer.io", "managedservices", "team", "www", verb];
            words == whole.map(|word| format!("String({word:?})"))
        })
    });
    context
}

/// A value as an API server has it: integers are signed, keys stand as they are written.
fn cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Cel::Int(number),
            None => Cel::Float(number.as_f64().unwrap()),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(list) => Cel::List(Arc::new(list.iter().map(cel).collect())),
        Value::Object(members) => {
            let map = members.iter().map(|(key, value)| (Key::from(key.as_str()), cel(value)));
            Cel::Map(Map { map: Arc::new(map.collect()) })
        }
    }
}
