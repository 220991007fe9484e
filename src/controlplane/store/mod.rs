//! The durable store under the plane: keys, bodies, one revision counter, and the recent past. It knows nothing of
//! Kubernetes beyond "a body is JSON that begins with its metadata".
//!
//! All writes go through one thread. While it waits for the disk the next requests gather, and the next transaction
//! takes them all: that is what lets sixteen writers be several times as fast as one without losing durability.

pub mod codec;
pub mod disk;
pub mod log;
mod writer;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Instant,
};

use axum::body::Bytes;
use redb::{Database, ReadableDatabase};
use tokio::sync::{oneshot, watch};

use codec::Stored;
use disk::StoreOpenError;
use log::{Compacted, Entry, Log, Retention};
use writer::{Request, Writer};

/// What must hold of a key for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key is free.
    Absent,
    /// The key was last written at this revision.
    At(u64),
}

/// What the key shall hold.
#[derive(Clone, Debug)]
pub enum Next {
    /// This body.
    Put(Bytes),
    /// Nothing; watchers are shown this last body.
    Remove(Bytes),
}

/// One write.
#[derive(Clone, Debug)]
pub struct Write {
    /// The key.
    pub key: String,
    /// The write happens only if this holds.
    pub expect: Expect,
    /// The outcome.
    pub next: Next,
    /// Other keys that must still be as they were read, such as the namespace of a new object.
    pub guards: Vec<(String, u64)>,
}

/// Why a write did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The key or its guard changed meanwhile; read again and decide again.
    #[error("the object changed meanwhile")]
    Stale,
    /// The disk or the file failed. Nothing of this write is stored.
    #[error("the store cannot write: {0}")]
    Failed(String),
}

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The past that was asked for is gone.
    #[error("revision is too old, the oldest kept is {}", .0.oldest)]
    Compacted(Compacted),
    /// The revision that was asked for is not written yet.
    #[error("revision {asked} is larger than the current {current}")]
    Future {
        /// What was asked for.
        asked: u64,
        /// What is current.
        current: u64,
    },
    /// The disk or the file failed.
    #[error("the store cannot read: {0}")]
    Failed(String),
}

/// What a list found.
#[derive(Debug, Default)]
pub struct Listed {
    /// The revision that the list shows.
    pub revision: u64,
    /// Keys and objects in key order.
    pub items: Vec<(String, Stored)>,
}

