//! Names of objects that a push asks for: the leader's own names where they are free, derived ones where they aren't.

use std::collections::BTreeSet;

/// Whether `text` can name an object (RFC 1123 subdomain, as Kubernetes has it).
pub(super) fn is_object_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

/// Whether `text` can name a namespace (RFC 1123 label).
pub(super) fn is_namespace(text: &str) -> bool {
    is_object_name(text) && text.len() <= 63 && !text.contains('.')
}

/// Whether `text` can be a key of a Secret's data.
pub(super) fn is_data_key(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    !text.is_empty() && text.len() <= 253 && text != "." && !text.starts_with("..") && text.bytes().all(plain)
}

/// An object name made of `text`; `otherwise` where nothing of it can stay.
pub(super) fn object_name(text: &str, otherwise: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' => c,
        _ => '-',
    };
    let mapped: String = text.chars().map(plain).collect();
    let labels: Vec<String> = mapped
        .split('.')
        .map(|label| label.trim_matches('-').chars().take(63).collect::<String>())
        .map(|label| label.trim_end_matches('-').to_owned())
        .filter(|label| !label.is_empty())
        .collect();
    let mut name = labels.join(".");
    name.truncate(240);
    let name = name.trim_matches(|c| c == '.' || c == '-');
    if name.is_empty() { otherwise.to_owned() } else { name.to_owned() }
}

/// `wanted`, or it with the first number that makes it free.
pub(super) fn free<T: Ord>(wanted: &str, taken: &BTreeSet<T>, of: impl Fn(String) -> T) -> T {
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    std::iter::once(wanted.to_owned())
        .chain(numbered)
        .map(of)
        .find(|name| !taken.contains(name))
        .expect("numbers do not end before a finite set does")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_keep_what_they_can() {
        assert_eq!(object_name("SH01", "node"), "sh01");
        assert_eq!(object_name("_dmarc.example.com", "x"), "dmarc.example.com");
        assert_eq!(object_name("上海", "node"), "node");
        assert_eq!(free("a", &BTreeSet::from(["a".to_owned(), "a-2".to_owned()]), |n| n), "a-3");
        assert!(!is_namespace("a.b"));
    }

    proptest! {
        #[test]
        fn whatever_is_written_gives_a_name_that_kubernetes_takes(text in ".{0,300}") {
            let name = object_name(&text, "node");
            prop_assert!(is_object_name(&name), "{name:?}");
        }
    }
}
