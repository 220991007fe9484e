//! How an object lies in the store: compact JSON that begins with its metadata and carries no `resourceVersion`.
//! PURE.
//!
//! The revision is known only when the transaction commits, and most reads want the bytes, not a tree. Because the
//! metadata always comes first, the version is spliced in at one fixed place, without parsing anything.

use axum::body::Bytes;
use serde_json::{Map, Value};

/// What every stored body begins with.
const HEAD: &[u8] = b"{\"metadata\":{";

/// An object as it lies in the store.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The revision of its last write.
    pub revision: u64,
    /// Its body, see [`encode`].
    pub body: Bytes,
}

/// The bytes that are stored for `object`; its `resourceVersion` is left out.
pub fn encode(object: &Value) -> Bytes {
    let empty = Map::new();
    let object = object.as_object().unwrap_or(&empty);
    let mut metadata = object.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    metadata.remove("resourceVersion");
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(HEAD);
    append_members(&mut out, &metadata);
    let mut first = true;
    for (name, value) in object.iter().filter(|(name, _)| *name != "metadata") {
        if first {
            out.extend_from_slice(b"},");
            first = false;
        } else {
            out.push(b',');
        }
        append_member(&mut out, name, value);
    }
    if first {
        out.push(b'}');
    }
    out.push(b'}');
    Bytes::from(out)
}

/// Whether `body` looks like something that [`encode`] wrote. A cheap check for damage when a store is opened.
pub fn plausible(body: &[u8]) -> bool {
    body.starts_with(HEAD) && body.ends_with(b"}")
}

impl Stored {
    /// Appends the object's JSON, with its `resourceVersion`, to `out`.
    pub fn append_json(&self, out: &mut Vec<u8>) {
        let rest = &self.body[HEAD.len()..];
        out.extend_from_slice(HEAD);
        out.extend_from_slice(b"\"resourceVersion\":\"");
        out.extend_from_slice(self.revision.to_string().as_bytes());
        out.push(b'"');
        if rest.first() != Some(&b'}') {
            out.push(b',');
        }
        out.extend_from_slice(rest);
    }

    /// The object as a tree, with its `resourceVersion`. A body that cannot be read yields `Null`.
    pub fn value(&self) -> Value {
        let mut value: Value = serde_json::from_slice(&self.body).unwrap_or(Value::Null);
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".into(), Value::String(self.revision.to_string()));
        }
        value
    }
}

fn append_members(out: &mut Vec<u8>, members: &Map<String, Value>) {
    let mut first = true;
    for (name, value) in members {
        if !first {
            out.push(b',');
        }
        first = false;
        append_member(out, name, value);
    }
}

fn append_member(out: &mut Vec<u8>, name: &str, value: &Value) {
    serde_json::to_writer(&mut *out, name).expect("a string serialises into memory");
    out.push(b':');
    serde_json::to_writer(&mut *out, value).expect("a tree with string keys serialises into memory");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stored_object_comes_back_whole_with_its_version() {
        for object in [
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "resourceVersion": "4"}, "data": {"k": "dg=="}}),
            json!({"metadata": {}}),
            json!({"metadata": {"name": "a"}}),
            json!({"kind": "X", "metadata": {}}),
        ] {
            let stored = Stored { revision: 7, body: encode(&object) };
            assert!(plausible(&stored.body));
            let mut expected = object.clone();
            expected["metadata"]["resourceVersion"] = json!("7");
            assert_eq!(stored.value(), expected);
            let mut json = Vec::new();
            stored.append_json(&mut json);
            assert_eq!(serde_json::from_slice::<Value>(&json).unwrap(), expected);
        }
    }
}
