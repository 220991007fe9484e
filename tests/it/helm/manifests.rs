//! What stands beside the chart: files that are rendered from it, the kustomize base, the unit for systemd. And that chart
//! and program know the same settings.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::{Helm, documents, root};
use crate::support::process::PROGRAM;

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

fn plain(meta: &mut Value) {
    for label in ["app.kubernetes.io/managed-by", "helm.sh/chart"] {
        meta["labels"].as_object_mut().unwrap().remove(label);
    }
}

#[tokio::test]
async fn the_rendered_manifest_is_what_the_chart_renders() {
    let mut helm = Helm::new().await;
    let mut now = helm.render(&json!({"crds": {"install": false}})).await.0;
    // A test is Helm's own, and it is not Helm that manages these objects.
    now.retain(|object| object["kind"] != "Job");
    for object in &mut now {
        plain(&mut object["metadata"]);
        if !object["spec"]["template"].is_null() {
            plain(&mut object["spec"]["template"]["metadata"]);
        }
    }
    let stands = text("manifests/base/operator.yaml");
    let stands = documents(stands.split_once("\n---\n").unwrap().1);
    assert!(stands == now, "manifests/base/operator.yaml is stale: run `make generate`");
}

/// Where kubectl is; found, or fetched.
fn kubectl() -> String {
    let found = Command::new(root().join("tests/tools/kubectl.sh")).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    String::from_utf8(found.stdout).unwrap().trim().to_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The value with each number as one that has a fraction: kustomize writes 0.0 as 0.
fn fractions(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(all) => all.into_iter().map(fractions).collect(),
        Value::Object(all) => all.into_iter().map(|(key, value)| (key, fractions(value))).collect(),
        other => other,
    }
}

#[test]
fn the_kustomize_base_and_the_single_file_have_the_same_objects() {
    let built = Command::new(kubectl()).arg("kustomize").arg(root().join("manifests/base")).output().unwrap();
    assert!(built.status.success(), "{}", said(&built));
    let sorted = |text: &str| {
        let mut all: Vec<String> =
            documents(text).into_iter().map(|one| fractions(one).to_string()).collect();
        all.sort();
        all
    };
    let built = sorted(&String::from_utf8(built.stdout).unwrap());
    let file = text("manifests/install.yaml");
    let file = sorted(file.split_once("\n---\n").unwrap().1);
    assert!(built == file, "{:?}", built.iter().zip(&file).find(|(built, file)| built != file));
    assert!(20 < built.len(), "{}", built.len());
}

#[test]
fn systemd_takes_the_unit() {
    let home = tempfile::tempdir().unwrap();
    let unit = home.path().join("cocoasyncer.service");
    // It is only verified where the program lies.
    let words = text("manifests/standalone.service")
        .replace("/usr/local/bin/cocoasyncer standalone", &format!("{PROGRAM} standalone"));
    assert!(words.contains(PROGRAM));
    std::fs::write(&unit, words).unwrap();
    let verified =
        Command::new("systemd-analyze").arg("verify").arg(&unit).output().expect("systemd-analyze runs");
    assert!(verified.status.success() && said(&verified).is_empty(), "{}", said(&verified));
}

/// Settings that no value has, since in a cluster they are nothing or what they name lies there as objects.
const NOT_IN_A_CLUSTER: &[&str] = &[
    "COCOASYNCER_KUBECONFIG",
    "COCOASYNCER_DATA_DIR",
    "COCOASYNCER_LANG",
    // Line tables, templates and all other objects lie in the cluster; the old configuration is imported from outside.
    "COCOASYNCER_LINE_TABLE",
    "COCOASYNCER_MANIFESTS",
    "COCOASYNCER_OLD_CONFIG",
    "COCOASYNCER_CATALOG",
    "COCOASYNCER_OFFICIAL_CATALOG",
    // Docker's.
    "COCOASYNCER_APPS_DIR",
    // The API server calls the Service.
    "COCOASYNCER_WEBHOOK_NAME",
];

#[test]
fn every_setting_of_the_program_is_a_value_and_every_variable_of_the_chart_a_setting() {
    let help = Command::new(PROGRAM).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let names = |text: &str, before: &str, after: char| -> BTreeSet<String> {
        let parts = text.split(before).skip(1).filter_map(|rest| rest.split(after).next());
        parts.filter(|name| name.starts_with("COCOASYNCER_")).map(str::to_owned).collect()
    };
    let known = names(&help, "[env: ", '=');
    let set = names(&text("charts/cocoasyncer/templates/_env.tpl"), "{ name: ", ',');
    assert!(20 < set.len(), "{set:?}");
    let unknown: Vec<&String> = set.difference(&known).collect();
    assert!(unknown.is_empty(), "the program doesn't know {unknown:?}");
    let missing: Vec<&String> =
        known.difference(&set).filter(|name| !NOT_IN_A_CLUSTER.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "the chart has no value for {missing:?}");
}
