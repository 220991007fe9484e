//! What services, volumes and objects are called in a cluster, where a name is at most 63 of `a-z`, `0-9` and `-` and
//! begins with a letter. Renaming is deterministic, and two names never become one.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::app::instance::Instance;
use crate::domain::app::kubernetes::hash;
use crate::domain::app::workload::Service;

/// Longest label of DNS.
const LONGEST: usize = 63;

/// `name` as a DNS-1035 label: itself where it is one, else made to fit, with a digest of what it was.
pub fn label(name: &str, longest: usize) -> String {
    let longest = longest.min(LONGEST);
    let valid = is_label(name) && name.len() <= longest;
    if valid {
        return name.to_owned();
    }
    let mut plain = String::new();
    for c in name.chars() {
        let c = c.to_ascii_lowercase();
        let c = if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
        if c != '-' || !(plain.is_empty() || plain.ends_with('-')) {
            plain.push(c);
        }
    }
    // DNS doesn't tell cases apart: what only loses its capitals stays the same name.
    let plain = plain.trim_end_matches('-');
    if is_label(plain) && plain.len() <= longest && plain.eq_ignore_ascii_case(name) {
        return plain.to_owned();
    }
    let digest = hash(name.as_bytes(), 6);
    let first = if plain.starts_with(|c: char| c.is_ascii_lowercase()) { "" } else { "x" };
    let room = longest.saturating_sub(digest.len() + 1 + first.len());
    let kept: String = plain.chars().take(room).collect();
    format!("{first}{}-{digest}", kept.trim_end_matches('-'))
}

/// Whether `name` is a DNS-1035 label.
pub fn is_label(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.len() <= LONGEST
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(plain)
}

/// `text` as a label's value.
pub fn label_value(text: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain: String = text.chars().filter(|c| fine(*c)).take(LONGEST).collect();
    plain.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// The names of an instance's parts.
#[derive(Debug, Clone, Default)]
pub struct Names {
    id: String,
    /// Old names with what they are called in a cluster, the longest first: what siblings must be told.
    pub renamed: Vec<(String, String)>,
    bases: BTreeMap<String, String>,
}

impl Names {
    /// The names of `instance`.
    pub fn of(instance: &Instance) -> Self {
        let mut names = Self { id: label(&instance.id, 40), ..Self::default() };
        let mut renamed = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for service in &instance.workload.services {
            let called = service.container.as_deref().unwrap_or(&service.name);
            let mut base = names.own(called);
            // Two services under one container's name: the check refuses it, and here it only must not overwrite.
            if !taken.insert(base.clone()) {
                base = names.own(&format!("{called}--{}", service.name));
                taken.insert(base.clone());
            }
            names.bases.insert(service.name.clone(), base);
            for name in called_as(service) {
                let new = label(&name, LONGEST);
                if !new.eq_ignore_ascii_case(&name) {
                    renamed.insert((name, new));
                }
            }
        }
        names.renamed = renamed.into_iter().collect();
        names.renamed.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        names
    }

    /// `name` with the application's id in front, unless it stands there already: unique in the namespace.
    pub fn own(&self, name: &str) -> String {
        match self.is_own(name) {
            true => label(name, LONGEST),
            false => label(&format!("{}-{name}", self.id), LONGEST),
        }
    }

    /// Whether the application's id stands in front of `name`, so that no other application has it.
    pub fn is_own(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let below = name.strip_prefix(&self.id);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    }

    /// What the objects of a service are called.
    pub fn base(&self, service: &str) -> String {
        self.bases.get(service).cloned().unwrap_or_else(|| self.own(service))
    }

    /// The name of something that belongs to `base`; two hyphens, which templates don't use, keep it apart from theirs.
    pub fn part(&self, base: &str, part: &str) -> String {
        label(&format!("{base}--{part}"), LONGEST)
    }

    /// The Service under which pods have names of their own.
    pub fn subdomain(&self) -> String {
        self.part(&self.id, "pods")
    }

    /// A claim.
    pub fn claim(&self, volume: &str) -> String {
        self.part(&self.id, volume)
    }

    /// `text` with the names that a cluster can't have as it has them.
    pub fn told(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (old, new) in &self.renamed {
            text = replaced(&text, old, new);
        }
        text
    }
}

/// Every name by which a service's siblings could call it.
pub fn called_as(service: &Service) -> Vec<String> {
    let mut names = vec![service.name.clone()];
    names.extend(service.container.clone());
    names.extend(service.aliases.iter().cloned());
    names.extend(service.hostname.clone());
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.to_ascii_lowercase()));
    names
}

/// Where `name` stands as a word of its own in `text`: hostnames go on over letters, digits, `_`, `-` and `.`.
pub fn places(text: &str, name: &str) -> Vec<usize> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let whole = |at: &usize| {
        let (before, after) = (&text[..*at], &text[at + name.len()..]);
        let dotted = after.strip_prefix('.').is_some_and(|rest| rest.starts_with(inner));
        let open = before.ends_with(|c| inner(c) || matches!(c, '.' | '$' | '{'));
        !open && !after.starts_with(inner) && !dotted
    };
    if name.is_empty() {
        return Vec::new();
    }
    text.match_indices(name).map(|(at, _)| at).filter(whole).collect()
}

fn replaced(text: &str, old: &str, new: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for at in places(text, old) {
        out.push_str(&text[from..at]);
        out.push_str(new);
        from = at + old.len();
    }
    out.push_str(&text[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_labels_and_never_one() {
        assert_eq!(label("blog-mysql", 63), "blog-mysql");
        assert_eq!(label("Blog-MySQL", 63), "blog-mysql");
        let odd = [
            "awx_rsyslog",
            "awx-rsyslog",
            "awx.rsyslog",
            "1st",
            "-",
            "",
            "a--b_",
            "名字",
            &"x".repeat(64),
            &"x".repeat(70),
        ];
        let made: BTreeSet<String> = odd.iter().map(|name| label(name, 63)).collect();
        assert_eq!(made.len(), odd.len(), "{made:?}");
        assert!(made.iter().all(|name| is_label(name)), "{made:?}");
        assert!(label("data", 63) == "data" && label(&"y".repeat(80), 40).len() <= 40);
    }

    #[test]
    fn a_name_is_found_as_a_word_only() {
        for (text, found) in [
            ("mysql", true),
            ("tcp://mysql:3306/db", true),
            ("root@mysql/x,other", true),
            ("mysql.", true),
            ("mysql-data", false),
            ("/var/lib/mysqld", false),
            ("my.mysql", false),
            ("mysql.example.com", false),
            ("$mysql", false),
            ("x_mysql", false),
        ] {
            assert_eq!(!places(text, "mysql").is_empty(), found, "{text}");
        }
        assert_eq!(replaced("http://a_b:1,a_b2,a_b", "a_b", "a-b"), "http://a-b:1,a_b2,a-b");
    }
}
