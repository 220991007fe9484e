//! The provider for name servers that take dynamic updates (RFC 2136): BIND, Knot, PowerDNS and others. A line is a view
//! of BIND, chosen by the key that signs; a server without views has one key and the line `default` only. Zones are listed
//! by transfer (RFC 5936), all over TCP and signed (RFC 8945); a record's mark is a TXT at its name.
//!
//! Changes compare before they write, so that nobody's change in between is overwritten.

pub mod account;
pub mod session;
mod apply;
mod errors;
mod listing;
mod message;
mod step;
mod tsig;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};

use crate::api::vocab::Line;
use crate::domain::dns_plan::{Change, Found, FoundZone, Limits, Listing};
use crate::domain::marks::OwnerId;
use crate::domain::names::DnsName;
use crate::domain::retry::Class;
use crate::providers::local::Clock;
use crate::providers::rfc2136::account::Account;
use crate::providers::rfc2136::apply::{Outcome, Run};
use crate::providers::rfc2136::errors::{Doing, Place};
use crate::providers::rfc2136::listing::Aside;
use crate::providers::rfc2136::message::{Rcode, SOA, question};
use crate::providers::rfc2136::session::{Meaning, Patience, Session, SessionError, View};
use crate::providers::rfc2136::step::Step;
use crate::providers::rfc2136::tsig::Key;
use crate::providers::{DnsProvider, Kind, ProviderError, Ways, outside};
use crate::telemetry::metrics::provider::ProviderMetrics;

/// Most changes handed over at once: one or two updates a line.
const BATCH: usize = 500;
/// DNS knows no smallest TTL, but our own server and the services' field begin at this.
const TTL_FLOOR: u32 = 1;

/// An account on name servers.
pub struct Rfc2136Provider {
    account: Account,
    me: OwnerId,
    clock: Clock,
    metrics: ProviderMetrics,
    patience: Patience,
    /// What stood beside the records when a zone was last listed.
    aside: Mutex<BTreeMap<DnsName, Arc<BTreeMap<Line, Aside>>>>,
}

impl Rfc2136Provider {
    /// A provider that marks as `me`; `clock` gives seconds since 1970, for signatures.
    pub fn new(account: Account, me: OwnerId, clock: Clock, metrics: ProviderMetrics) -> Self {
        Self { account, me, clock, metrics, patience: Patience::default(), aside: Mutex::default() }
    }

    /// The provider with other deadlines and bounds.
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    fn view<'a>(&'a self, key: &'a Key) -> View<'a> {
        let Self { account, clock, metrics, patience, .. } = self;
        View { servers: &account.servers, key, patience: *patience, clock, metrics, passed_over: 0.into() }
    }

    /// The zone that the server names as `name`'s: by the SOA that answers, or that says that there is nothing.
    async fn ask_zone(&self, view: &View<'_>, name: &DnsName) -> Result<Option<DnsName>, SessionError> {
        let mut session = Session::open(view).await?;
        let ancestors = name.as_str().match_indices('.').filter_map(|(dot, _)| name.as_str().get(dot + 1..));
        for asked in [name.as_str()].into_iter().chain(ancestors) {
            let message = question(session.id(), asked, SOA);
            let answer = match session.ask("soa", message).await {
                Ok(answer) => answer,
                // That is how servers say that a name is none of theirs.
                Err(SessionError::Refused { rcode: Rcode::REFUSED, .. }) => continue,
                Err(SessionError::Refused { means: Meaning::Zone, .. }) => continue,
                Err(error) => return Err(error),
            };
            if let Some(zone) = answer.zone().filter(|zone| name.is_within(zone)) {
                return Ok(Some(zone));
            }
        }
        Ok(None)
    }

