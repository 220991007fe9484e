//! RFC 7396: an object is merged, null deletes, anything else replaces.
//!
//! PURE.

use serde_json::{Map, Value};

use super::MAX_DEPTH;

/// Merges `patch` into `target`; beyond the depth that any reader accepts the patch simply replaces.
pub(super) fn apply(target: &mut Value, patch: &Value, depth: usize) {
    let changes = match patch {
        Value::Object(changes) if depth < MAX_DEPTH => changes,
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
