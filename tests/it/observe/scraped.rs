//! A real Prometheus that scrapes a real operator at work: every metric is well formed and documented, every query of the
//! dashboard gives data, every rule can be evaluated.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use cocoasyncer::api::PROVIDER_LABEL;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::ali::FakeAli;
use crate::support::ali::faults::{Fault, Trouble};
use crate::support::ali::zones::Edition;
use crate::support::apps::Host;
use crate::support::engine::{Lab, lab};
use crate::support::objects::{node, node_secret, service};
use crate::support::process::{LINES, wait};
use crate::support::prometheus::{Prometheus, Tools, tools};

/// How long it may take until every query has had data.
const PATIENCE: Duration = Duration::from_secs(240);
/// The old program's, which dashboards of others read: not named as ours are.
const LEGACY: &str = "cocoaSyncerStatus";
/// Only in a cluster, and only where the webhook is on.
const ELSEWHERE: [&str; 2] = ["cocoasyncer_api_server_calls_total", "cocoasyncer_admission_requests_total"];

/// A site with a zone of its own, one at Ali, a lost peer and an application.
struct World {
    host: Host,
    app: String,
    _ali: FakeAli,
}

impl World {
    async fn start(lab: Lab) -> Self {
        let ali = FakeAli::start().await;
        ali.add_key("main", "canary-id", "canary-secret");
        ali.add_zone("main", "example.net", Edition::EnterpriseUltimate);
        ali.trouble(Trouble::anywhere(Fault::Refuse("Throttling.User")).times(1));
        let app = lab.name();
        let host = Host::start(lab, &[], &["--lines", "default,CT", "--line-table", LINES]).await;
        let metadata = json!({"name": "ali", "namespace": "default", "labels": {PROVIDER_LABEL: "Ali"}});
        let data =
            json!({"accessKey": "canary-id", "accessSecret": "canary-secret", "endpoint": ali.endpoint()});
        let mut shared = service("canary-net");
        shared["spec"]["domain"] = json!("example.net");
        shared["spec"]["platformProvider"] = json!("Ali");
        // Nobody answers there.
        let lost = node("lost", &["CU"], "http://127.0.0.1:1", Some("203.0.113.9"));
        for object in [
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}),
            node_secret("lost", "canary-code"),
            lost,
            service("canary-www"),
            shared,
        ] {
            host.site.apply(object).await.unwrap();
        }
        host.install("pair", "1", &app).await;
        host.becomes(&app, "running").await;
        for service in ["canary-www", "canary-net"] {
            host.site.becomes(service, "Ready", "AsWished").await;
        }
        Self { host, app, _ali: ali }
    }

    /// Something of everything that happens in an operator's day.
    async fn a_day(&self, ttl: u32) {
        for name in ["canary-www", "canary-net"] {
            let patch = Patch::Merge(json!({"spec": {"ttl": ttl}}));
            self.host.site.services().await.patch(name, &PatchParams::default(), &patch).await.unwrap();
        }
        let asking = async {
            for subnet in ["192.0.2.0/26", "192.0.2.64/26", "203.0.113.0/24"] {
                self.host.site.ask("canary-www.example.com", "A", Some(subnet)).await;
            }
            self.host.site.get(self.host.site.at.api, "/v1/status").await;
        };
        let resting = async {
            self.host.operate("AppStop", &self.app).await;
            self.host.becomes(&self.app, "stopped").await;
            self.host.operate("AppStart", &self.app).await;
            self.host.becomes(&self.app, "running").await;
        };
        tokio::join!(asking, resting);
    }
}

#[tokio::test]
async fn a_real_prometheus_takes_every_metric_query_and_rule_of_a_real_operator() {
    let (Some(tools), Some(lab)) = (tools(), lab(&[]).await) else { return };
    let world = World::start(lab).await;
    let site = &world.host.site;
    wait("the lost peer's line is taken over", || async {
        let text = site.get(site.at.ops, "/metrics").await?.1;
        text.contains("cocoasyncer_line_taken_over_timestamp_seconds{").then_some(())
    })
    .await;
    let prometheus = tools.scrape(site.at.ops).await;
    every_query_gives_data(&world, &prometheus).await;
    every_rule_is_evaluated(&prometheus).await;
    let (_, text) = site.get(site.at.ops, "/metrics").await.unwrap();
    promtool_has_no_complaint(&tools, &text).await;
    documented(&text);
    nothing_private(&world, &text).await;
}

