//! Zones that a place has, and one that it hasn't.

use cocoasyncer::api::vocab::Family;
use cocoasyncer::domain::names::DnsName;
use cocoasyncer::domain::records::RecordKey;
use cocoasyncer::providers::Kind;

use super::bench::{BELOW, Bench, name};
use super::story::{change, key, set};
use crate::support::servers::ZONE;

pub async fn a_name_belongs_to_its_longest_zone(bench: Box<dyn Bench>) {
    let provider = bench.provider();
    for zone in [ZONE, BELOW] {
        let www = RecordKey { name: name(zone).child("www", "").unwrap(), ..key("www", Family::V4) };
        let made = provider.apply(&name(zone), &[change(www, None, Some(set("192.0.2.1", 600)))]).await;
        assert!(made[0].is_ok(), "{made:?}");
    }
    for (asked, right) in [
        ("example.com", Some(ZONE)),
        ("www.example.com", Some(ZONE)),
        ("*.example.com", Some(ZONE)),
        ("notsub.example.com", Some(ZONE)),
        ("sub.example.com", Some(BELOW)),
        ("a.b.sub.example.com", Some(BELOW)),
        ("*.sub.example.com", Some(BELOW)),
        ("测试.sub.example.com", Some(BELOW)),
        ("notexample.com", None),
        ("www.example.net", None),
        ("com", None),
    ] {
        let zone = provider.zone_of(&name(asked)).await.unwrap();
        assert_eq!(zone.as_ref().map(DnsName::as_str), right, "{asked}");
    }
    for zone in [ZONE, BELOW] {
        let ours = bench.truth(&name(zone)).await.ours;
        assert_eq!(ours, [format!("www.{zone} A [default] 192.0.2.1 600")], "each zone has its own");
    }
}

pub async fn an_unknown_zone_is_told_or_begins_with_its_first_record(bench: Box<dyn Bench>) {
    let (provider, zone) = (bench.provider(), name("example.net"));
    let www = |record: &str| RecordKey { name: zone.child(record, "").unwrap(), ..key("www", Family::V4) };
    let changes = ["a", "b"].map(|record| change(www(record), None, Some(set("192.0.2.1", 600))));
    let listed = provider.list(&zone).await;
    let made = provider.apply(&zone, &changes).await;
    assert_eq!(made.len(), 2);
    if bench.nature().hosted {
        let made = made.into_iter().map(Result::unwrap_err);
        for error in made.chain([listed.unwrap_err()]) {
            assert_eq!(error.kind, Kind::ZoneUnknown, "{error:?}");
        }
        assert_eq!(provider.zone_of(&www("a").name).await.unwrap(), None);
    } else {
        assert!(listed.unwrap().found.is_empty());
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        assert_eq!(bench.truth(&zone).await.ours.len(), 2);
        assert_eq!(provider.zone_of(&www("a").name).await.unwrap(), Some(zone));
    }
}
