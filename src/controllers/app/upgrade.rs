//! A change of version as a transaction: pull while the old one runs, stop it, copy its volumes aside, switch, and see
//! whether the new one answers; else put volumes and version back. Where it is stands in the status, so that it goes on
//! after a kill; every step may be taken twice.

pub mod aim;
mod undo;

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;
use tracing::warn;

use crate::api::app::{App, Upgrade};
use crate::api::condition::reasons;
use crate::controllers::app::prepare::{Prepared, Refusal};
use crate::controllers::app::report::Told;
use crate::controllers::app::revision;
use crate::controllers::app::worker::{Turn, Worker};
use crate::controllers::shared::chance::chance;
use crate::domain::app::instance::Instance;
use crate::domain::app::observed::{Observed, Probe};
use crate::domain::app::phase::{CRASH_LOOP, Doing, INIT_GRACE, Phase};
use crate::domain::app::plan::{Step, plan, waves};
use crate::domain::app::verdict::Backend;
use crate::domain::app::workload::Check;
use crate::domain::retry::{Class, retry_in};
use crate::runtimes::{Runtime, RuntimeError};
use crate::telemetry::chain::Chain;

/// Images are pulled; the old version runs.
const PULLING: &str = "Pulling";
/// The old version is stopped and its volumes are copied aside.
const SNAPSHOTTING: &str = "Snapshotting";
/// The new version's containers are made.
const SWITCHING: &str = "Switching";
/// The new version started, and it is seen whether it answers.
const PROBING: &str = "Probing";
/// The volumes are put back.
const ROLLING_BACK: &str = "RollingBack";
/// So often a step of the new version may fail by the world's fault until it is given up.
const TRIES: u32 = 3;

fn label(number: i64) -> String {
    format!("r{number}")
}

/// The application's own volumes.
fn volumes(instance: &Instance) -> impl Iterator<Item = &String> {
    instance.workload.volumes.iter().filter(|(_, volume)| !volume.external).map(|(name, _)| name)
}

/// How long a version may take until it answers: as its checks say, but never less than the usual grace.
fn patience(instance: &Instance) -> SignedDuration {
    let of = |check: &Check| {
        let interval = check.interval.unwrap_or(Duration::from_secs(30));
        check.start_period.unwrap_or_default() + interval * check.retries.unwrap_or(3)
    };
    let checks = instance.workload.services.iter().filter_map(|service| service.check.as_ref()).map(of);
    let longest = checks.max().unwrap_or_default();
    SignedDuration::try_from(longest).unwrap_or(INIT_GRACE).saturating_add(INIT_GRACE)
}

impl Worker {
    /// Notes a step, durably; false: that failed.
    pub(super) async fn step(&mut self, app: &App, step: &str) -> bool {
        if let Some(upgrade) = &mut self.reporter.draft.upgrade {
            step.clone_into(&mut upgrade.step);
        }
        self.reporter.save(app).await
    }

    /// Takes a step of the way to the new version.
    pub(super) async fn change(
        &mut self,
        app: &App,
        runtime: &dyn Runtime,
        old: Prepared,
        new: Prepared,
    ) -> Duration {
        let Some(upgrade) = self.reporter.draft.upgrade.clone() else { return Duration::ZERO };
        let (from, to) = (Turn { app, runtime, prepared: &old }, Turn { app, runtime, prepared: &new });
        match upgrade.step.as_str() {
            PULLING => self.pull(from, to).await,
            SNAPSHOTTING => self.set_aside(from, to, &upgrade).await,
            _ => self.switch(from, to, &upgrade).await,
        }
    }

