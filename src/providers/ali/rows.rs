//! A zone's listing as record sets: pure. Only A and AAAA on the six lines can be ours; whatever else stands in the zone
//! is passed over, apart from external-dns' marks, which claim records on the default line (that program knows no other).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::Value;

use crate::api::vocab::{Family, Line};
use crate::domain::dns_plan::{Found, FoundZone, Owner, Row, Standing};
use crate::domain::marks::{self, OwnerId};
use crate::domain::names::DnsName;
use crate::domain::records::{RecordKey, RecordSet};
use crate::domain::sharing::{HEAVIEST, Weights};
use crate::providers::ali::client::{number, text};

/// A record as the vendor lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// RecordId.
    pub id: String,
    /// Name relative to the zone; `@` for the zone itself.
    pub rr: String,
    /// `A`, `TXT`, …
    pub kind: String,
    /// The vendor's code of the line.
    pub line: String,
    /// What it says.
    pub value: String,
    /// Seconds.
    pub ttl: u32,
    /// Whether it answers.
    pub enabled: bool,
    /// Whether it is locked against changes.
    pub locked: bool,
    /// The note on it, which holds our mark.
    pub remark: String,
    /// Its weight; the vendor gives 1 to those that nobody gave another.
    pub weight: u8,
    /// Whether weights count in its set. Only DescribeDomainRecords tells.
    pub weighed: bool,
}

impl Record {
    /// Reads one; none where it can't be told which record it is.
    pub fn read(from: &Value) -> Option<Self> {
        Some(Self {
            id: text(from, "RecordId")?,
            rr: text(from, "RR")?,
            kind: text(from, "Type")?,
            line: text(from, "Line").unwrap_or_else(|| "default".into()),
            value: text(from, "Value").unwrap_or_default(),
            ttl: number(from, "TTL").unwrap_or_default(),
            enabled: !text(from, "Status").is_some_and(|status| status.eq_ignore_ascii_case("disable")),
            locked: text(from, "Locked").is_some_and(|locked| locked == "true"),
            remark: text(from, "Remark").unwrap_or_default(),
            weight: number(from, "Weight").map_or(1, |weight: u32| weight.min(HEAVIEST.into()) as u8),
            weighed: text(from, "LbaStatus").is_some_and(|status| status == "true"),
        })
    }

    /// The set that it is of, where it can be one of ours.
    pub fn key(&self, zone: &DnsName) -> Option<(RecordKey, IpAddr)> {
        let family = Family::ALL.into_iter().find(|family| family.record_type() == self.kind)?;
        let line = line(&self.line)?;
        let value: IpAddr = self.value.parse().ok()?;
        let fits = value.is_ipv4() == (family == Family::V4);
        fits.then_some((RecordKey { name: self.name(zone)?, line, family }, value))
    }

    /// Its full name; none where it is no name that a service could have.
    pub fn name(&self, zone: &DnsName) -> Option<DnsName> {
        zone.child(&self.rr, "RR").ok()
    }
}

/// The vendor's code of a line ("Resolution line enumeration" in Alidns' documents).
pub(super) const fn code(line: Line) -> &'static str {
    match line {
        Line::Default => "default",
        Line::CT => "telecom",
        Line::CU => "unicom",
        Line::CMCC => "mobile",
        Line::CNEdu => "edu",
        Line::OverSea => "oversea",
    }
}

/// The line of a vendor's code; none for lines that are not among the six.
pub(super) fn line(text: &str) -> Option<Line> {
    Line::ALL.into_iter().find(|line| code(*line) == text)
}

