//! Question to answer: what an authoritative server says of its zones to an asker on a line. Wire format, sockets and
//! the asker's address are others' business.

pub mod answer;
pub mod content;
mod key;
#[cfg(test)]
pub mod sample;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::vocab::{Family, Line};
use crate::domain::names::DnsName;
use crate::domain::zone::answer::{Answer, Data, Owner, Rcode, Rr};
use crate::domain::zone::content::{NS_TTL, Node, Zone};
use crate::domain::zone::key::{longest, parent, shared, sort_key};

/// Type codes that are answered in a way of their own (IANA, DNS parameters).
mod code {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const SOA: u16 = 6;
    pub const AAAA: u16 = 28;
    pub const DS: u16 = 43;
    pub const ANY: u16 = 255;
}

/// All zones that we answer for. A copy shares the zones.
#[derive(Debug, Clone, Default)]
pub struct Zones {
    by_key: BTreeMap<Arc<str>, Arc<Zone>>,
}

impl Zones {
    /// One zone.
    pub fn get(&self, name: &DnsName) -> Option<&Arc<Zone>> {
        self.by_key.get(sort_key(name.as_str()).as_str())
    }

    /// All zones.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.by_key.values()
    }

    /// Adds a zone or replaces it.
    pub fn insert(&mut self, zone: Zone) {
        self.by_key.insert(sort_key(zone.name.as_str()).into(), Arc::new(zone));
    }

    /// Keeps the zones of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&DnsName) -> bool) {
        self.by_key.retain(|_, zone| keep(&zone.name));
    }

    /// Answers a question of class IN. `qname` is in lower case without a trailing dot, its labels escaped so that a dot
    /// is always a border between labels.
    pub fn answer(&self, qname: &str, qtype: u16, line: Line) -> Answer<'_> {
        let asked = sort_key(qname);
        let Some((apex, zone)) = self.zone_of(&asked) else {
            return Answer { rcode: Rcode::Refused, authoritative: false, ..Answer::positive(Vec::new()) };
        };
        let at_apex = apex.len() == asked.len();
        // Of a delegation's DS the parent is the authority (RFC 4035 section 3.1.4.1), if it is ours too.
        let parent = parent(apex).filter(|_| at_apex && qtype == code::DS);
        if let Some((_, zone)) = parent.and_then(|above| self.zone_of(above)) {
            return zone.no_data();
        }
        match zone.at(&asked) {
            Some(node) => zone.existing(Some(node), at_apex, qtype, line),
            None if at_apex => zone.existing(None, true, qtype, line),
            None => {
                // A zone of ours below counts as a name here, although its records are not in this zone.
                let encloser = longest(shared(&zone.nodes, &asked), shared(&self.by_key, &asked));
                let encloser = longest(encloser, apex);
                match zone.at(&format!("{encloser} *")) {
                    _ if encloser.len() == asked.len() => zone.no_data(),
                    Some(wildcard) => zone.existing(Some(wildcard), false, qtype, line),
                    None => zone.negative(Rcode::NxDomain),
                }
            }
        }
    }

    /// The zone with the longest name that `asked` lies in.
    fn zone_of<'a>(&self, asked: &'a str) -> Option<(&'a str, &Arc<Zone>)> {
        let mut at = asked;
        loop {
            match self.by_key.get(at) {
                Some(zone) => return Some((at, zone)),
                None => at = parent(at)?,
            }
        }
    }
}

impl Zone {
    fn at(&self, key: &str) -> Option<&Node> {
        self.nodes.get(key).map(|node| &**node)
    }

    /// A name that exists, at the apex perhaps without records.
    fn existing<'z>(&'z self, node: Option<&'z Node>, at_apex: bool, qtype: u16, line: Line) -> Answer<'z> {
        match qtype {
            code::A => self.addresses(node, Family::V4, line),
            code::AAAA => self.addresses(node, Family::V6, line),
            code::SOA if at_apex => Answer::positive(vec![self.soa_record(self.soa.timers.ttl)]),
            code::NS if at_apex && !self.servers.is_empty() => self.name_servers(line),
            code::ANY => {
                Answer::positive(vec![Rr { owner: Owner::Asked, ttl: NS_TTL, data: Data::AnyIsObsolete }])
            }
            _ => self.no_data(),
        }
    }

    fn addresses<'z>(&'z self, node: Option<&'z Node>, family: Family, line: Line) -> Answer<'z> {
        let tailored = node.is_some_and(|node| node.is_tailored(family));
        let answer = match node.and_then(|node| node.set(family, line)) {
            Some(set) => Answer::positive(Rr::of_set(Owner::Asked, set).collect()),
            None => self.no_data(),
        };
        Answer { tailored, ..answer }
    }

