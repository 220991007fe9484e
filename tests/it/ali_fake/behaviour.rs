//! What the stand-in does with zones and records, and how it fails at a test's word.

use std::time::Duration;

use serde_json::Value;

use super::client::{ask, call, refused, send};
use super::{ZONE, fake};
use crate::support::ali::FakeAli;
use crate::support::ali::faults::{Fault, Mishap, Trouble};
use crate::support::ali::signature::Scheme;
use crate::support::ali::world::Outcome;
use crate::support::ali::zones::{Edition, Record};

/// The parameters of an A record.
fn a_record<'a>(rr: &'a str, line: &'a str, value: &'a str) -> [(&'a str, &'a str); 5] {
    [("DomainName", ZONE), ("RR", rr), ("Type", "A"), ("Line", line), ("Value", value)]
}

#[tokio::test]
async fn a_record_is_refused_for_what_the_vendor_refuses() {
    let fake = fake().await;
    fake.add_key("other", "otherid", "s");
    fake.add_zone("other", "example.net", Edition::EnterpriseUltimate);
    fake.set_lines(ZONE, &["default", "telecom"]);
    fake.plant(ZONE, Record::new("www", "A", "default", "192.0.2.1"));
    fake.plant(ZONE, Record::new("alias", "CNAME", "default", "www.example.com"));
    let long = "a".repeat(64);
    for (rr, kind, line, value, ttl, expect) in [
        ("www", "A", "default", "192.0.2.1", "600", "DomainRecordDuplicate"),
        ("WWW", "A", "default", "192.0.2.1", "1200", "DomainRecordDuplicate"),
        ("www", "CNAME", "default", "other.example.com", "600", "DomainRecordConflict"),
        ("alias", "A", "default", "192.0.2.1", "600", "DomainRecordConflict"),
        ("alias", "A", "telecom", "192.0.2.1", "600", "OK"),
        ("www", "A", "unicom", "192.0.2.1", "600", "UnsupportedLine"),
        ("www", "A", "CT", "192.0.2.1", "600", "SubDomainInvalid.Line"),
        ("www", "A", "telecom", "192.0.2.1", "599", "QuotaExceeded.TTL"),
        ("www", "A", "telecom", "2001:db8::1", "600", "SubDomainInvalid.Value"),
        ("www", "AAAA", "telecom", "2001:db8::1", "600", "OK"),
        ("a.*", "A", "default", "192.0.2.1", "600", "InvalidRR.Format"),
        (&long, "A", "default", "192.0.2.1", "600", "InvalidRR.Format"),
        (&long[1..], "A", "default", "192.0.2.1", "600", "OK"),
        ("*", "A", "default", "192.0.2.1", "600", "OK"),
        ("@", "A", "default", "192.0.2.1", "600", "OK"),
        ("例子", "A", "default", "192.0.2.1", "600", "OK"),
        ("xn--fsqu00a", "A", "default", "192.0.2.1", "600", "DomainRecordDuplicate"),
    ] {
        let params = [
            ("DomainName", ZONE),
            ("RR", rr),
            ("Type", kind),
            ("Line", line),
            ("Value", value),
            ("TTL", ttl),
        ];
        let code = refused(&fake, "AddDomainRecord", &params).await;
        assert!(code.ends_with(&format!(" {expect}")), "{rr} {kind} {line} {value} {ttl}: {code}");
    }
    for (zone, expect) in
        [("example.net", "400 IncorrectDomainUser"), ("example.org", "400 InvalidDomainName.NoExist")]
    {
        assert_eq!(refused(&fake, "DescribeDomainRecords", &[("DomainName", zone)]).await, expect);
    }
    let locked = fake.plant(ZONE, Record::new("locked", "A", "default", "192.0.2.1").locked()).to_string();
    let foreign = fake.plant("example.net", Record::new("www", "A", "default", "192.0.2.1")).to_string();
    assert_eq!(
        refused(&fake, "DeleteDomainRecord", &[("RecordId", &locked)]).await,
        "400 DomainRecordLocked"
    );
    let unknown = refused(&fake, "DeleteDomainRecord", &[("RecordId", &foreign)]).await;
    assert_eq!(unknown, "400 DomainRecordNotBelongToUser");
}

#[tokio::test]
async fn a_remark_has_fifty_plain_characters() {
    let fake = fake().await;
    let id = fake.plant(ZONE, Record::new("www", "A", "default", "192.0.2.1")).to_string();
    let (fits, long) = ("中".repeat(50), "a".repeat(51));
    for (remark, expect) in [
        ("cocoasyncer-v1,north_1.", "200 OK"),
        (fits.as_str(), "200 OK"),
        ("", "200 OK"),
        (&long, "400 InvalidParameter.Remark"),
        ("a=b", "400 InvalidParameter.Remark"),
        ("a b", "400 InvalidParameter.Remark"),
    ] {
        let params = [("RecordId", id.as_str()), ("Remark", remark)];
        assert_eq!(refused(&fake, "UpdateDomainRecordRemark", &params).await, expect, "{remark}");
    }
}

