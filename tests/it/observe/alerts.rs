//! The alerts: valid, each tested to fire, to stay quiet and to end, and each in the runbook.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::prometheus::tools;

/// The rules, from the root of the repository.
const RULES: &str = "charts/cocoasyncer/files/rules.yaml";

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn after<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.trim().strip_prefix(start))
}

fn alerts() -> BTreeSet<String> {
    let rules = read(RULES);
    let names: Vec<&str> = after(&rules, "- alert: ").collect();
    let all: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(all.len(), names.len(), "an alert stands twice");
    all
}

/// The files of the alerts' tests, from the root of the repository.
fn tests() -> Vec<String> {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/observe")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".yaml")).map(|name| format!("tests/observe/{name}")).collect()
}

#[tokio::test]
async fn promtool_takes_the_rules_and_their_tests_pass() {
    let Some(tools) = tools() else { return };
    tools.promtool(&["check", "rules", RULES], "").await.done();
    let files = tests();
    let words: Vec<&str> = ["test", "rules"].into_iter().chain(files.iter().map(String::as_str)).collect();
    tools.promtool(&words, "").await.done();
}

#[test]
fn each_alert_is_tested_to_fire_to_stay_quiet_before_and_to_end() {
    let texts: String = tests().iter().map(|file| read(file)).collect();
    for alert in alerts() {
        let mut told = String::new();
        for check in texts.split("alertname: ").skip(1).filter(|check| check.lines().next() == Some(&alert)) {
            told.push(if check.lines().nth(1).is_some_and(|line| line.ends_with("[]")) { '-' } else { '!' });
        }
        assert!(told.contains("-!") && told.contains("!-"), "{alert}: {told:?}");
    }
}

#[test]
fn each_alert_says_how_grave_it_is_what_it_is_and_where_it_is_described() {
    let rules = read(RULES);
    for block in rules.split("- alert: ").skip(1) {
        let alert = block.lines().next().unwrap();
        for part in ["expr: ", "labels: { severity: ", "summary: ", "description: "] {
            assert!(block.contains(part), "{alert}: no {part}");
        }
        let page = format!("runbook_url: docs/runbook.md#{}\n", alert.to_lowercase());
        assert!(block.contains(&page), "{alert}: no {page}");
    }
}

#[test]
fn each_alert_has_its_entry_in_the_runbook_and_each_entry_its_alert() {
    let book = read("docs/runbook.md");
    let entries: BTreeSet<String> = after(&book, "## ").map(str::to_owned).collect();
    assert_eq!(entries, alerts());
    for entry in book.split("\n## ").skip(1) {
        let name = entry.lines().next().unwrap();
        for part in ["**Means:**", "**Users notice:**", "**Look:**", "**Do:**"] {
            assert_eq!(entry.matches(part).count(), 1, "{name}: {part}");
        }
    }
}
