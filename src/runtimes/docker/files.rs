//! The rendered files of an application below the folder of all: the compose document, the `.env`, what the template
//! brings and what its configs and secrets hold. A file of the template is written when the *template's* content changes,
//! so that what the application (or its owner) made of it since stays. A manifest beside them says whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::error::taken;
use super::folder::{Folder, Found};
use super::names::COMPOSE_FILE;
use crate::domain::app::instance::{AppKey, Instance};
use crate::domain::app::workload::Source;
use crate::domain::retry::Class;
use crate::runtimes::{Kind, RuntimeError};

/// The manifest's name.
const MANIFEST: &str = ".cocoasyncer.json";

/// What keeps us out of a folder that an application writes to.
const LINK: &str = "a link or a file stands where a folder should be: remove it";

/// Where the content of a service's `nth` config or secret lies.
pub fn content_path(service: &str, nth: usize) -> String {
    format!(".contents/{service}/{nth}")
}

/// What is known of a folder: whose it is and what was put there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Manifest {
    namespace: String,
    name: String,
    uid: String,
    /// Digests of the template's files as they were when they were written, by path.
    files: BTreeMap<String, String>,
    /// Images that were pulled for it.
    pub images: BTreeSet<String>,
    /// Copies of volumes that are complete.
    pub snapshots: BTreeSet<String>,
}

/// One application's folder.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
    key: AppKey,
    uid: String,
}

/// A file to be written.
struct Item<'a> {
    path: String,
    bytes: &'a [u8],
    mode: u32,
    /// It is ours alone: whatever else stands there is wrong.
    rendered: bool,
}