/// The names that a list has, in its order.
fn names(list: &Value) -> Vec<&str> {
    let rows = list["DomainRecords"]["Record"].as_array().unwrap();
    rows.iter().map(|row| row["RR"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn searches_are_as_fuzzy_as_the_vendors() {
    let fake = fake().await;
    for rr in ["a", "b.a", "bar", "c"] {
        fake.plant(ZONE, Record::new(rr, "A", "default", "192.0.2.1"));
    }
    fake.plant(ZONE, Record::new("a", "A", "telecom", "192.0.2.1"));
    for (filters, expect) in [
        (vec![("RRKeyWord", "A")], vec!["a", "bar", "b.a", "a"]),
        (vec![("RRKeyWord", "a"), ("SearchMode", "ADVANCED")], vec!["a", "bar", "b.a", "a"]),
        (vec![("RRKeyWord", "a"), ("Line", "telecom")], vec!["a"]),
        (vec![("RRKeyWord", "a"), ("SearchMode", "COMBINATION")], vec!["a", "a"]),
        (vec![("KeyWord", "a"), ("SearchMode", "EXACT")], vec!["a", "a"]),
        // A like search does not look at the fields.
        (vec![("KeyWord", "ba"), ("Line", "telecom")], vec!["bar"]),
        (vec![("Status", "Disable")], vec![]),
    ] {
        let mut params = vec![("DomainName", ZONE)];
        params.extend(filters);
        let list = call(&fake, "DescribeDomainRecords", &params).await;
        assert_eq!(names(&list), expect, "{params:?}");
    }
    let exact = call(&fake, "DescribeSubDomainRecords", &[("SubDomain", "a.example.com")]).await;
    assert_eq!(names(&exact), ["a", "a"]);
    let large = [("SubDomain", "a.example.com"), ("PageSize", "101")];
    assert_eq!(refused(&fake, "DescribeSubDomainRecords", &large).await, "400 InvalidParameter");
}

#[tokio::test]
async fn twelve_thousand_records_are_twenty_four_pages() {
    let fake = fake().await;
    for n in 0..12_000 {
        fake.plant(ZONE, Record::new(&format!("r{n}"), "A", "default", "192.0.2.1"));
    }
    let mut rows = 0;
    for page in 1..=24 {
        let page = page.to_string();
        let params = [("DomainName", ZONE), ("PageSize", "500"), ("PageNumber", &page)];
        let list = call(&fake, "DescribeDomainRecords", &params).await;
        assert_eq!(list["TotalCount"], 12_000);
        rows += names(&list).len();
    }
    assert_eq!(rows, 12_000);
    let too_many =
        refused(&fake, "DescribeDomainRecords", &[("DomainName", ZONE), ("PageSize", "501")]).await;
    assert_eq!(too_many, "400 InvalidParameter");
    let default = call(&fake, "DescribeDomainRecords", &[("DomainName", ZONE)]).await;
    assert_eq!((default["PageSize"].as_u64(), names(&default).len()), (Some(20), 20));
}

#[tokio::test]
async fn a_zone_takes_one_write_at_a_time() {
    let fake = fake().await;
    fake.add_zone("main", "example.net", Edition::Free);
    fake.writes_take(Duration::from_secs(3600));
    let (one, two) = (a_record("a", "default", "192.0.2.1"), a_record("b", "default", "192.0.2.1"));
    let first = tokio::select! {
        code = refused(&fake, "AddDomainRecord", &one) => code,
        code = refused(&fake, "AddDomainRecord", &two) => code,
    };
    assert_eq!(first, "400 LastOperationNotFinished");
    fake.writes_take(Duration::ZERO);
    let elsewhere = [("DomainName", "example.net"), ("RR", "www"), ("Type", "A"), ("Value", "192.0.2.1")];
    assert_eq!(refused(&fake, "AddDomainRecord", &elsewhere).await, "200 OK");
    let twice =
        [refused(&fake, "AddDomainRecord", &one).await, refused(&fake, "AddDomainRecord", &two).await];
    assert_eq!(twice, ["400 LastOperationNotFinished", "400 LastOperationNotFinished"]);
}

#[tokio::test]
async fn an_account_over_its_quota_is_throttled() {
    let fake = fake().await;
    fake.limit("DescribeDomains", Some(0));
    assert_eq!(refused(&fake, "DescribeDomains", &[]).await, "400 Throttling.User");
    let list = refused(&fake, "DescribeDomainRecords", &[("DomainName", ZONE)]).await;
    assert_eq!(list, "200 OK", "another action has its own quota");
}

#[tokio::test]
async fn a_stale_list_is_as_before_the_last_writes() {
    let fake = fake().await;
    fake.plant(ZONE, Record::new("old", "A", "default", "192.0.2.1"));
    fake.serve_stale(ZONE, 1, 2);
    call(&fake, "AddDomainRecord", &a_record("new", "default", "192.0.2.1")).await;
    for expect in [vec!["old"], vec!["old"], vec!["new", "old"]] {
        let list = call(&fake, "DescribeDomainRecords", &[("DomainName", ZONE)]).await;
        assert_eq!(names(&list), expect);
    }
}

/// What a client sees of a mishap, in a word.
async fn seen(fake: &FakeAli, rr: &str) -> &'static str {
    let signed = ask(Scheme::Acs3, "AddDomainRecord", &a_record(rr, "default", "192.0.2.1"));
    let sent = tokio::time::timeout(Duration::from_secs(2), send(fake, &signed)).await;
    let Ok(sent) = sent else { return "silence" };
    let Ok(mut answer) = sent else { return "closed" };
    let (status, mut text) = (answer.status(), Vec::new());
    while let Ok(Some(chunk)) = answer.chunk().await {
        text.extend_from_slice(&chunk);
        if text.len() == 1 {
            return "a byte";
        }
        if 10_000_000 < text.len() {
            return "endless";
        }
    }
    match serde_json::from_slice::<Value>(&text) {
        Ok(_) => "JSON",
        Err(_) if status == 502 => "HTML",
        Err(_) if text.is_empty() => "empty",
        Err(_) => "no JSON",
    }
}

#[tokio::test]
async fn each_mishap_comes_as_ordered_and_after_the_work_where_so_told() {
    let fake = fake().await;
    for (mishap, expect) in [
        (Mishap::Close, "closed"),
        (Mishap::Hang, "silence"),
        (Mishap::Html, "HTML"),
        (Mishap::Empty, "empty"),
        (Mishap::Garbage, "no JSON"),
        (Mishap::Truncated, "no JSON"),
        (Mishap::Drip, "a byte"),
        (Mishap::Endless, "endless"),
    ] {
        let rr = format!("{mishap:?}").to_lowercase();
        fake.forget_calls();
        for fault in [Fault::Instead(mishap), Fault::DoneBut(mishap)] {
            assert_eq!(fake.texts(ZONE).iter().filter(|text| text.starts_with(&rr)).count(), 0, "{mishap:?}");
            fake.trouble(Trouble::at("AddDomainRecord", fault).times(1));
            assert_eq!(seen(&fake, &rr).await, expect, "{mishap:?}");
        }
        assert_eq!(fake.texts(ZONE).iter().filter(|text| text.starts_with(&rr)).count(), 1, "{mishap:?}");
        let outcomes: Vec<Outcome> = fake.calls().into_iter().map(|call| call.outcome).collect();
        assert_eq!(outcomes, [Outcome::Lost, Outcome::Unheard], "{mishap:?}");
    }
}

#[tokio::test]
async fn trouble_meets_the_calls_it_is_meant_for() {
    let fake = fake().await;
    let only =
        Trouble::at("AddDomainRecord", Fault::Refuse("InternalError")).only("RR", "bad").skip(1).times(2);
    fake.trouble(only);
    for (rr, value, expect) in [
        ("good", "192.0.2.1", "200 OK"),
        ("bad", "192.0.2.1", "200 OK"),
        ("bad", "192.0.2.2", "500 InternalError"),
        ("bad", "192.0.2.2", "500 InternalError"),
        ("bad", "192.0.2.2", "200 OK"),
    ] {
        assert_eq!(
            refused(&fake, "AddDomainRecord", &a_record(rr, "default", value)).await,
            expect,
            "{rr} {value}"
        );
    }
    assert_eq!((fake.writes(), fake.count("AddDomainRecord")), (5, 5));
    fake.trouble(Trouble::anywhere(Fault::Lag(Duration::from_millis(200))).times(1));
    let began = std::time::Instant::now();
    assert_eq!(refused(&fake, "DescribeDomains", &[]).await, "200 OK");
    assert!(Duration::from_millis(200) <= began.elapsed());
}

/// A client that gave up must find its work done, as at the vendor.
#[tokio::test]
async fn what_a_client_gave_up_on_is_finished() {
    let fake = fake().await;
    fake.writes_take(Duration::from_secs(2));
    let signed = ask(Scheme::Acs3, "AddDomainRecord", &a_record("www", "default", "192.0.2.1"));
    assert!(tokio::time::timeout(Duration::from_secs(1), send(&fake, &signed)).await.is_err());
    fake.until("the record is there", |fake| !fake.records(ZONE).is_empty()).await;
}
