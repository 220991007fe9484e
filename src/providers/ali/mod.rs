//! Alibaba Cloud DNS (Alidns 2015-01-09): records by line with ids, our mark in each record's remark. It lists and
//! applies one account's zones and decides no policy.

pub mod account;
mod apply;
mod caller;
mod client;
mod errors;
mod rows;
pub mod sign;
mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use serde_json::Value;
use tokio::time::Instant;

use crate::domain::dns_plan::{Change, Found, Limits, Listing};
use crate::domain::marks::OwnerId;
use crate::domain::names::DnsName;
use crate::domain::retry::Class;
use crate::providers::ali::account::Account;
use crate::providers::ali::caller::{Caller, Paged, Under};
use crate::providers::ali::client::{Client, list, number, text};
use crate::providers::ali::rows::Record;
use crate::providers::limiter::Urgency;
use crate::providers::{DnsProvider, Kind, ProviderError, Ways, longest};
use crate::telemetry::metrics::provider::ProviderMetrics;

/// Changes handed over at once: a third of a second of the vendor's quota of 60 writes a second.
const BATCH: usize = 20;
/// Most records that the vendor puts on a page.
const RECORDS_A_PAGE: usize = 500;
/// Most domains that the vendor puts on a page.
const DOMAINS_A_PAGE: usize = 100;
/// How long the account's list of domains is good.
const ZONES_FOR: Duration = Duration::from_secs(600);
/// How soon it is read again for a name that is in none of them.
const ZONES_AGAIN: Duration = Duration::from_secs(30);
/// How long a zone's limits are good.
const LIMITS_FOR: Duration = Duration::from_secs(3600);

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// One call, from its first octet to its answer's last.
    pub call: Duration,
    /// One change with all its calls: nothing is begun again after that.
    pub change: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { call: Duration::from_secs(10), change: Duration::from_secs(30) }
    }
}

/// One account's zones.
pub struct AliProvider {
    caller: Caller,
    owner: OwnerId,
    patience: Patience,
    zones: ArcSwap<Zones>,
    /// Held while the zones are read: whoever asks meanwhile waits for that answer.
    reading: tokio::sync::Mutex<()>,
    limits: Mutex<BTreeMap<DnsName, (Instant, Limits)>>,
    /// Held while a zone is written: the vendor refuses writes that overtake each other.
    writing: Mutex<BTreeMap<DnsName, Arc<tokio::sync::Mutex<()>>>>,
}

/// The account's domains as last read, with the vendor's own spelling.
#[derive(Default)]
struct Zones {
    read: Option<Instant>,
    names: BTreeMap<DnsName, String>,
}

impl AliProvider {
    /// A provider of this account's zones that marks records as `owner`'s.
    pub fn new(account: Account, owner: OwnerId, metrics: ProviderMetrics) -> Result<Self, ProviderError> {
        Self::with_patience(account, owner, metrics, Patience::default())
    }

    /// The same with other deadlines.
    pub fn with_patience(
        account: Account,
        owner: OwnerId,
        metrics: ProviderMetrics,
        patience: Patience,
    ) -> Result<Self, ProviderError> {
        let caller = Caller::new(Client::new(account, patience.call)?, metrics);
        let (zones, reading, limits, writing) = Default::default();
        Ok(Self { caller, owner, patience, zones, reading, limits, writing })
    }

    fn under(&self, urgency: Urgency) -> Under {
        Under { urgency, until: Instant::now() + self.patience.change }
    }

    /// The zone's name as the vendor spells it: in Unicode where it was registered so.
    fn spelling(&self, zone: &DnsName) -> String {
        self.zones.load().names.get(zone).cloned().unwrap_or_else(|| zone.as_str().to_owned())
    }

    async fn read_zones(&self) -> Result<Zones, ProviderError> {
        let paged =
            Paged { call: "DescribeDomains", params: &[], size: DOMAINS_A_PAGE, at: ("Domains", "Domain") };
        let domain = |entry: &Value| text(entry, "DomainName");
        let (_, domains) = self.caller.pages(&paged, self.under(Urgency::Rest), domain).await?;
        // A domain that is no name of ours can't hold one.
        let named = |domain: String| Some((DnsName::parse(&domain, "DomainName").ok()?, domain));
        Ok(Zones { read: Some(Instant::now()), names: domains.into_iter().filter_map(named).collect() })
    }

