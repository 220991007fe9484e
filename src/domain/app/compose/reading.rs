//! What every part of the reading shares: the template, the findings, and the ways to look at a node and to complain.

use crate::domain::app::compose::FILE;
use crate::domain::app::compose::keys::Use;
use crate::domain::app::env_file::Env;
use crate::domain::app::finding::{Code, Effect, Finding, Findings, Place};
use crate::domain::app::instance::Files;
use crate::domain::app::template::Template;
use crate::domain::app::yaml::{Node, Value};

/// A reading of one document, at one service of it.
pub struct Reading<'a> {
    /// The template that the document belongs to.
    pub template: &'a Template,
    /// Its files' contents, where they were read; a check does without.
    pub files: &'a Files,
    /// Its variables.
    pub env: &'a Env,
    /// What was found so far.
    pub findings: &'a mut Findings,
    /// The service that is being read.
    pub service: Option<String>,
    /// How many octets of environments and files may still be read.
    pub room: usize,
}

impl Reading<'_> {
    /// Says `code` of the key at a node, the same for both backends.
    pub fn say(&mut self, code: Code, effect: Effect, at: (&Node, &str), subject: &str) {
        self.say_each(code, (effect, effect), at, subject);
    }

    /// Says `code` of the key at a node, for Docker and for Kubernetes.
    pub fn say_each(
        &mut self,
        code: Code,
        effects: (Effect, Effect),
        (node, key): (&Node, &str),
        subject: &str,
    ) {
        let line = Some(node.line).filter(|line| 0 < *line);
        let place =
            Place { file: FILE.to_owned(), line, service: self.service.clone(), key: Some(key.to_owned()) };
        self.findings.add(Finding::each(code, effects, place, subject));
    }

    /// Says what is wrong with the value of `key`, which no engine takes.
    pub fn bad(&mut self, at: (&Node, &str), why: &str) {
        let subject = format!("{}: {why}", at.1);
        self.say(Code::BadValue, Effect::Cannot, at, &subject);
    }

    /// Takes `octets` of the room that there is; whether there were so many.
    pub fn takes(&mut self, octets: usize, at: (&Node, &str)) -> bool {
        let left = self.room.checked_sub(octets);
        if left.is_none() {
            self.say(Code::TooLarge, Effect::Cannot, at, at.1);
        }
        self.room = left.unwrap_or_default();
        left.is_some()
    }

    /// Says what becomes of a key that is not honoured.
    pub fn unused(&mut self, using: Option<Use>, node: &Node, key: &str) {
        // A key with nothing in it asks for nothing.
        if node.is_null() && using.is_some() {
            return;
        }
        match using {
            Some(Use::Full) => {}
            Some(Use::Dropped(backends)) => {
                self.say_each(Code::LeftOut, backends.effects(Effect::Note), (node, key), key);
            }
            Some(Use::Lost(backends)) => {
                self.say_each(Code::NotHonoured, backends.effects(Effect::Odd), (node, key), key);
            }
            Some(Use::Elsewhere) => self.say(Code::NotResolved, Effect::Cannot, (node, key), key),
            None => self.say(Code::UnknownKey, Effect::Odd, (node, key), key),
        }
    }

    fn wrong(&mut self, at: (&Node, &str), expected: &str) {
        let subject = format!("{} must be {expected}", at.1);
        self.say(Code::WrongType, Effect::Cannot, at, &subject);
    }

    /// The text under `key`; none where it is absent, empty or no scalar.
    pub fn text<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n str> {
        let value = node.get(key).filter(|value| !value.is_null())?;
        match value.scalar() {
            Some(text) => Some(text).filter(|text| !text.is_empty()),
            None => {
                self.wrong((value, key), "a text");
                None
            }
        }
    }

    /// The text under `key` as `parse` reads it; `expected` says what it reads.
    pub fn parsed<T>(
        &mut self,
        node: &Node,
        (path, expected): (&str, &str),
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let key = path.rsplit('.').next().unwrap_or(path);
        let text = self.text(node, key)?;
        let parsed = parse(text);
        if parsed.is_none() {
            let value = node.get(key).unwrap_or(node);
            self.bad((value, path), &format!("{text:?} is not {expected}"));
        }
        parsed
    }

    /// Whether `key` is true.
    pub fn flag(&mut self, node: &Node, key: &str) -> bool {
        self.parsed(node, (key, "true or false"), |text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// The items under `key`: of a list, or one text alone.
    pub fn items<'n>(&mut self, node: &'n Node, key: &str) -> Vec<&'n Node> {
        let Some(value) = node.get(key) else { return Vec::new() };
        match &value.value {
            Value::Null => Vec::new(),
            Value::Scalar(_) => vec![value],
            Value::List(items) => items.iter().collect(),
            Value::Map(_) => {
                self.wrong((value, key), "a list");
                Vec::new()
            }
        }
    }

    /// The texts under `key`: of a list, or one alone.
    pub fn texts<'n>(&mut self, node: &'n Node, key: &str) -> Vec<(&'n str, &'n Node)> {
        let items = self.items(node, key);
        let mut texts = Vec::new();
        for item in items {
            match item.scalar() {
                Some(text) => texts.push((text, item)),
                None => self.wrong((item, key), "a list of texts"),
            }
        }
        texts
    }

    /// The pairs under `key`: of a map, or of a list of texts that `separators` part. A pair without a value has none.
    pub fn pairs<'n>(
        &mut self,
        node: &'n Node,
        key: &str,
        separators: &[char],
    ) -> Vec<(String, Option<&'n str>, &'n Node)> {
        let Some(value) = node.get(key) else { return Vec::new() };
        if value.entries().is_empty() {
            let part = |(text, item): (&'n str, &'n Node)| match text.split_once(separators) {
                Some((name, value)) => (name.trim().to_owned(), Some(value), item),
                None => (text.to_owned(), None, item),
            };
            return self.texts(node, key).into_iter().map(part).collect();
        }
        let mut pairs = Vec::new();
        for (name, value) in value.entries() {
            match &value.value {
                Value::List(_) | Value::Map(_) => self.wrong((value, key), "a map of texts"),
                _ => pairs.push((name.clone(), value.scalar(), value)),
            }
        }
        pairs
    }
}
