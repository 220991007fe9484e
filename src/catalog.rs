//! The catalogue on disk: folders of templates, read into domain values. An effect: it reads and never writes, follows no
//! symbolic link out of a template, and reads no more than a template needs.

pub mod builtin;
pub mod library;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::app::compose;
use crate::domain::app::finding::{Code, Effect, Finding, Place};
use crate::domain::app::instance::{File, Files};
use crate::domain::app::metadata;
use crate::domain::app::template::{ENV, Entry, Template};

/// The largest of the three files that are read.
const FILE_LIMIT: u64 = 1 << 20;
/// How many files and folders one template may have.
const MOST_ENTRIES: usize = 2000;
/// How deep they may lie.
const DEEPEST: usize = 12;
/// How much a template's files may come to, in octets.
const MOST_CONTENT: usize = 64 << 20;

/// The templates in `folder`, in the order of their names. A folder that holds a template's files is one template itself.
pub fn load(folder: &Path) -> io::Result<Vec<Template>> {
    let is_template = |folder: &Path| {
        [compose::FILE, metadata::FILE].iter().any(|file| folder.join(file).symlink_metadata().is_ok())
    };
    if is_template(folder) {
        return Ok(vec![read(folder)]);
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders.iter().map(|folder| read(folder)).collect())
}

/// Reads one template. What can't be read is among its troubles.
fn read(folder: &Path) -> Template {
    let mut troubles = Vec::new();
    let root = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    // `.` and `..` have a name once they are followed; a link to a folder keeps its own.
    let name = folder.file_name().or(root.file_name());
    let name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut walk = Walk { root: &root, entries: BTreeMap::new(), troubles: &mut troubles };
    walk.folder("", 0);
    let entries = walk.entries;
    let mut bytes = |file: &str| {
        let Some(Entry::File(size)) = entries.get(file) else { return None };
        if FILE_LIMIT < *size {
            let what = format!("{file} has {size} bytes, at most {FILE_LIMIT} are read");
            troubles.push(Finding::both(Code::TooLarge, Effect::Cannot, Place::file(file), what));
            return None;
        }
        match fs::read(root.join(file)) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                troubles.push(unreadable(file, &error));
                None
            }
        }
    };
    let (compose, env, metadata) = (bytes(compose::FILE), bytes(ENV), bytes(metadata::FILE));
    Template { name, compose, env, metadata, entries, troubles }
}

/// The files of the template in `folder` beside the three of the pipeline.
pub fn contents(folder: &Path, template: &Template) -> io::Result<Files> {
    let mut files = Files::new();
    let mut left = MOST_CONTENT;
    for (path, entry) in &template.entries {
        let Entry::File(_) = entry else {
            files.insert(format!("{path}/"), File { bytes: Arc::default(), mode: 0o755 });
            continue;
        };
        if [compose::FILE, ENV, metadata::FILE].contains(&path.as_str()) {
            continue;
        }
        let full = folder.join(path);
        let mode = full.metadata()?.permissions().mode() & 0o777;
        let bytes = fs::read(full)?;
        left = left.checked_sub(bytes.len()).ok_or_else(|| {
            io::Error::other(format!("the template's files come to more than {MOST_CONTENT} bytes"))
        })?;
        files.insert(path.clone(), File { bytes: bytes.into(), mode });
    }
    Ok(files)
}

fn unreadable(path: &str, error: &io::Error) -> Finding {
    Finding::both(Code::Unreadable, Effect::Cannot, Place::file(path), error.to_string())
}

/// A walk through a template's folder, which lists and reads nothing.
struct Walk<'a> {
    root: &'a Path,
    entries: BTreeMap<String, Entry>,
    troubles: &'a mut Vec<Finding>,
}

