//! Wish against what was found: the changes to make in one zone, and those that are held, as a value that a person can
//! read. It never touches what is not ours, and holds a change of many records that no failover explains.

use std::collections::BTreeMap;
use std::fmt;

use crate::api::vocab::{Family, Line};
use crate::domain::names::{DnsName, ObjectId};
use crate::domain::records::{Cause, RecordKey, RecordSet, Wish};

/// A zone of fewer owned records than this is never held: two of three is not a mass.
pub const GUARD_FROM: usize = 10;
/// More than this many percent of the zone's owned records is a mass change.
pub const GUARD_PERCENT: usize = 30;

/// Whose a found record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Ours, by its mark.
    Ours,
    /// Somebody else's; the mark's text, or empty where there is none.
    Foreign(String),
}

/// A record as the provider lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says.
    pub set: RecordSet,
    /// Whose it is.
    pub owner: Owner,
    /// The provider's own id, where it has one.
    pub id: Option<String>,
}

/// All that a zone holds of types that we manage.
pub type FoundZone = BTreeMap<RecordKey, Found>;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which record set.
    pub key: RecordKey,
    /// What stands there; `None`: it is created.
    pub from: Option<Found>,
    /// What is to stand there; `None`: it is deleted.
    pub to: Option<RecordSet>,
    /// The service it is for.
    pub service: ObjectId,
    /// Why.
    pub cause: Cause,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// The record is somebody else's.
    Foreign {
        /// Which.
        key: RecordKey,
        /// The service that wants the name.
        service: ObjectId,
    },
    /// Nobody living can answer; the last record stays.
    NobodyLives {
        /// Which.
        key: RecordKey,
        /// The service.
        service: ObjectId,
    },
    /// The change is one of too many.
    MassChange {
        /// Which.
        change: Box<Change>,
    },
    /// It carries our mark, but no service of ours has its name: deleting it is somebody's decision.
    Orphan {
        /// Which.
        key: RecordKey,
    },
}

/// What to do in one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsPlan {
    /// To be done, `default` lines first, failover ahead of the rest.
    pub changes: Vec<Change>,
    /// Not to be done, and why.
    pub held: Vec<Held>,
    /// Digest of the mass change that is held; naming it in the annotation releases it.
    pub digest: Option<String>,
    /// Records that are as they should be.
    pub unchanged: usize,
}

/// Plans one zone.
pub fn plan(wish: &Wish, found: &FoundZone) -> DnsPlan {
    let mut plan = DnsPlan::default();
    for (key, wanted) in &wish.wanted {
        let change = |from| Change {
            key: key.clone(),
            from,
            to: Some(wanted.set.clone()),
            service: ObjectId::clone(&wanted.service),
            cause: wanted.cause,
        };
        match found.get(key) {
            None => plan.changes.push(change(None)),
            Some(there) if there.owner != Owner::Ours && !wish.adopt.contains(&key.name) => {
                plan.held.push(Held::Foreign { key: key.clone(), service: ObjectId::clone(&wanted.service) });
            }
            Some(there) if there.set == wanted.set && there.owner == Owner::Ours => plan.unchanged += 1,
            Some(there) => plan.changes.push(change(Some(there.clone()))),
        }
    }
    for (key, there) in found.iter().filter(|(key, _)| !wish.wanted.contains_key(*key)) {
        leave_or_delete(&mut plan, wish, key, there);
    }
    for (key, service) in wish.kept.iter().filter(|(key, _)| !found.contains_key(*key)) {
        plan.held.push(Held::NobodyLives { key: key.clone(), service: service.clone() });
    }
    guard(&mut plan, wish, found);
    plan.changes.sort_by(|a, b| rank(a).cmp(&rank(b)));
    plan
}

/// Failover ahead of the rest, `default` lines first; by reference, for it is asked for at every comparison.
fn rank(change: &Change) -> (bool, Line, &DnsName, Family) {
    (!change.cause.is_never_held(), change.key.line, &change.key.name, change.key.family)
}

