//! 12,000 records into BIND, through our provider and through BIND's own `nsupdate`.

use std::fmt::Write;
use std::time::Instant;

use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::domain::dns_plan::Change;
use cocoasyncer::domain::marks::{OwnerId, txt};
use cocoasyncer::domain::names::{DnsName, ObjectId};
use cocoasyncer::domain::records::{Cause, RecordKey, RecordSet};
use cocoasyncer::providers::DnsProvider;

use crate::measure::median;
use crate::report::{Figure, Promise};
use crate::support::servers::{NameServer, ZONE, bind, nsupdate};

const RECORDS: usize = 12_000;
const ROUNDS: usize = 3;
/// Records that `nsupdate` is given at once: a message takes no more of both kinds.
const AT_ONCE: usize = 500;

fn value(index: usize) -> [u8; 4] {
    let [.., high, low] = index.to_be_bytes();
    [10, 0, high, low]
}

fn changes() -> anyhow::Result<Vec<Change>> {
    let service = ObjectId { namespace: "default".into(), name: "bench".into() };
    let one = |index: usize| {
        let name = DnsName::parse(&format!("n{index}.{ZONE}"), "")?;
        let key = RecordKey { name, line: Line::Default, family: Family::V4 };
        let to = Some(RecordSet { values: [value(index).into()].into(), ttl: 60 });
        Ok(Change { key, from: None, to, service: service.clone(), cause: Cause::Edit })
    };
    (0..RECORDS).map(one).collect()
}

/// What `nsupdate` reads: with the marks that our provider sets, or without.
fn script(marks: bool) -> anyhow::Result<String> {
    let mark = txt(&OwnerId::parse("it", "")?, Family::V4);
    let mut script = String::new();
    for index in 0..RECORDS {
        let [a, b, c, d] = value(index);
        if marks {
            writeln!(script, "update add n{index}.{ZONE} 300 TXT \"{mark}\"")?;
        }
        writeln!(script, "update add n{index}.{ZONE} 60 A {a}.{b}.{c}.{d}")?;
        if index % AT_ONCE == AT_ONCE - 1 {
            writeln!(script, "send")?;
        }
    }
    Ok(script)
}

/// Seconds that our provider takes, from its first look at the empty zone.
async fn ours(server: &NameServer, changes: &[Change]) -> anyhow::Result<f64> {
    let (provider, zone) = (server.provider(), DnsName::parse(ZONE, "")?);
    let began = Instant::now();
    provider.list(&zone).await?;
    for slice in changes.chunks(provider.ways().batch) {
        for made in provider.apply(&zone, slice).await {
            made?;
        }
    }
    let took = began.elapsed().as_secs_f64();
    let found = provider.list(&zone).await?.found;
    anyhow::ensure!(found.values().filter(|found| found.is_ours()).count() == RECORDS, "records are missing");
    Ok(took)
}

async fn theirs(server: &NameServer, script: &str) -> f64 {
    let began = Instant::now();
    nsupdate(server, script).await;
    began.elapsed().as_secs_f64()
}

/// Measures; nothing where BIND is not installed, which is said.
pub async fn measure() -> anyhow::Result<Vec<Figure>> {
    let (changes, marked, bare) = (changes()?, script(true)?, script(false)?);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        // An empty zone each.
        let Some(server) = bind::with_views().await else { return Ok(Vec::new()) };
        let ours = ours(&server, &changes).await?;
        let Some(server) = bind::with_views().await else { return Ok(Vec::new()) };
        let with = theirs(&server, &marked).await;
        let Some(server) = bind::with_views().await else { return Ok(Vec::new()) };
        rounds.push([ours, with, theirs(&server, &bare).await]);
    }
    let middle = |of: fn(&[f64; 3]) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    let (ratio, bare) = (middle(|[ours, with, _]| ours / with), middle(|[ours, _, bare]| ours / bare));
    Ok(vec![Figure {
        what: "12,000 records from empty into BIND",
        measured: ratio,
        unit: "x",
        promise: Promise::AtMost(2.0),
        ratio: (ratio, "nsupdate with the same records and marks"),
        raw: format!(
            "{:.2} s, nsupdate {:.2} s; without marks nsupdate takes {:.2} s, {bare:.2} x that",
            middle(|[ours, ..]| *ours),
            middle(|[_, with, _]| *with),
            middle(|[.., bare]| *bare)
        ),
    }])
}
