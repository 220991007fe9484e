//! SIGKILL at any moment of loops that write loses nothing that was acknowledged, and versions never go back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cocoasyncer::api::service::ManagedService;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::objects::service;
use crate::support::process::{Site, wait};

const ROUNDS: usize = 16;
const WRITERS: usize = 4;

/// What writers know: of each name the value that stands (none: deleted or never made), and the last version.
#[derive(Default)]
struct Known {
    acked: BTreeMap<String, Option<String>>,
    /// What was asked for and not answered: it may stand or not.
    open: BTreeMap<String, Option<String>>,
    version: u64,
    writes: usize,
}

type Shared = Arc<Mutex<Known>>;

fn version(text: Option<String>) -> u64 {
    text.unwrap().parse().unwrap()
}

fn map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"value": value}})).unwrap()
}

/// Creates, updates and deletes until the process dies.
async fn write_maps(client: Client, writer: usize, round: usize, known: Shared) {
    let api = Api::<ConfigMap>::namespaced(client, "default");
    for step in 0.. {
        let name = format!("w{writer}-{}", step % 5);
        let value = format!("round {round} step {step}");
        let there = known.lock().unwrap().acked.get(&name).cloned().flatten().is_some();
        let delete = there && step % 7 == 3;
        let wish = (!delete).then(|| value.clone());
        known.lock().unwrap().open.insert(name.clone(), wish.clone());
        let done = match (delete, there) {
            (true, _) => api.delete(&name, &DeleteParams::default()).await.map(|_| None),
            (false, true) => api.replace(&name, &PostParams::default(), &map(&name, &value)).await.map(Some),
            (false, false) => api.create(&PostParams::default(), &map(&name, &value)).await.map(Some),
        };
        let Ok(object) = done else { return };
        let mut known = known.lock().unwrap();
        known.acked.insert(name.clone(), wish);
        known.open.remove(&name);
        known.writes += 1;
        if let Some(object) = object {
            known.version = known.version.max(version(object.resource_version()));
        }
    }
}

/// Edits services, which the loops write as well.
async fn write_services(client: Client, round: usize, known: Shared) {
    let api = Api::<ManagedService>::namespaced(client, "default");
    for step in 0.. {
        let name = format!("s{}", step % 3);
        let value = format!("round {round} step {step}");
        let mut object = service(&name);
        object["spec"]["serviceName"] = json!(value);
        known.lock().unwrap().open.insert(name.clone(), Some(value.clone()));
        let Ok(object) = api.patch(&name, &PatchParams::apply("test"), &Patch::Apply(&object)).await else {
            return;
        };
        let mut known = known.lock().unwrap();
        known.acked.insert(name.clone(), Some(value));
        known.open.remove(&name);
        known.writes += 1;
        known.version = known.version.max(version(object.resource_version()));
    }
}

/// What stands, and the list's version.
async fn stands(client: &Client) -> Option<(BTreeMap<String, String>, u64)> {
    let maps =
        Api::<ConfigMap>::namespaced(client.clone(), "default").list(&ListParams::default()).await.ok()?;
    let at = version(maps.metadata.resource_version.clone());
    let services = Api::<ManagedService>::namespaced(client.clone(), "default");
    let services = services.list(&ListParams::default()).await.ok()?;
    let value = |map: &ConfigMap| map.data.as_ref().map(|data| data["value"].clone()).unwrap_or_default();
    let maps = maps.items.iter().map(|map| (map.name_any(), value(map)));
    let services = services.items.iter().map(|one| (one.name_any(), one.spec.service_name.clone()));
    Some((maps.chain(services).collect(), at))
}

