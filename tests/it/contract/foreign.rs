//! What isn't ours: other types, other owners, other lines. It stays as it is, to its TTL.

use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::domain::dns_plan::{Found, Owner};

use super::bench::{Bench, Mark, Stranger, not_here};
use super::story::{Story, change, key, set, sets};

/// One of each kind.
fn strangers() -> Vec<Stranger> {
    let new = Stranger::new;
    vec![
        new("hand", Line::Default, "A", "192.0.2.101"),
        new("hand", Line::CT, "A", "192.0.2.102"),
        new("hand6", Line::Default, "AAAA", "2001:db8::101"),
        new("theirs", Line::Default, "A", "192.0.2.103").marked(Mark::You),
        new("theirs", Line::OverSea, "AAAA", "2001:db8::103").marked(Mark::You),
        new("claimed", Line::Default, "A", "192.0.2.104").marked(Mark::ExternalDns),
        new("typed", Line::Default, "A", "192.0.2.105").marked(Mark::ExternalDnsTyped),
        new("text", Line::Default, "TXT", "v=spf1 -all"),
        new("@", Line::Default, "MX", "mail.example.com"),
        new("else", Line::Default, "CNAME", "www.example.com"),
        new("nobodys", Line::CU, "A", "192.0.2.106"),
    ]
}

pub async fn records_of_others_are_left_alone(bench: Box<dyn Bench>) {
    let mut story = Story::of(bench).await;
    story.plant(strangers()).await;
    let listed = story.provider.list(&story.zone).await.unwrap();
    for stranger in strangers() {
        let found = stranger.key().and_then(|key| listed.found.get(&key));
        let there = (story.bench.nature().holds)(&stranger) && story.lines().contains(&stranger.line);
        let right = stranger.key().filter(|_| there).map(|_| stranger.owner());
        assert_eq!(found.map(|found| found.owner.clone()), right, "{stranger:?}");
    }
    let lines = story.lines();
    // Ours under the same names: where a set is theirs it is held, all round it is made.
    let at = |value: &str| {
        let mut all = sets([]);
        for line in &lines {
            for record in ["hand", "theirs"] {
                all.insert(key(&format!("{record}/{line}"), Family::V4), set(value, 600));
            }
        }
        let more = ["hand6", "claimed", "typed", "text", "@"];
        all.extend(more.map(|record| (key(record, Family::V4), set(value, 600))));
        all
    };
    for value in ["192.0.2.1", "192.0.2.2,192.0.2.3"] {
        story.becomes(&at(value)).await;
    }
    story.restart();
    story.becomes(&at("192.0.2.4")).await;
    story.becomes(&sets([])).await;
}

/// A set of ours in which a record of another's stands, too: where each record has its own mark.
pub async fn our_records_go_from_beside_those_of_others(bench: Box<dyn Bench>) {
    if !bench.nature().marks_each {
        return not_here("a set has one mark for all its records here");
    }
    for mark in [Mark::None, Mark::You] {
        let at = key("www", Family::V4);
        let record = match mark {
            Mark::None => "192.0.2.101",
            _ => "192.0.2.102",
        };
        let stranger = Stranger::new("www", Line::Default, "A", record).marked(mark);
        beside(bench.as_ref(), &at, stranger).await;
    }
}

async fn beside(bench: &dyn Bench, at: &cocoasyncer::domain::records::RecordKey, stranger: Stranger) {
    let zone = super::bench::name(crate::support::servers::ZONE);
    let provider = bench.provider();
    let ours = || async { provider.list(&zone).await.unwrap().found.remove(at) };
    let put = async |to: Option<&str>| {
        let change = change(at.clone(), ours().await.filter(Found::is_ours), to.map(|to| set(to, 600)));
        let made = provider.apply(&zone, &[change]).await.remove(0);
        made.unwrap_or_else(|error| panic!("{error:?}"))
    };
    put(Some("192.0.2.1")).await;
    bench.plant(std::slice::from_ref(&stranger)).await;
    let rest = bench.truth(&zone).await.rest;
    let listed = ours().await.unwrap();
    assert_eq!((listed.owner, listed.set), (Owner::Ours, set("192.0.2.1", 600)));
    assert_eq!(listed.beside, [stranger.value.parse().unwrap()].into());
    for to in ["192.0.2.2", "192.0.2.3,192.0.2.4", "192.0.2.4"] {
        let told = put(Some(to)).await;
        assert_eq!(told, ours().await);
        assert_eq!(bench.truth(&zone).await.rest, rest);
        assert_eq!(bench.truth(&zone).await.ours.len(), to.split(',').count());
    }
    put(None).await;
    assert_eq!(bench.truth(&zone).await.ours, [""; 0]);
    assert_eq!(bench.truth(&zone).await.rest, rest);
    bench.erase(at).await;
}
