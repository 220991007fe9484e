//! What people, probes and dashboards read: metrics true to the cluster, readiness that names who is missing, pages.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::support::objects::{node, node_secret, service};
use crate::support::process::{LONG, Site, http, wait, wait_within};

/// Reads Prometheus text strictly: HELP and TYPE before samples, names and values as they must be.
fn parsed(text: &str) -> BTreeMap<String, f64> {
    let mut types: BTreeMap<String, String> = BTreeMap::new();
    let mut samples = BTreeMap::new();
    let name_is_good = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    };
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("TYPE has a name and a kind");
            assert!(["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind), "{line}");
            assert!(types.insert(name.into(), kind.into()).is_none(), "{name} is typed twice");
            continue;
        }
        if line.starts_with("# HELP ") || line.is_empty() {
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').expect("a sample has a value");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let name = sample.split('{').next().unwrap();
        assert!(name_is_good(name), "{line}");
        assert!(
            sample.matches('"').count() % 2 == 0 && (!sample.contains('{') || sample.ends_with('}')),
            "{line}"
        );
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
            name.strip_suffix(end).filter(|family| types.get(*family).is_some_and(|kind| kind == "histogram"))
        });
        assert!(types.contains_key(family.unwrap_or(name)), "{line} comes before its TYPE");
        assert!(samples.insert(sample.to_owned(), value).is_none(), "{sample} stands twice");
    }
    assert!(text.ends_with('\n'), "the last line ends");
    samples
}

async fn figures(site: &Site) -> [f64; 5] {
    let (_, text) = site.get(site.at.api, "/metrics").await.unwrap();
    let all = parsed(&text);
    let of = |label: &str| all[&format!("cocoaSyncerStatus{{cocoaSyncerStatus=\"{label}\"}}")];
    [
        of("NodeNumber"),
        of("CocoaSyncerManagedService"),
        of("CocoaSyncerCloudPlatformInfo"),
        of("CocoaSyncerNodeOnlineCount"),
        of("CocoaSyncerNodeOfflineCount"),
    ]
}

async fn figures_become(site: &Site, expect: [f64; 5]) {
    let last = Mutex::new(None);
    let met = wait_within("the figures are as they should be", LONG, || async {
        let now = figures(site).await;
        *last.lock().unwrap() = Some(now);
        (now == expect).then_some(())
    });
    if tokio::time::timeout(LONG / 2, met).await.is_err() {
        panic!("{}: the figures are {:?}, not {expect:?}", site.name, last.into_inner().unwrap());
    }
}

#[tokio::test]
async fn metrics_and_badge_are_true_and_follow_a_death() {
    let a = Site::leader("a", &["--display-name", "<b>Shanghai & \"co\"</b>"]).await;
    let mut b = Site::follower("b", "CU", "203.0.113.2", &[]).await;
    figures_become(&a, [1.0, 0.0, 0.0, 1.0, 0.0]).await;
    a.apply(node_secret("b", &b.secret().await)).await.unwrap();
    a.apply(node("b", &["CU"], &format!("http://{}", b.at.api), None)).await.unwrap();
    a.apply(service("www")).await.unwrap();
    a.cli_with(&["provider", "set", "Ali"], "k\ns\n").await.done();
    figures_become(&a, [2.0, 1.0, 1.0, 2.0, 0.0]).await;
    figures_become(&b, [2.0, 1.0, 1.0, 2.0, 0.0]).await;
    let (_, ops) = a.get(a.at.ops, "/metrics").await.unwrap();
    let ops = parsed(&ops);
    assert_eq!(ops["cocoaSyncerStatus{cocoaSyncerStatus=\"NodeNumber\"}"], 2.0, "both ports tell the same");
    let badge = |site: &Site| {
        let at = site.at.api;
        async move {
            let answer = http().get(format!("http://{at}/v1/badge")).send().await.unwrap();
            let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
            (kind, answer.text().await.unwrap())
        }
    };
    let (kind, svg) = badge(&a).await;
    assert_eq!(kind, "image/svg+xml;charset=utf-8");
    assert!(svg.contains("| 2/2") && !svg.contains("<b>") && svg.contains("&lt;b&gt;"), "{svg}");

    let killed = tokio::time::Instant::now();
    b.kill();
    figures_become(&a, [2.0, 1.0, 1.0, 1.0, 1.0]).await;
    assert!(killed.elapsed().as_secs() < 10, "a death is detected within 10 s");
    assert!(badge(&a).await.1.contains("| 1/2"));
    assert_eq!(a.metric("cocoasyncer_node_up{node=\"b\"}").await, Some(0.0));
    let (_, page) = a.get(a.at.api, "/v1/status").await.unwrap();
    assert!(page.contains("&lt;b&gt;Shanghai") || page.contains("&#60;b&#62;Shanghai"), "{page}");
    assert!(!page.contains("<b>Shanghai"), "what a page prints is text");
    b.start().await;
    figures_become(&a, [2.0, 1.0, 1.0, 2.0, 0.0]).await;
    a.cli(&["service", "rm", "www", "--yes"]).await.done();
    figures_become(&a, [2.0, 0.0, 1.0, 2.0, 0.0]).await;
}

