//! Whether an application's serving port answers, where no check of its container says so: asked until it does, and then
//! not again before something was heard of it.

use std::time::Duration;

use tokio::time::Instant;

use crate::controllers::app::worker::{LOOK_DEADLINE, RESYNC, Turn, Worker};
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

impl Worker {
    /// Whether it answers, as far as that is not known already.
    pub(super) async fn probe(&mut self, Turn { runtime, prepared, .. }: Turn<'_>, seen: &Observed) -> Probe {
        let instance = &prepared.instance;
        let Some(serving) = &instance.serving else { return Probe::Nobody };
        let container = seen.services.get(&serving.service).filter(|c| c.state == State::Running);
        let Some(container) = container.filter(|c| c.health.is_none() && instance.wanted.running) else {
            return Probe::Nobody;
        };
        let this = Some((container.id.clone(), container.started));
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
