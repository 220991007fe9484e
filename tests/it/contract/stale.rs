//! Changes that are late: nothing is made twice and nothing of others' is destroyed, whether or not the provider makes
//! them; and the next turn puts all right.

use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::domain::dns_plan::Found;
use cocoasyncer::domain::records::RecordSet;

use super::bench::{Bench, Stranger, not_here};
use super::story::{Story, change, key, set, sets};

pub async fn the_same_changes_made_twice_do_no_harm(bench: Box<dyn Bench>) {
    let mut story = Story::of(bench).await;
    for wished in [
        sets(["www 192.0.2.1", "many 192.0.2.1,192.0.2.2", "gone 192.0.2.1", "www 2001:db8::1"]),
        sets([
            "www 192.0.2.2",
            "many 192.0.2.2,192.0.2.3,192.0.2.4",
            "fresh 192.0.2.1",
            "www 2001:db8::1 60",
        ]),
        sets(["www 192.0.2.3", "many 192.0.2.2 60", "fresh 192.0.2.1,192.0.2.2"]),
        sets([]),
    ] {
        let listing = story.provider.list(&story.zone).await.unwrap();
        let changes = story.plan(&wished, &listing.found, &listing.limits).changes;
        for (key, outcome) in story.apply(changes.clone()).await {
            assert!(outcome.is_ok(), "{key}: {outcome:?}");
        }
        story.stands(&wished).await;
        // Refused or made, by the same process and by another one.
        story.apply(changes.clone()).await;
        story.stands(&wished).await;
        story.restart();
        story.apply(changes).await;
        story.stands(&wished).await;
    }
}

/// What somebody does in between.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Erased,
    Altered,
    Replaced,
    Planted,
    PlantedTheSame,
}

pub async fn a_change_of_what_somebody_changed_meanwhile_does_no_harm(bench: Box<dyn Bench>) {
    if !bench.nature().by_hand {
        return not_here("nobody else writes here");
    }
    let mut story = Story::of(bench).await;
    let at = key("www", Family::V4);
    let old = || set("192.0.2.1", 600);
    for to in [Some(set("192.0.2.2", 600)), Some(set("192.0.2.2,192.0.2.3", 60)), None] {
        for (meanwhile, begins) in [
            (Meanwhile::Erased, Some(old())),
            (Meanwhile::Altered, Some(old())),
            (Meanwhile::Replaced, Some(old())),
            (Meanwhile::Planted, None),
            (Meanwhile::PlantedTheSame, None),
        ] {
            if begins.is_none() && to.is_none() {
                continue;
            }
            let begin = begins.clone().map(|set| (at.clone(), set)).into_iter().collect();
            story.becomes(&begin).await;
            let from = story.provider.list(&story.zone).await.unwrap().found.remove(&at);
            late(&mut story, meanwhile, from, to.clone()).await;
        }
    }
}

/// Somebody changes it, then the change of `from` is made, and then what is wished for.
async fn late(story: &mut Story, meanwhile: Meanwhile, from: Option<Found>, to: Option<RecordSet>) {
    let at = key("www", Family::V4);
    let rest = story.rest.clone();
    let theirs = |value| vec![Stranger::new("www", Line::Default, "A", value)];
    match meanwhile {
        Meanwhile::Erased => story.bench.erase(&at).await,
        Meanwhile::Altered => story.bench.alter(&at, "192.0.2.77".parse().unwrap()).await,
        Meanwhile::Replaced => {
            story.bench.erase(&at).await;
            story.plant(theirs("192.0.2.101")).await;
        }
        Meanwhile::Planted => story.plant(theirs("192.0.2.102")).await,
        Meanwhile::PlantedTheSame => story.plant(theirs("192.0.2.2")).await,
    }
    let before = story.bench.truth(&story.zone).await;
    let outcome = story.apply(vec![change(at.clone(), from, to.clone())]).await.remove(0).1;
    let after = story.bench.truth(&story.zone).await;
    assert_eq!(after.rest, story.rest, "{meanwhile:?}: what others put there is as it was, {outcome:?}");
    if outcome.is_err() {
        assert_eq!(after.ours, before.ours, "{meanwhile:?}: refused means not done");
    }
    let taken = rest != story.rest;
    // Beside another's record ours may stand; that it goes again is a case of its own.
    if !taken || after.ours.is_empty() {
        let wished = to.map(|to| (at.clone(), to)).into_iter().collect();
        story.becomes(&wished).await;
    }
    story.becomes(&sets([])).await;
    story.bench.erase(&at).await;
    story.forget_strangers(rest);
}
