//! The accounts of DNS platforms: one Secret each, found by a service's reference or by its label, opened anew when it
//! changes. And which of their zones holds which name. What follows from that for a service is [`Directory::place`].

mod asking;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::PROVIDER_LABEL;
use crate::api::condition::reasons;
use crate::api::vocab::PlatformProvider;
use crate::controllers::shared::context::Context;
use crate::controllers::snapshot::Snapshot;
use crate::domain::marks::OwnerId;
use crate::domain::names::{DnsName, FieldError, ObjectId};
use crate::domain::records::{Service, ZoneId};
use crate::domain::retry::Class;
use crate::domain::secret::Secret;
use crate::providers::{DnsProvider, Kind};
use crate::telemetry::round::Round;

/// Opens an account: makes a provider of what its Secret holds. The refusal names the Secret's key.
pub type Open = Arc<
    dyn Fn(PlatformProvider, &BTreeMap<String, Secret>, &OwnerId) -> Result<Arc<dyn DnsProvider>, FieldError>
        + Send
        + Sync,
>;

/// Secrets that services name without their label are read again after this long where something is wrong with them, else
/// after [`crate::domain::budget::POLL`]: those with the label are watched.
const REFRESH: Duration = Duration::from_secs(30);
/// A zone that was found is asked for again after this long: it may have gone, or a deeper one may have come.
const FOUND: Duration = Duration::from_secs(600);
/// One that was not, or an account that failed.
const NOT_FOUND: Duration = Duration::from_secs(60);
/// Longest that an account may take to tell whether it has a zone.
const ASK_DEADLINE: Duration = Duration::from_secs(30);
/// Accounts asked at once.
const AT_ONCE: usize = 16;
/// What wakes us comes in crowds, and every time the Secrets that services name are read.
const GATHER: Duration = Duration::from_millis(200);

/// What a service needs to know: which zone holds the name, in which of the accounts that it may use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    platform: PlatformProvider,
    /// The Secret that the service names.
    reference: Option<ObjectId>,
    namespace: String,
    /// The name above the service's, or its domain: what holds it holds the service's.
    name: DnsName,
}

impl Ask {
    /// What `service` needs to know; nothing where its records live inside.
    pub fn of(service: &Service) -> Option<Self> {
        let ZoneId { provider, account, zone } = &service.zone;
        if *provider == PlatformProvider::Local {
            return None;
        }
        let above = service.name.as_str().split_once('.').and_then(|(_, rest)| DnsName::parse(rest, "").ok());
        let above = above.filter(|above| above.is_within(zone));
        Some(Self {
            platform: *provider,
            reference: account.clone(),
            namespace: service.id.namespace.clone(),
            name: above.unwrap_or_else(|| zone.clone()),
        })
    }
}

/// The platform and the Secret.
type AccountId = (PlatformProvider, ObjectId);

/// An account that was opened, or can't be.
#[derive(Clone)]
struct Account {
    /// Of the Secret that it was opened from.
    version: String,
    provider: Result<Arc<dyn DnsProvider>, FieldError>,
    labelled: bool,
    /// Until when it need not be read again; only of one without the label.
    until: Option<Instant>,
}

/// Whether an account has a zone for a name.
#[derive(Debug, Clone)]
enum Answer {
    Held(DnsName),
    Nowhere,
    Failed {
        what: String,
        kind: Kind,
        /// Whether it had no such zone when it last answered.
        had_none: bool,
    },
}

/// All accounts, and what they were asked.
#[derive(Clone, Default)]
pub struct Directory {
    /// The operator's own namespace, whose accounts everybody may use.
    system: Arc<str>,
    accounts: BTreeMap<AccountId, Account>,
    answers: BTreeMap<(AccountId, DnsName), (Answer, Instant)>,
    /// Secrets that were looked for in vain.
    missing: BTreeSet<ObjectId>,
    /// Whether the accounts have been read, and it is known in whose name records are marked.
    ready: bool,
    /// Whether it was found that nobody has told yet in whose name records are marked.
    nameless: bool,
}

