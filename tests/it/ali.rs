//! The provider for Alibaba Cloud DNS against the stand-in that verifies its signatures: what it lists and writes, and with
//! how many calls. What can go wrong between the two is in `troubles`.

mod troubles;
mod weights;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::domain::dns_plan::{Change, Found, FoundZone, Owner, Standing};
use cocoasyncer::domain::marks::OwnerId;
use cocoasyncer::domain::names::{DnsName, ObjectId};
use cocoasyncer::domain::records::{Cause, RecordKey, RecordSet};
use cocoasyncer::domain::retry::Class;
use cocoasyncer::domain::secret::Secret;
use cocoasyncer::providers::ali::account::Account;
use cocoasyncer::providers::ali::{AliProvider, Patience};
use cocoasyncer::providers::{DnsProvider, Kind, ProviderError};

use crate::support::ali::FakeAli;
use crate::support::ali::signature::Scheme;
use crate::support::ali::world::Outcome;
use crate::support::ali::zones::{Edition, Record};

const ZONE: &str = "example.com";
const OURS: &str = "cocoasyncer-v1,me";

/// A fake with one account and an enterprise zone.
async fn fake() -> FakeAli {
    let fake = FakeAli::start().await;
    fake.add_key("main", "canary-id", "canary-secret");
    fake.add_zone("main", ZONE, Edition::EnterpriseUltimate);
    fake
}

fn account(fake: &FakeAli, more: &[(&str, &str)]) -> Account {
    let endpoint = fake.endpoint();
    let own = [("accessKey", "canary-id"), ("accessSecret", "canary-secret"), ("endpoint", &endpoint)];
    let data = own.iter().chain(more).map(|(key, text)| ((*key).to_owned(), Secret::new(*text)));
    let data: BTreeMap<String, Secret> = data.collect();
    Account::parse(&data).unwrap()
}

fn provider_of(account: Account, patience: Patience) -> AliProvider {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let me = OwnerId::parse("me", "").unwrap();
    AliProvider::with_patience(account, me, Default::default(), patience).unwrap()
}

fn provider(fake: &FakeAli) -> AliProvider {
    provider_of(account(fake, &[]), Patience::default())
}

fn name(text: &str) -> DnsName {
    DnsName::parse(text, "").unwrap()
}

fn key(record: &str, line: Line) -> RecordKey {
    RecordKey { name: name(ZONE).child(record, "").unwrap(), line, family: Family::V4 }
}

fn set(values: &[u8], ttl: u32) -> RecordSet {
    RecordSet::of(values.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect(), ttl)
}

fn change(key: RecordKey, from: Option<Found>, to: Option<RecordSet>) -> Change {
    let service = ObjectId { namespace: "default".into(), name: "test".into() };
    Change { key, from, to, service, cause: Cause::Edit }
}

fn new(record: &str, values: &[u8]) -> Change {
    change(key(record, Line::Default), None, Some(set(values, 600)))
}

async fn found(provider: &AliProvider) -> FoundZone {
    provider.list(&name(ZONE)).await.unwrap().found
}

async fn apply(provider: &AliProvider, changes: &[Change]) -> Vec<Result<Option<Found>, ProviderError>> {
    provider.apply(&name(ZONE), changes).await
}

/// Makes one change of what stands at `key`.
async fn put(
    provider: &AliProvider,
    key: RecordKey,
    to: Option<RecordSet>,
) -> Result<Option<Found>, ProviderError> {
    let from = found(provider).await.remove(&key);
    apply(provider, &[change(key, from, to)]).await.remove(0)
}

/// The calls that wrote, or tried to.
fn wrote(fake: &FakeAli) -> Vec<String> {
    let writes = fake.calls().into_iter().filter(|call| !call.action.starts_with("Describe"));
    writes.map(|call| call.action.replace("DomainRecord", "")).collect()
}

#[tokio::test]
async fn twelve_thousand_records_are_listed_in_24_calls() {
    let fake = fake().await;
    let lines = ["default", "telecom", "unicom", "mobile", "edu", "oversea"];
    for service in 0..1000 {
        for line in lines {
            let rr = format!("s{service}");
            fake.plant(ZONE, Record::new(&rr, "A", line, "192.0.2.1").remark(OURS));
            fake.plant(ZONE, Record::new(&rr, "AAAA", line, "2001:db8::1").remark(OURS));
        }
    }
    let provider = provider(&fake);
    let listing = provider.list(&name(ZONE)).await.unwrap();
    assert_eq!(listing.found.len(), 12_000);
    assert!(listing.found.values().all(Found::is_ours));
    assert_eq!((listing.limits.ttl_floor, listing.limits.lines.len()), (1, 6));
    provider.list(&name(ZONE)).await.unwrap();
    let counts = fake.counts();
    assert_eq!((counts["DescribeDomainRecords"], counts["DescribeDomainInfo"]), (48, 1), "{counts:?}");
    assert_eq!(counts.len(), 2);
}

