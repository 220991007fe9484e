//! How a change of version is undone, or given up before anything of the old one was touched.

use std::time::Duration;

use tracing::warn;

use super::{label, told, volumes};
use crate::api::app::{App, RolledBack};
use crate::api::condition::reasons;
use crate::controllers::app::prepare::{Prepared, Refusal};
use crate::controllers::app::revision;
use crate::controllers::app::worker::{Turn, Worker};
use crate::domain::app::observed::Observed;
use crate::domain::app::plan::{Step, plan, waves};
use crate::domain::app::verdict::Backend;
use crate::runtimes::Runtime;
use crate::telemetry::chain::Chain;

impl Worker {
    /// Puts the volumes back; the old version's containers follow by themselves.
    pub(in crate::controllers::app) async fn back(
        &mut self,
        app: &App,
        runtime: &dyn Runtime,
        old: Prepared,
        new: Prepared,
    ) -> Duration {
        let Some(upgrade) = self.reporter.draft.upgrade.clone() else { return Duration::ZERO };
        if let Some(wait) = self.resting() {
            return wait;
        }
        let (from, to) = (Turn { app, runtime, prepared: &old }, Turn { app, runtime, prepared: &new });
        self.say(from, &format!("going back to {}", old.pinned.version)).await;
        if let Err(refusal) = self.restore(from, to, upgrade.from).await {
            return self.later(from, None, refusal).await;
        }
        self.unhindered();
        let failed = self.reporter.draft.rolled_back.is_some();
        self.reporter.draft.upgrade = None;
        // Before this stands the old version must not start: a second putting back would lose what it wrote.
        if !self.close(app, upgrade.to).await {
            self.reporter.draft.upgrade = Some(upgrade);
            return Duration::from_secs(1);
        }
        self.drop_copies(from, upgrade.from).await;
        if failed {
            self.ctx.metrics.upgraded(false);
            let why = self.reporter.draft.rolled_back.as_ref().map(|undone| undone.message.clone());
            self.reporter.event(app, false, reasons::ROLLED_BACK, why.unwrap_or_default()).await;
        }
        Duration::ZERO
    }

    async fn restore(&mut self, from: Turn<'_>, to: Turn<'_>, number: i64) -> Result<(), Refusal> {
        if from.runtime.backend() == Backend::Kubernetes {
            return Ok(());
        }
        self.stop_all(to).await?;
        let seen = self.look(from.runtime, &from.prepared.instance).await?;
        let mine = volumes(&from.prepared.instance).filter(|name| seen.volumes.contains(*name));
        let steps: Vec<Step> = mine.map(|name| Step::Restore(name.clone(), label(number))).collect();
        for wave in waves(&from.prepared.instance, &steps) {
            let done = self.take(from, &wave).await;
            done.map_err(|(step, error)| told(&from.prepared.instance, &step, &error))?;
        }
        Ok(())
    }

    /// Stops what runs of a version, and what is no part of it.
    pub(super) async fn stop_all(&mut self, turn: Turn<'_>) -> Result<Observed, Refusal> {
        let mut stopped = turn.prepared.instance.clone();
        stopped.wanted.running = false;
        let seen = self.look(turn.runtime, &stopped).await?;
        let todo = plan(&stopped, &seen, &Default::default(), turn.runtime.backend());
        for wave in waves(&stopped, &todo.steps) {
            let done = self.take(turn, &wave).await;
            done.map_err(|(step, error)| told(&stopped, &step, &error))?;
        }
        Ok(seen)
    }

    /// Removes the copies of a revision; one that stays costs space and nothing else.
    pub(super) async fn drop_copies(&mut self, turn: Turn<'_>, number: i64) {
        if turn.runtime.backend() == Backend::Kubernetes {
            return;
        }
        let steps: Vec<Step> = volumes(&turn.prepared.instance)
            .map(|name| Step::DropSnapshot(name.clone(), label(number)))
            .collect();
        for wave in waves(&turn.prepared.instance, &steps) {
            if let Err((step, error)) = self.take(turn, &wave).await {
                warn!(app = %self.key, step = %step, error = %Chain(&error), "a copy is not removed");
            }
        }
    }

    /// Notes that a change failed, so that it is not tried again before the next edit.
    pub(super) fn mark(&mut self, app: &App, new: &Prepared, why: String) {
        self.reporter.draft.rolled_back = Some(RolledBack {
            app_version: new.pinned.version.clone(),
            generation: app.metadata.generation.unwrap_or_default(),
            message: new.instance.masked(&why),
        });
    }

    /// Ends a change before anything of the old version was touched.
    pub(super) async fn give_up(&mut self, app: &App, new: &Prepared, why: String) -> Duration {
        warn!(app = %self.key, why = %why, "change of version given up");
        self.mark(app, new, why.clone());
        let to = self.reporter.draft.upgrade.take().map(|upgrade| upgrade.to);
        self.close(app, to.unwrap_or_default()).await;
        self.ctx.metrics.upgraded(false);
        self.reporter.event(app, false, reasons::ROLLED_BACK, why).await;
        Duration::ZERO
    }

    /// Writes that no change is under way, and forgets the revision that it was to.
    pub(super) async fn close(&mut self, app: &App, to: i64) -> bool {
        self.give_back();
        (self.next, self.switched) = (None, None);
        self.unhindered();
        self.clear_failure();
        let stands = self.reporter.save(app).await;
        if stands && let Err(error) = revision::remove(&self.ctx, &self.key, to).await {
            warn!(app = %self.key, number = to, error = %Chain(&error), "a revision is not removed");
        }
        stands
    }
}
