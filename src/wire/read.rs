//! Reads a JSON document field by field, so that a refusal names the field as it is written and never repeats a value:
//! the value might be a secret.

use jiff::Timestamp;
use serde_json::Value;

use crate::domain::names::FieldError;
use crate::domain::secret::Secret;

/// Most characters in one text field.
pub const MAX_TEXT: usize = 4096;

/// Most octets in the name of a member that is not ours to name; Kubernetes' bound for keys of a Secret.
pub const MAX_NAME: usize = 253;

static NULL: Value = Value::Null;

/// Why a document was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is no JSON at all.
    #[error("body: is not JSON (line {line}, column {column})")]
    Syntax {
        /// Line of the first wrong character, from 1.
        line: usize,
        /// Its column, from 1.
        column: usize,
    },
    /// A field has the wrong shape.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Parses text into a document.
pub fn document(text: &[u8]) -> Result<Value, ReadError> {
    serde_json::from_slice(text).map_err(|err| ReadError::Syntax { line: err.line(), column: err.column() })
}

/// A place in a document: its path and what stands there.
#[derive(Clone)]
pub struct Field<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Field<'a> {
    /// The whole document; its fields' paths begin without a prefix.
    pub fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    /// The place under a path.
    pub fn at(path: &str, value: &'a Value) -> Self {
        Self { path: path.to_owned(), value }
    }

    /// The path as people write it, e.g. `cocoaBasic.otherCocoaSyncer[1].ISPs`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The member `name`; absent reads as null.
    pub fn get(&self, name: &str) -> Field<'a> {
        let path = match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        Field { path, value: self.value.get(name).unwrap_or(&NULL) }
    }

    /// Whether nothing stands here.
    pub fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// What stands here.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// A refusal of this field.
    pub fn refuse(&self, why: impl Into<String>) -> FieldError {
        let path = if self.path.is_empty() { "body" } else { &self.path };
        FieldError::new(path, why)
    }

    /// Holds that an object stands here; null is one without members.
    pub fn object(&self) -> Result<(), FieldError> {
        match self.value {
            Value::Object(_) | Value::Null => Ok(()),
            _ => Err(self.refuse("must be an object")),
        }
    }

    /// Text; null is empty.
    pub fn text(&self) -> Result<String, FieldError> {
        match self.value {
            Value::Null => Ok(String::new()),
            Value::String(text) if text.len() <= MAX_TEXT => Ok(text.clone()),
            Value::String(_) => Err(self.refuse(format!("must have at most {MAX_TEXT} octets"))),
            _ => Err(self.refuse("must be a string")),
        }
    }

    /// Text that must not be seen.
    pub fn secret(&self) -> Result<Secret, FieldError> {
        self.text().map(Secret::new)
    }

    /// A whole number from 0 to `most`; null is 0.
    pub fn number(&self, most: u64) -> Result<u64, FieldError> {
        match self.value {
            Value::Null => Ok(0),
            value => value
                .as_u64()
                .filter(|number| *number <= most)
                .ok_or_else(|| self.refuse(format!("must be a whole number from 0 to {most}"))),
        }
    }

    /// Yes or no; null is no.
    pub fn flag(&self) -> Result<bool, FieldError> {
        match self.value {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(*flag),
            _ => Err(self.refuse("must be true or false")),
        }
    }

    /// A list of at most `most` items; null is empty.
    pub fn list(&self, most: usize) -> Result<Vec<Field<'a>>, FieldError> {
        match self.value {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) if items.len() <= most => {
                let at = |(index, value)| Field { path: format!("{}[{index}]", self.path), value };
                Ok(items.iter().enumerate().map(at).collect())
            }
            Value::Array(_) => Err(self.refuse(format!("must have at most {most} items"))),
            _ => Err(self.refuse("must be a list")),
        }
    }

    /// The members of an object, at most `most`, by their names; null is one without members.
    pub fn members(&self, most: usize) -> Result<Vec<(&'a str, Field<'a>)>, FieldError> {
        self.object()?;
        let members = self.value.as_object().into_iter().flatten();
        if most < members.clone().count() {
            return Err(self.refuse(format!("must have at most {most} members")));
        }
        // A path is shown, so it must not grow with what was sent.
        if members.clone().any(|(name, _)| MAX_NAME < name.len()) {
            return Err(self.refuse(format!("must have names of at most {MAX_NAME} octets")));
        }
        Ok(members.map(|(name, _)| (name.as_str(), self.get(name))).collect())
    }

    /// A time; null, empty and the year 1 (how Go writes "never") are none.
    pub fn time(&self) -> Result<Option<Timestamp>, FieldError> {
        let text = self.text()?;
        if text.is_empty() || text.starts_with("0001-01-01") {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| self.refuse("must be an RFC 3339 time with offset"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_names_the_field_and_never_repeats_its_value() {
        let doc = json!({"a": [{"b": "canary-1"}, {"b": 7}], "n": -1, "t": "canary-2"});
        let root = Field::root(&doc);
        let items = root.get("a").list(9).unwrap();
        assert_eq!(items[0].get("b").text().unwrap(), "canary-1");
        for err in [
            items[1].get("b").text().unwrap_err(),
            items[0].get("b").number(9).unwrap_err(),
            root.get("n").number(9).unwrap_err(),
            root.get("t").time().unwrap_err(),
            root.get("t").list(9).err().unwrap(),
            root.get("a").list(1).err().unwrap(),
            root.get("t").object().unwrap_err(),
            root.get("t").members(9).err().unwrap(),
            root.members(2).err().unwrap(),
            root.get("t").flag().unwrap_err(),
        ] {
            assert!(!err.to_string().contains("canary"), "{err}");
            assert!(!err.field.is_empty(), "{err}");
        }
        assert_eq!(items[1].get("b").text().unwrap_err().field, "a[1].b");
    }

    #[test]
    fn what_is_missing_or_null_is_empty() {
        let doc = json!({"x": null});
        for name in ["x", "y"] {
            let field = Field::root(&doc).get(name);
            assert_eq!(field.text().unwrap(), "");
            assert_eq!(field.number(9).unwrap(), 0);
            assert!(!field.flag().unwrap());
            assert!(field.list(0).unwrap().is_empty());
            assert!(field.members(0).unwrap().is_empty());
            assert_eq!(field.time().unwrap(), None);
        }
        let never = json!("0001-01-01T00:00:00Z");
        assert_eq!(Field::root(&never).time().unwrap(), None);
        let cst = json!("2023-09-18T22:54:22.0765568+08:00");
        assert_eq!(Field::root(&cst).time().unwrap().unwrap().to_string(), "2023-09-18T14:54:22.0765568Z");
    }

    #[test]
    fn what_is_no_json_is_named_by_its_place() {
        assert_eq!(document(b"{\"a\": canary}"), Err(ReadError::Syntax { line: 1, column: 7 }));
        assert!(document(&b"[".repeat(100_000)).is_err(), "nesting is bounded");
    }
}