    async fn pull(&mut self, from: Turn<'_>, to: Turn<'_>) -> Duration {
        if let Some(wait) = self.resting() {
            // The old version runs on, and is looked after as any other.
            let next = self.stand(from).await.unwrap_or_default();
            return next.min(wait);
        }
        let seen = match self.look(from.runtime, &from.prepared.instance).await {
            Ok(seen) => seen,
            Err(refusal) => return self.later(from, None, refusal).await,
        };
        self.note(from.prepared);
        let probe = self.probe(from, &seen).await;
        if self.slot.is_none() {
            // Until its turn comes the old version runs, and so says the status.
            return self.queue(from, &seen, &Doing::Settled).await.unwrap_or(Duration::ZERO);
        }
        let wished = match self.look(to.runtime, &to.prepared.instance).await {
            Ok(wished) => wished,
            Err(refusal) => return self.later(from, Some(&seen), refusal).await,
        };
        let todo = plan(&to.prepared.instance, &wished, &Default::default(), to.runtime.backend());
        let pulls: Vec<Step> = todo.steps.into_iter().filter(|step| matches!(step, Step::Pull(_))).collect();
        self.report_all(from, Some(&seen), &Doing::Settled, &probe, None).await;
        for wave in waves(&to.prepared.instance, &pulls) {
            if let Err((step, error)) = self.take_beside(to, &wave, Some(from)).await {
                let refusal = told(&to.prepared.instance, &step, &error);
                if error.class == Class::User {
                    return self.give_up(from.app, to.prepared, refusal.message).await;
                }
                return self.later(from, Some(&seen), refusal).await;
            }
        }
        self.unhindered();
        let next = if to.runtime.backend() == Backend::Docker { SNAPSHOTTING } else { SWITCHING };
        self.step(from.app, next).await;
        Duration::ZERO
    }

    async fn set_aside(&mut self, from: Turn<'_>, to: Turn<'_>, upgrade: &Upgrade) -> Duration {
        if let Some(wait) = self.resting() {
            return wait;
        }
        let words = format!("changing to {}: its volumes are copied aside", to.prepared.pinned.version);
        self.say(from, &words).await;
        let seen = match self.stop_all(from).await {
            Ok(seen) => seen,
            Err(refusal) => return self.later(from, None, refusal).await,
        };
        let mine = volumes(&from.prepared.instance).filter(|name| seen.volumes.contains(*name));
        let copies: Vec<Step> = mine.map(|name| Step::Snapshot(name.clone(), label(upgrade.from))).collect();
        for wave in waves(&from.prepared.instance, &copies) {
            if let Err((step, error)) = self.take(from, &wave).await {
                let refusal = told(&from.prepared.instance, &step, &error);
                if error.class == Class::User || TRIES <= self.tries.0 + 1 {
                    self.drop_copies(from, upgrade.from).await;
                    return self.give_up(from.app, to.prepared, refusal.message).await;
                }
                return self.later(from, None, refusal).await;
            }
        }
        self.unhindered();
        self.switched = None;
        self.crashes.clear();
        self.step(from.app, SWITCHING).await;
        Duration::ZERO
    }

    async fn switch(&mut self, from: Turn<'_>, to: Turn<'_>, upgrade: &Upgrade) -> Duration {
        let now = self.ctx.base.now();
        let since = *self.switched.get_or_insert(now);
        let wait = self.stand(to).await;
        let failed =
            self.refusal().filter(|refusal| refusal.class == Class::User || TRIES <= self.failures());
        let failed = failed.map(|refusal| refusal.message.clone());
        let phase = self.reporter.phase();
        let bad = phase == Some(Phase::Error) && self.failures() == 0;
        let looping = bad && (self.crashes.is_loop() || self.engine_gave_up() || self.reason_is_final());
        let late = patience(&to.prepared.instance) < now.duration_since(since);
        let why = match (failed, looping || late) {
            (Some(why), _) => Some(why),
            (None, true) => Some(self.ready_message()),
            _ => None,
        };
        if let Some(why) = why {
            warn!(app = %self.key, to = upgrade.to, why = %why, "change of version failed: it is undone");
            self.mark(from.app, to.prepared, why);
            self.crashes.clear();
            self.step(from.app, ROLLING_BACK).await;
            return Duration::ZERO;
        }
        let Some(wait) = wait else { return Duration::ZERO };
        if phase == Some(Phase::Running) && self.failures() == 0 {
            return self.finish(to, upgrade).await;
        }
        if upgrade.step == SWITCHING && self.failures() == 0 {
            self.step(from.app, PROBING).await;
        }
        wait.min(Duration::try_from(patience(&to.prepared.instance)).unwrap_or(wait))
    }

