//! Files into objects, PURE: documents are told apart, lists are opened, each object gets its mark, and what can't be an
//! object is refused with its file, its place and its field. Values never stand in a refusal: a file may hold secrets.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::api::{GROUP, ORIGIN_LABEL, ORIGIN_MANIFESTS};
use crate::domain::names::FieldError;

/// Annotation: the file an object was read from. Only what carries it and our label is ever deleted by the folder, so
/// that objects from elsewhere stay, whatever their label.
pub const FILE_ANNOTATION: &str = "cocoasyncer.io/manifest-file";

/// Where something stands: file, document (from 1) and, inside a list, the item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// File name.
    pub file: String,
    /// Number of the document in it, from 1.
    pub document: usize,
    /// Index in a list's `items`.
    pub item: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}", self.file, self.document)?;
        self.item.map_or(Ok(()), |item| write!(f, ", items[{item}]"))
    }
}

/// What an object is found by. The namespace is empty where none was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// `apiVersion`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// An object to apply.
#[derive(Clone, PartialEq)]
pub struct Manifest {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub key: Key,
    /// The object with our mark.
    pub object: Value,
}

/// Something that can't be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {error}")]
pub struct Refusal {
    /// Where it stands.
    pub place: Place,
    /// The field, and what is wrong.
    pub error: FieldError,
}

/// Everything in a set of files, in the order in which it is applied.
#[derive(Clone, Default, PartialEq)]
pub struct Folder {
    /// Objects, definitions and namespaces first.
    pub objects: Vec<Manifest>,
    /// What was refused; the rest is applied all the same.
    pub refused: Vec<Refusal>,
}

/// Reads `files` (name and text).
pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Folder {
    let mut folder = Folder::default();
    let mut first: BTreeMap<Key, Place> = BTreeMap::new();
    for (place, document) in files.into_iter().flat_map(|(file, text)| documents(file, text)) {
        let read = document.and_then(|value| opened(&place, value));
        for (place, value) in read.unwrap_or_else(|error| {
            folder.refused.push(Refusal { place: place.clone(), error });
            Vec::new()
        }) {
            match object(&place, value) {
                Ok(manifest) => match first.get(&manifest.key) {
                    Some(there) => {
                        let error = FieldError::new(
                            "metadata.name",
                            format!("{} stands in {there} already", manifest.key),
                        );
                        folder.refused.push(Refusal { place, error });
                    }
                    None => {
                        first.insert(manifest.key.clone(), place);
                        folder.objects.push(manifest);
                    }
                },
                Err(error) => folder.refused.push(Refusal { place, error }),
            }
        }
    }
    // A stable sort: within one rank the order of files and documents stays.
    folder.objects.sort_by_key(|manifest| rank(&manifest.key));
    folder
}

/// What others lean on goes first.
fn rank(key: &Key) -> u8 {
    match key.kind.as_str() {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        "ServiceAccount" | "ClusterRole" | "Role" | "ClusterRoleBinding" | "RoleBinding" => 2,
        "Secret" | "ConfigMap" => 3,
        "CocoaNode" if key.api_version.starts_with(GROUP) => 4,
        _ => 5,
    }
}

type Read<T> = Result<T, FieldError>;

/// The documents of one file. A line of `---` parts them wherever it stands, so one bad document spoils no other.
fn documents(file: &str, text: &str) -> Vec<(Place, Read<Value>)> {
    let mut parts: Vec<String> = vec![String::new()];
    for line in text.lines() {
        let rest = line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        match rest {
            Some(rest) => parts.push(rest.to_owned()),
            None => {
                let part = parts.last_mut().expect("it began with one part");
                part.push('\n');
                part.push_str(line);
            }
        }
    }
    let blank =
        |part: &String| part.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    // Comments ahead of the first marker are no document, else everybody's numbers would be off by one.
    if 1 < parts.len() && blank(&parts[0]) {
        parts.remove(0);
    }
    let place = |index| Place { file: file.to_owned(), document: index + 1, item: None };
    let numbered = parts.into_iter().enumerate().filter(|(_, part)| !blank(part));
    numbered.map(|(index, part)| (place(index), parsed(&part))).collect()
}

fn parsed(text: &str) -> Read<Value> {
    serde_saphyr::from_str::<Value>(text).map_err(|error| {
        // The parser's words may quote the text, which may be a Secret's: only the place is told.
        let at = error.location().map(|at| format!(" near its line {}, column {}", at.line(), at.column()));
        FieldError::new("(document)", format!("is not YAML or JSON{}", at.unwrap_or_default()))
    })
}

fn opened(place: &Place, value: Value) -> Read<Vec<(Place, Value)>> {
    let list = value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    if !list {
        return Ok(vec![(place.clone(), value)]);
    }
    let Some(Value::Array(items)) = value.get("items") else {
        return Err(FieldError::new("items", "must be a list of objects"));
    };
    let item = |(index, item): (usize, &Value)| (Place { item: Some(index), ..place.clone() }, item.clone());
    Ok(items.iter().enumerate().map(item).collect())
}

