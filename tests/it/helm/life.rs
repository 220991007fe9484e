//! A release's life: installed, tested, upgraded from the last release's values, an upgrade that fails, removed.

use cocoasyncer::api::service::ManagedService;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};

use super::{Helm, NAMESPACE, cluster, others, root};

/// The values of the last release, each set to something: whoever has them must be able to upgrade.
fn last_release() -> Value {
    let text = std::fs::read_to_string(root().join("tests/golden/chart-values-0.1.0.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

async fn definitions(helm: &Helm) -> Vec<String> {
    let all = Api::<CustomResourceDefinition>::all(helm.client.clone());
    let all = all.list(&ListParams::default()).await.unwrap().items;
    let mut ours: Vec<String> = all.into_iter().filter_map(|crd| crd.metadata.name).collect();
    ours.retain(|name| name.ends_with(".cocoasyncer.io"));
    ours
}

async fn image(helm: &Helm) -> String {
    let deployments = Api::<Deployment>::namespaced(helm.client.clone(), NAMESPACE);
    let spec = deployments.get("cocoasyncer").await.unwrap().spec.unwrap().template.spec.unwrap();
    spec.containers[0].image.clone().unwrap()
}

/// The revision that is deployed, and the words of the last one.
async fn deployed(helm: &mut Helm) -> (i64, String) {
    let said = helm.done(json!({"do": "history"})).await;
    let all = said["history"].as_array().unwrap();
    let number = |release: &Value| release["version"].as_i64().unwrap();
    let live = all.iter().find(|release| release["info"]["status"] == "deployed").unwrap();
    let last = all.iter().max_by_key(|release| number(release)).unwrap();
    (number(live), last["info"]["description"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_release_is_installed_tested_upgraded_and_removed_and_its_objects_stay() {
    let mut helm = Helm::beside(&others()).await;
    let playing = tokio::spawn(cluster::play(helm.client.clone()));
    // Waits for the Deployment's rollout, as people do.
    let first = helm.done(json!({"do": "install", "values": last_release()})).await;
    assert_eq!((&first["status"], &first["revision"]), (&json!("deployed"), &json!(1)));
    assert!(first["notes"].as_str().unwrap().contains("helm test cocoasyncer"), "{first}");
    helm.done(json!({"do": "test"})).await;
    // The last release's values with this chart, and then with nothing but the defaults.
    helm.done(json!({"do": "upgrade", "values": last_release()})).await;
    helm.done(json!({"do": "upgrade", "values": {}, "reset_values": true})).await;
    assert_eq!(image(&helm).await, "cocoasyncer/operator:0.1.0");
    let services = Api::<ManagedService>::namespaced(helm.client.clone(), "default");
    let service: ManagedService = serde_json::from_value(json!({
        "apiVersion": "cocoasyncer.io/v1alpha1", "kind": "ManagedService", "metadata": {"name": "www"},
        "spec": {"serviceName": "www", "domain": "example.com", "record": "www"},
    }))
    .unwrap();
    services.create(&PostParams::default(), &service).await.unwrap();
    helm.done(json!({"do": "uninstall"})).await;
    assert_eq!(definitions(&helm).await.len(), 3, "kept");
    assert!(services.get_opt("www").await.unwrap().is_some(), "an uninstall takes no name off the net");
    let left = Api::<Deployment>::namespaced(helm.client.clone(), NAMESPACE);
    assert_eq!(left.list(&ListParams::default()).await.unwrap().items, []);
    // What was kept is taken up again; and goes where that is wanted.
    helm.done(json!({"do": "install", "values": {"crds": {"keep": false}}, "wait": false})).await;
    assert!(services.get_opt("www").await.unwrap().is_some());
    helm.done(json!({"do": "uninstall"})).await;
    assert_eq!(definitions(&helm).await, Vec::<String>::new());
    playing.abort();
}

#[tokio::test]
async fn an_upgrade_that_fails_leaves_what_ran_and_says_why() {
    let mut helm = Helm::new().await;
    let playing = tokio::spawn(cluster::play(helm.client.clone()));
    helm.done(json!({"do": "install"})).await;
    // Refused values touch nothing, not even the history.
    let why = helm.refused(json!({"do": "upgrade", "values": {"replicas": 0}})).await;
    assert!(why.contains("/replicas"), "{why}");
    assert_eq!(deployed(&mut helm).await.0, 1);
    // An image that doesn't come up is given up after the timeout and taken back.
    let broken = json!({"image": {"tag": "broken"}});
    let order = json!({"do": "upgrade", "values": broken, "timeout": 5, "rollback_on_failure": true});
    let why = helm.refused(order).await;
    assert!(why.contains("Deployment/cocoasyncer-system/cocoasyncer not ready"), "{why}");
    let (revision, words) = deployed(&mut helm).await;
    assert_eq!((revision, words.as_str()), (3, "Rollback to 1"));
    assert_eq!(image(&helm).await, "cocoasyncer/operator:0.1.0");
    playing.abort();
}

#[tokio::test]
async fn the_chart_has_nothing_to_complain_about() {
    let mut helm = Helm::new().await;
    let said = helm.done(json!({"do": "lint"})).await;
    // Severity 1 are recommendations, e.g. an icon.
    let all = said["lint"]["Messages"].as_array().cloned().unwrap_or_default();
    let bad: Vec<&Value> = all.iter().filter(|one| one["Severity"].as_i64() != Some(1)).collect();
    assert!(bad.is_empty() && said["lint"]["Errors"].is_null(), "{said}");
}
