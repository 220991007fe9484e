//! The value rules of one place in a schema: what is checked once the type is right.
//!
//! PURE. Compiled once; `validate.rs` walks, this file judges one value.

use regex::Regex;
use serde_json::{Map, Number, Value};

use super::formats;
use super::node::{Kind, Node, Reader, flag};
use super::rules::Rules;
use crate::controlplane::cause::{Cause, subject};

/// Keywords that this file enforces.
const WORDS: [&str; 20] = [
    "required",
    "enum",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "x-kubernetes-validations",
    "exclusiveMinimum",
    "exclusiveMaximum",
];

/// Everything but the type.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) required: Vec<String>,
    allowed: Vec<Value>,
    pattern: Option<Regex>,
    format: Option<String>,
    minimum: Option<Number>,
    maximum: Option<Number>,
    exclusive: (bool, bool),
    multiple_of: Option<Number>,
    length: (Option<u64>, Option<u64>),
    items: (Option<u64>, Option<u64>),
    properties: (Option<u64>, Option<u64>),
    pub(crate) one_of: Vec<Node>,
    pub(crate) any_of: Vec<Node>,
    pub(crate) all_of: Vec<Node>,
    pub(crate) not: Option<Node>,
    pub(crate) rules: Option<Rules>,
}

impl Checks {
    /// The checks that a schema asks for; none where it asks for nothing.
    pub(crate) fn read(reader: &mut Reader, schema: &Value, depth: usize) -> Option<Checks> {
        let any = schema.as_object().is_some_and(|s| WORDS.iter().any(|word| s.contains_key(*word)));
        if !any {
            return None;
        }
        let mut branches = |key: &str| {
            let list = schema.get(key).and_then(Value::as_array).into_iter().flatten();
            list.map(|branch| reader.node(branch, depth + 1)).collect::<Vec<_>>()
        };
        let (one_of, any_of, all_of) = (branches("oneOf"), branches("anyOf"), branches("allOf"));
        let list = |key: &str| schema.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let number = |key: &str| schema.get(key).and_then(Value::as_number).cloned();
        // Schema generators write bounds as floats (`maxItems: 8.0`).
        let count = |key: &str| schema.get(key).and_then(|v| v.as_u64().or(v.as_f64().map(|f| f as u64)));
        Some(Checks {
            required: list("required").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            allowed: list("enum"),
            pattern: schema.get("pattern").and_then(Value::as_str).and_then(|text| reader.pattern(text)),
            format: schema.get("format").and_then(Value::as_str).map(str::to_owned),
            minimum: number("minimum"),
            maximum: number("maximum"),
            exclusive: (flag(schema, "exclusiveMinimum"), flag(schema, "exclusiveMaximum")),
            multiple_of: number("multipleOf"),
            length: (count("minLength"), count("maxLength")),
            items: (count("minItems"), count("maxItems")),
            properties: (count("minProperties"), count("maxProperties")),
            one_of,
            any_of,
            all_of,
            not: schema.get("not").map(|branch| reader.node(branch, depth + 1)),
            rules: Rules::read(schema),
        })
    }

    /// Judges one value of the right type; branches and CEL are the walk's.
    pub(crate) fn judge(&self, kind: Kind, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        match value {
            Value::String(text) => self.judge_text(kind, text, value, path, causes),
            Value::Number(number) => self.judge_number(number, value, path, causes),
            Value::Array(items) => {
                self.judge_count(self.items, items.len(), "items", value, path, causes);
            }
            Value::Object(map) => {
                self.judge_count(self.properties, map.len(), "properties", value, path, causes);
                self.judge_required(map, path, causes);
            }
            _ => {}
        }
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| same(allowed, value)) {
            causes.push(Cause::unsupported(path, value, &self.allowed));
        }
    }

    fn judge_required(&self, map: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
        let missing = self.required.iter().filter(|name| !map.contains_key(*name));
        causes.extend(missing.map(|name| Cause::required(super::node::join(path, name), "")));
    }

    fn judge_text(&self, kind: Kind, text: &str, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        let length = text.chars().count() as u64;
        let mut refuse = |detail: String| {
            causes.push(Cause::invalid(path, value, &format!("{} in body {detail}", subject(path))));
        };
        if let Some(least) = self.length.0.filter(|least| length < *least) {
            refuse(format!("should be at least {least} chars long"));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            refuse(format!("should match '{pattern}'"));
        }
        let format = self.format.as_deref().filter(|_| kind == Kind::Text);
        let mut wrong = |cause: Cause| causes.push(Cause { reason: "FieldValueTypeInvalid", ..cause });
        match format.filter(|format| !formats::text(format, text)) {
            None => {}
            // Bytes are mostly secrets: they are never shown.
            Some("byte") => wrong(Cause::invalid(path, &Value::from(""), "illegal base64 data")),
            Some(format) => {
                let detail = format!("{} in body must be of type {format}: {value}", subject(path));
                wrong(Cause::invalid(path, value, &detail));
            }
        }
        if let Some(most) = self.length.1.filter(|most| *most < length) {
            causes.push(Cause::too_long(path, most));
        }
    }

    fn judge_number(&self, number: &Number, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        let mut refuse = |detail: String| {
            causes.push(Cause::invalid(path, value, &format!("{} in body {detail}", subject(path))));
        };
        if let Some(least) = &self.minimum {
            match (less(number, least), self.exclusive.0) {
                (true, false) => refuse(format!("should be greater than or equal to {}", bound(least))),
                (_, true) if !less(least, number) => {
                    refuse(format!("should be greater than {}", bound(least)))
                }
                _ => {}
            }
        }
        if let Some(most) = &self.maximum {
            match (less(most, number), self.exclusive.1) {
                (true, false) => refuse(format!("should be less than or equal to {}", bound(most))),
                (_, true) if !less(number, most) => refuse(format!("should be less than {}", bound(most))),
                _ => {}
            }
        }
        if let Some(step) = self.multiple_of.as_ref().filter(|step| !multiple(number, step)) {
            refuse(format!("should be a multiple of {}", bound(step)));
        }
        if let Some(format) = self.format.as_deref().filter(|format| !formats::number(format, number)) {
            refuse(format!("must be of type integer with format {format}"));
        }
    }

    fn judge_count(
        &self,
        (least, most): (Option<u64>, Option<u64>),
        count: usize,
        what: &str,
        value: &Value,
        path: &str,
        causes: &mut Vec<Cause>,
    ) {
        if let Some(least) = least.filter(|least| (count as u64) < *least) {
            let detail = format!("{} in body should have at least {least} {what}", subject(path));
            causes.push(Cause::invalid(path, value, &detail));
        }
        if let Some(most) = most.filter(|most| *most < count as u64) {
            causes.push(Cause::too_many(path, count, most));
        }
    }
}

/// Numbers are equal by value: `1` is `1.0`.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => !less(one, other) && !less(other, one),
        _ => one == other,
    }
}

fn less(one: &Number, other: &Number) -> bool {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one < other,
        _ => one.as_f64() < other.as_f64(),
    }
}

fn multiple(number: &Number, step: &Number) -> bool {
    match (number.as_i128(), step.as_i128()) {
        (_, Some(0)) => true,
        (Some(number), Some(step)) => number % step == 0,
        _ => match (number.as_f64(), step.as_f64()) {
            (Some(number), Some(step)) => {
                let parts = number / step;
                (parts - parts.round()).abs() < 1e-9
            }
            _ => true,
        },
    }
}

/// `65535.0`, as generators write it, is printed `65535`, as Go prints it.
fn bound(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
        _ => number.to_string(),
    }
}
