//! The services' statuses: every record with its node, and conditions a person understands. Written only when they say
//! something new, whatever became of the changes.

mod conditions;

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{Api, Resource};

use crate::api::condition::{condition, merged, reasons, types};
use crate::api::service::{BegunRecord, ManagedService, ManagedServiceStatus, RecordStatus};
use crate::api::vocab::{Family, Line};
use crate::controllers::accounts::Unplaced;
use crate::controllers::service::finalize;
use crate::controllers::service::memory::Notes;
use crate::controllers::service::sync::{Done, Failed, Zone};
use crate::controllers::service::written::Written;
use crate::controllers::shared::context::Context;
use crate::controllers::shared::report::{Applied, On, apply_status, cut, is_unserved, publish, unserved};
use crate::controllers::snapshot::{Managed, Refused, Snapshot};
use crate::domain::dns_plan::{Found, FoundZone, Held};
use crate::domain::lines::Why;
use crate::domain::names::{DnsName, FieldError, ObjectId};
use crate::domain::records::{RecordKey, Service, Values, Wanted, Wish, id_of};
use crate::domain::retry::Class;
use crate::domain::sharing::Weights;

const MANAGER: &str = "cocoasyncer/service";
/// Statuses written at once; a failover of thousands must not flood the control plane.
const AT_ONCE: usize = 16;
/// A condition's message is read on a terminal.
const MESSAGE: usize = 900;

/// What a turn left behind.
pub struct Outcome<'a> {
    /// What became of it.
    pub done: &'a Done,
    /// The zone as it stands.
    pub zone: &'a Zone,
}

/// Reports every service of a zone after a turn.
pub async fn report(
    ctx: &Context,
    services: &[Managed],
    wish: &Wish,
    outcome: &Outcome<'_>,
    written: &mut Written,
) {
    let now = ctx.now();
    let by_name = ByName::of(wish, outcome);
    let fresh = services.iter().filter_map(|managed| {
        let object = written.latest(managed)?;
        let status = status(managed, object, wish, outcome, &by_name, now);
        Some((object, status))
    });
    let all = write_all(ctx, fresh.collect()).await;
    note(all, written);
}

/// Notes in the statuses that the creation of these records begins; returns the services where that failed, which have
/// to wait: a half that nobody has noted would be somebody else's.
pub async fn begin(
    ctx: &Context,
    services: &[Managed],
    notes: &Notes,
    news: &[RecordKey],
    written: &mut Written,
) -> BTreeSet<ObjectId> {
    let names: BTreeSet<&DnsName> = news.iter().map(|key| &key.name).collect();
    let about = services.iter().filter(|managed| names.contains(&managed.service.name));
    let fresh = about.filter_map(|managed| {
        let object = written.latest(managed)?;
        let begun = begun(&managed.service, notes, None);
        Some((object, ManagedServiceStatus { begun, ..object.status.clone().unwrap_or_default() }))
    });
    let all = write_all(ctx, fresh.collect()).await;
    note(all, written)
}

/// Notes what was taken; returns what was not.
fn note(all: Vec<(ObjectId, Applied<ManagedService>)>, written: &mut Written) -> BTreeSet<ObjectId> {
    let mut open = BTreeSet::new();
    for (id, applied) in all {
        match applied {
            Applied::As(object) => written.note(*object),
            Applied::Gone => {}
            Applied::Behind | Applied::Failed => {
                open.insert(id);
            }
        }
    }
    open
}

/// What has begun and doesn't stand as ours yet.
fn begun(service: &Service, notes: &Notes, standing: Option<&FoundZone>) -> Vec<BegunRecord> {
    let key = |&(line, family): &(Line, Family)| RecordKey { name: service.name.clone(), line, family };
    let first = RecordKey { name: service.name.clone(), line: Line::Default, family: Family::V4 };
    let mine = notes.begun.range(first..).take_while(|(key, _)| key.name == service.name);
    let mut all: BTreeMap<RecordKey, &Values> = mine.map(|(key, values)| (key.clone(), values)).collect();
    for (at, values) in &service.begun {
        all.entry(key(at)).or_insert(values);
    }
    let ours = |key: &RecordKey| standing.and_then(|found| found.get(key)).is_some_and(Found::is_ours);
    let open = all.into_iter().filter(|(key, _)| !ours(key));
    open.map(|(key, values)| BegunRecord {
        line: key.line,
        family: key.family,
        values: values.iter().map(ToString::to_string).collect(),
    })
    .collect()
}