#[tokio::test]
async fn every_page_answers_and_nothing_else_does() {
    let site = Site::leader("a", &[]).await;
    for path in ["/", "/v1", "/v1/", "/v1/status", "/v1/badge", "/v1/swagger/index.html", "/metrics"] {
        let (status, text) = site.get(site.at.api, path).await.unwrap();
        assert!(status == 200 && !text.is_empty(), "{path}: {status}");
    }
    for path in ["/", "/v1", "/v1/"] {
        let answer = http().post(format!("http://{}{path}", site.at.api)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "any method shows that the service lives");
    }
    let (_, page) = site.get(site.at.api, "/v1/swagger/index.html").await.unwrap();
    assert!(
        !page.contains("https://") || !page.contains("<script src=\"http"),
        "the page comes from the binary"
    );
    let (_, document) = site.get(site.at.api, "/v1/swagger/doc.json").await.unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert!(document["paths"]["/v1/getClusterInfo"]["post"].is_object(), "{document}");
    for (at, path) in [(site.at.api, "/healthz"), (site.at.api, "/log-level"), (site.at.ops, "/v1/status")] {
        assert_eq!(site.get(at, path).await.unwrap().0, 404, "{path} is not this port's");
    }
    let (_, answer) = site.post("/v1/badge", "text/plain", "").await;
    assert_eq!(answer["statusCode"], 405);
}

#[tokio::test]
async fn readiness_names_who_is_missing_while_a_start_takes_long() {
    let mut site = Site::new("a", &["--public-address", "203.0.113.1"]);
    // A pipe in place of a manifest's folder would be refused, so the start is made long by much to apply.
    let dir = site.home.path().join("manifests");
    fs::create_dir(&dir).unwrap();
    let many: Vec<String> = (0..600)
        .map(|n| {
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: many-{n}}}\ndata: {{n: '{n}'}}\n")
        })
        .collect();
    fs::write(dir.join("many.yaml"), many.join("---\n")).unwrap();
    site.flags.extend(["--manifests".to_owned(), dir.display().to_string()]);
    site.spawn().await;
    let seen = Mutex::new(Vec::new());
    wait_within("the site is ready", LONG, || async {
        let (status, text) = site.get(site.at.ops, "/readyz").await?;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(status == 200, answer["missing"] == json!([]), "{answer}");
        assert_eq!(site.get(site.at.ops, "/healthz").await?.0, 200, "it lives, ready or not");
        seen.lock().unwrap().push(answer["missing"].to_string());
        (status == 200).then_some(())
    })
    .await;
    let seen = seen.into_inner().unwrap();
    let early = &seen[0];
    assert!(
        early.contains("\"node\"") && early.contains("\"dns\"") && early.contains("\"http\""),
        "{seen:?}"
    );
    let (_, text) = site.get(site.at.ops, "/metrics").await.unwrap();
    parsed(&text);
    assert!(site.stop().await.success(), "the first signal ends it in order");
    assert!(!site.data().join("listening.json").exists(), "nobody listens any more");
}

#[tokio::test]
async fn the_log_filter_changes_at_run_time_and_a_bad_one_changes_nothing() {
    let site = Site::leader("a", &[]).await;
    let url = format!("http://{}/log-level", site.at.ops);
    let put = |kind: &'static str, text: &'static str| {
        let request = http().put(&url).header("content-type", kind).body(text);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    assert_eq!(site.get(site.at.ops, "/log-level").await.unwrap(), (200, "info\n".into()));
    assert!(!site.log().contains("DEBUG"));
    assert_eq!(put("text/plain", "info,cocoasyncer=debug").await.0, 200);
    wait("there are debug lines", || async {
        site.apply(service("www")).await.unwrap();
        let _ = site.cli(&["service", "rm", "www", "--yes"]).await;
        site.log().contains("DEBUG").then_some(())
    })
    .await;
    assert_eq!(put("application/json", "{\"filter\": \"warn\"}").await, (200, "warn\n".into()));
    for (kind, text) in [
        ("text/plain", "cocoasyncer=loud"),
        ("text/plain", " "),
        ("application/json", "{}"),
        ("application/json", "{"),
    ] {
        let (status, said) = put(kind, text).await;
        assert_eq!(status, 400, "{text}: {said}");
    }
    assert_eq!(site.get(site.at.ops, "/log-level").await.unwrap(), (200, "warn\n".into()));
}