#[tokio::test]
async fn a_record_is_made_moved_and_removed_with_as_few_calls_as_can_be() {
    let fake = fake().await;
    let provider = provider(&fake);
    for (to, calls, stands) in [
        (Some(set(&[1], 600)), &["Add", "UpdateRemark"][..], &["www A telecom 192.0.2.1 600"][..]),
        (Some(set(&[2], 600)), &["Update"], &["www A telecom 192.0.2.2 600"]),
        (Some(set(&[2], 60)), &["Update"], &["www A telecom 192.0.2.2 60"]),
        (
            Some(set(&[2, 3], 60)),
            &["Add", "UpdateRemark"],
            &["www A telecom 192.0.2.2 60", "www A telecom 192.0.2.3 60"],
        ),
        (Some(set(&[4], 60)), &["Update", "Delete"], &["www A telecom 192.0.2.4 60"]),
        (Some(set(&[4], 60)), &[], &["www A telecom 192.0.2.4 60"]),
        (None, &["Delete"], &[]),
    ] {
        fake.forget_calls();
        let told = put(&provider, key("www", Line::CT), to.clone()).await.unwrap();
        assert_eq!(told.as_ref().map(|found| &found.set), to.as_ref());
        assert_eq!(wrote(&fake), calls);
        let stands: Vec<String> = stands.iter().map(|text| format!("{text} ({OURS})")).collect();
        assert_eq!(fake.texts(ZONE), stands);
        assert_eq!(
            told,
            found(&provider).await.remove(&key("www", Line::CT)),
            "it tells what is listed then"
        );
    }
}

#[tokio::test]
async fn apex_wildcard_unicode_and_ipv6_stand_where_they_should() {
    let fake = fake().await;
    let provider = provider(&fake);
    let v6 = RecordSet::of(["2001:db8::1".parse().unwrap()].into(), 600);
    let changes = [
        new("@", &[1]),
        new("*", &[1]),
        new("测试", &[1]),
        new(&"a".repeat(63), &[1]),
        change(RecordKey { family: Family::V6, ..key("@", Line::OverSea) }, None, Some(v6)),
    ];
    assert!(apply(&provider, &changes).await.iter().all(Result::is_ok));
    let listed = found(&provider).await;
    for change in &changes {
        assert_eq!(Some(&listed[&change.key].set), change.to.as_ref());
        assert!(listed[&change.key].is_ours());
    }
    let removals =
        changes.map(|change| Change { from: Some(listed[&change.key].clone()), to: None, ..change });
    assert!(apply(&provider, &removals).await.iter().all(|done| matches!(done, Ok(None))));
    assert!(fake.records(ZONE).is_empty());
}

#[tokio::test]
async fn weights_survive_a_change_of_value() {
    let fake = fake().await;
    let provider = provider(&fake);
    put(&provider, key("www", Line::Default), Some(set(&[1, 2], 600))).await.unwrap();
    let id = fake.records(ZONE)[0].id;
    fake.alter(ZONE, id, |record| record.weight = 42);
    put(&provider, key("www", Line::Default), Some(set(&[2, 3], 600))).await.unwrap();
    let weights: Vec<(String, u32)> =
        fake.records(ZONE).into_iter().map(|record| (record.value, record.weight)).collect();
    assert_eq!(weights, [("192.0.2.3".into(), 42), ("192.0.2.2".into(), 1)]);
}

#[tokio::test]
async fn records_of_others_are_left_alone() {
    let fake = fake().await;
    let provider = provider(&fake);
    let strangers = [
        Record::new("www", "A", "default", "192.0.2.9"),
        Record::new("www", "A", "default", "192.0.2.8").remark("cocoasyncer-v1,you"),
        Record::new("www", "A", "cn_telecom_beijing", "192.0.2.7"),
        Record::new("www", "TXT", "default", "v=spf1 -all"),
    ];
    for stranger in &strangers {
        fake.plant(ZONE, stranger.clone());
    }
    fake.plant(ZONE, Record::new("www", "A", "default", "192.0.2.1").remark(OURS));
    let at = key("www", Line::Default);
    assert_eq!(found(&provider).await[&at].beside.len(), 2);
    put(&provider, at.clone(), Some(set(&[2], 600))).await.unwrap();
    let left = put(&provider, at.clone(), None).await.unwrap().unwrap();
    assert!(!left.is_ours() && left.set.values.len() == 2);
    let mut stay: Vec<String> = strangers.iter().map(Record::text).collect();
    stay.sort();
    assert_eq!(fake.texts(ZONE), stay);
    assert_eq!(wrote(&fake), ["Update", "Delete"]);
}