/// Publishes an event for every service that a turn changed or held; called once a turn, after the statuses.
pub async fn events(ctx: &Context, services: &[Managed], done: &Done) {
    let mut changed: BTreeMap<&ObjectId, Vec<String>> = BTreeMap::new();
    for change in &done.changed {
        changed.entry(&change.service).or_default().push(change.to_string());
    }
    let mut held: BTreeMap<&ObjectId, Vec<String>> = BTreeMap::new();
    for change in done.held.iter().filter_map(Held::mass_change) {
        held.entry(&change.service).or_default().push(change.to_string());
    }
    let mut refused: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let tried = done.failed.iter().filter(|(key, _)| !done.untried.contains(*key));
    for (key, failed) in tried.filter(|(_, failed)| failed.class == Class::User) {
        refused.entry(key.name.as_str()).or_default().push(format!("{key}: {}", failed.what));
    }
    let about = services.iter().filter_map(|managed| {
        let (object, service) = (managed.object()?, &managed.service);
        let refused = refused.remove(service.name.as_str());
        let told = (changed.remove(&service.id), held.remove(&service.id), refused);
        (told != (None, None, None)).then(|| (object.object_ref(&()), told))
    });
    let about: Vec<_> = about.collect();
    type Lines = Option<Vec<String>>;
    let say = |(object, (changed, held, refused)): (_, (Lines, Lines, Lines))| async move {
        if let Some(lines) = changed {
            publish(ctx, &object, true, "RecordsChanged", "Apply", lines.join("; ")).await;
        }
        if let Some(lines) = refused {
            publish(ctx, &object, false, "RecordRefused", "Apply", lines.join("; ")).await;
        }
        if held.is_some() {
            let note = "more than 30 % of the zone would go or change; the condition RecordsHeld says how to release it";
            publish(ctx, &object, false, "MassChangeHeld", "Plan", note.to_owned()).await;
        }
    };
    futures::stream::iter(about.into_iter().map(say)).buffer_unordered(AT_ONCE).collect::<()>().await;
}

/// Reports services whose account was lost between two turns; whether the API server has yet to take something.
pub async fn provider_unknown(ctx: &Context, snapshot: &Snapshot, services: &[Managed]) -> bool {
    let mut open = false;
    for managed in services {
        let Some(object) = managed.object() else { continue };
        let why = format!(
            "spec.platformProvider: {} is not configured on this node",
            object.spec.platform_provider
        );
        open |= nowhere(ctx, snapshot, managed, reasons::PROVIDER_UNKNOWN, why).await;
    }
    open
}

/// Reports services whose records have no place; whether the API server has yet to take something.
pub async fn unplaced(ctx: &Context, snapshot: &Snapshot) -> bool {
    let mut open = false;
    for (managed, why) in snapshot.unplaced.values() {
        if let Some(Unplaced { reason, message }) = why {
            open |= nowhere(ctx, snapshot, managed, reason, cut(message.clone(), MESSAGE)).await;
        }
    }
    open
}

async fn nowhere(ctx: &Context, snapshot: &Snapshot, managed: &Managed, reason: &str, why: String) -> bool {
    let Some(object) = managed.object() else { return false };
    let conditions = vec![
        condition(types::VALID, true, reasons::AS_WISHED, ""),
        condition(types::READY, false, reason, why),
    ];
    let service = &managed.service;
    let has_none = service.last.is_empty() && service.begun.is_empty();
    if finalize::has_finalizer(object) && service.deleting && (has_none || service.retain) {
        return !finalize::release(ctx, Some(object)).await;
    }
    let status = with_conditions(object, conditions, snapshot.now);
    is_open(&write_all(ctx, vec![(object, status)]).await)
}

/// Reports services whose fields can't be read. They never had a record, so nothing holds them when they are deleted.
/// Whether the API server has yet to take something.
pub async fn refused(ctx: &Context, snapshot: &Snapshot) -> bool {
    let mut open = false;
    for Refused { error, object } in snapshot.refused.values() {
        let Ok(object) = &object.0 else { continue };
        if finalize::has_finalizer(object) && object.metadata.deletion_timestamp.is_some() {
            open |= !finalize::release(ctx, Some(object)).await;
            continue;
        }
        let status = with_conditions(object, invalid(error), snapshot.now);
        open |= is_open(&write_all(ctx, vec![(object, status)]).await);
    }
    open
}

