//! Lines at a shared provider: what is written, by whom, in how many calls.

use cocoasyncer::api::ADOPT_ANNOTATION;
use cocoasyncer::api::vocab::Line;
use k8s_openapi::api::events::v1::Event;
use kube::Api;

use super::{MARK, ali, at_ali, give_account, operator, rows, settles};
use crate::support::ali::zones::Record;
use crate::support::{World, cocoa_node, until};

const BOTH: [(&str, &str); 4] = [
    ("default", "203.0.113.1"),
    ("telecom", "203.0.113.1"),
    ("unicom", "203.0.113.2"),
    ("mobile", "203.0.113.2"),
];

#[tokio::test]
async fn all_six_lines_cost_two_calls_a_record_and_a_resync_none() {
    let fake = ali().await;
    let world = operator(&fake, "n1").await;
    world.create_node(&cocoa_node("n1", &Line::ALL, "203.0.113.1")).await;
    world.create(&at_ali("www")).await;
    world.condition("www", "Ready", "AsWished").await;
    let all = ["default", "edu", "mobile", "oversea", "telecom", "unicom"].map(|line| (line, "203.0.113.1"));
    settles(&fake, &rows("www", &all)).await;
    let count = |action| fake.count(action);
    assert_eq!((count("AddDomainRecord"), count("UpdateDomainRecordRemark")), (6, 6));
    assert_eq!((count("DescribeDomainRecords"), count("DescribeDomains")), (1, 1));
    fake.forget_calls();
    world.annotate("www", "example.com/unrelated", "1").await;
    world.condition("www", "Ready", "AsWished").await;
    assert_eq!(fake.calls().len(), 0, "an edit that changes no record asks nothing");
    world.delete("www").await;
    settles(&fake, &[]).await;
    assert_eq!(fake.count("DeleteDomainRecord"), 6);
}

#[tokio::test]
async fn each_operator_writes_its_own_lines_and_those_of_the_lost_default_first() {
    let fake = ali().await;
    let (one, two) = (operator(&fake, "n1").await, operator(&fake, "n2").await);
    for world in [&one, &two] {
        world.create_node(&cocoa_node("n1", &[Line::Default, Line::CT], "203.0.113.1")).await;
        world.create_node(&cocoa_node("n2", &[Line::CU, Line::CMCC], "203.0.113.2")).await;
        world.create(&at_ali("www")).await;
    }
    settles(&fake, &rows("www", &BOTH)).await;
    one.condition("www", "Ready", "AsWished").await;
    two.condition("www", "Ready", "AsWished").await;
    // Of two that write at once the vendor sends one away.
    let done =
        fake.calls().iter().filter(|call| call.is_done() && !call.action.starts_with("Describe")).count();
    assert_eq!(done, 8, "nobody wrote another's lines");
    fake.forget_calls();
    two.lose("n1");
    let moved = ["default", "mobile", "telecom", "unicom"].map(|line| (line, "203.0.113.2"));
    settles(&fake, &rows("www", &moved)).await;
    let calls: Vec<String> =
        fake.calls().iter().map(|call| format!("{} {}", call.action, call.param("Line"))).collect();
    assert_eq!(calls, ["UpdateDomainRecord default", "UpdateDomainRecord telecom"], "no call too many");
    two.beat("n1", 12);
    one.beat("n1", 1);
    settles(&fake, &rows("www", &BOTH)).await;
}

#[tokio::test]
async fn a_node_that_lives_behind_a_partition_keeps_its_line() {
    let fake = ali().await;
    let (one, two) = (operator(&fake, "n1").await, operator(&fake, "n2").await);
    for world in [&one, &two] {
        world.create_node(&cocoa_node("n1", &[Line::Default], "203.0.113.1")).await;
        world.create_node(&cocoa_node("n2", &[Line::CU], "203.0.113.2")).await;
        world.create(&at_ali("www")).await;
    }
    let whole = rows("www", &[("default", "203.0.113.1"), ("unicom", "203.0.113.2")]);
    settles(&fake, &whole).await;
    two.condition("www", "Ready", "AsWished").await;
    // n2 no longer sees n1, which lives and puts its record back as soon as it looks.
    two.lose("n1");
    settles(&fake, &rows("www", &[("default", "203.0.113.2"), ("unicom", "203.0.113.2")])).await;
    one.annotate("www", ADOPT_ANNOTATION, "true").await;
    settles(&fake, &whole).await;
    fake.forget_calls();
    two.annotate("www", ADOPT_ANNOTATION, "true").await;
    fake.until("n2 has looked", |fake| 0 < fake.count("DescribeDomainRecords")).await;
    two.condition("www", "Ready", "AsWished").await;
    assert_eq!(fake.writes(), 0, "there is no quarrel");
    settles(&fake, &whole).await;
}

