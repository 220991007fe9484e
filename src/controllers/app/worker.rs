//! The worker of one App: prepare, look, plan, carry out, report, and when to look again.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::warn;

use crate::api::WORKLOAD_FINALIZER;
use crate::api::app::{App, Power, Revision};
use crate::controllers::app::choices::in_time;
use crate::controllers::app::crashes::Crashes;
use crate::controllers::app::prepare::{self, Prepared, Refusal};
use crate::controllers::app::probing::Prober;
use crate::controllers::app::queue::Slot;
use crate::controllers::app::report::Reporter;
use crate::controllers::app::revision::{self, Pinned, Written};
use crate::controllers::app::shared::{AppContext, kind_of};
use crate::controllers::app::situation::{Situation, void};
use crate::controllers::app::telling::{At, Failure};
use crate::controllers::app::upgrade::aim::Aim;
use crate::controllers::app::{finalize, serve};
use crate::domain::app::instance::{AppKey, Instance};
use crate::domain::app::observed::{Observed, Probe};
use crate::domain::app::phase::{Doing, Phase, STEADY, is_steady, judge};
use crate::domain::app::plan::{Plan, plan};
use crate::domain::retry::Class;
use crate::runtimes::{Kind, Runtime, RuntimeError};
use crate::telemetry::chain::Chain;
use crate::telemetry::round::Round;

/// At rest an application is looked at after this long, whatever was or wasn't heard of it.
pub const RESYNC: Duration = Duration::from_secs(300);
/// While something is awaited, events may be missed for this long.
pub const POLL: Duration = Duration::from_secs(3);
/// Longest that a single look or probe may take.
pub const LOOK_DEADLINE: Duration = Duration::from_secs(60);
/// Turns without a pause from which on something goes round in circles.
const TURNS: u32 = 64;

/// A worker with what it remembers; but for the draft of the status all of it can be lost without harm.
pub struct Worker {
    pub(super) ctx: AppContext,
    pub(super) key: AppKey,
    pub(super) reporter: Reporter,
    pub(super) slot: Option<Slot>,
    pub(super) crashes: Crashes,
    /// The revision that runs.
    pub(super) current: Option<(i64, Pinned)>,
    /// The revision that shall run.
    pub(super) next: Option<(i64, Pinned)>,
    /// Why what the App says now isn't what runs.
    pub(super) invalid: Option<Refusal>,
    pub(super) notes: Vec<(&'static str, String)>,
    pub(super) failure: Option<Failure>,
    pub(super) prober: Prober,
    /// Something was heard of the application, or nothing for long.
    pub(super) heard: bool,
    /// Failures in a row of the removal.
    pub(super) stuck: u32,
    /// Failures in a row of a change of version, and until when it rests.
    pub(super) tries: (u32, Option<Instant>),
    /// Why a change of version waits while the old one runs: reason and words.
    pub(super) waits: Option<(&'static str, String)>,
    /// When the new version of a change took over.
    pub(super) switched: Option<jiff::Timestamp>,
    /// The name that `spec.domain` asks for waits for something.
    pub(super) unserved: bool,
}

/// Works on one App until it is aborted.
pub async fn run(
    ctx: AppContext,
    key: AppKey,
    mut situations: watch::Receiver<Situation>,
    wake: Arc<Notify>,
) {
    let status = situations.borrow().app.status.clone().unwrap_or_default();
    let mut worker = Worker {
        reporter: Reporter::new(ctx.clone(), key.clone(), status),
        ctx,
        key,
        slot: None,
        crashes: Crashes::default(),
        current: None,
        next: None,
        invalid: None,
        notes: Vec::new(),
        failure: None,
        prober: Prober::default(),
        heard: true,
        stuck: 0,
        tries: (0, None),
        waits: None,
        switched: None,
        unserved: false,
    };
    let metrics = worker.ctx.base.metrics.clone();
    let (mut turns, mut last, mut cause) = (0, None, "start");
    loop {
        let now = situations.borrow_and_update().clone();
        let stamp = now.stamp();
        if last.replace(stamp.clone()).is_some_and(|last| last != stamp) {
            worker.edited();
            cause = "edit";
        }
        let round = Round { of: "app", object: worker.key.clone(), cause };
        let turn = async { (worker.turn(&now).await, worker.refusal().map_or(Ok(()), |why| Err(why.class))) };
        let wait = tokio::select! {
            biased;
            changed = void(&mut situations, &stamp) => if changed { continue } else { return },
            wait = round.run(&metrics, turn) => wait,
        };
        turns = if wait.is_zero() { turns + 1 } else { 0 };
        if wait.is_zero() && turns < TURNS {
            cause = "again";
            continue;
        }
        cause = "due";
        tokio::select! {
            changed = void(&mut situations, &stamp) => if !changed { return },
            () = wake.notified() => (worker.heard, cause) = (true, "event"),
            () = tokio::time::sleep(wait.max(Duration::from_millis(10))) => worker.heard |= RESYNC <= wait,
        }
    }
}

/// One turn's constants.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// The App.
    pub app: &'a App,
    /// Where it runs.
    pub runtime: &'a dyn Runtime,
    /// What it shall be.
    pub prepared: &'a Prepared,
}

impl Worker {
    /// The App is another one: what failed may succeed now.
    fn edited(&mut self) {
        (self.failure, self.invalid, self.stuck) = (None, None, 0);
        self.unhindered();
        self.crashes.clear();
        self.heard = true;
    }

