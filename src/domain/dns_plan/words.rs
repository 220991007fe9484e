//! A plan in words: what changes, what is held, and why. It decides nothing.

use std::fmt;

use crate::domain::dns_plan::{Change, Held};
use crate::domain::names::DnsName;
use crate::domain::records::{Cause, RecordKey, RecordSet};

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} [{}]", self.name, self.family.record_type(), self.line)
    }
}

impl fmt::Display for RecordSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values.iter().map(ToString::to_string).collect();
        write!(f, "{} (ttl {}", values.join(","), self.ttl)?;
        let weights: Vec<String> = self.weights.iter().map(|(_, weight)| weight.to_string()).collect();
        if weights.is_empty() { f.write_str(")") } else { write!(f, ", weights {})", weights.join(":")) }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.cause {
            Cause::Loss => "its node is lost",
            Cause::Return => "its owner is back",
            Cause::Drain => "drained or pinned",
            Cause::Address => "new address",
            Cause::Edit => "edited",
            Cause::Deleted => "service deleted",
            Cause::Drift => "changed by somebody else",
        };
        match (&self.from, &self.to) {
            (None, Some(to)) => write!(f, "+ {} {to}: new", self.key),
            (Some(from), Some(to)) if from.set.is_as(to) => write!(f, "~ {} {to}: marked as ours", self.key),
            (Some(from), Some(to)) if from.set.values.is_empty() => write!(f, "+ {} {to}: new", self.key),
            (Some(from), None) if from.set.values.is_empty() => {
                write!(f, "- {}: a mark without its record", self.key)
            }
            (Some(from), Some(to)) => write!(f, "~ {} {} -> {to}: {why}", self.key, from.set),
            (Some(from), None) => write!(f, "- {} {}: {why}", self.key, from.set),
            (None, None) => write!(f, "  {}", self.key),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::Foreign { key, whose, .. } if whose.is_empty() => {
                write!(f, "! {key}: somebody else's record")
            }
            Held::Foreign { key, whose, .. } => write!(f, "! {key}: marked as {whose}'s"),
            Held::Paused { key, .. } => write!(f, "! {key}: paused at the provider, and not by us"),
            Held::Locked { key, .. } => write!(f, "! {key}: locked at the provider"),
            Held::Awaited { key, node } => write!(f, "! {key}: {node} writes it, and has not yet"),
            Held::Contended { key, .. } => {
                write!(
                    f,
                    "! {key}: its line's own node goes on writing it, so it lives, though not as seen from here"
                )
            }
            Held::NobodyLives { key, .. } => {
                write!(f, "! {key}: nobody living can answer, the last record stays")
            }
            Held::MassChange { change } => write!(f, "! held {change}"),
            Held::Orphan { key } => write!(f, "! {key}: carries our mark but belongs to no service"),
        }
    }
}

impl Held {
    /// Every [`Held::reason`].
    pub const REASONS: [&str; 8] =
        ["foreign", "paused", "locked", "awaited", "contended", "nobody_lives", "mass_change", "orphan"];

    /// Why, in a word for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Held::Foreign { .. } => "foreign",
            Held::Paused { .. } => "paused",
            Held::Locked { .. } => "locked",
            Held::Awaited { .. } => "awaited",
            Held::Contended { .. } => "contended",
            Held::NobodyLives { .. } => "nobody_lives",
            Held::MassChange { .. } => "mass_change",
            Held::Orphan { .. } => "orphan",
        }
    }

    /// The change, where it is held as one of too many.
    pub fn mass_change(&self) -> Option<&Change> {
        match self {
            Held::MassChange { change } => Some(change),
            _ => None,
        }
    }

    /// The name it is about.
    pub fn name(&self) -> &DnsName {
        match self {
            Held::MassChange { change } => &change.key.name,
            Held::Foreign { key, .. }
            | Held::Paused { key, .. }
            | Held::Locked { key, .. }
            | Held::Awaited { key, .. }
            | Held::Contended { key, .. }
            | Held::NobodyLives { key, .. }
            | Held::Orphan { key } => &key.name,
        }
    }
}
