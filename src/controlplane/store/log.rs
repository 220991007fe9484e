//! The recent past: what changed, in order, so that watchers can replay and lists can look back. Bounded by count,
//! bytes and age; what falls out is compacted, and who asks for it must list again.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Bytes;

use super::codec::Stored;

/// What a write did to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key was free before.
    Created,
    /// The key held another body before.
    Updated,
    /// The key is free now.
    Removed,
}

/// One committed write.
#[derive(Debug)]
pub struct Entry {
    /// The write's revision; consecutive.
    pub revision: u64,
    /// The key that changed.
    pub key: String,
    /// What happened to it.
    pub change: Change,
    /// The body after the write, or the last one for a removal.
    pub body: Bytes,
    /// What the key held before.
    pub previous: Option<Stored>,
}

impl Entry {
    /// The body with the revision of this write.
    pub fn stored(&self) -> Stored {
        Stored { revision: self.revision, body: self.body.clone() }
    }

    fn weight(&self) -> usize {
        128 + self.key.len() + self.body.len() + self.previous.as_ref().map_or(0, |p| p.body.len())
    }
}

/// How much of the past is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// At most so many entries.
    pub entries: usize,
    /// At most so many bytes.
    pub bytes: usize,
    /// Nothing older than this.
    pub age: Duration,
}

impl Default for Retention {
    /// Five minutes, as a cluster's own store compacts; the byte bound keeps a burst from taking the machine.
    fn default() -> Self {
        Retention { entries: 65_536, bytes: 32 << 20, age: Duration::from_secs(300) }
    }
}

/// The requested past is no longer kept; lists must start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The oldest revision that can still be continued from.
    pub oldest: u64,
}

/// The entries that are kept, oldest first and without gaps.
#[derive(Debug)]
pub struct Log {
    entries: VecDeque<(Instant, Arc<Entry>)>,
    floor: u64,
    bytes: usize,
    retention: Retention,
}

impl Log {
    /// An empty past that begins after `floor`.
    pub fn new(floor: u64, retention: Retention) -> Log {
        Log { entries: VecDeque::new(), floor, bytes: 0, retention }
    }

    /// The newest revision in the log.
    pub fn last(&self) -> u64 {
        self.floor + self.entries.len() as u64
    }

    /// Adds the next write. Revisions are consecutive, which is what makes look-up by index right.
    pub fn append(&mut self, entry: Entry, now: Instant) {
        debug_assert_eq!(entry.revision, self.last() + 1);
        self.bytes += entry.weight();
        self.entries.push_back((now, Arc::new(entry)));
        self.trim(now);
    }

    /// Drops what the retention no longer covers.
    pub fn trim(&mut self, now: Instant) {
        while let Some((at, entry)) = self.entries.front() {
            let over = self.retention.entries < self.entries.len() || self.retention.bytes < self.bytes;
            if !over && now.duration_since(*at) < self.retention.age {
                break;
            }
            self.bytes -= entry.weight();
            self.floor = entry.revision;
            self.entries.pop_front();
        }
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
        }
    }

    /// Forgets everything up to `revision`, as time would.
    #[cfg(test)]
    pub fn compact(&mut self, revision: u64) {
        while let Some((_, entry)) = self.entries.front() {
            if revision < entry.revision {
                break;
            }
            self.bytes -= entry.weight();
            self.floor = entry.revision;
            self.entries.pop_front();
        }
    }

    /// Up to `limit` entries under `prefix` that came after `after`, and the revision that was looked at last.
    pub fn since(&self, prefix: &str, after: u64, limit: usize) -> Result<(Vec<Arc<Entry>>, u64), Compacted> {
        if after < self.floor {
            return Err(Compacted { oldest: self.floor });
        }
        let skip = (after - self.floor) as usize;
        let mut found = Vec::new();
        let mut seen = after;
        for (_, entry) in self.entries.iter().skip(skip) {
            seen = entry.revision;
            if entry.key.starts_with(prefix) {
                found.push(entry.clone());
                if limit <= found.len() {
                    break;
                }
            }
        }
        Ok((found, seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(keys: &[&str], retention: Retention) -> Log {
        let mut log = Log::new(10, retention);
        for (i, key) in keys.iter().enumerate() {
            let revision = 11 + i as u64;
            let body = Bytes::from_static(b"{\"metadata\":{}}");
            let entry =
                Entry { revision, key: (*key).to_owned(), change: Change::Created, body, previous: None };
            log.append(entry, Instant::now());
        }
        log
    }

    #[test]
    fn replay_is_complete_in_order_and_only_of_the_prefix() {
        let log = log_of(&["a/1", "b/1", "a/2", "a/3"], Retention::default());
        let (found, seen) = log.since("a/", 10, 2).unwrap();
        assert_eq!(found.iter().map(|e| e.revision).collect::<Vec<_>>(), [11, 13]);
        assert_eq!(seen, 13);
        let (found, seen) = log.since("a/", seen, 2).unwrap();
        assert_eq!((found.len(), seen), (1, 14));
        assert_eq!(log.since("a/", 14, 2).unwrap().1, 14);
    }

    #[test]
    fn what_fell_out_is_refused_and_never_skipped() {
        let log = log_of(&["a/1", "a/2", "a/3"], Retention { entries: 2, ..Retention::default() });
        assert_eq!(log.since("a/", 10, 9).unwrap_err(), Compacted { oldest: 11 });
        assert_eq!(log.since("a/", 11, 9).unwrap().0.len(), 2);
    }

    #[test]
    fn old_entries_leave_by_age_and_by_compaction() {
        let mut log = log_of(&["a/1", "a/2"], Retention::default());
        log.compact(11);
        assert_eq!(log.since("a/", 11, 9).unwrap().0.len(), 1);
        log.trim(Instant::now() + Duration::from_secs(301));
        assert_eq!(log.since("a/", 11, 9).unwrap_err().oldest, 12);
        assert_eq!(log.last(), 12);
    }
}