/// Where a service's records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Into this zone.
    At(ZoneId),
    /// That is not known yet.
    NotYet,
    /// Nowhere, because.
    Nowhere(Unplaced),
}

/// Why a service's records have no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplaced {
    /// The condition's reason.
    pub reason: &'static str,
    /// What to do about it.
    pub message: String,
}

impl Directory {
    /// Where the records of `service` go: of the zones that hold its name the longest, in any account it may use.
    pub fn place(&self, service: &Service) -> Place {
        let Some(ask) = Ask::of(service) else {
            return Place::At(service.zone.clone());
        };
        if self.nameless && !self.ready {
            let message = "it is not known in whose name this node marks records: its leader tells it with a push; where the leader is an older program, set --owner-id";
            return Place::Nowhere(Unplaced { reason: reasons::OWNER_UNKNOWN, message: message.to_owned() });
        }
        if !self.ready {
            return Place::NotYet;
        }
        let candidates = self.candidates(&ask);
        if candidates.is_empty() {
            return Place::Nowhere(self.no_account(&ask));
        }
        let mut best: Option<(usize, Result<ZoneId, Unplaced>)> = None;
        for id in &candidates {
            let answer = self.answers.get(&(id.clone(), ask.name.clone())).map(|(answer, _)| answer);
            let of = |reason, what: &dyn fmt::Display| {
                Err(Unplaced { reason, message: format!("Secret {}: {what}", id.1) })
            };
            // An account that can't tell now may hold the name better than all others: whoever put the records
            // elsewhere meanwhile would leave them there.
            let (length, place) = match (&self.accounts.get(id).map(|account| &account.provider), answer) {
                (_, Some(Answer::Nowhere)) => continue,
                (Some(Err(error)), Some(Answer::Held(zone))) => {
                    (zone.as_str().len(), of(reasons::ACCOUNT_INVALID, error))
                }
                (Some(Err(error)), _) => (ask.name.as_str().len(), of(reasons::ACCOUNT_INVALID, error)),
                (_, None) => return Place::NotYet,
                (_, Some(Answer::Failed { what, kind, had_none })) => {
                    let length = if *had_none { 0 } else { ask.name.as_str().len() };
                    (length, of(reason(*kind), what))
                }
                (_, Some(Answer::Held(zone))) => {
                    let account = Some(id.1.clone());
                    let at = ZoneId { provider: id.0, account, zone: zone.clone() };
                    (zone.as_str().len(), Ok(at))
                }
            };
            if best.as_ref().is_none_or(|(longest, _)| *longest < length) {
                best = Some((length, place));
            }
        }
        match best {
            Some((_, Ok(zone))) => Place::At(zone),
            Some((_, Err(unplaced))) => Place::Nowhere(unplaced),
            None => Place::Nowhere(no_zone(service, &candidates)),
        }
    }

    /// Whether every account could be opened, and answered.
    fn result(&self) -> Result<(), Class> {
        let opened = self.accounts.values().all(|account| account.provider.is_ok());
        let answered = !self.answers.values().any(|(answer, _)| matches!(answer, Answer::Failed { .. }));
        match (opened, answered) {
            (false, _) => Err(Class::User),
            (true, false) => Err(Class::Transient),
            (true, true) => Ok(()),
        }
    }

    /// The provider of a zone's account.
    pub fn provider(&self, id: &ZoneId) -> Option<Arc<dyn DnsProvider>> {
        let account = self.accounts.get(&(id.provider, id.account.clone()?))?;
        account.provider.as_ref().ok().cloned()
    }

    /// The accounts that may be meant: the one that is named, else those labelled in the service's namespace and in the
    /// operator's. Another namespace's account is nobody else's.
    fn candidates(&self, ask: &Ask) -> Vec<AccountId> {
        if let Some(named) = &ask.reference {
            let id = (ask.platform, named.clone());
            return self.accounts.contains_key(&id).then_some(id).into_iter().collect();
        }
        let mine = |(platform, secret): &AccountId| {
            *platform == ask.platform
                && (secret.namespace == ask.namespace || secret.namespace == *self.system)
        };
        let labelled = self.accounts.iter().filter(|(id, account)| account.labelled && mine(id));
        let mut all: Vec<AccountId> = labelled.map(|(id, _)| id.clone()).collect();
        all.sort_by_key(|(_, secret)| secret.namespace != ask.namespace);
        all
    }

