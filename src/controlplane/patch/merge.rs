//! RFC 7396: an object is merged, null deletes, anything else replaces.
//!
//! PURE.

use serde_json::{Map, Value};

use crate::controlplane::schema::node::MAX_NESTING;

/// Merges `patch` into `target`; beyond the depth that is ever stored the patch simply replaces.
pub(super) fn apply(target: &mut Value, patch: &Value, depth: usize) {
    let changes = match patch {
        Value::Object(changes) if depth < MAX_NESTING => changes,
        _ => {
            *target = patch.clone();
            return;
        }
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (key, change) in changes {
        match change {
            Value::Null => {
                fields.remove(key);
            }
            change => apply(fields.entry(key.as_str()).or_insert(Value::Null), change, depth + 1),
        }
    }
}
