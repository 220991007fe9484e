//! Where line tables come from: files, directories, and texts that others fetch (a ConfigMap). A table that can't be
//! read is refused with its field, and the one before it stays.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::domain::line_table::{LineTable, MAX_OCTETS};
use crate::domain::names::FieldError;

/// How often files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A line table that can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file or directory can't be read.
    #[error("line table {path:?} can't be read")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A row is wrong.
    #[error(transparent)]
    Row(#[from] FieldError),
}

/// The line table from all sources together.
#[derive(Default)]
pub struct LineTables {
    current: Arc<ArcSwap<LineTable>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the table is made of.
    taken: BTreeMap<String, Arc<str>>,
    /// What was refused; tried again whenever anything changes, for two sources may only fit in their new state.
    pending: BTreeMap<String, Option<Arc<str>>>,
    /// Files as last seen, whether their text was taken or not, so that a bad one is reported once.
    /// `None` for one that changed so lately that it may have changed again under the same stamp.
    seen: BTreeMap<PathBuf, Option<Stamp>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

impl LineTables {
    /// No sources: everyone is on `default`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The table, as the DNS server reads it.
    pub fn current(&self) -> Arc<ArcSwap<LineTable>> {
        Arc::clone(&self.current)
    }

    /// Sets or replaces the text of one source. Answers whether anything changed; a refused text changes nothing.
    pub fn set_source(&self, name: &str, text: &str) -> Result<bool, FieldError> {
        let change = BTreeMap::from([(name.to_owned(), Some(Arc::from(text)))]);
        self.change(&mut self.lock(), change)
    }

    /// Forgets one source. Answers whether it was there.
    pub fn remove_source(&self, name: &str) -> Result<bool, FieldError> {
        self.change(&mut self.lock(), BTreeMap::from([(name.to_owned(), None)]))
    }

    /// Reads what changed of `paths`: files, or directories of which every file counts that doesn't begin with a dot.
    /// Answers whether the table changed. It blocks on files.
    ///
    /// A file that was in a directory and is gone is forgotten; a path that itself can't be read is an error and keeps
    /// what it gave before, for an unreadable source never means an empty one.
    pub fn read_paths(&self, paths: &[PathBuf]) -> Result<bool, SourceError> {
        let files = list_files(paths)?;
        let mut state = self.lock();
        let mut change = BTreeMap::new();
        let mut unreadable = None;
        for path in &files {
            match read_if_new(path, state.seen.get(path).and_then(Option::as_ref)) {
                Ok(Some((stamp, text))) => {
                    change.insert(path.display().to_string(), Some(text));
                    state.seen.insert(path.clone(), stamp);
                }
                Ok(None) => {}
                Err(source) => unreadable = Some(SourceError::Read { path: path.clone(), source }),
            }
        }
        let gone: Vec<PathBuf> = state.seen.keys().filter(|path| !files.contains(*path)).cloned().collect();
        for path in gone {
            change.insert(path.display().to_string(), None);
            state.seen.remove(&path);
        }
        let changed = !change.is_empty() && self.change(&mut state, change)?;
        unreadable.map_or(Ok(changed), Err)
    }

