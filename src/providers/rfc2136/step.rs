//! One change as the pieces of an update: what must be so, what to do then, and what is so afterwards. All pieces are
//! octets already, so that changes can be joined and parted without writing them again.

use std::net::IpAddr;

use crate::api::vocab::Family;
use crate::domain::dns_plan::{Change, Found, Owner};
use crate::domain::marks::{OwnerId, txt};
use crate::domain::names::DnsName;
use crate::domain::records::{RecordKey, Values};
use crate::providers::rfc2136::listing::Aside;
use crate::providers::rfc2136::message::{A, AAAA, ANY, CNAME, IN, NONE, Records, TXT};

/// Seconds that a mark may be kept: nobody asks for marks but those who transfer.
const MARK_TTL: u32 = 300;

/// What of a step is sent.
#[derive(Debug, Clone, Copy)]
pub enum Piece {
    /// The change itself, if what was found still stands.
    Change,
    /// Whether it is done.
    Done,
    /// Whether an alias stands in the way.
    Alias,
}

/// A change, written.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it stands in the batch.
    pub index: usize,
    /// What was found is compared, so that nobody's change in between is overwritten; an alias is excluded, because a
    /// server passes over in silence what can't stand beside it (RFC 2136 section 3.4.2.2).
    must: Records,
    /// Marks come first and go last.
    will: Records,
    done: Records,
    alias: Records,
}

impl Step {
    /// The pieces of `change`, the `index`-th of its batch.
    pub fn new(zone: &DnsName, index: usize, change: &Change, me: &OwnerId, aside: &Aside) -> Self {
        let RecordKey { name, family, .. } = &change.key;
        let writer = Writer { zone, name, kind: kind(*family) };
        let stood = change.from.as_ref().map(|found| found.set.values.clone()).unwrap_or_default();
        let mut must = Records::default();
        writer.require(&mut must, &stood);
        if stood.is_empty() && change.to.is_some() {
            writer.put(&mut must, (CNAME, NONE), 0, &[]);
        }
        let mut done = Records::default();
        writer.require(&mut done, &change.to.as_ref().map(|set| set.values.clone()).unwrap_or_default());
        if change.to.is_some() {
            writer.put(&mut done, (TXT, ANY), 0, &[]);
        }
        let mut alias = Records::default();
        writer.put(&mut alias, (CNAME, ANY), 0, &[]);
        Self { index, must, will: will(&writer, change, me, aside), done, alias }
    }

    /// What must be so, and what to do then.
    pub fn piece(&self, piece: Piece) -> (&Records, Option<&Records>) {
        match piece {
            Piece::Change => (&self.must, Some(&self.will)),
            Piece::Done => (&self.done, None),
            Piece::Alias => (&self.alias, None),
        }
    }

    /// Octets that it adds to an update.
    pub fn len(&self) -> usize {
        // Whichever of the two is asked for, a message that holds the one can hold the other.
        (self.must.len() + self.will.len()).max(self.done.len())
    }
}

struct Writer<'a> {
    zone: &'a DnsName,
    name: &'a DnsName,
    kind: u16,
}

impl Writer<'_> {
    fn put(&self, into: &mut Records, what: (u16, u16), ttl: u32, data: &[u8]) {
        into.put(self.zone, self.name.as_str(), what, ttl, data);
    }

    /// Exactly these values must stand, or none (RFC 2136 section 2.4.2 and 2.4.3).
    fn require(&self, into: &mut Records, values: &Values) {
        if values.is_empty() {
            self.put(into, (self.kind, NONE), 0, &[]);
        }
        for value in values.iter() {
            self.put(into, (self.kind, IN), 0, &octets(*value));
        }
    }
}

fn will(writer: &Writer<'_>, change: &Change, me: &OwnerId, aside: &Aside) -> Records {
    let RecordKey { name, family, .. } = &change.key;
    let mut will = Records::default();
    let mark = txt(me, *family);
    // A mark is short: one string.
    let mark = [&[u8::try_from(mark.len()).unwrap_or(u8::MAX)], mark.as_bytes()].concat();
    let is_ours = change.from.as_ref().is_some_and(Found::is_ours);
    if change.to.is_some() && !is_ours {
        let ttl = aside.ttls.get(name).copied().unwrap_or(MARK_TTL);
        writer.put(&mut will, (TXT, IN), ttl, &mark);
    }
    if change.from.as_ref().is_some_and(|from| !from.set.values.is_empty()) {
        writer.put(&mut will, (writer.kind, ANY), 0, &[]);
    }
    if let Some(to) = &change.to {
        to.values.iter().for_each(|value| writer.put(&mut will, (writer.kind, IN), to.ttl, &octets(*value)));
    }
    let taken_over = change.from.as_ref().is_some_and(|from| matches!(from.owner, Owner::Foreign(_)));
    let theirs = aside.marks.get(name).filter(|_| taken_over).into_iter().flatten();
    for theirs in theirs.filter(|theirs| theirs.family.is_none_or(|marked| marked == *family)) {
        will.put(writer.zone, &theirs.at, (TXT, NONE), 0, &theirs.data);
    }
    if change.to.is_none() {
        writer.put(&mut will, (TXT, NONE), 0, &mark);
    }
    will
}

fn kind(family: Family) -> u16 {
    match family {
        Family::V4 => A,
        Family::V6 => AAAA,
    }
}

fn octets(value: IpAddr) -> Vec<u8> {
    match value {
        IpAddr::V4(value) => value.octets().to_vec(),
        IpAddr::V6(value) => value.octets().to_vec(),
    }
}
