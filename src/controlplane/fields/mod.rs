//! Stand-in.
use serde_json::Value;

use super::schema::TypeInfo;
/// One conflict.
pub struct Conflict {
    /// Who.
    pub manager: String,
    /// What.
    pub field: String,
}
/// Why not.
pub enum ApplyError {
    /// Conflicts.
    Conflicts(Vec<Conflict>),
    /// Unreadable.
    Invalid(String),
}
/// Who writes.
pub struct Writer<'a> {
    /// Manager.
    pub manager: &'a str,
    /// Version.
    pub api_version: &'a str,
    /// Subresource.
    pub subresource: Option<&'a str>,
    /// Time.
    pub now: &'a str,
}
/// Applies.
pub fn apply(
    _info: &TypeInfo,
    live: Option<&Value>,
    applied: &Value,
    _writer: &Writer,
    _force: bool,
) -> Result<Value, ApplyError> {
    let mut out = live.cloned().unwrap_or(Value::Null);
    super::patch::merge_patch(&mut out, applied);
    Ok(out)
}
/// Tracks.
pub fn track_update(_info: &TypeInfo, _before: Option<&Value>, _after: &mut Value, _writer: &Writer) {}
