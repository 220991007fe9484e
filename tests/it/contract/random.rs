//! Sequences that nobody thought of.

use cocoasyncer::api::vocab::Family;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::bench::Bench;
use super::story::{Sets, Story, key, set};

const SEQUENCES: usize = 3;

/// Sets of few names, lines and values, so that each meets what was before.
fn wishes(lines: Vec<&'static str>) -> impl Strategy<Value = Vec<Sets>> {
    let at = (prop::sample::select(vec!["@", "*", "www", "a.b"]), prop::sample::select(lines), any::<bool>());
    let to = (prop::collection::btree_set(1..5u8, 1..4), prop::sample::select(vec![60, 600]));
    let one = (at, to).prop_map(|((record, line, is_v4), (values, ttl))| {
        let (family, prefix) = if is_v4 { (Family::V4, "192.0.2.") } else { (Family::V6, "2001:db8::") };
        let values: Vec<String> = values.iter().map(|last| format!("{prefix}{last}")).collect();
        (key(&format!("{record}/{line}"), family), set(&values.join(","), ttl))
    });
    let step = prop::collection::vec(one, 0..8).prop_map(|sets| sets.into_iter().collect());
    prop::collection::vec(step, 3..6)
}

/// Every provider follows the same wishes, so they all list the same.
#[allow(clippy::print_stderr, reason = "shown where it fails")]
pub async fn any_sequence_of_wishes_comes_true(bench: Box<dyn Bench>) {
    let mut story = Story::of(bench).await;
    let lines = story.lines().into_iter().map(|line| line.as_str()).collect();
    let mut runner = TestRunner::new(Config::default());
    let strategy = wishes(lines);
    for _ in 0..SEQUENCES {
        let sequence = strategy.new_tree(&mut runner).unwrap().current();
        eprintln!("wished for: {sequence:#?}");
        for wished in &sequence {
            story.becomes(wished).await;
        }
    }
}
