//! What the provider for Alibaba Cloud DNS makes of what can go wrong: answers that get lost, lists that are old, calls that
//! are too many, keys that don't fit. Nothing is written twice, nothing is tried for ever, and no key stands in a text.

use std::time::Duration;

use cocoasyncer::api::vocab::Line;
use cocoasyncer::domain::retry::Class;
use cocoasyncer::providers::ali::{AliProvider, Patience};
use cocoasyncer::providers::{DnsProvider, Kind, ProviderError};
use cocoasyncer::telemetry::chain::Chain;

use super::{
    OURS, ZONE, account, apply, change, fake, found, key, name, new, provider, provider_of, put, set, wrote,
};
use crate::support::ali::FakeAli;
use crate::support::ali::faults::{Fault, Mishap, Trouble};
use crate::support::ali::world::Standing;
use crate::support::ali::zones::Record;

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

/// One whose calls give up soon, for answers that never come.
pub(super) fn hasty(fake: &FakeAli) -> AliProvider {
    let patience = Patience { call: Duration::from_millis(300), change: Duration::from_secs(10) };
    provider_of(account(fake, &[]), patience)
}

/// What no text for people may hold.
#[track_caller]
fn tells_no_secret(error: &ProviderError) {
    let all = format!("{error:?} {error} {}", Chain(error));
    assert!(!all.contains("canary"), "{all}");
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
async fn what_a_stale_list_still_shows_otherwise_is_not_written_twice() {
    let fake = fake().await;
    let provider = provider(&fake);
    let at = key("www", Line::Default);
    put(&provider, at.clone(), Some(set(&[1], 600))).await.unwrap();
    let stale = found(&provider).await.remove(&at);
    put(&provider, at.clone(), Some(set(&[2], 600))).await.unwrap();
    let changes = [change(at.clone(), stale.clone(), Some(set(&[2], 600))), change(at.clone(), stale, None)];
    let done = apply(&provider, &changes).await;
    assert_eq!(done[0].as_ref().unwrap().as_ref().unwrap().set, set(&[2], 600));
    assert_eq!(done[1].as_ref().unwrap(), &None);
    assert!(fake.records(ZONE).is_empty());
    // One that is gone already is not missed.
    assert!(apply(&provider, &changes[1..]).await[0].is_ok());
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
    let from = found(&provider).await.remove(&at);
    assert_eq!(from.as_ref().map(|from| &from.set), Some(&set(&[2], 600)));
    // Nor what stands beside ours with the value that ours should have.
    fake.plant(ZONE, Record::new("new", "A", "default", "192.0.2.3"));
    let before = fake.texts(ZONE);
    let error = apply(&provider, &[change(at, from, Some(set(&[3], 600)))]).await.remove(0).unwrap_err();
    assert_eq!((error.kind, error.class), (Kind::Conflict, Class::Transient));
    assert_eq!(fake.texts(ZONE), before);
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
            |fake| fake.set_standing("canary-id", Standing::Disabled),
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
            |fake| fake.set_standing("canary-id", Standing::Suspended),
            Kind::Suspended,
            "Forbidden.RiskControl",
            "console",
        ),
        (
            |fake| fake.set_standing("canary-id", Standing::Overdue),
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