    async fn turn(&mut self, now: &Situation) -> Duration {
        let app = &*now.app;
        if app.metadata.deletion_timestamp.is_some() {
            return finalize::turn(self, app).await;
        }
        match self.prepare(now).await {
            Ok((runtime, aim)) => self.follow(app, &*runtime, aim).await,
            Err(refusal) => {
                self.fail(At::Preparing, refusal);
                self.report_failure(app, None, None).await
            }
        }
    }

    async fn prepare(&mut self, now: &Situation) -> Result<(Arc<dyn Runtime>, Aim), Refusal> {
        let app = &*now.app;
        self.claim(app).await?;
        let runtime = prepare::runtime(&self.ctx, now)?;
        self.reporter.draft.runtime = Some(kind_of(runtime.backend()));
        let aim = self.aim(app, &*runtime).await?;
        self.heal(|failure| failure.at == At::Preparing);
        Ok((runtime, aim))
    }

    async fn follow(&mut self, app: &App, runtime: &dyn Runtime, aim: Aim) -> Duration {
        match aim {
            Aim::Stand(prepared) => {
                let turn = Turn { app, runtime, prepared: &prepared };
                self.stand(turn).await.unwrap_or(Duration::ZERO)
            }
            Aim::Change(old, new) => self.change(app, runtime, *old, *new).await,
            Aim::Back(old, new) => self.back(app, runtime, *old, *new).await,
            Aim::Again => Duration::ZERO,
        }
    }

    /// Sets the finalizer: from now on nothing of the application is lost sight of.
    async fn claim(&self, app: &App) -> Result<(), Refusal> {
        let mut all = app.metadata.finalizers.clone().unwrap_or_default();
        if all.iter().any(|one| one == WORKLOAD_FINALIZER) {
            return Ok(());
        }
        all.push(WORKLOAD_FINALIZER.to_owned());
        match finalizers(&self.ctx, app, all).await {
            // Somebody was faster, perhaps ourselves a moment ago: the next turn sees it.
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                let api = Api::<App>::namespaced(self.ctx.base.client.clone(), &self.key.namespace);
                let fresh = in_time(api.get(&self.key.name)).await.map_err(Refusal::plane)?;
                let set = fresh.metadata.finalizers.iter().flatten().any(|one| one == WORKLOAD_FINALIZER);
                if set { Ok(()) } else { Err(Refusal::plane(kube::Error::Api(status))) }
            }
            other => other.map_err(Refusal::plane),
        }
    }

    /// Brings the application to stand as prepared, a step of the way; none: look again at once.
    pub(super) async fn stand(&mut self, turn: Turn<'_>) -> Option<Duration> {
        let Turn { app, runtime, prepared } = turn;
        let instance = &prepared.instance;
        self.note(prepared);
        self.ctx.shared.note(&self.key, instance);
        let mut seen = match self.look(runtime, instance).await {
            Ok(seen) => seen,
            Err(refusal) => {
                self.fail(At::Looking, refusal);
                return Some(self.report_failure(app, Some(runtime), Some(instance)).await);
            }
        };
        self.crashes.look(runtime, instance, &mut seen, self.ctx.base.now()).await;
        let (resting, rested) = self.crashes.resting();
        let todo = plan(instance, &seen, &resting, runtime.backend());
        // What is to be done no more has not failed either.
        self.heal(|failure| matches!(&failure.at, At::Step(step) if !todo.steps.contains(step)));
        if todo.steps.is_empty() {
            return Some(self.rest(turn, seen, &todo, rested).await);
        }
        if let Some(failure) = self.failure.as_ref().filter(|failure| Instant::now() < failure.until) {
            let wait = failure.until.saturating_duration_since(Instant::now());
            self.report(turn, Some(&seen), &Doing::Settled, None).await;
            return Some(wait.min(RESYNC));
        }
        if self.must_queue(turn, &seen, &todo) {
            return self.queue(turn, &seen, &Doing::Queued).await;
        }
        self.carry_out(turn, &seen, &todo).await
    }

