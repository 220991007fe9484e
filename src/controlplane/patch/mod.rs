//! Stand-in.
use serde_json::Value;

use super::schema::TypeInfo;
/// Why not.
pub enum PatchError {
    /// Unreadable.
    Invalid(String),
    /// A test failed.
    TestFailed(String),
}
/// RFC 6902.
pub fn json_patch(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let patch: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|e| PatchError::Invalid(e.to_string()))?;
    json_patch::patch(target, &patch).map_err(|e| PatchError::TestFailed(e.to_string()))
}
/// RFC 7396.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    json_patch::merge(target, patch);
}
/// Strategic.
pub fn strategic_merge(_info: &TypeInfo, target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    merge_patch(target, patch);
    Ok(())
}
