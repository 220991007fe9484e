//! Pruning and defaulting: the two walks that change an object on its way in.
//!
//! PURE. Order matters to callers: prune, then default, then validate, as the real server does.

use serde_json::{Map, Value};

use super::node::{Kind, MAX_DEPTH, Node, Rest, Shape, join};

/// Drops what the schema does not know; returns the paths, in the order of the object.
pub(crate) fn prune(shape: &Shape, object: &mut Value) -> Vec<String> {
    let mut dropped = Vec::new();
    prune_value(shape, &shape.root, object, "", &mut dropped, 0);
    dropped
}

/// Fills defaults and drops nulls that the schema does not allow.
pub(crate) fn default(shape: &Shape, object: &mut Value) {
    default_at(shape, &shape.root, object);
}

/// The same for a value that stands at `node`.
pub(crate) fn default_at(shape: &Shape, node: &Node, value: &mut Value) {
    default_value(shape, node, value, 0);
}

fn prune_value(
    shape: &Shape,
    node: &Node,
    value: &mut Value,
    path: &str,
    dropped: &mut Vec<String>,
    depth: usize,
) {
    let node = shape.resolve(node);
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(map) => {
            // A place without a declared type that says nothing about fields keeps what it is given.
            let open = matches!(node.rest, Rest::Open) || (node.kind == Kind::Any && node.fields.is_empty());
            let unknown = |key: &String| !open && !node.embeds(key) && shape.field(node, key).is_none();
            let gone: Vec<String> = map.keys().filter(|key| unknown(key)).cloned().collect();
            for key in gone {
                map.remove(&key);
                dropped.push(join(path, &key));
            }
            for (key, child) in map.iter_mut() {
                if let Some(field) = shape.field(node, key) {
                    prune_value(shape, field, child, &join(path, key), dropped, depth + 1);
                }
            }
        }
        Value::Array(items) => {
            let schema = node.items.as_deref();
            for (index, item) in items.iter_mut().enumerate() {
                if let Some(schema) = schema {
                    prune_value(shape, schema, item, &format!("{path}[{index}]"), dropped, depth + 1);
                }
            }
        }
        _ => {}
    }
}

fn default_value(shape: &Shape, node: &Node, value: &mut Value, depth: usize) {
    let node = shape.resolve(node);
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(map) => {
            drop_nulls(shape, node, map);
            for (key, field) in &node.fields {
                if let Some(default) = &field.default
                    && !map.contains_key(key)
                {
                    map.insert(key.clone(), default.clone());
                }
            }
            for (key, child) in map.iter_mut() {
                if let Some(field) = shape.field(node, key) {
                    default_value(shape, field, child, depth + 1);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = node.items.as_deref() {
                items.iter_mut().for_each(|item| default_value(shape, schema, item, depth + 1));
            }
        }
        _ => {}
    }
}

/// A null is kept only where the schema says `nullable`, or says nothing at all.
fn drop_nulls(shape: &Shape, node: &Node, map: &mut Map<String, Value>) {
    map.retain(|key, value| match (&value, shape.field(node, key)) {
        (Value::Null, Some(field)) => shape.may_be_null(field),
        _ => true,
    });
}

impl Shape {
    /// Whether a null may be stored here.
    pub(crate) fn may_be_null(&self, node: &Node) -> bool {
        let target = self.resolve(node);
        let silent = target.kind == Kind::Any && matches!(target.rest, Rest::Open);
        match self.builtin || node.reference.is_some() {
            true => silent,
            false => target.nullable || silent,
        }
    }
}

impl Node {
    /// The fields that an embedded object has without declaring them.
    fn embeds(&self, key: &str) -> bool {
        self.embedded && matches!(key, "apiVersion" | "kind" | "metadata")
    }
}