#[tokio::test]
async fn external_dns_records_are_taken_over_with_their_marks() {
    let fake = fake().await;
    let provider = provider(&fake);
    let mark = "heritage=external-dns,external-dns/owner=prod,external-dns/resource=ingress/x/y";
    fake.plant(ZONE, Record::new("www", "A", "default", "192.0.2.1"));
    fake.plant(ZONE, Record::new("www", "AAAA", "default", "2001:db8::1"));
    for rr in ["www", "a-www", "aaaa-www", "other"] {
        fake.plant(ZONE, Record::new(rr, "TXT", "default", mark));
    }
    let at = key("www", Line::Default);
    assert_eq!(found(&provider).await[&at].owner, Owner::Foreign("external-dns \"prod\"".into()));
    put(&provider, at.clone(), Some(set(&[2], 600))).await.unwrap();
    assert_eq!(wrote(&fake), ["UpdateRemark", "Delete", "Update"]);
    let texts = |fake: &FakeAli| -> Vec<String> {
        fake.records(ZONE).into_iter().filter(|record| record.kind == "TXT").map(|record| record.rr).collect()
    };
    assert_eq!(
        texts(&fake),
        ["www", "aaaa-www", "other"],
        "the mark of the name still covers the other type"
    );
    assert!(found(&provider).await[&at].is_ours());
    let v6 = RecordSet::of(["2001:db8::1".parse().unwrap()].into(), 600);
    put(&provider, RecordKey { family: Family::V6, ..at }, Some(v6)).await.unwrap();
    assert_eq!(texts(&fake), ["other"]);
    assert!(
        fake.records(ZONE).iter().filter(|record| record.kind != "TXT").all(|record| record.remark == OURS)
    );
}

#[tokio::test]
async fn writes_of_one_zone_wait_for_each_other() {
    let fake = fake().await;
    fake.writes_take(Duration::from_millis(20));
    let provider = provider(&fake);
    let batch = |names: [&str; 3]| names.map(|name| new(name, &[1, 2]));
    let (one, other) = (batch(["a", "b", "c"]), batch(["d", "e", "f"]));
    let (one, other) = tokio::join!(apply(&provider, &one), apply(&provider, &other));
    assert!(one.iter().chain(&other).all(Result::is_ok));
    assert!(fake.calls().iter().all(|call| call.outcome == Outcome::Done), "{:#?}", fake.calls());
}

#[tokio::test]
async fn the_published_quotas_are_used_and_never_exceeded() {
    let fake = fake().await;
    let provider = provider(&fake);
    let names: Vec<String> = (0..64).map(|number| format!("r{number}")).collect();
    let changes: Vec<Change> = names.iter().map(|name| new(name, &[1])).collect();
    assert!(apply(&provider, &changes).await.iter().all(Result::is_ok));
    assert!(fake.calls().iter().all(|call| call.outcome == Outcome::Done), "{:#?}", fake.counts());
    assert_eq!(fake.writes(), 128);
}

#[tokio::test]
async fn paused_and_locked_records_are_told_and_a_lock_is_no_reason_to_try_on() {
    let fake = fake().await;
    let provider = provider(&fake);
    fake.plant(ZONE, Record::new("paused", "A", "default", "192.0.2.1").remark(OURS).paused());
    fake.plant(ZONE, Record::new("locked", "A", "default", "192.0.2.1").remark(OURS).locked());
    let listed = found(&provider).await;
    assert_eq!(listed[&key("paused", Line::Default)].standing, Standing::Paused);
    let at = key("locked", Line::Default);
    assert_eq!(listed[&at].standing, Standing::Locked);
    let changes = [
        change(at.clone(), listed.get(&at).cloned(), Some(set(&[2], 600))),
        change(at.clone(), listed.get(&at).cloned(), None),
        new("free", &[1]),
    ];
    let done = apply(&provider, &changes).await;
    for refused in &done[..2] {
        let error = refused.as_ref().unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (Kind::Locked, Some("DomainRecordLocked")));
    }
    assert!(done[2].is_ok(), "one refused record holds up no other");
    assert_eq!(wrote(&fake), ["Update", "Delete", "Add", "UpdateRemark"]);
}

