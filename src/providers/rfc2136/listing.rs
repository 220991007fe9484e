//! A transferred zone as records with owners. It keeps apart what a later change must know and the plan need not: the
//! TTL of texts that stand where a mark will, and the marks that go when a record is taken over.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::api::vocab::{Family, Line};
use crate::domain::dns_plan::{Found, FoundZone, Owner};
use crate::domain::marks::{OwnerId, TxtMark, of_txt};
use crate::domain::names::DnsName;
use crate::domain::records::{RecordKey, RecordSet};
use crate::providers::rfc2136::message::{A, AAAA, Record, TXT};

/// Somebody else's mark, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignMark {
    /// The type that it marks; none: any.
    pub family: Option<Family>,
    /// Where it stands.
    pub at: String,
    /// Its data as it came.
    pub data: Vec<u8>,
}

/// What stands beside the records of one line and is not ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aside {
    /// TTLs of foreign texts: one set of texts has one TTL (RFC 2181 section 5.2), so a mark added there takes it.
    pub ttls: BTreeMap<DnsName, u32>,
    /// Foreign marks, by the name that they mark.
    pub marks: BTreeMap<DnsName, Vec<ForeignMark>>,
}

/// Reads the records of one line's transfer.
pub fn read(records: &[Record], line: Line, me: &OwnerId) -> (FoundZone, Aside) {
    let mut aside = Aside::default();
    let mut sets: BTreeMap<(DnsName, Family), (BTreeSet<IpAddr>, u32)> = BTreeMap::new();
    let mut claims: BTreeMap<(DnsName, Option<Family>), Owner> = BTreeMap::new();
    for record in records {
        let Some(text) = &record.name else { continue };
        if let Some((family, value)) = address(record) {
            // A name that we can't write nobody can wish for.
            let Ok(name) = DnsName::parse(text, "") else { continue };
            let (values, ttl) = sets.entry((name, family)).or_default();
            values.insert(value);
            *ttl = record.ttl;
        } else if record.kind == TXT {
            let mark = mark(text, &record.data, me);
            if mark.as_ref().is_none_or(|mark| mark.owner != Owner::Ours)
                && let Ok(name) = DnsName::parse(text, "")
            {
                aside.ttls.insert(name, record.ttl);
            }
            let Some(mark) = mark else { continue };
            if mark.owner != Owner::Ours {
                let foreign =
                    ForeignMark { family: mark.family, at: text.clone(), data: record.data.clone() };
                aside.marks.entry(mark.name.clone()).or_default().push(foreign);
            }
            // Where two claim one record it is not ours to touch.
            let claim = claims.entry((mark.name, mark.family)).or_insert_with(|| mark.owner.clone());
            if *claim == Owner::Ours {
                *claim = mark.owner;
            }
        }
    }
    let mut found = FoundZone::new();
    for ((name, family), (values, ttl)) in sets {
        let typed = claims.remove(&(name.clone(), Some(family)));
        let owner = typed.or_else(|| claims.get(&(name.clone(), None)).cloned()).unwrap_or(Owner::Unmarked);
        let set = RecordSet::of(values.into(), ttl);
        found.insert(RecordKey { name, line, family }, Found::of(set, owner));
    }
    for ((name, family), owner) in claims {
        // A mark without a type may be of any record; one with a type has lost its own.
        if let Some(family) = family {
            let nothing = RecordSet::default();
            found.insert(RecordKey { name, line, family }, Found::of(nothing, owner));
        }
    }
    (found, aside)
}

fn address(record: &Record) -> Option<(Family, IpAddr)> {
    let data = record.data.as_slice();
    match record.kind {
        A => Some((Family::V4, IpAddr::from(<[u8; 4]>::try_from(data).ok()?))),
        AAAA => Some((Family::V6, IpAddr::from(<[u8; 16]>::try_from(data).ok()?))),
        _ => None,
    }
}

fn mark(at: &str, data: &[u8], me: &OwnerId) -> Option<TxtMark> {
    let text = text(data)?;
    if let Ok(at) = DnsName::parse(at, "") {
        return of_txt(&at, &text, me);
    }
    // external-dns marks a wildcard at `a-*.example.com`, which is no name that we could write.
    let typed = [("a-", Family::V4), ("aaaa-", Family::V6)];
    let (family, name) =
        typed.into_iter().find_map(|(prefix, family)| Some((family, at.strip_prefix(prefix)?)))?;
    let mark = of_txt(&DnsName::parse(name, "").ok()?, &text, me)?;
    Some(TxtMark { family: Some(family), ..mark })
}

