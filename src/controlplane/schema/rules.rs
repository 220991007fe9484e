//! The CEL rules of one place in a schema: compiled once, evaluated per object.
//!
//! PURE. Rules with `optionalOldSelf` are evaluated here, for they see the old value as an optional; all
//! others by the validator that comes with the Kubernetes client. There is no run-time cost budget: lists
//! in a CRD with rules should have `maxItems`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kube::core::cel::cel::objects::{Key, Map as CelMap, OptionalValue};
use kube::core::cel::cel::{Context, Value as CelValue, to_value};
use kube::core::cel::{CompilationResult, CompiledSchema, KubeCelExt, compile_schema, validate_compiled};
use serde_json::{Map, Value, json};

use super::node::{Node, Rest, Shape};

/// The rules of one place; rules of places below it are theirs.
#[derive(Debug)]
pub(crate) struct Rules {
    compiled: CompiledSchema,
    /// Texts of the rules that compare with the old value: these hold also where nothing changed.
    transitions: Vec<String>,
    /// Rules that see the old value as an optional, and so run on a create too.
    optional: Vec<CompilationResult>,
}

/// A rule that does not hold.
pub(crate) struct Broken {
    pub(crate) message: String,
    /// Path below the place of the rule: `.weight`; empty for the place itself.
    pub(crate) below: String,
    pub(crate) reason: Option<String>,
}

impl Rules {
    /// Compiles the rules that stand at this schema; none where it has none.
    pub(crate) fn read(schema: &Value) -> Option<Rules> {
        let all = schema.get(KEYWORD).and_then(Value::as_array).filter(|rules| !rules.is_empty())?;
        let optional = |rule: &&Value| rule.get("optionalOldSelf") == Some(&Value::Bool(true));
        let (optional, others): (Vec<&Value>, Vec<&Value>) = all.iter().partition(optional);
        let mut own = schema.clone();
        // Rules below and defaults are our own walk's, which finds list entries by their keys.
        strip(&mut own);
        own[KEYWORD] = json!(others);
        let compiled = compile_schema(&own);
        let transitions = compiled.validations.iter().flatten().filter(|rule| rule.is_transition_rule);
        let transitions = transitions.map(|rule| rule.rule.rule.clone()).collect();
        let optional =
            compile_schema(&json!({ KEYWORD: optional })).validations.into_iter().flatten().collect();
        Some(Rules { compiled, transitions, optional })
    }

    /// The rules that do not hold. What is `unchanged` is judged by the rules about change alone.
    pub(crate) fn broken(
        &self,
        shape: &Shape,
        node: &Node,
        new: &Value,
        old: Option<&Value>,
        unchanged: bool,
    ) -> Vec<Broken> {
        let mut broken = Vec::new();
        // Most writes leave most of an object alone (a status, say): what only looks at the new value can wait.
        if unchanged && self.transitions.is_empty() && self.optional.is_empty() {
            return broken;
        }
        if let Err(errors) = validate_compiled(&self.compiled, new, old) {
            let counted =
                errors.into_iter().filter(|error| !unchanged || self.transitions.contains(&error.rule));
            broken.extend(counted.map(|error| Broken {
                message: error.message,
                below: error.field_path,
                reason: error.reason,
            }));
        }
        if !self.optional.is_empty() {
            broken.extend(self.broken_optional(shape, node, new, old));
        }
        broken
    }

    fn broken_optional(&self, shape: &Shape, node: &Node, new: &Value, old: Option<&Value>) -> Vec<Broken> {
        let mut context = Context::default();
        context.register_all();
        let old = old.map_or_else(OptionalValue::none, |old| OptionalValue::of(convert(shape, node, old)));
        context.add_variable_from_value("self", convert(shape, node, new));
        context.add_variable_from_value("oldSelf", CelValue::Opaque(Arc::new(old)));
        let judge = |compiled: &CompilationResult| {
            let text = &compiled.rule.rule;
            let message = match compiled.program.execute(&context) {
                Ok(CelValue::Bool(true)) => return None,
                Ok(CelValue::Bool(false)) => message(compiled, &context),
                Ok(_) => format!("rule \"{text}\" did not evaluate to bool"),
                Err(error) => format!("rule evaluation error: {error}"),
            };
            let below = compiled.rule.field_path.clone().unwrap_or_default();
            Some(Broken { message, below, reason: compiled.rule.reason.clone() })
        };
        self.optional.iter().filter_map(judge).collect()
    }
}

