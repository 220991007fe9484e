//! One turn of a zone: list, plan, apply in slices. Independent changes fail independently; nothing here knows
//! Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::api::vocab::Line;
use crate::controllers::service::memory::Notes;
use crate::domain::dns_plan::{Change, DnsPlan, Found, FoundZone, Held, Limits, plan};
use crate::domain::names::{DnsName, ObjectId};
use crate::domain::records::{RecordKey, Wish};
use crate::domain::retry::Class;
use crate::providers::{DnsProvider, Kind, ProviderError};
use crate::telemetry::chain::Chain;

/// Longest that listing a zone, or writing one slice, may take; every call inside has a shorter one of its own.
const LIST_DEADLINE: Duration = Duration::from_secs(60);
const SLICE_DEADLINE: Duration = Duration::from_secs(300);
/// What was seen is planned with for so long, by a plan that gave way and by edits that come one by one.
const FRESH: Duration = Duration::from_secs(5);

/// A record that could not be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What was tried and why it failed.
    pub what: String,
    /// Who can mend it.
    pub class: Class,
    /// What went wrong.
    pub kind: Kind,
}

impl Failed {
    fn of(error: &ProviderError) -> Self {
        Self { what: Chain(error).to_string(), class: error.class, kind: error.kind }
    }

    /// Of a change that was not tried, and may go well in a moment.
    pub fn later(what: &str) -> Self {
        Self { what: what.to_owned(), class: Class::Transient, kind: Kind::Other }
    }
}

/// What became of a turn.
#[derive(Debug, Default)]
pub struct Done {
    /// What was changed.
    pub changed: Vec<Change>,
    /// What failed, by record.
    pub failed: BTreeMap<RecordKey, Failed>,
    /// Those of them that were not tried in this turn: they rest, or nothing more could be done on their line.
    pub untried: BTreeSet<RecordKey>,
    /// What was not done on purpose.
    pub held: Vec<Held>,
    /// Digest of the mass change that is held.
    pub digest: Option<String>,
    /// Why the zone could not be read; then nothing but failovers was planned, from what was seen before.
    pub trouble: Option<ProviderError>,
    /// Names with changes that gave way to something more urgent; they are planned again at once.
    pub left: BTreeSet<DnsName>,
}

impl Done {
    /// What became of it, by whoever can mend what failed.
    pub fn result(&self) -> Result<(), Class> {
        let failed = self.failed.values().map(|failed| failed.class);
        failed.chain(self.trouble.as_ref().map(|trouble| trouble.class)).next().map_or(Ok(()), Err)
    }
}

/// Why a zone is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is time to look.
    Due,
    /// Something else is wished for, or the last plan gave way to something more urgent.
    Wish,
}

/// A zone as its worker knows it.
pub struct Zone {
    name: DnsName,
    me: String,
    follows: bool,
    provider: Arc<dyn DnsProvider>,
    notes: Notes,
    /// What stands there, with our own writes in it; none until it has been read once.
    standing: Option<FoundZone>,
    limits: Limits,
    looked: Option<Instant>,
    /// Lines on which nothing more can be done in this turn, and why: every other call would hear the same.
    ended: BTreeMap<Line, Failed>,
}

impl Zone {
    /// The zone `name`, of which nothing is known yet; `me` is this node.
    pub fn new(name: DnsName, me: String, provider: Arc<dyn DnsProvider>) -> Self {
        Self {
            name,
            me,
            follows: false,
            provider,
            notes: Notes::default(),
            standing: None,
            limits: Limits::default(),
            looked: None,
            ended: BTreeMap::new(),
        }
    }

    /// Works through this provider from now on. Whether it is another one than before: then what was refused may be
    /// tried again.
    pub fn through(&mut self, provider: &Arc<dyn DnsProvider>) -> bool {
        let same = Arc::ptr_eq(&self.provider, provider);
        if !same {
            self.provider = provider.clone();
            self.notes.wake(|_| true);
            self.looked = None;
        }
        !same
    }

    /// What was refused under names whose owner has said anew what may be taken over is tried again; tells whether
    /// anybody has.
    pub fn heed(&mut self, before: &BTreeSet<DnsName>, now: &BTreeSet<DnsName>) -> bool {
        self.notes.wake(|name| before.contains(name) != now.contains(name));
        before != now
    }

    /// What stands there; none where that has never been read.
    pub fn standing(&self) -> Option<&FoundZone> {
        self.standing.as_ref()
    }

    /// When it was last seen whole, if that still counts.
    pub fn looked(&self) -> Option<Instant> {
        self.looked
    }

    /// Creations that have begun and don't carry our mark yet.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// See [`Notes::unless_open`].
    pub fn unless_open(&mut self, services: usize, wait: Duration) -> Duration {
        self.notes.unless_open(services, wait)
    }

    /// A wish as this zone can have it: its lines, its TTLs, and without what other nodes write.
    pub fn fit(&mut self, mut wish: Wish) -> Wish {
        wish.fit(&self.limits);
        if self.provider.ways().shared {
            wish.leave_to_others(&self.me);
            wish.follows = self.follows;
        }
        if let Some(found) = &self.standing {
            self.notes.look_round(&mut wish, found);
        }
        wish
    }

    /// Whether this node has its configuration from another.
    pub fn follow(&mut self, follows: bool) {
        self.follows = follows;
    }