fn dashboard() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/cocoasyncer/files/dashboard.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The dashboard's queries as Grafana would send them, by panel.
fn queries() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for panel in dashboard()["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().unwrap();
            let expr = expr.replace("$__rate_interval", "1m").replace("$job", ".*");
            let title = format!("{} {}", panel["title"], target["refId"]);
            assert!(!expr.contains('$'), "{title}: an unknown variable in {expr}");
            assert!(all.insert(title, expr).is_none(), "two panels of one name");
        }
    }
    all
}

async fn every_query_gives_data(world: &World, prometheus: &Prometheus) {
    let mut left = queries();
    assert!(30 < left.len(), "{}", left.len());
    let deadline = Instant::now() + PATIENCE;
    for ttl in [61, 62].into_iter().cycle() {
        world.a_day(ttl).await;
        for (title, expr) in left.clone() {
            let values = prometheus.query(&expr).await.unwrap_or_else(|error| panic!("{title}: {error}"));
            if values.iter().any(|value| value.is_finite()) {
                left.remove(&title);
            }
        }
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "no data for {left:#?}");
    }
    assert_eq!(prometheus.label_values("job", "cocoasyncer_build_info").await, [json!("cocoasyncer")]);
}

async fn every_rule_is_evaluated(prometheus: &Prometheus) {
    let rules = wait("every rule was evaluated", || async {
        let rules = prometheus.rules().await;
        (!rules.is_empty() && rules.iter().all(|rule| rule["health"] != "unknown")).then_some(rules)
    })
    .await;
    for rule in &rules {
        assert!(rule["health"] == "ok", "{rule:#}");
    }
    let state = |name: &str| rules.iter().find(|rule| rule["name"] == name).unwrap()["state"].clone();
    assert_ne!(state("CocoaSyncerNodeLost"), "inactive", "a peer is lost");
    for quiet in
        ["CocoaSyncerDown", "CocoaSyncerActiveMissing", "CocoaSyncerLineUnserved", "CocoaSyncerAppInError"]
    {
        assert_eq!(state(quiet), "inactive", "{quiet}");
    }
}

async fn promtool_has_no_complaint(tools: &Tools, text: &str) {
    let about =
        |line: &str| line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").starts_with(LEGACY);
    let ours: String = text.lines().filter(|line| !about(line)).map(|line| format!("{line}\n")).collect();
    let ran = tools.promtool(&["check", "metrics"], &ours).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let ran = tools.promtool(&["check", "metrics"], text).await;
    assert!(ran.err.lines().all(|line| line.starts_with(LEGACY)), "{}", ran.err);
}

/// Metrics that `docs/metrics.md` names, with their labels.
fn told() -> BTreeMap<String, BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let docs = fs::read_to_string(path).unwrap();
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `cocoasyncer_"));
    let row = |row: &str| {
        let (name, rest) = row.split_once('`').unwrap();
        let labels = rest.split('|').nth(1).unwrap().split('`').skip(1).step_by(2).map(str::to_owned);
        (format!("cocoasyncer_{name}"), labels.collect())
    };
    rows.map(row).collect()
}

/// Metrics in a text, with the labels of their samples.
fn shown(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE cocoasyncer_")?.split_once(' '));
    let mut all = BTreeMap::new();
    for (name, kind) in types {
        let name = format!("cocoasyncer_{name}");
        let sample = if kind == "histogram" { format!("{name}_count") } else { name.clone() };
        let labels = text.lines().filter_map(|line| line.strip_prefix(&sample)?.strip_prefix('{'));
        let labels =
            labels.flat_map(|labels| labels.split("\",")).filter_map(|label| label.split_once("=\""));
        all.insert(name, labels.map(|(label, _)| label.to_owned()).collect());
    }
    all
}

fn documented(text: &str) {
    let mut told = told();
    told.retain(|name, _| !ELSEWHERE.contains(&name.as_str()));
    assert_eq!(shown(text), told, "what is shown, and what docs/metrics.md tells of");
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP cocoasyncer_")) {
        let (name, help) = line.split_once(' ').unwrap();
        assert!(!name.ends_with("_seconds") || help.contains("in seconds"), "{name}: {help}");
    }
}

/// No label names what grows without bound, and nothing of a user's.
async fn nothing_private(world: &World, text: &str) {
    let secret = world.host.site.secret().await;
    for word in ["canary", "203.0.113", &world.app, &secret] {
        assert!(!text.contains(word), "{word}");
    }
}
