//! One turn of a zone: list, plan, apply. Independent changes fail independently; nothing here knows Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::dns_plan::{Change, FoundZone, Held, plan};
use crate::domain::names::{DnsName, ObjectId};
use crate::domain::records::{RecordKey, Wish};
use crate::domain::retry::Class;
use crate::providers::{DnsProvider, Kind, ProviderError};
use crate::telemetry::chain::Chain;

/// Longest that listing a zone, or writing one batch, may take.
const LIST_DEADLINE: Duration = Duration::from_secs(30);
const APPLY_DEADLINE: Duration = Duration::from_secs(300);

/// A record that could not be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What was tried and why it failed.
    pub what: String,
    /// Who can mend it.
    pub class: Class,
}

/// What became of a turn.
#[derive(Debug, Default)]
pub struct Done {
    /// The zone as it stands now.
    pub standing: FoundZone,
    /// What was changed.
    pub changed: Vec<Change>,
    /// What failed, by record.
    pub failed: BTreeMap<RecordKey, Failed>,
    /// What was not done on purpose.
    pub held: Vec<Held>,
    /// Digest of the mass change that is held.
    pub digest: Option<String>,
    /// Why the zone could not be read at all; then nothing was planned.
    pub trouble: Option<ProviderError>,
}

impl Done {
    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.trouble.is_none() && self.failed.is_empty()
    }
}

/// Lists, plans and applies. Changes for `unmarked` services wait: their finalizer is not in place yet. A zone that
/// can't be read is left alone: an unreadable source never means an empty one.
pub async fn sync(
    provider: &dyn DnsProvider,
    zone: &DnsName,
    wish: &Wish,
    unmarked: &BTreeSet<ObjectId>,
) -> Done {
    let found = match tokio::time::timeout(LIST_DEADLINE, provider.list(zone)).await {
        Ok(Ok(listing)) => listing.found,
        Ok(Err(trouble)) => return Done { trouble: Some(trouble), ..Done::default() },
        Err(_) => {
            let what = format!("list {zone}: no answer in {LIST_DEADLINE:?}");
            let trouble = ProviderError::new(Kind::Unreachable, Class::Transient, what);
            return Done { trouble: Some(trouble), ..Done::default() };
        }
    };
    let plan = plan(wish, &found);
    let mut done = Done { standing: found, held: plan.held, digest: plan.digest, ..Done::default() };
    let (waiting, changes): (Vec<Change>, Vec<Change>) =
        plan.changes.into_iter().partition(|change| unmarked.contains(&change.service));
    for change in waiting {
        let what = "its finalizer could not be set yet".to_owned();
        done.failed.insert(change.key, Failed { what, class: Class::Transient });
    }
    if !changes.is_empty() {
        apply(provider, zone, changes, &mut done).await;
    }
    done
}

async fn apply(provider: &dyn DnsProvider, zone: &DnsName, changes: Vec<Change>, done: &mut Done) {
    let Ok(results) = tokio::time::timeout(APPLY_DEADLINE, provider.apply(zone, &changes)).await else {
        // Whether they were done is unknown: the next list tells.
        let what = format!("no answer in {APPLY_DEADLINE:?}");
        let failed = |change: Change| (change.key, Failed { what: what.clone(), class: Class::Transient });
        done.failed.extend(changes.into_iter().map(failed));
        return;
    };
    let mut results = results.into_iter();
    for change in changes {
        match results.next() {
            Some(Ok(there)) => {
                match there {
                    Some(there) => drop(done.standing.insert(change.key.clone(), there)),
                    None => drop(done.standing.remove(&change.key)),
                }
                done.changed.push(change);
            }
            Some(Err(error)) => {
                done.failed
                    .insert(change.key, Failed { what: Chain(&error).to_string(), class: error.class });
            }
            None => {
                let what = "the provider gave no answer for it".to_owned();
                done.failed.insert(change.key, Failed { what, class: Class::Bug });
            }
        }
    }
}
