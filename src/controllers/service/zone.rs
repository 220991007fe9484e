//! The worker of one zone: wish, list, plan, apply, report, and when to look again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::api::vocab::PlatformProvider;
use crate::controllers::service::memory::turn_wait;
use crate::controllers::service::retained::Retained;
use crate::controllers::service::sync::{Done, Failed, Why, Zone};
use crate::controllers::service::written::Written;
use crate::controllers::service::{finalize, measure, report};
use crate::controllers::shared::context::{Context, Role};
use crate::controllers::shared::report::is_open as status_is_open;
use crate::controllers::snapshot::{Managed, RESYNC, Snapshot};
use crate::domain::causes::put_right;
use crate::domain::dns_plan::{Change, DnsPlan, Found, FoundZone, Held};
use crate::domain::names::DnsName;
use crate::domain::records::{RecordKey, RecordSet, Wish, ZoneId, wish};
use crate::domain::retry::Class;
use crate::telemetry::chain::Chain;
use crate::telemetry::round::Round;
use crate::telemetry::said::Said;

/// While a long plan is carried out, statuses follow at this pace.
const REPORT: Duration = Duration::from_secs(1);
/// The shortest wait before the zone is looked at anew because something failed.
const SOON: Duration = Duration::from_secs(1);
/// A record that another node has to write is looked for again after this long, then less and less often.
const AWAIT: Duration = Duration::from_secs(3);

type Snapshots = watch::Receiver<Option<Arc<Snapshot>>>;

/// A worker with what it remembers; all of it can be lost without harm.
struct Worker {
    ctx: Context,
    id: ZoneId,
    retained: Retained,
    zone: Option<Zone>,
    /// The wish of the last turn that planned and applied.
    last: Option<(Wish, Done)>,
    /// When to list again whatever the wish.
    due: Option<Instant>,
    /// Turns in a row that failed as a whole, or waited for another node.
    troubles: u32,
    awaited: u32,
    reported: Option<Instant>,
    written: Written,
    stop: CancellationToken,
    said: Said<About>,
}

/// What a failure in a zone is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Zone,
    Record(RecordKey),
    MassChange,
}

/// Works on one zone until `stop`.
pub async fn run(
    ctx: Context,
    id: ZoneId,
    retained: Retained,
    mut snapshots: Snapshots,
    stop: CancellationToken,
) {
    let (zone, last, due, reported) = (None, None, None, None);
    let (said, until, written) = (Said::default(), stop.clone(), Written::default());
    let (troubles, awaited) = (0, 0);
    let mut worker = Worker {
        ctx,
        id,
        retained,
        zone,
        last,
        due,
        troubles,
        awaited,
        reported,
        written,
        stop: until,
        said,
    };
    let metrics = worker.ctx.metrics.clone();
    let mut cause = "start";
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let services = snapshot.as_ref().and_then(|snapshot| snapshot.zones.get(&worker.id).cloned());
        let wait = match (snapshot, services) {
            (Some(snapshot), Some(services)) => {
                let object = format!("{} at {}", worker.id.zone, worker.id.provider);
                let services = worker.written.over(services);
                let turn = async {
                    let wait = worker.turn(&snapshot, &services, &snapshots).await;
                    (wait, worker.last.as_ref().map_or(Ok(()), |(_, done)| done.result()))
                };
                Round { of: "zone", object, cause }.run(&metrics, turn).await
            }
            _ => RESYNC,
        };
        cause = "due";
        tokio::select! {
            biased;
            () = stop.cancelled() => return worker.ctx.metrics.forget(&worker.id),
            () = tokio::time::sleep(wait) => {}
            changed = snapshots.changed() => if changed.is_ok() { cause = "news" } else { return },
        }
    }
}

