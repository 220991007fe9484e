//! Bad input and bad days at the provider: each gives a condition with the provider's own code and request id, in words
//! that say what to do, without a secret and without a storm of retries.

use cocoasyncer::api::vocab::Line;

use super::{ali, at_ali, give_account, operator, rows, settles};
use crate::support::ali::faults::{Fault, Mishap, Trouble};
use crate::support::ali::world::Standing;
use crate::support::ali::zones::{Edition, Record};
use crate::support::{World, cocoa_node};

async fn site(world: &World) {
    world.create_node(&cocoa_node("n1", &[Line::Default, Line::CT], "203.0.113.1")).await;
}

#[track_caller]
fn tells(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert!(!message.contains("key-secret") && !message.contains("key-id"), "{message}");
}

#[tokio::test]
async fn a_wrong_key_is_said_and_a_new_one_taken_without_a_restart() {
    let fake = ali().await;
    let world = World::new().await;
    give_account(&world, &fake, "not the secret").await;
    site(&world).await;
    world.create(&at_ali("www")).await;
    let message = world.condition("www", "Ready", "CredentialsRefused").await;
    tells(&message, &["SignatureDoesNotMatch"]);
    assert!(!message.contains("not the secret"));
    let calls = fake.calls().len();
    world.annotate("www", "example.com/unrelated", "1").await;
    world.condition("www", "Ready", "CredentialsRefused").await;
    assert_eq!(fake.calls().len(), calls, "nothing is asked again for an edit that mends nothing");
    give_account(&world, &fake, "key-secret").await;
    settles(&fake, &rows("www", &[("default", "203.0.113.1"), ("telecom", "203.0.113.1")])).await;
    world.condition("www", "Ready", "AsWished").await;
}

#[tokio::test]
async fn a_key_that_loses_its_rights_or_its_account_stops_at_once() {
    let fake = ali().await;
    let world = operator(&fake, "n1").await;
    site(&world).await;
    fake.deny("key-id", "AddDomainRecord");
    world.create(&at_ali("www")).await;
    tells(&world.condition("www", "Ready", "NotPermitted").await, &["AddDomainRecord"]);
    assert_eq!(fake.count("AddDomainRecord"), 1, "the second record would hear the same");
    fake.allow_all("key-id");
    fake.set_standing("key-id", Standing::Disabled);
    give_account(&world, &fake, "key-secret ").await;
    world.condition("www", "Ready", "CredentialsRefused").await;
}

#[tokio::test]
async fn a_zone_that_is_not_there_is_said_at_once() {
    let fake = ali().await;
    let world = operator(&fake, "n1").await;
    site(&world).await;
    let mut service = at_ali("www");
    service.spec.domain = "example.org".into();
    world.create(&service).await;
    let message = world.condition("www", "Ready", "ZoneUnknown").await;
    tells(&message, &["spec.domain", "example.org", "default/platform-ali"]);
    world.delete("www").await;
    let mut orphan = at_ali("orphan");
    orphan.spec.account_ref = serde_json::from_value(serde_json::json!({ "name": "nobody" })).unwrap();
    world.create(&orphan).await;
    tells(
        &world.condition("orphan", "Ready", "AccountUnknown").await,
        &["spec.accountRef", "default/nobody"],
    );
}

#[tokio::test]
async fn one_bad_record_rests_while_all_others_go_through() {
    let fake = ali().await;
    fake.set_lines("example.com", &["default", "unicom"]);
    let world = operator(&fake, "n1").await;
    site(&world).await;
    for name in ["a", "b", "c"] {
        world.create(&at_ali(name)).await;
    }
    for name in ["a", "b", "c"] {
        tells(&world.condition(name, "Ready", "LineNotAllowed").await, &["[CT]", "request"]);
    }
    let right: Vec<String> =
        ["a", "b", "c"].iter().flat_map(|name| rows(name, &[("default", "203.0.113.1")])).collect();
    settles(&fake, &right).await;
    let refused =
        fake.calls().iter().filter(|call| call.action == "AddDomainRecord" && !call.is_done()).count();
    assert_eq!(refused, 3, "each was tried once, and rests");
}

