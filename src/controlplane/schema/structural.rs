//! Whether a CRD's schema is structural, as `apiextensions.k8s.io/v1` demands.
//!
//! PURE. Only what is said is judged; reading it is `node.rs`' work.

use serde_json::Value;

use super::node::{MAX_DEPTH, compile, flag};
use super::rules::{KEYWORD, uncompilable};
use crate::controlplane::cause::Cause;

/// Keywords of JSON schema that a CRD may not use anywhere.
const FORBIDDEN: [&str; 9] = [
    "$ref",
    "id",
    "definitions",
    "dependencies",
    "patternProperties",
    "additionalItems",
    "deprecated",
    "discriminator",
    "readOnly",
];

/// Keywords that say what exists; inside `allOf`, `anyOf`, `oneOf` and `not` only conditions may stand.
const SHAPING: [&str; 12] = [
    "description",
    "type",
    "default",
    "additionalProperties",
    "nullable",
    "title",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    KEYWORD,
];

const JUNCTORS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// All that keeps `schema` from being structural.
pub(crate) fn check(schema: &Value) -> Vec<Cause> {
    let mut check = Check { causes: Vec::new() };
    let root = "openAPIV3Schema";
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {}
        Some(other) => {
            let detail = "must be object at the root";
            check.causes.push(Cause::invalid(format!("{root}.type"), &other.into(), detail));
        }
        None => check.causes.push(Cause::required(format!("{root}.type"), "must not be empty at the root")),
    }
    check.node(schema, root, 0);
    check.metadata(schema, root);
    check.causes
}

struct Check {
    causes: Vec<Cause>,
}

