//! A zone through the life of a case: what is wished for is planned and applied as the operator does it, and after every
//! step the listing, the next plan and the truth must say just that.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::domain::addresses::family;
use cocoasyncer::domain::dns_plan::{Change, DnsPlan, Found, FoundZone, Held, Limits, plan};
use cocoasyncer::domain::lines::Why;
use cocoasyncer::domain::names::{DnsName, ObjectId};
use cocoasyncer::domain::records::{Cause, RecordKey, RecordSet, Values, Wanted, Wish};
use cocoasyncer::providers::{DnsProvider, ProviderError};

use super::bench::{Bench, Stranger, in_zone, name, row};
use crate::support::servers::ZONE;

/// Record sets of one zone.
pub type Sets = BTreeMap<RecordKey, RecordSet>;

/// See the head of the file.
pub struct Story {
    pub bench: Box<dyn Bench>,
    pub provider: Arc<dyn DnsProvider>,
    pub zone: DnsName,
    /// Names that were ever wished for: records of ours under them that nobody wishes for go.
    names: BTreeSet<DnsName>,
    /// Creations that were noted before they began.
    pub begun: BTreeMap<RecordKey, Values>,
    strangers: Vec<Stranger>,
    /// What stands there and is none of ours.
    pub rest: Vec<String>,
}

impl Story {
    /// In [`ZONE`].
    pub async fn of(bench: Box<dyn Bench>) -> Self {
        Self::at(bench, name(ZONE)).await
    }

    pub async fn at(bench: Box<dyn Bench>, zone: DnsName) -> Self {
        let (provider, truth) = (bench.provider(), bench.truth(&zone).await);
        assert_eq!(truth.ours, [""; 0], "nothing of ours in the beginning");
        let (names, begun, strangers) = Default::default();
        Self { bench, provider, zone, names, begun, strangers, rest: truth.rest }
    }

    /// The lines of the place in [`ZONE`].
    pub fn lines(&self) -> BTreeSet<Line> {
        self.bench.nature().limits.lines
    }

    /// Others put records there, as many as the place can hold.
    pub async fn plant(&mut self, mut strangers: Vec<Stranger>) {
        let nature = self.bench.nature();
        strangers.retain(|stranger| nature.limits.lines.contains(&stranger.line) && (nature.holds)(stranger));
        self.bench.plant(&strangers).await;
        let truth = self.bench.truth(&self.zone).await;
        let more = self.rest.len() + strangers.len();
        assert!(more <= truth.rest.len(), "all were planted: {:#?}", truth.rest);
        self.rest = truth.rest;
        self.strangers.extend(strangers);
    }

    /// The strangers are gone, and this is what is left of others'.
    pub fn forget_strangers(&mut self, rest: Vec<String>) {
        self.strangers.clear();
        self.rest = rest;
    }

    /// The process ends, another goes on.
    pub fn restart(&mut self) {
        self.provider = self.bench.provider();
    }

    /// Sets that records of others keep from being made.
    fn taken(&self) -> BTreeSet<RecordKey> {
        self.strangers.iter().filter_map(Stranger::key).collect()
    }

    /// The plan for what is wished for; a mass change is released.
    pub fn plan(&mut self, sets: &Sets, found: &FoundZone, limits: &Limits) -> DnsPlan {
        self.names.extend(sets.keys().map(|key| key.name.clone()));
        let service = service();
        let wanted = |(key, set): (&RecordKey, &RecordSet)| {
            let put = [None, self.begun.get(key).cloned()];
            let (set, service) = (set.clone(), Arc::new(service.clone()));
            (key.clone(), Wanted { set, node: "n1".into(), why: Why::Own, service, cause: Cause::Edit, put })
        };
        let names = self.names.iter().map(|name| (name.clone(), service.clone())).collect();
        let mut wish = Wish { wanted: sets.iter().map(wanted).collect(), names, ..Wish::default() };
        wish.fit(limits);
        wish.released.extend(plan(&wish, found).digest);
        plan(&wish, found)
    }

    /// Lists, plans and applies until all is said; every outcome counts.
    pub async fn live(&mut self, sets: &Sets) -> Vec<(RecordKey, Result<Option<Found>, ProviderError>)> {
        let listing = self.provider.list(&self.zone).await.unwrap();
        let plan = self.plan(sets, &listing.found, &listing.limits);
        let taken = self.taken();
        for held in &plan.held {
            let fits = matches!(held, Held::Foreign { key, .. } if taken.contains(key));
            assert!(fits || self.claims(held.name()), "held: {held}");
        }
        self.apply(plan.changes).await
    }

