//! One bad change among good ones.

use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::domain::dns_plan::Change;
use cocoasyncer::domain::records::RecordKey;
use cocoasyncer::providers::Kind;

use super::bench::{Bench, Stranger, name};
use super::story::{Sets, Story, change, key, set, sets};

pub async fn outcomes_come_in_order_and_a_bad_change_fails_alone(bench: Box<dyn Bench>) {
    let mut story = Story::of(bench).await;
    story.plant(vec![Stranger::new("cname", Line::Default, "CNAME", "www.example.com")]).await;
    story.becomes(&sets(["kept 192.0.2.1", "gone 192.0.2.1"])).await;
    let new = |key: RecordKey| change(key, None, Some(set("192.0.2.7", 600)));
    let outside = RecordKey { name: name("www.example.net"), ..key("www", Family::V4) };
    let mut bad: Vec<(Change, Option<Kind>)> = vec![(new(outside), None)];
    if (story.bench.nature().holds)(&Stranger::new("cname", Line::Default, "CNAME", "x.example.com")) {
        bad.push((new(key("cname", Family::V4)), Some(Kind::Conflict)));
    }
    let lacking = Line::ALL.into_iter().find(|line| !story.lines().contains(line));
    bad.extend(
        lacking.map(|line| (new(key(&format!("www/{line}"), Family::V4)), Some(Kind::LineNotAllowed))),
    );
    let mut wished = sets(["kept 192.0.2.1", "gone 192.0.2.1"]);
    for (index, (bad, kind)) in bad.into_iter().enumerate() {
        let (kept, gone) = (key("kept", Family::V4), key("gone", Family::V4));
        let (first, last) = (key(&format!("a{index}"), Family::V4), key(&format!("z{index}"), Family::V4));
        let now = story.provider.list(&story.zone).await.unwrap().found;
        let to = set(&format!("192.0.2.{}", 20 + index), 600);
        let changes = vec![
            new(first.clone()),
            change(kept.clone(), now.get(&kept).cloned(), Some(to.clone())),
            bad,
            change(gone.clone(), now.get(&gone).cloned(), None),
            new(last.clone()),
        ];
        let right: Vec<RecordKey> = changes.iter().map(|change| change.key.clone()).collect();
        // The deletion is of what is there the first time only.
        let outcomes = story.apply(changes).await;
        let (keys, outcomes): (Vec<RecordKey>, Vec<_>) = outcomes.into_iter().unzip();
        assert_eq!(keys, right);
        let went: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
        assert_eq!(went, [true, true, false, true, true], "{outcomes:#?}");
        let error = outcomes[2].as_ref().unwrap_err();
        assert!(kind.is_none_or(|kind| error.kind == kind), "{error:?}");
        assert_eq!(outcomes[1].as_ref().unwrap().as_ref().unwrap().set, to);
        let more: Sets = [(first, set("192.0.2.7", 600)), (last, set("192.0.2.7", 600)), (kept, to)].into();
        wished.extend(more);
        wished.remove(&gone);
        story.stands(&wished).await;
    }
}
