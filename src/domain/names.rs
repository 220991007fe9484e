//! Names that are right by construction: parsed once at the door, never checked again.

use std::fmt;
use std::sync::Arc;

/// A field that can't be accepted, in words for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct FieldError {
    /// Path of the field as it is written, e.g. `spec.domain`.
    pub field: String,
    /// What is wrong and what would be right.
    pub why: String,
}

impl FieldError {
    /// A refusal of `field`.
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), why: why.into() }
    }
}

/// An absolute DNS name: lower-case ASCII (IDNA applied), no trailing dot, at most 253 octets, labels of at most 63
/// (RFC 1035 section 2.3.4). A first label of `*` is a wildcard (RFC 4592). A copy shares the text: a name stands in every
/// key of every record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(Arc<str>);

impl DnsName {
    /// Reads a name as people write it; `field` names the input in the refusal.
    pub fn parse(text: &str, field: &str) -> Result<Self, FieldError> {
        let bad = |why: String| Err(FieldError::new(field, why));
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return bad("must not be empty".into());
        }
        let (wildcard, rest) = match text.split_once('.') {
            Some(("*", rest)) => (true, rest),
            _ => (false, text),
        };
        let ascii =
            to_ascii(rest).ok_or_else(|| FieldError::new(field, format!("{rest:?} is not a domain name")))?;
        let name = if wildcard { format!("*.{ascii}") } else { ascii };
        if 253 < name.len() {
            return bad(format!("has {} octets, at most 253 are allowed", name.len()));
        }
        for (index, label) in name.split('.').enumerate() {
            if label.is_empty() {
                return bad("has an empty label (two dots in a row?)".into());
            }
            if 63 < label.len() {
                return bad(format!("label {label:?} has {} octets, at most 63 are allowed", label.len()));
            }
            let star = index == 0 && label == "*";
            let plain =
                label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
            if !star && (!plain || label.starts_with('-') || label.ends_with('-')) {
                return bad(format!(
                    "label {label:?} may hold letters, digits, hyphens inside and underscores only"
                ));
            }
        }
        Ok(Self(name.into()))
    }

    /// The name as text, without a trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name is `zone` or lies below it.
    pub fn is_within(&self, zone: &DnsName) -> bool {
        self.0 == zone.0 || self.0.strip_suffix(&*zone.0).is_some_and(|head| head.ends_with('.'))
    }

    /// The name's part before `zone`, `@` for the zone itself; `None` where it lies outside.
    pub fn relative_to(&self, zone: &DnsName) -> Option<&str> {
        if self.0 == zone.0 {
            return Some("@");
        }
        self.0.strip_suffix(&*zone.0)?.strip_suffix('.')
    }

    /// The name of `record` (`@`, `*`, labels) in this zone.
    pub fn child(&self, record: &str, field: &str) -> Result<DnsName, FieldError> {
        match record {
            "" => Err(FieldError::new(field, "must not be empty: use @ for the zone itself")),
            "@" => Ok(self.clone()),
            _ if record.ends_with('.') => Err(FieldError::new(
                field,
                format!(
                    "{record:?} is an absolute name: write it relative to {} and without a trailing dot",
                    self.0
                ),
            )),
            _ => DnsName::parse(&format!("{record}.{}", self.0), field),
        }
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn to_ascii(text: &str) -> Option<String> {
    if text.is_ascii() {
        return Some(text.to_ascii_lowercase());
    }
    idna::domain_to_ascii(text).ok()
}

/// A namespaced object, as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        match (DnsName::parse(text, "spec.domain"), expect) {
            (Ok(name), Ok(right)) => assert_eq!(name.as_str(), right),
            (Err(err), Err(part)) => {
                assert!(err.to_string().starts_with("spec.domain: "), "{err}");
                assert!(err.to_string().contains(part), "{err}");
            }
            (got, want) => panic!("{text:?}: got {got:?}, want {want:?}"),
        }
    }

    #[test]
    fn names_are_read_as_people_write_them() {
        check("Example.COM.", Ok("example.com"));
        check("*.example.com", Ok("*.example.com"));
        check("_dmarc.example.com", Ok("_dmarc.example.com"));
        check("测试.example.com", Ok("xn--0zwm56d.example.com"));
        check(&format!("{}.example.com", "a".repeat(63)), Ok(&format!("{}.example.com", "a".repeat(63))));
        check(&format!("{}.example.com", "a".repeat(64)), Err("at most 63"));
        check(&vec!["abcdefg"; 40].join("."), Err("at most 253"));
        check("a..b", Err("empty label"));
        check("", Err("must not be empty"));
        check("a b.com", Err("letters, digits"));
        check("a.*.com", Err("letters, digits"));
        check("-a.com", Err("hyphens inside"));
    }

    #[test]
    fn a_record_never_leaves_its_zone() {
        let zone = DnsName::parse("example.com", "").unwrap();
        assert_eq!(zone.child("@", "").unwrap(), zone);
        assert_eq!(zone.child("www", "").unwrap().as_str(), "www.example.com");
        assert_eq!(zone.child("*", "").unwrap().as_str(), "*.example.com");
        assert!(zone.child("www.example.com.", "spec.record").unwrap_err().why.contains("relative"));
        let other = DnsName::parse("notexample.com", "").unwrap();
        assert!(!other.is_within(&zone));
        assert_eq!(zone.child("a.b", "").unwrap().relative_to(&zone), Some("a.b"));
        assert_eq!(other.relative_to(&zone), None);
    }
}
