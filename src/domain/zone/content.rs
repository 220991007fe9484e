//! What one zone holds, and how it changes: a changed copy shares every unchanged name with the zone it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::api::vocab::{Family, Line};
use crate::domain::names::{DnsName, FieldError};
use crate::domain::records::{RecordKey, RecordSet, Values};
use crate::domain::zone::key::sort_key;

/// Seconds that the NS set may be kept.
pub const NS_TTL: u32 = 3600;
/// Seconds that a name server's own address may be kept: short, because sites change addresses.
pub const HOST_TTL: u32 = 300;

/// Timers of the SOA (RFC 1035 section 3.3.13), all in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// TTL of the SOA itself.
    pub ttl: u32,
    /// How often a secondary looks.
    pub refresh: u32,
    /// How soon it looks again after a failure.
    pub retry: u32,
    /// When it gives the zone up.
    pub expire: u32,
    /// How long a resolver may keep a negative answer (RFC 2308 section 4): short, because a name that is new must not
    /// stay unknown for long.
    pub negative: u32,
}

impl Default for Timers {
    fn default() -> Self {
        Self { ttl: 3600, refresh: 3600, retry: 600, expire: 604_800, negative: 60 }
    }
}

/// A zone's start of authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    /// The first name server.
    pub mname: DnsName,
    /// The mailbox of whoever is responsible, as a name.
    pub rname: DnsName,
    /// Rises with every change (RFC 1982).
    pub serial: u32,
    /// The timers.
    pub timers: Timers,
}

/// A name server of every zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameServer {
    /// Relative to each zone (`ns-beijing`), or absolute with a trailing dot (`ns1.example.net.`).
    pub name: String,
    /// Its public addresses, served where the name lies in the zone. A relative name without any is passed over: a name
    /// server that can't be found is worse than one fewer.
    pub addresses: BTreeSet<IpAddr>,
}

/// One zone, unchangeable; [`Zone::with_changes`] makes the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    pub(super) name: DnsName,
    pub(super) soa: Soa,
    pub(super) servers: Vec<DnsName>,
    /// By [`sort_key`], so that everything below a name stands right after it.
    pub(super) nodes: BTreeMap<Arc<str>, Arc<Node>>,
}

/// Everything at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: DnsName,
    sets: BTreeMap<(Family, Line), RecordSet>,
    /// The addresses of a name server of this name, where the zone's records don't say otherwise.
    host: BTreeMap<Family, RecordSet>,
}

impl Node {
    fn empty(name: DnsName) -> Self {
        Self { name, sets: BTreeMap::new(), host: BTreeMap::new() }
    }

    /// What `line` gets: its own set, else the one of `default`.
    pub(super) fn set(&self, family: Family, line: Line) -> Option<&RecordSet> {
        let own = self.sets.get(&(family, line)).or_else(|| self.sets.get(&(family, Line::Default)));
        own.or_else(|| self.host.get(&family).filter(|_| !self.has(family)))
    }

    /// Whether lines get different answers.
    pub(super) fn is_tailored(&self, family: Family) -> bool {
        self.of(family).any(|line| line != Line::Default)
    }

    fn has(&self, family: Family) -> bool {
        self.of(family).next().is_some()
    }

    fn of(&self, family: Family) -> impl Iterator<Item = Line> {
        let all = (family, Line::Default)..=(family, Line::OverSea);
        self.sets.range(all).map(|((_, line), _)| *line)
    }
}

impl Zone {
    /// A zone without records.
    pub fn new(
        name: DnsName,
        servers: &[NameServer],
        serial: u32,
        timers: Timers,
    ) -> Result<Self, FieldError> {
        // Only a zone of 243 octets or more has no room for the label.
        let rname = name.child("hostmaster", "spec.domain")?;
        let soa = Soa { mname: name.clone(), rname, serial, timers };
        let zone = Self { name, soa, servers: Vec::new(), nodes: BTreeMap::new() };
        zone.with_servers(servers, serial)
    }

    /// The zone with another mailbox in its SOA; without, it is `hostmaster` in the zone.
    pub fn with_hostmaster(mut self, rname: DnsName) -> Self {
        self.soa.rname = rname;
        self
    }

    /// Its name.
    pub fn name(&self) -> &DnsName {
        &self.name
    }

    /// Its start of authority.
    pub fn soa(&self) -> &Soa {
        &self.soa
    }

    /// All record sets, without those of the name servers.
    pub fn records(&self) -> impl Iterator<Item = (RecordKey, &RecordSet)> {
        self.nodes.values().flat_map(|node| {
            node.sets.iter().map(|((family, line), set)| {
                (RecordKey { name: node.name.clone(), line: *line, family: *family }, set)
            })
        })
    }

    /// One record set.
    pub fn record(&self, key: &RecordKey) -> Option<&RecordSet> {
        self.nodes.get(sort_key(key.name.as_str()).as_str())?.sets.get(&(key.family, key.line))
    }