impl Worker {
    async fn turn(&mut self, snapshot: &Snapshot, services: &[Managed], snapshots: &Snapshots) -> Duration {
        let Some(provider) = snapshot.provider_of(&self.ctx, &self.id) else {
            let open = report::provider_unknown(&self.ctx, snapshot, services).await;
            self.troubles = if open { self.troubles.saturating_add(1) } else { 0 };
            return if open { turn_wait(Class::Transient, self.troubles) } else { RESYNC };
        };
        let mut zone = match self.zone.take() {
            Some(mut zone) => {
                if zone.through(&provider) {
                    (self.due, self.troubles) = (None, 0);
                }
                zone
            }
            None => {
                provider.resume(&self.id.zone, last_known(services, &self.retained.of(&self.id.zone)));
                Zone::new(self.id.zone.clone(), self.ctx.me.clone(), provider)
            }
        };
        zone.follow(snapshot.follows(&self.ctx.me));
        let before = self.last.as_ref().map(|(wish, _)| wish);
        let raw = || {
            let mut wish = wish(services.iter().map(|managed| &*managed.service), &snapshot.cluster);
            if let Some(before) = before {
                put_right(&mut wish, before, &snapshot.cluster);
            }
            wish
        };
        let wish = zone.fit(raw());
        let told = self.last.as_ref().is_some_and(|(last, _)| zone.heed(&last.adopt, &wish.adopt));
        let due = told || self.due.is_none_or(|due| due <= Instant::now());
        let why = match &self.last {
            _ if due => Some(Why::Due),
            Some((last, done)) if done.left.is_empty() && last.same_targets(&wish) => None,
            _ => Some(Why::Wish),
        };
        if let Some(why) = why {
            let (wish, plan, trouble) = zone.plan(wish, raw, why).await;
            let mut done = Done { held: plan.held, digest: plan.digest, trouble, ..Done::default() };
            let plan = DnsPlan { held: Vec::new(), digest: None, ..plan };
            self.carry_out(&mut zone, services, &wish, plan, &mut done, snapshots).await;
            self.settle(&zone, &wish, &done).await;
            let fresh = Some((wish, done));
            self.last = fresh;
            self.report(&zone, services, true).await;
        } else {
            self.report(&zone, services, false).await;
        }
        let wait = match (&self.last, self.due) {
            (Some((_, done)), _) if !done.left.is_empty() => Duration::ZERO,
            (_, None) => RESYNC,
            (_, Some(due)) => due.saturating_duration_since(Instant::now()).max(Duration::from_millis(10)),
        };
        // Asked of thousands after every turn: mostly nothing fails at all.
        let open = match self.ctx.said.is_empty() {
            true => 0,
            false => services.iter().filter(|managed| self.is_open(managed)).count(),
        };
        let wait = zone.unless_open(open, wait);
        self.zone = Some(zone);
        wait
    }

    /// Whether the API server has yet to take something of a service.
    fn is_open(&self, managed: &Managed) -> bool {
        let status = managed.object().is_some_and(|object| status_is_open(&self.ctx, object));
        status || finalize::is_open(&self.ctx, &managed.service.id)
    }

    /// Makes the changes of a plan, a slice at a time; gives way as soon as the world has changed, or the end was asked
    /// for.
    async fn carry_out(
        &mut self,
        zone: &mut Zone,
        services: &[Managed],
        wish: &Wish,
        plan: DnsPlan,
        done: &mut Done,
        snapshots: &Snapshots,
    ) {
        let (ctx, id, written) = (&self.ctx, &self.id, &mut self.written);
        let unmarked = match ctx.role {
            Role::Active => finalize::add(ctx, services, written).await,
            // What a standby serves goes with its process.
            Role::Standby => BTreeSet::new(),
        };
        let began = Instant::now();
        let mut rest = plan.changes.into_iter();
        loop {
            let mut slice = zone.next_slice(&mut rest, &unmarked, done);
            if slice.is_empty() {
                break;
            }
            let news = zone.to_note(&slice);
            if !news.is_empty() {
                zone.begin(&slice);
                let unnoted = report::begin(ctx, services, zone.notes(), &news, written).await;
                let waits = |change: &mut Change| change.from.is_none() && unnoted.contains(&change.service);
                let waiting = slice.extract_if(.., waits);
                let why = Failed::later("the beginning of its creation could not be noted yet");
                done.failed.extend(waiting.map(|change| (change.key, why.clone())));
            }
            let before = done.changed.len();
            zone.apply(slice, wish, done).await;
            measure::acknowledged(ctx, id, done.changed.len() - before, began.elapsed());
            if self.stop.is_cancelled() || snapshots.has_changed().unwrap_or(false) {
                done.left = rest.map(|change| change.key.name).collect();
                break;
            }
        }
        measure::turn(ctx, id, wish, done, zone.standing());
    }

