//! A small world for tests of the server: a site on each of three lines, a wildcard, and a name with more addresses than
//! a datagram holds.

use std::net::IpAddr;

use crate::api::vocab::{Family, Line};
use crate::domain::line_table::LineTable;
use crate::domain::names::DnsName;
use crate::domain::records::{RecordKey, RecordSet};
use crate::domain::zone::Zones;
use crate::domain::zone::content::{NameServer, Timers, Zone};

/// The zone example.com.
pub fn zones() -> Zones {
    let name = |text: &str| DnsName::parse(text, "test").unwrap();
    let servers = ["ns-a", "ns-b"].map(|name| NameServer {
        name: name.into(),
        addresses: ["192.0.2.53".parse().unwrap(), "2001:db8::53".parse().unwrap()].into(),
    });
    let mut zone = Zone::new(name("example.com"), &servers, 7, Timers::default()).unwrap();
    let mut put = |at: &str, line, values: Vec<IpAddr>| {
        let family = if values[0].is_ipv4() { Family::V4 } else { Family::V6 };
        let key = RecordKey { name: name(at), line, family };
        let set = RecordSet::of(values.into_iter().collect(), 60);
        zone = zone.with_changes([(&key, Some(&set))], 7);
    };
    for (line, last) in [(Line::Default, 1), (Line::CT, 2), (Line::CU, 3)] {
        put("test.example.com", line, vec![[203, 0, 113, last].into()]);
    }
    put("*.wild.example.com", Line::Default, vec!["2001:db8::1".parse().unwrap()]);
    put("big.example.com", Line::Default, (0..100).map(|last| [203, 0, 113, last].into()).collect());
    let mut zones = Zones::default();
    zones.insert(zone);
    zones
}

/// A table with lines inside lines.
pub fn lines() -> LineTable {
    let text = "192.0.2.0/24 CT\n198.51.100.0/24 CU\n198.51.100.128/25 CT\n2001:db8::/32 CT";
    LineTable::parse(&[("lines", text)]).unwrap()
}