    /// Reads `paths` again and again, until `shutdown`; what goes wrong is logged once per change and changes nothing.
    pub async fn watch(self: Arc<Self>, paths: Vec<PathBuf>, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = String::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => return,
            }
            let (tables, paths) = (Arc::clone(&self), paths.clone());
            // A table of a million rows takes a second, which must not stand in the way of answers.
            let read = tokio::task::spawn_blocking(move || tables.read_paths(&paths)).await;
            match read {
                Ok(Ok(changed)) => {
                    if changed {
                        tracing::info!(prefixes = self.current.load().len(), "line table taken");
                        last.clear();
                    }
                }
                Ok(Err(err)) => {
                    let cause = std::error::Error::source(&err).map(ToString::to_string).unwrap_or_default();
                    let said = format!("{err} {cause}");
                    if said != last {
                        tracing::warn!(%err, cause, "line table refused, the one before it stays");
                        last = said;
                    }
                }
                Err(err) => tracing::warn!(%err, "line table could not be read"),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what fits: all at once if it can be, else source by source, so that a bad one holds up no other.
    fn change(
        &self,
        state: &mut State,
        change: BTreeMap<String, Option<Arc<str>>>,
    ) -> Result<bool, FieldError> {
        let names: Vec<String> = change.keys().cloned().collect();
        state.pending.extend(change);
        let before = state.taken.clone();
        let mut refused = BTreeMap::new();
        if self.take(state, state.pending.clone()).is_err() {
            let mut left = usize::MAX;
            while state.pending.len() < left {
                left = state.pending.len();
                for (name, text) in state.pending.clone() {
                    if let Err(err) = self.take(state, BTreeMap::from([(name.clone(), text)])) {
                        refused.insert(name, err);
                    }
                }
            }
        }
        match names
            .iter()
            .find(|name| state.pending.contains_key(*name))
            .and_then(|name| refused.remove(name))
        {
            Some(err) => Err(err),
            None => Ok(state.taken != before),
        }
    }

    fn take(&self, state: &mut State, change: BTreeMap<String, Option<Arc<str>>>) -> Result<(), FieldError> {
        let mut texts = state.taken.clone();
        let names: Vec<String> = change.keys().cloned().collect();
        for (name, text) in change {
            match text {
                Some(text) => texts.insert(name, text),
                None => texts.remove(&name),
            };
        }
        if texts != state.taken {
            let sources: Vec<(&str, &str)> =
                texts.iter().map(|(name, text)| (name.as_str(), &**text)).collect();
            self.current.store(Arc::new(LineTable::parse(&sources)?));
            state.taken = texts;
        }
        names.iter().for_each(|name| drop(state.pending.remove(name)));
        Ok(())
    }
}

fn list_files(paths: &[PathBuf]) -> Result<BTreeSet<PathBuf>, SourceError> {
    let mut files = BTreeSet::new();
    for path in paths {
        let failed = |source| SourceError::Read { path: path.clone(), source };
        if !std::fs::metadata(path).map_err(failed)?.is_dir() {
            files.insert(path.clone());
            continue;
        }
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A mounted ConfigMap keeps its generations in names that begin with a dot.
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if !hidden && entry.path().is_file() {
                files.insert(entry.path());
            }
        }
    }
    Ok(files)
}

/// The text of a file that isn't as it was seen.
fn read_if_new(path: &Path, seen: Option<&Stamp>) -> io::Result<Option<(Option<Stamp>, Arc<str>)>> {
    use std::io::Read;
    let meta = std::fs::metadata(path)?;
    let stamp = Stamp { modified: meta.modified().ok(), length: meta.len() };
    if seen == Some(&stamp) {
        return Ok(None);
    }
    let mut text = String::new();
    // Whatever the size was when it was looked at: no file fills the memory.
    let most = u64::try_from(MAX_OCTETS).unwrap_or(u64::MAX) + 1;
    std::fs::File::open(path)?.take(most).read_to_string(&mut text)?;
    let age = stamp.modified.and_then(|modified| modified.elapsed().ok());
    let settled = age.is_some_and(|age| LOOK_EVERY < age);
    Ok(Some((settled.then_some(stamp), text.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(tables: &LineTables, asker: &str) -> &'static str {
        let found = tables.current().load().line_of(asker.parse().unwrap()).line;
        found.map_or("-", |line| line.as_str())
    }

    #[test]
    fn a_bad_text_is_refused_and_the_one_before_it_stays() {
        let tables = LineTables::new();
        assert_eq!(tables.set_source("a", "192.0.2.0/24 CT"), Ok(true));
        assert_eq!(tables.set_source("a", "192.0.2.0/24 CT"), Ok(false));
        assert_eq!(tables.set_source("a", "192.0.2.0/24 XX").unwrap_err().field, "a row 1 line");
        assert_eq!(line(&tables, "192.0.2.1"), "CT");
        assert_eq!(tables.set_source("b", "198.51.100.0/24 CU"), Ok(true), "it holds up no other");
        assert_eq!(line(&tables, "198.51.100.1"), "CU");
        assert_eq!(tables.remove_source("a"), Ok(true));
        assert_eq!(line(&tables, "192.0.2.1"), "-");
    }

    #[test]
    fn what_did_not_fit_is_taken_once_it_does() {
        let tables = LineTables::new();
        tables.set_source("a", "192.0.2.0/24 CT").unwrap();
        assert_eq!(tables.set_source("b", "192.0.2.0/24 CU").unwrap_err().field, "b row 1 prefix");
        assert_eq!(tables.set_source("a", "198.51.100.0/24 CT"), Ok(true));
        assert_eq!(line(&tables, "192.0.2.1"), "CU");
        assert_eq!(line(&tables, "198.51.100.1"), "CT");
    }

    #[test]
    fn files_are_read_when_they_change_and_forgotten_when_they_go() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        let paths = [dir.path().to_owned()];
        let tables = LineTables::new();
        std::fs::write(file("a.txt"), "192.0.2.0/24 CT").unwrap();
        std::fs::write(file(".hidden"), "nonsense").unwrap();
        assert!(tables.read_paths(&paths).unwrap());
        assert!(!tables.read_paths(&paths).unwrap(), "nothing changed");
        std::fs::write(file("b.txt"), "no table").unwrap();
        let err = tables.read_paths(&paths).unwrap_err().to_string();
        assert!(err.contains("b.txt row 1 prefix"), "{err}");
        std::fs::write(file("b.txt"), "198.51.100.0/24 CMCC").unwrap();
        std::fs::remove_file(file("a.txt")).unwrap();
        assert!(tables.read_paths(&paths).unwrap());
        assert_eq!((line(&tables, "192.0.2.1"), line(&tables, "198.51.100.1")), ("-", "CMCC"));
        drop(dir);
        assert!(matches!(tables.read_paths(&paths), Err(SourceError::Read { .. })));
        assert_eq!(line(&tables, "198.51.100.1"), "CMCC", "an unreadable source is not an empty one");
    }

    #[tokio::test]
    async fn a_changed_file_is_taken_while_the_server_runs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines.txt");
        std::fs::write(&path, "192.0.2.0/24 CT").unwrap();
        let (tables, shutdown) = (Arc::new(LineTables::new()), CancellationToken::new());
        let watching = tokio::spawn(Arc::clone(&tables).watch(vec![path.clone()], shutdown.clone()));
        let wait = async |expect: &str| {
            while line(&tables, "192.0.2.1") != expect {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LOOK_EVERY * 10, wait("CT")).await.unwrap();
        std::fs::write(&path, "192.0.2.0/24 CNEdu").unwrap();
        tokio::time::timeout(LOOK_EVERY * 10, wait("CNEdu")).await.unwrap();
        shutdown.cancel();
        watching.await.unwrap();
    }
}