fn object(place: &Place, mut value: Value) -> Read<Manifest> {
    let Value::Object(fields) = &mut value else {
        return Err(FieldError::new("(document)", "must be an object with apiVersion, kind and metadata"));
    };
    let api_version = text(fields.get("apiVersion"), "apiVersion")?;
    let kind = text(fields.get("kind"), "kind")?;
    let Some(Value::Object(metadata)) = fields.get("metadata") else {
        return Err(FieldError::new("metadata", "must be an object with a name"));
    };
    if metadata.contains_key("generateName") && !metadata.contains_key("name") {
        return Err(FieldError::new(
            "metadata.generateName",
            "can't be applied again and again: give it a name",
        ));
    }
    let key = Key {
        name: text(metadata.get("name"), "metadata.name")?,
        namespace: match metadata.get("namespace") {
            None | Some(Value::Null) => String::new(),
            some => text(some, "metadata.namespace")?,
        },
        api_version,
        kind,
    };
    fields.remove("status");
    if key.kind == "Secret" && key.api_version == "v1" {
        fold_string_data(fields)?;
    }
    mark(fields, "labels", ORIGIN_LABEL, ORIGIN_MANIFESTS)?;
    mark(fields, "annotations", FILE_ANNOTATION, &place.file)?;
    Ok(Manifest { place: place.clone(), key, object: value })
}

fn text(value: Option<&Value>, field: &str) -> Read<String> {
    match value {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::String(_)) | Some(Value::Null) | None => Err(FieldError::new(field, "is missing")),
        Some(_) => Err(FieldError::new(field, "must be text: put it in quotes")),
    }
}

/// `stringData` is write-only, so whoever applies it never sees a key go: it is folded into `data` here.
fn fold_string_data(fields: &mut Map<String, Value>) -> Read<()> {
    let Some(plain) = fields.remove("stringData").filter(|plain| !plain.is_null()) else {
        return Ok(());
    };
    let Value::Object(plain) = plain else {
        return Err(FieldError::new("stringData", "must be a map of texts"));
    };
    let data = fields.entry("data").or_insert_with(|| json!({}));
    let Value::Object(data) = data else {
        return Err(FieldError::new("data", "must be a map of base64 texts"));
    };
    for (name, value) in plain {
        let Value::String(value) = value else {
            return Err(FieldError::new(format!("stringData.{name}"), "must be text: put it in quotes"));
        };
        data.insert(name, Value::String(STANDARD.encode(value)));
    }
    Ok(())
}

fn mark(fields: &mut Map<String, Value>, map: &str, key: &str, value: &str) -> Read<()> {
    let metadata = fields.get_mut("metadata").and_then(Value::as_object_mut);
    let metadata = metadata.ok_or_else(|| FieldError::new("metadata", "must be an object"))?;
    let marks = metadata.entry(map).or_insert_with(|| json!({}));
    if marks.is_null() {
        *marks = json!({});
    }
    match marks {
        Value::Object(marks) => {
            marks.insert(key.to_owned(), json!(value));
            Ok(())
        }
        _ => Err(FieldError::new(format!("metadata.{map}"), "must be a map of texts")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# a comment
---
apiVersion: cocoasyncer.io/v1alpha1
kind: ManagedService
metadata: {name: web}
spec: {serviceName: Web}
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: x}
stringData: {k: hunter2}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: x}}
- {apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: c}}
";

    #[test]
    fn definitions_and_namespaces_come_before_what_leans_on_them() {
        let folder = read([("a.yaml", GOOD)]);
        assert_eq!(folder.refused, []);
        let order: Vec<String> = folder.objects.iter().map(|m| format!("{} ({})", m.key, m.place)).collect();
        assert_eq!(
            order,
            [
                "CustomResourceDefinition c (a.yaml, document 3, items[1])",
                "Namespace x (a.yaml, document 3, items[0])",
                "Secret x/s (a.yaml, document 2)",
                "ManagedService web (a.yaml, document 1)",
            ]
        );
        let secret = &folder.objects[2].object;
        assert_eq!(secret["data"]["k"], "aHVudGVyMg==");
        assert_eq!(secret["stringData"], Value::Null);
        assert_eq!(secret["metadata"]["labels"][ORIGIN_LABEL], ORIGIN_MANIFESTS);
        assert_eq!(secret["metadata"]["annotations"][FILE_ANNOTATION], "a.yaml");
    }

    #[test]
    fn a_bad_document_is_refused_by_place_and_field_and_spoils_no_other() {
        let bad = "kind: Secret\nmetadata: {name: hunter2}\n---\n]hunter2: [\n---\n- 1\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: 5}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: 5}\n";
        let folder = read([
            ("bad.yaml", bad),
            ("good.yaml", GOOD),
            ("twice.json", r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x"}}"#),
        ]);
        assert_eq!(folder.objects.len(), 4);
        let said: Vec<String> = folder.refused.iter().map(ToString::to_string).collect();
        assert_eq!(said[0], "bad.yaml, document 1: apiVersion: is missing");
        assert!(said[1].starts_with("bad.yaml, document 2: (document): is not YAML or JSON"), "{}", said[1]);
        assert_eq!(
            said[2..],
            [
                "bad.yaml, document 3: (document): must be an object with apiVersion, kind and metadata",
                "bad.yaml, document 4: metadata.name: must be text: put it in quotes",
                "bad.yaml, document 5: stringData.k: must be text: put it in quotes",
                "twice.json, document 1: metadata.name: Namespace x stands in good.yaml, document 3, items[0] already",
            ]
        );
        assert!(!said.join("").contains("hunter2"), "what a file holds may be secret");
    }
}
