//! Log lines of a real process: each tells of which round of which loop it is, a failure that stays is told once, and the
//! level changes while it runs, for a part alone too.

use cocoasyncer::api::PROVIDER_LABEL;
use serde_json::{Value, json};

use crate::support::ali::FakeAli;
use crate::support::ali::faults::{Fault, Mishap, Trouble};
use crate::support::ali::zones::Edition;
use crate::support::objects::service;
use crate::support::process::{Site, http, wait};

/// A site that runs and logs JSON at this filter.
async fn site(filter: &str) -> Site {
    let mut site = Site::new("a", &["--lines", "default", "--public-address", "203.0.113.1"]);
    site.flags.extend(["--log-format", "json", "--docker", "none"].map(str::to_owned));
    site.log_filter = filter.to_owned();
    site.start().await;
    site
}

fn lines(site: &Site) -> Vec<Value> {
    let log = site.log();
    // The last one may be half written.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

async fn line(site: &Site, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait(what, || std::future::ready(lines(site).into_iter().find(|line| is(line)))).await
}

#[tokio::test]
async fn each_line_of_a_round_tells_its_loop_object_and_cause_and_the_last_one_what_became_of_it() {
    let site = site("info,cocoasyncer=debug").await;
    site.apply(service("www")).await.unwrap();
    site.becomes("www", "Ready", "AsWished").await;
    let changed = line(&site, "the record's change", |line| {
        line["message"].as_str().is_some_and(|text| text.contains("www.example.com"))
            && line["zone"] == "example.com"
    })
    .await;
    let span = &changed["span"];
    assert_eq!((&span["name"], &span["loop"]), (&json!("reconcile"), &json!("zone")), "{changed}");
    assert_eq!(span["object"], "example.com at Local", "{changed}");
    assert!(["start", "news"].contains(&span["cause"].as_str().unwrap()), "{changed}");
    for of in ["zone", "nodes", "accounts"] {
        let ended = line(&site, &format!("the end of a round of {of}"), |line| {
            line["message"] == "reconciled" && line["span"]["loop"] == of
        })
        .await;
        assert_eq!(ended["span"]["outcome"], "ok", "{ended}");
        assert!(ended["span"]["seconds"].as_f64().is_some_and(|took| (0.0..60.0).contains(&took)), "{ended}");
        assert_eq!(ended["level"], "DEBUG", "{ended}");
    }
}

#[tokio::test]
async fn a_failure_that_stays_is_told_once_and_its_end_too() {
    let ali = FakeAli::start().await;
    ali.add_key("main", "canary-id", "canary-secret");
    ali.add_zone("main", "example.net", Edition::EnterpriseUltimate);
    let site = site("info").await;
    let metadata = json!({"name": "ali", "namespace": "default", "labels": {PROVIDER_LABEL: "Ali"}});
    let data = json!({"accessKey": "canary-id", "accessSecret": "canary-secret", "endpoint": ali.endpoint()});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data});
    ali.trouble(Trouble::at("DescribeDomainRecords", Fault::Instead(Mishap::Html)));
    site.apply(secret).await.unwrap();
    let mut shared = service("www");
    shared["spec"]["domain"] = json!("example.net");
    shared["spec"]["platformProvider"] = json!("Ali");
    site.apply(shared).await.unwrap();
    let failed = r#"cocoasyncer_reconciles_total{loop="zone",result="transient"}"#;
    wait("the zone failed three times", || async { site.metric(failed).await.filter(|count| 3.0 <= *count) })
        .await;
    ali.end_troubles();
    line(&site, "the zone's recovery", |line| line["message"] == "zone can be read again").await;
    let told: Vec<Value> = lines(&site).into_iter().filter(|line| line["message"] == "zone failed").collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["span"]["loop"], "zone", "{}", told[0]);
    assert!(!site.log().contains("canary"), "a secret in the log");
}

#[tokio::test]
async fn the_level_changes_while_it_runs_for_one_part_and_for_one_loop() {
    let site = site("warn").await;
    assert_eq!(lines(&site).iter().filter(|line| line["level"] == "DEBUG").count(), 0);
    let set = async |filter: &'static str| {
        let url = format!("http://{}/log-level", site.at.ops);
        let answer = http().put(url).body(filter).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(set("cocoasyncer=loud").await.0, 400);
    assert_eq!(
        set("warn,cocoasyncer::controllers::shared=debug").await,
        (200, "warn,cocoasyncer::controllers::shared=debug\n".into())
    );
    site.apply(service("www")).await.unwrap();
    line(&site, "a line of that part", |line| line["message"] == "status written").await;
    let other = |line: &Value| {
        line["level"] == "DEBUG" && line["target"] != "cocoasyncer::controllers::shared::report"
    };
    assert_eq!(lines(&site).into_iter().find(other), None);
    assert_eq!(set("warn,[reconcile{loop=zone}]=debug").await.0, 200);
    site.apply(service("wiki")).await.unwrap();
    let ended = line(&site, "the end of a zone's round", |line| line["message"] == "reconciled").await;
    assert_eq!(ended["span"]["loop"], "zone", "{ended}");
    site.becomes("wiki", "Ready", "AsWished").await;
    let foreign = |line: &Value| line["message"] == "reconciled" && line["span"]["loop"] != "zone";
    assert_eq!(lines(&site).into_iter().find(foreign), None);
}
