//! Crashes, lost answers and stale lists: no record twice, none lost, nobody else's touched.

use std::time::Duration;

use cocoasyncer::api::ADOPT_ANNOTATION;
use cocoasyncer::api::vocab::Line;

use super::{ali, at_ali, operator, rows, settles};
use crate::support::ali::faults::{Fault, Mishap, Trouble};
use crate::support::ali::zones::Record;
use crate::support::{cocoa_node, until};

#[tokio::test]
async fn a_crash_between_any_two_calls_leaves_nothing_double_and_nothing_lost() {
    for calls in 0..9 {
        let fake = ali().await;
        fake.plant("example.com", Record::new("old", "A", "default", "192.0.2.9"));
        let mut world = operator(&fake, "n1").await;
        world.create_node(&cocoa_node("n1", &[Line::Default, Line::CT], "203.0.113.1")).await;
        // The call after so many is done, but its answer never comes: then the process dies.
        fake.trouble(Trouble::anywhere(Fault::DoneBut(Mishap::Hang)).skip(calls).times(1));
        world.create(&at_ali("www")).await;
        let seen = until("the call hangs or all is done", || async {
            let ready = world.services().get("www").await.unwrap().status.is_some_and(|status| {
                status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
            });
            let calls_seen = fake.calls().len();
            (calls < calls_seen || ready).then_some(calls_seen)
        })
        .await;
        world.kill().await;
        fake.end_troubles();
        world.start().await;
        until("n1 is on the board again", || async { world.board.vitals().get("n1").map(|_| ()) }).await;
        world.beat("n1", 1);
        let mut right = rows("www", &[("default", "203.0.113.1"), ("telecom", "203.0.113.1")]);
        right.insert(0, "old A default 192.0.2.9 600".into());
        settles(&fake, &right).await;
        world.condition("www", "Ready", "AsWished").await;
        assert!(fake.count("AddDomainRecord") <= 3, "after call {seen}: {:?}", fake.counts());
        world.delete("www").await;
        settles(&fake, &right[..1]).await;
    }
}

#[tokio::test]
async fn a_half_that_nobody_noted_is_somebody_elses() {
    let fake = ali().await;
    // Just what we would write, but not by us.
    let mut same = Record::new("www", "A", "telecom", "203.0.113.1");
    same.ttl = 60;
    fake.plant("example.com", same);
    let world = operator(&fake, "n1").await;
    world.create_node(&cocoa_node("n1", &[Line::Default, Line::CT], "203.0.113.1")).await;
    world.create(&at_ali("www")).await;
    world.condition("www", "Ready", "ForeignRecords").await;
    world.delete("www").await;
    settles(&fake, &["www A telecom 203.0.113.1 60".to_owned()]).await;
}

#[tokio::test]
async fn a_call_that_timed_out_after_its_work_is_not_done_twice() {
    let fake = ali().await;
    for action in ["AddDomainRecord", "UpdateDomainRecordRemark", "UpdateDomainRecord", "DeleteDomainRecord"]
    {
        fake.trouble(Trouble::at(action, Fault::DoneBut(Mishap::Close)).times(1));
    }
    let world = operator(&fake, "n1").await;
    world.create_node(&cocoa_node("n1", &[Line::Default, Line::CT], "203.0.113.1")).await;
    world.create(&at_ali("www")).await;
    settles(&fake, &rows("www", &[("default", "203.0.113.1"), ("telecom", "203.0.113.1")])).await;
    world.readdress("n1", "203.0.113.7");
    settles(&fake, &rows("www", &[("default", "203.0.113.7"), ("telecom", "203.0.113.7")])).await;
    world.condition("www", "Ready", "AsWished").await;
    assert_eq!(fake.count("AddDomainRecord"), 2, "no record was added twice");
    world.delete("www").await;
    settles(&fake, &[]).await;
}

#[tokio::test]
async fn a_list_that_lags_behind_our_writes_causes_no_second_write() {
    let fake = ali().await;
    let world = operator(&fake, "n1").await;
    world.create_node(&cocoa_node("n1", &[Line::Default, Line::CT], "203.0.113.1")).await;
    world.create(&at_ali("www")).await;
    world.condition("www", "Ready", "AsWished").await;
    // The list is from before the last two creations, for a while.
    fake.serve_stale("example.com", 4, 3);
    fake.forget_calls();
    world.annotate("www", ADOPT_ANNOTATION, "true").await;
    fake.until("the stale list was read", |fake| fake.count("DescribeDomainRecords") == 1).await;
    world.create(&at_ali("api")).await;
    world.condition("api", "Ready", "AsWished").await;
    world.condition("www", "Ready", "AsWished").await;
    assert_eq!(fake.count("AddDomainRecord"), 2, "those of api, and www's not again: {:?}", fake.counts());
    assert_eq!(fake.texts("example.com").len(), 4);
}

#[tokio::test]
async fn a_failover_goes_ahead_of_a_long_repair() {
    let fake = ali().await;
    fake.limit("AddDomainRecord", Some(20));
    let world = operator(&fake, "n1").await;
    world.create_node(&cocoa_node("n1", &[Line::Default], "203.0.113.1")).await;
    world.create_node(&cocoa_node("n2", &[Line::CU], "203.0.113.2")).await;
    world.lose("n2");
    world.create(&at_ali("www")).await;
    world.condition("www", "Ready", "AsWished").await;
    fake.forget_calls();
    for index in 0..120 {
        world.create(&at_ali(&format!("s{index}"))).await;
    }
    fake.until("the many are being made", |fake| 10 < fake.count("AddDomainRecord")).await;
    world.readdress("n1", "203.0.113.7");
    let moved = |row: &String| row.starts_with("www ") && row.contains("203.0.113.7");
    let began = tokio::time::Instant::now();
    fake.until("the first record has moved", |fake| fake.texts("example.com").iter().any(moved)).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(fake.count("AddDomainRecord") < 120, "long before the last was made");
}
