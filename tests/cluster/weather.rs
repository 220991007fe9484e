//! An API server that fails, is gone, forgets or cuts off: DNS answers on, nothing is written twice, and what is right
//! is left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use cocoasyncer::api::node::CocoaNode;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::support::cluster::faults::{Door, Fault};
use crate::support::process::wait;
use crate::watching::Asking;
use crate::world::{NODE, Replica, World};

/// Names that are there before anything goes wrong.
const STEADY: [&str; 3] = ["a", "b", "c"];
const STATUS: &str = "managedservices/status";

/// An operator that serves `www` itself and has written [`STEADY`] at Ali.
async fn settled() -> (World, Replica) {
    let world = World::new().await;
    let replica = world.operator().await;
    world.local("www").await;
    for name in STEADY {
        world.at_ali(name).await;
    }
    replica.serves("www").await;
    world.holds(&STEADY).await;
    for name in STEADY.iter().chain(&["www"]) {
        world.becomes(name, "Ready", "AsWished").await;
    }
    (world, replica)
}

/// In which version each service is.
async fn versions(world: &World) -> BTreeMap<String, String> {
    let all = world.services().list(&ListParams::default()).await.unwrap();
    all.iter().map(|one| (one.name_any(), one.resource_version().unwrap())).collect()
}

#[tokio::test]
async fn one_call_in_five_fails_and_everything_is_written_once() {
    let (world, replica) = settled().await;
    let faults = [Fault::Conflict, Fault::TooMany, Fault::Internal, Fault::Unheard];
    // What it took to come this far met no fault, and would count for nothing.
    replica.proxy.ledger().forget();
    replica.proxy.fail_one_in(5, &faults, 5);
    let asking = Asking::begin(vec![replica.site.at.dns], "www");
    let more: Vec<String> = (0..12).map(|number| format!("more-{number}")).collect();
    for name in &more {
        world.at_ali(name).await;
        world.local(&format!("local-{name}")).await;
    }
    let all: Vec<&str> = STEADY.into_iter().chain(more.iter().map(String::as_str)).collect();
    world.holds(&all).await;
    for name in &more {
        replica.serves(&format!("local-{name}")).await;
        world.becomes(name, "Ready", "AsWished").await;
    }
    // Few enough to be no mass change.
    let (leaving, staying) = more.split_at(4);
    for name in leaving {
        world.services().delete(name, &DeleteParams::default()).await.unwrap();
    }
    let all: Vec<&str> = STEADY.into_iter().chain(staying.iter().map(String::as_str)).collect();
    world.holds(&all).await;
    wait("the deleted services are let go", || async {
        let left = versions(&world).await;
        leaving.iter().all(|name| !left.contains_key(name)).then_some(())
    })
    .await;
    asking.end();
    world.wrote_nothing_twice();
    let calls = replica.proxy.ledger().calls();
    let met = calls.iter().filter(|call| call.injected).count();
    // Of every five one, but that an apply which creates is noted twice.
    assert!((16..=24).contains(&(100 * met / calls.len())), "{met} of {} calls failed", calls.len());
    assert!(20 < met, "{met} failures prove little");
}

/// Shuts the door for `time` while a service is made behind the operator's back; then all must be as if nothing had
/// been, and that service served too.
async fn gone(how: Door, time: Duration) {
    let (world, replica) = settled().await;
    let (before, writes) = (versions(&world).await, world.writes());
    let asking = Asking::begin(vec![replica.site.at.dns], "www");
    replica.proxy.set_door(how).await;
    tokio::time::sleep(time / 2).await;
    world.local("new").await;
    world.at_ali("d").await;
    tokio::time::sleep(time / 2).await;
    replica.proxy.set_door(Door::Open).await;
    replica.serves("new").await;
    world.holds(&["a", "b", "c", "d"]).await;
    world.becomes("d", "Ready", "AsWished").await;
    asking.end();
    let after = versions(&world).await;
    for (name, version) in before {
        assert_eq!(after.get(&name), Some(&version), "{name} was right and was written again");
    }
    let fresh: Vec<String> = world.writes().into_keys().filter(|one| !writes.contains_key(one)).collect();
    // Two lines, and the mark of each.
    assert_eq!(fresh.len(), 4, "{fresh:#?}");
    world.wrote_nothing_twice();
}