    /// What follows from a turn: the log, and when to look again.
    async fn settle(&mut self, zone: &Zone, wish: &Wish, done: &Done) {
        tell(&self.id, done, &self.said);
        let class = done.trouble.as_ref().map(|trouble| trouble.class);
        self.troubles = if class.is_some() { self.troubles.saturating_add(1) } else { 0 };
        let awaits = done.held.iter().any(|held| matches!(held, Held::Awaited { .. }));
        self.awaited = if awaits { self.awaited.saturating_add(1) } else { 0 };
        let failed = done.failed.values().any(|failed| failed.class != Class::User);
        let wait = match class {
            Some(class) => turn_wait(class, self.troubles),
            None if awaits => AWAIT.saturating_mul(2u32.saturating_pow(self.awaited.min(8))).min(RESYNC),
            // What failed before it was tried, as for want of a finalizer, is nobody's refusal.
            None if failed && zone.notes().next_try(None).is_none() => SOON,
            // A turn that did without a look puts off none.
            None => RESYNC.saturating_sub(zone.looked().map_or(Duration::ZERO, |at| at.elapsed())),
        };
        let now = Instant::now();
        let next = now + wait;
        // Nothing was tried of what rests where the zone could not be read or the plan gave way: who has rested enough
        // by then waits for the next look.
        let tried = class.is_none() && done.left.is_empty();
        let retry = match tried {
            true => zone.notes().next_try(None).map(|retry| retry.max(now + SOON)),
            false => zone.notes().next_try(Some(now)),
        };
        self.due = Some(retry.map_or(next, |retry| retry.min(next)));
        // Only what lives inside is retained by us, and another platform may have a zone of the same name.
        let mine = self.ctx.role == Role::Active && self.id.provider == PlatformProvider::Local;
        if done.left.is_empty() && mine {
            let owned = |name: &DnsName| wish.names.contains_key(name) && !wish.frozen.contains(name);
            if let Err(error) = self.retained.forget(&self.ctx.client, &self.id.zone, owned).await {
                warn!(zone = %self.id.zone, error = %Chain(&error), "retained records that a service owns again are not forgotten yet");
            }
        }
    }

    /// Reports; it runs whatever became of the changes, and the finalizer falls only after the records did.
    async fn report(&mut self, zone: &Zone, services: &[Managed], fresh: bool) {
        let Some((wish, done)) = self.last.as_ref().filter(|_| self.ctx.role == Role::Active) else { return };
        let busy = !done.left.is_empty() && self.reported.is_some_and(|at| at.elapsed() < REPORT);
        if !busy {
            let outcome = report::Outcome { done, zone };
            report::report(&self.ctx, services, wish, &outcome, &mut self.written).await;
            self.reported = Some(Instant::now());
        }
        finalize::remove(
            &self.ctx,
            &self.id,
            &self.retained,
            services,
            wish,
            &report::Outcome { done, zone },
            &self.written,
        )
        .await;
        if fresh {
            report::events(&self.ctx, services, done).await;
        }
    }
}

/// What stood in the zone before this process started, by the services' statuses and what was retained.
pub fn last_known(services: &[Managed], retained: &[(RecordKey, RecordSet)]) -> FoundZone {
    let mut all: FoundZone =
        retained.iter().map(|(key, set)| (key.clone(), Found::ours(set.clone()))).collect();
    for service in services.iter().map(|managed| &*managed.service) {
        for (&(line, family), last) in &service.last {
            let key = RecordKey { name: service.name.clone(), line, family };
            all.insert(key, Found::ours(RecordSet::of(last.values.clone(), last.ttl)));
        }
    }
    all
}

/// Tells what was done, and what failed: once, until it fails in another way or not any more.
fn tell(id: &ZoneId, done: &Done, said: &Said<About>) {
    for change in &done.changed {
        info!(zone = %id.zone, provider = %id.provider, "{change}");
    }
    for (key, failed) in done.failed.iter().filter(|(key, _)| !done.untried.contains(*key)) {
        match said.fails(About::Record(key.clone()), failed.kind.as_str()) {
            true => warn!(zone = %id.zone, record = %key, error = %failed.what, "record not changed"),
            false => debug!(zone = %id.zone, record = %key, error = %failed.what, "record still not changed"),
        }
    }
    match &done.trouble {
        Some(trouble) if !said.fails(About::Zone, trouble.kind.as_str()) => {
            debug!(zone = %id.zone, error = %Chain(trouble), "zone still fails")
        }
        Some(trouble) if trouble.class == Class::Bug => {
            error!(zone = %id.zone, error = %Chain(trouble), "zone failed")
        }
        Some(trouble) => warn!(zone = %id.zone, error = %Chain(trouble), "zone failed"),
        None if said.is_well(&About::Zone) => info!(zone = %id.zone, "zone can be read again"),
        None => {}
    }
    if let Some(digest) = &done.digest
        && said.fails(About::MassChange, digest)
    {
        warn!(zone = %id.zone, digest = %digest, held = done.held.len(), "mass change held");
    }
    said.keep(|about| match about {
        About::Zone => true,
        About::Record(key) => done.failed.contains_key(key),
        About::MassChange => done.digest.is_some(),
    });
}
