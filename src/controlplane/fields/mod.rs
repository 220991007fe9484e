//! Who owns which field: server-side apply and `metadata.managedFields`.
//!
//! PURE; a subset of Kubernetes' structured merge in which all versions of a kind have one shape. It does
//! not judge whether an object is valid, nor strip what a subresource may not write: the caller does.

mod managers;
mod migrate;
mod set;
mod typed;

use serde_json::{Map, Value};
use thiserror::Error;

use self::managers::{Entry, Operation, SERVER_METADATA};
use self::set::FieldSet;
use self::typed::{Comparison, Typed};
use super::schema::TypeInfo;
use super::schema::node::{MAX_NESTING, deeper_than};

/// Who owned everything before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// A field that another manager owns with another value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// Who owns it.
    pub manager: String,
    /// Which field: `.spec.list[name="a"].v`.
    pub field: String,
}

/// Why an apply was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// Others own fields that this apply would change.
    #[error("apply failed with {} conflict(s)", .0.len())]
    Conflicts(Vec<Conflict>),
    /// The applied configuration cannot be understood.
    #[error("the applied configuration cannot be read: {0}")]
    Invalid(String),
}

/// Who writes, and how.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The field manager's name.
    pub manager: &'a str,
    /// The version in which the object is written: `group/version`.
    pub api_version: &'a str,
    /// The subresource that is written through; its entries are kept apart.
    pub subresource: Option<&'a str>,
    /// The time of the write: RFC 3339 in whole seconds, `Z`.
    pub now: &'a str,
}

/// Server-side apply: the live object with the applied configuration laid on it, without the fields that
/// this manager applied before and no longer does. An apply that changes nothing returns `live` as it is.
///
/// # Errors
/// Conflicts, unless `force`; a configuration that cannot be understood.
pub fn apply(
    info: &TypeInfo,
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer,
    force: bool,
) -> Result<Value, ApplyError> {
    let typed = Typed { shape: info.shape() };
    check_applied(typed, applied)?;
    let config = configuration(applied, writer);
    let before = live.map_or_else(|| Value::Object(Map::new()), tracked);
    let mut entries = live.map_or_else(Vec::new, |live| owners(typed, live, &before, writer));
    let mut own = Entry::new(writer, Operation::Apply);
    own.set = managers::trackable(typed.fields(typed.root(), &config));
    let place = entries.iter().position(|entry| entry.same_identity(&own));
    let last = place.map(|place| entries.remove(place));

    let merged = typed.merge(typed.root(), &before, &config);
    let mut after = match last.as_ref().filter(|last| !last.set.is_empty()) {
        Some(last) => abandon(typed, &merged, &last.set, entries.iter().chain([&own])),
        None => merged,
    };
    let change = typed.compare(Some(&before), Some(&after));
    let conflicts = conflicts(&entries, &change);
    if !force && !conflicts.is_empty() {
        refuse(conflicts, &migrate::excused(typed, live, writer))?;
    }
    take(&mut entries, &change);
    if let Some(live) = live
        && before == after
        && last.as_ref().is_some_and(|last| last.set == own.set && last.api_version == own.api_version)
    {
        return Ok(live.clone());
    }
    entries.push(own);
    restore(&mut after, live, applied);
    migrate::refresh_annotation(&mut after, applied, writer);
    managers::write(&mut after, entries);
    Ok(after)
}

/// Keeps `metadata.managedFields` right on create, update and patch: the writer owns what it changed, and
/// nobody owns what is gone. A write that changes nothing leaves the list and its times as they are.
pub fn track_update(info: &TypeInfo, before: Option<&Value>, after: &mut Value, writer: &Writer) {
    let typed = Typed { shape: info.shape() };
    let mut entries = managers::read_for_update(before, after, writer.subresource.is_some());
    let old = before.map_or_else(|| Value::Object(Map::new()), tracked);
    let new = tracked(after);
    let change = typed.compare(Some(&old), Some(&new));
    take(&mut entries, &change);
    let set = managers::trackable(change.added.union(&change.modified));
    if !set.is_empty() {
        let own = Entry { set, ..Entry::new(writer, Operation::Update) };
        match entries.iter_mut().find(|entry| entry.same_identity(&own)) {
            Some(entry) => {
                entry.set = entry.set.union(&own.set);
                entry.time = own.time;
            }
            None => entries.push(own),
        }
    }
    managers::write(after, entries);
}

/// The owners of a live object; one that nobody tracked is owned by whoever was there before.
fn owners(typed: Typed, live: &Value, before: &Value, writer: &Writer) -> Vec<Entry> {
    let entries = managers::read(live).unwrap_or_default();
    if !entries.is_empty() {
        return entries;
    }
    let founder = Writer { manager: BEFORE_FIRST_APPLY, subresource: None, ..*writer };
    let set = managers::trackable(typed.compare(None, Some(before)).added);
    vec![Entry { set, ..Entry::new(&founder, Operation::Update) }]
}

