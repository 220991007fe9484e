//! Stamps of templates: cheap marks that change when a folder does. They look at names, sizes and times and open no file.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a folder looked like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// Looks at all that is in `folder`, as far down as a template is read.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut hasher = DefaultHasher::new();
        let mut left = super::MOST_ENTRIES;
        look(folder, 0, &mut left, &mut hasher)?;
        Ok(Self(hasher.finish()))
    }
}

fn look(folder: &Path, depth: usize, left: &mut usize, into: &mut DefaultHasher) -> io::Result<()> {
    let mut entries: Vec<(OsString, fs::DirEntry)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        entries.push((entry.file_name(), entry));
    }
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, entry) in entries {
        let Some(fewer) = left.checked_sub(1).filter(|_| depth <= super::DEEPEST) else { return Ok(()) };
        *left = fewer;
        name.hash(into);
        let itself = entry.metadata()?;
        // Of a link counts what it leads to: mounted ConfigMaps change by another link.
        let what = if itself.is_symlink() { fs::metadata(entry.path()).ok() } else { Some(itself.clone()) };
        // The time of the last change can't be set back, unlike the time of the last writing.
        what.map(|what| (what.ino(), what.len(), what.mode(), what.ctime(), what.ctime_nsec())).hash(into);
        if itself.is_dir() {
            look(&entry.path(), depth + 1, left, into)?;
        }
        depth.hash(into);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_changes_with_what_is_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("src")).unwrap();
        fs::write(path("src/a"), "1").unwrap();
        let mut seen = vec![Stamp::of(dir.path()).unwrap()];
        assert_eq!(Stamp::of(dir.path()).unwrap(), seen[0]);
        let mut changed = || {
            let stamp = Stamp::of(dir.path()).unwrap();
            assert!(!seen.contains(&stamp));
            seen.push(stamp);
        };
        fs::write(path("src/a"), "12").unwrap();
        changed();
        fs::write(path("src/b"), "").unwrap();
        changed();
        // Other content under the same name and size.
        fs::write(path("new"), "21").unwrap();
        fs::rename(path("new"), path("src/a")).unwrap();
        changed();
        std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
        changed();
        fs::rename(path("src/b"), path("src/c")).unwrap();
        changed();
    }
}
