//! As many records as a large installation has.

use cocoasyncer::api::vocab::Family;

use super::bench::Bench;
use super::story::{Sets, Story, key, set, sets};

const MANY: usize = 12_000;

pub async fn twelve_thousand_records_are_made_and_known(bench: Box<dyn Bench>) {
    let mut story = Story::of(bench).await;
    story.bench.hurry();
    let lines = story.lines();
    let names = (0..).map(|index| (index, format!("n{index}")));
    let all = names.flat_map(|(index, record)| {
        let v4 = format!("10.{}.{}.1", index / 250, index % 250);
        let v6 = format!("2001:db8::{index:x}");
        let both = [(Family::V4, v4), (Family::V6, v6)];
        let of = |line: &cocoasyncer::api::vocab::Line| {
            both.clone().map(|(family, value)| (key(&format!("{record}/{line}"), family), set(&value, 60)))
        };
        lines.iter().flat_map(of).collect::<Vec<_>>()
    });
    let all: Sets = all.take(MANY).collect();
    assert_eq!(all.len(), MANY);
    let made: Sets = all.clone().into_iter().take(story.bench.nature().makes).collect();
    if made.len() < all.len() {
        let mut inherited = all.clone();
        inherited.retain(|key, _| !made.contains_key(key));
        story.bench.inherit(&inherited).await;
    }
    story.becomes(&all).await;
    // One among them.
    let mut moved = all.clone();
    moved.extend(sets(["n7 192.0.2.1", "n700 192.0.2.1"]));
    story.becomes(&moved).await;
}
