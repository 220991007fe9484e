//! Wish against what was found: the changes to make in one zone, and those that are held, as a value that a person can
//! read. It never touches what is not ours, and holds a change of many records that no failover explains.

mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::api::vocab::{Family, Line};
use crate::domain::names::{DnsName, ObjectId};
use crate::domain::records::{Cause, RecordKey, RecordSet, Values, Wanted, Wish};

/// A zone of fewer owned records than this is never held: two of three is not a mass.
pub const GUARD_FROM: usize = 10;
/// More than this many percent of the zone's owned records is a mass change.
pub const GUARD_PERCENT: usize = 30;

/// Whose a found record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Ours, by its mark.
    Ours,
    /// Nobody's, by its marks: made by hand, or one of ours that lost its mark.
    Unmarked,
    /// Somebody else's, in words for a person: `external-dns "prod"`.
    Foreign(String),
}

/// What the provider lets be done with a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// It answers and can be changed.
    #[default]
    Live,
    /// Somebody paused it: it doesn't answer, and it isn't for us to wake it.
    Paused,
    /// Somebody locked it against changes.
    Locked,
}

/// One record as a provider keeps it that gives each an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The provider's id.
    pub id: String,
    /// What it says.
    pub value: IpAddr,
    /// Whether it carries our mark.
    pub marked: bool,
    /// Its weight, where the provider keeps one for each.
    pub weight: u8,
    /// Whether the weights of its set are known to count; else all its values are given alike.
    pub weighed: bool,
}

/// A record set as the provider lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What our records say; where none is ours, what all say. Without a value: a mark whose record is missing.
    pub set: RecordSet,
    /// Whose it is.
    pub owner: Owner,
    /// Values of records that are not ours beside ours.
    pub beside: Values,
    /// What may be done with it.
    pub standing: Standing,
    /// The records one by one, where the provider gives them ids.
    pub rows: Arc<[Row]>,
}

impl Found {
    /// A live set of this owner's, from a provider without ids.
    pub fn of(set: RecordSet, owner: Owner) -> Self {
        Self { set, owner, beside: Values::default(), standing: Standing::Live, rows: Arc::default() }
    }

    /// A live set of ours, from a provider without ids.
    pub fn ours(set: RecordSet) -> Self {
        Self::of(set, Owner::Ours)
    }

    /// Whether it carries our mark.
    pub fn is_ours(&self) -> bool {
        self.owner == Owner::Ours
    }
}

/// What a provider can do in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Lines it can tell apart.
    pub lines: BTreeSet<Line>,
    /// Smallest TTL it takes, seconds.
    pub ttl_floor: u32,
    /// Whether it gives the values of a set in a proportion; elsewhere all are in each answer, and resolvers pick.
    pub weights: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { lines: Line::ALL.into(), ttl_floor: 1, weights: false }
    }
}

/// A zone as the provider lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// What stands there.
    pub found: FoundZone,
    /// What can be done there.
    pub limits: Limits,
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
        /// Whose, as its mark says; empty where it has none.
        whose: String,
    },
    /// Somebody paused it at the provider.
    Paused {
        /// Which.
        key: RecordKey,
        /// The service.
        service: ObjectId,
    },
    /// Somebody locked it at the provider.
    Locked {
        /// Which.
        key: RecordKey,
        /// The service.
        service: ObjectId,
    },
    /// Another node writes it, and has not yet.
    Awaited {
        /// Which.
        key: RecordKey,
        /// The node.
        node: String,
    },
    /// Its line's own node, lost as seen from here, goes on writing it: it lives, so we step back.
    Contended {
        /// Which.
        key: RecordKey,
        /// The service.
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
        put(&mut plan, wish, key, wanted, found.get(key));
    }
    for (key, wanted) in &wish.others {
        match found.get(key) {
            Some(there) if there.is_ours() && there.set.is_as(&wanted.set) => plan.unchanged += 1,
            _ => plan.held.push(Held::Awaited { key: key.clone(), node: wanted.node.clone() }),
        }
    }
    let unwished = |key: &RecordKey| !wish.wanted.contains_key(key) && !wish.others.contains_key(key);
    for (key, there) in found.iter().filter(|(key, _)| unwished(key)) {
        leave_or_delete(&mut plan, wish, key, there);
    }
    for (key, service) in wish.kept.iter().filter(|(key, _)| !found.contains_key(*key)) {
        plan.held.push(Held::NobodyLives { key: key.clone(), service: service.clone() });
    }
    guard(&mut plan, wish, found);
    plan.changes.sort_by(|a, b| rank(a).cmp(&rank(b)));
    plan
}

