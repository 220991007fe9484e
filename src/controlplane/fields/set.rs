//! Sets of field paths and their `fieldsV1` encoding (`f:`, `k:`, `v:`, `i:`, `.`).
//!
//! PURE. The sets know nothing of schemas; `typed.rs` does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value, json};

/// Depth beyond which a stored set is not read: it did not come from here.
const MAX_DEPTH: usize = 200;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Elem {
    /// A field of an object.
    Field(String),
    /// An entry of a keyed list: its keys as canonical JSON.
    Key(String),
    /// An entry of a set: its value as canonical JSON.
    Value(String),
    /// An entry by its place, where it has no identity.
    Index(usize),
}

/// A set of paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSet {
    pub(super) members: BTreeSet<Elem>,
    pub(super) children: BTreeMap<Elem, FieldSet>,
}

impl FieldSet {
    /// Whether no path is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(FieldSet::is_empty)
    }

    /// Adds one path; the empty path is the object itself, which is never owned.
    pub(super) fn insert(&mut self, path: &[Elem]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Adds all paths of `other` below `path`.
    pub(super) fn graft(&mut self, path: &[Elem], other: &FieldSet) {
        match path {
            [] => *self = self.union(other),
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().graft(rest, other),
        }
    }

    /// Paths in either.
    pub(super) fn union(&self, other: &FieldSet) -> FieldSet {
        let mut all = self.clone();
        all.members.extend(other.members.iter().cloned());
        for (elem, child) in &other.children {
            let joined = all.children.get(elem).map_or_else(|| child.clone(), |mine| mine.union(child));
            all.children.insert(elem.clone(), joined);
        }
        all
    }

    /// Paths in both.
    pub(super) fn intersection(&self, other: &FieldSet) -> FieldSet {
        let members = self.members.intersection(&other.members).cloned().collect();
        let both = self.children.iter().filter_map(|(elem, child)| {
            let shared = child.intersection(other.children.get(elem)?);
            (!shared.is_empty()).then(|| (elem.clone(), shared))
        });
        FieldSet { members, children: both.collect() }
    }

    /// Paths here that are not in `other`.
    pub(super) fn difference(&self, other: &FieldSet) -> FieldSet {
        let members = self.members.difference(&other.members).cloned().collect();
        let left = self.children.iter().filter_map(|(elem, child)| {
            let left = match other.children.get(elem) {
                Some(gone) => child.difference(gone),
                None => child.clone(),
            };
            (!left.is_empty()).then(|| (elem.clone(), left))
        });
        FieldSet { members, children: left.collect() }
    }

    /// All paths, printed as the real server prints them: `.spec.list[name="a"].v`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }

    fn collect(&self, prefix: &str, out: &mut Vec<String>) {
        let elems: BTreeSet<&Elem> = self.members.iter().chain(self.children.keys()).collect();
        for elem in elems {
            let path = format!("{prefix}{elem}");
            if self.members.contains(elem) {
                out.push(path.clone());
            }
            if let Some(child) = self.children.get(elem) {
                child.collect(&path, out);
            }
        }
    }

    /// The `fieldsV1` document.
    pub(super) fn encode(&self) -> Value {
        let mut map = Map::new();
        for elem in &self.members {
            map.insert(elem.encode(), json!({}));
        }
        for (elem, child) in self.children.iter().filter(|(_, child)| !child.is_empty()) {
            let mut below = child.encode();
            if let (true, Some(below)) = (self.members.contains(elem), below.as_object_mut()) {
                below.insert(".".to_owned(), json!({}));
            }
            map.insert(elem.encode(), below);
        }
        Value::Object(map)
    }

    /// Reads a `fieldsV1` document; none where it is not one.
    pub(super) fn decode(value: &Value) -> Option<FieldSet> {
        FieldSet::decode_at(value, 0)
    }

    fn decode_at(value: &Value, depth: usize) -> Option<FieldSet> {
        let mut set = FieldSet::default();
        for (key, below) in value.as_object().filter(|_| depth < MAX_DEPTH)? {
            if key == "." {
                continue;
            }
            let elem = Elem::decode(key)?;
            let fields = below.as_object()?;
            if fields.is_empty() || fields.contains_key(".") {
                set.members.insert(elem.clone());
            }
            let child = FieldSet::decode_at(below, depth + 1)?;
            if !child.is_empty() {
                set.children.insert(elem, child);
            }
        }
        Some(set)
    }
}

impl Elem {
    /// A step to a field.
    pub(super) fn field(name: &str) -> Elem {
        Elem::Field(name.to_owned())
    }

    fn encode(&self) -> String {
        match self {
            Elem::Field(name) => format!("f:{name}"),
            Elem::Key(keys) => format!("k:{keys}"),
            Elem::Value(value) => format!("v:{value}"),
            Elem::Index(index) => format!("i:{index}"),
        }
    }

    fn decode(text: &str) -> Option<Elem> {
        let canonical = |json: &str| serde_json::from_str::<Value>(json).ok().map(|value| value.to_string());
        match text.split_once(':')? {
            ("f", name) => Some(Elem::Field(name.to_owned())),
            ("k", keys) => canonical(keys).map(Elem::Key),
            ("v", value) => canonical(value).map(Elem::Value),
            ("i", index) => index.parse().ok().map(Elem::Index),
            _ => None,
        }
    }
}

impl fmt::Display for Elem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Elem::Field(name) => write!(f, ".{name}"),
            Elem::Value(value) => write!(f, "[={value}]"),
            Elem::Index(index) => write!(f, "[{index}]"),
            Elem::Key(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let parts: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "[{}]", parts.join(","))
            }
        }
    }
}
