//! Turns of installs and upgrades at one runtime. Who comes next is `domain::app::queue`'s; here stand who waits, who has
//! a turn, and how it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::domain::app::instance::AppKey;
use crate::domain::app::queue::{Ticket, order};
use crate::telemetry::metrics::app::AppMetrics;

#[derive(Default)]
struct State {
    waiting: BTreeMap<AppKey, Timestamp>,
    working: BTreeSet<AppKey>,
    /// The number of the last turn that each namespace had, since nobody waited.
    last: BTreeMap<String, u64>,
    turns: u64,
}

/// The queue of one runtime.
pub struct Queue {
    at_once: usize,
    name: &'static str,
    metrics: AppMetrics,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

/// A turn. Dropping it gives it back.
pub struct Slot {
    queue: Arc<Queue>,
    key: AppKey,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.queue.with(|state| state.working.remove(&self.key));
    }
}

/// A place in the queue. Dropping it leaves the queue.
pub struct Place {
    queue: Arc<Queue>,
    key: AppKey,
    changed: watch::Receiver<()>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.with(|state| state.waiting.remove(&self.key));
    }
}

impl Queue {
    /// An empty queue with `at_once` turns at a time.
    pub fn new(at_once: usize, name: &'static str, metrics: AppMetrics) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), watch::Sender::default());
        let queue = Self { at_once: at_once.max(1), name, metrics, state, changed };
        queue.with(|_| ());
        Arc::new(queue)
    }

    /// Keeps the place of an App that stood in the queue before a restart. Who had its turn comes first.
    pub fn announce(&self, key: AppKey, since: Timestamp, interrupted: bool) {
        let since = if interrupted { Timestamp::MIN } else { since };
        self.with(|state| state.waiting.insert(key, since));
    }

    /// Takes a place, or the one that was kept.
    pub fn enter(self: &Arc<Self>, key: &AppKey, since: Timestamp) -> Place {
        let changed = self.changed.subscribe();
        self.with(|state| *state.waiting.entry(key.clone()).or_insert(since));
        Place { queue: self.clone(), key: key.clone(), changed }
    }

    /// Gives up what an App has here.
    pub fn leave(&self, key: &AppKey) {
        let known = |state: &mut State| state.waiting.contains_key(key);
        // Most workers ask most of the time in vain: nobody need hear of that.
        if known(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner)) {
            self.with(|state| state.waiting.remove(key));
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = act(&mut state);
        if state.waiting.is_empty() && state.working.is_empty() {
            state.last.clear();
        }
        // Who had its turn before a restart has not waited.
        let since = state.waiting.values().filter(|since| **since != Timestamp::MIN).min();
        self.metrics.waiting(self.name, state.waiting.len(), since.copied());
        drop(state);
        self.changed.send_replace(());
        answer
    }
}

impl Place {
    /// A turn, or the position in the queue, 1 is next.
    pub fn try_take(&mut self) -> Result<Slot, u32> {
        self.changed.mark_unchanged();
        let mut state = self.queue.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = |(key, since): (&AppKey, &Timestamp)| Ticket { key: key.clone(), since: *since };
        let waiting: Vec<Ticket> = state.waiting.iter().map(ticket).collect();
        let working: Vec<AppKey> = state.working.iter().cloned().collect();
        let before = order(&waiting, &working, &state.last)
            .iter()
            .position(|key| *key == self.key)
            .unwrap_or(waiting.len());
        if self.queue.at_once.saturating_sub(working.len()) <= before {
            return Err(u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1));
        }
        state.turns += 1;
        let turn = state.turns;
        state.last.insert(self.key.namespace.clone(), turn);
        state.working.insert(self.key.clone());
        drop(state);
        // Our drop takes us from those who wait and tells the others.
        Ok(Slot { queue: self.queue.clone(), key: self.key.clone() })
    }

    /// Waits until the queue has changed.
    pub async fn changed(&mut self) {
        // The sender lives as long as the queue that we hold.
        let _ = self.changed.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> AppKey {
        AppKey { namespace: "a".into(), name: name.into() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_turn_is_given_back_and_the_next_one_comes() {
        let queue = Queue::new(1, "docker", AppMetrics::default());
        let mut first = queue.enter(&key("x"), at(1));
        let mut second = queue.enter(&key("y"), at(2));
        let mut third = queue.enter(&key("z"), at(3));
        assert_eq!(third.try_take().err(), Some(3));
        let slot = first.try_take().ok().unwrap();
        drop(first);
        assert_eq!(second.try_take().err(), Some(1));
        assert_eq!(third.try_take().err(), Some(2));
        drop(second);
        drop(slot);
        assert!(third.try_take().is_ok());
    }

    #[test]
    fn who_was_interrupted_by_a_restart_goes_on_first() {
        let queue = Queue::new(1, "docker", AppMetrics::default());
        queue.announce(key("waited"), at(1), false);
        queue.announce(key("worked"), at(5), true);
        let mut waited = queue.enter(&key("waited"), at(9));
        assert_eq!(waited.try_take().err(), Some(2));
        let mut worked = queue.enter(&key("worked"), at(9));
        assert!(worked.try_take().is_ok());
        queue.leave(&key("worked"));
        drop(worked);
        assert!(waited.try_take().is_ok());
    }
}
