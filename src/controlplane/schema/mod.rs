//! Stand-in.
use serde_json::Value;

use super::cause::Cause;
/// Shape of one kind.
pub struct TypeInfo(Value);
impl TypeInfo {
    /// Of a CRD.
    pub fn from_crd(open_api_v3_schema: &Value) -> Result<TypeInfo, Vec<Cause>> {
        Ok(TypeInfo(open_api_v3_schema.clone()))
    }
    /// Of a built-in.
    pub fn builtin(_group: &str, _version: &str, _kind: &str) -> TypeInfo {
        TypeInfo(Value::Null)
    }
    /// Drops unknown fields.
    pub fn prune(&self, _obj: &mut Value) -> Vec<String> {
        Vec::new()
    }
    /// Defaults.
    pub fn default(&self, _obj: &mut Value) {}
    /// Validates.
    pub fn validate(&self, _new: &Value, _old: Option<&Value>) -> Vec<Cause> {
        Vec::new()
    }
    /// Document.
    pub fn openapi(&self) -> &Value {
        &self.0
    }
}