#[tokio::test]
async fn the_editions_limits_are_told_and_what_goes_beyond_is_refused_in_words() {
    let fake = fake().await;
    fake.add_zone("main", "free.example", Edition::Free);
    fake.set_lines("free.example", &["default", "telecom", "cn_telecom_beijing"]);
    fake.plant("free.example", Record::new("cname", "CNAME", "default", "example.net"));
    let provider = provider(&fake);
    let zone = name("free.example");
    let limits = provider.list(&zone).await.unwrap().limits;
    assert_eq!((limits.ttl_floor, limits.lines), (600, [Line::Default, Line::CT].into()));
    let new = |record: &str, line: Line, ttl: u32| {
        let key = RecordKey { name: zone.child(record, "").unwrap(), line, family: Family::V4 };
        change(key, None, Some(set(&[1], ttl)))
    };
    let changes = [
        new("a", Line::Default, 60),
        new("a", Line::CMCC, 600),
        new("cname", Line::Default, 600),
        new("a", Line::Default, 600),
    ];
    let done = provider.apply(&zone, &changes).await;
    let told = [
        (Kind::TtlNotAllowed, "QuotaExceeded.TTL", "spec.ttl"),
        (Kind::LineNotAllowed, "UnsupportedLine", "spec.isps"),
        (Kind::Conflict, "DomainRecordConflict", "CNAME"),
    ];
    for (refused, (kind, code, words)) in done.iter().zip(told) {
        let error = refused.as_ref().unwrap_err();
        assert_eq!((error.kind, error.class, error.code.as_deref()), (kind, Class::User, Some(code)));
        assert!(
            error.what.contains(words) && error.what.contains(error.request_id.as_deref().unwrap()),
            "{error}"
        );
    }
    assert!(done[3].is_ok());
}

#[tokio::test]
async fn both_signatures_are_accepted_with_and_without_a_token() {
    let fake = fake().await;
    for (more, scheme) in [
        (&[][..], Scheme::Acs3),
        (&[("signature", "HMAC-SHA1")], Scheme::V1),
        (&[("securityToken", "canary/+token")], Scheme::Acs3),
        (&[("signature", "HMAC-SHA1"), ("securityToken", "canary/+token")], Scheme::V1),
    ] {
        if more.iter().any(|(key, _)| *key == "securityToken") {
            fake.set_token("canary-id", "canary/+token");
        }
        fake.forget_calls();
        let provider = provider_of(account(&fake, more), Patience::default());
        put(&provider, key("*", Line::CNEdu), Some(set(&[1], 600))).await.unwrap();
        put(&provider, key("*", Line::CNEdu), None).await.unwrap();
        assert!(fake.calls().iter().all(|call| call.scheme == Some(scheme) && call.outcome == Outcome::Done));
    }
}

#[tokio::test]
async fn a_name_belongs_to_its_longest_zone_and_the_accounts_zones_are_read_seldom() {
    let fake = fake().await;
    fake.add_key("other", "other-id", "other-secret");
    fake.add_zone("other", "example.net", Edition::Free);
    fake.add_zone("main", "sub.example.com", Edition::Free);
    fake.add_zone("main", "测试.example", Edition::Free);
    for number in 0..120 {
        fake.add_zone("main", &format!("n{number}.example"), Edition::Free);
    }
    let provider = provider(&fake);
    for (full, zone) in [
        ("www.example.com", Some("example.com")),
        ("a.b.sub.example.com", Some("sub.example.com")),
        ("sub.example.com", Some("sub.example.com")),
        ("www.xn--0zwm56d.example", Some("xn--0zwm56d.example")),
        ("www.example.net", None),
        ("notexample.com", None),
        ("x.n99.example", Some("n99.example")),
    ] {
        assert_eq!(provider.zone_of(&name(full)).await.unwrap(), zone.map(name), "{full}");
    }
    assert_eq!(fake.count("DescribeDomains"), 2, "two pages, once");
    let zone = name("测试.example");
    let key = RecordKey { name: zone.child("www", "").unwrap(), line: Line::CT, family: Family::V4 };
    let done = provider.apply(&zone, &[change(key.clone(), None, Some(set(&[1], 600)))]).await;
    assert!(done[0].is_ok());
    assert!(provider.list(&zone).await.unwrap().found[&key].is_ours());
}

#[tokio::test]
async fn a_record_that_lost_its_mark_is_marked_and_nothing_else() {
    let fake = fake().await;
    let provider = provider(&fake);
    fake.plant(ZONE, Record::new("www", "A", "default", "192.0.2.1"));
    let told = put(&provider, key("www", Line::Default), Some(set(&[1], 600))).await.unwrap().unwrap();
    assert!(told.is_ours());
    assert_eq!(wrote(&fake), ["UpdateRemark"]);
    assert_eq!(fake.texts(ZONE), [format!("www A default 192.0.2.1 600 ({OURS})")]);
}
