//! The three patches of the Kubernetes API that change a document in place: JSON patch, merge patch and
//! strategic merge. Apply is in `fields/`.
//!
//! PURE. Input is hostile: work, depth and growth are bounded.

mod json;
mod merge;
mod strategic;

use serde_json::Value;
use thiserror::Error;

use super::schema::TypeInfo;

/// Why a patch was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatchError {
    /// The patch is malformed, does not fit the document, or exceeds a bound.
    #[error("the patch cannot be applied: {0}")]
    Invalid(String),
    /// An operation does not fit the document.
    #[error("the patch does not fit: {0}")]
    Unfit(String),
    /// A `test` operation found another value.
    #[error("testing value {0} failed")]
    TestFailed(String),
}

/// RFC 6902 with the leniency that Kubernetes' library has: `test` of null on an absent path passes.
///
/// # Errors
/// The first operation that fails; `target` is then in no defined state and must be thrown away.
pub fn json_patch(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    json::apply(target, patch)
}

/// RFC 7396.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    merge::apply(target, patch, 0);
}

/// Kubernetes' strategic merge, by the merge keys of a built-in kind.
///
/// # Errors
/// A directive that is malformed, or a list entry without its key; `target` must then be thrown away.
pub fn strategic_merge(info: &TypeInfo, target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    strategic::apply(info.shape(), target, patch)
}

#[cfg(test)]
mod tests;
