//! A folder that an application may write to, and so may fill with links: everything below it is reached one step at a
//! time without following any, and written beside its place first. Knows no application.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fchmod, mkdirat, open, openat, renameat, statat, unlinkat,
};

/// Largest file of a template that is read back, in octets.
const MOST: u64 = 64 << 20;

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A link or something else that is never ours.
    Other,
}

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    root: OwnedFd,
}

impl Folder {
    /// Opens the folder at `path`; none where there is none.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match open(path, flags, Mode::empty()) {
            Ok(root) => Ok(Some(Self { root })),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the folder at `path`, readable to its owner only, with those above it, and opens it.
    pub fn make(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        if let Some(above) = path.parent() {
            std::fs::create_dir_all(above)?;
        }
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        Self::open(path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> io::Result<bool> {
        for entry in rustix::fs::Dir::read_from(&self.root)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is at `path`. A link anywhere on the way is an error.
    pub fn find(&self, path: &str) -> io::Result<Found> {
        let Some((parent, name)) = self.parent(path, false)? else { return Ok(Found::Nothing) };
        let Some(name) = name else { return Ok(Found::Folder) };
        match statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Found::File,
                FileType::Directory => Found::Folder,
                _ => Found::Other,
            }),
            Err(rustix::io::Errno::NOENT) => Ok(Found::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// The content of the file at `path`; none where there is none.
    pub fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let Some((parent, Some(name))) = self.parent(path, false)? else { return Ok(None) };
        // An application could have put a pipe there, on which an open would wait.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match openat(&parent, &name, flags, Mode::empty()) {
            Ok(file) => std::fs::File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a file"));
        }
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Writes the file at `path` with this mode, as a whole or not at all, with the folders above it.
    pub fn write(&self, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        let Some((parent, Some(name))) = self.parent(path, true)? else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let fresh = format!(".{name}.new");
        let _ = unlinkat(&parent, &fresh, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = std::fs::File::from(openat(&parent, &fresh, flags, Mode::from_raw_mode(0o600))?);
        file.write_all(bytes)?;
        fchmod(&file, Mode::from_raw_mode(mode & 0o7777))?;
        file.sync_all()?;
        Ok(renameat(&parent, &fresh, &parent, &name)?)
    }

    /// Makes the folder at `path` with those above it.
    pub fn make_folder(&self, path: &str) -> io::Result<()> {
        // With a name behind it, all of the path stands above.
        self.parent(&format!("{path}/x"), true).map(drop)
    }

    /// Removes the file at `path`.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let Some((parent, Some(name))) = self.parent(path, false)? else { return Ok(()) };
        match unlinkat(&parent, &name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The folder above `path` and its last name (none: the root itself); none where a folder is missing and not made.
    fn parent(&self, path: &str, make: bool) -> io::Result<Option<(OwnedFd, Option<String>)>> {
        let mut names = Vec::new();
        for part in Path::new(path).components() {
            match part {
                Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
                Component::CurDir => {}
                _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it leads out of its folder")),
            }
        }
        let last = names.pop();
        let mut at = self.root.try_clone()?;
        for name in names {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            at = match openat(&at, &name, flags, Mode::empty()) {
                Ok(next) => next,
                Err(rustix::io::Errno::NOENT) if make => {
                    match mkdirat(&at, &name, Mode::from_raw_mode(0o755)) {
                        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    openat(&at, &name, flags, Mode::empty())?
                }
                Err(rustix::io::Errno::NOENT) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
        }
        Ok(Some((at, last)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn files_come_with_their_modes_and_nothing_half_written_stays() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::make(&home.path().join("a/b")).unwrap();
        assert!(folder.is_empty().unwrap());
        folder.write("src/run.sh", b"#!/bin/sh\n", 0o755).unwrap();
        folder.write("src/run.sh", b"#!/bin/sh\necho\n", 0o750).unwrap();
        let path = home.path().join("a/b/src/run.sh");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o750);
        assert_eq!(folder.read("src/run.sh").unwrap().unwrap(), b"#!/bin/sh\necho\n");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(std::fs::metadata(home.path().join("a/b")).unwrap().permissions().mode() & 0o777, 0o700);
        folder.make_folder("empty/one").unwrap();
        assert_eq!(folder.find("empty/one").unwrap(), Found::Folder);
        assert_eq!(folder.find("nothing/there").unwrap(), Found::Nothing);
        folder.remove("src/run.sh").unwrap();
        assert_eq!(folder.find("src/run.sh").unwrap(), Found::Nothing);
    }

    #[test]
    fn no_link_is_followed_and_no_path_leads_out() {
        let home = tempfile::tempdir().unwrap();
        let outside = home.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("f"), "theirs").unwrap();
        let folder = Folder::make(&home.path().join("app")).unwrap();
        symlink(&outside, home.path().join("app/link")).unwrap();
        symlink(outside.join("f"), home.path().join("app/file")).unwrap();
        assert!(folder.write("link/f", b"ours", 0o644).is_err());
        assert!(folder.read("link/f").is_err() && folder.read("file").is_err());
        assert_eq!(folder.find("file").unwrap(), Found::Other);
        // A link in the file's own place is replaced and not written through.
        folder.write("file", b"ours", 0o644).unwrap();
        assert_eq!(std::fs::read_to_string(outside.join("f")).unwrap(), "theirs");
        for path in ["../outside/f", "/etc/passwd", "a/../../outside/f"] {
            assert!(folder.write(path, b"ours", 0o644).is_err(), "{path}");
        }
        symlink(&outside, home.path().join("linked")).unwrap();
        assert!(Folder::open(&home.path().join("linked")).is_err());
    }
}
