//! Ownership marks: how a record says whose it is, so that it survives a lost operator. The format is documented in
//! `docs/ownership.md` and versioned; what can't be read as ours is never ours.
//!
//! | where | text |
//! |---|---|
//! | a remark on the record (Ali) | `cocoasyncer-v1,<owner>` |
//! | a TXT beside the record (RFC 2136) | `heritage=cocoasyncer,v=1,owner=<owner>,type=A` |

use std::fmt;

use crate::api::vocab::Family;
use crate::domain::dns_plan::Owner;
use crate::domain::names::{DnsName, FieldError};

const VERSION: &str = "1";
const REMARK: &str = "cocoasyncer-v";
const HERITAGE: &str = "heritage=cocoasyncer,";
const EXTERNAL_DNS: &str = "heritage=external-dns,";

/// Who marks: one installation, all its nodes. 1 to 20 of `a-z`, `0-9` and `-`, so that a mark fits into the 50
/// characters of a cloud's remark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnerId(String);

impl OwnerId {
    /// Reads an id; `field` names the input in the refusal.
    pub fn parse(text: &str, field: &str) -> Result<Self, FieldError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || 20 < text.len() || !text.bytes().all(plain) {
            return Err(FieldError::new(field, "use 1 to 20 lower-case letters, digits and hyphens"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as it stands in marks.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The mark for a remark on a record. Letters, digits, hyphen and comma only.
pub fn remark(owner: &OwnerId) -> String {
    format!("{REMARK}{VERSION},{owner}")
}

/// The mark for a TXT at the record's name.
pub fn txt(owner: &OwnerId, family: Family) -> String {
    format!("{HERITAGE}v={VERSION},owner={owner},type={}", family.record_type())
}

/// Whose a record with this remark is.
pub fn of_remark(text: &str, me: &OwnerId) -> Owner {
    let Some((version, owner)) = text.strip_prefix(REMARK).and_then(|rest| rest.split_once(',')) else {
        return Owner::Unmarked;
    };
    whose(version, owner, me)
}

/// A mark in a TXT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxtMark {
    /// The name of the records that it marks.
    pub name: DnsName,
    /// Their type; none: whatever stands at the name.
    pub family: Option<Family>,
    /// Whose they are.
    pub owner: Owner,
}

/// Reads the TXT `text` that stands at `at`; none where it is no mark. external-dns writes its own at the record's name,
/// and since 0.12 at the name with the type in front (`a-www`), where its first label tells the type.
pub fn of_txt(at: &DnsName, text: &str, me: &OwnerId) -> Option<TxtMark> {
    let text = text.trim_matches('"');
    if let Some(rest) = text.strip_prefix(HERITAGE) {
        let value = |key: &str| rest.split(',').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        let family = Family::ALL.into_iter().find(|family| value("type") == Some(family.record_type()));
        let owner = match (value("v"), value("owner"), family) {
            (Some(version), Some(owner), Some(_)) => whose(version, owner, me),
            _ => Owner::Foreign("a mark of CocoaSyncer that can't be read".into()),
        };
        return Some(TxtMark { name: at.clone(), family, owner });
    }
    let rest = text.strip_prefix(EXTERNAL_DNS)?;
    let id = rest.split(',').find_map(|pair| pair.strip_prefix("external-dns/owner=")).unwrap_or_default();
    let owner = Owner::Foreign(format!("external-dns {id:?}"));
    let typed = [("a-", Family::V4), ("aaaa-", Family::V6)];
    let typed = typed.into_iter().find_map(|(prefix, family)| {
        let name = at.as_str().strip_prefix(prefix)?;
        Some((DnsName::parse(name, "").ok()?, family))
    });
    Some(match typed {
        Some((name, family)) => TxtMark { name, family: Some(family), owner },
        None => TxtMark { name: at.clone(), family: None, owner },
    })
}

fn whose(version: &str, owner: &str, me: &OwnerId) -> Owner {
    match (version, owner) {
        (VERSION, owner) if owner == me.as_str() => Owner::Ours,
        (VERSION, owner) => Owner::Foreign(format!("CocoaSyncer {owner:?}")),
        (newer, _) => Owner::Foreign(format!("CocoaSyncer with marks of version {newer:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::parse(text, "").unwrap()
    }

    fn me() -> OwnerId {
        OwnerId::parse("cocoa-0123456789abcd", "").unwrap()
    }

    #[test]
    fn a_mark_reads_as_it_is_written_and_fits_where_it_must() {
        let remark = remark(&me());
        assert_eq!(of_remark(&remark, &me()), Owner::Ours);
        assert!(
            remark.len() <= 50 && remark.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-,.".contains(&b))
        );
        for family in Family::ALL {
            let read = of_txt(&name("www.example.com"), &txt(&me(), family), &me()).unwrap();
            let right = TxtMark { name: name("www.example.com"), family: Some(family), owner: Owner::Ours };
            assert_eq!(read, right);
        }
    }

    #[test]
    fn what_is_not_exactly_ours_is_not_ours() {
        let foreign = |text: &str| matches!(of_remark(text, &me()), Owner::Foreign(_));
        assert!(foreign("cocoasyncer-v1,another"));
        assert!(foreign("cocoasyncer-v2,cocoa-0123456789abcd"), "a version to come");
        assert_eq!(of_remark("the blog", &me()), Owner::Unmarked);
        assert_eq!(of_remark("", &me()), Owner::Unmarked);
        let at = name("www.example.com");
        let txt = |text: &str| of_txt(&at, text, &me());
        assert_eq!(txt("v=spf1 -all"), None);
        assert!(matches!(txt("heritage=cocoasyncer,v=1").unwrap().owner, Owner::Foreign(_)));
        assert!(matches!(txt("heritage=cocoasyncer,v=1,owner=x,type=A").unwrap().owner, Owner::Foreign(_)));
    }

    #[test]
    fn external_dns_is_understood_in_its_old_and_new_form() {
        let text =
            "\"heritage=external-dns,external-dns/owner=prod,external-dns/resource=ingress/default/x\"";
        let old = of_txt(&name("www.example.com"), text, &me()).unwrap();
        assert_eq!((old.name, old.family), (name("www.example.com"), None));
        assert_eq!(old.owner, Owner::Foreign("external-dns \"prod\"".into()));
        let new = of_txt(&name("aaaa-www.example.com"), text, &me()).unwrap();
        assert_eq!((new.name, new.family), (name("www.example.com"), Some(Family::V6)));
    }

    #[test]
    fn an_owner_id_is_short_and_plain() {
        for bad in ["", "Upper", "a_b", "a,b", &"a".repeat(21)] {
            assert_eq!(OwnerId::parse(bad, "--owner-id").unwrap_err().field, "--owner-id");
        }
    }
}
