//! Starts: several at once, and what a standby serves.

use cocoasyncer::api::vocab::PlatformProvider;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;

use super::{SYSTEM, Site};
use crate::support::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_replicas_that_start_at_once_one_is_active_and_makes_what_all_need() {
    let site = Site::new().await;
    let all = [site.begin("pod-a"), site.begin("pod-b"), site.begin("pod-c")];
    for replica in &all {
        replica.ready().await;
    }
    assert_eq!(all.iter().filter(|replica| replica.is_active()).count(), 1);
    let lease = site.lease().await.spec.unwrap();
    let holder = lease.holder_identity.unwrap();
    assert!(holder.starts_with("pod-") && holder.len() == "pod-a_".len() + 8, "{holder}");
    assert_eq!(lease.lease_transitions, Some(0));
    let secrets = Api::<Secret>::namespaced(site.client.clone(), SYSTEM);
    let secret = secrets.get("n1").await.unwrap();
    assert!(site.node().await.is_some());
    let maps = Api::<ConfigMap>::namespaced(site.client.clone(), SYSTEM);
    let owner = maps.get("cocoasyncer-owner").await.unwrap();
    for replica in &all {
        let shown = replica.ready().await;
        until("all show the same node", || async {
            let stored = maps.get_opt("cocoasyncer-generation").await.unwrap()?.data?;
            let view = shown.views.borrow().clone();
            let own = view.own()?.clone();
            let secret = secret.data.as_ref()?.get("cocoaSecret")?.0.clone();
            let owner = owner.data.as_ref()?.get("id")?.clone();
            let same = own.secret.expose().as_bytes() == secret;
            (same
                && view.owner.as_ref()?.as_str() == owner
                && stored["generation"] == view.generation.to_string())
            .then_some(())
        })
        .await;
    }
    assert_eq!(secrets.get("n1").await.unwrap().metadata.resource_version, secret.metadata.resource_version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_serves_the_same_zone_under_the_same_serial_and_writes_nothing() {
    let site = Site::new().await;
    let active = site.ready("pod-a").await;
    let standby = site.ready("pod-b").await;
    assert!(active.is_active() && !standby.is_active());
    for name in ["www", "api"] {
        site.serve(name, PlatformProvider::Local).await;
        until("both serve one zone under one serial", || async {
            let (one, other) = (active.zone()?, standby.zone()?);
            (one == other && one.records().count() > 0).then_some(())
        })
        .await;
    }
    assert_eq!(standby.answers("www.example.com").await, ["203.0.113.1"]);
    // Its serials do not fall when it takes over, and go on by the clock.
    let before = standby.zone().unwrap().soa().serial;
    active.drain().await;
    standby.becomes(true).await;
    site.serve("new", PlatformProvider::Local).await;
    assert!(before < standby.zone().unwrap().soa().serial);
    site.services().delete("www", &Default::default()).await.unwrap();
    until("a deleted service is gone", || async {
        standby.answers("www.example.com").await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_records_of_a_zone_that_are_to_stay_stay_on_a_standby_too() {
    let site = Site::new().await;
    let (_active, standby) = (site.ready("pod-a").await, site.ready("pod-b").await);
    let mut keep = crate::support::managed("keep", "keep");
    keep.spec.deletion_policy = cocoasyncer::api::vocab::DeletionPolicy::Retain;
    site.services().create(&Default::default(), &keep).await.unwrap();
    site.is_ready("keep").await;
    site.services().delete("keep", &Default::default()).await.unwrap();
    until("the object is gone", || async {
        site.services().get_opt("keep").await.unwrap().is_none().then_some(())
    })
    .await;
    site.serve("next", PlatformProvider::Local).await;
    until("the next service is served", || async {
        (!standby.answers("next.example.com").await.is_empty()).then_some(())
    })
    .await;
    assert_eq!(standby.answers("keep.example.com").await, ["203.0.113.1"]);
}