/// After a restart: all that was acknowledged stands; what was not answered stands or not, and is known from then on.
fn compare(known: &mut Known, found: &BTreeMap<String, String>, at: u64, round: usize) {
    assert!(known.version <= at, "round {round}: the version fell from {} to {at}", known.version);
    let names: Vec<String> = known.acked.keys().chain(known.open.keys()).cloned().collect();
    for name in names {
        let now = found.get(&name).cloned();
        let acked = known.acked.get(&name).cloned().flatten();
        let open = known.open.get(&name).cloned();
        let good = now == acked || open.as_ref() == Some(&now);
        assert!(good, "round {round}: {name} is {now:?}, acknowledged was {acked:?}, under way {open:?}");
        known.acked.insert(name, now);
    }
    known.open.clear();
    known.version = at;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_loses_nothing_acknowledged() {
    let mut site = Site::leader("a", &[]).await;
    let known = Shared::default();
    // Moments that differ from round to round, the same in every run: 5 to 250 ms after the first acknowledged write.
    let mut moment: u64 = 0x2545_F491;
    for round in 0..ROUNDS {
        let client = site.client().await;
        let before = known.lock().unwrap().writes;
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write_maps(client.clone(), writer, round, known.clone()));
        }
        writers.spawn(write_services(client.clone(), round, known.clone()));
        wait("somebody wrote", || std::future::ready((before < known.lock().unwrap().writes).then_some(())))
            .await;
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(5 + (moment >> 33) % 245)).await;
        site.kill();
        while writers.join_next().await.is_some() {}
        let last = known.lock().unwrap().version;
        site.spawn().await;
        let client = site.client().await;
        let (found, at) = wait("the plane answers", || stands(&client)).await;
        compare(&mut known.lock().unwrap(), &found, at, round);
        watch_goes_on(&client, last, at, round).await;
    }
    assert!(ROUNDS * 5 < known.lock().unwrap().writes, "the rounds wrote next to nothing");
    assert!(site.stop().await.success());
}

#[tokio::test]
async fn a_kill_during_the_first_start_leaves_nothing_that_stops_the_next() {
    for step in 0..12_u64 {
        let mut site = Site::new("a", &["--public-address", "203.0.113.1"]);
        let mut child = site.command().stderr(std::process::Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(step * 12)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        site.start().await;
        let node = site.nodes().await.get("a").await.unwrap();
        assert_eq!(
            node.spec.addresses.unwrap().fixed.unwrap(),
            ["203.0.113.1"],
            "killed after {} ms",
            step * 12
        );
        let (code, _) = site.call("getClusterInfo", &json!({"cocoaSecret": site.secret().await})).await;
        assert_eq!(code, 200);
        let leftovers: Vec<String> = std::fs::read_dir(site.data())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".new"))
            .collect();
        assert!(leftovers.is_empty(), "{leftovers:?}");
    }
}

#[tokio::test]
async fn a_signal_at_any_moment_of_a_start_ends_it_in_order() {
    for step in 0..6_u64 {
        let mut site = Site::new("a", &["--public-address", "203.0.113.1"]);
        site.spawn().await;
        tokio::time::sleep(Duration::from_millis(step * 20)).await;
        let ended = site.stop().await;
        assert!(ended.success(), "after {} ms: {ended:?}\n{}", step * 20, site.log());
    }
}

/// A watch from before the kill resumes or is told 410; one from the list after it sees the next write.
async fn watch_goes_on(client: &Client, before: u64, listed: u64, round: usize) {
    let api = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let probe = map("probe", &format!("round {round}"));
    let params = WatchParams::default().timeout(20);
    let mut old = api.watch(&params, &before.to_string()).await.unwrap().boxed();
    let mut new = api.watch(&params, &listed.to_string()).await.unwrap().boxed();
    api.patch(
        "probe",
        &PatchParams::apply("test"),
        &Patch::Apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}, "data": probe.data,
        })),
    )
    .await
    .unwrap();
    let old = tokio::time::timeout(Duration::from_secs(20), old.next())
        .await
        .expect("the old watch is told something");
    match old.expect("the old watch is told something").unwrap() {
        WatchEvent::Error(status) => assert_eq!(status.code, 410, "round {round}: {status:?}"),
        WatchEvent::Bookmark(_) => {}
        WatchEvent::Added(map) | WatchEvent::Modified(map) | WatchEvent::Deleted(map) => {
            assert!(before < version(map.resource_version()), "round {round}: a watch went back");
        }
    }
    loop {
        let event = tokio::time::timeout(Duration::from_secs(20), new.next())
            .await
            .expect("the watch sees the write");
        match event.unwrap().unwrap() {
            WatchEvent::Added(map) | WatchEvent::Modified(map) if map.name_any() == "probe" => return,
            WatchEvent::Error(status) => {
                panic!("round {round}: the list's own version is refused: {status:?}")
            }
            _ => {}
        }
    }
}
