//! The provider for Alibaba Cloud DNS against the stand-in that verifies its signatures: what it lists and writes, with
//! how many calls, and what it makes of everything that can go wrong between the two.

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
use crate::support::ali::faults::{Fault, Mishap, Trouble};
use crate::support::ali::signature::Scheme;
use crate::support::ali::world::{self, Outcome};
use crate::support::ali::zones::{Edition, Record};

const ZONE: &str = "example.com";
const OURS: &str = "cocoasyncer-v1,me";
const MISHAPS: [Mishap; 8] = [
    Mishap::Close,
    Mishap::Hang,
    Mishap::Html,
    Mishap::Empty,
    Mishap::Garbage,
    Mishap::Truncated,
    Mishap::Drip,
    Mishap::Endless,
];

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

/// One whose calls give up soon, for answers that never come.
fn hasty(fake: &FakeAli) -> AliProvider {
    let patience = Patience { call: Duration::from_millis(300), change: Duration::from_secs(10) };
    provider_of(account(fake, &[]), patience)
}

fn name(text: &str) -> DnsName {
    DnsName::parse(text, "").unwrap()
}

fn key(record: &str, line: Line) -> RecordKey {
    RecordKey { name: name(ZONE).child(record, "").unwrap(), line, family: Family::V4 }
}