/// The record sets of a zone.
pub(super) fn found(records: &[Record], zone: &DnsName, me: &OwnerId) -> FoundZone {
    let mut sets: BTreeMap<RecordKey, Vec<(&Record, IpAddr)>> = BTreeMap::new();
    for record in records {
        if let Some((key, value)) = record.key(zone) {
            sets.entry(key).or_default().push((record, value));
        }
    }
    let mut found: FoundZone = sets.into_iter().map(|(key, rows)| (key, set(&rows, me))).collect();
    for (_, name, family, whose) in external(records, zone, me) {
        for family in Family::ALL.into_iter().filter(|each| family.is_none_or(|family| family == *each)) {
            let key = RecordKey { name: name.clone(), line: Line::Default, family };
            // A claim without a record holds the name all the same: who comes first would be taken for the claimed one.
            let nothing = || Found::of(RecordSet::default(), Owner::Unmarked);
            let there = found.entry(key).or_insert_with(nothing);
            if there.owner == Owner::Unmarked {
                there.owner = Owner::Foreign(whose.clone());
            }
        }
    }
    found
}

/// The marks of external-dns: RecordId, the name and type that they claim, and whose they are.
pub(super) fn external(
    records: &[Record],
    zone: &DnsName,
    me: &OwnerId,
) -> Vec<(String, DnsName, Option<Family>, String)> {
    let texts = records.iter().filter(|record| record.kind == "TXT" && record.value.contains("external-dns"));
    let mark = |record: &Record| {
        let mark = marks::of_txt(&record.name(zone)?, &record.value, me)?;
        match mark.owner {
            Owner::Foreign(whose) if whose.starts_with("external-dns") => {
                Some((record.id.clone(), mark.name, mark.family, whose))
            }
            _ => None,
        }
    };
    texts.filter_map(mark).collect()
}

/// Whose a record is by its remark.
pub(super) fn whose(record: &Record, me: &OwnerId) -> Owner {
    marks::of_remark(&record.remark, me)
}

/// The rows of one set. Where some are ours, it is ours: rows with another's mark then are no part of it, those without
/// a mark are, for they may be ours that were not marked yet.
fn set(rows: &[(&Record, IpAddr)], me: &OwnerId) -> Found {
    let owners: Vec<Owner> = rows.iter().map(|(record, _)| whose(record, me)).collect();
    let ours = owners.contains(&Owner::Ours);
    let foreign = owners.iter().find(|owner| matches!(owner, Owner::Foreign(_)));
    let owner = if ours { Owner::Ours } else { foreign.cloned().unwrap_or(Owner::Unmarked) };
    let all = || rows.iter().zip(&owners);
    let of_it = || all().filter(|(_, owner)| !ours || **owner == Owner::Ours).map(|(row, _)| row);
    let ttls: BTreeSet<u32> = of_it().map(|(record, _)| record.ttl).collect();
    let standing = match () {
        () if of_it().any(|(record, _)| !record.enabled) => Standing::Paused,
        () if of_it().any(|(record, _)| record.locked) => Standing::Locked,
        () => Standing::Live,
    };
    let kept = all().filter(|(_, owner)| !ours || !matches!(owner, Owner::Foreign(_)));
    Found {
        set: RecordSet {
            values: of_it().map(|(_, value)| *value).collect(),
            // Rows of several TTLs have none that could be the wished one, so that they are put right.
            ttl: if ttls.len() == 1 { ttls.into_iter().next().unwrap_or_default() } else { 0 },
            weights: weights(&of_it().map(|(record, value)| (*value, *record)).collect::<Vec<_>>()),
        },
        owner,
        beside: all()
            .filter(|(_, owner)| ours && **owner != Owner::Ours)
            .map(|((_, value), _)| *value)
            .collect(),
        standing,
        rows: kept
            .map(|((record, value), owner)| Row {
                id: record.id.clone(),
                value: *value,
                marked: *owner == Owner::Ours,
                weight: record.weight,
                weighed: record.weighed,
            })
            .collect(),
    }
}