    pub(super) async fn look(
        &mut self,
        runtime: &dyn Runtime,
        instance: &Instance,
    ) -> Result<Observed, Refusal> {
        let late = || RuntimeError::new(Kind::Unreachable, Class::Transient, "the runtime gives no answer");
        let seen = tokio::time::timeout(LOOK_DEADLINE, runtime.observe(instance)).await;
        let seen = seen.unwrap_or_else(|_| Err(late()));
        let result = seen.as_ref().map_or_else(|error| error.kind.as_str(), |_| "ok");
        let name = crate::controllers::app::shared::name_of(runtime.backend());
        self.ctx.metrics.step(name, "observe", result);
        let seen = seen.map_err(|error| Refusal::runtime(&error))?;
        self.heal(|failure| failure.at == At::Looking);
        Ok(seen)
    }

    /// There is nothing to do now: judges, and tells when to look again.
    async fn rest(
        &mut self,
        turn: Turn<'_>,
        seen: Observed,
        todo: &Plan,
        rested: Option<Instant>,
    ) -> Duration {
        if todo.waiting.is_empty() {
            self.give_back();
        }
        let instance = &turn.prepared.instance;
        let probe = self.probe(turn, &seen).await;
        let doing = Doing::Settled;
        let judged = judge(Some(instance), &seen, &probe, &doing, self.ctx.base.now());
        if judged.phase == Phase::Running && self.failure.is_none() {
            self.settled(turn).await;
        }
        if judged.phase == Phase::Error {
            // Who can't come up holds up nobody behind it.
            self.give_back();
        }
        serve::follow(self, turn.app).await;
        let judged = self.report_all(turn, Some(&seen), &doing, &probe, None).await;
        self.heard = false;
        let now = Instant::now();
        let mut due = vec![now + RESYNC];
        due.extend(rested);
        due.extend(self.prober.next.filter(|_| matches!(probe, Probe::Silent(_))));
        due.extend(self.failure.as_ref().map(|failure| failure.until));
        if seen.services.values().any(|container| !is_steady(container, self.ctx.base.now())) {
            due.push(now + Duration::try_from(STEADY).unwrap_or(POLL));
        }
        let moving = !matches!(judged.phase, Phase::Running | Phase::Stopped | Phase::Error);
        if moving || self.unserved || !self.reporter.stands() {
            due.push(now + POLL);
        }
        if let Some(ahead) = restart_ahead(turn.app, self.ctx.base.now()) {
            due.push(now + ahead);
        }
        let next = due.into_iter().min().unwrap_or(now);
        next.saturating_duration_since(now).max(Duration::from_millis(10))
    }

    /// It answers: what it was made from is written down, so that a changed catalogue does not change it.
    async fn settled(&mut self, turn: Turn<'_>) {
        if self.reporter.draft.revision.is_some() {
            return;
        }
        let uid = turn.app.metadata.uid.clone().unwrap_or_default();
        let pinned = turn.prepared.pinned.clone();
        match revision::save(&self.ctx, (&self.key, &uid), 1, &pinned).await {
            Ok(written) => {
                self.record(1, &pinned);
                self.current = Some((1, pinned));
                if written == Written::TooLarge {
                    warn!(app = %self.key, "its template is too large to be kept: it follows the catalogue");
                }
            }
            Err(error) => warn!(app = %self.key, error = %Chain(&error), "its revision is not written yet"),
        }
    }

    /// Notes in the draft which revision runs.
    pub(super) fn record(&mut self, number: i64, pinned: &Pinned) {
        let draft = &mut self.reporter.draft;
        draft.revision = Some(number);
        draft.running_version = Some(pinned.version.clone());
        let at = Some(Time(self.ctx.base.now()));
        let offer = self.ctx.library.get(&pinned.template.name);
        draft.official = offer.is_some_and(|offer| offer.official);
        draft.revisions.retain(|revision| revision.number != number);
        draft.revisions.push(Revision { number, app_version: pinned.version.clone(), at });
    }
}

/// How long until `spec.restartedAt` comes, where it lies ahead.
fn restart_ahead(app: &App, now: jiff::Timestamp) -> Option<Duration> {
    let at = app.spec.restarted_at.as_ref()?.0;
    let running = app.spec.power == Power::Running;
    Duration::try_from(at.duration_since(now)).ok().filter(|ahead| running && !ahead.is_zero())
}

/// Writes an App's finalizers over exactly what was read.
pub async fn finalizers(ctx: &AppContext, app: &App, all: Vec<String>) -> Result<(), kube::Error> {
    let namespace = app.metadata.namespace.as_deref().unwrap_or_default();
    let name = app.metadata.name.as_deref().unwrap_or_default();
    let api = Api::<App>::namespaced(ctx.base.client.clone(), namespace);
    let metadata = json!({ "finalizers": all, "resourceVersion": app.metadata.resource_version });
    let params = PatchParams { field_manager: Some("cocoasyncer/app".into()), ..PatchParams::default() };
    in_time(api.patch(name, &params, &Patch::Merge(json!({ "metadata": metadata })))).await.map(|_| ())
}