/// Reports services outside the scope, unless somebody else serves them: whoever does has set other conditions. Whether
/// the API server has yet to take something.
pub async fn outside(ctx: &Context) -> bool {
    let all = ctx.stores.services_outside();
    let objects = all.iter().filter_map(|object| object.0.as_ref().ok());
    let fresh = objects.filter_map(|object| {
        let stands = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        is_unserved(stands).then(|| (object, with_conditions(object, vec![unserved(ctx)], ctx.now())))
    });
    is_open(&write_all(ctx, fresh.collect()).await)
}

fn is_open(all: &[(ObjectId, Applied<ManagedService>)]) -> bool {
    all.iter().any(|(_, applied)| !applied.stands())
}

fn invalid(error: &FieldError) -> Vec<Condition> {
    let reason = if error.why.contains("line default") { reasons::NO_DEFAULT_LINE } else { reasons::INVALID };
    vec![
        condition(types::VALID, false, reason, error.to_string()),
        condition(types::READY, false, reason, error.to_string()),
    ]
}

fn with_conditions(
    object: &ManagedService,
    conditions: Vec<Condition>,
    now: Timestamp,
) -> ManagedServiceStatus {
    let old = object.status.clone().unwrap_or_default();
    ManagedServiceStatus {
        conditions: merged(&old.conditions, conditions, object.metadata.generation, Time(now)),
        observed_generation: object.metadata.generation,
        ..old
    }
}

/// Writes what says something new; returns what became of it.
async fn write_all(
    ctx: &Context,
    fresh: Vec<(&ManagedService, ManagedServiceStatus)>,
) -> Vec<(ObjectId, Applied<ManagedService>)> {
    let news = fresh.into_iter().filter(|(object, fresh)| object.status.as_ref() != Some(fresh));
    let writes: Vec<(ManagedService, ManagedServiceStatus)> =
        news.map(|(object, fresh)| (object.clone(), fresh)).collect();
    let write = |(object, fresh): (ManagedService, ManagedServiceStatus)| async move {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::<ManagedService>::namespaced(ctx.client.clone(), namespace);
        (id_of(&object), apply_status(ctx, &api, &object, &fresh, MANAGER, On::This).await)
    };
    futures::stream::iter(writes.into_iter().map(write)).buffer_unordered(AT_ONCE).collect().await
}

/// What was found, held and failed, by name: one pass over the zone serves all its services.
struct ByName<'a> {
    standing: BTreeMap<&'a str, Vec<(&'a RecordKey, RecordOf<'a>)>>,
    held: BTreeMap<&'a str, Vec<&'a Held>>,
    failed: BTreeMap<&'a str, Vec<(&'a RecordKey, &'a Failed)>>,
}

/// Ours, and not only a mark.
pub fn stands(found: &Found) -> bool {
    found.is_ours() && !found.set.values.is_empty()
}

struct RecordOf<'a> {
    values: Vec<String>,
    ttl: u32,
    wanted: Option<&'a Wanted>,
    /// Whether its weights are in effect.
    weighed: bool,
}

impl<'a> ByName<'a> {
    fn of(wish: &'a Wish, Outcome { done, zone }: &Outcome<'a>) -> Self {
        let mut all = Self { standing: BTreeMap::new(), held: BTreeMap::new(), failed: BTreeMap::new() };
        let ours = zone.standing().into_iter().flatten().filter(|(_, found)| stands(found));
        for (key, found) in ours {
            let values = found.set.values.iter().map(ToString::to_string).collect();
            let wanted =
                wish.wanted.get(key).or_else(|| wish.others.get(key)).or_else(|| wish.farewell.get(key));
            let wanted = wanted.filter(|wanted| wanted.set.values == found.set.values);
            let weighed = wanted
                .is_some_and(|Wanted { set, .. }| set.weights.is_empty() || set.weights == found.set.weights);
            let record = RecordOf { values, ttl: found.set.ttl, wanted, weighed };
            all.standing.entry(key.name.as_str()).or_default().push((key, record));
        }
        for held in &done.held {
            all.held.entry(held.name().as_str()).or_default().push(held);
        }
        for (key, failed) in &done.failed {
            all.failed.entry(key.name.as_str()).or_default().push((key, failed));
        }
        all
    }
}

