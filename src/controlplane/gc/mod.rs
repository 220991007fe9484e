//! What a cluster's controller manager does to objects that lost their owner, their namespace or their definition.
//! Follows the log; after a start, or when it fell behind, it looks at everything once. It works only through the
//! engine, so every deletion it makes is an ordinary one that watchers see.

mod collect;
mod expire;
pub mod index;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    engine::Engine,
    store::{codec::Stored, log::Change},
};
use index::{Due, Facts, Index, interesting};

/// How long to wait before a failed or blocked step is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often the recent past is trimmed, which frees its memory in quiet times.
const TRIM: Duration = Duration::from_secs(30);
/// How often old events are looked for.
const EXPIRE: Duration = Duration::from_secs(600);

/// The collector.
pub struct Collector {
    engine: Arc<Engine>,
    index: Index,
    cursor: u64,
    due: BTreeSet<Due>,
}

impl Collector {
    /// A collector that has seen nothing yet.
    pub fn new(engine: Arc<Engine>) -> Collector {
        Collector { engine, index: Index::default(), cursor: 0, due: BTreeSet::new() }
    }

    /// Collects until the plane stops.
    pub async fn run(mut self) {
        let stop = self.engine.stop.clone();
        let mut wake = self.engine.store.subscribe();
        self.look_at_everything();
        let mut trim = tokio::time::interval(TRIM);
        let mut expire = tokio::time::interval(EXPIRE);
        loop {
            self.follow();
            let again = self.work().await;
            // What came in while working may have made something due that would otherwise wait for the next write.
            let behind = self.cursor < *wake.borrow_and_update();
            self.due.extend(again);
            if behind {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = wake.changed() => if changed.is_err() { return },
                _ = trim.tick() => self.engine.store.trim(),
                _ = expire.tick() => self.expire_events(Timestamp::now()).await,
                () = tokio::time::sleep(RETRY), if !self.due.is_empty() => {}
            }
        }
    }

    /// Builds the index from the store.
    fn look_at_everything(&mut self) {
        self.index = Index::default();
        let mut found = Vec::new();
        // Read before the scan: what is written meanwhile is then seen twice, which does no harm.
        self.cursor = *self.engine.store.subscribe().borrow();
        let scanned = self.engine.store.scan("", |key, body| {
            if interesting(body) {
                found.push((key.to_owned(), serde_json::from_slice(body).unwrap_or_default()));
            }
        });
        if let Err(error) = scanned {
            tracing::error!(%error, "the plane cannot look for orphaned objects");
        }
        for (key, object) in found {
            self.due.extend(self.index.learn(&key, Change::Created, &Facts::of(&object)));
        }
    }

    /// Learns what was written since.
    fn follow(&mut self) {
        loop {
            match self.engine.store.since("", self.cursor, 256) {
                Err(_) => self.look_at_everything(),
                Ok((entries, seen)) => {
                    for entry in &entries {
                        let before =
                            entry.previous.as_ref().is_some_and(|previous| interesting(&previous.body));
                        if before || interesting(&entry.body) || entry.change == Change::Removed {
                            let facts = Facts::of(&entry.stored().value());
                            self.due.extend(self.index.learn(&entry.key, entry.change, &facts));
                        }
                    }
                    self.cursor = seen;
                    if entries.is_empty() {
                        return;
                    }
                }
            }
        }
    }

    /// Does what is due; returns what must be tried again.
    async fn work(&mut self) -> Vec<Due> {
        let mut again = Vec::new();
        for due in std::mem::take(&mut self.due) {
            if self.engine.stop.is_cancelled() {
                break;
            }
            let outcome = match &due {
                Due::Dependent(key) => self.dependent(key).await,
                Due::Owner(key) => self.owner(key).await,
                Due::Namespace(name) => self.namespace(name).await,
                Due::Definition(name) => self.definition(name).await,
            };
            if let Err(refusal) = outcome {
                tracing::warn!(?due, error = refusal.message, "the plane could not collect");
                again.push(due);
            }
        }
        again
    }

    /// The object at `key`, with the names that its key is made of.
    fn at(&self, key: &str) -> Option<(Stored, String, String)> {
        let stored = self.engine.store.get(key).ok().flatten()?;
        let mut parts = key.splitn(4, '/').skip(2);
        let namespace = parts.next()?.to_owned();
        Some((stored, namespace, parts.next()?.to_owned()))
    }
}