    fn name_servers<'z>(&'z self, line: Line) -> Answer<'z> {
        let record = |name| Rr { owner: Owner::Asked, ttl: NS_TTL, data: Data::Ns(name) };
        let glue = |name: &'z DnsName| {
            let node = self.at(&sort_key(name.as_str()));
            let sets = Family::ALL.into_iter().filter_map(move |family| node?.set(family, line));
            sets.flat_map(move |set| Rr::of_set(Owner::Name(name), set))
        };
        Answer {
            additional: self.servers.iter().flat_map(glue).collect(),
            ..Answer::positive(self.servers.iter().map(record).collect())
        }
    }

    fn no_data(&self) -> Answer<'_> {
        self.negative(Rcode::NoError)
    }

    fn negative(&self, rcode: Rcode) -> Answer<'_> {
        // Resolvers keep it no longer than both the SOA's TTL and its last field say (RFC 2308 section 5).
        let ttl = self.soa.timers.ttl.min(self.soa.timers.negative);
        Answer { rcode, authority: vec![self.soa_record(ttl)], ..Answer::positive(Vec::new()) }
    }

    fn soa_record(&self, ttl: u32) -> Rr<'_> {
        Rr { owner: Owner::Name(&self.name), ttl, data: Data::Soa(&self.soa) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::records::{RecordKey, RecordSet};
    use crate::domain::zone::content::{NameServer, Timers};

    fn name(text: &str) -> DnsName {
        DnsName::parse(text, "test").unwrap()
    }

    fn zone(apex: &str, records: &[(&str, Line, &str)]) -> Zone {
        let servers = [NameServer { name: "ns-a".into(), addresses: ["192.0.2.53".parse().unwrap()].into() }];
        let mut zone = Zone::new(name(apex), &servers, 7, Timers::default()).unwrap();
        for (at, line, value) in records {
            let value: IpAddr = value.parse().unwrap();
            let family = if value.is_ipv4() { Family::V4 } else { Family::V6 };
            let key = RecordKey { name: name(at), line: *line, family };
            let set = RecordSet::of([value].into(), 60);
            zone = zone.with_changes([(&key, Some(&set))], 7);
        }
        zone
    }

    fn zones(all: impl IntoIterator<Item = Zone>) -> Zones {
        let mut zones = Zones::default();
        all.into_iter().for_each(|zone| zones.insert(zone));
        zones
    }

    fn show(answer: &Answer<'_>) -> String {
        let value = |rr: &Rr<'_>| match rr.data {
            Data::A(value) => value.to_string(),
            Data::Aaaa(value) => value.to_string(),
            Data::Ns(name) => format!("NS {name}"),
            Data::Soa(soa) => format!("SOA {}", soa.serial),
            Data::AnyIsObsolete => "HINFO".to_owned(),
        };
        let list = |all: &[Rr<'_>]| all.iter().map(value).collect::<Vec<_>>().join(",");
        let all = [list(&answer.answers), list(&answer.authority), list(&answer.additional)];
        format!("{:?} {}", answer.rcode, all.join("|"))
    }

    #[track_caller]
    fn check(zones: &Zones, asks: &[(&str, u16, &str)]) {
        for (qname, qtype, expect) in asks {
            assert_eq!(&show(&zones.answer(qname, *qtype, Line::CT)), expect, "{qname} {qtype}");
        }
    }

    const TXT: u16 = 16;

    #[test]
    fn a_line_gets_its_own_set_or_that_of_default() {
        let all = [
            ("a.example.com", Line::Default, "192.0.2.1"),
            ("a.example.com", Line::CT, "192.0.2.2"),
            ("a.example.com", Line::Default, "2001:db8::1"),
            ("only.example.com", Line::CU, "192.0.2.3"),
        ];
        let zones = zones([zone("example.com", &all)]);
        check(
            &zones,
            &[
                ("a.example.com", code::A, "NoError 192.0.2.2||"),
                ("a.example.com", code::AAAA, "NoError 2001:db8::1||"),
                ("only.example.com", code::A, "NoError |SOA 7|"),
            ],
        );
        assert_eq!(show(&zones.answer("a.example.com", code::A, Line::CU)), "NoError 192.0.2.1||");
        let tailored = |qname, qtype| zones.answer(qname, qtype, Line::CU).tailored;
        assert!(tailored("a.example.com", code::A) && tailored("only.example.com", code::A));
        assert!(!tailored("a.example.com", code::AAAA) && !tailored("none.example.com", code::A));
    }

    #[test]
    fn the_apex_speaks_for_the_zone() {
        let zones = zones([zone("example.com", &[])]);
        check(
            &zones,
            &[
                ("example.com", code::SOA, "NoError SOA 7||"),
                ("example.com", code::NS, "NoError NS ns-a.example.com||192.0.2.53"),
                ("example.com", code::A, "NoError |SOA 7|"),
                ("example.com", TXT, "NoError |SOA 7|"),
                ("example.com", code::ANY, "NoError HINFO||"),
                ("ns-a.example.com", code::A, "NoError 192.0.2.53||"),
                ("ns-a.example.com", code::AAAA, "NoError |SOA 7|"),
                ("www.example.com", code::SOA, "NxDomain |SOA 7|"),
                ("ns-a.example.com", code::NS, "NoError |SOA 7|"),
                ("example.net", code::A, "Refused ||"),
                ("notexample.com", code::A, "Refused ||"),
                ("com", code::NS, "Refused ||"),
                ("", code::NS, "Refused ||"),
            ],
        );
        let negative = zones.answer("www.example.com", code::A, Line::CT);
        assert_eq!(negative.authority[0].ttl, 60, "the lesser of the SOA's TTL and its last field");
    }

    /// The zone and the questions of RFC 4592 section 2.2.1, in our two types.
    #[test]
    fn wildcards_are_as_rfc_4592_says() {
        let all = [
            ("*.example.com", Line::Default, "192.0.2.1"),
            ("sub.*.example.com", Line::Default, "192.0.2.2"),
            ("host1.example.com", Line::Default, "192.0.2.3"),
            ("_ssh._tcp.host1.example.com", Line::Default, "192.0.2.4"),
            ("_ssh._tcp.host2.example.com", Line::Default, "192.0.2.5"),
        ];
        // `sub.*` is not a name that we let people write, so the sample's is left out here.
        let all: Vec<_> = all.into_iter().filter(|(at, ..)| !at.starts_with("sub.")).collect();
        check(
            &zones([zone("example.com", &all)]),
            &[
                ("host3.example.com", code::A, "NoError 192.0.2.1||"),
                ("host3.example.com", TXT, "NoError |SOA 7|"),
                ("foo.bar.example.com", code::A, "NoError 192.0.2.1||"),
                ("host1.example.com", code::AAAA, "NoError |SOA 7|"),
                ("_telnet._tcp.host1.example.com", code::A, "NxDomain |SOA 7|"),
                ("host2.example.com", code::A, "NoError |SOA 7|"),
                ("_tcp.host2.example.com", code::A, "NoError |SOA 7|"),
                ("x.host2.example.com", code::A, "NxDomain |SOA 7|"),
                ("*.example.com", code::A, "NoError 192.0.2.1||"),
                ("ghost.*.example.com", code::A, "NxDomain |SOA 7|"),
                ("a\\046b.example.com", code::A, "NoError 192.0.2.1||"),
            ],
        );
    }

    #[test]
    fn a_zone_below_is_a_name_above() {
        let parent = zone("example.com", &[("*.example.com", Line::Default, "192.0.2.1")]);
        let child = zone("a.b.example.com", &[]);
        let lone = zone("example.net", &[]);
        check(
            &zones([parent, child, lone]),
            &[
                ("x.a.b.example.com", code::A, "NxDomain |SOA 7|"),
                ("b.example.com", code::A, "NoError |SOA 7|"),
                ("c.b.example.com", code::A, "NxDomain |SOA 7|"),
                ("c.example.com", code::A, "NoError 192.0.2.1||"),
                ("a.b.example.com", code::DS, "NoError |SOA 7|"),
                ("example.net", code::DS, "NoError |SOA 7|"),
            ],
        );
    }

    proptest! {
        /// Existence and the closest encloser against their definitions, by looking at every name.
        #[test]
        fn an_answer_follows_from_the_definitions(
            owners in prop::collection::btree_set("(\\*\\.)?([ab-]?[ab]\\.){0,3}", 0..8),
            asked in "([ab-]?[ab]\\.){0,4}",
        ) {
            let full = |head: &str| format!("{head}z.test");
            let owners: Vec<String> = owners.iter().map(|head| full(head)).filter(|n| DnsName::parse(n, "").is_ok()).collect();
            let records: Vec<_> = owners.iter().map(|at| (at.as_str(), Line::Default, "192.0.2.1")).collect();
            let mut bare = zone("z.test", &records);
            bare = bare.with_servers(&[], 7).unwrap();
            let asked = full(&asked);
            let exists = |at: &str| at == "z.test" || owners.iter().any(|o| o == at || o.ends_with(&format!(".{at}")));
            let mut encloser = asked.as_str();
            while !exists(encloser) {
                encloser = encloser.split_once('.').unwrap().1;
            }
            let source = if encloser == asked { asked.clone() } else { format!("*.{encloser}") };
            let expect = match () {
                () if owners.contains(&source) => "NoError 192.0.2.1||",
                () if exists(&asked) => "NoError |SOA 7|",
                () => "NxDomain |SOA 7|",
            };
            prop_assert_eq!(show(&zones([bare]).answer(&asked, code::A, Line::CT)), expect);
        }
    }
}
