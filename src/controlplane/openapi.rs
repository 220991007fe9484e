//! The OpenAPI v3 document of one group-version.
//!
//! PURE.

use serde_json::{Value, json};

use super::schema::TypeInfo;

/// One kind that is served.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// Group; empty for the core group.
    pub group: &'a str,
    /// Version.
    pub version: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Resource name in URLs.
    pub plural: &'a str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether the status subresource is served.
    pub has_status: bool,
    /// The kind's shape.
    pub info: &'a TypeInfo,
}

/// The document of one group-version.
pub fn document(group: &str, version: &str, kinds: &[Served]) -> Value {
    let _ = (group, version, kinds);
    json!({})
}