/// What becomes of one record that should stand.
fn put(plan: &mut DnsPlan, wish: &Wish, key: &RecordKey, wanted: &Wanted, there: Option<&Found>) {
    let at = || (key.clone(), ObjectId::clone(&wanted.service));
    let held = |hold: fn((RecordKey, ObjectId)) -> Held| hold(at());
    let Some(there) = there else {
        return plan.changes.push(change(key, None, wanted));
    };
    let stranger = match &there.owner {
        Owner::Ours => there.beside.iter().any(|value| !wanted.set.values.contains(value)),
        Owner::Unmarked => !wanted.claims(&there.set.values),
        Owner::Foreign(_) => true,
    };
    let adopts = wish.adopt.contains(&key.name);
    // What stands beside ours can be taken over where it is nobody's; with another's mark it stays another's.
    let is_stranger = |row: &&Row| !row.marked && !wanted.set.values.contains(&row.value);
    let beside = there.rows.iter().filter(is_stranger).map(|row| row.value);
    let beside: BTreeSet<IpAddr> = if adopts && there.is_ours() { beside.collect() } else { BTreeSet::new() };
    let another =
        there.beside.iter().any(|value| !wanted.set.values.contains(value) && !beside.contains(value));
    if stranger && (!adopts || there.is_ours() && another) {
        let (key, service) = at();
        plan.held.push(Held::Foreign { key, service, whose: whose(there) });
        // Beside somebody else's record ours are still ours.
        if !there.is_ours() {
            return;
        }
    }
    let as_wished = there.is_ours() && there.set.is_as(&wanted.set);
    match there.standing {
        Standing::Paused => plan.held.push(held(|(key, service)| Held::Paused { key, service })),
        _ if as_wished && beside.is_empty() => plan.unchanged += 1,
        Standing::Locked => plan.held.push(held(|(key, service)| Held::Locked { key, service })),
        Standing::Live if wish.contended.contains(key) => {
            plan.held.push(held(|(key, service)| Held::Contended { key, service }));
        }
        Standing::Live if !beside.is_empty() => {
            let values = there.set.values.iter().copied().chain(beside).collect();
            let set = RecordSet { values, ..there.set.clone() };
            let whole = Found { set, owner: Owner::Unmarked, beside: Values::default(), ..there.clone() };
            plan.changes.push(change(key, Some(&whole), wanted));
        }
        Standing::Live => plan.changes.push(change(key, Some(there), wanted)),
    }
}

fn whose(found: &Found) -> String {
    match &found.owner {
        Owner::Foreign(whose) => whose.clone(),
        Owner::Ours | Owner::Unmarked => String::new(),
    }
}

fn change(key: &RecordKey, from: Option<&Found>, wanted: &Wanted) -> Change {
    Change {
        key: key.clone(),
        from: from.cloned(),
        to: Some(wanted.set.clone()),
        service: ObjectId::clone(&wanted.service),
        cause: wanted.cause,
    }
}

/// Failover ahead of the rest, `default` lines first; by reference, for it is asked for at every comparison.
fn rank(change: &Change) -> (bool, Line, &DnsName, Family) {
    (!change.cause.is_never_held(), change.key.line, &change.key.name, change.key.family)
}

fn leave_or_delete(plan: &mut DnsPlan, wish: &Wish, key: &RecordKey, there: &Found) {
    let Some(service) = wish.names.get(&key.name) else {
        if there.is_ours() {
            plan.held.push(Held::Orphan { key: key.clone() });
        }
        return;
    };
    if !there.is_ours() {
        plan.held.push(Held::Foreign { key: key.clone(), service: service.clone(), whose: whose(there) });
    } else if there.standing == Standing::Locked {
        plan.held.push(Held::Locked { key: key.clone(), service: service.clone() });
    } else if wish.kept.contains_key(key) {
        plan.held.push(Held::NobodyLives { key: key.clone(), service: service.clone() });
    } else if wish.frozen.contains(&key.name) {
        plan.unchanged += 1;
    } else if wish.follows && !wish.deleting.contains(&key.name) {
        // An edit that this node has not heard of may have made it; who edits also clears away.
        plan.held.push(Held::Awaited { key: key.clone(), node: "the leader".into() });
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
    let stands = |there: &Found| there.is_ours() && !there.set.values.is_empty();
    let owned = found.values().filter(|there| stands(there)).count();
    let judged = |change: &Change| change.to.is_none() && wish.judged.contains(&change.key.name);
    // Only what answers now can be lost: to mend a mark takes nothing from anybody.
    let answers = |change: &Change| change.from.as_ref().is_some_and(|from| !from.set.values.is_empty());
    let mends = |change: &Change| match (&change.from, &change.to) {
        (Some(from), Some(to)) => from.set.is_as(to),
        (from, to) => from.is_none() && to.is_none(),
    };
    let counts = |change: &Change| {
        answers(change) && !mends(change) && !change.cause.is_never_held() && !judged(change)
    };
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
        let stale =
            moved.filter(|wanted| held.from.as_ref().is_some_and(|from| !from.set.is_as(&wanted.set)));
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
