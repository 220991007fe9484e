//! A provider in memory, for tests and dry runs; it can be told to fail and counts its calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::domain::dns_plan::{Change, Found, FoundZone, Limits, Listing};
use crate::domain::names::DnsName;
use crate::domain::retry::Class;
use crate::providers::{DnsProvider, Kind, ProviderError, Ways, longest, outside};

/// Zones in memory.
#[derive(Default)]
pub struct MemoryProvider {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    zones: BTreeMap<DnsName, FoundZone>,
    lists: usize,
    writes: usize,
    failing: BTreeSet<DnsName>,
}

impl MemoryProvider {
    /// Puts a record there as if somebody else had.
    pub fn plant(&self, zone: &DnsName, key: crate::domain::records::RecordKey, found: Found) {
        self.with(|state| state.zones.entry(zone.clone()).or_default().insert(key, found));
    }

    /// Makes every write of records under `name` fail, until [`MemoryProvider::mend`].
    pub fn fail(&self, name: &DnsName) {
        self.with(|state| state.failing.insert(name.clone()));
    }

    /// Ends all failures.
    pub fn mend(&self) {
        self.with(|state| state.failing.clear());
    }

    /// List calls and record writes so far.
    pub fn calls(&self) -> (usize, usize) {
        self.with(|state| (state.lists, state.writes))
    }

    /// What a zone holds.
    pub fn zone(&self, zone: &DnsName) -> FoundZone {
        self.with(|state| state.zones.get(zone).cloned().unwrap_or_default())
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl DnsProvider for MemoryProvider {
    fn ways(&self) -> Ways {
        Ways { shared: false, marks_after: false, batch: usize::MAX }
    }

    async fn zone_of(&self, name: &DnsName) -> Result<Option<DnsName>, ProviderError> {
        Ok(self.with(|state| longest(state.zones.keys(), name)))
    }

    async fn list(&self, zone: &DnsName) -> Result<Listing, ProviderError> {
        Ok(self.with(|state| {
            state.lists += 1;
            let found = state.zones.get(zone).cloned().unwrap_or_default();
            Listing { found, limits: Limits::default() }
        }))
    }

    async fn apply(&self, zone: &DnsName, changes: &[Change]) -> Vec<Result<Option<Found>, ProviderError>> {
        self.with(|state| changes.iter().map(|change| state.write(zone, change)).collect())
    }
}

impl State {
    fn write(&mut self, zone: &DnsName, change: &Change) -> Result<Option<Found>, ProviderError> {
        if self.failing.contains(&change.key.name) {
            let what = format!("told to fail for {}", change.key.name);
            return Err(ProviderError::new(Kind::Other, Class::Transient, what));
        }
        if !change.key.name.is_within(zone) {
            return Err(outside(zone, &change.key.name));
        }
        self.writes += 1;
        let records = self.zones.entry(zone.clone()).or_default();
        let there = records.get(&change.key);
        if there.is_some_and(|there| !there.is_ours()) && there != change.from.as_ref() {
            let what = format!("somebody changed {} since it was read", change.key.name);
            return Err(ProviderError::new(Kind::Conflict, Class::Transient, what));
        }
        let found = change.to.clone().map(Found::ours);
        match &found {
            Some(found) => drop(records.insert(change.key.clone(), found.clone())),
            None => drop(records.remove(&change.key)),
        }
        Ok(found)
    }
}
