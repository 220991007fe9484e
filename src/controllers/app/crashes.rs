//! Containers that end on their own: how often, how long each rests before it is started again, and their last words.
//! A memory that can be lost without harm: it begins to count anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::controllers::shared::report::cut;
use crate::domain::app::instance::Instance;
use crate::domain::app::observed::{Container, Observed, State};
use crate::domain::app::phase::{CRASH_LOOP, is_steady};
use crate::domain::app::plan;
use crate::domain::retry::{Class, retry_in};
use crate::runtimes::Runtime;

/// Who stayed up so long has not ended again and again.
const FORGOTTEN: SignedDuration = SignedDuration::from_mins(5);
/// Longest that a log may take to be read.
const LOG_DEADLINE: Duration = Duration::from_secs(5);
/// Of a log's line so much is repeated.
const LAST_WORDS: usize = 300;

struct Crash {
    count: u32,
    /// Which end was counted last.
    last: (String, Option<Timestamp>),
    until: Instant,
    words: Option<String>,
}

/// What is remembered of the services of one application.
#[derive(Default)]
pub struct Crashes {
    by_service: BTreeMap<String, Crash>,
}

impl Crashes {
    /// Forgets everything: the application was edited, or stopped.
    pub fn clear(&mut self) {
        self.by_service.clear();
    }

    /// Takes in what was seen, and puts the counts and last words into it.
    pub async fn look(
        &mut self,
        runtime: &dyn Runtime,
        instance: &Instance,
        seen: &mut Observed,
        now: Timestamp,
    ) {
        if !instance.wanted.running {
            return self.clear();
        }
        self.by_service.retain(|name, _| seen.services.contains_key(name));
        for service in &instance.workload.services {
            let Some(container) = seen.services.get_mut(&service.name) else { continue };
            let done = plan::done(instance, service, container);
            // Another container, made from something else or anew: what its forerunner did is not its fault.
            if self.by_service.get(&service.name).is_some_and(|crash| crash.last.0 != container.id) {
                self.by_service.remove(&service.name);
            }
            let stayed = |started| FORGOTTEN < now.duration_since(started);
            if container.state == State::Running && container.started.is_some_and(stayed) || done {
                self.by_service.remove(&service.name);
                continue;
            }
            self.count(&service.name, container);
            let Some(crash) = self.by_service.get_mut(&service.name) else {
                // The engine brings it back by itself, and counts by itself.
                if container.state == State::Restarting || !is_steady(container, now) {
                    container.trouble = last_words(runtime, instance, &service.name, container).await;
                }
                continue;
            };
            container.restarts = container.restarts.max(crash.count);
            let told = crash.words.is_some() || container.trouble.is_some();
            if !told && (container.state != State::Running || !is_steady(container, now)) {
                crash.words = last_words(runtime, instance, &service.name, container).await;
            }
            container.trouble = container.trouble.take().or_else(|| crash.words.clone());
        }
    }

    fn count(&mut self, service: &str, container: &Container) {
        let ended = matches!(container.state, State::Exited | State::Dead) && container.started.is_some();
        if !ended {
            return;
        }
        let this = (container.id.clone(), container.ended);
        let known = self.by_service.get(service);
        if known.is_some_and(|crash| crash.last == this) {
            return;
        }
        // The first end seen may be a stop by somebody who wants it started again: that is no crash, nor does it rest.
        let asked = known.is_none() && matches!(container.exit, None | Some(0 | 137 | 143));
        let count = if asked { 0 } else { known.map_or(0, |crash| crash.count) + 1 };
        let wait = match count {
            0 | 1 => Duration::ZERO,
            more => retry_in(Class::Transient, more - 2, 0.5).unwrap_or_default(),
        };
        let crash = Crash { count, last: this, until: Instant::now() + wait, words: None };
        self.by_service.insert(service.to_owned(), crash);
    }

    /// Who is not to be started now, and when the first of them has rested enough. Both of one moment: whose rest ends
    /// between two looks at the clock would be forgotten.
    pub fn resting(&self) -> (BTreeSet<String>, Option<Instant>) {
        let now = Instant::now();
        let resting = self.by_service.iter().filter(|(_, crash)| now < crash.until);
        let next = resting.clone().map(|(_, crash)| crash.until).min();
        (resting.map(|(service, _)| service.clone()).collect(), next)
    }

    /// Whether a service ends again and again.
    pub fn is_loop(&self) -> bool {
        self.by_service.values().any(|crash| CRASH_LOOP <= crash.count)
    }
}

/// The last line that a service wrote, without a secret.
async fn last_words(
    runtime: &dyn Runtime,
    instance: &Instance,
    service: &str,
    container: &Container,
) -> Option<String> {
    if let Some(trouble) = &container.trouble {
        return Some(trouble.clone());
    }
    let logs = runtime.logs(&instance.key, Some(service), 5);
    // A log that can't be read takes nothing from what is known.
    let lines = tokio::time::timeout(LOG_DEADLINE, logs).await.ok()?.ok()?;
    let line = lines.iter().rev().map(|line| line.text.trim()).find(|line| !line.is_empty())?;
    let plain: String = instance.masked(line).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(cut(plain, LAST_WORDS))
}
