//! Who owns which field: server-side apply and `metadata.managedFields`.
//!
//! PURE.

use serde_json::Value;

use super::schema::TypeInfo;

/// A field that another manager owns with another value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// Who owns it.
    pub manager: String,
    /// Which field: `.spec.list[name="a"].v`.
    pub field: String,
}

/// Why an apply was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Others own fields that this apply would change.
    #[error("apply failed with {} conflicts", .0.len())]
    Conflicts(Vec<Conflict>),
    /// The applied configuration cannot be understood.
    #[error("{0}")]
    Invalid(String),
}

/// Who writes, and how.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The field manager's name.
    pub manager: &'a str,
    /// The version of the object that is written.
    pub api_version: &'a str,
    /// The subresource that is written through.
    pub subresource: Option<&'a str>,
    /// RFC 3339 in whole seconds, `Z`.
    pub now: &'a str,
}

/// Server-side apply.
///
/// # Errors
/// Conflicts unless `force`; a configuration that cannot be understood.
pub fn apply(
    info: &TypeInfo,
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer,
    force: bool,
) -> Result<Value, ApplyError> {
    let _ = (info, writer, force);
    let mut out = live.cloned().unwrap_or_else(|| applied.clone());
    super::patch::merge_patch(&mut out, applied);
    Ok(out)
}

/// Keeps `metadata.managedFields` right on create, update and patch.
pub fn track_update(info: &TypeInfo, before: Option<&Value>, after: &mut Value, writer: &Writer) {
    let _ = (info, before, after, writer);
}
