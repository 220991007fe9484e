//! What record sets go through.

use cocoasyncer::api::vocab::{Family, Line, NetworkType};
use cocoasyncer::domain::cluster::{Cluster, Member};
use cocoasyncer::domain::dns_plan::plan;
use cocoasyncer::domain::names::ObjectId;
use cocoasyncer::domain::records::{Service, wish};

use super::bench::Bench;
use super::story::{Sets, Story, key, set, sets};
use crate::support::managed;

pub async fn records_are_created_changed_and_deleted(bench: Box<dyn Bench>) {
    let mut story = Story::of(bench).await;
    for wished in [
        sets(["www 192.0.2.1", "api 192.0.2.1"]),
        sets(["www 192.0.2.2", "api 192.0.2.1"]),
        sets(["www 192.0.2.2 60", "api 192.0.2.1"]),
        sets(["www 192.0.2.3 600", "www 2001:db8::1 60", "fresh 192.0.2.4"]),
        sets(["www 2001:db8::2", "api 192.0.2.9"]),
        sets([]),
        sets(["www 192.0.2.1"]),
    ] {
        story.becomes(&wished).await;
    }
    story.restart();
    story.stands(&sets(["www 192.0.2.1"])).await;
    story.becomes(&sets(["www 192.0.2.2"])).await;
}

pub async fn every_line_has_its_own_value(bench: Box<dyn Bench>) {
    let mut story = Story::of(bench).await;
    let lines = story.lines();
    let all = |value: fn(usize) -> String, family: Family| -> Sets {
        let one =
            |(index, line): (usize, &Line)| (key(&format!("www/{line}"), family), set(&value(index), 60));
        lines.iter().enumerate().map(one).collect()
    };
    let mut wished = all(|index| format!("192.0.2.{}", index + 1), Family::V4);
    wished.extend(all(|index| format!("2001:db8::{}", index + 1), Family::V6));
    story.becomes(&wished).await;
    // One moves, one goes; the others stay.
    for line in &lines {
        let at = key(&format!("www/{line}"), Family::V4);
        wished.insert(at.clone(), set("192.0.2.99", 60));
        story.becomes(&wished).await;
        wished.remove(&at);
        story.becomes(&wished).await;
    }
}

pub async fn sets_of_several_values_grow_and_shrink(bench: Box<dyn Bench>) {
    let mut story = Story::of(bench).await;
    for values in [
        "192.0.2.1",
        "192.0.2.1,192.0.2.2,192.0.2.3",
        "192.0.2.2,192.0.2.3",
        "192.0.2.4,192.0.2.5,192.0.2.6,192.0.2.7",
        "192.0.2.7,192.0.2.8",
        "192.0.2.9",
    ] {
        for ttl in [60, 600] {
            story.becomes(&[(key("www", Family::V4), set(values, ttl))].into()).await;
        }
    }
    story.becomes(&sets([])).await;
    story.becomes(&sets(["www 192.0.2.1,192.0.2.2", "www 2001:db8::1,2001:db8::2"])).await;
    story.becomes(&sets([])).await;
}

/// A node on these lines.
fn member(name: &str, lines: &[Line], address: &str) -> (String, Member) {
    let member = Member {
        name: name.into(),
        lines: lines.iter().copied().collect(),
        network: NetworkType::Both,
        preference: 0,
        addresses: [
            (Family::V4, [address.parse().unwrap()].into()),
            (Family::V6, [format!("::ffff:{address}").parse().unwrap()].into()),
        ]
        .into(),
        lives: true,
        drained: false,
        pinned: Default::default(),
    };
    (name.into(), member)
}

pub async fn what_services_wish_for_is_a_fixpoint(bench: Box<dyn Bench>) {
    let mut story = Story::of(bench).await;
    let services = ["@", "*", "www", "测试"].map(|record| Service::parse(&managed("any", record)).unwrap());
    let services = services.map(|service| {
        let id = ObjectId { namespace: "default".into(), name: service.name.to_string() };
        Service { id, ..service }
    });
    let members = [
        member("n1", &[Line::Default, Line::CT], "192.0.2.1"),
        member("n2", &[Line::CU, Line::CMCC], "192.0.2.2"),
        member("n3", &[Line::CNEdu, Line::OverSea], "192.0.2.3"),
    ];
    let mut cluster = Cluster { members: members.into(), ..Cluster::default() };
    // All live, one is lost, it is back.
    for lives in [true, false, true] {
        cluster.members.get_mut("n2").unwrap().lives = lives;
        let listing = story.provider.list(&story.zone).await.unwrap();
        let mut wish = wish(&services, &cluster);
        wish.fit(&listing.limits);
        assert!(wish.refused.is_empty(), "{:?}", wish.refused);
        wish.released.extend(plan(&wish, &listing.found).digest);
        story.apply(plan(&wish, &listing.found).changes).await;
        let right = wish.wanted.iter().map(|(key, wanted)| (key.clone(), wanted.set.clone())).collect();
        let listed = story.stands(&right).await;
        let again = plan(&wish, &listed);
        assert_eq!((again.changes.len(), again.held.len(), again.unchanged), (0, 0, wish.wanted.len()));
    }
}
