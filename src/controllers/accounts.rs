//! The accounts of DNS platforms: one Secret each, found by a service's reference or by its label, opened anew when it
//! changes. And which of their zones holds which name. What follows from that for a service is [`Directory::place`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::{Api, ResourceExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::condition::reasons;
use crate::api::vocab::PlatformProvider;
use crate::api::{PROVIDER_LABEL, SYSTEM_NAMESPACE};
use crate::controllers::shared::context::Context;
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::controllers::snapshot::Snapshot;
use crate::domain::marks::OwnerId;
use crate::domain::names::{DnsName, FieldError, ObjectId};
use crate::domain::records::{Service, ZoneId};
use crate::domain::secret::Secret;
use crate::providers::{DnsProvider, Kind, ProviderError};
use crate::telemetry::chain::Chain;

/// Opens an account: makes a provider of what its Secret holds. The refusal names the Secret's key.
pub type Open = Arc<
    dyn Fn(PlatformProvider, &BTreeMap<String, Secret>, &OwnerId) -> Result<Arc<dyn DnsProvider>, FieldError>
        + Send
        + Sync,
>;

/// Secrets that services name without their label are read again after this long.
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
                && (secret.namespace == ask.namespace || secret.namespace == SYSTEM_NAMESPACE)
        };
        let labelled = self.accounts.iter().filter(|(id, account)| account.labelled && mine(id));
        let mut all: Vec<AccountId> = labelled.map(|(id, _)| id.clone()).collect();
        all.sort_by_key(|(_, secret)| secret.namespace != ask.namespace);
        all
    }

    fn no_account(&self, ask: &Ask) -> Unplaced {
        let Ask { platform, reference, namespace, .. } = ask;
        let message = match reference {
            Some(named) => {
                format!("spec.accountRef: there is no Secret {named} with an account of {platform}")
            }
            None => format!(
                "spec.platformProvider: no Secret labelled {PROVIDER_LABEL}={platform} in the namespace {namespace} or {SYSTEM_NAMESPACE}: make one (cocoasyncer provider set {platform}), or name one in spec.accountRef"
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
    let mut directory = Directory::default();
    let mut opened_for = None;
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let me = owner.borrow_and_update().clone();
        let asks = snapshot.map(|snapshot| snapshot.asks.clone()).unwrap_or_default();
        let mut changed = false;
        changed |= me.is_none() != std::mem::replace(&mut directory.nameless, me.is_none());
        if let Some(me) = &me {
            if opened_for.as_ref() != Some(me) {
                directory = Directory { ready: directory.ready, ..Directory::default() };
                opened_for = Some(me.clone());
            }
            changed |= directory.read(&ctx, &asks, &open, me).await;
            changed |= !std::mem::replace(&mut directory.ready, true);
        }
        if changed {
            out.send_replace(Arc::new(directory.clone()));
        }
        directory.ask(&asks, &out).await;
        let wait = directory.next_question(&asks).min(REFRESH);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            changed = snapshots.changed() => match changed {
                Ok(()) => tokio::time::sleep(GATHER).await,
                Err(_) => return,
            },
            changed = owner.changed() => if changed.is_err() { return },
        }
    }
}

impl Directory {
    /// Reads the Secrets; tells whether anything changed.
    async fn read(&mut self, ctx: &Context, asks: &BTreeSet<Ask>, open: &Open, me: &OwnerId) -> bool {
        let mut secrets: BTreeMap<AccountId, (Arc<SecretObject>, bool)> = BTreeMap::new();
        for secret in ctx.stores.accounts() {
            let platform = secret.labels().get(PROVIDER_LABEL).and_then(|label| label.parse().ok());
            if let (Some(platform), Some(id)) = (platform, id_of(&secret)) {
                secrets.insert((platform, id), (secret, true));
            }
        }
        let named = asks.iter().filter_map(|ask| Some((ask.platform, ask.reference.clone()?)));
        let mut missing = BTreeSet::new();
        for id in named.collect::<BTreeSet<AccountId>>() {
            if secrets.contains_key(&id) {
                continue;
            }
            match named_secret(ctx, &id).await {
                Ok(Some(secret)) => drop(secrets.insert(id, (Arc::new(secret), false))),
                Ok(None) => drop(missing.insert(id.1)),
                // What was known stays: a passing fault of the control plane must not look like a lost account.
                Err(error) => {
                    warn!(secret = %id.1, error = %error, "account not read, the last one stays");
                    missing.extend(self.missing.get(&id.1).cloned());
                    if let Some(account) = self.accounts.get(&id).cloned() {
                        self.accounts.insert(id.clone(), account);
                        secrets.insert(id, (Arc::default(), false));
                    }
                }
            }
        }
        let mut changed = self.missing != missing || self.accounts.keys().ne(secrets.keys());
        self.missing = missing;
        self.accounts.retain(|id, _| secrets.contains_key(id));
        self.answers.retain(|(id, _), _| secrets.contains_key(id));
        for (id, (secret, labelled)) in secrets {
            let Some(version) = secret.resource_version() else { continue };
            if self
                .accounts
                .get(&id)
                .is_some_and(|known| known.version == version && known.labelled == labelled)
            {
                continue;
            }
            changed = true;
            let provider = open(id.0, &data(&secret), me);
            info!(secret = %id.1, platform = %id.0, good = provider.is_ok(), "account read");
            // With other keys other zones may be seen; what was seen holds until then.
            let known = self.answers.iter_mut().filter(|((of, _), _)| *of == id);
            known.for_each(|(_, (_, until))| *until = Instant::now());
            self.accounts.insert(id, Account { version, provider, labelled });
        }
        changed
    }

