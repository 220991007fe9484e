//! Lines that several sites share by weight: what is written, and what a loss and a return change.

use cocoasyncer::api::ADOPT_ANNOTATION;
use cocoasyncer::api::vocab::Line;
use kube::api::{Patch, PatchParams};

use super::{MARK, ali, at_ali, operator, rows, settles};
use crate::support::ali::FakeAli;
use crate::support::{World, cocoa_node, until};

const BOTH: [(&str, &str); 3] =
    [("default", "203.0.113.1"), ("default", "203.0.113.2"), ("telecom", "203.0.113.1")];

/// Values of the default line with their weights, and which sets have weights on.
fn weights(fake: &FakeAli) -> (Vec<(String, u32)>, usize) {
    let records = fake.records("example.com").into_iter().filter(|record| record.line == "default");
    let mut weights: Vec<(String, u32)> = records.map(|record| (record.value, record.weight)).collect();
    weights.sort();
    (weights, fake.weighted("example.com"))
}

/// Waits until the default line's values have these weights.
async fn weigh(fake: &FakeAli, expect: &[(&str, u32)]) {
    let expect: Vec<(String, u32)> =
        expect.iter().map(|(value, weight)| ((*value).to_owned(), *weight)).collect();
    until(&format!("the weights are {expect:?}"), || async { (weights(fake).0 == expect).then_some(()) })
        .await;
}

async fn give_weights(world: &World, weights: serde_json::Value) {
    let patch = Patch::Merge(serde_json::json!({ "spec": { "weights": weights } }));
    world.services().patch("www", &PatchParams::default(), &patch).await.unwrap();
}

/// One operator, n1, that sees two owners of the default line, and has CT for itself.
async fn shared(fake: &FakeAli) -> World {
    let world = operator(fake, "n1").await;
    world.create_node(&cocoa_node("n1", &[Line::Default, Line::CT], "203.0.113.1")).await;
    world.create_node(&cocoa_node("n2", &[Line::Default], "203.0.113.2")).await;
    let mut service = at_ali("www");
    service.spec.weights = [("n1".to_owned(), 3), ("n2".to_owned(), 1)].into();
    world.create(&service).await;
    settles(fake, &rows("www", &BOTH)).await;
    weigh(fake, &[("203.0.113.1", 3), ("203.0.113.2", 1)]).await;
    world
}

#[tokio::test]
async fn owners_share_their_line_by_weight_and_a_lost_one_drops_out_until_it_is_back() {
    let fake = ali().await;
    let world = shared(&fake).await;
    let whole = [("203.0.113.1", 3), ("203.0.113.2", 1)];
    weigh(&fake, &whole).await;
    settles(&fake, &rows("www", &BOTH)).await;
    world.condition("www", "Ready", "AsWished").await;
    assert_eq!(weights(&fake).1, 1, "weights are on for the shared set alone");
    assert_eq!((fake.count("AddDomainRecord"), fake.count("SetDNSSLBStatus")), (3, 1));
    assert_eq!(fake.count("UpdateDNSSLBWeight"), 1, "the vendor gives new records the weight 1");

    fake.forget_calls();
    world.annotate("www", ADOPT_ANNOTATION, "true").await;
    fake.until("it has looked", |fake| 0 < fake.count("DescribeDomainRecords")).await;
    world.pass(1000);
    world.condition("www", "Ready", "AsWished").await;
    assert_eq!(fake.writes(), 0, "a look costs no write");

    fake.forget_calls();
    world.lose("n2");
    settles(&fake, &rows("www", &[BOTH[0], BOTH[2]])).await;
    assert_eq!((fake.writes(), fake.count("DeleteDomainRecord")), (1, 1));
    world.beat("n2", 12);
    settles(&fake, &rows("www", &BOTH)).await;
    weigh(&fake, &whole).await;
    assert_eq!(weights(&fake).1, 1);
    world.condition("www", "Ready", "AsWished").await;
    until("the status tells who shares", || async {
        let status = world.services().get("www").await.unwrap().status.unwrap();
        let record = status.records.into_iter().next().unwrap();
        let sharers = [("n1".to_owned(), 3), ("n2".to_owned(), 1)].into();
        (record.values == ["203.0.113.1", "203.0.113.2"] && record.weights == sharers).then_some(())
    })
    .await;
}

