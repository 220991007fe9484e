//! How a [`Directory`] learns: the accounts' Secrets are read, and the accounts asked which zone holds a name. Where
//! records go is decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::{Api, ResourceExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::{
    ASK_DEADLINE, AT_ONCE, Account, AccountId, Answer, Ask, Directory, FOUND, NOT_FOUND, Open, REFRESH,
};
use crate::api::PROVIDER_LABEL;
use crate::controllers::shared::chance::about;
use crate::controllers::shared::context::Context;
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::domain::budget::POLL;
use crate::domain::marks::OwnerId;
use crate::domain::names::{DnsName, ObjectId};
use crate::domain::secret::Secret;
use crate::providers::{DnsProvider, Kind, ProviderError};
use crate::telemetry::chain::Chain;

/// What is wrong with accounts' Secrets, among all troubles.
const AREA: &str = "account ";

impl Directory {
    /// Reads the Secrets; tells whether anything changed.
    pub(super) async fn read(
        &mut self,
        ctx: &Context,
        asks: &BTreeSet<Ask>,
        open: &Open,
        me: &OwnerId,
    ) -> bool {
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
            if self.rests(&id) {
                secrets.insert(id, (Arc::default(), false));
                continue;
            }
            match named_secret(ctx, &id).await {
                Ok(found) => {
                    ctx.said.is_well(&told_as(&id));
                    match found {
                        Some(secret) => drop(secrets.insert(id, (Arc::new(secret), false))),
                        None => drop(missing.insert(id.1)),
                    }
                }
                // What was known stays: a passing fault of the control plane must not look like a lost account.
                Err(error) => {
                    if ctx.said.fails(told_as(&id), &error.to_string()) {
                        warn!(secret = %id.1, error = %error, "account not read, the last one stays");
                    }
                    missing.extend(self.missing.get(&id.1).cloned());
                    if let Some(account) = self.accounts.get(&id).cloned() {
                        self.accounts.insert(id.clone(), account);
                        secrets.insert(id, (Arc::default(), false));
                    }
                }
            }
        }
        let told = |id: &ObjectId| {
            let words = format!(
                "Secret {id} is missing, which services name in spec.accountRef: put it back, or correct them"
            );
            (format!("{AREA}{id}"), words)
        };
        ctx.troubles.are(AREA, missing.iter().map(told).collect());
        let mut changed = self.missing != missing || self.accounts.keys().ne(secrets.keys());
        self.missing = missing;
        self.accounts.retain(|id, _| secrets.contains_key(id));
        self.answers.retain(|(id, _), _| secrets.contains_key(id));
        for (id, (secret, labelled)) in secrets {
            let Some(version) = secret.resource_version() else { continue };
            let until = (!labelled).then(|| Instant::now() + about(POLL));
            if let Some(known) = self.accounts.get_mut(&id)
                && known.version == version
                && known.labelled == labelled
            {
                known.until = until;
                continue;
            }
            changed = true;
            let provider = open(id.0, &data(&secret), me);
            info!(secret = %id.1, platform = %id.0, good = provider.is_ok(), "account read");
            // With other keys other zones may be seen; what was seen holds until then.
            let known = self.answers.iter_mut().filter(|((of, _), _)| *of == id);
            known.for_each(|(_, (_, until))| *until = Instant::now());
            self.accounts.insert(id, Account { version, provider, labelled, until });
        }
        changed
    }

    /// Whether an account was read a while ago at most, and nothing is wrong with it.
    fn rests(&self, id: &AccountId) -> bool {
        let Some(account) = self.accounts.get(id) else { return false };
        let failed = |((of, _), (answer, _)): (&(AccountId, DnsName), &(Answer, Instant))| {
            of == id && matches!(answer, Answer::Failed { .. })
        };
        let fresh = account.until.is_some_and(|until| Instant::now() < until);
        fresh && account.provider.is_ok() && !self.answers.iter().any(failed)
    }

    /// Asks the accounts for what is not known, or no longer. What one answers is published at once: an account that
    /// doesn't answer holds up no other.
    pub(super) async fn ask(&mut self, asks: &BTreeSet<Ask>, out: &watch::Sender<Arc<Directory>>) {
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

    pub(super) fn learn(
        &mut self,
        key: (AccountId, DnsName),
        answer: Result<Option<DnsName>, ProviderError>,
    ) -> bool {
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

    pub(super) fn questions<'a>(
        &'a self,
        asks: &'a BTreeSet<Ask>,
    ) -> impl Iterator<Item = (AccountId, DnsName)> + 'a {
        asks.iter().flat_map(|ask| self.candidates(ask).into_iter().map(|id| (id, ask.name.clone())))
    }

    pub(super) fn next_question(&self, asks: &BTreeSet<Ask>) -> Duration {
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

fn told_as(id: &AccountId) -> String {
    format!("account {} of {}", id.1, id.0)
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