#[tokio::test]
async fn an_editions_ttl_is_kept_to_and_said() {
    let fake = ali().await;
    fake.add_zone("acme", "example.net", Edition::Free);
    let world = operator(&fake, "n1").await;
    site(&world).await;
    let mut service = at_ali("www");
    service.spec.domain = "example.net".into();
    world.create(&service).await;
    let message = world.condition("www", "Ready", "AsWished").await;
    tells(&message, &["600 s"]);
    assert!(fake.records("example.net").iter().all(|record| record.ttl == 600));
}

#[tokio::test]
async fn an_alias_beside_is_refused_by_the_provider_and_stays() {
    let fake = ali().await;
    fake.plant("example.com", Record::new("www", "CNAME", "default", "elsewhere.example.net"));
    let world = operator(&fake, "n1").await;
    site(&world).await;
    world.create(&at_ali("www")).await;
    tells(&world.condition("www", "Ready", "RecordConflict").await, &["DomainRecordConflict"]);
    let alias = |row: &String| row.contains("CNAME") && row.contains("elsewhere");
    assert!(fake.texts("example.com").iter().any(alias));
}

#[tokio::test]
async fn a_paused_and_a_locked_record_are_told_and_left() {
    let fake = ali().await;
    let world = operator(&fake, "n1").await;
    site(&world).await;
    world.create(&at_ali("www")).await;
    world.condition("www", "Ready", "AsWished").await;
    let of = |line: &str| fake.records("example.com").iter().find(|record| record.line == line).unwrap().id;
    let (first, second) = (of("default"), of("telecom"));
    fake.alter("example.com", first, |record| record.enabled = false);
    fake.alter("example.com", second, |record| record.locked = true);
    fake.forget_calls();
    world.readdress("n1", "203.0.113.7");
    world.condition("www", "Ready", "RecordLocked").await;
    let records = fake.records("example.com");
    let still = |id| records.iter().find(|record| record.id == id).unwrap();
    assert!(!still(first).enabled && still(second).value == "203.0.113.1");
    fake.alter("example.com", second, |record| record.locked = false);
    world.annotate("www", cocoasyncer::api::ADOPT_ANNOTATION, "true").await;
    world.condition("www", "Ready", "RecordPaused").await;
    fake.alter("example.com", first, |record| record.enabled = true);
    world.annotate("www", cocoasyncer::api::ADOPT_ANNOTATION, "false").await;
    settles(&fake, &rows("www", &[("default", "203.0.113.7"), ("telecom", "203.0.113.7")])).await;
}

#[tokio::test]
async fn a_provider_that_talks_nonsense_is_left_alone_until_it_talks_sense() {
    for mishap in [Mishap::Html, Mishap::Empty, Mishap::Garbage, Mishap::Truncated, Mishap::Close] {
        let fake = ali().await;
        let world = operator(&fake, "n1").await;
        site(&world).await;
        world.create(&at_ali("www")).await;
        world.condition("www", "Ready", "AsWished").await;
        fake.trouble(Trouble::anywhere(Fault::Instead(mishap)));
        world.annotate("www", cocoasyncer::api::ADOPT_ANNOTATION, "true").await;
        let reason = if mishap == Mishap::Close { "ProviderUnreachable" } else { "ProviderFailed" };
        tells(&world.condition("www", "Ready", reason).await, &["example.com"]);
        let status = world.services().get("www").await.unwrap().status.unwrap();
        assert_eq!(status.records.len(), 2, "unread is not empty");
        fake.end_troubles();
        world.condition("www", "Ready", "AsWished").await;
        assert_eq!(fake.texts("example.com").len(), 2);
    }
}

#[tokio::test]
async fn a_throttled_account_waits_and_goes_on() {
    let fake = ali().await;
    let world = operator(&fake, "n1").await;
    site(&world).await;
    fake.trouble(Trouble::at("AddDomainRecord", Fault::Refuse("Throttling.User")).times(2));
    world.create(&at_ali("www")).await;
    world.condition("www", "Ready", "AsWished").await;
    assert_eq!(fake.count("AddDomainRecord"), 4);
}