    async fn records(&self, zone: &DnsName) -> Result<Vec<Record>, ProviderError> {
        // The vendor knows it by its spelling, which a provider that was just opened has not read.
        if self.zones.load().read.is_none() && zone.as_str().contains("xn--") {
            self.zone_of(zone).await?;
        }
        let domain = self.spelling(zone);
        let paged = Paged {
            call: "DescribeDomainRecords",
            params: &[("DomainName", &domain)],
            size: RECORDS_A_PAGE,
            at: ("DomainRecords", "Record"),
        };
        let mut before = None;
        // Pages shift while others write: what was listed twice is dropped, and where something may be missing, all is
        // listed once more. Two listings that agree are the truth, whatever count the vendor gives.
        for _ in 0..2 {
            let (total, records) = self.caller.pages(&paged, self.under(Urgency::Rest), Record::read).await?;
            let listed: BTreeMap<String, Record> =
                records.into_iter().map(|record| (record.id.clone(), record)).collect();
            if total == Some(listed.len()) || before.as_ref() == Some(&listed) {
                return Ok(listed.into_values().collect());
            }
            before = Some(listed);
        }
        let what = format!(
            "{}: the records of {zone} changed while they were listed: it is tried again",
            paged.call
        );
        Err(ProviderError::new(Kind::Other, Class::Transient, what))
    }

    async fn limits(&self, zone: &DnsName) -> Result<Limits, ProviderError> {
        let known = || self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known().get(zone).cloned();
        if let Some((read, limits)) = &before
            && read.elapsed() < LIMITS_FOR
        {
            return Ok(limits.clone());
        }
        let domain = self.spelling(zone);
        let params = [("DomainName", domain.as_str()), ("NeedDetailAttributes", "true")];
        let limits = match self.caller.read("DescribeDomainInfo", &params, self.under(Urgency::Rest)).await {
            Ok(answer) => told(&answer),
            // Without the right to ask, the vendor's refusals tell.
            Err(error) if error.kind == Kind::Rights => unlimited(),
            Err(error) => return before.map(|(_, limits)| limits).ok_or(error),
        };
        known().insert(zone.clone(), (Instant::now(), limits.clone()));
        Ok(limits)
    }

    fn writing(&self, zone: &DnsName) -> Arc<tokio::sync::Mutex<()>> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(writing.entry(zone.clone()).or_default())
    }
}

/// The limits that the vendor tells of a zone; where it tells none there are none.
fn told(answer: &Value) -> Limits {
    let lines = list(answer, "RecordLines", "RecordLine");
    let lines = lines.iter().filter_map(|entry| rows::line(&text(entry, "LineCode")?)).collect();
    let every = unlimited();
    Limits {
        ttl_floor: number(answer, "MinTtl").unwrap_or(every.ttl_floor),
        lines: if lines == Default::default() { every.lines } else { lines },
        ..every
    }
}

/// What is taken for granted: all editions weigh ("Weight configuration" in Alidns' documents).
fn unlimited() -> Limits {
    Limits { weights: true, ..Limits::default() }
}

#[async_trait]
impl DnsProvider for AliProvider {
    fn ways(&self) -> Ways {
        Ways { shared: true, marks_after: true, batch: BATCH }
    }

    async fn zone_of(&self, name: &DnsName) -> Result<Option<DnsName>, ProviderError> {
        let known = || {
            let zones = self.zones.load();
            let found = longest(zones.names.keys(), name);
            let good_for = if found.is_some() { ZONES_FOR } else { ZONES_AGAIN };
            zones.read.is_some_and(|read| read.elapsed() < good_for).then_some(found)
        };
        if let Some(found) = known() {
            return Ok(found);
        }
        let _reading = self.reading.lock().await;
        if let Some(found) = known() {
            return Ok(found);
        }
        let zones = self.read_zones().await?;
        let found = longest(zones.names.keys(), name);
        self.zones.store(Arc::new(zones));
        Ok(found)
    }

    async fn list(&self, zone: &DnsName) -> Result<Listing, ProviderError> {
        let records = self.records(zone).await?;
        let limits = self.limits(zone).await?;
        Ok(Listing { found: rows::found(&records, zone, &self.owner), limits })
    }

    async fn apply(&self, zone: &DnsName, changes: &[Change]) -> Vec<Result<Option<Found>, ProviderError>> {
        let writing = self.writing(zone);
        let _one = writing.lock().await;
        let mut done = Vec::with_capacity(changes.len());
        let mut ended: Option<ProviderError> = None;
        for change in changes {
            let result = match &ended {
                Some(error) => Err(error.again()),
                None => self.change(zone, change).await,
            };
            ended = ended
                .or_else(|| result.as_ref().err().filter(|e| e.kind.ends_the_batch()).map(|e| e.again()));
            done.push(result);
        }
        done
    }
}
