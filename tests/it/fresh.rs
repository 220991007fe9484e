//! Generated files are what the code prints: else run `make generate`. And documents name what the code names.

use std::fs;
use std::path::Path;
use std::process::Command;

use cocoasyncer::api::crds;
use cocoasyncer::cli::rbac;
use cocoasyncer::domain::app::compose::keys::{self, Backends, Use};
use cocoasyncer::domain::app::finding::{Code, Right};
use cocoasyncer::domain::app::phase::Phase;

#[test]
fn the_crds_on_disk_are_the_ones_in_the_code() {
    // Beside the definitions stands what makes a kustomization of them.
    for (dir, others) in [("crds", 1), ("charts/cocoasyncer/files/crds", 0)] {
        for crd in crds::all() {
            is_fresh(&format!("{dir}/{}", crds::file_name(&crd)), &crds::yaml(&crd).unwrap());
        }
        let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)).unwrap();
        assert_eq!(files.count(), crds::all().len() + others, "a file in {dir} that nothing prints");
    }
}

fn is_fresh(file: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let there = fs::read_to_string(path).unwrap_or_default();
    assert!(there == now, "{file} is stale: run `make generate`");
}

/// What a script of the project prints.
fn printed(script: &str, arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script);
    let output = Command::new(path).args(arguments).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_charts_files_are_what_the_code_and_its_values_print() {
    is_fresh("charts/cocoasyncer/files/rbac.yaml", &rbac::yaml().unwrap());
    is_fresh("charts/cocoasyncer/README.md", &printed("chart-readme.sh", &[]));
    is_fresh("docs/operations/values.md", &printed("chart-readme.sh", &["--page"]));
    // That a value has its words is the README's own business.
    assert!(!read("charts/cocoasyncer/README.md").contains("` | |"), "a value without a description");
    let chart = read("charts/cocoasyncer/Chart.yaml");
    for field in ["version", "appVersion"] {
        let said = format!("\n{field}: {}\n", env!("CARGO_PKG_VERSION"));
        assert!(chart.contains(&said), "Chart.yaml's {field} is not the program's");
    }
}

#[test]
fn the_manifests_are_rendered_from_the_chart_as_it_is() {
    // What Helm makes of it is compared where Helm is, in `helm::manifests`; here, that nothing has changed since.
    let digest = printed("chart-digest.sh", &[]);
    let head = read("manifests/base/operator.yaml").lines().next().unwrap_or_default().to_owned();
    assert!(head.contains(digest.trim()), "manifests/base/operator.yaml is stale: run `make generate`");
    is_fresh("manifests/install.yaml", &printed("install-manifest.sh", &[]));
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
    let folder = [
        "admission",
        "app",
        "calls",
        "catalog",
        "cluster",
        "http",
        "lease",
        "process",
        "provider",
        "reconcile",
    ]
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

/// The first cell of each row in the part of `docs` under `heading`, with what follows it; a row's cells are trimmed.
fn rows(docs: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, part) = docs.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let level = heading.split(' ').next().unwrap();
    let ends = |line: &&str| line.starts_with("## ") || line.starts_with(&format!("{level} "));
    let lines: Vec<&str> = part.lines().take_while(|line| !ends(line)).collect();
    let cells = |line: &&str| {
        let inner = line.strip_prefix("| `")?;
        Some(inner.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>())
    };
    lines.iter().filter_map(cells).collect()
}

#[test]
fn every_key_of_compose_is_in_the_documents_with_what_becomes_of_it() {
    let docs = read("docs/templates.md");
    let sections = [
        ("### Of the document", keys::DOCUMENT),
        ("### Of a service", keys::SERVICE),
        ("### Of `deploy`", keys::DEPLOY),
        ("### Of a network", keys::NETWORK),
        ("### Of a volume", keys::VOLUME),
    ];
    for (heading, table) in sections {
        let told: Vec<[String; 3]> =
            rows(&docs, heading).iter().map(|row| [row[0].clone(), row[1].clone(), row[2].clone()]).collect();
        let is = |(key, using): &(&str, Use)| {
            let (docker, cluster) = match using {
                Use::Full => ("yes", "yes"),
                Use::Dropped(Backends::Both) => ("left out", "left out"),
                Use::Dropped(Backends::Cluster) => ("yes", "left out"),
                Use::Lost(Backends::Both) => ("no", "no"),
                Use::Lost(Backends::Cluster) => ("yes", "no"),
                Use::Elsewhere => ("refused", "refused"),
            };
            [*key, docker, cluster].map(str::to_owned)
        };
        assert_eq!(told, table.iter().map(is).collect::<Vec<_>>(), "{heading}");
    }
    assert!(keys::HEALTH.iter().all(|key| docs.contains(&format!("`{key}`"))));
}

#[test]
fn every_finding_and_every_right_is_in_the_documents() {
    let docs = read("docs/templates.md");
    let told: Vec<String> = rows(&docs, "## Findings").iter().map(|row| row[0].clone()).collect();
    assert_eq!(told, Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>());
    for docs in [docs, read("docs/apps.md")] {
        let missing: Vec<&str> = Right::ALL
            .iter()
            .map(|right| right.as_str())
            .filter(|right| !docs.contains(&format!("`{right}`")))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}

#[test]
fn every_phase_of_an_application_is_in_the_documents() {
    let docs = read("docs/apps.md");
    let told = rows(&docs, "## Statuses");
    for phase in Phase::ALL {
        let is = |row: &Vec<String>| row[0] == phase.word() && row[1] == phase.code();
        assert!(told.iter().any(is), "{} {}", phase.word(), phase.code());
    }
}