    fn claims(&self, name: &DnsName) -> bool {
        self.strangers.iter().any(|stranger| stranger.claim().is_some() && stranger.name == *name)
    }

    /// Applies in slices.
    pub async fn apply(
        &self,
        changes: Vec<Change>,
    ) -> Vec<(RecordKey, Result<Option<Found>, ProviderError>)> {
        let mut outcomes = Vec::new();
        for slice in changes.chunks(self.provider.ways().batch.min(changes.len().max(1))) {
            let made = self.provider.apply(&self.zone, slice).await;
            assert_eq!(made.len(), slice.len(), "an outcome for each");
            outcomes.extend(slice.iter().map(|change| change.key.clone()).zip(made));
        }
        outcomes
    }

    /// What is wished for comes true, all of it and nothing else.
    pub async fn becomes(&mut self, sets: &Sets) {
        let outcomes = self.live(sets).await;
        let listed = self.stands(sets).await;
        for (key, outcome) in outcomes {
            let told = outcome.unwrap_or_else(|error| panic!("{key}: {error:?}"));
            // Of others' records it need not know more than that they aren't ours.
            let ours = |found: Option<&Found>| found.filter(|found| found.is_ours()).cloned();
            let (told, listed) = (ours(told.as_ref()), ours(listed.get(&key)));
            assert_eq!(told, listed, "it tells what is listed then: {key}");
        }
    }

    /// Just these sets are ours, by the listing, by the next plan and in truth; all else is as it was.
    pub async fn stands(&mut self, sets: &Sets) -> FoundZone {
        let taken = self.taken();
        let right: Sets = sets
            .iter()
            .filter(|(key, _)| !taken.contains(*key))
            .map(|(key, set)| (key.clone(), set.clone()))
            .collect();
        let listing = self.provider.list(&self.zone).await.unwrap();
        let again = self.plan(sets, &listing.found, &listing.limits);
        assert!(again.changes.is_empty(), "nothing is left to do: {:#?}", again.changes);
        let ours = listing.found.iter().filter(|(_, found)| found.is_ours());
        let listed: Sets = ours.map(|(key, found)| (key.clone(), found.set.clone())).collect();
        assert!(listed == right, "listed: {listed:#?}, right: {right:#?}");
        let truth = self.bench.truth(&self.zone).await;
        assert_eq!(truth.rest, self.rest, "what others put there is as it was");
        let rows =
            right.iter().flat_map(|(key, set)| set.values.iter().map(|value| row(key, value, set.ttl)));
        let mut rows: Vec<String> = rows.collect();
        rows.sort();
        assert!(truth.ours == rows, "in truth: {:#?}, right: {rows:#?}", truth.ours);
        listing.found
    }
}

fn service() -> ObjectId {
    ObjectId { namespace: "default".into(), name: "test".into() }
}

/// The key of `record` or `record/line` in [`ZONE`].
pub fn key(at: &str, family: Family) -> RecordKey {
    let (record, line) = at.split_once('/').unwrap_or((at, "default"));
    let line = Line::ALL.into_iter().find(|known| known.as_str() == line).unwrap();
    RecordKey { name: in_zone(record), line, family }
}

pub fn set(values: &str, ttl: u32) -> RecordSet {
    let values = values.split(',').map(|value| value.parse::<IpAddr>().unwrap());
    RecordSet { values: values.collect(), ttl }
}

/// Sets of `record[/line] value[,value] [ttl]`; 600 s where nothing else is said.
pub fn sets<const N: usize>(texts: [&str; N]) -> Sets {
    let one = |text: &str| {
        let mut words = text.split_whitespace();
        let (at, values) = (words.next().unwrap(), words.next().unwrap());
        let set = set(values, words.next().map_or(600, |ttl| ttl.parse().unwrap()));
        (key(at, family(*set.values.first().unwrap())), set)
    };
    texts.into_iter().map(one).collect()
}

pub fn change(key: RecordKey, from: Option<Found>, to: Option<RecordSet>) -> Change {
    Change { key, from, to, service: service(), cause: Cause::Edit }
}