/// The store. Shared by everything in the plane.
pub struct Store {
    db: Arc<RwLock<Option<Database>>>,
    log: Arc<RwLock<Log>>,
    requests: std::sync::Mutex<Option<mpsc::Sender<Request>>>,
    published: watch::Sender<u64>,
    healthy: Arc<AtomicBool>,
    writer: std::sync::Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Store {
    /// Opens the store in `dir`.
    pub fn open(dir: &Path, retention: Retention) -> Result<Store, StoreOpenError> {
        let db = disk::open(dir)?;
        let revision = disk::read_counter(&db, disk::REVISION)
            .map_err(|source| StoreOpenError::Io { file: dir.join("store.redb"), source })?
            .unwrap_or(1);
        Ok(Store::start(db, revision, retention))
    }

    /// A store that forgets everything when it is dropped.
    pub fn in_memory(retention: Retention) -> Result<Store, redb::Error> {
        Ok(Store::start(disk::in_memory()?, 1, retention))
    }

    fn start(db: Database, revision: u64, retention: Retention) -> Store {
        let db = Arc::new(RwLock::new(Some(db)));
        let log = Arc::new(RwLock::new(Log::new(revision, retention)));
        let (published, _) = watch::channel(revision);
        let (sender, receiver) = mpsc::channel();
        let healthy = Arc::new(AtomicBool::new(true));
        let writer = Writer {
            db: db.clone(),
            log: log.clone(),
            published: published.clone(),
            healthy: healthy.clone(),
            revision,
        };
        let thread = std::thread::Builder::new()
            .name("plane-writer".to_owned())
            .spawn(move || writer.run(&receiver))
            .expect("the operating system grants one thread at start");
        let requests = std::sync::Mutex::new(Some(sender));
        Store { db, log, requests, published, healthy, writer: std::sync::Mutex::new(Some(thread)) }
    }

    /// Writes durably; returns the write's revision.
    pub async fn commit(&self, write: Write) -> Result<u64, CommitError> {
        let (reply, answer) = oneshot::channel();
        let sender = self.requests.lock().expect("no holder of this lock panics").clone();
        let closed = || CommitError::Failed("the plane is closed".to_owned());
        sender.ok_or_else(closed)?.send(Request { write, reply }).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// The object at `key`.
    pub fn get(&self, key: &str) -> Result<Option<Stored>, ReadError> {
        self.read(|db| {
            let read = db.begin_read()?;
            let objects = read.open_table(disk::OBJECTS)?;
            Ok(objects.get(key)?.and_then(|guard| disk::unpack(guard.value())))
        })
    }

    /// Objects whose key begins with `prefix` and comes after `after`, up to `limit`, in key order.
    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Listed, ReadError> {
        self.list_where(prefix, after, limit, |_| true)
    }

    /// Like [`Store::list`], of the objects that `keep` wants. The others never pile up in memory, however many there
    /// are of them.
    pub fn list_where(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        keep: impl Fn(&Stored) -> bool,
    ) -> Result<Listed, ReadError> {
        self.read(|db| {
            let read = db.begin_read()?;
            let revision =
                read.open_table(disk::COUNTERS)?.get(disk::REVISION)?.map_or(1, |guard| guard.value());
            let objects = read.open_table(disk::OBJECTS)?;
            let mut items = Vec::new();
            for row in objects.range(after.unwrap_or(prefix)..)? {
                let (key, value) = row?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                if Some(key.value()) == after {
                    continue;
                }
                if limit <= items.len() {
                    break;
                }
                if let Some(stored) = disk::unpack(value.value()).filter(&keep) {
                    items.push((key.value().to_owned(), stored));
                }
            }
            Ok(Listed { revision, items })
        })
    }

    /// Like [`Store::list`] without a limit, as it was at `revision`: the present with later writes undone.
    pub fn list_at(&self, prefix: &str, after: Option<&str>, revision: u64) -> Result<Listed, ReadError> {
        let now = self.list(prefix, after, usize::MAX)?;
        if now.revision < revision {
            return Err(ReadError::Future { asked: revision, current: now.revision });
        }
        // The file shows a commit a moment before the log does; without the wait an undo could miss it.
        while self.log.read().expect("no holder of this lock panics").last() < now.revision {
            std::thread::yield_now();
        }
        let log = self.log.read().expect("no holder of this lock panics");
        let (later, _) = log.since(prefix, revision, usize::MAX).map_err(ReadError::Compacted)?;
        let mut items: BTreeMap<String, Stored> = now.items.into_iter().collect();
        for entry in later.iter().rev().filter(|entry| entry.revision <= now.revision) {
            if after.is_some_and(|after| entry.key.as_str() <= after) {
                continue;
            }
            match &entry.previous {
                Some(previous) => items.insert(entry.key.clone(), previous.clone()),
                None => items.remove(&entry.key),
            };
        }
        Ok(Listed { revision, items: items.into_iter().collect() })
    }

    /// How many keys begin with `prefix` and come after `after`.
    pub fn count(&self, prefix: &str, after: &str) -> Result<usize, ReadError> {
        self.read(|db| {
            let read = db.begin_read()?;
            let objects = read.open_table(disk::OBJECTS)?;
            let mut count = 0;
            for row in objects.range(after..)? {
                let (key, _) = row?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                count += usize::from(key.value() != after);
            }
            Ok(count)
        })
    }

    /// Shows every object to `visit`, in key order.
    pub fn scan(&self, prefix: &str, mut visit: impl FnMut(&str, &[u8])) -> Result<(), ReadError> {
        self.read(|db| {
            let read = db.begin_read()?;
            let objects = read.open_table(disk::OBJECTS)?;
            for row in objects.range(prefix..)? {
                let (key, value) = row?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                visit(key.value(), value.value().get(8..).unwrap_or_default());
            }
            Ok(())
        })
    }

    /// The revision of the last durable write.
    pub fn revision(&self) -> Result<u64, ReadError> {
        self.read(|db| Ok(disk::read_counter(db, disk::REVISION)?.unwrap_or(1)))
    }

    /// Entries after `after`, see [`Log::since`].
    pub fn since(&self, prefix: &str, after: u64, limit: usize) -> Result<(Vec<Arc<Entry>>, u64), Compacted> {
        self.log.read().expect("no holder of this lock panics").since(prefix, after, limit)
    }

    /// Wakes whoever follows the log. Carries no data: a slow follower reads the log at its own pace.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    /// Drops what the retention no longer covers.
    pub fn trim(&self) {
        self.log.write().expect("no holder of this lock panics").trim(Instant::now());
    }

    /// Forgets the past up to `revision`, as time would.
    #[cfg(test)]
    pub fn compact(&self, revision: u64) {
        self.log.write().expect("no holder of this lock panics").compact(revision);
    }

    /// Whether the last write reached the disk.
    pub fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Finishes the writes that were accepted and releases the file.
    pub fn close(&self) {
        self.requests.lock().expect("no holder of this lock panics").take();
        let thread = self.writer.lock().expect("no holder of this lock panics").take();
        if let Some(thread) = thread {
            // A panic of the writer was already reported to each of its callers.
            let _ = thread.join();
        }
        self.db.write().expect("no holder of this lock panics").take();
    }

    fn read<T>(&self, body: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, ReadError> {
        let db = self.db.read().expect("no holder of this lock panics");
        let db = db.as_ref().ok_or_else(|| ReadError::Failed("the plane is closed".to_owned()))?;
        body(db).map_err(|error| ReadError::Failed(error.to_string()))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}
