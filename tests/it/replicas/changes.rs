//! The active replica goes: killed or drained, another one takes over in time, and no record is written twice.

use std::time::{Duration, Instant};

use cocoasyncer::api::vocab::PlatformProvider;
use kube::api::{Api, ListParams};

use super::{LEASE, Site};
use crate::support::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_another_one_takes_over_within_the_lease_and_writes_no_record_again() {
    let site = Site::new().await;
    let first = site.ready("pod-a").await;
    let second = site.ready("pod-b").await;
    for name in ["www", "api", "img"] {
        site.serve(name, PlatformProvider::Ali).await;
    }
    let (writes, looks) = (site.ali.writes(), site.ali.count("DescribeDomainRecords"));
    let version = site.version("www").await;
    let killed = Instant::now();
    first.kill().await;
    second.becomes(true).await;
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(u64::from(LEASE) + 2), "{took:?}");
    until("the zone was looked at", || async {
        (looks < site.ali.count("DescribeDomainRecords")).then_some(())
    })
    .await;
    // What the new one has to do it does: an edit goes through, and it alone is written.
    site.serve("new", PlatformProvider::Ali).await;
    let new = site.ali.texts("example.net").iter().filter(|row| row.starts_with("new ")).count();
    assert_eq!(new, 2);
    // Each record of it is made and then marked.
    assert_eq!(site.ali.writes() - writes, 2 * new, "{:?}", site.ali.counts());
    assert_eq!(site.version("www").await, version, "nor a status");
    assert_eq!(site.lease().await.spec.unwrap().lease_transitions, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_drains_finishes_what_it_began_and_hands_over_at_once() {
    let site = Site::new().await;
    let first = site.ready("pod-a").await;
    let second = site.ready("pod-b").await;
    site.serve("www", PlatformProvider::Ali).await;
    let writes = site.ali.writes();
    // It is asked to end in the middle of a write.
    site.ali.writes_take(Duration::from_millis(200));
    let mut service = crate::support::managed("api", "api");
    service.spec.platform_provider = PlatformProvider::Ali;
    service.spec.domain = "example.net".into();
    site.services().create(&Default::default(), &service).await.unwrap();
    site.ali.until("a write began", |ali| writes < ali.writes()).await;
    let asked = Instant::now();
    let (_, ()) = tokio::join!(first.drain(), second.becomes(true));
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(3500), "{took:?}");
    site.is_ready("api").await;
    let rows = site.ali.texts("example.net");
    let made = rows.iter().filter(|row| row.starts_with("api ")).count();
    assert_eq!(made, 2, "{rows:?}");
    assert_eq!(site.ali.writes() - writes, 2 * made, "{:?}", site.ali.counts());
    assert_eq!(site.lease().await.spec.unwrap().holder_identity.unwrap()[..5], *"pod-b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_change_is_told_once_at_the_node() {
    let site = Site::new().await;
    let first = site.ready("pod-a").await;
    let second = site.ready("pod-b").await;
    first.drain().await;
    second.becomes(true).await;
    let events = Api::<k8s_openapi::api::events::v1::Event>::all(site.client.clone());
    until("both terms are told", || async {
        let all = events.list(&ListParams::default()).await.unwrap();
        let told = all.items.iter().filter(|event| event.reason.as_deref() == Some("ActiveReplicaChanged"));
        (told.count() == 2).then_some(())
    })
    .await;
}
