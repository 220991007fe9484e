//! The provider for name servers that take dynamic updates, against those that are installed: BIND with a view for each
//! line, Knot and PowerDNS; and against some that mean harm.

mod hostile;
mod many;
mod rights;
mod stories;
mod views;

use std::collections::BTreeMap;

use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::domain::addresses::family;
use cocoasyncer::domain::dns_plan::{Change, Found, Owner};
use cocoasyncer::domain::names::{DnsName, ObjectId};
use cocoasyncer::domain::records::{Cause, RecordKey, RecordSet};
use cocoasyncer::providers::rfc2136::Rfc2136Provider;
use cocoasyncer::providers::{DnsProvider, Kind, ProviderError};

use crate::support::servers::{NameServer, ZONE, bind, knot, pdns};

fn name(text: &str) -> DnsName {
    DnsName::parse(text, "test").unwrap()
}

fn zone() -> DnsName {
    name(ZONE)
}

/// All servers that are installed.
async fn servers() -> Vec<NameServer> {
    let (bind, knot, pdns) = tokio::join!(bind::with_views(), knot::server(), pdns::server());
    [bind, knot, pdns].into_iter().flatten().collect()
}

/// The key of `at`, which is `name` or `name/line`, for what `values` are of.
fn key(at: &str, family: Family) -> RecordKey {
    let (record, line) = at.split_once('/').unwrap_or((at, "default"));
    let line = Line::ALL.into_iter().find(|known| known.as_str() == line).unwrap();
    RecordKey { name: zone().child(record, "test").unwrap(), line, family }
}

fn set(values: &[&str], ttl: u32) -> RecordSet {
    RecordSet::of(values.iter().map(|value| value.parse().unwrap()).collect(), ttl)
}

/// A change of what was found to these values.
fn to(at: &str, from: Option<Found>, values: &[&str]) -> Change {
    let family = family(values[0].parse().unwrap());
    change(key(at, family), from, Some(set(values, 60)))
}

fn change(key: RecordKey, from: Option<Found>, to: Option<RecordSet>) -> Change {
    let service = ObjectId { namespace: "default".into(), name: "test".into() };
    Change { key, from, to, service, cause: Cause::Edit }
}

/// What is ours or in the way in the zone, a row each, as `name type line values`.
async fn rows(provider: &Rfc2136Provider) -> Vec<String> {
    let found = provider.list(&zone()).await.unwrap().found;
    let untouched = ["ns1.example.com", "mail.example.com", "old.example.com", "new.example.com"];
    let ours = found.iter().filter(|(key, _)| !untouched.contains(&key.name.as_str()));
    ours.map(|(key, found)| row(key, found)).collect()
}

fn row(key: &RecordKey, found: &Found) -> String {
    let owner = match &found.owner {
        Owner::Ours => String::new(),
        Owner::Unmarked => " unmarked".into(),
        Owner::Foreign(whose) => format!(" {whose}"),
    };
    format!("{key} {}{owner}", found.set)
}

/// What was found at one key.
async fn found(provider: &Rfc2136Provider, key: &RecordKey) -> Option<Found> {
    provider.list(&zone()).await.unwrap().found.remove(key)
}

/// Makes one change.
async fn make(provider: &Rfc2136Provider, change: Change) -> Result<Option<Found>, ProviderError> {
    let mut made = provider.apply(&zone(), &[change]).await;
    assert_eq!(made.len(), 1);
    made.remove(0)
}

/// The refusal of one change.
async fn refusal(provider: &Rfc2136Provider, change: Change) -> ProviderError {
    make(provider, change).await.unwrap_err()
}

/// How many of each kind; `ok` for those that were done.
fn tally(made: &[Result<Option<Found>, ProviderError>]) -> BTreeMap<&'static str, usize> {
    let mut tally = BTreeMap::new();
    for one in made {
        *tally.entry(one.as_ref().err().map_or("ok", |error| Kind::as_str(error.kind))).or_default() += 1;
    }
    tally
}
