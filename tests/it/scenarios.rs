//! The main job in process: nodes and services come and go, sites die and return, and the records follow.

use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::api::{ADOPT_ANNOTATION, RELEASE_ANNOTATION};
use cocoasyncer::domain::dns_plan::{Found, Owner};
use cocoasyncer::domain::names::DnsName;
use cocoasyncer::domain::records::{RecordKey, RecordSet};

use crate::support::{World, cocoa_node, managed, until};

async fn two_sites() -> World {
    let world = World::new().await;
    world.create_node(&cocoa_node("n1", &[Line::Default, Line::CT], "203.0.113.1")).await;
    world.create_node(&cocoa_node("n2", &[Line::CU], "203.0.113.2")).await;
    world
}

const WWW: [&str; 3] = [
    "www.example.com A [default] 203.0.113.1 (ttl 60)",
    "www.example.com A [CT] 203.0.113.1 (ttl 60)",
    "www.example.com A [CU] 203.0.113.2 (ttl 60)",
];

#[tokio::test]
async fn a_lost_site_hands_its_lines_over_and_gets_them_back() {
    let world = two_sites().await;
    world.create(&managed("www", "www")).await;
    world.settles(&WWW).await;
    world.condition("www", "Ready", "AsWished").await;
    world.lose("n2");
    world.settles(&[WWW[0], WWW[1], "www.example.com A [CU] 203.0.113.1 (ttl 60)"]).await;
    until("the status says who took over", || async {
        let lines = world.services().get("www").await.unwrap().status?.lines;
        (lines == "default,CT=n1 CU=n1+").then_some(())
    })
    .await;
    world.beat("n2", 4);
    assert!(world.records()[2].contains("203.0.113.1"), "four beats do not earn a line back");
    world.beat("n2", 6);
    world.settles(&WWW).await;
}

#[tokio::test]
async fn if_nobody_lives_the_last_records_stay() {
    let world = two_sites().await;
    world.create(&managed("www", "www")).await;
    world.settles(&WWW).await;
    world.lose("n2");
    world.settles(&[WWW[0], WWW[1], "www.example.com A [CU] 203.0.113.1 (ttl 60)"]).await;
    world.lose("n1");
    world.condition("www", "Ready", "NoLivingNode").await;
    world.settles(&[WWW[0], WWW[1], "www.example.com A [CU] 203.0.113.1 (ttl 60)"]).await;
}

#[tokio::test]
async fn a_restart_moves_nothing_and_writes_nothing() {
    let mut world = two_sites().await;
    world.create(&managed("www", "www")).await;
    world.settles(&WWW).await;
    world.lose("n2");
    world.settles(&[WWW[0], WWW[1], "www.example.com A [CU] 203.0.113.1 (ttl 60)"]).await;
    until("the loss is in the node's status", || async {
        let api = kube::Api::<cocoasyncer::api::node::CocoaNode>::all(world.client.clone());
        (api.get("n2").await.unwrap().status?.status_code == Some(504)).then_some(())
    })
    .await;
    until("the takeover is in the service's status", || async {
        (world.services().get("www").await.unwrap().status?.lines == "default,CT=n1 CU=n1+").then_some(())
    })
    .await;
    let (lists, writes) = world.provider.calls();
    world.kill().await;
    let version = world.services().get("www").await.unwrap().metadata.resource_version;
    world.start().await;
    until("the zone was listed again", || async { (lists < world.provider.calls().0).then_some(()) }).await;
    until("the board knows the nodes", || async { (world.board.vitals().len() == 2).then_some(()) }).await;
    assert_eq!(world.provider.calls().1, writes, "no record was written again");
    assert_eq!(
        world.services().get("www").await.unwrap().metadata.resource_version,
        version,
        "nor the status"
    );
}

