//! Whether an application's serving port answers, where no check of its container says so: asked until it does, and then
//! not again before something was heard of it.

use std::time::Duration;

use tokio::time::Instant;

use crate::controllers::app::worker::{LOOK_DEADLINE, RESYNC, Turn, Worker};
use crate::domain::app::instance::Instance;
use crate::domain::app::observed::{Observed, Probe, State};
use crate::domain::app::phase::INIT_GRACE;

/// What is known of the serving port.
#[derive(Default)]
pub struct Prober {
    /// The container, and its start, that answered.
    pub answered: Option<(String, Option<jiff::Timestamp>)>,
    /// How often in a row it did not.
    pub silent: u32,
    /// Why not, the last time.
    pub last: Option<String>,
    /// When to ask again.
    pub next: Option<Instant>,
}

impl Prober {
    /// What is known of it without asking. Who was not asked has not answered.
    pub(super) fn known(&self, instance: &Instance, seen: Option<&Observed>) -> Probe {
        let Some(this) = seen.and_then(|seen| to_ask(instance, seen)) else { return Probe::Nobody };
        if self.answered == Some(this) {
            return Probe::Answers;
        }
        Probe::Silent(self.last.clone().unwrap_or_else(|| "it was not asked yet".into()))
    }
}

impl Worker {
    /// Whether it answers, as far as that is not known already.
    pub(super) async fn probe(&mut self, Turn { runtime, prepared, .. }: Turn<'_>, seen: &Observed) -> Probe {
        let instance = &prepared.instance;
        let Some(this) = to_ask(instance, seen) else { return Probe::Nobody };
        let this = Some(this);
        if self.prober.answered == this && !self.heard {
            return Probe::Answers;
        }
        let now = Instant::now();
        if let (Some(next), Some(words)) = (self.prober.next, &self.prober.last)
            && now < next
        {
            return Probe::Silent(words.clone());
        }
        let asked = tokio::time::timeout(LOOK_DEADLINE, runtime.probe(instance, seen)).await;
        let probe = asked.unwrap_or_else(|_| Probe::Silent("no answer in time".into()));
        match &probe {
            Probe::Silent(words) => {
                let grace = Duration::try_from(INIT_GRACE).unwrap_or(RESYNC);
                let quick = Duration::from_millis(100)
                    .saturating_mul(2u32.saturating_pow(self.prober.silent.min(16)));
                let slow = self.prober.silent < 128;
                let wait = quick.min(if slow { Duration::from_secs(5) } else { grace / 10 });
                (self.prober.answered, self.prober.last) = (None, Some(words.clone()));
                (self.prober.silent, self.prober.next) =
                    (self.prober.silent.saturating_add(1), Some(now + wait));
            }
            Probe::Answers | Probe::Nobody => self.prober = Prober { answered: this, ..Prober::default() },
        }
        probe
    }
}

/// The container that is to be asked, and its start; none: its check tells, or it does not run, or nobody serves.
fn to_ask(instance: &Instance, seen: &Observed) -> Option<(String, Option<jiff::Timestamp>)> {
    let serving = instance.serving.as_ref().filter(|_| instance.wanted.running)?;
    let container = seen.services.get(&serving.service)?;
    let asks = container.state == State::Running && container.health.is_none();
    asks.then(|| (container.id.clone(), container.started))
}
