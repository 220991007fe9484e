//! Judges an object against its shape: types, value rules, lists, branches, then CEL.
//!
//! PURE. What an update leaves as it was is not judged again, so that tightening a schema never locks an
//! object that exists (its finalizers must stay removable); Kubernetes calls this ratcheting.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::checks::Checks;
use super::node::{Kind, ListKind, MAX_DEPTH, MAX_NESTING, Node, Rest, Shape, deeper_than, join};
use super::rules::Broken;
use crate::controlplane::cause::{Cause, subject};

/// Causes beyond this are left out: an answer must stay readable and small.
const MOST_CAUSES: usize = 100;

/// All that is wrong with `new`; empty when nothing is.
pub(crate) fn validate(shape: &Shape, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    if deeper_than(new, MAX_NESTING) {
        return vec![Cause::invalid("", &Value::from("object"), "is nested too deeply")];
    }
    let mut walk = Walk { shape, causes: Vec::new(), rules: true, settled: false };
    walk.value(&shape.root, new, old, "", 0);
    walk.causes.truncate(MOST_CAUSES);
    walk.causes
}

/// Whether a default fits the place that declares it; CEL is not asked.
pub(crate) fn fits(shape: &Shape, node: &Node, value: &Value, path: &str) -> Vec<Cause> {
    let mut walk = Walk { shape, causes: Vec::new(), rules: false, settled: false };
    walk.value(node, value, None, path, 0);
    walk.causes
}

struct Walk<'a> {
    shape: &'a Shape,
    causes: Vec<Cause>,
    /// Whether CEL rules are evaluated.
    rules: bool,
    /// Inside a list that did not change but whose entries have no counterpart of their own.
    settled: bool,
}

impl Walk<'_> {
    fn value(&mut self, node: &Node, new: &Value, old: Option<&Value>, path: &str, depth: usize) {
        let (outer, node) = (node, self.shape.resolve(node));
        if depth > MAX_DEPTH {
            self.causes.push(Cause::invalid(path, &Value::from("…"), "is nested too deeply"));
            return;
        }
        if self.causes.len() > MOST_CAUSES {
            return;
        }
        if new.is_null() && (self.shape.builtin || node.nullable || self.shape.may_be_null(outer)) {
            return;
        }
        let unchanged = self.settled || old == Some(new);
        if !unchanged {
            if let Some(wanted) = mismatch(node.kind, new) {
                self.causes.push(Cause::wrong_type(path, type_name(new), wanted));
                return;
            }
            if let Some(checks) = &node.checks {
                checks.judge(node.kind, new, path, &mut self.causes);
                self.branches(checks, new, path, depth);
            }
        }
        let before = self.causes.len();
        self.children(node, new, old, path, depth);
        // A rule about a value whose parts are already refused would only repeat that, or fail to evaluate.
        let rules = node.checks.as_ref().and_then(|checks| checks.rules.as_ref());
        if let Some(rules) = rules.filter(|_| self.rules && self.causes.len() == before) {
            let broken = rules.broken(self.shape, node, new, old, unchanged);
            self.causes.extend(broken.into_iter().map(|broken| rule_cause(broken, new, path)));
        }
    }

    fn children(&mut self, node: &Node, new: &Value, old: Option<&Value>, path: &str, depth: usize) {
        match new {
            Value::Object(map) => {
                if node.embedded {
                    self.embedded(map, path);
                }
                for (key, child) in map {
                    let field = match (node.fields.get(key), &node.rest) {
                        (Some(field), _) => field,
                        (None, Rest::Typed(value)) => value,
                        (None, _) => continue,
                    };
                    self.value(field, child, old.and_then(|old| old.get(key)), &join(path, key), depth + 1);
                }
            }
            Value::Array(items) => {
                let settled = self.settled;
                self.settled = settled || old == Some(new);
                if !self.settled {
                    self.unique(&node.list, items, path);
                }
                if let Some(schema) = node.items.as_deref() {
                    let known = by_identity(&node.list, old);
                    for (index, item) in items.iter().enumerate() {
                        let before = counterpart(&node.list, item, &known);
                        self.value(schema, item, before, &format!("{path}[{index}]"), depth + 1);
                    }
                }
                self.settled = settled;
            }
            _ => {}
        }
    }

    fn embedded(&mut self, map: &Map<String, Value>, path: &str) {
        for key in ["apiVersion", "kind"] {
            match map.get(key) {
                Some(Value::String(text)) if !text.is_empty() => {}
                Some(Value::String(text)) => {
                    let shown = Value::from(text.clone());
                    self.causes.push(Cause::invalid(join(path, key), &shown, "must not be empty"));
                }
                Some(other) => {
                    self.causes.push(Cause::wrong_type(join(path, key), type_name(other), "string"));
                }
                None => self.causes.push(Cause::required(join(path, key), "must not be empty")),
            }
        }
    }

    fn unique(&mut self, list: &ListKind, items: &[Value], path: &str) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let identity = match list {
                ListKind::Atomic => return,
                ListKind::Set => item.clone(),
                ListKind::Map(keys) => identity(keys, item),
            };
            if !seen.insert(identity.to_string()) {
                self.causes.push(Cause::duplicate(format!("{path}[{index}]"), &identity));
            }
        }
    }

    fn branches(&mut self, checks: &Checks, new: &Value, path: &str, depth: usize) {
        let shown = Value::from("");
        let name = subject(path).to_owned();
        let fits = |branch: &&Node| self.fits_branch(branch, new, depth);
        let any = checks.any_of.is_empty() || checks.any_of.iter().any(|branch| fits(&branch));
        let one = checks.one_of.iter().filter(fits).count();
        let all = checks.all_of.iter().all(|branch| fits(&branch));
        let not = checks.not.as_ref().is_some_and(|branch| fits(&branch));
        let mut refuse = |detail: String| self.causes.push(Cause::invalid(path, &shown, &detail));
        if !any {
            refuse(format!("\"{name}\" must validate at least one schema (anyOf)"));
        }
        match one {
            _ if checks.one_of.is_empty() => {}
            0 => {
                refuse(format!("\"{name}\" must validate one and only one schema (oneOf). Found none valid"))
            }
            1 => {}
            count => refuse(format!(
                "\"{name}\" must validate one and only one schema (oneOf). Found {count} valid alternatives"
            )),
        }
        if !all {
            refuse(format!("\"{name}\" must validate all the schemas (allOf)"));
        }
        if not {
            refuse(format!("\"{name}\" must not validate the schema (not)"));
        }
    }

    fn fits_branch(&self, branch: &Node, new: &Value, depth: usize) -> bool {
        let mut walk = Walk { shape: self.shape, causes: Vec::new(), rules: false, settled: false };
        walk.value(branch, new, None, "", depth + 1);
        walk.causes.is_empty()
    }
}