    /// The new version answers.
    async fn finish(&mut self, to: Turn<'_>, upgrade: &Upgrade) -> Duration {
        self.record(upgrade.to, &to.prepared.pinned);
        self.current = Some((upgrade.to, to.prepared.pinned.clone()));
        self.next = None;
        self.reporter.draft.upgrade = None;
        self.reporter.draft.rolled_back = None;
        let keep = usize::try_from(to.app.spec.keep_versions).unwrap_or_default() + 1;
        let all = &mut self.reporter.draft.revisions;
        let old: Vec<i64> =
            all.drain(..all.len().saturating_sub(keep)).map(|revision| revision.number).collect();
        self.reporter.save(to.app).await;
        self.give_back();
        for number in old {
            self.drop_copies(to, number).await;
            if let Err(error) = revision::remove(&self.ctx, &self.key, number).await {
                warn!(app = %self.key, number, error = %Chain(&error), "an old revision is not removed");
            }
        }
        self.ctx.metrics.upgraded(true);
        self.reporter.event(to.app, true, "Upgraded", format!("to {}", to.prepared.pinned.version)).await;
        Duration::ZERO
    }

    /// A step of the change failed by the world's fault: tells so while the old version goes on, and tries again.
    pub(super) async fn later(
        &mut self,
        from: Turn<'_>,
        seen: Option<&Observed>,
        refusal: Refusal,
    ) -> Duration {
        let wait = retry_in(Class::Transient, self.tries.0, chance()).unwrap_or_default();
        self.tries = (self.tries.0.saturating_add(1), Some(Instant::now() + wait));
        self.give_back();
        let words = format!("the change of version waits: {}", refusal.message);
        self.waits = Some((refusal.reason, words));
        self.note(from.prepared);
        match seen {
            Some(seen) => self.report(from, Some(seen), &Doing::Settled, None).await,
            None => {
                let doing = Doing::Failed(refusal.reason, refusal.message);
                let told = Told { instance: Some(&from.prepared.instance), ..Told::only(&doing) };
                self.reporter.report(from.app, Some(from.runtime), told).await;
            }
        }
        wait
    }

    /// How long a step that failed still rests.
    pub(super) fn resting(&self) -> Option<Duration> {
        let until = self.tries.1?;
        let wait = until.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    pub(super) async fn say(&mut self, turn: Turn<'_>, words: &str) {
        let told = Told {
            instance: Some(&turn.prepared.instance),
            probe: &Probe::Nobody,
            words: Some(words),
            ..Told::only(&Doing::Working)
        };
        self.reporter.report(turn.app, Some(turn.runtime), told).await;
    }

    fn ready(&self) -> Option<(&str, &str)> {
        let all = &self.reporter.draft.conditions;
        let ready = all.iter().find(|condition| condition.type_ == crate::api::condition::types::READY)?;
        Some((&ready.reason, &ready.message))
    }

    fn ready_message(&self) -> String {
        self.ready().map(|(_, message)| message.to_owned()).unwrap_or_default()
    }

    /// Whether a container ends again and again that the engine itself brings back: those ends are counted there.
    fn engine_gave_up(&self) -> bool {
        let looping = matches!(self.ready(), Some((reasons::CRASH_LOOP, _)));
        looping && self.reporter.draft.services.iter().any(|service| CRASH_LOOP <= service.restarts)
    }

    /// Whether what is wrong will not mend itself: checks have had their time.
    fn reason_is_final(&self) -> bool {
        matches!(self.ready(), Some((reasons::UNHEALTHY | reasons::NOT_ANSWERING, _)))
    }
}

fn told(instance: &Instance, step: &Step, error: &RuntimeError) -> Refusal {
    let mut refusal = Refusal::runtime(error);
    refusal.message = instance.masked(&step.failed(&refusal.message));
    refusal
}