#[tokio::test]
async fn an_api_server_that_is_gone_for_a_minute_is_missed_by_nobody() {
    gone(Door::Refusing, Duration::from_secs(60)).await;
}

#[tokio::test]
async fn an_api_server_that_hangs_for_half_a_minute_is_missed_by_nobody() {
    gone(Door::Hanging, Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_status_whose_answer_was_lost_is_not_written_again() {
    let world = World::new().await;
    let replica = world.operator().await;
    world.local("www").await;
    world.becomes("www", "Ready", "AsWished").await;
    replica.proxy.ledger().forget();
    // While it sees the service as it was, it hears of nothing that was taken.
    replica.proxy.trouble("patch", STATUS, Fault::Unheard, 1);
    replica.proxy.trouble("watch", "managedservices", Fault::Internal, 3);
    replica.proxy.cut_watches();
    let lines = json!({ "spec": { "isps": ["default", "CT", "CU"] } });
    let nodes = Api::<CocoaNode>::all(world.cluster.client.clone());
    nodes.patch(NODE, &PatchParams::default(), &Patch::Merge(lines)).await.unwrap();
    let codes = || {
        let calls = replica.proxy.ledger().calls().into_iter();
        let mine = calls.filter(|call| call.asked.resource == STATUS && call.asked.name == "www");
        // What came before may be heard of late.
        mine.map(|call| call.code).skip_while(|code| *code != 0).collect::<Vec<_>>()
    };
    wait("the status is tried again", || async { (1 < codes().len()).then_some(()) }).await;
    // Once this is served, the services are seen again as they are.
    world.local("new").await;
    replica.serves("new").await;
    world.becomes("new", "Ready", "AsWished").await;
    assert_eq!(world.services().get("www").await.unwrap().status.unwrap().records.len(), 3);
    assert!(codes().iter().all(|code| [0, 409].contains(code)), "{:?}", codes());
}

#[tokio::test]
async fn watches_that_end_every_second_lose_nothing_and_make_no_storm() {
    let (world, replica) = settled().await;
    replica.proxy.watches_last(Duration::from_secs(1));
    replica.proxy.cut_watches();
    replica.proxy.ledger().forget();
    let began = tokio::time::Instant::now();
    let mut round = 0;
    while began.elapsed() < Duration::from_secs(6) {
        round += 1;
        let name = format!("cut-{round}");
        world.local(&name).await;
        let served = async || replica.a(&name).await.map(drop);
        wait(&format!("{name} is served"), served).await;
        world.services().delete(&name, &DeleteParams::default()).await.unwrap();
        let gone = async || replica.a(&name).await.is_none().then_some(());
        wait(&format!("{name} is gone"), gone).await;
    }
    let counts = replica.proxy.ledger().counts();
    let most = began.elapsed().as_secs() as usize + 5;
    for kind in ["cocoanodes", "managedservices", "apps"] {
        let watches = counts.get(&format!("watch {kind}")).copied().unwrap_or_default();
        assert!((2..=most).contains(&watches), "{watches} watches of {kind} in {most} s");
        let lists = counts.get(&format!("list {kind}")).copied().unwrap_or_default();
        assert!(lists <= 2, "{lists} lists of {kind}: a watch that was cut goes on from where it was");
    }
    world.holds(&STEADY).await;
    world.wrote_nothing_twice();
}

#[tokio::test]
async fn what_a_compaction_forgets_is_listed_anew() {
    let (world, replica) = settled().await;
    let (before, writes) = (versions(&world).await, world.writes());
    replica.proxy.ledger().forget();
    for round in 0..4 {
        let name = format!("round-{round}");
        world.local(&name).await;
        replica.proxy.compact().await;
        replica.serves(&name).await;
        world.services().delete(&name, &DeleteParams::default()).await.unwrap();
        replica.proxy.compact().await;
        let gone = async || replica.a(&name).await.is_none().then_some(());
        wait(&format!("{name} is gone"), gone).await;
    }
    let calls = replica.proxy.ledger().calls();
    let expired = calls.iter().filter(|call| call.code == 410).count();
    // Where the server can, what is there comes by a watch too, so lists are not counted.
    assert!(7 < expired, "{expired} watches told 410");
    let gone = async || (versions(&world).await.len() == before.len()).then_some(());
    wait("the deleted services are let go", gone).await;
    assert_eq!(versions(&world).await, before, "what was right was written again");
    assert_eq!(writes, world.writes());
}