/// The strings of a TXT as one text, if it is text.
fn text(mut data: &[u8]) -> Option<String> {
    let mut all = Vec::with_capacity(data.len());
    while let Some((length, rest)) = data.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*length))?;
        all.extend(string);
        data = rest;
    }
    String::from_utf8(all).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::marks::txt;
    use crate::providers::rfc2136::message::IN;

    fn me() -> OwnerId {
        OwnerId::parse("me", "").unwrap()
    }

    fn at(name: &str, kind: u16, data: &[u8]) -> Record {
        Record { name: Some(name.into()), kind, class: IN, ttl: 60, data: data.into() }
    }

    fn says(name: &str, text: &str) -> Record {
        let mut data = vec![u8::try_from(text.len()).unwrap()];
        data.extend(text.as_bytes());
        at(name, TXT, &data)
    }

    #[track_caller]
    fn check(records: &[Record], expect: &[&str]) {
        let (found, _) = read(records, Line::CT, &me());
        let rows: Vec<String> =
            found.iter().map(|(key, found)| format!("{key} {} {:?}", found.set, found.owner)).collect();
        assert_eq!(rows, expect);
    }

    const EXTERNAL: &str = "heritage=external-dns,external-dns/owner=prod,external-dns/resource=x";

    #[test]
    fn a_record_is_whose_mark_it_bears_by_its_type() {
        let records = [
            at("www.example.com", A, &[192, 0, 2, 1]),
            at("www.example.com", A, &[192, 0, 2, 2]),
            at("www.example.com", AAAA, &[0; 16]),
            says("www.example.com", &txt(&me(), Family::V4)),
            says("www.example.com", "v=spf1 -all"),
        ];
        let right = [
            "www.example.com A [CT] 192.0.2.1,192.0.2.2 (ttl 60) Ours",
            "www.example.com AAAA [CT] :: (ttl 60) Unmarked",
        ];
        check(&records, &right);
        assert_eq!(read(&records, Line::CT, &me()).1.ttls.len(), 1, "the foreign text's TTL is kept");
    }

    #[test]
    fn marks_of_external_dns_old_and_new_and_of_wildcards_are_foreign() {
        let records = [
            at("old.example.com", A, &[192, 0, 2, 1]),
            says("old.example.com", EXTERNAL),
            at("new.example.com", AAAA, &[0; 16]),
            at("new.example.com", A, &[192, 0, 2, 1]),
            says("aaaa-new.example.com", EXTERNAL),
            at("*.example.com", A, &[192, 0, 2, 1]),
            says("a-*.example.com", EXTERNAL),
        ];
        let right = [
            "*.example.com A [CT] 192.0.2.1 (ttl 60) Foreign(\"external-dns \\\"prod\\\"\")",
            "new.example.com A [CT] 192.0.2.1 (ttl 60) Unmarked",
            "new.example.com AAAA [CT] :: (ttl 60) Foreign(\"external-dns \\\"prod\\\"\")",
            "old.example.com A [CT] 192.0.2.1 (ttl 60) Foreign(\"external-dns \\\"prod\\\"\")",
        ];
        check(&records, &right);
        assert_eq!(read(&records, Line::CT, &me()).1.marks.len(), 3);
    }

    #[test]
    fn a_mark_without_its_record_is_found_with_no_value() {
        check(
            &[says("www.example.com", &txt(&me(), Family::V6)), says("mx.example.com", EXTERNAL)],
            &["www.example.com AAAA [CT]  (ttl 0) Ours"],
        );
    }

    #[test]
    fn where_two_claim_one_record_it_is_not_ours() {
        let other = txt(&OwnerId::parse("other", "").unwrap(), Family::V4);
        let ours = says("www.example.com", &txt(&me(), Family::V4));
        let record = at("www.example.com", A, &[192, 0, 2, 1]);
        let right = "www.example.com A [CT] 192.0.2.1 (ttl 60) Foreign(\"CocoaSyncer \\\"other\\\"\")";
        let (other, typeless) = (says("www.example.com", &other), says("www.example.com", EXTERNAL));
        check(&[record.clone(), ours.clone(), other.clone()], &[right]);
        check(&[record.clone(), other, ours.clone()], &[right]);
        let right = "www.example.com A [CT] 192.0.2.1 (ttl 60) Ours";
        check(&[record, ours, typeless], &[right]);
    }
}
