//! Zones and their records, as the vendor keeps them, with every write remembered so that old lists can be served.

use std::collections::{BTreeMap, BTreeSet};

/// What an edition of the product allows (dns-field facts: TTL floors as published; lines as assumed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    Free,
    Personal,
    EnterpriseStandard,
    EnterpriseUltimate,
}

/// Lines of every edition here; a test narrows them with `FakeAli::set_lines`.
pub const LINES: [(&str, &str); 8] = [
    ("default", "默认"),
    ("telecom", "中国电信"),
    ("unicom", "中国联通"),
    ("mobile", "中国移动"),
    ("edu", "中国教育网"),
    ("oversea", "境外"),
    ("internal", "中国地区"),
    ("search", "搜索引擎"),
];

impl Edition {
    /// Seconds.
    pub fn min_ttl(self) -> u32 {
        match self {
            Self::Free | Self::Personal => 600,
            Self::EnterpriseStandard => 60,
            Self::EnterpriseUltimate => 1,
        }
    }

    /// As the vendor's answers spell it; the standard edition's is assumed.
    pub fn code(self) -> &'static str {
        match self {
            Self::Free => "mianfei",
            Self::Personal => "version_personal",
            Self::EnterpriseStandard => "version_enterprise_basic",
            Self::EnterpriseUltimate => "version_enterprise_advanced",
        }
    }

    /// Records of one name, type and line.
    pub fn same_set(self) -> usize {
        if self == Self::Free { 10 } else { 90 }
    }
}

/// One record. `kind` is the vendor's `Type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub id: u64,
    pub rr: String,
    pub kind: String,
    pub line: String,
    pub value: String,
    pub ttl: u32,
    pub priority: Option<u32>,
    pub weight: u32,
    /// `Status` is ENABLE.
    pub enabled: bool,
    pub locked: bool,
    pub remark: String,
    /// Milliseconds since 1970.
    pub created: i64,
    pub updated: i64,
}

impl Record {
    /// An enabled record with no remark and a TTL of 600 s. Its id and times are given to it where it is planted.
    pub fn new(rr: &str, kind: &str, line: &str, value: &str) -> Self {
        Self {
            id: 0,
            rr: rr.to_owned(),
            kind: kind.to_owned(),
            line: line.to_owned(),
            value: value.to_owned(),
            ttl: 600,
            priority: None,
            weight: 1,
            enabled: true,
            locked: false,
            remark: String::new(),
            created: 0,
            updated: 0,
        }
    }

    pub fn ttl(mut self, seconds: u32) -> Self {
        self.ttl = seconds;
        self
    }

    pub fn remark(mut self, text: &str) -> Self {
        self.remark = text.to_owned();
        self
    }

    pub fn locked(mut self) -> Self {
        self.locked = true;
        self
    }

    pub fn paused(mut self) -> Self {
        self.enabled = false;
        self
    }

    pub fn status(&self) -> &'static str {
        if self.enabled { "ENABLE" } else { "DISABLE" }
    }

    /// Whether the two stand in one set: name, type and line.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.kind == other.kind && self.is_at(other)
    }

    /// Whether the two have the name and the line in common.
    pub fn is_at(&self, other: &Self) -> bool {
        self.line == other.line && is_same(&self.rr, &other.rr)
    }

    /// `www A default 192.0.2.1 600`, and what is out of the ordinary.
    pub fn text(&self) -> String {
        let Self { rr, kind, line, value, ttl, .. } = self;
        let mut text = format!("{rr} {kind} {line} {value} {ttl}");
        for (is_so, word) in [(!self.enabled, " paused"), (self.locked, " locked")] {
            text.push_str(if is_so { word } else { "" });
        }
        if !self.remark.is_empty() {
            text.push_str(&format!(" ({})", self.remark));
        }
        text
    }
}

/// The name on the wire; the fake takes both spellings of a unicode name.
pub fn ascii(name: &str) -> String {
    idna::domain_to_ascii(name).unwrap_or_else(|_| name.to_ascii_lowercase())
}

/// Whether the two are one name on the wire. Most are plain, and there are many: a conversion each would be slow.
pub fn is_same(one: &str, other: &str) -> bool {
    match one.is_ascii() && other.is_ascii() {
        true => one.eq_ignore_ascii_case(other),
        false => ascii(one) == ascii(other),
    }
}

/// A hosted domain.
#[derive(Debug)]
pub struct Zone {
    pub account: String,
    pub name: String,
    pub edition: Edition,
    pub lines: BTreeSet<String>,
    pub records: BTreeMap<u64, Record>,
    /// Sets with weights on: name, type, line.
    pub weighted: BTreeSet<(String, String, String)>,
    /// A write is under way.
    pub busy: bool,
    /// Lists are as before so many writes, for so many calls.
    pub stale: Option<(usize, usize)>,
    /// What stood at an id before each write.
    undo: Vec<(u64, Option<Record>)>,
}

impl Zone {
    pub fn new(account: &str, name: &str, edition: Edition) -> Self {
        Self {
            account: account.to_owned(),
            name: name.to_owned(),
            edition,
            lines: LINES.iter().map(|(code, _)| (*code).to_owned()).collect(),
            records: BTreeMap::new(),
            weighted: BTreeSet::new(),
            busy: false,
            stale: None,
            undo: Vec::new(),
        }
    }

    /// Sets or removes what stands at an id, and returns what stood there.
    pub fn put(&mut self, id: u64, record: Option<Record>) -> Option<Record> {
        let before = match record {
            Some(record) => self.records.insert(id, record),
            None => self.records.remove(&id),
        };
        self.undo.push((id, before.clone()));
        before
    }

    /// The records as an old list has them, where this list call is to see one; the call is used up.
    pub fn old_list(&mut self) -> Option<BTreeMap<u64, Record>> {
        let (writes, calls) = self.stale.as_mut().filter(|(_, calls)| 0 < *calls)?;
        *calls -= 1;
        let mut records = self.records.clone();
        for (id, before) in self.undo.iter().rev().take(*writes) {
            match before {
                Some(record) => records.insert(*id, record.clone()),
                None => records.remove(id),
            };
        }
        Some(records)
    }

    pub fn is_weighted(&self, record: &Record) -> bool {
        self.weighted.contains(&(ascii(&record.rr), record.kind.clone(), record.line.clone()))
    }
}