    /// The zone after `changes` (`None` removes), under a new serial. Names outside the zone are passed over.
    pub fn with_changes<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a RecordKey, Option<&'a RecordSet>)>,
        serial: u32,
    ) -> Self {
        let mut next = self.clone();
        next.soa.serial = serial;
        for (key, set) in changes {
            if !key.name.is_within(&self.name) {
                continue;
            }
            next.edit(&key.name, |node| match set {
                Some(set) => drop(node.sets.insert((key.family, key.line), set.clone())),
                None => drop(node.sets.remove(&(key.family, key.line))),
            });
        }
        next
    }

    /// The zone with these name servers instead of its own, under a new serial.
    pub fn with_servers(&self, servers: &[NameServer], serial: u32) -> Result<Self, FieldError> {
        let mut next = self.clone();
        next.soa.serial = serial;
        let before = std::mem::take(&mut next.servers);
        before.iter().for_each(|name| next.edit(name, |node| node.host.clear()));
        let findable = |server: &&NameServer| server.name.ends_with('.') || !server.addresses.is_empty();
        for server in servers.iter().filter(findable) {
            let field = "name server";
            let name = match server.name.strip_suffix('.') {
                Some(absolute) => DnsName::parse(absolute, field)?,
                None => self.name.child(&server.name, field)?,
            };
            if name.is_within(&self.name) {
                next.edit(&name, |node| server.addresses.iter().for_each(|address| node.add_host(*address)));
            }
            if !next.servers.contains(&name) {
                next.servers.push(name);
            }
        }
        next.soa.mname = next.servers.first().unwrap_or(&self.name).clone();
        Ok(next)
    }

    fn edit(&mut self, name: &DnsName, change: impl FnOnce(&mut Node)) {
        let key: Arc<str> = sort_key(name.as_str()).into();
        let node = self.nodes.entry(Arc::clone(&key)).or_insert_with(|| Arc::new(Node::empty(name.clone())));
        let node = Arc::make_mut(node);
        change(node);
        if node.sets.is_empty() && node.host.is_empty() {
            self.nodes.remove(&key);
        }
    }
}

impl Node {
    fn add_host(&mut self, address: IpAddr) {
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        let empty = || RecordSet::of(Values::default(), HOST_TTL);
        let set = self.host.entry(family).or_insert_with(empty);
        set.values = set.values.iter().copied().chain([address]).collect();
    }
}

/// The serial after `before`: the time where that is ahead, so that it rises across restarts, else one more
/// (RFC 1982 section 3.2).
pub fn next_serial(before: u32, unix_seconds: u32) -> u32 {
    let ahead = unix_seconds.wrapping_sub(before);
    if ahead != 0 && ahead < 1 << 31 { unix_seconds } else { before.wrapping_add(1) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::parse(text, "test").unwrap()
    }

    fn key(at: &str) -> RecordKey {
        RecordKey { name: name(at), line: Line::Default, family: Family::V4 }
    }

    fn set(value: &str) -> RecordSet {
        RecordSet::of([value.parse().unwrap()].into(), 60)
    }

    #[test]
    fn a_change_leaves_every_other_name_where_it_was() {
        let zone = Zone::new(name("example.com"), &[], 1, Timers::default()).unwrap();
        let (a, b, one) = (key("a.example.com"), key("b.example.com"), set("192.0.2.1"));
        let first = zone.with_changes([(&a, Some(&one)), (&b, Some(&one))], 2);
        let second = first.with_changes([(&b, Some(&set("192.0.2.2")))], 3);
        let node = |zone: &Zone, at: &str| zone.nodes[sort_key(at).as_str()].clone();
        assert!(Arc::ptr_eq(&node(&first, "a.example.com"), &node(&second, "a.example.com")));
        assert_eq!(first.record(&b), Some(&one), "the old zone still answers as it did");
        let third = second.with_changes([(&a, None), (&b, None), (&key("a.example.net"), Some(&one))], 4);
        assert!(third.nodes.is_empty(), "emptied names are gone, and nothing enters from outside");
        assert_eq!(third.soa.serial, 4);
    }

    #[test]
    fn name_servers_come_and_go_without_touching_records() {
        let ns = |name: &str, address: &str| NameServer {
            name: name.into(),
            addresses: [address.parse().unwrap()].into(),
        };
        let zone = Zone::new(name("example.com"), &[ns("ns-a", "192.0.2.1")], 1, Timers::default()).unwrap();
        let own = key("ns-a.example.com");
        let zone = zone.with_changes([(&own, Some(&set("192.0.2.9")))], 2);
        let zone =
            zone.with_servers(&[ns("ns-b", "192.0.2.2"), ns("ns1.example.net.", "192.0.2.3")], 3).unwrap();
        assert_eq!(zone.servers, [name("ns-b.example.com"), name("ns1.example.net")]);
        assert_eq!(zone.soa.mname, name("ns-b.example.com"));
        assert_eq!(zone.records().count(), 1, "the record at the former name server's name stays");
        assert_eq!(zone.nodes.len(), 2);
        let nowhere = NameServer { name: "ns-c".into(), addresses: BTreeSet::new() };
        assert!(zone.with_servers(&[nowhere], 4).unwrap().servers.is_empty());
        assert!(zone.with_servers(&[ns("bad name", "192.0.2.2")], 4).is_err());
    }

    #[test]
    fn the_serial_is_the_time_or_one_more() {
        let cases = [(10, 20, 20), (20, 20, 21), (30, 20, 31), (u32::MAX, 5, 5), (u32::MAX, u32::MAX, 0)];
        for (before, now, expect) in cases {
            assert_eq!(next_serial(before, now), expect, "{before} {now}");
        }
    }

    proptest! {
        #[test]
        fn the_serial_always_rises(before in any::<u32>(), now in any::<u32>()) {
            let ahead = next_serial(before, now).wrapping_sub(before);
            prop_assert!(0 < ahead && ahead < 1 << 31);
        }
    }
}