impl Walk<'_> {
    fn folder(&mut self, path: &str, depth: usize) {
        let mut names: Vec<PathBuf> = match fs::read_dir(self.root.join(path)) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
            Err(error) => return self.troubles.push(unreadable(path, &error)),
        };
        names.sort();
        for full in names {
            let Some(name) = full.file_name().and_then(|name| name.to_str()) else {
                let what = io::Error::other("a name is not UTF-8");
                self.troubles.push(unreadable(path, &what));
                continue;
            };
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            if MOST_ENTRIES <= self.entries.len() || DEEPEST < depth {
                let too_large = |troubles: &mut Vec<Finding>| {
                    let what = format!("more than {MOST_ENTRIES} files, or deeper than {DEEPEST} folders");
                    let place = Place::file(&path);
                    troubles.push(Finding::both(Code::TooLarge, Effect::Cannot, place, what));
                };
                return too_large(self.troubles);
            }
            match self.entry(&full) {
                Ok(Some(entry)) => {
                    let link = full.symlink_metadata().is_ok_and(|what| what.is_symlink());
                    self.entries.insert(path.clone(), entry);
                    // What a link leads to inside is listed under its own name; following it could go round for ever.
                    if entry == Entry::Folder && !link {
                        self.folder(&path, depth + 1);
                    }
                }
                Ok(None) => self.troubles.push(Finding::both(
                    Code::SymlinkLeaves,
                    Effect::Cannot,
                    Place::file(&path),
                    &path,
                )),
                Err(error) => self.troubles.push(unreadable(&path, &error)),
            }
        }
    }

    /// What stands at `full`; none where a link leads out.
    fn entry(&self, full: &Path) -> io::Result<Option<Entry>> {
        let real = full.canonicalize()?;
        if !real.starts_with(self.root) {
            return Ok(None);
        }
        let what = real.metadata()?;
        match (what.is_file(), what.is_dir()) {
            (true, _) => Ok(Some(Entry::File(what.len()))),
            (_, true) => Ok(Some(Entry::Folder)),
            _ => Err(io::Error::other("neither a file nor a folder")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::domain::app::template::check;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("blog");
        fs::create_dir_all(app.join("src/conf")).unwrap();
        fs::write(
            app.join("docker-compose.yml"),
            "services: {web: {image: 'nginx:1', volumes: [./src/x:/x]}}",
        )
        .unwrap();
        fs::write(app.join("src/conf/a"), "12345").unwrap();
        (dir, app)
    }

    #[test]
    fn a_catalogue_is_its_folders_and_a_template_is_itself() {
        let (dir, app) = folder();
        fs::create_dir(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join("README.md"), "").unwrap();
        let names = |path: &Path| load(path).unwrap().into_iter().map(|t| t.name).collect::<Vec<_>>();
        assert_eq!(names(dir.path()), ["blog"]);
        assert_eq!(names(&app), ["blog"]);
        assert!(load(&dir.path().join("no")).is_err());
        let template = load(&app).unwrap().remove(0);
        assert_eq!(template.entries.get("src/conf/a"), Some(&Entry::File(5)));
        assert_eq!(template.entries.get("src/conf"), Some(&Entry::Folder));
        assert_eq!((template.env, template.troubles), (None, vec![]));
    }

    #[test]
    fn a_link_that_leads_out_is_refused_and_one_inside_is_followed_once() {
        let (dir, app) = folder();
        fs::write(dir.path().join("secret"), "A=1").unwrap();
        symlink("../secret", app.join(".env")).unwrap();
        symlink("..", app.join("src/up")).unwrap();
        symlink("/etc/passwd", app.join("src/x")).unwrap();
        symlink("nowhere", app.join("src/dangling")).unwrap();
        let template = load(&app).unwrap().remove(0);
        assert_eq!(template.env, None);
        let troubles: Vec<(&str, &str)> =
            template.troubles.iter().map(|t| (t.code.as_str(), t.place.file.as_str())).collect();
        let expect =
            [("symlink-leaves", ".env"), ("unreadable", "src/dangling"), ("symlink-leaves", "src/x")];
        assert_eq!(troubles, expect);
        assert_eq!(template.entries.get("src/up"), Some(&Entry::Folder));
        assert!(!template.entries.contains_key("src/up/src"));
        let missing = check(&template).findings.iter().any(|f| f.code == Code::MissingBind);
        assert!(missing, "what leads out is not there");
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        let (_dir, app) = folder();
        fs::File::create(app.join(".env")).unwrap().set_len(10 << 20).unwrap();
        let template = load(&app).unwrap().remove(0);
        assert_eq!(template.env, None);
        assert_eq!(template.troubles[0].code, Code::TooLarge);
    }
}