impl Check {
    fn node(&mut self, schema: &Value, path: &str, depth: usize) {
        if !schema.is_object() {
            self.causes.push(Cause::wrong_type(path, "other", "object"));
            return;
        }
        if depth > MAX_DEPTH / 2 {
            self.causes.push(Cause::forbidden(path, "the schema is nested too deeply"));
            return;
        }
        self.type_of(schema, path, depth);
        self.keywords(schema, path);
        self.lists(schema, path);
        self.objects(schema, path);
        self.rules(schema, path);
        self.junctors(schema, schema, path, depth);
        for (name, child) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            self.node(child, &format!("{path}.properties[{name}]"), depth + 1);
        }
        for key in ["items", "additionalProperties"] {
            match schema.get(key) {
                Some(child @ Value::Object(_)) => self.node(child, &format!("{path}.{key}"), depth + 1),
                Some(list @ Value::Array(_)) => {
                    let detail = "items must be a schema object and not an array";
                    self.causes.push(Cause::invalid(format!("{path}.{key}"), list, detail));
                }
                _ => {}
            }
        }
    }

    fn type_of(&mut self, schema: &Value, path: &str, depth: usize) {
        let free = flag(schema, "x-kubernetes-int-or-string")
            || flag(schema, "x-kubernetes-preserve-unknown-fields");
        let at = format!("{path}.type");
        match schema.get("type").and_then(Value::as_str) {
            None if free || depth == 0 => {}
            None => self.causes.push(Cause::required(at, "must not be empty for specified object fields")),
            Some("array") if schema.get("items").is_none() => {
                self.causes.push(Cause::required(format!("{path}.items"), "must be specified"));
            }
            Some("object" | "array" | "string" | "integer" | "number" | "boolean") => {}
            Some(other) => {
                let allowed = ["array", "boolean", "integer", "number", "object", "string"].map(Value::from);
                self.causes.push(Cause::unsupported(at, &other.into(), &allowed));
            }
        }
        if flag(schema, "x-kubernetes-int-or-string") && schema.get("type").is_some() {
            let detail = "must be empty if x-kubernetes-int-or-string is true";
            self.causes.push(Cause::forbidden(format!("{path}.type"), detail));
        }
    }

    fn keywords(&mut self, schema: &Value, path: &str) {
        for key in FORBIDDEN.iter().filter(|key| schema.get(**key).is_some()) {
            self.causes.push(Cause::forbidden(format!("{path}.{key}"), "must not be set"));
        }
        if flag(schema, "uniqueItems") {
            let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.causes.push(Cause::forbidden(format!("{path}.uniqueItems"), detail));
        }
        let pattern = schema.get("pattern").and_then(Value::as_str);
        if let Some(error) = pattern.and_then(|text| compile(text).err()) {
            let detail = format!("must be a valid regular expression, but isn't: {error}");
            let shown = schema.get("pattern").cloned().unwrap_or_default();
            self.causes.push(Cause::invalid(format!("{path}.pattern"), &shown, &detail));
        }
    }

    fn lists(&mut self, schema: &Value, path: &str) {
        let at = format!("{path}.x-kubernetes-list-type");
        let list = schema.get("x-kubernetes-list-type");
        if list.is_some() && schema.get("type").and_then(Value::as_str) != Some("array") {
            self.causes.push(Cause::invalid(
                &at,
                list.unwrap_or(&Value::Null),
                "must be array if x-kubernetes-list-type is specified",
            ));
        }
        let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        match (list.and_then(Value::as_str), keys) {
            (None, None) | (Some("atomic" | "set"), None) => {}
            (Some("map"), Some(keys)) if !keys.is_empty() => self.map_keys(schema, keys, path),
            (Some("map"), _) => self.causes.push(Cause::required(
                format!("{path}.x-kubernetes-list-map-keys"),
                "must not be empty if x-kubernetes-list-type is map",
            )),
            (Some("atomic" | "set") | None, Some(_)) => self.causes.push(Cause::forbidden(
                format!("{path}.x-kubernetes-list-map-keys"),
                "must be map if x-kubernetes-list-map-keys is non-empty",
            )),
            (Some(other), _) => {
                let allowed = ["atomic", "set", "map"].map(Value::from);
                self.causes.push(Cause::unsupported(at, &other.into(), &allowed));
            }
        }
    }

    fn map_keys(&mut self, schema: &Value, keys: &[Value], path: &str) {
        let items = schema.get("items").unwrap_or(&Value::Null);
        let required = items.get("required").and_then(Value::as_array);
        for key in keys.iter().filter_map(Value::as_str) {
            let at = format!("{path}.x-kubernetes-list-map-keys");
            let Some(field) = items.get("properties").and_then(|fields| fields.get(key)) else {
                self.causes.push(Cause::invalid(
                    at,
                    &key.into(),
                    "entries must all be names of item properties",
                ));
                continue;
            };
            if matches!(field.get("type").and_then(Value::as_str), Some("object" | "array")) {
                let at = format!("{path}.items.properties[{key}].type");
                self.causes.push(Cause::invalid(
                    at,
                    &field["type"],
                    "must be a scalar type if parent array's x-kubernetes-list-type is map",
                ));
            }
            let demanded = required.is_some_and(|names| names.iter().any(|name| name == key));
            if !demanded && field.get("default").is_none() {
                let at = format!("{path}.items.properties[{key}].default");
                self.causes.push(Cause::required(
                    at,
                    "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
                ));
            }
        }
    }

    fn objects(&mut self, schema: &Value, path: &str) {
        let rest = schema.get("additionalProperties");
        if rest == Some(&Value::Bool(false)) {
            let detail = "additionalProperties cannot be set to false";
            self.causes.push(Cause::forbidden(format!("{path}.additionalProperties"), detail));
        }
        let fields = schema.get("properties").and_then(Value::as_object);
        if rest.is_some() && fields.is_some_and(|fields| !fields.is_empty()) {
            let detail = "additionalProperties and properties are mutual exclusive";
            self.causes.push(Cause::forbidden(format!("{path}.additionalProperties"), detail));
        }
        if flag(schema, "x-kubernetes-embedded-resource")
            && !flag(schema, "x-kubernetes-preserve-unknown-fields")
            && fields.is_none_or(|fields| fields.is_empty())
        {
            let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
            self.causes.push(Cause::required(format!("{path}.properties"), detail));
        }
        match schema.get("x-kubernetes-map-type").and_then(Value::as_str) {
            None | Some("atomic" | "granular") => {}
            Some(other) => {
                let allowed = ["atomic", "granular"].map(Value::from);
                self.causes.push(Cause::unsupported(
                    format!("{path}.x-kubernetes-map-type"),
                    &other.into(),
                    &allowed,
                ));
            }
        }
    }

    fn rules(&mut self, schema: &Value, path: &str) {
        let Some(rules) = schema.get(KEYWORD).and_then(Value::as_array) else { return };
        for (index, rule) in rules.iter().enumerate() {
            let at = format!("{path}.{KEYWORD}[{index}]");
            let text = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default();
            if text("rule").trim().is_empty() {
                self.causes.push(Cause::required(format!("{at}.rule"), "rule is not specified"));
                continue;
            }
            if text("message").contains('\n') {
                let detail = "message must not contain line breaks";
                self.causes.push(Cause::invalid(format!("{at}.message"), &rule["message"], detail));
            }
            let reasons =
                ["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate"];
            if !text("reason").is_empty() && !reasons.contains(&text("reason")) {
                let allowed = reasons.map(Value::from);
                self.causes.push(Cause::unsupported(format!("{at}.reason"), &rule["reason"], &allowed));
            }
            for error in uncompilable(rule) {
                let detail = format!("compilation failed: {error}");
                self.causes.push(Cause::invalid(format!("{at}.rule"), &rule["rule"], &detail));
            }
        }
    }

    fn junctors(&mut self, schema: &Value, outer: &Value, path: &str, depth: usize) {
        for key in JUNCTORS {
            let branches = schema.get(key).and_then(Value::as_array).into_iter().flatten();
            for (index, branch) in branches.enumerate() {
                self.condition(branch, outer, &format!("{path}.{key}[{index}]"), depth + 1);
            }
        }
        if let Some(branch) = schema.get("not") {
            self.condition(branch, outer, &format!("{path}.not"), depth + 1);
        }
    }

    /// A branch may only speak of fields that the structure outside it declares.
    fn condition(&mut self, branch: &Value, outer: &Value, path: &str, depth: usize) {
        if depth > MAX_DEPTH / 2 {
            self.causes.push(Cause::forbidden(path, "the schema is nested too deeply"));
            return;
        }
        // `anyOf: [{type: integer}, {type: string}]` is how int-or-string is spelt for readers that do not know it.
        let spelled = flag(outer, "x-kubernetes-int-or-string");
        let shaping = SHAPING.iter().filter(|key| !(spelled && **key == "type"));
        for key in shaping.filter(|key| branch.get(**key).is_some()) {
            self.causes.push(Cause::forbidden(format!("{path}.{key}"), "must be empty to be structural"));
        }
        self.keywords(branch, path);
        for (name, child) in branch.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let at = format!("{path}.properties[{name}]");
            match outer.get("properties").and_then(|fields| fields.get(name)) {
                Some(declared) => self.condition(child, declared, &at, depth + 1),
                None if flag(outer, "x-kubernetes-preserve-unknown-fields") => {}
                None => {
                    let base = path.split(".allOf").next().unwrap_or(path);
                    let base =
                        base.split(".anyOf").next().unwrap_or(base).split(".oneOf").next().unwrap_or(base);
                    let detail = format!("because it is defined in {at}");
                    self.causes.push(Cause::required(format!("{base}.properties[{name}]"), &detail));
                }
            }
        }
        if let (Some(child), Some(declared)) = (branch.get("items"), outer.get("items")) {
            self.condition(child, declared, &format!("{path}.items"), depth + 1);
        }
        self.junctors(branch, outer, path, depth);
    }

    /// Metadata is the server's; a CRD may only narrow the name.
    fn metadata(&mut self, schema: &Value, root: &str) {
        let Some(metadata) = schema.get("properties").and_then(|fields| fields.get("metadata")) else {
            return;
        };
        let at = format!("{root}.properties[metadata]");
        let names = metadata.get("properties").and_then(Value::as_object).into_iter().flatten();
        let others = names.filter(|(name, _)| !matches!(name.as_str(), "name" | "generateName"));
        if others.count() != 0 {
            let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            self.causes.push(Cause::forbidden(format!("{at}.properties"), detail));
        }
    }
}
