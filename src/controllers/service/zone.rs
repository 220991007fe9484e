//! The worker of one zone: wish, list, plan, apply, report, and when to look again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::controllers::service::retained::Retained;
use crate::controllers::service::sync::{Done, sync};
use crate::controllers::service::{finalize, measure, report};
use crate::controllers::shared::context::Context;
use crate::controllers::snapshot::{Managed, RESYNC, Snapshot};
use crate::domain::causes::put_right;
use crate::domain::dns_plan::{Found, FoundZone};
use crate::domain::names::DnsName;
use crate::domain::records::{RecordKey, RecordSet, Wish, ZoneId, wish};
use crate::domain::retry::{Class, retry_in};
use crate::telemetry::chain::Chain;

/// What a worker remembers between two turns; all of it can be lost without harm.
#[derive(Default)]
struct Memory {
    /// The wish of the last turn that listed and applied.
    last: Option<(Wish, Done)>,
    /// When to list again whatever the wish.
    due: Option<Instant>,
    /// Failed turns in a row.
    failures: u32,
    /// Whether the provider was told what stood there before this process started.
    resumed: bool,
}

/// Works on one zone until `stop`.
pub async fn run(
    ctx: Context,
    id: ZoneId,
    retained: Retained,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    stop: CancellationToken,
) {
    let mut memory = Memory::default();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let services = snapshot.as_ref().and_then(|snapshot| snapshot.zones.get(&id).cloned());
        let wait = match (snapshot, services) {
            (Some(snapshot), Some(services)) => {
                turn(&ctx, &id, &retained, &snapshot, &services, &mut memory).await
            }
            _ => RESYNC,
        };
        tokio::select! {
            () = stop.cancelled() => return ctx.metrics.forget(id.zone.as_str()),
            () = tokio::time::sleep(wait) => {}
            changed = snapshots.changed() => if changed.is_err() { return },
        }
    }
}

async fn turn(
    ctx: &Context,
    id: &ZoneId,
    retained: &Retained,
    snapshot: &Snapshot,
    services: &[Managed],
    memory: &mut Memory,
) -> Duration {
    let Some(provider) = (ctx.provider_for)(id) else {
        report::provider_unknown(ctx, snapshot, services).await;
        return RESYNC;
    };
    if !memory.resumed {
        provider.resume(&id.zone, last_known(services, &retained.of(&id.zone)));
        memory.resumed = true;
    }
    let mut wish = wish(services.iter().map(|managed| &*managed.service), &snapshot.cluster);
    if let Some((before, _)) = &memory.last {
        put_right(&mut wish, before, &snapshot.cluster);
    }
    let mut fresh = false;
    let due = memory.due.is_none_or(|due| due <= Instant::now());
    let same = memory.last.as_ref().is_some_and(|(last, _)| last.same_targets(&wish));
    if due || !same {
        let unmarked = finalize::add(ctx, services).await;
        let began = Instant::now();
        let done = sync(provider.as_ref(), &id.zone, &wish, &unmarked).await;
        measure::turn(ctx, id, &wish, &done, began.elapsed());
        memory.failures = if done.is_clean() { 0 } else { memory.failures.saturating_add(1) };
        memory.due = Some(Instant::now() + next_look(&done, memory.failures));
        tell(id, &done);
        let owned = |name: &DnsName| wish.names.contains_key(name) && !wish.frozen.contains(name);
        if let Err(error) = retained.forget(&ctx.client, &id.zone, owned).await {
            warn!(zone = %id.zone, error = %error, "retained records that a service owns again are not forgotten yet");
        }
        memory.last = Some((wish, done));
        fresh = true;
    }
    if let Some((wish, done)) = &memory.last {
        // `report` runs whatever became of `apply`; the finalizer falls only after the records did.
        report::report(ctx, services, wish, done).await;
        finalize::remove(ctx, id, retained, services, wish, done).await;
        if fresh {
            report::events(ctx, services, done).await;
        }
    }
    memory
        .due
        .map_or(RESYNC, |due| due.saturating_duration_since(Instant::now()))
        .max(Duration::from_millis(10))
}

/// When to list again: after a failure as its class says, else with the resync.
fn next_look(done: &Done, failures: u32) -> Duration {
    let classes =
        done.failed.values().map(|failed| failed.class).chain(done.trouble.as_ref().map(|t| t.class));
    // A third of the zone's failures at once is still one wait: the jitter of many zones comes from their names.
    let wait = |class| retry_in(class, failures.saturating_sub(1), 1.0);
    let soonest = classes.filter_map(|class: Class| wait(class)).min();
    soonest.unwrap_or(RESYNC).min(RESYNC.mul_f64(5.0))
}

/// What stood in the zone before this process started, by the services' statuses and what was retained.
pub fn last_known(services: &[Managed], retained: &[(RecordKey, RecordSet)]) -> FoundZone {
    let mut all: FoundZone =
        retained.iter().map(|(key, set)| (key.clone(), Found::ours(set.clone()))).collect();
    for service in services.iter().map(|managed| &*managed.service) {
        for (&(line, family), last) in &service.last {
            let key = RecordKey { name: service.name.clone(), line, family };
            all.insert(key, Found::ours(RecordSet { values: last.values.clone(), ttl: last.ttl }));
        }
    }
    all
}

fn tell(id: &ZoneId, done: &Done) {
    for change in &done.changed {
        info!(zone = %id.zone, provider = %id.provider, "{change}");
    }
    for (key, failed) in &done.failed {
        warn!(zone = %id.zone, record = %key, error = %failed.what, "record not changed");
    }
    match &done.trouble {
        Some(trouble) if trouble.class == Class::Bug => {
            error!(zone = %id.zone, error = %Chain(trouble), "zone failed")
        }
        Some(trouble) => warn!(zone = %id.zone, error = %Chain(trouble), "zone failed"),
        None => {}
    }
    if let Some(digest) = &done.digest {
        warn!(zone = %id.zone, digest = %digest, held = done.held.len(), "mass change held");
    }
}
