//! A worker's steps: whether they need a turn in the queue, taking them wave by wave, and what a failed one leads to.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::api::app::Progress;
use crate::controllers::app::carry::{self, Meter};
use crate::controllers::app::choices::forget_ports;
use crate::controllers::app::prepare::{self, Prepared, Refusal};
use crate::controllers::app::telling::At;
use crate::controllers::app::worker::{POLL, Turn, Worker};
use crate::domain::app::instance::Instance;
use crate::domain::app::observed::Observed;
use crate::domain::app::phase::Doing;
use crate::domain::app::plan::{Plan, Step, waves};
use crate::runtimes::{Kind, RuntimeError};
use crate::telemetry::chain::Chain;

/// A pull's progress is written at most so often.
const PROGRESS: Duration = Duration::from_secs(1);

impl Worker {
    /// Whether a turn in the queue is needed first.
    pub(super) fn must_queue(&self, Turn { prepared, .. }: Turn<'_>, seen: &Observed, todo: &Plan) -> bool {
        let first = self.reporter.draft.revision.is_none() && !is_complete(&prepared.instance, seen);
        self.slot.is_none() && prepared.instance.wanted.running && (first || todo.pulls().next().is_some())
    }

    /// Waits for a turn; comes back with it, and what was seen before is old then.
    pub(super) async fn queue(&mut self, turn: Turn<'_>, seen: &Observed, doing: &Doing) -> Option<Duration> {
        let first = self.reporter.draft.revision.is_none();
        if first
            && seen.services.is_empty()
            && let Err(refusal) = prepare::enough(turn.runtime, &turn.prepared.instance).await
        {
            self.fail(At::Preparing, refusal);
            let instance = Some(&turn.prepared.instance);
            return Some(self.report_failure(turn.app, Some(turn.runtime), instance).await);
        }
        let now = self.ctx.base.now();
        let since = self.reporter.draft.queued_at.get_or_insert(MicroTime(now)).0;
        let queue = self.ctx.shared.queue(turn.runtime.backend()).clone();
        let (mut place, mut seen) = (queue.enter(&self.key, since), seen.clone());
        loop {
            match place.try_take() {
                Ok(slot) => {
                    self.slot = Some(slot);
                    return None;
                }
                Err(position) => {
                    let queue_position = Some(position);
                    let step = "waits for its turn".to_owned();
                    let progress = Progress { step, queue_position, ..Progress::default() };
                    self.report(turn, Some(&seen), doing, Some(&progress)).await;
                }
            }
            tokio::select! {
                () = place.changed() => {}
                // What runs while its next version waits may end meanwhile.
                () = tokio::time::sleep(POLL), if *doing == Doing::Settled => {
                    seen = self.look(turn.runtime, &turn.prepared.instance).await.unwrap_or(seen);
                    self.heard = true;
                    self.probe(turn, &seen).await;
                }
            }
        }
    }

    /// Takes the steps; none: look again at once.
    pub(super) async fn carry_out(
        &mut self,
        turn: Turn<'_>,
        seen: &Observed,
        todo: &Plan,
    ) -> Option<Duration> {
        for wave in waves(&turn.prepared.instance, &todo.steps) {
            let pulls = matches!(wave.first(), Some(Step::Pull(_)));
            let doing = if pulls { Doing::Pulling } else { Doing::Working };
            self.report(turn, Some(seen), &doing, None).await;
            if let Err((step, error)) = self.take(turn, &wave).await {
                return Some(self.step_failed(turn, seen, step, &error).await);
            }
            self.heal(|failure| matches!(&failure.at, At::Step(step) if wave.contains(step)));
        }
        self.heard = true;
        None
    }

    /// Takes the steps of one wave, and tells how far they are.
    pub(super) async fn take(&mut self, turn: Turn<'_>, wave: &[Step]) -> Result<(), (Step, RuntimeError)> {
        self.take_beside(turn, wave, None).await
    }

    /// The same while another version runs, which is looked at: a pull may take long, and nothing else tells how it is.
    pub(super) async fn take_beside(
        &mut self,
        turn: Turn<'_>,
        wave: &[Step],
        runs: Option<Turn<'_>>,
    ) -> Result<(), (Step, RuntimeError)> {
        let (meter, metrics) = (Meter::default(), self.ctx.metrics.clone());
        let Prepared { instance, credentials, .. } = turn.prepared;
        let work = carry::wave((turn.runtime, &metrics), instance, credentials, wave, &meter);
        let tell = async {
            let mut look = tokio::time::interval_at(Instant::now() + POLL, POLL);
            loop {
                tokio::select! {
                    () = meter.moved() => self.reporter.progress(turn.app, meter.told()).await,
                    _ = look.tick() => {
                        let Some(runs) = runs else { continue };
                        self.tell_beside(runs, &Doing::Settled, &meter.told()).await;
                    }
                }
                tokio::time::sleep(PROGRESS).await;
            }
        };
        tokio::select! {
            done = work => done,
            () = tell => Ok(()),
        }
    }

    pub(super) async fn step_failed(
        &mut self,
        turn: Turn<'_>,
        seen: &Observed,
        step: Step,
        error: &RuntimeError,
    ) -> Duration {
        let mut refusal = Refusal::runtime(error);
        refusal.message = turn.prepared.instance.masked(&step.failed(&refusal.message));
        match self.failed_so(&At::Step(step.clone()), &refusal) {
            true => debug!(app = %self.key, step = %step, error = %refusal.message, "step fails again"),
            false => warn!(app = %self.key, step = %step, error = %refusal.message, "step failed"),
        }
        if error.kind == Kind::PortTaken && self.reporter.draft.revision.is_none() {
            // It was free when it was chosen and never used since: another one does as well.
            if let Err(error) = forget_ports(&self.ctx, &self.key).await {
                warn!(app = %self.key, error = %Chain(&error), "the ports that were chosen are not forgotten");
            }
        }
        self.fail(At::Step(step), refusal);
        self.give_back();
        self.report(turn, Some(seen), &Doing::Settled, None).await;
        self.wait_for_failure()
    }
}

/// Whether every service has a container, or did its work.
fn is_complete(instance: &Instance, seen: &Observed) -> bool {
    instance.workload.services.iter().all(|service| seen.services.contains_key(&service.name))
}