#[tokio::test]
async fn deleting_a_service_removes_its_records_and_a_retained_one_leaves_them() {
    let world = two_sites().await;
    world.create(&managed("www", "www")).await;
    let mut keep = managed("keep", "keep");
    keep.spec.deletion_policy = cocoasyncer::api::vocab::DeletionPolicy::Retain;
    world.create(&keep).await;
    world.condition("keep", "Ready", "AsWished").await;
    world.condition("www", "Ready", "AsWished").await;
    world.delete("www").await;
    world.delete("keep").await;
    for name in ["www", "keep"] {
        until("the object is gone", || async {
            world.services().get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
    }
    let kept: Vec<String> = WWW.iter().map(|row| row.replace("www", "keep")).collect();
    assert_eq!(world.records(), kept);
}

#[tokio::test]
async fn a_mass_change_is_held_until_its_release() {
    let world = World::new().await;
    world.create_node(&cocoa_node("n1", &[Line::Default, Line::CT], "203.0.113.1")).await;
    world.create_node(&cocoa_node("n2", &[Line::CU, Line::CMCC], "203.0.113.2")).await;
    for name in ["s0", "s1", "s2"] {
        world.create(&managed(name, name)).await;
    }
    for name in ["s0", "s1", "s2"] {
        world.condition(name, "Ready", "AsWished").await;
    }
    let before = world.records();
    assert_eq!(before.len(), 12);
    world.delete("s0").await;
    let message = world.condition("s0", "RecordsHeld", "MassChange").await;
    let digest = message.split(&format!("{RELEASE_ANNOTATION}=")).nth(1).unwrap()[..12].to_owned();
    assert_eq!(world.records(), before, "4 of 12 is more than 30 %: nothing went");
    world.lose("n2");
    until("a failover goes through all the same, for the held service too", || async {
        world.records().iter().all(|row| !row.contains("203.0.113.2")).then_some(())
    })
    .await;
    world.annotate("s0", RELEASE_ANNOTATION, "000000000000").await;
    world.condition("s0", "RecordsHeld", "MassChange").await;
    assert_eq!(world.records().len(), 12, "another plan's release releases nothing");
    world.annotate("s0", RELEASE_ANNOTATION, &digest).await;
    until("the released service is gone", || async {
        world.services().get_opt("s0").await.unwrap().is_none().then_some(())
    })
    .await;
    assert_eq!(world.records().len(), 8);
}

#[tokio::test]
async fn a_foreign_record_is_said_and_adopted_only_by_annotation() {
    let world = two_sites().await;
    let zone = DnsName::parse("example.com", "").unwrap();
    let key = RecordKey { name: zone.child("www", "").unwrap(), line: Line::CT, family: Family::V4 };
    let set = RecordSet::of(["192.0.2.99".parse().unwrap()].into(), 600);
    world.provider.plant(&zone, key, Found::of(set, Owner::Unmarked));
    world.create(&managed("www", "www")).await;
    world.settles(&[WWW[0], "www.example.com A [CT] 192.0.2.99 (ttl 600) (foreign)", WWW[2]]).await;
    world.condition("www", "Ready", "ForeignRecords").await;
    world.annotate("www", ADOPT_ANNOTATION, "true").await;
    world.settles(&WWW).await;
    world.condition("www", "Ready", "AsWished").await;
}

#[tokio::test]
async fn a_failing_service_holds_up_no_other() {
    let world = two_sites().await;
    let zone = DnsName::parse("example.com", "").unwrap();
    world.provider.fail(&zone.child("bad", "").unwrap());
    world.create(&managed("bad", "bad")).await;
    world.create(&managed("www", "www")).await;
    world.settles(&WWW).await;
    let message = world.condition("bad", "Ready", "ProviderFailed").await;
    assert!(message.contains("told to fail"), "{message}");
    world.condition("www", "Ready", "AsWished").await;
    world.provider.mend();
    world.condition("bad", "Ready", "AsWished").await;
}

#[tokio::test]
async fn a_service_without_a_default_line_says_so_and_changes_nothing() {
    let world = World::new().await;
    world.create_node(&cocoa_node("n2", &[Line::CU], "203.0.113.2")).await;
    world.create(&managed("www", "www")).await;
    let message = world.condition("www", "Valid", "NoDefaultLine").await;
    assert!(message.starts_with("spec.nodes: "), "{message}");
    assert!(world.records().is_empty());
    world.create_node(&cocoa_node("n1", &[Line::Default], "203.0.113.1")).await;
    world.condition("www", "Ready", "AsWished").await;
}

#[tokio::test]
async fn an_address_is_followed_and_a_resync_writes_nothing() {
    let world = two_sites().await;
    world.create(&managed("www", "www")).await;
    world.settles(&WWW).await;
    world.readdress("n2", "203.0.113.77");
    world.settles(&[WWW[0], WWW[1], "www.example.com A [CU] 203.0.113.77 (ttl 60)"]).await;
    world.condition("www", "Ready", "AsWished").await;
    let calls = world.provider.calls();
    world.annotate("www", "example.com/unrelated", "1").await;
    world.annotate("www", "example.com/unrelated", "2").await;
    world.condition("www", "Ready", "AsWished").await;
    assert_eq!(world.provider.calls(), calls, "an edit that changes no record asks the provider nothing");
}

#[tokio::test]
async fn every_edit_is_a_new_generation_and_shows_in_the_view() {
    let world = two_sites().await;
    world.create(&managed("www", "www")).await;
    world.condition("www", "Ready", "AsWished").await;
    let ready = |world: &World| {
        let view = world.view();
        view.services
            .iter()
            .all(|service| matches!(&service.ready, Some((true, _))))
            .then_some(view.generation)
    };
    let mut before = until("the view shows the service ready", || async { ready(&world) }).await;
    let nodes = kube::Api::<cocoasyncer::api::node::CocoaNode>::all(world.client.clone());
    // Back and forth: an edit that was missed would pass for the one before.
    for preference in [60, 50, 60, 50] {
        let patch = serde_json::json!({ "spec": { "preference": preference } });
        let patch = kube::api::Patch::Merge(patch);
        nodes.patch("n2", &kube::api::PatchParams::default(), &patch).await.unwrap();
        before = until("the edit is a new generation", || async {
            let view = world.view();
            let seen =
                view.nodes.iter().any(|node| node.spec.preference == preference && node.object == "n2");
            (seen && before < view.generation).then_some(view.generation)
        })
        .await;
    }
}
