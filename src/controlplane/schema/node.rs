//! The shape of one kind, compiled from its OpenAPI schema into what the walks need.
//!
//! PURE. Read leniently: `structural.rs` has refused what a CRD may not say before this file reads it.

use std::collections::{BTreeMap, HashMap};

use regex::Regex;
use serde_json::Value;

use super::checks::Checks;

/// Depth at which every walk over schemas and objects stops; deeper input is refused elsewhere.
pub(crate) const MAX_DEPTH: usize = 128;

/// Depth that no stored object may exceed: JSON readers stop at 128, and lists and watch events wrap objects.
pub(crate) const MAX_NESTING: usize = 100;

/// The declared JSON type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// Nothing is declared.
    #[default]
    Any,
    Object,
    Array,
    Text,
    Integer,
    Number,
    Bool,
    IntOrString,
}

/// What may stand in an object besides its declared fields.
#[derive(Debug, Default)]
pub(crate) enum Rest {
    /// Nothing.
    #[default]
    Closed,
    /// Anything, kept as it is.
    Open,
    /// Values of one schema: the object is a map.
    Typed(Box<Node>),
}

/// How a list's entries are told apart.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// They are not: the list is one value.
    #[default]
    Atomic,
    /// By their value.
    Set,
    /// By these fields.
    Map(Vec<String>),
}

/// One place in the schema.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    /// `x-kubernetes-embedded-resource`: an object with its own apiVersion, kind and metadata.
    pub(crate) embedded: bool,
    pub(crate) fields: BTreeMap<String, Node>,
    pub(crate) rest: Rest,
    pub(crate) items: Option<Box<Node>>,
    pub(crate) list: ListKind,
    /// The object is one value for ownership (`x-kubernetes-map-type: atomic`).
    pub(crate) atomic: bool,
    /// Key of a strategic merge; built-ins only.
    pub(crate) merge_key: Option<&'static str>,
    pub(crate) default: Option<Value>,
    pub(crate) checks: Option<Box<Checks>>,
    /// Name of the definition that says the rest; built-ins and ObjectMeta.
    pub(crate) reference: Option<String>,
}

/// A kind's root with the definitions that it names.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    pub(crate) root: Node,
    pub(crate) definitions: BTreeMap<String, Node>,
    /// A built-in: the real server decodes into a Go type, where null means absent.
    pub(crate) builtin: bool,
}

impl Shape {
    /// Follows references; a name that nobody defined is an open object.
    pub(crate) fn resolve<'a>(&'a self, node: &'a Node) -> &'a Node {
        let mut at = node;
        for _ in 0..8 {
            match at.reference.as_ref().and_then(|name| self.definitions.get(name)) {
                Some(next) => at = next,
                None => return at,
            }
        }
        at
    }

    /// The node of a field, declared or by the map's schema.
    pub(crate) fn field<'a>(&'a self, node: &'a Node, key: &str) -> Option<&'a Node> {
        let node = self.resolve(node);
        match (node.fields.get(key), &node.rest) {
            (Some(field), _) => Some(field),
            (None, Rest::Typed(value)) => Some(value),
            (None, _) => None,
        }
    }
}

/// Compiles schemas; equal patterns are compiled once, for a compiled pattern is the largest thing in a shape.
#[derive(Default)]
pub(crate) struct Reader {
    patterns: HashMap<String, Regex>,
}

impl Reader {
    /// Compiles `schema`; below `MAX_DEPTH` everything is open.
    pub(crate) fn node(&mut self, schema: &Value, depth: usize) -> Node {
        let preserve = flag(schema, "x-kubernetes-preserve-unknown-fields");
        if depth > MAX_DEPTH {
            return Node { rest: Rest::Open, ..Node::default() };
        }
        let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let rest = match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => Rest::Open,
            Some(value @ Value::Object(_)) => Rest::Typed(Box::new(self.node(value, depth + 1))),
            _ if preserve => Rest::Open,
            _ => Rest::Closed,
        };
        Node {
            kind: kind(schema),
            nullable: flag(schema, "nullable"),
            embedded: flag(schema, "x-kubernetes-embedded-resource"),
            fields: fields.map(|(name, field)| (name.clone(), self.node(field, depth + 1))).collect(),
            rest,
            items: schema.get("items").filter(|s| s.is_object()).map(|s| Box::new(self.node(s, depth + 1))),
            list: list_kind(schema),
            atomic: schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic"),
            merge_key: None,
            default: schema.get("default").cloned(),
            checks: Checks::read(self, schema, depth).map(Box::new),
            reference: schema.get("$ref").and_then(Value::as_str).map(definition_name),
        }
    }

    /// The compiled pattern, or none where it does not compile.
    pub(crate) fn pattern(&mut self, text: &str) -> Option<Regex> {
        if let Some(known) = self.patterns.get(text) {
            return Some(known.clone());
        }
        let compiled = compile(text).ok()?;
        self.patterns.insert(text.to_owned(), compiled.clone());
        Some(compiled)
    }
}

/// Compiles a pattern within a bound, so that no schema can take all memory.
pub(crate) fn compile(text: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(text).size_limit(1 << 20).build()
}

/// Whether a boolean keyword is set.
pub(crate) fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool) == Some(true)
}

/// Whether the value is nested deeper than `most`; stops looking there.
pub(crate) fn deeper_than(value: &Value, most: usize) -> bool {
    match value {
        Value::Array(items) => most == 0 || items.iter().any(|item| deeper_than(item, most - 1)),
        Value::Object(map) => most == 0 || map.values().any(|item| deeper_than(item, most - 1)),
        _ => false,
    }
}

/// `child` below `parent` as Kubernetes prints paths.
pub(crate) fn join(parent: &str, child: &str) -> String {
    match parent {
        "" => child.to_owned(),
        parent => format!("{parent}.{child}"),
    }
}

/// The last part of `#/components/schemas/NAME`.
fn definition_name(reference: &str) -> String {
    reference.rsplit('/').next().unwrap_or(reference).to_owned()
}

fn kind(schema: &Value) -> Kind {
    if flag(schema, "x-kubernetes-int-or-string") {
        return Kind::IntOrString;
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => Kind::Object,
        Some("array") => Kind::Array,
        Some("string") => Kind::Text,
        Some("integer") => Kind::Integer,
        Some("number") => Kind::Number,
        Some("boolean") => Kind::Bool,
        _ => Kind::Any,
    }
}

fn list_kind(schema: &Value) -> ListKind {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            let names = keys.into_iter().flatten().filter_map(Value::as_str);
            ListKind::Map(names.map(str::to_owned).collect())
        }
        _ => ListKind::Atomic,
    }
}
