//! Where records live. A provider lists and applies, and decides nothing: what it can do is data in [`Limits`], what
//! went wrong is a class that the loop above acts on.

pub mod local;
pub mod memory;

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::api::vocab::Line;
use crate::domain::dns_plan::{Change, FoundZone};
use crate::domain::names::DnsName;
use crate::domain::retry::Class;

/// What a provider can do, as data for the planner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Lines it can tell apart.
    pub lines: BTreeSet<Line>,
    /// Smallest TTL it takes, seconds.
    pub ttl_floor: u32,
    /// Whether all nodes write into one place, so that each writes its own lines only; else each keeps its own copy.
    pub shared: bool,
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ProviderError {
    /// What was tried and what the provider said, without a secret in it.
    pub what: String,
    /// Who can mend it.
    pub class: Class,
    /// The cause below, if any.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A place where records live.
#[async_trait]
pub trait DnsProvider: Send + Sync {
    /// What it can do.
    fn limits(&self) -> Limits;

    /// Hears, once after the start and before anything else, what stood in the zone; for a provider that keeps nothing
    /// itself. One that keeps its records ignores it: what it lists is the truth.
    fn resume(&self, _zone: &DnsName, _last: FoundZone) {}

    /// Everything of the zone that we could manage, with owners: one call for all services of the zone.
    async fn list(&self, zone: &DnsName) -> Result<FoundZone, ProviderError>;

    /// Makes the changes, in their order, and answers for each: one refused record holds up no other.
    async fn apply(&self, zone: &DnsName, changes: &[Change]) -> Vec<Result<(), ProviderError>>;
}