    fn no_account(&self, ask: &Ask) -> Unplaced {
        let Ask { platform, reference, namespace, .. } = ask;
        let system = &self.system;
        let message = match reference {
            Some(named) => {
                format!("spec.accountRef: there is no Secret {named} with an account of {platform}")
            }
            None => format!(
                "spec.platformProvider: no Secret labelled {PROVIDER_LABEL}={platform} in the namespace {namespace} or {system}: make one (cocoasyncer provider set {platform}), or name one in spec.accountRef"
            ),
        };
        Unplaced { reason: reasons::ACCOUNT_UNKNOWN, message }
    }
}

fn no_zone(service: &Service, candidates: &[AccountId]) -> Unplaced {
    let secrets: Vec<String> = candidates.iter().map(|(_, secret)| secret.to_string()).collect();
    let ZoneId { provider, zone, .. } = &service.zone;
    let message = format!(
        "spec.domain: {provider} has no zone that holds {zone} in the account of Secret {}: add the zone there, or correct the domain",
        secrets.join(" or "),
    );
    Unplaced { reason: reasons::ZONE_UNKNOWN, message }
}

/// The condition's reason for what went wrong.
pub const fn reason(kind: Kind) -> &'static str {
    match kind {
        Kind::Credentials => reasons::CREDENTIALS_REFUSED,
        Kind::Rights => reasons::NOT_PERMITTED,
        Kind::Suspended => reasons::ACCOUNT_SUSPENDED,
        Kind::ZoneUnknown => reasons::ZONE_UNKNOWN,
        Kind::LineNotAllowed => reasons::LINE_NOT_ALLOWED,
        Kind::TtlNotAllowed => reasons::TTL_NOT_ALLOWED,
        Kind::Conflict => reasons::RECORD_CONFLICT,
        Kind::Throttled => reasons::THROTTLED,
        Kind::Unreachable => reasons::PROVIDER_UNREACHABLE,
        Kind::Locked => reasons::RECORD_LOCKED,
        Kind::Unreadable | Kind::Other => reasons::PROVIDER_FAILED,
    }
}

/// Keeps `out` at what the accounts' Secrets say and what the accounts answer.
pub async fn run(
    ctx: Context,
    open: Open,
    mut owner: watch::Receiver<Option<OwnerId>>,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    out: watch::Sender<Arc<Directory>>,
    stop: CancellationToken,
) {
    let system: Arc<str> = ctx.scope().system().into();
    let mut directory = Directory { system: system.clone(), ..Directory::default() };
    let (mut opened_for, mut cause) = (None, "start");
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let me = owner.borrow_and_update().clone();
        let asks = snapshot.map(|snapshot| snapshot.asks.clone()).unwrap_or_default();
        let round = Round { of: "accounts", object: "all", cause };
        let turn = async {
            let mut changed = me.is_none() != std::mem::replace(&mut directory.nameless, me.is_none());
            if let Some(me) = &me {
                if opened_for.as_ref() != Some(me) {
                    let (system, ready) = (system.clone(), directory.ready);
                    directory = Directory { system, ready, ..Directory::default() };
                    opened_for = Some(me.clone());
                }
                changed |= directory.read(&ctx, &asks, &open, me).await;
                changed |= !std::mem::replace(&mut directory.ready, true);
            }
            if changed {
                out.send_replace(Arc::new(directory.clone()));
            }
            directory.ask(&asks, &out).await;
            ((), directory.result())
        };
        round.run(&ctx.metrics, turn).await;
        cause = "due";
        let wait = directory.next_question(&asks).min(REFRESH);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            changed = snapshots.changed() => match changed {
                Ok(()) => {
                    cause = "news";
                    tokio::time::sleep(GATHER).await;
                }
                Err(_) => return,
            },
            changed = owner.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests;
