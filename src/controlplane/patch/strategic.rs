//! Strategic merge: a merge patch that knows which lists have entries with an identity.
//!
//! PURE. Directives: `$patch`, `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::PatchError;
use crate::controlplane::schema::node::{MAX_NESTING, Node, Shape, deeper_than};

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Merges `patch` into `target`.
pub(super) fn apply(shape: &Shape, target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    if deeper_than(patch, MAX_NESTING) {
        return Err(PatchError::Invalid("it is nested too deeply".to_owned()));
    }
    let Some(changes) = patch.as_object() else {
        return Err(PatchError::Invalid("a strategic merge patch is an object".to_owned()));
    };
    merge_object(shape, Some(&shape.root), target, changes)
}

fn merge_object(
    shape: &Shape,
    node: Option<&Node>,
    target: &mut Value,
    changes: &Map<String, Value>,
) -> Result<(), PatchError> {
    if directed(target, changes)? {
        return Ok(());
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return Ok(()) };
    if let Some(retained) = changes.get(RETAIN) {
        let names = names(RETAIN, retained)?;
        fields.retain(|key, _| names.contains(key.as_str()));
    }
    for (key, change) in changes {
        if key == PATCH || key == RETAIN || key.starts_with(ORDER) {
            continue;
        }
        if let Some(list) = key.strip_prefix(DELETE) {
            delete_values(fields, list, change)?;
            continue;
        }
        let below = node.and_then(|node| shape.field(node, key));
        merge_field(shape, below, fields, key, change)?;
    }
    for (key, order) in changes {
        if let Some(list) = key.strip_prefix(ORDER) {
            let below = node.and_then(|node| shape.field(node, list));
            let merge_key = below.and_then(|node| node.merge_key);
            reorder(fields.get_mut(list), order, merge_key.unwrap_or_default())?;
        }
    }
    Ok(())
}

/// Obeys `$patch`; tells whether nothing is left to merge.
fn directed(target: &mut Value, changes: &Map<String, Value>) -> Result<bool, PatchError> {
    match changes.get(PATCH).map(|directive| (directive, directive.as_str())) {
        None | Some((_, Some("merge"))) => Ok(false),
        Some((_, Some("replace"))) => {
            let rest = changes.iter().filter(|(key, _)| *key != PATCH);
            *target = Value::Object(rest.map(|(key, value)| (key.clone(), value.clone())).collect());
            Ok(true)
        }
        Some((_, Some("delete"))) => {
            *target = Value::Object(Map::new());
            Ok(true)
        }
        Some((other, _)) => Err(PatchError::Invalid(format!("unknown $patch directive {other}"))),
    }
}

fn merge_field(
    shape: &Shape,
    node: Option<&Node>,
    fields: &mut Map<String, Value>,
    key: &str,
    change: &Value,
) -> Result<(), PatchError> {
    match change {
        Value::Null => {
            fields.remove(key);
        }
        Value::Object(changes) => {
            let slot = fields.entry(key).or_insert_with(|| Value::Object(Map::new()));
            merge_object(shape, node, slot, changes)?;
            if changes.get(PATCH).and_then(Value::as_str) == Some("delete") {
                fields.remove(key);
            }
        }
        Value::Array(changes) => {
            let slot = fields.entry(key).or_insert_with(|| Value::Array(Vec::new()));
            if !slot.is_array() {
                *slot = Value::Array(Vec::new());
            }
            if let Some(items) = slot.as_array_mut() {
                merge_list(shape, node, items, changes)?;
            }
        }
        other => {
            fields.insert(key.to_owned(), other.clone());
        }
    }
    Ok(())
}

fn merge_list(
    shape: &Shape,
    node: Option<&Node>,
    items: &mut Vec<Value>,
    changes: &[Value],
) -> Result<(), PatchError> {
    let directive = |change: &Value| change.get(PATCH).and_then(Value::as_str).map(str::to_owned);
    let replaces = changes.iter().any(|change| directive(change).as_deref() == Some("replace"));
    match node.and_then(|node| node.merge_key) {
        _ if replaces => {
            let kept = changes.iter().filter(|change| directive(change).is_none());
            *items = kept.cloned().collect();
            Ok(())
        }
        None => {
            *items = changes.to_vec();
            Ok(())
        }
        Some("") => {
            for change in changes {
                if !items.contains(change) {
                    items.push(change.clone());
                }
            }
            Ok(())
        }
        Some(key) => {
            let below = node.and_then(|node| node.items.as_deref());
            changes.iter().try_for_each(|change| merge_entry(shape, below, items, change, key))
        }
    }
}

fn merge_entry(
    shape: &Shape,
    node: Option<&Node>,
    items: &mut Vec<Value>,
    change: &Value,
    key: &str,
) -> Result<(), PatchError> {
    let fields = change.as_object();
    let identity = fields.and_then(|fields| fields.get(key));
    let (Some(fields), Some(identity)) = (fields, identity) else {
        // The entry is not shown: it may carry a secret in an environment.
        let text = format!("an entry of a list does not contain its declared merge key {key:?}");
        return Err(PatchError::Invalid(text));
    };
    if fields.get(PATCH).and_then(Value::as_str) == Some("delete") {
        items.retain(|item| item.get(key) != Some(identity));
        return Ok(());
    }
    match items.iter_mut().find(|item| item.get(key) == Some(identity)) {
        Some(item) => merge_object(shape, node, item, fields),
        None => {
            let mut item = Value::Object(Map::new());
            merge_object(shape, node, &mut item, fields)?;
            items.push(item);
            Ok(())
        }
    }
}

fn delete_values(fields: &mut Map<String, Value>, list: &str, gone: &Value) -> Result<(), PatchError> {
    let Some(gone) = gone.as_array() else {
        return Err(PatchError::Invalid(format!("{DELETE}{list} must be a list")));
    };
    if let Some(items) = fields.get_mut(list).and_then(Value::as_array_mut) {
        items.retain(|item| !gone.contains(item));
    }
    Ok(())
}

/// Entries that the order names come in its order; others stay behind the entry that they stood behind.
fn reorder(list: Option<&mut Value>, order: &Value, key: &str) -> Result<(), PatchError> {
    let Some(order) = order.as_array() else {
        return Err(PatchError::Invalid("$setElementOrder must be a list".to_owned()));
    };
    let Some(items) = list.and_then(Value::as_array_mut) else { return Ok(()) };
    let identity = |item: &Value| match key {
        "" => item.to_string(),
        key => item.get(key).unwrap_or(&Value::Null).to_string(),
    };
    let places: std::collections::BTreeMap<String, usize> =
        order.iter().enumerate().map(|(place, item)| (identity(item), place)).collect();
    // Each unnamed entry travels with the named entry before it.
    let mut place = 0;
    let mut ranked: Vec<(usize, usize, Value)> = Vec::with_capacity(items.len());
    for (index, item) in std::mem::take(items).into_iter().enumerate() {
        if let Some(named) = places.get(&identity(&item)) {
            place = *named + 1;
        }
        ranked.push((place, index, item));
    }
    ranked.sort_by_key(|(place, index, _)| (*place, *index));
    items.extend(ranked.into_iter().map(|(_, _, item)| item));
    Ok(())
}

fn names<'a>(directive: &str, value: &'a Value) -> Result<BTreeSet<&'a str>, PatchError> {
    let list = value.as_array().ok_or_else(|| PatchError::Invalid(format!("{directive} must be a list")))?;
    Ok(list.iter().filter_map(Value::as_str).collect())
}
