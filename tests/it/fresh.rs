//! Generated files are what the code prints: else run `make generate`. And documents name what the code names.

use std::fs;
use std::path::Path;

use cocoasyncer::api::crds;

#[test]
fn the_crds_on_disk_are_the_ones_in_the_code() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for crd in crds::all() {
        let path = dir.join(crds::file_name(&crd));
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == crds::yaml(&crd).unwrap(), "{} is stale: run `make generate`", path.display());
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), crds::all().len(), "a file in crds/ that nothing prints");
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// Words between quotes in a source that begin with `start`.
fn quoted<'a>(source: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    source.split('"').skip(1).step_by(2).filter(move |word| word.starts_with(start))
}

#[test]
fn every_reason_is_in_the_documents() {
    let source = read("src/api/condition.rs");
    let reasons = source.split_once("pub mod reasons {").unwrap().1.split_once("\n}").unwrap().0;
    let of_nodes = ["Alive", "Lost", "Returning", "NotSeen", "Drained", "Learned", "NotLearned"];
    let docs = ["docs/apps.md", "docs/ownership.md", "docs/providers/ali.md", "docs/providers/rfc2136.md"];
    let docs = docs.map(read).concat();
    let missing: Vec<&str> = quoted(reasons, "")
        .filter(|reason| !of_nodes.contains(reason) && !docs.contains(&format!("`{reason}`")))
        .collect();
    assert!(missing.is_empty(), "in no table of docs/: {missing:?}");
}

#[test]
fn every_metric_is_in_the_documents() {
    let docs = read("docs/metrics.md");
    let folder = ["catalog", "cluster", "http", "provider", "reconcile"]
        .map(|name| format!("src/telemetry/metrics/{name}.rs"));
    let mut named = 0;
    for file in folder.iter().map(String::as_str).chain(["src/telemetry/dns.rs"]) {
        let source = read(file);
        let code = source.split("#[cfg(test)]").next().unwrap();
        for metric in quoted(code, "cocoasyncer_") {
            assert!(docs.contains(&format!("`{metric}`")), "{metric} is not in docs/metrics.md");
            named += 1;
        }
    }
    let told = docs.lines().filter(|line| line.starts_with("| `cocoasyncer_")).count();
    assert_eq!(told, named, "docs/metrics.md tells of a metric that there is not, or of one twice");
}
