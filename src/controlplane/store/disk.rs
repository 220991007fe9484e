//! The file: one table of objects and the revision counter, in redb. Knows bytes only. A file that is cut short or
//! damaged is refused with the way out; it is never replaced by an empty one.

use std::{
    os::unix::fs::OpenOptionsExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use axum::body::Bytes;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, TableDefinition, backends::InMemoryBackend};

use super::codec::{self, Stored};

/// Objects by key; a value is eight bytes of revision, big endian, then the body.
pub(super) const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
/// Counters by name.
pub(super) const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
/// The counter that holds the last revision.
pub(super) const REVISION: &str = "revision";
/// The counter that holds the layout of this file.
const LAYOUT: &str = "layout";
const CURRENT_LAYOUT: u64 = 1;
/// Pages that redb keeps in memory. Small: the plane reads single objects and now and then a whole list.
const CACHE_BYTES: usize = 8 << 20;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// Another process has it open.
    #[error(
        "the data directory {dir} is in use by another process; stop that one, or talk to it with its kubeconfig \
         instead of opening the directory twice",
        dir = .dir.display()
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The file is not what was written.
    #[error(
        "the store file {file} is damaged or cut short ({detail}); nothing was changed: put a backup of it in its \
         place, or move it away to start with an empty store",
        file = .file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Written by a newer program.
    #[error(
        "the store file {file} has layout {found}, this program knows up to {known}; run the version that wrote it",
        file = .file.display(), known = CURRENT_LAYOUT
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its layout.
        found: u64,
    },
    /// The operating system refused.
    #[error("cannot open the store file {file}", file = .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: redb::Error,
    },
}

/// Opens the file of `dir`, or makes it when there is none.
pub(super) fn open(dir: &Path) -> Result<Database, StoreOpenError> {
    let file = dir.join("store.redb");
    // redb reports some damage by panicking. Unwinding here only drops a half-opened database.
    let opened = catch_unwind(AssertUnwindSafe(|| open_file(dir, &file)));
    opened.unwrap_or_else(|_| {
        Err(StoreOpenError::Damaged { file, detail: "its structure cannot be followed".to_owned() })
    })
}

/// A store that lives as long as the process.
pub(super) fn in_memory() -> Result<Database, redb::Error> {
    let db = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(InMemoryBackend::new())?;
    initialise(&db)?;
    Ok(db)
}

fn open_file(dir: &Path, file: &Path) -> Result<Database, StoreOpenError> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    let length = match std::fs::metadata(file) {
        Ok(found) => Some(found.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(StoreOpenError::Io { file: file.to_owned(), source: redb::Error::Io(error) });
        }
    };
    match length {
        // redb takes an empty file for a new one, which would turn a lost store into a silent fresh start.
        Some(0) => Err(damaged(file, "it is empty")),
        Some(_) => {
            let mut db = builder.open(file).map_err(|error| refusal(dir, file, error))?;
            verify(&mut db, file)?;
            Ok(db)
        }
        None => create(dir, file, &builder),
    }
}

/// A new store appears under its name only when it is whole, so that a crash in between is not taken for damage.
fn create(dir: &Path, file: &Path, builder: &Builder) -> Result<Database, StoreOpenError> {
    let io = |source| StoreOpenError::Io { file: file.to_owned(), source };
    let fresh = dir.join("store.redb.new");
    if fresh.exists() {
        std::fs::remove_file(&fresh).map_err(|error| io(error.into()))?;
    }
    // For the owner only: it holds every Secret.
    let empty = std::fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&fresh);
    let db = builder
        .create_file(empty.map_err(|error| io(error.into()))?)
        .map_err(|error| refusal(dir, file, error))?;
    initialise(&db).map_err(io)?;
    std::fs::rename(&fresh, file).map_err(|error| io(error.into()))?;
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| io(error.into()))?;
    Ok(db)
}