    /// Asks the accounts for what is not known, or no longer. What one answers is published at once: an account that
    /// doesn't answer holds up no other.
    async fn ask(&mut self, asks: &BTreeSet<Ask>, out: &watch::Sender<Arc<Directory>>) {
        let now = Instant::now();
        let wanted: BTreeSet<(AccountId, DnsName)> = self.questions(asks).collect();
        let mut changed = false;
        self.answers.retain(|key, _| {
            let stays = wanted.contains(key);
            changed |= !stays;
            stays
        });
        let mut due: BTreeMap<AccountId, Vec<DnsName>> = BTreeMap::new();
        for (id, name) in wanted {
            let key = (id, name);
            if self.answers.get(&key).is_none_or(|(_, until)| *until <= now) {
                due.entry(key.0).or_default().push(key.1);
            }
        }
        let due: Vec<_> = due
            .into_iter()
            .filter_map(|(id, names)| {
                let provider = self.accounts.get(&id)?.provider.as_ref().ok()?.clone();
                Some(async move { (id, ask_all(provider.as_ref(), names).await) })
            })
            .collect();
        let mut answers = futures::stream::iter(due).buffer_unordered(AT_ONCE);
        loop {
            if std::mem::take(&mut changed) {
                out.send_replace(Arc::new(self.clone()));
            }
            let Some((id, answers)) = answers.next().await else { return };
            for (name, answer) in answers {
                changed |= self.learn((id.clone(), name), answer);
            }
        }
    }

    fn learn(&mut self, key: (AccountId, DnsName), answer: Result<Option<DnsName>, ProviderError>) -> bool {
        let before = self.answers.get(&key).map(|(answer, _)| answer.clone());
        let answer = match (answer, &before) {
            (Ok(Some(zone)), _) => Answer::Held(zone),
            (Ok(None), _) => Answer::Nowhere,
            // A zone that was there is there until somebody says otherwise.
            (Err(_), Some(Answer::Held(zone))) => Answer::Held(zone.clone()),
            (Err(error), before) => Answer::Failed {
                what: Chain(&error).to_string(),
                kind: error.kind,
                had_none: matches!(before, Some(Answer::Nowhere | Answer::Failed { had_none: true, .. })),
            },
        };
        let changed = match (&before, &answer) {
            (Some(Answer::Held(before)), Answer::Held(now)) => before != now,
            (Some(Answer::Nowhere), Answer::Nowhere) => false,
            (Some(Answer::Failed { kind: before, .. }), Answer::Failed { kind, .. }) => before != kind,
            _ => true,
        };
        let lasts = if matches!(answer, Answer::Held(_)) { FOUND } else { NOT_FOUND };
        self.answers.insert(key, (answer, Instant::now() + lasts));
        changed
    }

    fn questions<'a>(&'a self, asks: &'a BTreeSet<Ask>) -> impl Iterator<Item = (AccountId, DnsName)> + 'a {
        asks.iter().flat_map(|ask| self.candidates(ask).into_iter().map(|id| (id, ask.name.clone())))
    }

    fn next_question(&self, asks: &BTreeSet<Ask>) -> Duration {
        // An account that can't be opened is not asked.
        let open = |id: &AccountId| self.accounts.get(id).is_some_and(|account| account.provider.is_ok());
        let asked = self.questions(asks).filter(|(id, _)| open(id));
        let due = asked.filter_map(|key| self.answers.get(&key)).map(|(_, until)| *until).min();
        due.map_or(REFRESH, |due| due.saturating_duration_since(Instant::now()))
            .max(Duration::from_millis(100))
    }
}

/// Asks one account for all these names; what concerns the whole account is not asked again.
async fn ask_all(
    provider: &dyn DnsProvider,
    names: Vec<DnsName>,
) -> Vec<(DnsName, Result<Option<DnsName>, ProviderError>)> {
    let mut answers = Vec::with_capacity(names.len());
    let mut ended: Option<ProviderError> = None;
    for name in names {
        let answer = match &ended {
            Some(error) => Err(error.again()),
            None => {
                let answer = timeout(ASK_DEADLINE, provider.zone_of(&name)).await;
                answer.unwrap_or_else(|_| Err(slow(&name)))
            }
        };
        let ends = answer.as_ref().err().filter(|error| error.kind.ends_the_batch());
        ended = ended.or_else(|| ends.map(ProviderError::again));
        answers.push((name, answer));
    }
    answers
}

fn slow(name: &DnsName) -> ProviderError {
    let what = format!("find the zone of {name}: no answer in {ASK_DEADLINE:?}");
    ProviderError::new(Kind::Unreachable, crate::domain::retry::Class::Transient, what)
}

fn id_of(secret: &SecretObject) -> Option<ObjectId> {
    Some(ObjectId { namespace: secret.namespace()?, name: secret.metadata.name.clone()? })
}

fn data(secret: &SecretObject) -> BTreeMap<String, Secret> {
    let text = |bytes: &[u8]| Secret::new(String::from_utf8_lossy(bytes).trim());
    secret.data.iter().flatten().map(|(key, bytes)| (key.clone(), text(&bytes.0))).collect()
}

async fn named_secret(ctx: &Context, id: &AccountId) -> Result<Option<SecretObject>, kube::Error> {
    let api = Api::<SecretObject>::namespaced(ctx.client.clone(), &id.1.namespace);
    let call = timeout(CALL_DEADLINE, api.get_opt(&id.1.name)).await;
    let secret = call.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())))?;
    // One that is labelled for another platform holds no account of this one.
    Ok(secret.filter(|secret| match secret.labels().get(PROVIDER_LABEL) {
        Some(label) => *label == id.0.as_str(),
        None => true,
    }))
}

#[cfg(test)]
mod tests;