    /// Plans `wish`, which has been fitted, after a new look where one is needed. A look may show other limits, so `raw`
    /// gives the wish as it was before it was fitted.
    pub async fn plan(
        &mut self,
        wish: Wish,
        raw: impl Fn() -> Wish,
        why: Why,
    ) -> (Wish, DnsPlan, Option<ProviderError>) {
        self.ended.clear();
        let is_failover = |change: &Change| {
            change.cause.is_never_held() && change.from.as_ref().is_some_and(Found::is_ours)
        };
        let remembered = self.standing.as_ref().map(|found| plan(&wish, found));
        if let Some(known) = remembered.as_ref().filter(|_| self.provider.ways().shared && why != Why::Due) {
            // The cheapest call is the one not made: what was seen a moment ago is good for the next edit too, our own
            // records may move by what was seen before, and where nothing is to be done there is nothing to look for.
            let fresh = self.looked.is_some_and(|at| at.elapsed() < FRESH);
            let moves = known.changes.iter().any(|change| self.notes.rests(change).is_none());
            let idle = known.changes.is_empty() && known.held.is_empty();
            if fresh || idle || (moves && known.changes.iter().all(is_failover)) {
                return (wish, remembered.unwrap_or_default(), None);
            }
        }
        match self.look().await {
            Ok(()) => {
                let wish = self.fit(raw());
                let plan = self.standing.as_ref().map(|found| plan(&wish, found)).unwrap_or_default();
                self.notes.keep_resting(&plan.changes);
                (wish, plan, None)
            }
            // A zone that can't be read is left alone, but for moving what we know to be ours.
            Err(trouble) => {
                let mut plan = remembered.unwrap_or_default();
                plan.changes.retain(is_failover);
                (wish, plan, Some(trouble))
            }
        }
    }

    async fn look(&mut self) -> Result<(), ProviderError> {
        let listing = match timeout(LIST_DEADLINE, self.provider.list(&self.name)).await {
            Ok(listing) => listing?,
            Err(_) => {
                let what = format!("list {}: no answer in {LIST_DEADLINE:?}", self.name);
                return Err(ProviderError::new(Kind::Unreachable, Class::Transient, what));
            }
        };
        let mut found = listing.found;
        self.notes.amend(&mut found);
        self.standing = Some(found);
        self.limits = listing.limits;
        self.looked = Some(Instant::now());
        Ok(())
    }

    /// The next changes to make: at most a slice of what `plan` has left. Those of `unmarked` services wait, for their
    /// finalizer is not in place, and so do those that were refused a moment ago.
    pub fn next_slice(
        &mut self,
        plan: &mut std::vec::IntoIter<Change>,
        unmarked: &BTreeSet<ObjectId>,
        done: &mut Done,
    ) -> Vec<Change> {
        let mut slice = Vec::new();
        let most = self.provider.ways().batch;
        while slice.len() < most {
            let Some(change) = plan.next() else { break };
            if unmarked.contains(&change.service) {
                done.failed.insert(change.key, Failed::later("its finalizer could not be set yet"));
            } else if let Some(failed) = self.notes.rests(&change).cloned() {
                done.untried.insert(change.key.clone());
                done.failed.insert(change.key, failed);
            } else if let Some(failed) = self.ended.get(&change.key.line).cloned() {
                self.notes.refused(&change, failed.clone());
                done.untried.insert(change.key.clone());
                done.failed.insert(change.key, failed);
            } else {
                slice.push(change);
            }
        }
        slice
    }

    /// Those of a slice whose creation must be noted before it begins.
    pub fn to_note(&self, slice: &[Change]) -> Vec<RecordKey> {
        if !self.provider.ways().marks_after {
            return Vec::new();
        }
        let news = slice.iter().filter(|change| change.from.is_none() && change.to.is_some());
        news.map(|change| change.key.clone()).collect()
    }

    /// Notes creations as begun.
    pub fn begin(&mut self, slice: &[Change]) {
        for change in slice.iter().filter(|change| change.from.is_none()) {
            let values = change.to.as_ref().map(|set| set.values.clone());
            self.notes.begun.extend(values.map(|values| (change.key.clone(), values)));
        }
    }

    /// Makes the changes of a slice.
    pub async fn apply(&mut self, slice: Vec<Change>, wish: &Wish, done: &mut Done) {
        let Ok(results) = timeout(SLICE_DEADLINE, self.provider.apply(&self.name, &slice)).await else {
            // Whether they were done is unknown: the next listing tells.
            self.looked = None;
            let what = format!("no answer in {SLICE_DEADLINE:?}");
            let failed =
                |change: Change| (change.key, Failed { kind: Kind::Unreachable, ..Failed::later(&what) });
            done.failed.extend(slice.into_iter().map(failed));
            return;
        };
        let standing = self.standing.get_or_insert_default();
        let mut results = results.into_iter();
        for change in slice {
            match results.next() {
                Some(Ok(there)) => {
                    self.notes.made(&change, there.as_ref(), wish);
                    match there {
                        Some(there) => drop(standing.insert(change.key.clone(), there)),
                        None => drop(standing.remove(&change.key)),
                    }
                    done.changed.push(change);
                }
                Some(Err(error)) => {
                    let failed = Failed::of(&error);
                    self.notes.refused(&change, failed.clone());
                    if failed.kind.ends_the_batch() {
                        self.ended.insert(change.key.line, failed.clone());
                    }
                    // What stands there may not be what was seen.
                    self.looked = None;
                    done.failed.insert(change.key, failed);
                }
                None => {
                    let what = "the provider gave no answer for it".to_owned();
                    let failed = Failed { what, class: Class::Bug, kind: Kind::Other };
                    done.failed.insert(change.key, failed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
