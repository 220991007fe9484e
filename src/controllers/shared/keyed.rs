//! A set of tasks, one a key, that follows a wished-for set: what is new starts, what changed restarts, what is gone
//! ends. What a task does and what it needs is the caller's.

use std::collections::BTreeMap;
use std::future::Future;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Running tasks by key; all end when this is dropped.
pub struct Keyed<K, T> {
    running: BTreeMap<K, (T, CancellationToken)>,
    tasks: JoinSet<()>,
}

impl<K: Ord + Clone, T: PartialEq + Clone> Keyed<K, T> {
    /// No task yet.
    pub fn new() -> Self {
        Self { running: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Makes the running set the `wished` one. `start` makes a task that ends when its token is cancelled.
    pub fn follow<F>(&mut self, wished: BTreeMap<K, T>, mut start: impl FnMut(K, T, CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        while self.tasks.try_join_next().is_some() {}
        self.running.retain(|key, (with, stop)| {
            let stays = wished.get(key) == Some(with);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for (key, with) in wished {
            if !self.running.contains_key(&key) {
                let stop = CancellationToken::new();
                self.tasks.spawn(start(key.clone(), with.clone(), stop.clone()));
                self.running.insert(key, (with, stop));
            }
        }
    }
}

impl<K, T> Keyed<K, T> {
    /// Ends all tasks and waits until they have finished what they had begun.
    pub async fn finish(&mut self) {
        self.running.values().for_each(|(_, stop)| stop.cancel());
        while self.tasks.join_next().await.is_some() {}
    }
}

impl<K: Ord + Clone, T: PartialEq + Clone> Default for Keyed<K, T> {
    fn default() -> Self {
        Self::new()
    }
}