    async fn list_line(
        &self,
        zone: &DnsName,
        line: Line,
        key: &Key,
    ) -> Result<(Line, FoundZone, Aside), ProviderError> {
        let view = self.view(key);
        let transfer = async || Session::open(&view).await?.transfer(zone).await;
        let (mut asked, mut records) = (1, transfer().await);
        while view.has_another(asked, &records) {
            (asked, records) = (asked + 1, transfer().await);
        }
        let place = Place { doing: Doing::Listing, name: zone, line, key };
        let records = match records {
            Ok(records) => records,
            Err(error) => return Err(place.error(&view.explain(zone, error).await)),
        };
        let (found, aside) = listing::read(&records, line, &self.me);
        Ok((line, found, aside))
    }

    async fn apply_line(&self, zone: &DnsName, line: Line, changes: &[Change]) -> Vec<(usize, Outcome)> {
        let ours = changes.iter().enumerate().filter(|(_, change)| change.key.line == line);
        let Some(key) = self.account.keys.get(&line) else {
            let refused = |(index, _)| (index, Err(no_key(line)));
            return ours.map(refused).collect();
        };
        let aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner).get(zone).cloned();
        let nothing = Aside::default();
        let aside = aside.as_deref().and_then(|all| all.get(&line)).unwrap_or(&nothing);
        // The server would refuse the whole update.
        let (ours, strays): (Vec<_>, Vec<_>) = ours.partition(|(_, change)| change.key.name.is_within(zone));
        let ours = ours.into_iter();
        let steps: Vec<Step> =
            ours.map(|(index, change)| Step::new(zone, index, change, &self.me, aside)).collect();
        let strays = strays.into_iter().map(|(index, change)| (index, Err(outside(zone, &change.key.name))));
        let place = Place { doing: Doing::Changing, name: zone, line, key };
        let view = self.view(key);
        let made = Run::new(place, &view, changes).make(&steps).await;
        made.into_iter().chain(strays).collect()
    }
}

fn no_key(line: Line) -> ProviderError {
    let what =
        format!("the account has no key for the line {line}: add accessKey.{line} and accessSecret.{line}");
    ProviderError::new(Kind::LineNotAllowed, Class::User, what)
}

#[async_trait]
impl DnsProvider for Rfc2136Provider {
    fn ways(&self) -> Ways {
        Ways { shared: true, marks_after: false, batch: BATCH }
    }

    async fn zone_of(&self, name: &DnsName) -> Result<Option<DnsName>, ProviderError> {
        let place = Place { doing: Doing::Finding, name, line: Line::Default, key: &self.account.default };
        let view = self.view(&self.account.default);
        let (mut asked, mut zone) = (1, self.ask_zone(&view, name).await);
        while view.has_another(asked, &zone) {
            (asked, zone) = (asked + 1, self.ask_zone(&view, name).await);
        }
        zone.map_err(|error| place.error(&error))
    }

    async fn list(&self, zone: &DnsName) -> Result<Listing, ProviderError> {
        let lines = self.account.keys.iter().map(|(line, key)| self.list_line(zone, *line, key));
        let mut listing = Listing {
            found: FoundZone::new(),
            limits: Limits { lines: self.account.keys.keys().copied().collect(), ttl_floor: TTL_FLOOR },
        };
        let mut asides = BTreeMap::new();
        for (line, found, aside) in try_join_all(lines).await? {
            listing.found.extend(found);
            asides.insert(line, aside);
        }
        self.aside.lock().unwrap_or_else(PoisonError::into_inner).insert(zone.clone(), Arc::new(asides));
        Ok(listing)
    }

    /// Lines are views, each with its own zone and key: they are changed at the same time, and what ends one ends no other.
    async fn apply(&self, zone: &DnsName, changes: &[Change]) -> Vec<Result<Option<Found>, ProviderError>> {
        let lines = Line::ALL.map(|line| self.apply_line(zone, line, changes));
        let mut outcomes: Vec<(usize, Outcome)> = join_all(lines).await.into_iter().flatten().collect();
        outcomes.sort_by_key(|(index, _)| *index);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}