fn set(values: &[u8], ttl: u32) -> RecordSet {
    RecordSet { values: values.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect(), ttl }
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

/// What no text for people may hold.
#[track_caller]
fn tells_no_secret(error: &ProviderError) {
    let all = format!("{error:?} {error} {}", cocoasyncer::telemetry::chain::Chain(error));
    assert!(!all.contains("canary"), "{all}");
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
    let v6 = RecordSet { values: ["2001:db8::1".parse().unwrap()].into(), ttl: 600 };
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
async fn a_write_whose_answer_is_lost_makes_no_duplicate() {
    for mishap in MISHAPS {
        let fake = fake().await;
        // What the vendor's search finds besides.
        for rr in ["b.www", "wwww", "ww"] {
            fake.plant(ZONE, Record::new(rr, "A", "default", "192.0.2.1"));
        }
        let provider = hasty(&fake);
        let lost = |action: &str| fake.trouble(Trouble::at(action, Fault::DoneBut(mishap)).times(1));
        lost("AddDomainRecord");
        lost("UpdateDomainRecordRemark");
        let at = key("www", Line::Default);
        let told = put(&provider, at.clone(), Some(set(&[1], 600))).await.unwrap();
        assert_eq!(wrote(&fake), ["Add", "UpdateRemark", "UpdateRemark"], "{mishap:?}");
        assert_eq!(told, found(&provider).await.remove(&at));
        fake.forget_calls();
        lost("UpdateDomainRecord");
        put(&provider, at.clone(), Some(set(&[2], 600))).await.unwrap();
        assert_eq!(wrote(&fake), ["Update", "Update"], "{mishap:?}");
        fake.forget_calls();
        lost("DeleteDomainRecord");
        assert_eq!(put(&provider, at, None).await.unwrap(), None);
        assert_eq!(wrote(&fake), ["Delete", "Delete"], "{mishap:?}");
        assert_eq!(fake.records(ZONE).len(), 3, "{mishap:?}: the neighbours stay");
    }
}

#[tokio::test]
async fn an_addition_that_is_lost_and_seen_late_is_still_made_once() {
    let fake = fake().await;
    let provider = hasty(&fake);
    fake.trouble(Trouble::at("AddDomainRecord", Fault::DoneBut(Mishap::Close)).times(1));
    // The first look doesn't show it yet.
    fake.plant(ZONE, Record::new("other", "A", "default", "192.0.2.9"));
    let at = new("www", &[1]);
    fake.serve_stale(ZONE, 1, 1);
    let told = apply(&provider, &[at]).await.remove(0).unwrap().unwrap();
    assert!(told.is_ours());
    assert_eq!(wrote(&fake), ["Add", "Add", "UpdateRemark"]);
    assert_eq!(
        fake.texts(ZONE),
        ["other A default 192.0.2.9 600", &format!("www A default 192.0.2.1 600 ({OURS})")]
    );
}

#[tokio::test]
async fn what_somebody_else_put_there_in_the_meantime_is_not_taken() {
    let fake = fake().await;
    let provider = provider(&fake);
    fake.plant(ZONE, Record::new("www", "A", "default", "192.0.2.1"));
    let error = apply(&provider, &[new("www", &[1])]).await.remove(0).unwrap_err();
    assert_eq!((error.kind, error.class), (Kind::Conflict, Class::Transient));
    assert_eq!(error.code.as_deref(), Some("DomainRecordDuplicate"));
    assert_eq!(fake.texts(ZONE), ["www A default 192.0.2.1 600"]);
    // One that is gone in the meantime is made anew.
    let at = key("new", Line::Default);
    put(&provider, at.clone(), Some(set(&[1], 600))).await.unwrap();
    let from = found(&provider).await.remove(&at);
    fake.erase(ZONE, fake.records(ZONE)[1].id);
    apply(&provider, &[change(at.clone(), from, Some(set(&[2], 600)))]).await.remove(0).unwrap();
    assert_eq!(found(&provider).await[&at].set, set(&[2], 600));
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
    let v6 = RecordSet { values: ["2001:db8::1".parse().unwrap()].into(), ttl: 600 };
    put(&provider, RecordKey { family: Family::V6, ..at }, Some(v6)).await.unwrap();
    assert_eq!(texts(&fake), ["other"]);
    assert!(
        fake.records(ZONE).iter().filter(|record| record.kind != "TXT").all(|record| record.remark == OURS)
    );
}

#[tokio::test]
async fn too_many_calls_and_an_unfinished_one_are_made_again() {
    let fake = fake().await;
    let provider = provider(&fake);
    for code in ["Throttling.User", "Throttling", "LastOperationNotFinished", "LastOperationNotFinished"] {
        fake.trouble(Trouble::at("AddDomainRecord", Fault::Refuse(code)).times(1));
    }
    apply(&provider, &[new("www", &[1])]).await.remove(0).unwrap();
    assert_eq!(fake.count("AddDomainRecord"), 5);
    assert_eq!(fake.records(ZONE).len(), 1);
}

#[tokio::test]
async fn a_throttle_that_lasts_is_given_up_in_time_and_said() {
    let fake = fake().await;
    let patience = Patience { change: Duration::from_secs(2), ..Patience::default() };
    let provider = provider_of(account(&fake, &[]), patience);
    fake.trouble(Trouble::at("AddDomainRecord", Fault::Refuse("Throttling.User")));
    let error = apply(&provider, &[new("www", &[1])]).await.remove(0).unwrap_err();
    assert_eq!((error.kind, error.class), (Kind::Throttled, Class::Transient));
    assert!(fake.count("AddDomainRecord") < 6, "no storm");
    assert!(error.request_id.is_some());
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
async fn limits_that_may_not_be_asked_for_are_none() {
    let fake = fake().await;
    fake.deny("canary-id", "DescribeDomainInfo");
    let limits = provider(&fake).list(&name(ZONE)).await.unwrap().limits;
    assert_eq!((limits.ttl_floor, limits.lines.len()), (1, 6));
}

#[tokio::test]
async fn every_bad_answer_is_told_from_the_others_and_makes_no_storm() {
    for (mishap, kind, words) in [
        (Mishap::Close, Kind::Unreachable, "no whole answer"),
        (Mishap::Hang, Kind::Unreachable, "within 300 ms"),
        (Mishap::Html, Kind::Unreadable, "HTTP 502 with a page of HTML"),
        (Mishap::Empty, Kind::Unreadable, "HTTP 200 with an empty body"),
        (Mishap::Garbage, Kind::Unreadable, "no whole JSON"),
        (Mishap::Truncated, Kind::Unreadable, "no whole JSON"),
        (Mishap::Drip, Kind::Unreachable, "within 300 ms"),
        (Mishap::Endless, Kind::Unreadable, "more than 8388608 octets"),
    ] {
        let fake = fake().await;
        fake.trouble(Trouble::anywhere(Fault::Instead(mishap)));
        let patience = match mishap {
            Mishap::Endless => Patience::default(),
            _ => Patience { call: Duration::from_millis(300), ..Patience::default() },
        };
        let provider = provider_of(account(&fake, &[]), patience);
        let error = provider.list(&name(ZONE)).await.unwrap_err();
        assert_eq!((error.kind, error.class), (kind, Class::Transient), "{mishap:?}: {error}");
        assert!(error.what.contains(words), "{error}");
        assert!(fake.calls().len() <= 2, "{mishap:?}");
        fake.forget_calls();
        let error = apply(&provider, &[new("www", &[1])]).await.remove(0).unwrap_err();
        assert_eq!(error.kind, kind, "{mishap:?}: {error}");
        assert!(fake.calls().len() <= 3, "{mishap:?}");
        tells_no_secret(&error);
    }
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let fake = fake().await;
    let account = account(&fake, &[]);
    drop(fake);
    let provider = provider_of(account, Patience::default());
    let done = apply(&provider, &[new("a", &[1]), new("b", &[1])]).await;
    for refused in done {
        let error = refused.unwrap_err();
        assert_eq!((error.kind, error.class), (Kind::Unreachable, Class::Transient));
        assert!(error.what.contains("data.endpoint"), "{error}");
        tells_no_secret(&error);
    }
}

#[tokio::test]
async fn what_concerns_the_account_ends_the_batch_after_one_call() {
    type Break = fn(&FakeAli);
    let cases: [(Break, Kind, &str, &str); 8] = [
        (
            |fake| fake.add_key("main", "canary-id", "other"),
            Kind::Credentials,
            "SignatureDoesNotMatch",
            "accessSecret",
        ),
        (
            |fake| fake.set_standing("canary-id", world::Standing::Disabled),
            Kind::Credentials,
            "InvalidAccessKeyId.Inactive",
            "accessKey",
        ),
        (
            |fake| fake.set_token("canary-id", "canary-token"),
            Kind::Credentials,
            "InvalidAccessKeyId.NotFound",
            "accessKey",
        ),
        (|fake| fake.set_clock_ahead(3600), Kind::Credentials, "InvalidTimeStamp.Expired", "clock"),
        (
            |fake| fake.deny("canary-id", "AddDomainRecord"),
            Kind::Rights,
            "Forbidden.RAM",
            "AliyunDNSFullAccess",
        ),
        (
            |fake| fake.set_standing("canary-id", world::Standing::Suspended),
            Kind::Suspended,
            "Forbidden.RiskControl",
            "console",
        ),
        (
            |fake| fake.set_standing("canary-id", world::Standing::Overdue),
            Kind::Suspended,
            "InsufficientBalance",
            "overdue",
        ),
        (|fake| fake.drop_zone(ZONE), Kind::ZoneUnknown, "InvalidDomainName.NoExist", "no such zone"),
    ];
    for (spoil, kind, code, words) in cases {
        let fake = fake().await;
        spoil(&fake);
        let done = apply(&provider(&fake), &[new("a", &[1]), new("b", &[1]), new("c", &[1])]).await;
        for refused in done {
            let error = refused.unwrap_err();
            assert_eq!((error.kind, error.code.as_deref()), (kind, Some(code)), "{error}");
            assert!(
                error.what.contains(words) && error.what.contains(error.request_id.as_deref().unwrap()),
                "{error}"
            );
            tells_no_secret(&error);
        }
        assert_eq!(fake.calls().len(), 1, "{code}");
    }
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
async fn a_listing_that_shifts_while_others_write_is_made_once_more() {
    let fake = fake().await;
    for number in 0..600 {
        fake.plant(ZONE, Record::new(&format!("r{number}"), "A", "default", "192.0.2.1"));
    }
    fake.erase(ZONE, fake.records(ZONE)[550].id);
    // The first page is from before that.
    fake.serve_stale(ZONE, 1, 1);
    let provider = provider(&fake);
    assert_eq!(found(&provider).await.len(), 599);
    assert_eq!(fake.count("DescribeDomainRecords"), 4);
}