/// Takes changed and removed fields from everybody; the caller gives them to the writer.
fn take(entries: &mut [Entry], change: &Comparison) {
    let taken = change.added.union(&change.modified).union(&change.removed);
    for entry in entries {
        entry.set = entry.set.difference(&taken);
    }
}

fn conflicts(entries: &[Entry], change: &Comparison) -> Vec<(String, FieldSet)> {
    let changed = change.added.union(&change.modified);
    let shared = entries.iter().map(|entry| (entry.manager.clone(), entry.set.intersection(&changed)));
    shared.filter(|(_, set)| !set.is_empty()).collect()
}

fn refuse(conflicts: Vec<(String, FieldSet)>, excused: &FieldSet) -> Result<(), ApplyError> {
    let left = conflicts.into_iter().flat_map(|(manager, set)| {
        let fields = set.difference(excused).paths();
        fields.into_iter().map(move |field| Conflict { manager: manager.clone(), field })
    });
    let mut left: Vec<Conflict> = left.collect();
    left.sort();
    left.dedup();
    match left.is_empty() {
        true => Ok(()),
        false => Err(ApplyError::Conflicts(left)),
    }
}

/// Removes what the manager applied before and does not any more, unless somebody else owns it too.
fn abandon<'e>(
    typed: Typed,
    merged: &Value,
    last: &FieldSet,
    owners: impl Iterator<Item = &'e Entry>,
) -> Value {
    let root = typed.root();
    let full = |set: &FieldSet| typed.with_parents(root, set);
    let all = full(&typed.fields(root, merged));
    let last = full(last);
    let pruned = typed.without(root, merged, &last);
    let owned = owners.fold(FieldSet::default(), |all, entry| all.union(&entry.set));
    let kept = full(&typed.fields(root, &pruned)).union(&full(&owned));
    let pruned = typed.without(root, merged, &all.difference(&kept));
    // Only what this manager owned may go; what nobody owns was not its to remove.
    let gone = all.difference(&full(&typed.fields(root, &pruned))).intersection(&last);
    typed.without(root, merged, &gone)
}

fn check_applied(typed: Typed, applied: &Value) -> Result<(), ApplyError> {
    if !applied.is_object() {
        return Err(ApplyError::Invalid("it must be an object".to_owned()));
    }
    if deeper_than(applied, MAX_NESTING) {
        return Err(ApplyError::Invalid("it is nested too deeply".to_owned()));
    }
    let listed = applied.get("metadata").and_then(|metadata| metadata.get("managedFields"));
    match listed {
        None | Some(Value::Null) => {}
        Some(Value::Array(items)) if items.is_empty() => {}
        Some(_) => return Err(ApplyError::Invalid("metadata.managedFields must be nil".to_owned())),
    }
    match typed.unreadable(typed.root(), applied, "") {
        Some(text) => Err(ApplyError::Invalid(text)),
        None => Ok(()),
    }
}

/// What of the applied object counts: through the status subresource only the status.
fn configuration(applied: &Value, writer: &Writer) -> Value {
    let config = tracked(applied);
    match (writer.subresource, config.get("status")) {
        (Some("status"), status) => {
            Value::Object(status.map(|status| ("status".to_owned(), status.clone())).into_iter().collect())
        }
        _ => config,
    }
}

/// The object without its identity and without what the server alone writes.
fn tracked(object: &Value) -> Value {
    let mut object = object.clone();
    let Some(fields) = object.as_object_mut() else { return Value::Object(Map::new()) };
    fields.remove("apiVersion");
    fields.remove("kind");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        SERVER_METADATA.iter().for_each(|name| drop(metadata.remove(*name)));
        if metadata.is_empty() {
            fields.remove("metadata");
        }
    }
    object
}

/// Puts back what `tracked` took: the live object's, and for a new object what was applied.
fn restore(after: &mut Value, live: Option<&Value>, applied: &Value) {
    let source = live.unwrap_or(applied);
    let Some(fields) = after.as_object_mut() else { return };
    for key in ["apiVersion", "kind"] {
        if let Some(value) = applied.get(key).or_else(|| source.get(key)) {
            fields.insert(key.to_owned(), value.clone());
        }
    }
    let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let (Some(metadata), Some(given)) =
        (metadata.as_object_mut(), source.get("metadata").and_then(Value::as_object))
    {
        for name in SERVER_METADATA.iter().filter(|name| **name != "managedFields") {
            if let Some(value) = given.get(*name) {
                metadata.insert((*name).to_owned(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_more;