#[tokio::test]
async fn other_weights_cost_a_call_each_and_those_given_by_hand_are_put_right() {
    let fake = ali().await;
    let world = shared(&fake).await;
    weigh(&fake, &[("203.0.113.1", 3), ("203.0.113.2", 1)]).await;
    world.condition("www", "Ready", "AsWished").await;
    fake.forget_calls();
    give_weights(&world, serde_json::json!({ "n2": 7 })).await;
    weigh(&fake, &[("203.0.113.1", 3), ("203.0.113.2", 7)]).await;
    world.condition("www", "Ready", "AsWished").await;
    assert_eq!((fake.writes(), fake.count("UpdateDNSSLBWeight")), (1, 1));
    let id = fake.records("example.com").iter().find(|record| record.value == "203.0.113.1").unwrap().id;
    fake.alter("example.com", id, |record| record.weight = 90);
    world.annotate("www", ADOPT_ANNOTATION, "true").await;
    weigh(&fake, &[("203.0.113.1", 3), ("203.0.113.2", 7)]).await;
    // Without weights the line is one node's again.
    give_weights(&world, serde_json::json!({ "n1": null, "n2": null })).await;
    settles(&fake, &rows("www", &[BOTH[0], BOTH[2]])).await;
    assert!(fake.texts("example.com")[0].contains(MARK));
}

#[tokio::test]
async fn a_weight_of_a_node_that_does_not_serve_is_refused_and_nothing_is_touched() {
    let fake = ali().await;
    let world = shared(&fake).await;
    weigh(&fake, &[("203.0.113.1", 3), ("203.0.113.2", 1)]).await;
    world.condition("www", "Ready", "AsWished").await;
    give_weights(&world, serde_json::json!({ "n9": 1 })).await;
    let message = world.condition("www", "Valid", "Invalid").await;
    assert!(message.contains("spec.weights") && message.contains("n9"), "{message}");
    settles(&fake, &rows("www", &BOTH)).await;
    let patch = |weight: i32| Patch::Merge(serde_json::json!({ "spec": { "weights": { "n1": weight } } }));
    for weight in [0, 101] {
        let refused =
            world.services().patch("www", &PatchParams::default(), &patch(weight)).await.unwrap_err();
        assert!(refused.to_string().contains("spec.weights.n1"), "{refused}");
    }
}

#[tokio::test]
async fn of_two_operators_the_first_owner_writes_the_share_and_the_other_stands_in_without_a_quarrel() {
    let fake = ali().await;
    let (one, two) = (operator(&fake, "n1").await, operator(&fake, "n2").await);
    let mut service = at_ali("www");
    service.spec.weights = [("n1".to_owned(), 3), ("n2".to_owned(), 1)].into();
    for world in [&one, &two] {
        world.create_node(&cocoa_node("n1", &[Line::Default], "203.0.113.1")).await;
        world.create_node(&cocoa_node("n2", &[Line::Default], "203.0.113.2")).await;
        world.create(&service).await;
    }
    let (whole, alone) = (rows("www", &BOTH[..2]), rows("www", &BOTH[1..2]));
    let shares = [("203.0.113.1", 3), ("203.0.113.2", 1)];
    weigh(&fake, &shares).await;
    one.condition("www", "Ready", "AsWished").await;
    two.annotate("www", ADOPT_ANNOTATION, "true").await;
    two.condition("www", "Ready", "AsWished").await;
    assert_eq!(fake.writes(), 6, "n2 wrote nothing");
    // n2 stands in, and hands back.
    two.lose("n1");
    settles(&fake, &alone).await;
    two.condition("www", "Ready", "AsWished").await;
    two.beat("n1", 12);
    weigh(&fake, &shares).await;
    settles(&fake, &whole).await;
    // n1 lives on behind a partition, and puts its share back as soon as it looks.
    two.lose("n1");
    settles(&fake, &alone).await;
    one.annotate("www", ADOPT_ANNOTATION, "true").await;
    settles(&fake, &whole).await;
    weigh(&fake, &shares).await;
    one.condition("www", "Ready", "AsWished").await;
    fake.forget_calls();
    two.annotate("www", ADOPT_ANNOTATION, "false").await;
    fake.until("n2 has looked", |fake| 0 < fake.count("DescribeDomainRecords")).await;
    two.condition("www", "Ready", "AsWished").await;
    assert_eq!(fake.writes(), 0, "there is no quarrel");
    settles(&fake, &whole).await;
}