fn leave_or_delete(plan: &mut DnsPlan, wish: &Wish, key: &RecordKey, there: &Found) {
    let Some(service) = wish.names.get(&key.name) else {
        if there.owner == Owner::Ours {
            plan.held.push(Held::Orphan { key: key.clone() });
        }
        return;
    };
    if there.owner != Owner::Ours {
        plan.held.push(Held::Foreign { key: key.clone(), service: service.clone() });
    } else if wish.kept.contains_key(key) {
        plan.held.push(Held::NobodyLives { key: key.clone(), service: service.clone() });
    } else if wish.frozen.contains(&key.name) {
        plan.unchanged += 1;
    } else {
        let cause = if wish.deleting.contains(&key.name) { Cause::Deleted } else { Cause::Edit };
        plan.changes.push(Change {
            key: key.clone(),
            from: Some(there.clone()),
            to: None,
            service: service.clone(),
            cause,
        });
    }
}

/// Holds what deletes or changes more than [`GUARD_PERCENT`] of the zone and is no failover, unless it was released.
fn guard(plan: &mut DnsPlan, wish: &Wish, found: &FoundZone) {
    let owned = found.values().filter(|there| there.owner == Owner::Ours).count();
    let judged = |change: &Change| change.to.is_none() && wish.judged.contains(&change.key.name);
    let counts = |change: &Change| change.from.is_some() && !change.cause.is_never_held() && !judged(change);
    let risky = plan.changes.iter().filter(|change| counts(change)).count();
    if owned < GUARD_FROM || risky * 100 <= owned * GUARD_PERCENT {
        return;
    }
    let (risky, safe): (Vec<Change>, Vec<Change>) =
        std::mem::take(&mut plan.changes).into_iter().partition(counts);
    let digest = digest(&risky);
    if wish.released.contains(&digest) {
        plan.changes = safe.into_iter().chain(risky).collect();
        return;
    }
    plan.changes = safe;
    // A service whose deletion is held is still served: its records follow a failover like all others.
    for held in risky.iter().filter(|change| change.to.is_none()) {
        let moved = wish.farewell.get(&held.key).filter(|wanted| wanted.cause.is_never_held());
        let stale = moved.filter(|wanted| held.from.as_ref().is_some_and(|from| from.set != wanted.set));
        plan.changes.extend(stale.map(|wanted| Change {
            to: Some(wanted.set.clone()),
            cause: wanted.cause,
            ..held.clone()
        }));
    }
    plan.held.extend(risky.into_iter().map(|change| Held::MassChange { change: Box::new(change) }));
    plan.digest = Some(digest);
}

/// A short name for what exactly these changes lead to, so that a release can't release another. What stands there
/// now is not in it: a failover in the meantime must not make the owner ask again.
fn digest(changes: &[Change]) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for Change { key, to, .. } in changes {
        let to = to.as_ref().map(ToString::to_string).unwrap_or_default();
        context.update(format!("{key} {to}\n").as_bytes());
    }
    context.finish().as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} [{}]", self.name, self.family.record_type(), self.line)
    }
}

impl fmt::Display for RecordSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values.iter().map(ToString::to_string).collect();
        write!(f, "{} (ttl {})", values.join(","), self.ttl)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.cause {
            Cause::Loss => "its node is lost",
            Cause::Return => "its owner is back",
            Cause::Drain => "drained or pinned",
            Cause::Address => "new address",
            Cause::Edit => "edited",
            Cause::Deleted => "service deleted",
            Cause::Drift => "changed by somebody else",
        };
        match (&self.from, &self.to) {
            (None, Some(to)) => write!(f, "+ {} {to}: new", self.key),
            (Some(from), Some(to)) => write!(f, "~ {} {} -> {to}: {why}", self.key, from.set),
            (Some(from), None) => write!(f, "- {} {}: {why}", self.key, from.set),
            (None, None) => write!(f, "  {}", self.key),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::Foreign { key, .. } => write!(f, "! {key}: somebody else's record"),
            Held::NobodyLives { key, .. } => {
                write!(f, "! {key}: nobody living can answer, the last record stays")
            }
            Held::MassChange { change } => write!(f, "! held {change}"),
            Held::Orphan { key } => write!(f, "! {key}: carries our mark but belongs to no service"),
        }
    }
}

impl Held {
    /// The change, where it is held as one of too many.
    pub fn mass_change(&self) -> Option<&Change> {
        match self {
            Held::MassChange { change } => Some(change),
            Held::Foreign { .. } | Held::NobodyLives { .. } | Held::Orphan { .. } => None,
        }
    }

    /// The name it is about.
    pub fn name(&self) -> &DnsName {
        match self {
            Held::Foreign { key, .. } | Held::NobodyLives { key, .. } | Held::Orphan { key } => &key.name,
            Held::MassChange { change } => &change.key.name,
        }
    }
}
