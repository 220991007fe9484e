//! YAML as a tree that knows its lines: merge keys and anchors resolved by the reader, bounded against bombs, octals as
//! compose reads them, `yes` and `off` as texts. Scalars are kept as what they are, so that variables go into scalars only.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::domain::app::interpolate::Fault;

/// The largest document that is read, in octets.
pub const MOST: usize = 1 << 20;

/// A value and the line where it is written; for one that came by an alias or a merge key, the line of its definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its line, from 1; 0 where it is not known.
    pub line: u64,
    /// The value.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: `~` or an empty place.
    Null,
    /// A boolean, number or text, as text.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the document.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Reads a document. The error never quotes the text, which may hold secrets.
    pub fn parse(text: &str) -> Result<Node, Trouble> {
        if MOST < text.len() {
            return Err(Trouble { line: None, what: "the document is too large".into() });
        }
        let options = serde_saphyr::options! {
            legacy_octal_numbers: true,
            strict_booleans: true,
            budget: serde_saphyr::budget! { max_nodes: 50_000, max_depth: 40, max_documents: 1 },
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        };
        match serde_saphyr::from_str_with_options::<Written>(text, options) {
            Ok(written) => Ok(written.into()),
            Err(error) => {
                let line = error.location().map(|at| at.line());
                let what = match &error.without_snippet() {
                    serde_saphyr::Error::DuplicateMappingKey { .. } => "a key stands twice in one map",
                    serde_saphyr::Error::Budget { .. } => "it is nested or repeated beyond all need",
                    serde_saphyr::Error::AliasReplayLimitExceeded { .. } => "its aliases come to too much",
                    _ => "the structure is broken there",
                };
                Err(Trouble { line, what: what.to_owned() })
            }
        }
    }

    /// The value of `key`, where this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The entries, where this is a map.
    pub fn entries(&self) -> &[(String, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The text, where this is a scalar.
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// Whether nothing stands here.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// Replaces every scalar by what `fill` makes of it; `path` leads to it. Keys stay as they are written.
    pub fn fill(&mut self, path: &mut Vec<String>, fill: &mut Fill<'_>) {
        match &mut self.value {
            Value::Null => {}
            Value::Scalar(text) => {
                if text.contains('$') {
                    *text = fill(text, path, self.line).unwrap_or_default();
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| item.fill(path, fill)),
            Value::Map(entries) => {
                for (key, node) in entries {
                    path.push(key.clone());
                    node.fill(path, fill);
                    path.pop();
                }
            }
        }
    }
}

/// Makes a text of a text, its path and its line.
pub type Fill<'a> = dyn FnMut(&str, &[String], u64) -> Result<String, Fault> + 'a;

/// Why a document can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The line, where the reader knows it.
    pub line: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// The tree as serde builds it: locations come from the reader's own wrapper.
struct Written(Spanned<Inner>);

enum Inner {
    Null,
    Scalar(String),
    List(Vec<Written>),
    Map(Vec<(Inner, Written)>),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Written)
    }
}

impl<'de> Deserialize<'de> for Inner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Builder)
    }
}

impl From<Written> for Node {
    fn from(Written(spanned): Written) -> Self {
        let value = match spanned.value {
            Inner::Null => Value::Null,
            Inner::Scalar(text) => Value::Scalar(text),
            Inner::List(items) => Value::List(items.into_iter().map(Node::from).collect()),
            Inner::Map(entries) => {
                let name = |key| match key {
                    Inner::Scalar(text) => text,
                    _ => String::new(),
                };
                Value::Map(entries.into_iter().map(|(key, node)| (name(key), node.into())).collect())
            }
        };
        Node { line: spanned.defined.line(), value }
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Inner;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_unit<E>(self) -> Result<Inner, E> {
        Ok(Inner::Null)
    }

    fn visit_none<E>(self) -> Result<Inner, E> {
        Ok(Inner::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Inner, D::Error> {
        Deserialize::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Inner, E> {
        Ok(Inner::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Inner, E> {
        Ok(Inner::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Inner, E> {
        Ok(Inner::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Inner, E> {
        Ok(Inner::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Inner, E> {
        Ok(Inner::Scalar(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Inner, E> {
        Ok(Inner::Scalar(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Inner, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Inner::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Inner, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Inner::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_merges_and_aliases_are_known() {
        let text = "x-c: &c\n  a: 1\n  b: {k: v}\nservices:\n  s:\n    <<: *c\n    a: 2\n  t: *c\n  u:\n";
        let node = Node::parse(text).unwrap();
        let services = node.get("services").unwrap();
        let s = services.get("s").unwrap();
        assert_eq!(s.get("a").unwrap().scalar(), Some("2"));
        assert_eq!((s.get("a").unwrap().line, s.get("b").unwrap().line), (7, 3));
        assert_eq!(s.entries().len(), 2);
        assert_eq!(services.get("t").unwrap().get("a").unwrap().scalar(), Some("1"));
        assert!(services.get("u").unwrap().is_null());
    }

    #[test]
    fn scalars_are_what_compose_takes_them_for() {
        let node =
            Node::parse("[yes, off, true, 0755, 1.5, '0755', 22:22, ~, null, \"\", 12345678901]").unwrap();
        let Value::List(items) = node.value else { panic!() };
        let texts: Vec<&str> = items.iter().map(|item| item.scalar().unwrap_or("~")).collect();
        assert_eq!(texts, ["yes", "off", "true", "493", "1.5", "0755", "22:22", "~", "~", "", "12345678901"]);
    }

    #[test]
    fn bombs_and_broken_documents_are_refused_without_their_text() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..9 {
            let before = format!("*a{},", i - 1).repeat(10);
            bomb.push_str(&format!("a{i}: &a{i} [{before}]\n"));
        }
        assert!(Node::parse(&bomb).is_err());
        assert!(Node::parse(&format!("{}{}", "[".repeat(200), "]".repeat(200))).is_err());
        assert!(Node::parse(&"a".repeat(MOST + 1)).is_err());
        let trouble = Node::parse("a: 1\nb: secret\n  c: [\n").unwrap_err();
        assert!(!trouble.what.contains("secret") && trouble.line.is_some(), "{trouble:?}");
        assert_eq!(Node::parse("a: 1\nb: 2\na: 3").unwrap_err().line, Some(3));
    }
}