/// Where a schema keeps its rules.
pub(crate) const KEYWORD: &str = "x-kubernetes-validations";

/// What a rule may name: its variables, type names and the first parts of namespaced functions.
const NAMES: [&str; 28] = [
    "self",
    "oldSelf",
    "apiVersion",
    "apiGroup",
    "kind",
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "type",
    "null_type",
    "optional_type",
    "google",
    "math",
    "sets",
    "optional",
    "base64",
    "cel",
    "strings",
    "lists",
    "regex",
    "format",
    "jsonpatch",
    "net",
];

/// Why a rule does not compile. The compiler here knows no types, but names it can see.
pub(crate) fn uncompilable(rule: &Value) -> Vec<String> {
    let alone = compile_schema(&json!({ KEYWORD: [rule] }));
    let mut errors: Vec<String> = alone.compilation_errors().into_iter().map(ToString::to_string).collect();
    for compiled in alone.validations.iter().flatten() {
        let bound = bound_names(&compiled.rule.rule);
        let references = compiled.program.references();
        let mut names = references.variables();
        names.retain(|name| !NAMES.contains(name) && !name.starts_with(['@', '_']) && !bound.contains(*name));
        errors.extend(names.into_iter().map(|name| format!("undeclared reference to '{name}'")));
    }
    errors
}

/// Names that a macro may bind: identifiers that open an argument list and are followed by a comma.
fn bound_names(rule: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for arguments in rule.split('(').skip(1) {
        let identifier =
            |text: &&str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
        let parts: Vec<&str> = arguments.split(',').collect();
        // The last part is not followed by a comma.
        let heads = parts.iter().take(parts.len() - 1).map(|part| part.trim());
        names.extend(heads.take(3).take_while(identifier).map(str::to_owned));
    }
    names
}

fn message(compiled: &CompilationResult, context: &Context) -> String {
    match compiled.message_program.as_ref().map(|program| program.execute(context)) {
        Some(Ok(CelValue::String(text))) => (*text).clone(),
        _ => compiled.rule.message.clone().unwrap_or_else(|| format!("failed rule: {}", compiled.rule.rule)),
    }
}

/// A value as rules see it: names of declared fields are escaped, keys of maps are not.
fn convert(shape: &Shape, node: &Node, value: &Value) -> CelValue {
    let node = shape.resolve(node);
    match value {
        Value::Object(map) => {
            let open = matches!(node.rest, Rest::Typed(_));
            let pairs = map.iter().map(|(key, child)| {
                let name = if open { key.clone() } else { escape(key) };
                let child = match shape.field(node, key) {
                    Some(field) => convert(shape, field, child),
                    None => convert(shape, &Node::default(), child),
                };
                (Key::String(Arc::new(name)), child)
            });
            CelValue::Map(CelMap { map: Arc::new(pairs.collect::<HashMap<_, _>>()) })
        }
        Value::Array(items) => {
            let silent = Node::default();
            let schema = node.items.as_deref().unwrap_or(&silent);
            CelValue::List(Arc::new(items.iter().map(|item| convert(shape, schema, item)).collect()))
        }
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), _, _) => CelValue::Int(whole),
            (None, Some(whole), _) => CelValue::UInt(whole),
            (None, None, float) => float.map_or(CelValue::Null, CelValue::Float),
        },
        scalar => to_value(scalar).unwrap_or(CelValue::Null),
    }
}

/// Kubernetes' spelling of field names that CEL cannot spell.
fn escape(name: &str) -> String {
    const WORDS: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    match WORDS.contains(&name) {
        true => format!("__{name}__"),
        false => {
            name.replace('_', "__").replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
        }
    }
}

fn strip(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    for key in ["default", "description", "oneOf", "anyOf", "allOf", "not", KEYWORD] {
        map.remove(key);
    }
    for key in ["items", "additionalProperties"] {
        map.get_mut(key).into_iter().for_each(strip);
    }
    let fields = map.get_mut("properties").and_then(Value::as_object_mut);
    fields.into_iter().flat_map(Map::values_mut).for_each(strip);
}