/// The rule's own reason chooses the words, as on the real server.
fn rule_cause(broken: Broken, value: &Value, path: &str) -> Cause {
    let below = broken.below.trim_start_matches('.');
    let field = match (below.is_empty(), below.starts_with('[')) {
        (true, _) => path.to_owned(),
        (false, true) => format!("{path}{below}"),
        (false, false) => join(path, below),
    };
    // The value is shown by its type only: it may be large, and a rule's text says what matters.
    let shown = match value {
        Value::Object(_) | Value::Array(_) | Value::Null => Value::from(type_name(value)),
        scalar => scalar.clone(),
    };
    match broken.reason.as_deref() {
        Some("FieldValueRequired") => Cause::required(field, &broken.message),
        Some("FieldValueForbidden") => Cause::forbidden(field, &broken.message),
        Some("FieldValueDuplicate") => Cause::duplicate(field, &shown),
        _ => Cause::invalid(field, &shown, &broken.message),
    }
}

/// The old entries by identity; entries of atomic lists and sets have none.
fn by_identity<'a>(list: &ListKind, old: Option<&'a Value>) -> BTreeMap<String, &'a Value> {
    match (list, old.and_then(Value::as_array)) {
        (ListKind::Map(keys), Some(items)) => {
            items.iter().map(|item| (identity(keys, item).to_string(), item)).collect()
        }
        _ => BTreeMap::new(),
    }
}

fn counterpart<'a>(list: &ListKind, item: &Value, known: &BTreeMap<String, &'a Value>) -> Option<&'a Value> {
    match list {
        ListKind::Map(keys) => known.get(&identity(keys, item).to_string()).copied(),
        ListKind::Atomic | ListKind::Set => None,
    }
}

fn identity(keys: &[String], item: &Value) -> Value {
    let parts = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
    Value::Object(parts.collect())
}

/// The type that was wanted, when the value has another.
fn mismatch(kind: Kind, value: &Value) -> Option<&'static str> {
    let whole = |v: &Value| v.is_i64() || v.is_u64() || v.as_f64().is_some_and(|f| f.fract() == 0.0);
    let (right, wanted) = match kind {
        Kind::Any => (true, ""),
        Kind::Object => (value.is_object(), "object"),
        Kind::Array => (value.is_array(), "array"),
        Kind::Text => (value.is_string(), "string"),
        Kind::Integer => (whole(value), "integer"),
        Kind::Number => (value.is_number(), "number"),
        Kind::Bool => (value.is_boolean(), "boolean"),
        Kind::IntOrString => (value.is_string() || whole(value), "integer,string"),
    };
    (!right).then_some(wanted)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