fn initialise(db: &Database) -> Result<(), redb::Error> {
    let write = db.begin_write()?;
    {
        write.open_table(OBJECTS)?;
        let mut counters = write.open_table(COUNTERS)?;
        // Clients read version 0 as "any", so an empty store must not answer with it.
        counters.insert(REVISION, 1)?;
        counters.insert(LAYOUT, CURRENT_LAYOUT)?;
    }
    write.commit()?;
    Ok(())
}

fn verify(db: &mut Database, file: &Path) -> Result<(), StoreOpenError> {
    match db.check_integrity() {
        Ok(_) => {}
        Err(error) => return Err(damaged(file, &error.to_string())),
    }
    let layout = read_counter(db, LAYOUT).map_err(|error| damaged(file, &error.to_string()))?;
    match layout {
        Some(found) if CURRENT_LAYOUT < found => {
            return Err(StoreOpenError::Newer { file: file.to_owned(), found });
        }
        Some(_) => {}
        None => return Err(damaged(file, "it has no layout mark")),
    }
    match read_counter(db, REVISION) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(damaged(file, "it has no revision")),
        Err(error) => Err(damaged(file, &error.to_string())),
    }
}

/// The counter `name`.
pub(super) fn read_counter(db: &Database, name: &str) -> Result<Option<u64>, redb::Error> {
    let read = db.begin_read()?;
    let counters = read.open_table(COUNTERS)?;
    Ok(counters.get(name)?.map(|guard| guard.value()))
}

/// The revision and body in a stored value.
pub(super) fn unpack(value: &[u8]) -> Option<Stored> {
    let (revision, body) = value.split_first_chunk::<8>()?;
    if !codec::plausible(body) {
        return None;
    }
    Some(Stored { revision: u64::from_be_bytes(*revision), body: Bytes::copy_from_slice(body) })
}

/// The revision in a stored value.
pub(super) fn revision_of(value: &[u8]) -> Option<u64> {
    value.first_chunk::<8>().map(|revision| u64::from_be_bytes(*revision))
}

/// The stored value for `body` at `revision`.
pub(super) fn pack(revision: u64, body: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(8 + body.len());
    value.extend_from_slice(&revision.to_be_bytes());
    value.extend_from_slice(body);
    value
}

fn refusal(dir: &Path, file: &Path, error: DatabaseError) -> StoreOpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreOpenError::InUse { dir: dir.to_owned() },
        DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() != std::io::ErrorKind::UnexpectedEof
                && error.kind() != std::io::ErrorKind::InvalidData =>
        {
            StoreOpenError::Io { file: file.to_owned(), source: redb::Error::Io(error) }
        }
        other => damaged(file, &other.to_string()),
    }
}

fn damaged(file: &Path, detail: &str) -> StoreOpenError {
    StoreOpenError::Damaged { file: file.to_owned(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opening_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path()).unwrap();
        let error = open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("in use by another process"), "{error}");
        drop(first);
        open(dir.path()).unwrap();
    }

    #[test]
    fn a_file_cut_short_anywhere_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path()).unwrap();
        for i in 0..200u64 {
            let write = db.begin_write().unwrap();
            write
                .open_table(OBJECTS)
                .unwrap()
                .insert(format!("x/{i}").as_str(), pack(i, &[b'x'; 2000]).as_slice())
                .unwrap();
            write.commit().unwrap();
        }
        drop(db);
        let file = dir.path().join("store.redb");
        let whole = std::fs::read(&file).unwrap();
        for part in [0, 1, 100, 4096, whole.len() / 4, whole.len() / 2, whole.len() * 3 / 4] {
            std::fs::write(&file, &whole[..part]).unwrap();
            let error = open(dir.path()).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains("damaged or cut short"), "{part} of {}: {error}", whole.len());
            assert!(error.contains("move it away"), "{error}");
        }
        std::fs::write(&file, &whole).unwrap();
        open(dir.path()).unwrap();
    }
}