impl Home {
    /// The folder of `key` below `apps`.
    pub fn of(apps: &Path, key: &AppKey, uid: &str) -> Self {
        Self { path: apps.join(&key.name), key: key.clone(), uid: uid.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether everything stands as it should.
    pub fn stands(&self, instance: &Instance) -> Result<bool, RuntimeError> {
        let Some((folder, manifest)) = self.opened()? else { return Ok(false) };
        if manifest.uid != self.uid {
            return Ok(false);
        }
        let stands = || -> io::Result<bool> {
            for item in items(instance) {
                if !same(&folder, &manifest, &item)? {
                    return Ok(false);
                }
            }
            for path in folders(instance) {
                if folder.find(&path)? == Found::Nothing {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        stands().map_err(|error| self.failed("look at", &error))
    }

    /// Writes what is missing or different, and removes what the template has no more and nobody changed.
    pub fn write(&self, instance: &Instance) -> Result<(), RuntimeError> {
        let (folder, mut manifest) = self.claimed()?;
        let mut write = || -> io::Result<()> {
            let items = items(instance);
            for item in &items {
                if same(&folder, &manifest, item)? {
                    continue;
                }
                folder.write(&item.path, item.bytes, item.mode)?;
                if !item.rendered {
                    manifest.files.insert(item.path.clone(), sum(item.bytes));
                }
            }
            let wanted: BTreeSet<&str> = items.iter().map(|item| item.path.as_str()).collect();
            let gone: Vec<String> =
                manifest.files.keys().filter(|path| !wanted.contains(path.as_str())).cloned().collect();
            for path in gone {
                let was = manifest.files.remove(&path);
                if folder.read(&path).ok().flatten().map(|bytes| sum(&bytes)) == was {
                    folder.remove(&path)?;
                }
            }
            for path in folders(instance) {
                if folder.find(&path)? == Found::Nothing {
                    folder.make_folder(&path)?;
                }
            }
            Ok(())
        };
        let written = write();
        // What was written is remembered even where the rest failed.
        self.save(&folder, &manifest)?;
        written.map_err(|error| self.failed("write", &error))
    }

    /// Looks whether what a service binds lies in the folder and is reached without a link: the engine would follow one
    /// that the application laid to any place of the host.
    pub fn check_binds(&self, instance: &Instance, service: &str) -> Result<(), RuntimeError> {
        let Some(service) = instance.workload.service(service) else { return Ok(()) };
        let binds = |source: &Source| match source {
            Source::Template(path) => Some(path.clone()),
            _ => None,
        };
        let mut paths: Vec<String> = service.mounts.iter().filter_map(|mount| binds(&mount.source)).collect();
        paths.extend((0..service.contents.len()).map(|nth| content_path(&service.name, nth)));
        if paths.is_empty() {
            return Ok(());
        }
        let folder = Folder::open(&self.path).map_err(|error| self.failed("look at", &error))?;
        for path in paths {
            let found = folder.as_ref().map(|folder| folder.find(&path));
            match found {
                Some(Ok(Found::File | Found::Folder)) => {}
                Some(Ok(Found::Nothing)) | None => {
                    let what = format!("{path} is not there yet to be mounted: files are written anew");
                    return Err(RuntimeError::new(Kind::Other, Class::Transient, what));
                }
                _ => {
                    let what = format!(
                        "{path} in {} is a link or lies behind one, and is not mounted: remove the link",
                        self.path.display()
                    );
                    return Err(RuntimeError::new(Kind::Refused, Class::User, what));
                }
            }
        }
        Ok(())
    }

    /// Changes what is remembered of the application.
    pub fn remember(&self, change: impl FnOnce(&mut Manifest)) -> Result<(), RuntimeError> {
        let (folder, was) = self.claimed()?;
        let mut manifest = was.clone();
        change(&mut manifest);
        match manifest == was {
            true => Ok(()),
            false => self.save(&folder, &manifest),
        }
    }

    /// What is remembered of the application.
    pub fn remembered(&self) -> Result<Manifest, RuntimeError> {
        Ok(self.opened()?.map(|(_, manifest)| manifest).unwrap_or_default())
    }

    /// Removes the folder, or only what is rendered where data are kept. Answers whether something of it stays.
    pub fn clear(&self, data: bool) -> Result<bool, RuntimeError> {
        let Some((folder, manifest)) = self.opened()? else { return Ok(false) };
        let clear = || -> io::Result<bool> {
            if data {
                // It opens each folder by its parent and follows no link.
                std::fs::remove_dir_all(&self.path)?;
                return Ok(false);
            }
            for path in [COMPOSE_FILE, ".env"] {
                folder.remove(path)?;
            }
            Ok(true)
        };
        if !data && manifest.uid != self.uid {
            return Ok(true);
        }
        clear().map_err(|error| self.failed("remove", &error))
    }

    /// The folder and its manifest, where it is this App's; none where there is none.
    fn opened(&self) -> Result<Option<(Folder, Manifest)>, RuntimeError> {
        let folder = match Folder::open(&self.path) {
            Ok(Some(folder)) => folder,
            Ok(None) => return Ok(None),
            Err(error) => return Err(self.failed("open", &error)),
        };
        let text = folder.read(MANIFEST).map_err(|error| self.failed("read", &error))?;
        match text.map(|text| serde_json::from_slice::<Manifest>(&text)) {
            Some(Ok(manifest)) if self.is_of(&manifest) => Ok(Some((folder, manifest))),
            None if folder.is_empty().unwrap_or(false) => Ok(None),
            _ => Err(taken("the folder", &self.path.to_string_lossy())),
        }
    }

    fn is_of(&self, manifest: &Manifest) -> bool {
        manifest.namespace == self.key.namespace && manifest.name == self.key.name
    }

    /// The same, made and marked as the App's first.
    fn claimed(&self) -> Result<(Folder, Manifest), RuntimeError> {
        let opened = self.opened()?;
        if let Some((folder, manifest)) = opened {
            if manifest.uid == self.uid {
                return Ok((folder, manifest));
            }
            let manifest = Manifest { uid: self.uid.clone(), ..manifest };
            self.save(&folder, &manifest)?;
            return Ok((folder, manifest));
        }
        let folder = Folder::make(&self.path).map_err(|error| self.failed("make", &error))?;
        let manifest = Manifest {
            namespace: self.key.namespace.clone(),
            name: self.key.name.clone(),
            uid: self.uid.clone(),
            ..Manifest::default()
        };
        self.save(&folder, &manifest)?;
        Ok((folder, manifest))
    }

    fn save(&self, folder: &Folder, manifest: &Manifest) -> Result<(), RuntimeError> {
        let text = serde_json::to_vec(manifest).map_err(|error| self.failed("write", &error.into()))?;
        folder.write(MANIFEST, &text, 0o600).map_err(|error| self.failed("write", &error))
    }

    fn failed(&self, what: &str, error: &io::Error) -> RuntimeError {
        let path = self.path.display();
        let (kind, class, hint) = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (Kind::NoSpace, Class::Transient, "free some space")
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                (Kind::Rights, Class::Transient, "give the operator the right to write there")
            }
            io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => (Kind::Refused, Class::User, LINK),
            _ if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP) => {
                (Kind::Refused, Class::User, LINK)
            }
            _ => (Kind::Other, Class::Transient, "it is tried again"),
        };
        RuntimeError::new(kind, class, format!("{what} files in {path}: {error} ({hint})"))
    }
}

/// Whether a file stands as it should: ours as it is rendered now, the template's as it was written once.
fn same(folder: &Folder, manifest: &Manifest, item: &Item<'_>) -> io::Result<bool> {
    if folder.find(&item.path)? != Found::File {
        return Ok(false);
    }
    match item.rendered {
        true => Ok(folder.read(&item.path)?.as_deref() == Some(item.bytes)),
        false => Ok(manifest.files.get(&item.path) == Some(&sum(item.bytes))),
    }
}

fn items(instance: &Instance) -> Vec<Item<'_>> {
    let mut items = vec![
        Item {
            path: COMPOSE_FILE.to_owned(),
            bytes: instance.compose.expose().as_bytes(),
            mode: 0o600,
            rendered: true,
        },
        Item {
            path: ".env".to_owned(),
            bytes: instance.env.expose().as_bytes(),
            mode: 0o600,
            rendered: true,
        },
    ];
    for (path, file) in instance.files.iter().filter(|(path, _)| !path.ends_with('/')) {
        items.push(Item { path: path.clone(), bytes: &file.bytes, mode: file.mode, rendered: false });
    }
    for service in &instance.workload.services {
        for (nth, content) in service.contents.iter().enumerate() {
            items.push(Item {
                path: content_path(&service.name, nth),
                bytes: content.text.as_bytes(),
                mode: content.mode,
                rendered: true,
            });
        }
    }
    items
}

/// Folders that must be there: empty ones of the template, and those that stand in for a missing source of a mount.
fn folders(instance: &Instance) -> Vec<String> {
    let empty = instance.files.keys().filter(|path| path.ends_with('/')).cloned();
    let mounts = instance.workload.services.iter().flat_map(|service| &service.mounts);
    let bound = mounts.filter_map(|mount| match &mount.source {
        Source::Template(path) => Some(path.clone()),
        _ => None,
    });
    empty.chain(bound).collect()
}

fn sum(bytes: &[u8]) -> String {
    let sum = digest(&SHA256, bytes);
    sum.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
