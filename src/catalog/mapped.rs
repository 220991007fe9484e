//! Templates in ConfigMaps: a ConfigMap's keys can't hold a slash, so a path is written with an escape.
//!
//! In a key `__` is a slash and `_-` an underscore; any other `_` is itself. So `src__default.conf` is
//! `src/default.conf`, and `src___-_init_-_.py` is `src/__init__.py`. Every key stands
//! for one path. Paths with other letters than a key may have stand in folders only.

use std::collections::BTreeMap;

use crate::catalog::{FILE_LIMIT, named, too_large};
use crate::domain::app::compose;
use crate::domain::app::compose::mounts::inside;
use crate::domain::app::finding::{Code, Effect, Finding, Place};
use crate::domain::app::instance::{File, Files};
use crate::domain::app::metadata;
use crate::domain::app::template::{ENV, Entry, Template};

/// The path that `key` stands for.
pub fn path_of(key: &str) -> String {
    let mut path = String::with_capacity(key.len());
    let mut rest = key;
    while let Some(at) = rest.find('_') {
        path.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (meant, taken) = match after.bytes().next() {
            Some(b'_') => ('/', 1),
            Some(b'-') => ('_', 1),
            _ => ('_', 0),
        };
        path.push(meant);
        rest = &after[taken..];
    }
    path + rest
}

/// A key that stands for `path`.
pub fn key_of(path: &str) -> String {
    let mut key = String::with_capacity(path.len());
    let mut chars = path.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('/', _) => key.push_str("__"),
            // Before one of these, or at the end where a slash may follow some day, it would be misread.
            ('_', Some('_' | '-' | '/') | None) => key.push_str("_-"),
            _ => key.push(c),
        }
    }
    key
}

/// The template `name` from a ConfigMap's data, and its files beside the three of the pipeline.
pub fn read<'a>(name: &str, data: impl Iterator<Item = (&'a str, &'a [u8])>) -> (Template, Files) {
    let mut template = Template { name: name.to_owned(), ..Template::default() };
    let mut files = Files::new();
    named(name, &mut template.troubles);
    let mut contents = BTreeMap::new();
    for (key, bytes) in data {
        let path = path_of(key);
        if path.is_empty() || inside(&path).as_deref() != Some(&path) {
            let place = Place::file(key);
            template.troubles.push(Finding::both(Code::PathLeaves, Effect::Cannot, place, &path));
        } else if contents.insert(path.clone(), bytes).is_some() {
            let what = format!("two keys stand for {path}");
            template.troubles.push(Finding::both(Code::Unreadable, Effect::Cannot, Place::file(key), what));
        }
    }
    for (path, bytes) in contents {
        let size = bytes.len() as u64;
        for (at, _) in path.match_indices('/') {
            let folder = template.entries.insert(path[..at].to_owned(), Entry::Folder);
            if let Some(Entry::File(_)) = folder {
                let what = format!("{} is a file and a folder", &path[..at]);
                let trouble = Finding::both(Code::Unreadable, Effect::Cannot, Place::file(&path), what);
                template.troubles.push(trouble);
            }
        }
        template.entries.insert(path.clone(), Entry::File(size));
        let kept = match path.as_str() {
            compose::FILE => &mut template.compose,
            ENV => &mut template.env,
            metadata::FILE => &mut template.metadata,
            _ => {
                // A ConfigMap has no permission bits: what begins like a script is one.
                let mode = if bytes.starts_with(b"#!") { 0o755 } else { 0o644 };
                files.insert(path, File { bytes: bytes.into(), mode });
                continue;
            }
        };
        match FILE_LIMIT < size {
            true => template.troubles.push(too_large(&path, size)),
            false => *kept = Some(bytes.to_vec()),
        }
    }
    (template, files)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::app::template::check;

    #[test]
    fn keys_stand_for_paths() {
        let cases = [
            ("docker-compose.yml", "docker-compose.yml"),
            (".env", ".env"),
            ("src__default.conf", "src/default.conf"),
            ("src__my_app.conf", "src/my_app.conf"),
            ("src___-_init_-_-.py", "src/__init__.py"),
            ("a_-__b", "a_/b"),
            ("a___b", "a/_b"),
            ("a_", "a_"),
            ("", ""),
        ];
        for (key, path) in cases {
            assert_eq!(path_of(key), path, "{key}");
            assert_eq!(path_of(&key_of(path)), path, "{path}");
        }
    }

    proptest! {
        #[test]
        fn every_path_has_a_key_of_its_own(path in "[a-z_/.-]{0,12}") {
            let key = key_of(&path);
            prop_assert!(!key.contains('/'));
            prop_assert_eq!(path_of(&key), path);
        }
    }

    fn read_all(name: &str, data: &[(&str, &str)]) -> (Template, Files) {
        read(name, data.iter().map(|(key, text)| (*key, text.as_bytes())))
    }

    #[test]
    fn a_template_comes_out_as_from_a_folder() {
        let compose = "services: {web: {image: 'nginx:1', ports: ['80:80'], volumes: ['./src/a.conf:/a:ro', './src/bin/run.sh:/run.sh']}}";
        let metadata =
            r#"{"name":"blog","edition":[{"version":["1"]}],"requirements":{"cpu":1,"memory":1,"disk":1}}"#;
        let (template, files) = read_all(
            "blog",
            &[
                ("docker-compose.yml", compose),
                ("variables.json", metadata),
                ("src__a.conf", "a"),
                ("src__bin__run.sh", "#!/bin/sh\n"),
            ],
        );
        assert_eq!(check(&template).findings, []);
        let modes: Vec<(&str, u32)> = files.iter().map(|(path, file)| (path.as_str(), file.mode)).collect();
        assert_eq!(modes, [("src/a.conf", 0o644), ("src/bin/run.sh", 0o755)]);
        assert_eq!(template.entries.get("src/bin"), Some(&Entry::Folder));
    }

    #[test]
    fn what_leaves_or_clashes_is_refused() {
        let codes = |name: &str, keys: &[&str]| {
            let data: Vec<(&str, &str)> = keys.iter().map(|key| (*key, "")).collect();
            read_all(name, &data).0.troubles.iter().map(|trouble| trouble.code).collect::<Vec<_>>()
        };
        assert_eq!(codes("blog", &["src__..__..__etc"]), [Code::PathLeaves]);
        assert_eq!(codes("blog", &["__etc__passwd"]), [Code::PathLeaves]);
        assert_eq!(codes("blog", &["src____a"]), [Code::PathLeaves]);
        assert_eq!(codes("blog", &["src__a", "src__a__b"]), [Code::Unreadable]);
        assert_eq!(codes("blog", &["a_b", "a_-b"]), [Code::Unreadable]);
        assert_eq!(codes("Blog", &[]), [Code::AppName]);
        let large = "x".repeat(FILE_LIMIT as usize + 1);
        let (template, _) = read_all("blog", &[(".env", &large)]);
        assert_eq!((template.env, template.troubles[0].code), (None, Code::TooLarge));
    }
}
