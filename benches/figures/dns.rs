//! The DNS server over loopback, against hickory's own zone in memory. Ours decides by line on the way.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::dns::handler::Brain;
use cocoasyncer::domain::line_table::LineTable;
use cocoasyncer::domain::names::DnsName;
use cocoasyncer::domain::records::{RecordKey, RecordSet};
use cocoasyncer::domain::zone::Zones;
use cocoasyncer::domain::zone::content::{NameServer, Timers, Zone};
use cocoasyncer::telemetry::dns::DnsMetrics;
use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio_util::sync::CancellationToken;

use crate::measure::Pairs;
use crate::report::{Figure, Promise};
use crate::{baseline, load};

const TURNS: usize = 9;
const LASTING: Duration = Duration::from_millis(600);
const ZONE: &str = "zone0.example.com";
const NAMES: usize = 2000;

/// Six lines a name, as 12,000 records are.
fn zones(names: &[String]) -> anyhow::Result<Zones> {
    let server = NameServer { name: "ns-a".into(), addresses: [Ipv4Addr::new(192, 0, 2, 53).into()].into() };
    let zone = Zone::new(DnsName::parse(ZONE, "zone")?, &[server], 1, Timers::default())?;
    let mut all = Vec::new();
    for name in names {
        for (last, line) in (1..).zip(Line::ALL) {
            let key = RecordKey { name: DnsName::parse(name, "name")?, line, family: Family::V4 };
            all.push((key, RecordSet::of([Ipv4Addr::new(203, 0, 113, last).into()].into(), 60)));
        }
    }
    let mut zones = Zones::default();
    zones.insert(zone.with_changes(all.iter().map(|(key, set)| (key, Some(set))), 2));
    Ok(zones)
}

async fn ours(names: &[String]) -> anyhow::Result<SocketAddr> {
    let table = LineTable::parse(&[("lines", "127.0.0.0/8 CT\n192.0.2.0/24 CU\n198.51.100.0/24 OverSea")])?;
    let brain = Brain {
        zones: Arc::new(ArcSwap::from_pointee(zones(names)?)),
        lines: Arc::new(ArcSwap::from_pointee(table)),
        metrics: DnsMetrics::new()?,
    };
    let bound = cocoasyncer::dns::bind(&[(Ipv4Addr::LOCALHOST, 0).into()]).await?;
    let at = bound.local_addr().ok_or_else(|| anyhow::anyhow!("no address"))?;
    tokio::spawn(bound.serve(brain, Default::default(), CancellationToken::new()));
    Ok(at)
}

fn packets(names: &[String]) -> anyhow::Result<Vec<Vec<u8>>> {
    // Neighbours in the list are no neighbours in the zone.
    let order = (0..names.len()).map(|index| &names[index * 769 % names.len()]);
    let packet = |name: &String| {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(format!("{name}."))?, RecordType::A));
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        message.set_edns(edns);
        Ok(message.to_vec()?)
    };
    order.map(packet).collect()
}

/// Measures.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let names: Vec<String> = (0..NAMES).map(|index| format!("service-{index:04}.{ZONE}")).collect();
    let ours = runtime.block_on(ours(&names))?;
    let (hickory, _server) = runtime.block_on(baseline::serve(ZONE, &names))?;
    let packets = packets(&names)?;
    let pairs = Pairs::measure(
        TURNS,
        || load::dns(ours, &packets, LASTING),
        || load::dns(hickory, &packets, LASTING),
    )?;
    let (mine, theirs) = pairs.medians();
    Ok(vec![Figure {
        what: "DNS answers a second by UDP",
        measured: pairs.ratio(),
        unit: "x",
        promise: Promise::AtLeast(0.8),
        ratio: (pairs.ratio(), "hickory's zone in memory"),
        raw: format!("{mine:.0}/s, hickory {theirs:.0}/s, {NAMES} names of 6 lines (hickory: 1), 8 sockets"),
    }])
}
