//! Where records live. A provider lists and applies, and decides nothing: how it works is data in
//! [`Ways`], what went wrong is a class and a kind that the loop above acts on.

pub mod ali;
pub mod limiter;
pub mod local;
pub mod memory;
pub mod rfc2136;

use async_trait::async_trait;

use crate::domain::dns_plan::{Change, Found, FoundZone, Listing};
use crate::domain::names::DnsName;
use crate::domain::retry::Class;

/// How a provider works, as data for the worker above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// Whether all nodes write into one place, so that each writes its own lines only; else each keeps its own copy.
    pub shared: bool,
    /// Whether a record exists for a moment before it can be marked: then what is begun is noted first.
    pub marks_after: bool,
    /// Most changes handed over at once: between two slices more urgent ones can go first.
    pub batch: usize,
}

/// What went wrong, as far as it tells what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The key is unknown, wrong, inactive or expired.
    Credentials,
    /// The key may not do this.
    Rights,
    /// The account is suspended or overdue.
    Suspended,
    /// The account has no such zone.
    ZoneUnknown,
    /// The zone's edition has no such line.
    LineNotAllowed,
    /// The zone's edition takes no such TTL.
    TtlNotAllowed,
    /// Something stands there that excludes the record (a CNAME), or it changed since it was read.
    Conflict,
    /// Too many calls.
    Throttled,
    /// No connection, or no answer in time.
    Unreachable,
    /// An answer that can't be read.
    Unreadable,
    /// The record is locked.
    Locked,
    /// Anything else.
    Other,
}

impl Kind {
    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Credentials => "credentials",
            Kind::Rights => "rights",
            Kind::Suspended => "suspended",
            Kind::ZoneUnknown => "zone_unknown",
            Kind::LineNotAllowed => "line_not_allowed",
            Kind::TtlNotAllowed => "ttl_not_allowed",
            Kind::Conflict => "conflict",
            Kind::Throttled => "throttled",
            Kind::Unreachable => "unreachable",
            Kind::Unreadable => "unreadable",
            Kind::Locked => "locked",
            Kind::Other => "other",
        }
    }

    /// Whether it concerns the whole account, so that another call now would only hear the same. What is throttled has
    /// been waited for already.
    pub fn ends_the_batch(self) -> bool {
        matches!(
            self,
            Kind::Credentials
                | Kind::Rights
                | Kind::Suspended
                | Kind::ZoneUnknown
                | Kind::Throttled
                | Kind::Unreachable
        )
    }
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ProviderError {
    /// What was tried, what the provider said with its own code and request id, and what to do; without a secret in it.
    pub what: String,
    /// Who can mend it.
    pub class: Class,
    /// What went wrong.
    pub kind: Kind,
    /// The provider's own code.
    pub code: Option<String>,
    /// The provider's id of the call.
    pub request_id: Option<String>,
    /// The cause below, if any.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ProviderError {
    /// A failure in our own words.
    pub fn new(kind: Kind, class: Class, what: impl Into<String>) -> Self {
        Self { what: what.into(), class, kind, code: None, request_id: None, source: None }
    }

    /// The same failure, for another change that would have met it.
    pub fn again(&self) -> Self {
        Self {
            what: self.what.clone(),
            code: self.code.clone(),
            request_id: self.request_id.clone(),
            source: None,
            ..*self
        }
    }
}

/// A place where records live.
#[async_trait]
pub trait DnsProvider: Send + Sync {
    /// How it works.
    fn ways(&self) -> Ways;

    /// Hears, once after the start and before anything else, what stood in the zone; for a provider that keeps nothing
    /// itself. One that keeps its records ignores it: what it lists is the truth.
    fn resume(&self, _zone: &DnsName, _last: FoundZone) {}

    /// The longest zone here that holds `name`.
    async fn zone_of(&self, name: &DnsName) -> Result<Option<DnsName>, ProviderError>;

    /// Everything of the zone that we could manage, with owners: one listing for all services of the zone.
    async fn list(&self, zone: &DnsName) -> Result<Listing, ProviderError>;

    /// Makes the changes, in their order, and tells of each what stands there afterwards: one refused record holds up no
    /// other. What concerns the whole account ends the batch: the rest hears the same without a call.
    async fn apply(&self, zone: &DnsName, changes: &[Change]) -> Vec<Result<Option<Found>, ProviderError>>;
}

/// The refusal of a change that doesn't belong into `zone`: it must not become the whole batch's.
pub fn outside(zone: &DnsName, name: &DnsName) -> ProviderError {
    ProviderError::new(Kind::Other, Class::User, format!("{name} lies outside {zone}"))
}

/// The longest of `zones` that holds `name`.
pub fn longest<'a>(zones: impl IntoIterator<Item = &'a DnsName>, name: &DnsName) -> Option<DnsName> {
    let holding = zones.into_iter().filter(|zone| name.is_within(zone));
    holding.max_by_key(|zone| zone.as_str().len()).cloned()
}
