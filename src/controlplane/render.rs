//! Objects to bytes, in the form that the client asked for: plain, a table, or metadata alone; JSON or YAML.

use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    registry::Resource,
    status::Refusal,
    store::codec::Stored,
    table::{self, Include},
};

/// What an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The object itself.
    Plain,
    /// A table for people.
    Table,
    /// Its metadata alone.
    Partial,
}

/// What the client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The form.
    pub shape: Shape,
    /// YAML rather than JSON.
    pub yaml: bool,
}

impl Accept {
    /// The first form in `headers` that we can send.
    pub fn read(headers: &HeaderMap) -> Result<Accept, Refusal> {
        let plain = Accept { shape: Shape::Plain, yaml: false };
        let texts: Vec<&str> =
            headers.get_all(http::header::ACCEPT).iter().filter_map(|one| one.to_str().ok()).collect();
        let mut ranges = texts
            .iter()
            .flat_map(|text| text.split(','))
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .peekable();
        if ranges.peek().is_none() {
            return Ok(plain);
        }
        ranges.find_map(range).ok_or_else(Refusal::not_acceptable)
    }
}

fn range(text: &str) -> Option<Accept> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next()?;
    let (mut form, mut version) = (None, None);
    for part in parts {
        match part.split_once('=') {
            Some(("as", value)) => form = Some(value),
            Some(("v", value)) => version = Some(value),
            _ => {}
        }
    }
    let yaml = match media {
        "application/json" | "*/*" | "application/*" => false,
        "application/yaml" => true,
        _ => return None,
    };
    let shape = match (form, version) {
        (None, _) => Shape::Plain,
        (Some("Table"), Some("v1")) => Shape::Table,
        (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("v1")) => Shape::Partial,
        _ => return None,
    };
    Some(Accept { shape, yaml })
}

/// How the objects of one answer are written.
#[derive(Clone)]
pub struct Render {
    /// The resource that was asked for.
    pub resource: Arc<Resource>,
    /// The form.
    pub shape: Shape,
    /// What rows of a table carry.
    pub include: Include,
}

/// What the list's own metadata says.
#[derive(Clone, Debug, Default)]
pub struct ListMeta {
    /// The list's revision.
    pub revision: u64,
    /// Where the next page begins.
    pub cursor: Option<String>,
    /// How many come after.
    pub remaining: Option<usize>,
}

impl Render {
    /// Appends one stored object as JSON.
    pub fn stored(&self, stored: &Stored, out: &mut Vec<u8>) {
        if self.shape == Shape::Plain && self.resource.verbatim(stored) {
            stored.append_json(out);
        } else {
            append(out, &self.value(self.resource.present(stored)));
        }
    }

    /// One object in the form that was asked for.
    pub fn value(&self, object: Value) -> Value {
        match self.shape {
            Shape::Plain => object,
            Shape::Partial => table::partial(&object),
            Shape::Table => {
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                table::table(&self.resource, &[object], self.include, metadata, Timestamp::now())
            }
        }
    }

    /// A whole list as JSON.
    pub fn list(&self, items: &[Stored], meta: &ListMeta) -> Vec<u8> {
        let mut metadata = json!({"resourceVersion": meta.revision.to_string()});
        if let Some(cursor) = &meta.cursor {
            metadata["continue"] = json!(cursor);
        }
        if let Some(remaining) = meta.remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
        if self.shape == Shape::Table {
            let objects: Vec<Value> = items.iter().map(|stored| self.resource.present(stored)).collect();
            let table = table::table(&self.resource, &objects, self.include, metadata, Timestamp::now());
            let mut out = Vec::new();
            append(&mut out, &table);
            return out;
        }
        let (kind, version) = match self.shape {
            Shape::Partial => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
            _ => (self.resource.list_kind.clone(), self.resource.api_version()),
        };
        let size: usize = items.iter().map(|stored| stored.body.len() + 48).sum();
        let mut out = Vec::with_capacity(size + 256);
        let head = json!({"apiVersion": version, "kind": kind, "metadata": metadata}).to_string();
        out.extend_from_slice(&head.as_bytes()[..head.len() - 1]);
        out.extend_from_slice(b",\"items\":[");
        for (i, stored) in items.iter().enumerate() {
            if i != 0 {
                out.push(b',');
            }
            self.stored(stored, &mut out);
        }
        out.extend_from_slice(b"]}");
        out
    }

    /// The object of a bookmark: nothing but the version.
    pub fn bookmark(&self, revision: u64, initial_end: bool) -> Value {
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        match self.shape {
            Shape::Partial => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Shape::Table => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": revision.to_string()}, "columnDefinitions": null,
                "rows": [{"cells": [], "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}}],
            }),
            Shape::Plain => {
                json!({"kind": self.resource.kind, "apiVersion": self.resource.api_version(), "metadata": metadata})
            }
        }
    }
}

fn append(out: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(out, value).expect("a tree with string keys serialises into memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_can_be_sent_is_sent() {
        for (text, expected) in [
            ("application/json", Some((Shape::Plain, false))),
            ("application/vnd.kubernetes.protobuf,application/json", Some((Shape::Plain, false))),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                Some((Shape::Table, false)),
            ),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Some((Shape::Partial, false)),
            ),
            ("application/yaml", Some((Shape::Plain, true))),
            ("*/*", Some((Shape::Plain, false))),
            ("application/vnd.kubernetes.protobuf", None),
            ("", Some((Shape::Plain, false))),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::ACCEPT, text.parse().unwrap());
            let found = Accept::read(&headers).ok().map(|accept| (accept.shape, accept.yaml));
            assert_eq!(found, expected, "{text}");
        }
    }
}