/// The weights in effect: those of several values, where they count.
fn weights(rows: &[(IpAddr, &Record)]) -> Weights<IpAddr> {
    if rows.len() < 2 || !rows.iter().all(|(_, record)| record.weighed) {
        return Weights::default();
    }
    rows.iter().map(|(value, record)| (*value, record.weight)).collect::<BTreeMap<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn me() -> OwnerId {
        OwnerId::parse("me", "").unwrap()
    }

    /// `RR TYPE LINE VALUE TTL remark`, with `off` or `locked` behind where it is.
    fn record(text: &str) -> Record {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [rr, kind, line, value, ttl, remark, rest @ ..] = &words[..] else { panic!("{text}") };
        let entry = json!({
            "RecordId": format!("{rr}-{kind}-{line}-{value}"), "RR": rr, "Type": kind, "Line": line, "TTL": ttl,
            "Value": value, "Remark": remark.trim_matches('-'), "Locked": rest.contains(&"locked"),
            "Status": if rest.contains(&"off") { "DISABLE" } else { "ENABLE" }, "Weight": 1,
        });
        Record::read(&entry).unwrap()
    }

    fn zone(records: &[&str]) -> FoundZone {
        let records: Vec<Record> = records.iter().map(|text| record(text)).collect();
        found(&records, &DnsName::parse("example.com", "").unwrap(), &me())
    }

    /// `key -> set owner standing +beside (rows)`, in the order of the keys.
    fn shown(found: &FoundZone) -> Vec<String> {
        let one = |(key, found): (&RecordKey, &Found)| {
            let beside: Vec<String> = found.beside.iter().map(|value| format!(" +{value}")).collect();
            let owner = match &found.owner {
                Owner::Foreign(whose) => whose.clone(),
                owner => format!("{owner:?}"),
            };
            let (set, standing, rows) = (&found.set, found.standing, found.rows.len());
            format!("{key} -> {set} {owner} {standing:?}{} {rows}", beside.concat())
        };
        found.iter().map(one).collect()
    }

    const OURS: &str = "cocoasyncer-v1,me";

    #[test]
    fn addresses_on_the_six_lines_are_read_and_nothing_else() {
        let found = zone(&[
            "www A default 192.0.2.1 600 -",
            "WWW A telecom 192.0.2.2 600 -",
            "www A cn_telecom_beijing 192.0.2.3 600 -",
            "www A internal 192.0.2.3 600 -",
            "@ AAAA oversea 2001:db8::1 600 -",
            "* A edu 192.0.2.4 600 -",
            "测试 A mobile 192.0.2.5 600 -",
            "www CNAME unicom example.net 600 -",
            "@ MX default mail.example.com 600 -",
            "a.b A unicom 192.0.2.6 600 -",
            "odd A default 2001:db8::1 600 -",
            "bad..name A default 192.0.2.7 600 -",
        ]);
        assert_eq!(
            shown(&found),
            [
                "*.example.com A [CNEdu] -> 192.0.2.4 (ttl 600) Unmarked Live 1",
                "a.b.example.com A [CU] -> 192.0.2.6 (ttl 600) Unmarked Live 1",
                "example.com AAAA [OverSea] -> 2001:db8::1 (ttl 600) Unmarked Live 1",
                "www.example.com A [default] -> 192.0.2.1 (ttl 600) Unmarked Live 1",
                "www.example.com A [CT] -> 192.0.2.2 (ttl 600) Unmarked Live 1",
                "xn--0zwm56d.example.com A [CMCC] -> 192.0.2.5 (ttl 600) Unmarked Live 1",
            ]
        );
    }

    #[test]
    fn a_set_is_ours_by_its_marked_rows_and_others_stand_beside_it() {
        let ours = |text: &str| format!("{text} {OURS}");
        let found = zone(&[
            &ours("www A default 192.0.2.1 600"),
            "www A default 192.0.2.2 60 -",
            "www A default 192.0.2.3 60 cocoasyncer-v1,you",
            "two A default 192.0.2.1 600 -",
            "two A default 192.0.2.2 600 cocoasyncer-v1,you",
            "new A default 192.0.2.1 600 cocoasyncer-v9,me",
        ]);
        assert_eq!(
            shown(&found),
            [
                "new.example.com A [default] -> 192.0.2.1 (ttl 600) CocoaSyncer with marks of version \"9\" Live 1",
                "two.example.com A [default] -> 192.0.2.1,192.0.2.2 (ttl 600) CocoaSyncer \"you\" Live 2",
                "www.example.com A [default] -> 192.0.2.1 (ttl 600) Ours Live +192.0.2.2 +192.0.2.3 2",
            ]
        );
    }

    #[test]
    fn several_ttls_are_none_that_could_be_wished_and_a_paused_or_locked_row_counts_for_its_set() {
        let ours = |text: &str, rest: &str| format!("{text} {OURS} {rest}");
        let found = zone(&[
            &ours("a A default 192.0.2.1 600", ""),
            &ours("a A default 192.0.2.2 60", ""),
            &ours("b A default 192.0.2.1 600", "off"),
            &ours("c A default 192.0.2.1 600", "locked"),
            &ours("d A default 192.0.2.1 600", ""),
            "d A default 192.0.2.2 600 - off",
        ]);
        assert_eq!(
            shown(&found),
            [
                "a.example.com A [default] -> 192.0.2.1,192.0.2.2 (ttl 0) Ours Live 2",
                "b.example.com A [default] -> 192.0.2.1 (ttl 600) Ours Paused 1",
                "c.example.com A [default] -> 192.0.2.1 (ttl 600) Ours Locked 1",
                "d.example.com A [default] -> 192.0.2.1 (ttl 600) Ours Live +192.0.2.2 2",
            ]
        );
    }

    #[test]
    fn weights_are_those_in_effect_on_a_set_of_several() {
        let entry = |value: &str, weight: Value, status: Value| {
            json!({"RecordId": value, "RR": "www", "Type": "A", "Value": value, "TTL": 600, "Weight": weight,
                "LbaStatus": status, "Remark": OURS})
        };
        let weights = |entries: &[Value]| {
            let records: Vec<Record> = entries.iter().filter_map(Record::read).collect();
            let zone = DnsName::parse("example.com", "").unwrap();
            let found = found(&records, &zone, &me()).into_values().next().unwrap();
            found.set.weights.iter().map(|(_, weight)| weight).collect::<Vec<u8>>()
        };
        let (one, two) = ("192.0.2.1", "192.0.2.2");
        let on = json!(true);
        assert_eq!(
            weights(&[entry(one, json!(3), on.clone()), entry(two, json!("7"), json!("true"))]),
            [3, 7]
        );
        assert_eq!(weights(&[entry(one, json!(1), on.clone()), entry(two, Value::Null, on.clone())]), [1, 1]);
        let none: [u8; 0] = [];
        assert_eq!(weights(&[entry(one, json!(3), on.clone())]), none, "one value has no proportion");
        assert_eq!(weights(&[entry(one, json!(3), json!(false)), entry(two, json!(7), Value::Null)]), none);
    }

    #[test]
    fn external_dns_claims_the_default_line_until_our_mark_is_there() {
        let mark = "heritage=external-dns,external-dns/owner=prod,external-dns/resource=ingress/x/y";
        let found = zone(&[
            "a A default 192.0.2.1 600 -",
            "a A telecom 192.0.2.2 600 -",
            &format!("a-a TXT default \"{mark}\" 600 -"),
            &format!("b A default 192.0.2.1 600 {OURS}"),
            &format!("b TXT default {mark} 600 -"),
            "c TXT default v=spf1 600 -",
        ]);
        assert_eq!(
            shown(&found),
            [
                "a.example.com A [default] -> 192.0.2.1 (ttl 600) external-dns \"prod\" Live 1",
                "a.example.com A [CT] -> 192.0.2.2 (ttl 600) Unmarked Live 1",
                "b.example.com A [default] -> 192.0.2.1 (ttl 600) Ours Live 1",
                "b.example.com AAAA [default] ->  (ttl 0) external-dns \"prod\" Live 0",
            ]
        );
    }

    #[test]
    fn numbers_and_truths_are_read_as_text_too_and_a_record_without_an_id_not_at_all() {
        let entry = json!({"RecordId": 17, "RR": "www", "Type": "A", "TTL": "60", "Locked": "true", "Status": "Disable"});
        let record = Record::read(&entry).unwrap();
        assert_eq!((&*record.id, record.ttl, record.locked, record.enabled), ("17", 60, true, false));
        assert_eq!(Record::read(&json!({"RR": "www", "Type": "A"})), None);
    }
}
