//! A provider in memory, for tests and dry runs; it can be told to fail and counts its calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::api::vocab::Line;
use crate::domain::dns_plan::{Change, Found, FoundZone, Owner};
use crate::domain::names::DnsName;
use crate::domain::retry::Class;
use crate::providers::{DnsProvider, Limits, ProviderError};

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
    fn limits(&self) -> Limits {
        Limits { lines: Line::ALL.into(), ttl_floor: 1, shared: false }
    }

    async fn list(&self, zone: &DnsName) -> Result<FoundZone, ProviderError> {
        Ok(self.with(|state| {
            state.lists += 1;
            state.zones.get(zone).cloned().unwrap_or_default()
        }))
    }

    async fn apply(&self, zone: &DnsName, changes: &[Change]) -> Vec<Result<(), ProviderError>> {
        self.with(|state| changes.iter().map(|change| state.write(zone, change)).collect())
    }
}

impl State {
    fn write(&mut self, zone: &DnsName, change: &Change) -> Result<(), ProviderError> {
        if self.failing.contains(&change.key.name) {
            let what = format!("told to fail for {}", change.key.name);
            return Err(ProviderError { what, class: Class::Transient, source: None });
        }
        self.writes += 1;
        let records = self.zones.entry(zone.clone()).or_default();
        match &change.to {
            Some(set) => {
                let id = change.from.as_ref().and_then(|from| from.id.clone());
                records.insert(change.key.clone(), Found { set: set.clone(), owner: Owner::Ours, id });
            }
            None => {
                records.remove(&change.key);
            }
        }
        Ok(())
    }
}
