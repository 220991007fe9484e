//! The way to the plane is cut, hangs, or the Lease is changed by others: at no time two are active, and DNS goes on.

use std::time::Duration;

use cocoasyncer::api::vocab::PlatformProvider;
use kube::api::{Patch, PatchParams};

use super::{Replica, Site};
use crate::support::until;

/// Fails where both were active at one time, for as long as `work` takes.
async fn never_both<T>(one: &Replica, other: &Replica, work: impl Future<Output = T>) -> T {
    let watching = async {
        loop {
            let both = one.standing.borrow().term.is_some() && other.standing.borrow().term.is_some();
            assert!(!both, "both are active");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        done = work => done,
        () = watching => unreachable!("it never ends"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_loses_the_plane_stops_before_another_begins_and_comes_back_as_a_standby() {
    let site = Site::new().await;
    let first = site.ready("pod-a").await;
    let second = site.ready("pod-b").await;
    site.serve("www", PlatformProvider::Ali).await;
    site.serve("inside", PlatformProvider::Local).await;
    let writes = site.ali.writes();
    let story = async {
        first.way.hang();
        first.becomes(false).await;
        assert_eq!(first.answers("inside.example.com").await, ["203.0.113.1"], "DNS goes on");
        second.becomes(true).await;
        first.way.mend();
        site.serve("api", PlatformProvider::Ali).await;
        until("it knows who is active", || async {
            first
                .standing
                .borrow()
                .holder
                .as_ref()
                .is_some_and(|holder| holder.starts_with("pod-b"))
                .then_some(())
        })
        .await;
    };
    never_both(&first, &second, story).await;
    assert!(!first.is_active() && second.is_active());
    let made = site.ali.texts("example.net").iter().filter(|row| row.starts_with("api ")).count();
    assert_eq!(site.ali.writes() - writes, 2 * made, "{:?}", site.ali.counts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_plane_nobody_is_active_and_all_serve_and_one_is_again_when_it_is_back() {
    let site = Site::new().await;
    let (first, second) = (site.ready("pod-a").await, site.ready("pod-b").await);
    site.serve("www", PlatformProvider::Local).await;
    until("the standby serves it too", || async { (first.zone()? == second.zone()?).then_some(()) }).await;
    let story = async {
        first.way.cut();
        second.way.cut();
        first.becomes(false).await;
        let dog = |replica: &Replica| {
            let started = replica.started.borrow().clone().unwrap();
            let view = started.views.borrow().clone();
            view.own().and_then(|own| own.pulse.watch_dog)
        };
        for replica in [&first, &second] {
            assert_eq!(replica.answers("www.example.com").await, ["203.0.113.1"]);
            let before = dog(replica);
            until("its watchdog goes on, so that no peer takes it for dead", || async {
                (before < dog(replica)).then_some(())
            })
            .await;
        }
        first.way.mend();
        second.way.mend();
        until("one of them is active again", || async {
            (first.is_active() || second.is_active()).then_some(())
        })
        .await;
        site.serve("new", PlatformProvider::Local).await;
    };
    never_both(&first, &second, story).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_the_lease_by_others_cost_the_active_one_nothing() {
    let site = Site::new().await;
    let (first, second) = (site.ready("pod-a").await, site.ready("pod-b").await);
    let began = first.standing.borrow().term.unwrap().number;
    for round in 0..20 {
        let patch =
            serde_json::json!({ "metadata": { "annotations": { "example.com/round": round.to_string() } } });
        site.leases().patch("cocoasyncer-n1", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(first.standing.borrow().term.unwrap().number, began);
    assert!(!second.is_active());
    let lease = site.lease().await;
    assert_eq!(lease.metadata.annotations.unwrap()["example.com/round"], "19", "what others wrote stays");
}
