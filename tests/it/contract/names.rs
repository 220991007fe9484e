//! Which names and TTLs can be managed.

use cocoasyncer::providers::Kind;

use super::bench::{BELOW, Bench, in_zone, name};
use super::story::{Sets, Story, change, set, sets};
use crate::support::servers::ZONE;

pub async fn every_name_that_dns_allows_can_be_managed(bench: Box<dyn Bench>) {
    let mut story = Story::of(bench).await;
    let label = "a".repeat(63);
    // Three labels of 63 octets, and what is left up to 253.
    let left = 253 - ZONE.len() - 3 * 64 - 1;
    let longest = [&label, &label, &label, &*"b".repeat(left)].map(str::to_owned).join(".");
    assert_eq!(in_zone(&longest).as_str().len(), 253);
    let records = ["@", "*", "www", "x.deep.er", "*.deep", "测试", "bücher.例子", &label, &longest];
    let wished = |v4: &str, v6: &str| -> Sets {
        let both =
            records.iter().map(|record| sets([&*format!("{record} {v4}"), &*format!("{record} {v6}")]));
        both.flatten().collect()
    };
    story.becomes(&wished("192.0.2.1", "2001:db8::1")).await;
    story.becomes(&wished("192.0.2.2,192.0.2.3", "2001:db8::1")).await;
    for record in records {
        story.becomes(&sets([&*format!("{record} 192.0.2.9")])).await;
    }
    story.becomes(&sets([])).await;
}

pub async fn ttls_are_kept_and_the_smallest_is_told(bench: Box<dyn Bench>) {
    let nature = bench.nature();
    let mut story = Story::of(bench).await;
    for (zone, limits) in [(ZONE, nature.limits), (BELOW, nature.limits_below)] {
        story = Story::at(story.bench, name(zone)).await;
        let at = |ttl: u32| -> Sets {
            let key = |key| cocoasyncer::domain::records::RecordKey {
                name: name(zone).child("www", "").unwrap(),
                ..key
            };
            sets([&*format!("www 192.0.2.1 {ttl}")]).into_iter().map(|(k, set)| (key(k), set)).collect()
        };
        if nature.hosted {
            assert_eq!(story.provider.list(&story.zone).await.unwrap().limits, limits, "{zone}");
        }
        for ttl in [limits.ttl_floor, limits.ttl_floor + 1, 86_400, limits.ttl_floor] {
            story.becomes(&at(ttl)).await;
        }
        // What is below is lifted to it by who plans; who doesn't hears why.
        if let Some(below) = limits.ttl_floor.checked_sub(1).filter(|below| 0 < *below) {
            story.live(&at(below)).await;
            let listed = story.stands(&at(limits.ttl_floor)).await;
            let (key, from) = listed.iter().find(|(_, found)| found.is_ours()).unwrap();
            let too_small = change(key.clone(), Some(from.clone()), Some(set("192.0.2.2", below)));
            let error = story.apply(vec![too_small]).await.remove(0).1.unwrap_err();
            assert_eq!(error.kind, Kind::TtlNotAllowed, "{error:?}");
        }
        story.becomes(&Sets::new()).await;
    }
}
