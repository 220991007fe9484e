//! The one thread that writes. While it waits for the disk the next requests gather, and the next transaction takes
//! them all.

use std::{
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use redb::{Database, ReadableTable};
use tokio::sync::{oneshot, watch};

use super::{
    CommitError, Expect, Next, Write, disk,
    log::{Change, Entry, Log},
};

/// The largest number of writes that share one transaction.
const BATCH: usize = 256;
/// How long a shared batch waits for as many writes as the last one had; below what one disk sync takes.
const PATIENCE: Duration = Duration::from_micros(300);

/// A write and whom to tell.
pub(super) struct Request {
    pub(super) write: Write,
    pub(super) reply: oneshot::Sender<Result<u64, CommitError>>,
}

/// Takes what is waiting. Callers that were just answered are about to send their next write; when the last batch was
/// shared, a moment's patience lets them share this one as well instead of splitting in two camps that take turns. A
/// lone writer never waits.
fn gather(requests: &mpsc::Receiver<Request>, first: Request, last: usize) -> Vec<Request> {
    let until = Instant::now() + PATIENCE;
    let mut batch = vec![first];
    while batch.len() < BATCH {
        let next = if batch.len() < last {
            requests.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
        } else {
            requests.try_recv().ok()
        };
        match next {
            Some(next) => batch.push(next),
            None => break,
        }
    }
    batch
}

/// The writing end of a store.
pub(super) struct Writer {
    pub(super) db: Arc<RwLock<Option<Database>>>,
    pub(super) log: Arc<RwLock<Log>>,
    pub(super) published: watch::Sender<u64>,
    pub(super) healthy: Arc<AtomicBool>,
    pub(super) revision: u64,
}

impl Writer {
    /// Writes until nobody can send any more.
    pub(super) fn run(mut self, requests: &mpsc::Receiver<Request>) {
        let mut last = 1;
        while let Ok(first) = requests.recv() {
            let batch = gather(requests, first, last);
            last = batch.len();
            self.write_batch(batch);
        }
    }

    fn write_batch(&mut self, batch: Vec<Request>) {
        let writes: Vec<&Write> = batch.iter().map(|request| &request.write).collect();
        let outcome = self.transact(&writes);
        self.healthy.store(outcome.is_ok(), Ordering::Relaxed);
        match outcome {
            Ok((answers, entries)) => {
                if let Some(last) = entries.last().map(|entry| entry.revision) {
                    self.revision = last;
                    let now = Instant::now();
                    let mut log = self.log.write().expect("no holder of this lock panics");
                    entries.into_iter().for_each(|entry| log.append(entry, now));
                    drop(log);
                    self.published.send_replace(last);
                }
                // A caller that went away no longer cares; its write stands.
                batch.into_iter().zip(answers).for_each(|(request, answer)| drop(request.reply.send(answer)));
            }
            Err(error) => {
                tracing::error!(%error, "the plane's store cannot write");
                for request in batch {
                    let _ = request.reply.send(Err(CommitError::Failed(error.to_string())));
                }
            }
        }
    }

    #[allow(clippy::type_complexity)]
    fn transact(
        &self,
        writes: &[&Write],
    ) -> Result<(Vec<Result<u64, CommitError>>, Vec<Entry>), redb::Error> {
        let db = self.db.read().expect("no holder of this lock panics");
        let Some(db) = db.as_ref() else {
            return Ok((
                vec![Err(CommitError::Failed("the plane is closed".to_owned())); writes.len()],
                Vec::new(),
            ));
        };
        let transaction = db.begin_write()?;
        let mut answers = Vec::with_capacity(writes.len());
        let mut entries: Vec<Entry> = Vec::with_capacity(writes.len());
        {
            let mut objects = transaction.open_table(disk::OBJECTS)?;
            for write in writes {
                let revision = self.revision + 1 + entries.len() as u64;
                match apply(&mut objects, write, revision)? {
                    Some(entry) => {
                        entries.push(entry);
                        answers.push(Ok(revision));
                    }
                    None => answers.push(Err(CommitError::Stale)),
                }
            }
            if let Some(last) = entries.last() {
                transaction.open_table(disk::COUNTERS)?.insert(disk::REVISION, last.revision)?;
            }
        }
        if entries.is_empty() {
            transaction.abort()?;
        } else {
            transaction.commit()?;
        }
        Ok((answers, entries))
    }
}

/// Does one write inside the transaction, or finds that its conditions do not hold.
fn apply(
    objects: &mut redb::Table<'_, &'static str, &'static [u8]>,
    write: &Write,
    revision: u64,
) -> Result<Option<Entry>, redb::Error> {
    for (key, at) in &write.guards {
        let found = objects.get(key.as_str())?.and_then(|guard| disk::revision_of(guard.value()));
        if found != Some(*at) {
            return Ok(None);
        }
    }
    let previous = objects.get(write.key.as_str())?.and_then(|guard| disk::unpack(guard.value()));
    let holds = match write.expect {
        Expect::Absent => previous.is_none(),
        Expect::At(at) => previous.as_ref().is_some_and(|stored| stored.revision == at),
    };
    if !holds {
        return Ok(None);
    }
    let (change, body) = match &write.next {
        Next::Put(body) => {
            objects.insert(write.key.as_str(), disk::pack(revision, body).as_slice())?;
            (if previous.is_some() { Change::Updated } else { Change::Created }, body)
        }
        Next::Remove(body) => {
            objects.remove(write.key.as_str())?;
            (Change::Removed, body)
        }
    };
    Ok(Some(Entry { revision, key: write.key.clone(), change, body: body.clone(), previous }))
}
