//! The documents as a book: every page is in the summary, every link between files leads somewhere, down to the heading,
//! and the pages of the reference are what the program prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => pages(&path, into),
            false if path.extension().is_some_and(|end| end == "md") => into.push(path),
            false => {}
        }
    }
}

/// A page without its blocks of code, in which nothing is a link or a heading.
fn prose(text: &str) -> String {
    let mut code = false;
    let outside = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    };
    text.lines().filter(outside).collect::<Vec<_>>().join("\n")
}

/// Targets of the links in a page, those to other hosts apart.
fn links(text: &str) -> Vec<String> {
    let after = text.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split(')').next()).map(str::to_owned);
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// The anchors of a page's headings, as readers of Markdown make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let slug = |heading: &str| {
        let kept = heading.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    prose(text)
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| slug(line.trim_start_matches('#')))
        .collect()
}

fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let mut all = Vec::new();
    pages(&root().join("docs"), &mut all);
    for name in
        ["README.md", "README.zh-CN.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
    {
        all.push(root().join(name));
    }
    let texts: BTreeMap<PathBuf, String> =
        all.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    let mut broken = Vec::new();
    for (path, text) in &texts {
        for link in links(&prose(text)) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => path.clone(),
                file => plain(&path.parent().unwrap().join(file)),
            };
            let there = match texts.get(&target) {
                Some(text) => anchor.is_empty() || anchors(text).contains(anchor),
                None => target.exists(),
            };
            if !there {
                broken.push(format!("{}: {link}", path.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");

    let docs = root().join("docs");
    let told: BTreeSet<PathBuf> =
        links(&texts[&docs.join("SUMMARY.md")]).iter().map(|link| docs.join(link)).collect();
    let untold: Vec<&PathBuf> = texts
        .keys()
        .filter(|path| path.starts_with(&docs) && !path.ends_with("SUMMARY.md") && !told.contains(*path))
        .collect();
    assert!(untold.is_empty(), "pages that docs/SUMMARY.md doesn't name: {untold:#?}");
}

#[test]
fn the_reference_is_what_the_program_prints() {
    let fresh = tempfile::tempdir().unwrap();
    let printed = Command::new(env!("CARGO_BIN_EXE_cocoasyncer"))
        .args(["docs", "--write"])
        .arg(fresh.path())
        .env_clear()
        .output()
        .unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let folder = root().join("docs/reference");
    let mut pages = 0;
    for entry in fs::read_dir(fresh.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let there = fs::read_to_string(folder.join(&name)).unwrap_or_default();
        let prints = fs::read_to_string(fresh.path().join(&name)).unwrap();
        assert!(there == prints, "docs/reference/{} is stale: run `make generate`", name.display());
        pages += 1;
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), pages, "a page in docs/reference that nothing prints");
}