fn status(
    managed: &Managed,
    object: &ManagedService,
    wish: &Wish,
    outcome: &Outcome<'_>,
    by_name: &ByName<'_>,
    now: Timestamp,
) -> ManagedServiceStatus {
    let Outcome { done, zone } = outcome;
    let service = &managed.service;
    let old = object.status.clone().unwrap_or_default();
    let owns = wish.names.get(&service.name) == Some(&service.id);
    let name = service.name.as_str();
    let records = match (owns, zone.standing().is_none()) {
        // Unread is not empty: the last known records stay in the status, as they do at the provider.
        (true, true) => old.records.clone(),
        (true, false) => {
            records(service, by_name.standing.get(name).map(Vec::as_slice).unwrap_or_default(), now)
        }
        (false, _) => Vec::new(),
    };
    let generation = object.metadata.generation;
    let mut conditions = conditions::conditions(service, wish, done, by_name);
    let is_ready = |one: &Condition| one.type_ == types::READY && one.status == "True";
    // What was ready and only moves stays so: a failover must not write thousands of statuses twice.
    let was_ready = |one: &Condition| is_ready(one) && one.observed_generation == generation;
    if done.left.contains(&service.name) && !old.conditions.iter().any(was_ready) {
        let why = "its records wait for their turn at the provider";
        let ready = conditions.iter_mut().filter(|one| is_ready(one));
        ready.for_each(|one| *one = condition(types::READY, false, reasons::PENDING, why));
    }
    ManagedServiceStatus {
        fqdn: name.to_owned(),
        lines: summary(&records),
        records,
        begun: if owns { begun(service, zone.notes(), zone.standing()) } else { Vec::new() },
        conditions: merged(&old.conditions, conditions, generation, Time(now)),
        observed_generation: generation,
    }
}

fn records(service: &Service, standing: &[(&RecordKey, RecordOf<'_>)], now: Timestamp) -> Vec<RecordStatus> {
    let one = |(key, record): &(&RecordKey, RecordOf<'_>)| {
        let last = service.last.get(&(key.line, key.family));
        let same =
            last.filter(|last| last.values.iter().map(ToString::to_string).eq(record.values.iter().cloned()));
        let node = record.wanted.map(|wanted| wanted.node.clone());
        // Sharers are remembered as they took effect: by them the next plan tells an edit from a loss.
        let sharers = match record.wanted.filter(|_| record.weighed) {
            Some(wanted) => Some(&wanted.sharers),
            None => last.map(|last| &last.sharers),
        };
        RecordStatus {
            line: key.line,
            family: key.family,
            values: record.values.clone(),
            ttl: record.ttl,
            node: node.or_else(|| same.map(|last| last.node.clone())).unwrap_or_default(),
            taken_over: match record.wanted {
                Some(wanted) => wanted.why != Why::Own,
                None => same.is_some_and(|last| last.taken_over),
            },
            weights: sharers.map(Weights::to_map).unwrap_or_default(),
            since: Time(same.map_or(now, |last| last.since)),
        }
    };
    standing.iter().map(one).collect()
}

/// `default,CT=shanghai CU=beijing+`: who answers for which line; a `+` marks lines taken over.
fn summary(records: &[RecordStatus]) -> String {
    let mut groups: Vec<(String, Vec<Line>)> = Vec::new();
    for record in records {
        let who = format!("{}{}", record.node, if record.taken_over { "+" } else { "" });
        match groups.iter_mut().find(|(of, _)| *of == who) {
            Some((_, lines)) if lines.contains(&record.line) => {}
            Some((_, lines)) => lines.push(record.line),
            None => groups.push((who, vec![record.line])),
        }
    }
    let word = |(who, lines): (String, Vec<Line>)| {
        let lines: Vec<&str> = lines.into_iter().map(Line::as_str).collect();
        format!("{}={}", lines.join(","), if who.is_empty() { "?" } else { &who })
    };
    groups.into_iter().map(word).collect::<Vec<_>>().join(" ")
}
