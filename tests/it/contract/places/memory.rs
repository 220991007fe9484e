//! The provider in memory, which tests of the operator stand on: it must keep the others' promises.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use cocoasyncer::domain::dns_plan::{Found, Limits, Owner};
use cocoasyncer::domain::names::DnsName;
use cocoasyncer::domain::records::{RecordKey, RecordSet};
use cocoasyncer::providers::DnsProvider;
use cocoasyncer::providers::memory::MemoryProvider;

use crate::contract::bench::{Bench, Nature, Stranger, THEIR_TTL, Truth, name, row};
use crate::contract::story::change;
use crate::support::servers::ZONE;

struct Memory(Arc<MemoryProvider>);

pub async fn open() -> Option<Box<dyn Bench>> {
    Some(Box::new(Memory(Arc::default())))
}

#[async_trait]
impl Bench for Memory {
    fn nature(&self) -> Nature {
        Nature {
            limits: Limits::default(),
            limits_below: Limits::default(),
            holds: |stranger| stranger.key().is_some(),
            by_hand: true,
            marks_each: false,
            makes: usize::MAX,
            hosted: false,
        }
    }

    fn provider(&self) -> Arc<dyn DnsProvider> {
        self.0.clone()
    }

    async fn plant(&self, strangers: &[Stranger]) {
        for stranger in strangers {
            let set =
                RecordSet { values: [stranger.value.parse::<IpAddr>().unwrap()].into(), ttl: THEIR_TTL };
            self.0.plant(&name(ZONE), stranger.key().unwrap(), Found::of(set, stranger.owner()));
        }
    }

    async fn erase(&self, key: &RecordKey) {
        let there = self.0.zone(&name(ZONE)).remove(key);
        self.0.apply(&name(ZONE), &[change(key.clone(), there, None)]).await;
    }

    async fn alter(&self, key: &RecordKey, value: IpAddr) {
        let found = self.0.zone(&name(ZONE)).remove(key).unwrap();
        let set = RecordSet { values: [value].into(), ..found.set.clone() };
        self.0.plant(&name(ZONE), key.clone(), Found { set, ..found });
    }

    async fn truth(&self, zone: &DnsName) -> Truth {
        let mut truth = Truth::default();
        for (key, found) in self.0.zone(zone) {
            let rows = found.set.values.iter().map(|value| row(&key, value, found.set.ttl));
            match found.owner {
                Owner::Ours => truth.ours.extend(rows),
                whose => truth.rest.extend(rows.map(|row| format!("{row} {whose:?}"))),
            }
        }
        truth.sorted()
    }
}
