//! The zones of our own DNS server: nobody else writes there, and a new process is told what stood.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use cocoasyncer::domain::dns_plan::{Found, FoundZone, Limits};
use cocoasyncer::domain::names::DnsName;
use cocoasyncer::domain::records::RecordKey;
use cocoasyncer::domain::zone::Zones;
use cocoasyncer::providers::DnsProvider;
use cocoasyncer::providers::local::LocalProvider;

use crate::contract::bench::{Bench, Nature, Stranger, Truth, row};

/// The zones of the process that runs.
#[derive(Default)]
struct Local(Mutex<Arc<ArcSwap<Zones>>>);

pub async fn open() -> Option<Box<dyn Bench>> {
    Some(Box::new(Local::default()))
}

#[async_trait]
impl Bench for Local {
    fn nature(&self) -> Nature {
        Nature {
            limits: Limits::default(),
            limits_below: Limits::default(),
            holds: |_| false,
            by_hand: false,
            marks_each: false,
            makes: usize::MAX,
            hosted: false,
        }
    }

    fn provider(&self) -> Arc<dyn DnsProvider> {
        let zones: Arc<ArcSwap<Zones>> = Arc::default();
        let provider = LocalProvider::new(zones.clone(), Arc::new(|| 1_000));
        let before = std::mem::replace(&mut *self.0.lock().unwrap(), zones).load_full();
        for zone in before.iter() {
            let last: FoundZone = zone.records().map(|(key, set)| (key, Found::ours(set.clone()))).collect();
            provider.resume(zone.name(), last);
        }
        Arc::new(provider)
    }

    async fn plant(&self, strangers: &[Stranger]) {
        assert!(strangers.is_empty());
    }

    async fn erase(&self, _key: &RecordKey) {}

    async fn alter(&self, _key: &RecordKey, _value: IpAddr) {}

    async fn truth(&self, zone: &DnsName) -> Truth {
        let zones = self.0.lock().unwrap().load_full();
        let sets = zones.get(zone).into_iter().flat_map(|zone| zone.records());
        let rows = sets.flat_map(|(key, set)| {
            set.values.iter().map(|value| row(&key, value, set.ttl)).collect::<Vec<_>>()
        });
        Truth { ours: rows.collect(), rest: Vec::new() }.sorted()
    }
}