#[tokio::test]
async fn what_a_hand_changed_is_put_right_and_said() {
    let fake = ali().await;
    let world = operator(&fake, "n1").await;
    world.create_node(&cocoa_node("n1", &[Line::Default, Line::CT], "203.0.113.1")).await;
    world.create(&at_ali("www")).await;
    let right = rows("www", &[("default", "203.0.113.1"), ("telecom", "203.0.113.1")]);
    settles(&fake, &right).await;
    world.condition("www", "Ready", "AsWished").await;
    let id = fake.records("example.com").iter().find(|record| record.line == "telecom").unwrap().id;
    fake.alter("example.com", id, |record| record.value = "198.51.100.9".into());
    world.annotate("www", ADOPT_ANNOTATION, "true").await;
    settles(&fake, &right).await;
    until("an event tells that somebody else changed it", || async {
        let events = Api::<Event>::namespaced(world.client.clone(), "default");
        let events = events.list(&Default::default()).await.unwrap();
        let told = events.iter().filter_map(|event| event.note.clone());
        told.into_iter().find(|note| note.contains("198.51.100.9") && note.contains("somebody else"))
    })
    .await;
}

#[tokio::test]
async fn foreign_records_and_lines_stay_until_they_are_adopted() {
    let fake = ali().await;
    let by_hand = || Record::new("www", "A", "telecom", "192.0.2.1");
    fake.plant("example.com", by_hand());
    fake.plant("example.com", Record::new("www", "A", "cn_telecom_beijing", "192.0.2.2"));
    fake.plant("example.com", Record::new("api", "A", "default", "192.0.2.3"));
    let heritage = "heritage=external-dns,external-dns/owner=prod,external-dns/resource=ingress/default/api";
    fake.plant("example.com", Record::new("a-api", "TXT", "default", heritage));
    let stood = fake.texts("example.com");
    let world = operator(&fake, "n1").await;
    world.create_node(&cocoa_node("n1", &[Line::Default, Line::CT], "203.0.113.1")).await;
    world.create(&at_ali("www")).await;
    world.create(&at_ali("api")).await;
    world.condition("www", "Ready", "ForeignRecords").await;
    world.condition("api", "Ready", "ForeignRecords").await;
    let now = fake.texts("example.com");
    assert!(stood.iter().all(|row| now.contains(row)), "{now:#?}");
    world.annotate("api", ADOPT_ANNOTATION, "true").await;
    world.annotate("www", ADOPT_ANNOTATION, "true").await;
    world.condition("api", "Ready", "AsWished").await;
    world.condition("www", "Ready", "AsWished").await;
    let mut right = rows("www", &[("default", "203.0.113.1"), ("telecom", "203.0.113.1")]);
    right.extend(rows("api", &[("default", "203.0.113.1"), ("telecom", "203.0.113.1")]));
    right.push("www A cn_telecom_beijing 192.0.2.2 600".into());
    right.sort();
    assert_eq!(
        fake.texts("example.com"),
        right,
        "external-dns' mark went with its claim; sub-lines are nobody's"
    );
    assert!(right[0].ends_with(MARK) || right[0].contains(MARK));
}

#[tokio::test]
async fn a_service_is_ready_only_when_its_records_stand() {
    let fake = ali().await;
    let world = World::of("n1").await;
    world.create_node(&cocoa_node("n1", &[Line::Default], "203.0.113.1")).await;
    let names: Vec<String> = (0..60).map(|index| format!("s{index}")).collect();
    for name in &names {
        world.create(&at_ali(name)).await;
    }
    // All are planned at once, and what is written of the first makes the plan give way.
    give_account(&world, &fake, "key-secret").await;
    until("all are ready", || async {
        let services = world.services().list(&Default::default()).await.unwrap();
        let stands = fake.texts("example.com");
        let ready = services.iter().filter(|service| {
            let conditions = service.status.iter().flat_map(|status| &status.conditions);
            conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
        });
        let ready: Vec<String> = ready.filter_map(|service| service.metadata.name.clone()).collect();
        for name in &ready {
            let [row] = &rows(name, &[("default", "203.0.113.1")])[..] else { unreachable!() };
            assert!(stands.contains(row), "{name} says that it is ready, and {row} is not there");
        }
        (ready.len() == names.len()).then_some(())
    })
    .await;
}
