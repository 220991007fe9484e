//! Values seen through their schema: which fields they have, how two differ, how two merge.
//!
//! PURE. The rules are those of Kubernetes' structured merge: objects are merged by field, keyed lists by
//! key, sets by value; everything else is one value. Without a schema objects are merged and lists are not.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::set::{Elem, FieldSet};
use crate::controlplane::schema::node::{ListKind, Node, Shape};

/// What an update did.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

/// How a value is merged.
enum Class<'a> {
    /// As one value.
    Leaf,
    /// By field.
    Map(&'a Map<String, Value>),
    /// By entry.
    List(&'a [Value]),
}

/// A kind's shape as ownership reads it.
#[derive(Clone, Copy)]
pub(super) struct Typed<'s> {
    pub(super) shape: &'s Shape,
}

impl<'s> Typed<'s> {
    /// The schema's root.
    pub(super) fn root(self) -> Option<&'s Node> {
        Some(&self.shape.root)
    }

    /// All fields that a value sets.
    pub(super) fn fields(self, node: Option<&'s Node>, value: &Value) -> FieldSet {
        let mut set = FieldSet::default();
        match self.class(node, value) {
            Class::Leaf => {}
            Class::Map(map) => {
                for (key, child) in map {
                    let below = self.field(node, key);
                    // What is empty has no parts to own, so it is owned itself.
                    let empty = child.as_object().is_some_and(Map::is_empty)
                        || child.as_array().is_some_and(Vec::is_empty);
                    let leaf = matches!(self.class(below, child), Class::Leaf);
                    self.put(
                        &mut set,
                        Elem::field(key),
                        below,
                        child,
                        leaf || empty || !self.declares(node, key),
                    );
                }
            }
            Class::List(items) => {
                for (elem, item) in self.entries(node, items) {
                    self.put(&mut set, elem, self.items(node), item, true);
                }
            }
        }
        set
    }

    fn put(self, set: &mut FieldSet, elem: Elem, node: Option<&'s Node>, value: &Value, member: bool) {
        let below = self.fields(node, value);
        if !below.is_empty() {
            set.children.insert(elem.clone(), below);
        }
        if member {
            set.members.insert(elem);
        }
    }

    /// How `after` differs from `before`.
    pub(super) fn compare(self, before: Option<&Value>, after: Option<&Value>) -> Comparison {
        let mut out = Comparison::default();
        self.compare_at(self.root(), before, after, &mut Vec::new(), &mut out);
        out
    }

    fn compare_at(
        self,
        node: Option<&'s Node>,
        before: Option<&Value>,
        after: Option<&Value>,
        path: &mut Vec<Elem>,
        out: &mut Comparison,
    ) {
        if before == after {
            return;
        }
        let classes = (before.map(|v| self.class(node, v)), after.map(|v| self.class(node, v)));
        match classes {
            (None | Some(Class::Map(_)), None | Some(Class::Map(_))) => {
                let empty = Map::new();
                let was = before.and_then(Value::as_object).unwrap_or(&empty);
                let is = after.and_then(Value::as_object).unwrap_or(&empty);
                for key in was.keys().chain(is.keys().filter(|key| !was.contains_key(*key))) {
                    path.push(Elem::field(key));
                    self.compare_at(self.field(node, key), was.get(key), is.get(key), path, out);
                    path.pop();
                }
                came_or_went(before, after, path, out);
            }
            (None | Some(Class::List(_)), None | Some(Class::List(_))) => {
                self.compare_lists(node, before, after, path, out);
                came_or_went(before, after, path, out);
            }
            _ => {
                // A container became one value, or the reverse: what was inside is gone, or is new.
                came_or_went(before, after, path, out);
                if let (Some(before), Some(after)) = (before, after) {
                    out.modified.insert(path);
                    out.removed.graft(path, &self.fields(node, before));
                    out.added.graft(path, &self.fields(node, after));
                }
            }
        }
    }

    fn compare_lists(
        self,
        node: Option<&'s Node>,
        before: Option<&Value>,
        after: Option<&Value>,
        path: &mut Vec<Elem>,
        out: &mut Comparison,
    ) {
        let (was, is) = (self.grouped(node, before), self.grouped(node, after));
        for elem in was.keys().chain(is.keys().filter(|elem| !was.contains_key(*elem))) {
            let none = Vec::new();
            let (old, new) = (was.get(elem).unwrap_or(&none), is.get(elem).unwrap_or(&none));
            path.push(elem.clone());
            match (old.as_slice(), new.as_slice()) {
                ([], [new]) => self.compare_at(self.items(node), None, Some(new), path, out),
                ([old], []) => self.compare_at(self.items(node), Some(old), None, path, out),
                ([old], [new]) => self.compare_at(self.items(node), Some(old), Some(new), path, out),
                // Two entries with one identity cannot be told apart: they are judged together.
                (old, new) if old != new => out.modified.insert(path),
                _ => {}
            }
            path.pop();
        }
    }

    /// `over` laid on `base`; what `over` does not say stays.
    pub(super) fn merge(self, node: Option<&'s Node>, base: &Value, over: &Value) -> Value {
        match (self.class(node, base), self.class(node, over)) {
            (Class::Map(base), Class::Map(over)) => {
                let mut merged = base.clone();
                for (key, value) in over {
                    let value = match base.get(key) {
                        Some(old) => self.merge(self.field(node, key), old, value),
                        None => value.clone(),
                    };
                    merged.insert(key.clone(), value);
                }
                Value::Object(merged)
            }
            (Class::List(base), Class::List(over)) => Value::Array(self.merge_lists(node, base, over)),
            _ => over.clone(),
        }
    }

    /// Entries of `over` keep their order; entries of `base` alone stay behind the entry they stood behind.
    fn merge_lists(self, node: Option<&'s Node>, base: &[Value], over: &[Value]) -> Vec<Value> {
        let (base, over) = (self.entries(node, base), self.entries(node, over));
        let known: BTreeMap<&Elem, &Value> = base.iter().map(|(elem, item)| (elem, *item)).collect();
        let wanted: BTreeMap<&Elem, ()> = over.iter().map(|(elem, _)| (elem, ())).collect();
        let mut follow: BTreeMap<Option<&Elem>, Vec<&Value>> = BTreeMap::new();
        let mut anchor = None;
        for (elem, item) in &base {
            match wanted.contains_key(elem) {
                true => anchor = Some(elem),
                false => follow.entry(anchor).or_default().push(item),
            }
        }
        let mut merged: Vec<Value> = follow.remove(&None).unwrap_or_default().into_iter().cloned().collect();
        for (elem, item) in &over {
            merged.push(match known.get(elem) {
                Some(old) => self.merge(self.items(node), old, item),
                None => (*item).clone(),
            });
            merged.extend(follow.remove(&Some(elem)).unwrap_or_default().into_iter().cloned());
        }
        merged
    }

    /// `value` without the fields in `gone`.
    pub(super) fn without(self, node: Option<&'s Node>, value: &Value, gone: &FieldSet) -> Value {
        match self.class(node, value) {
            Class::Leaf => value.clone(),
            Class::Map(map) => {
                let kept = map.iter().filter_map(|(key, child)| {
                    let elem = Elem::field(key);
                    let child = self.reduced(self.field(node, key), child, &elem, gone)?;
                    Some((key.clone(), child))
                });
                Value::Object(kept.collect())
            }
            Class::List(items) => {
                let entries = self.entries(node, items).into_iter();
                Value::Array(
                    entries.filter_map(|(e, item)| self.reduced(self.items(node), item, &e, gone)).collect(),
                )
            }
        }
    }

    fn reduced(self, node: Option<&'s Node>, value: &Value, elem: &Elem, gone: &FieldSet) -> Option<Value> {
        match (gone.members.contains(elem), gone.children.get(elem)) {
            (true, _) => None,
            (false, Some(below)) => Some(self.without(node, value, below)),
            (false, None) => Some(value.clone()),
        }
    }

    /// The set, with every declared field on the way to a path a member too: who takes away all fields of
    /// an object takes away the object.
    pub(super) fn with_parents(self, node: Option<&'s Node>, set: &FieldSet) -> FieldSet {
        let mut full = FieldSet { members: set.members.clone(), children: BTreeMap::new() };
        for (elem, child) in &set.children {
            let below = match elem {
                Elem::Field(key) => {
                    if self.declares(node, key) {
                        full.members.insert(elem.clone());
                    }
                    self.field(node, key)
                }
                _ => self.items(node),
            };
            full.children.insert(elem.clone(), self.with_parents(below, child));
        }
        full
    }

    /// What makes a configuration impossible to apply: entries without identity, or with the same one.
    pub(super) fn unreadable(self, node: Option<&'s Node>, value: &Value, path: &str) -> Option<String> {
        match self.class(node, value) {
            Class::Leaf => None,
            Class::Map(map) => map.iter().find_map(|(key, child)| {
                self.unreadable(self.field(node, key), child, &format!("{path}.{key}"))
            }),
            Class::List(items) => {
                let mut seen = std::collections::BTreeSet::new();
                self.entries(node, items).into_iter().enumerate().find_map(|(index, (elem, item))| {
                    if let Elem::Index(_) = elem {
                        return Some(format!("{path}: element {index}: associative list with keys has an element that omits its key fields"));
                    }
                    let inside = self.unreadable(self.items(node), item, &format!("{path}{elem}"));
                    match seen.insert(elem.clone()) {
                        true => inside,
                        false => Some(format!("{path}: duplicate entries for key {elem}")),
                    }
                })
            }
        }
    }

    fn class<'v>(self, node: Option<&'s Node>, value: &'v Value) -> Class<'v> {
        let node = node.map(|node| self.shape.resolve(node));
        match value {
            Value::Object(map) if !node.is_some_and(|node| node.atomic) => Class::Map(map),
            Value::Array(items) if node.is_some_and(|node| node.list != ListKind::Atomic) => {
                Class::List(items)
            }
            _ => Class::Leaf,
        }
    }

    fn field(self, node: Option<&'s Node>, key: &str) -> Option<&'s Node> {
        node.and_then(|node| self.shape.field(node, key))
    }

    fn items(self, node: Option<&'s Node>) -> Option<&'s Node> {
        node.and_then(|node| self.shape.resolve(node).items.as_deref())
    }

    /// Whether the field is declared, rather than a key that a user chose.
    fn declares(self, node: Option<&'s Node>, key: &str) -> bool {
        node.is_some_and(|node| self.shape.resolve(node).fields.contains_key(key))
    }

    fn entries<'v>(self, node: Option<&'s Node>, items: &'v [Value]) -> Vec<(Elem, &'v Value)> {
        let identify = |(index, item)| (self.elem(node, index, item), item);
        items.iter().enumerate().map(identify).collect()
    }

    fn grouped<'v>(self, node: Option<&'s Node>, list: Option<&'v Value>) -> BTreeMap<Elem, Vec<&'v Value>> {
        let items = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut groups: BTreeMap<Elem, Vec<&Value>> = BTreeMap::new();
        for (elem, item) in self.entries(node, items) {
            groups.entry(elem).or_default().push(item);
        }
        groups
    }

    /// The identity of a list's entry; its place where it has none.
    fn elem(self, node: Option<&'s Node>, index: usize, item: &Value) -> Elem {
        let Some(list) = node.map(|node| self.shape.resolve(node)) else { return Elem::Index(index) };
        let ListKind::Map(names) = &list.list else { return Elem::Value(item.to_string()) };
        let schema = self.items(node);
        let key = |name: &String| {
            let default = || schema.and_then(|schema| self.shape.field(schema, name)?.default.clone());
            Some((name.clone(), item.get(name).cloned().or_else(default)?))
        };
        // Only entries with at least one key of their own have an identity.
        match names.iter().any(|name| item.get(name).is_some()) {
            true => Elem::Key(Value::Object(names.iter().filter_map(key).collect()).to_string()),
            false => Elem::Index(index),
        }
    }
}

fn came_or_went(before: Option<&Value>, after: Option<&Value>, path: &[Elem], out: &mut Comparison) {
    match (before, after) {
        (None, Some(_)) => out.added.insert(path),
        (Some(_), None) => out.removed.insert(path),
        _ => {}
    }
}
