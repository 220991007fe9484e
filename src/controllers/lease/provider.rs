//! A DNS provider behind a fence: it lists whenever it is asked, and changes records only while the term lasts.

use std::sync::Arc;

use async_trait::async_trait;

use crate::controllers::lease::fence::Fence;
use crate::domain::dns_plan::{Change, Found, FoundZone, Listing};
use crate::domain::names::DnsName;
use crate::domain::retry::Class;
use crate::providers::{DnsProvider, Kind, ProviderError, Ways};

/// What the metrics call a write to a DNS provider.
const WHAT: &str = "record";

/// A provider behind a fence.
pub struct FencedProvider {
    inner: Arc<dyn DnsProvider>,
    fence: Fence,
}

impl FencedProvider {
    /// `inner` behind `fence`.
    pub fn new(inner: Arc<dyn DnsProvider>, fence: Fence) -> Self {
        Self { inner, fence }
    }
}

#[async_trait]
impl DnsProvider for FencedProvider {
    fn ways(&self) -> Ways {
        self.inner.ways()
    }

    fn resume(&self, zone: &DnsName, last: FoundZone) {
        self.inner.resume(zone, last);
    }

    async fn zone_of(&self, name: &DnsName) -> Result<Option<DnsName>, ProviderError> {
        self.inner.zone_of(name).await
    }

    async fn list(&self, zone: &DnsName) -> Result<Listing, ProviderError> {
        self.inner.list(zone).await
    }

    async fn apply(&self, zone: &DnsName, changes: &[Change]) -> Vec<Result<Option<Found>, ProviderError>> {
        match self.fence.guard(WHAT, self.inner.apply(zone, changes)).await {
            Ok(done) => done,
            // Of what was cut off nobody knows how far it came: whoever is active next looks first.
            Err(fenced) => {
                let refused = ProviderError::new(Kind::Unreachable, Class::Transient, fenced.to_string());
                changes.iter().map(|_| Err(refused.again())).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::vocab::{Family, Line};
    use crate::domain::names::ObjectId;
    use crate::domain::records::{Cause, RecordKey, RecordSet};
    use crate::providers::memory::MemoryProvider;
    use crate::telemetry::metrics::lease::LeaseMetrics;

    #[tokio::test]
    async fn records_are_listed_behind_any_fence_and_changed_behind_an_open_one() {
        let (inner, metrics) = (Arc::new(MemoryProvider::default()), LeaseMetrics::new("n1"));
        let zone = DnsName::parse("example.com", "").unwrap();
        let key = RecordKey { name: zone.child("www", "").unwrap(), line: Line::Default, family: Family::V4 };
        let to = Some(RecordSet::of(["192.0.2.1".parse().unwrap()].into(), 60));
        let service = ObjectId { namespace: "default".into(), name: "www".into() };
        let change = [Change { key, from: None, to, service, cause: Cause::Edit }];
        let closed = FencedProvider::new(inner.clone(), Fence::closed());
        let refused = closed.apply(&zone, &change).await;
        let error = refused[0].as_ref().unwrap_err();
        assert!(
            error.to_string().contains("not the active one") && error.class == Class::Transient,
            "{error}"
        );
        assert!(closed.list(&zone).await.unwrap().found.is_empty());
        let open = FencedProvider::new(inner, Fence::open(metrics));
        assert!(open.apply(&zone, &change).await[0].is_ok());
        assert_eq!(closed.list(&zone).await.unwrap().found.len(), 1);
    }
}
