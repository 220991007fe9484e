//! What is wrong with the way to the cluster, or with what lies there, is said by name, once, and mends itself when it is
//! put right: no restart.

use std::time::Duration;

use cocoasyncer::api::crds;
use kube::ResourceExt;
use serde_json::Value;

use crate::support::process::{wait, wait_within};
use crate::world::{Replica, World, define, rights};

/// A token is read anew at least once a minute.
const TOKEN_READ: Duration = Duration::from_secs(90);

#[tokio::test]
async fn an_accounts_secret_deleted_under_a_running_operator_leaves_its_records_and_is_missed_by_name() {
    let world = World::new().await;
    let _replica = world.operator().await;
    world.at_ali("a").await;
    world.becomes("a", "Ready", "AsWished").await;
    world.delete(world.platform()).await;
    world.at_ali("b").await;
    let said = world.becomes("b", "Ready", "AccountUnknown").await;
    assert!(said.contains("Ali"), "{said}");
    let left = world.ali.records("example.com").iter().filter(|record| record.rr == "a").count();
    assert_eq!(left, 2, "its records stay");
    world.apply(world.platform()).await;
    world.holds(&["a", "b"]).await;
    world.becomes("a", "Ready", "AsWished").await;
    world.becomes("b", "Ready", "AsWished").await;
    world.wrote_nothing_twice();
}

#[tokio::test]
async fn a_token_that_expired_is_told_once_and_the_one_in_its_file_is_taken() {
    let world = World::new().await;
    let mut replica = world.replica(&[]).await;
    let old = world.cluster.token(&replica.proxy, &world.account).await;
    let file = replica.site.write("token", &old);
    replica.site.write("kubeconfig", &replica.proxy.kubeconfig_with_file(&file));
    replica.site.start().await;
    world.at_ali("a").await;
    world.holds(&["a"]).await;
    replica.proxy.expire(&old);
    replica.proxy.cut_watches();
    world.at_ali("b").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    replica.site.write("token", &world.cluster.token(&replica.proxy, &world.account).await);
    let written = async || (world.ali.records("example.com").len() == 4).then_some(());
    wait_within("the new token is used", TOKEN_READ, written).await;
    world.holds(&["a", "b"]).await;
    world.wrote_nothing_twice();
}

/// What `/readyz` tells: its status, who is missing, and what is wrong.
async fn told(replica: &Replica) -> Option<(u16, String, Vec<String>)> {
    let (status, text) = replica.site.get(replica.site.at.ops, "/readyz").await?;
    let told: Value = serde_json::from_str(&text).ok()?;
    let troubles = told["troubles"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned);
    Some((status, told["missing"].to_string(), troubles.collect()))
}

/// Waits until `/readyz` names a trouble by these words; it is not ready then, and each trouble is in the log once.
async fn names(replica: &Replica, words: &[&str]) {
    let (status, missing, troubles) = wait(&format!("/readyz says {words:?}"), || async {
        let told = told(replica).await?;
        told.2.iter().any(|trouble| words.iter().all(|word| trouble.contains(word))).then_some(told)
    })
    .await;
    assert_eq!(status, 503, "{missing}");
    assert_ne!(missing, "[]");
    // It is tried again and again meanwhile.
    let tries = async || (3 <= replica.proxy.ledger().calls().len()).then_some(());
    wait_within("it is tried again", TOKEN_READ, tries).await;
    let log = replica.site.log();
    for trouble in &troubles {
        let times = log.lines().filter(|line| line.contains(trouble) && line.contains(" WARN ")).count();
        assert_eq!(times, 1, "{trouble}");
    }
}

/// Waits until the process, which was not started again, is ready and nothing is wrong; and works.
async fn mends(world: &World, replica: &mut Replica) {
    let well =
        async || told(replica).await.filter(|(status, _, troubles)| *status == 200 && troubles.is_empty());
    wait_within("it is ready, and nothing is wrong", TOKEN_READ, well).await;
    assert!(replica.site.log().contains("over: "), "its end is told too");
    world.local("www").await;
    replica.serves("www").await;
    assert!(replica.site.running());
    // What was refused before was meant to be.
    replica.proxy.ledger().forget();
}

#[tokio::test]
async fn a_kubeconfig_of_another_cluster_is_told_and_the_right_one_in_its_place_is_taken() {
    let world = World::new().await;
    let mut replica = world.replica(&[]).await;
    let right = std::fs::read_to_string(replica.site.kubeconfig()).unwrap();
    // A stranger's credentials there; then a server whose certificate is not of the kubeconfig's authority.
    let elsewhere = world.cluster.proxy().await;
    replica.site.write("kubeconfig", &replica.proxy.kubeconfig("another-clusters-token"));
    replica.site.spawn().await;
    names(&replica, &["credentials: ", "is the kubeconfig another cluster's?"]).await;
    let mixed = right.replace(&replica.proxy.url(), &elsewhere.url());
    replica.site.write("kubeconfig", &mixed);
    wait_within("the certificate is told", TOKEN_READ, || async {
        let (_, _, troubles) = told(&replica).await?;
        troubles.iter().any(|trouble| trouble.contains("certificate")).then_some(())
    })
    .await;
    replica.site.write("kubeconfig", &right);
    mends(&world, &mut replica).await;
}

#[tokio::test]
async fn rights_that_are_missing_are_named_and_taken_up_when_they_are_granted() {
    let world = World::new().await;
    let bindings = |kind: &'static str| rights().into_iter().filter(move |object| object["kind"] == *kind);
    for binding in bindings("ClusterRoleBinding").chain(bindings("RoleBinding")) {
        world.delete(binding).await;
    }
    let mut replica = world.replica(&[]).await;
    replica.site.spawn().await;
    names(&replica, &["rights: may not list cocoanodes.cocoasyncer.io in the cluster: grant it"]).await;
    for binding in bindings("ClusterRoleBinding") {
        world.apply(binding).await;
    }
    names(&replica, &["rights: may not ", "in the namespace cocoasyncer-system: grant it"]).await;
    for binding in bindings("RoleBinding") {
        world.apply(binding).await;
    }
    mends(&world, &mut replica).await;
}

#[tokio::test]
async fn definitions_that_are_missing_are_named_and_taken_up_when_they_are_there() {
    let world = World::new().await;
    for crd in crds::all() {
        let name = crd.name_any();
        world.delete(serde_json::to_value(crd).unwrap()).await;
        let object = serde_json::json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
        });
        let api = world.api(&object);
        let gone = async || api.get_opt(&name).await.ok()?.is_none().then_some(());
        wait("the definition is gone", gone).await;
    }
    let mut replica = world.replica(&[]).await;
    replica.site.spawn().await;
    names(&replica, &["crds: ", ".cocoasyncer.io is missing: kubectl apply -f crds/"]).await;
    define(&world.cluster.client).await;
    mends(&world, &mut replica).await;
}
