//! The catalogue on disk: folders of templates, read into domain values. An effect: it reads and never writes, follows no
//! symbolic link out of a template, and reads no more than a template needs.

pub mod builtin;
pub mod library;
pub mod mapped;
pub mod sources;
pub mod stamp;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::app::compose;
use crate::domain::app::finding::{Code, Effect, Finding, Place};
use crate::domain::app::instance::{File, Files};
use crate::domain::app::metadata;
use crate::domain::app::template::{ENV, Entry, Template, is_app_name};

/// The largest of the three files that are read.
const FILE_LIMIT: u64 = 1 << 20;
/// How many files and folders one template may have.
const MOST_ENTRIES: usize = 2000;
/// How deep they may lie.
const DEEPEST: usize = 12;
/// How much a template's files may come to, in octets.
const MOST_CONTENT: u64 = 64 << 20;

/// The templates in `folder`, in the order of their names. A folder that holds a template's files is one template itself.
pub fn load(folder: &Path) -> io::Result<Vec<Template>> {
    Ok(folders(folder)?.iter().map(|folder| read(folder)).collect())
}

/// The folders of templates in `folder`, or `folder` alone where it is a template itself.
pub fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_template = |folder: &Path| {
        [compose::FILE, metadata::FILE].iter().any(|file| folder.join(file).symlink_metadata().is_ok())
    };
    if is_template(folder) {
        return Ok(vec![folder.to_owned()]);
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
    Ok(folders)
}

/// Reads the template in `folder`. What can't be read is among its troubles.
pub fn read(folder: &Path) -> Template {
    let mut troubles = Vec::new();
    let root = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    // `.` and `..` have a name once they are followed; a link to a folder keeps its own.
    let name = folder.file_name().or(root.file_name());
    let name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    named(&name, &mut troubles);
    let mut walk = Walk { root: &root, entries: BTreeMap::new(), troubles: &mut troubles };
    walk.folder("", 0);
    let entries = walk.entries;
    let mut bytes = |file: &str| {
        let Some(Entry::File(size)) = entries.get(file) else { return None };
        if FILE_LIMIT < *size {
            troubles.push(too_large(file, *size));
            return None;
        }
        match bounded(&root.join(file), FILE_LIMIT) {
            Ok(Some(bytes)) => Some(bytes),
            Ok(None) => {
                troubles.push(too_large(file, FILE_LIMIT + 1));
                None
            }
            Err(error) => {
                troubles.push(unreadable(file, &error));
                None
            }
        }
    };
    let (compose, env, metadata) = (bytes(compose::FILE), bytes(ENV), bytes(metadata::FILE));
    Template { name, compose, env, metadata, entries, troubles }
}

/// Says where a template's name can't be an application's.
fn named(name: &str, troubles: &mut Vec<Finding>) {
    if !is_app_name(name) {
        troubles.push(Finding::both(Code::AppName, Effect::Cannot, Place::default(), name));
    }
}

fn too_large(file: &str, size: u64) -> Finding {
    let what = format!("{file} has {size} bytes, at most {FILE_LIMIT} are read");
    Finding::both(Code::TooLarge, Effect::Cannot, Place::file(file), what)
}

/// What stands in the file; none where it is more than `most`, however small it was when it was looked at.
fn bounded(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// The files of the template in `folder` beside the three of the pipeline. The folder may have changed since it was
/// listed: what leads out of it by now, or is no file any more, is refused.
pub fn contents(folder: &Path, template: &Template) -> io::Result<Files> {
    let root = folder.canonicalize()?;
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
        let refuse = |why: &str| io::Error::other(format!("{path}: {why}"));
        let Some(Entry::File(_)) = standing(&root, &root.join(path))? else {
            return Err(refuse("it is not the file any more that it was"));
        };
        let full = root.join(path);
        let mode = full.metadata()?.permissions().mode() & 0o777;
        let bytes = bounded(&full, left)?
            .ok_or_else(|| refuse(&format!("the template's files come to more than {MOST_CONTENT} bytes")))?;
        left -= bytes.len() as u64;
        files.insert(path.clone(), File { bytes: bytes.into(), mode });
    }
    Ok(files)
}

/// What stands at `full`; none where it leads out of `root`, which has no link in it.
fn standing(root: &Path, full: &Path) -> io::Result<Option<Entry>> {
    let real = full.canonicalize()?;
    if !real.starts_with(root) {
        return Ok(None);
    }
    let what = real.metadata()?;
    match (what.is_file(), what.is_dir()) {
        (true, _) => Ok(Some(Entry::File(what.len()))),
        (_, true) => Ok(Some(Entry::Folder)),
        _ => Err(io::Error::other("neither a file nor a folder")),
    }
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
            match standing(self.root, &full) {
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
    fn files_are_read_when_they_are_wanted_and_a_link_that_leads_out_by_then_is_refused() {
        let (dir, app) = folder();
        fs::create_dir(app.join("src/empty")).unwrap();
        let template = load(&app).unwrap().remove(0);
        let files = contents(&app, &template).unwrap();
        assert_eq!(&*files["src/conf/a"].bytes, b"12345");
        assert_eq!(
            files.keys().map(String::as_str).collect::<Vec<_>>(),
            ["src/", "src/conf/", "src/conf/a", "src/empty/"]
        );
        fs::write(dir.path().join("secret"), "A=1").unwrap();
        fs::remove_file(app.join("src/conf/a")).unwrap();
        symlink(dir.path().join("secret"), app.join("src/conf/a")).unwrap();
        assert!(contents(&app, &template).unwrap_err().to_string().starts_with("src/conf/a: "));
    }

    fn troubles(app: &Path) -> Vec<Code> {
        load(app).unwrap().remove(0).troubles.iter().map(|trouble| trouble.code).collect()
    }

    #[test]
    fn too_many_files_and_too_deep_folders_are_refused_once() {
        let (_dir, app) = folder();
        for number in 0..MOST_ENTRIES + 10 {
            fs::write(app.join(format!("src/{number}")), "").unwrap();
        }
        assert_eq!(troubles(&app), [Code::TooLarge]);
        let (_dir, app) = folder();
        fs::create_dir_all(app.join("a/".repeat(DEEPEST + 2))).unwrap();
        assert_eq!(troubles(&app), [Code::TooLarge]);
    }

    #[test]
    fn a_name_that_is_not_utf_8_is_said_and_the_rest_is_read() {
        use std::os::unix::ffi::OsStrExt;
        let (_dir, app) = folder();
        fs::write(app.join("src").join(std::ffi::OsStr::from_bytes(b"\xff.conf")), "").unwrap();
        assert_eq!(troubles(&app), [Code::Unreadable]);
        assert!(load(&app).unwrap()[0].entries.contains_key("src/conf/a"));
    }

    #[test]
    fn a_folder_whose_name_is_no_applications_is_told() {
        let (dir, app) = folder();
        fs::rename(&app, dir.path().join("My_Blog")).unwrap();
        assert_eq!(troubles(dir.path()), [Code::AppName]);
    }

    #[test]
    fn what_is_neither_file_nor_folder_is_not_opened() {
        let (_dir, app) = folder();
        // A socket stands for a pipe too, whose opening would wait for ever.
        let _socket = std::os::unix::net::UnixListener::bind(app.join(".env")).unwrap();
        assert_eq!(troubles(&app), [Code::Unreadable]);
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
