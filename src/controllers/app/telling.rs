//! What a worker's failures lead to, and what it reports of a turn.

use std::time::Duration;

use tokio::time::Instant;

use crate::api::app::{App, Progress};
use crate::controllers::app::prepare::{Prepared, Refusal};
use crate::controllers::app::report::Told;
use crate::controllers::app::worker::{POLL, RESYNC, Turn, Worker};
use crate::controllers::shared::chance::chance;
use crate::domain::app::instance::Instance;
use crate::domain::app::observed::{Observed, Probe};
use crate::domain::app::phase::{Doing, Judgement};
use crate::domain::app::plan::Step;
use crate::domain::app::verdict::Backend;
use crate::domain::retry::retry_in;
use crate::runtimes::Runtime;

/// Where it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// Before anything was looked at.
    Preparing,
    /// Looking at what stands.
    Looking,
    /// Taking a step.
    Step(Step),
}

/// A failure; it stays until what failed succeeds, or the App is edited.
pub struct Failure {
    /// Where.
    pub at: At,
    /// What it was.
    pub refusal: Refusal,
    /// How often in a row before.
    pub count: u32,
    /// When to try again.
    pub until: Instant,
}

impl Worker {
    /// Notes a failure; the same one again waits longer.
    pub(super) fn fail(&mut self, at: At, refusal: Refusal) {
        let same = self.failure.as_ref().filter(|failure| failure.at == at);
        let count = same.map_or(0, |failure| failure.count.saturating_add(1));
        // Most edits that help are made elsewhere, in a registry or at the host: nobody tells us of them.
        let wait = retry_in(refusal.class, count, chance()).unwrap_or(RESYNC);
        self.failure = Some(Failure { at, refusal, count, until: Instant::now() + wait });
    }

    /// Whether it failed there for the same reason already.
    pub(super) fn failed_so(&self, at: &At, refusal: &Refusal) -> bool {
        self.failure.as_ref().is_some_and(|last| last.at == *at && last.refusal.reason == refusal.reason)
    }

    pub(super) fn heal(&mut self, is_over: impl FnOnce(&Failure) -> bool) {
        if self.failure.as_ref().is_some_and(is_over) {
            self.failure = None;
        }
    }

    pub(super) fn clear_failure(&mut self) {
        self.failure = None;
    }

    /// How often in a row the last failure happened.
    pub(super) fn failures(&self) -> u32 {
        self.failure.as_ref().map_or(0, |failure| failure.count + 1)
    }

    /// The last failure, if it is still one.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        self.failure.as_ref().map(|failure| &failure.refusal)
    }

    pub(super) fn wait_for_failure(&self) -> Duration {
        let until = self.failure.as_ref().map(|failure| failure.until);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now())).min(RESYNC)
    }

    /// A change of version goes on: what failed of it before is over.
    pub(super) fn unhindered(&mut self) {
        (self.tries, self.waits) = ((0, None), None);
    }

    /// Notes what is not in all as it should be of an application that stands as prepared.
    pub(super) fn note(&mut self, prepared: &Prepared) {
        self.notes = self.waits.iter().chain(&prepared.notes).cloned().collect();
    }

    /// Looks at what stands beside something that takes long, and tells it.
    pub(super) async fn tell_beside(&mut self, turn: Turn<'_>, doing: &Doing, progress: &Progress) {
        // Where nothing can be seen, what takes long fails too, and says why.
        let Ok(seen) = self.look(turn.runtime, &turn.prepared.instance).await else { return };
        self.heard = true;
        let probe = self.probe(turn, &seen).await;
        self.report_all(turn, Some(&seen), doing, &probe, Some(progress)).await;
    }

    /// Gives the turn back and leaves the queue.
    pub(super) fn give_back(&mut self) {
        self.slot = None;
        self.reporter.draft.queued_at = None;
        self.ctx.shared.queue(Backend::Docker).leave(&self.key);
        self.ctx.shared.queue(Backend::Kubernetes).leave(&self.key);
    }

    pub(super) async fn report_failure(
        &mut self,
        app: &App,
        runtime: Option<&dyn Runtime>,
        instance: Option<&Instance>,
    ) -> Duration {
        self.give_back();
        let Some(refusal) = self.refusal().cloned() else { return Duration::ZERO };
        let doing = Doing::Failed(refusal.reason, refusal.message.clone());
        let invalid = Some(&refusal).filter(|refusal| refusal.invalid);
        let notes = self.notes.clone();
        let told = Told { instance, invalid, notes: &notes, ..Told::only(&doing) };
        self.reporter.report(app, runtime, told).await;
        let wait = self.wait_for_failure();
        if self.reporter.stands() { wait } else { wait.min(POLL) }
    }

    /// Reports before or during steps.
    pub(super) async fn report(
        &mut self,
        turn: Turn<'_>,
        seen: Option<&Observed>,
        doing: &Doing,
        progress: Option<&Progress>,
    ) {
        let known = self.prober.known(&turn.prepared.instance, seen);
        self.report_all(turn, seen, doing, &known, progress).await;
    }

    pub(super) async fn report_all(
        &mut self,
        turn: Turn<'_>,
        seen: Option<&Observed>,
        doing: &Doing,
        probe: &Probe,
        progress: Option<&Progress>,
    ) -> Judgement {
        let failed = self.refusal().map(|refusal| Doing::Failed(refusal.reason, refusal.message.clone()));
        let (invalid, notes) = (self.invalid.clone(), self.notes.clone());
        let told = Told {
            instance: Some(&turn.prepared.instance),
            seen,
            probe,
            doing: failed.as_ref().unwrap_or(doing),
            invalid: invalid.as_ref(),
            notes: &notes,
            progress,
            words: None,
        };
        self.reporter.report(turn.app, Some(turn.runtime), told).await
    }
}
