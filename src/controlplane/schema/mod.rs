//! What is known about one kind's shape, and the four things done with it: prune, default, validate, describe.
//!
//! PURE. It never asks where an object is stored or who sends it. Built-in kinds are compiled on first use.

mod builtin;
mod checks;
mod formats;
mod merge_keys;
mod rules;
mod structural;
mod validate;
mod walk;

pub(crate) mod node;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use self::node::{Node, Reader, Shape};
use crate::controlplane::cause::Cause;

/// All that is known about one kind's shape: structural schema, CEL rules, list keys.
#[derive(Debug)]
pub struct TypeInfo {
    source: Source,
    shape: OnceLock<Shape>,
    document: OnceLock<Value>,
}

/// Where a shape comes from; enough to compile it, and to describe it again.
#[derive(Debug)]
enum Source {
    /// A CRD's schema, completed with what every object has.
    Custom(Value),
    Builtin {
        group: String,
        version: String,
        kind: String,
    },
}

impl TypeInfo {
    /// Checks and compiles the schema of a custom kind.
    ///
    /// # Errors
    /// Everything that keeps the schema from being structural, and every CEL rule that does not compile;
    /// paths start at `openAPIV3Schema`.
    pub fn from_crd(open_api_v3_schema: &Value) -> Result<TypeInfo, Vec<Cause>> {
        let causes = structural::check(open_api_v3_schema);
        if !causes.is_empty() {
            return Err(causes);
        }
        let shape = custom_shape(open_api_v3_schema);
        let causes = wrong_defaults(&shape);
        if !causes.is_empty() {
            return Err(causes);
        }
        let source = Source::Custom(complete(open_api_v3_schema));
        Ok(TypeInfo { source, shape: OnceLock::from(shape), document: OnceLock::new() })
    }

    /// The shape of a kind that Kubernetes itself has; a kind that is not carried here keeps every field.
    pub fn builtin(group: &str, version: &str, kind: &str) -> TypeInfo {
        let source =
            Source::Builtin { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() };
        TypeInfo { source, shape: OnceLock::new(), document: OnceLock::new() }
    }

    /// Drops fields that the schema does not know and returns their paths (`spec.list[0].foo`).
    pub fn prune(&self, obj: &mut Value) -> Vec<String> {
        walk::prune(self.shape(), obj)
    }

    /// Fills defaults; a null where null is not allowed counts as absent.
    pub fn default(&self, obj: &mut Value) {
        walk::default(self.shape(), obj);
    }

    /// All that is wrong with `new`. With `old`, transition rules are judged too, and what did not change
    /// is not judged again.
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        validate::validate(self.shape(), new, old)
    }

    /// The schema of this kind as one OpenAPI document part; definitions of built-ins stand under `definitions`.
    pub fn openapi(&self) -> &Value {
        match &self.source {
            Source::Custom(schema) => schema,
            Source::Builtin { .. } => self.document.get_or_init(|| {
                let (root, definitions) = self.describe();
                match definitions.is_empty() {
                    true => root,
                    false => json!({ "allOf": [root], "definitions": definitions }),
                }
            }),
        }
    }

    /// Whether Kubernetes itself has this kind.
    pub(crate) fn is_builtin(&self) -> bool {
        matches!(self.source, Source::Builtin { .. })
    }

    /// The kind's schema and the definitions that it names, prose included; made anew on every call.
    pub(crate) fn describe(&self) -> (Value, BTreeMap<String, Value>) {
        match &self.source {
            Source::Custom(schema) => (schema.clone(), builtin::describe_metadata().definitions),
            Source::Builtin { group, version, kind } => match builtin::describe(group, version, kind) {
                Some(described) => (described.root, described.definitions),
                None => {
                    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
                    (complete(&open), builtin::describe_metadata().definitions)
                }
            },
        }
    }

    /// The compiled shape; compiled on first use.
    pub(crate) fn shape(&self) -> &Shape {
        self.shape.get_or_init(|| match &self.source {
            Source::Custom(schema) => custom_shape(schema),
            Source::Builtin { group, version, kind } => builtin::shape(group, version, kind),
        })
    }
}

fn custom_shape(schema: &Value) -> Shape {
    let described = builtin::describe_metadata();
    let mut reader = Reader::default();
    let mut root = reader.node(schema, 0);
    let metadata = reader.node(&described.root, 0);
    // What a CRD says about metadata.name is a condition beside ObjectMeta, not a shape of its own.
    let narrowed = root.fields.insert("metadata".to_owned(), metadata);
    let text = || reader_text();
    for key in ["apiVersion", "kind"] {
        root.fields.insert(key.to_owned(), text());
    }
    let mut definitions = builtin::definitions(described.definitions);
    if let (Some(mut narrowed), Some(meta)) = (narrowed, definitions.get_mut(builtin::OBJECT_META)) {
        for key in ["name", "generateName"] {
            if let (Some(given), Some(field)) = (narrowed.fields.remove(key), meta.fields.get_mut(key)) {
                field.checks = given.checks;
            }
        }
    }
    Shape { root, definitions, builtin: false }
}

fn reader_text() -> Node {
    Node { kind: node::Kind::Text, ..Node::default() }
}

/// The schema with what every object has, as the real server publishes it.
fn complete(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(map) = schema.as_object_mut() {
        let fields = map.entry("properties").or_insert_with(|| Value::Object(Map::new()));
        if let Some(fields) = fields.as_object_mut() {
            for (key, prose) in [("apiVersion", API_VERSION), ("kind", KIND)] {
                fields.insert(key.to_owned(), json!({ "type": "string", "description": prose }));
            }
            let reference = format!("#/components/schemas/{}", builtin::OBJECT_META);
            let prose = "Standard object's metadata.";
            fields.insert("metadata".to_owned(), json!({ "description": prose, "$ref": reference }));
        }
    }
    schema
}

const API_VERSION: &str = "Group and version of this object's schema.";
const KIND: &str = "Kind of this object, in CamelCase.";

fn wrong_defaults(shape: &Shape) -> Vec<Cause> {
    let mut causes = Vec::new();
    collect_defaults(shape, &shape.root, "openAPIV3Schema", &mut causes);
    causes
}

fn collect_defaults(shape: &Shape, at: &Node, path: &str, causes: &mut Vec<Cause>) {
    if let Some(default) = &at.default {
        let path = format!("{path}.default");
        // A default may lean on the defaults of its own fields.
        let mut full = default.clone();
        walk::default_at(shape, at, &mut full);
        causes.extend(validate::fits(shape, at, &full, &path));
    }
    for (name, field) in &at.fields {
        collect_defaults(shape, field, &format!("{path}.properties[{name}]"), causes);
    }
    if let Some(items) = &at.items {
        collect_defaults(shape, items, &format!("{path}.items"), causes);
    }
    if let node::Rest::Typed(value) = &at.rest {
        collect_defaults(shape, value, &format!("{path}.additionalProperties"), causes);
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_builtin;
#[cfg(test)]
mod tests_kinds;
#[cfg(test)]
mod tests_rules;
