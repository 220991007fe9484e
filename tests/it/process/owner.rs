//! What a leader's push carries for shared DNS providers: who marks the installation's records, and accounts with more
//! than two keys.

use cocoasyncer::api::ADOPT_ANNOTATION;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::cluster::join;
use crate::support::ali::FakeAli;
use crate::support::ali::zones::Edition;
use crate::support::process::{Site, wait};

async fn maps(site: &Site) -> Api<ConfigMap> {
    Api::namespaced(site.client().await, "cocoasyncer-system")
}

/// The owner id that a site keeps.
async fn kept(site: &Site) -> Option<String> {
    maps(site).await.get_opt("cocoasyncer-owner").await.unwrap()?.data?.remove("id")
}

async fn keeps(site: &Site, id: &str) {
    let what = format!("{} keeps {id}", site.name);
    wait(&what, || async { kept(site).await.filter(|kept| kept == id).map(drop) }).await;
}

/// An edit, so that the leader pushes at once.
async fn edited(site: &Site, name: &str) {
    site.cli(&["service", "add", &format!("{name}.example.com"), "--name", name]).await.done();
}

async fn restarted(site: &mut Site, flags: &[&str]) {
    site.kill();
    site.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
    site.start().await;
}

#[tokio::test]
async fn one_id_marks_the_records_of_all_nodes_and_survives() {
    let (mut a, mut b) = tokio::join!(Site::leader("a", &[]), Site::follower("b", "CU", "203.0.113.2", &[]));
    let id = kept(&a).await.unwrap();
    assert!(id.len() == 18 && id.starts_with("cocoa-"), "{id}");
    assert_eq!(kept(&b).await, None, "a follower makes none");
    join(&a, &b).await;
    keeps(&b, &id).await;

    restarted(&mut a, &[]).await;
    assert_eq!(kept(&a).await.as_deref(), Some(id.as_str()));
    // What was deleted by accident is not made up anew.
    maps(&a).await.delete("cocoasyncer-owner", &DeleteParams::default()).await.unwrap();
    keeps(&a, &id).await;

    restarted(&mut a, &["--owner-id", "the-lost-one"]).await;
    keeps(&a, "the-lost-one").await;
    assert!(a.log().contains("foreign until adopted"), "{}", a.log());
    keeps(&b, "the-lost-one").await;
    restarted(&mut b, &["--owner-id", "stubborn"]).await;
    edited(&a, "one").await;
    wait("the follower says that the leader has another", || async {
        b.log().contains("--owner-id differs from the leader's").then_some(())
    })
    .await;
    assert_eq!(kept(&b).await.as_deref(), Some("stubborn"), "its setting beats a push");

    b.flags.truncate(b.flags.len() - 2);
    restarted(&mut b, &[]).await;
    edited(&a, "two").await;
    keeps(&b, "the-lost-one").await;
    a.cli(&["node", "quit", "b", "--yes"]).await.done();
    b.cli(&["node", "quit", "--me", "b", "--yes"]).await.done();
    assert_eq!(kept(&b).await, None, "two installations must not mark as one");
}

#[tokio::test]
async fn an_account_reaches_a_follower_with_the_keys_of_all_lines() {
    let (a, b) = tokio::join!(Site::leader("a", &[]), Site::follower("b", "CU", "203.0.113.2", &[]));
    join(&a, &b).await;
    let default = a.write("default.key", "default c2VjcmV0LWRlZmF1bHQ=");
    let ct = a.write("ct.key", "key \"ct\" {\n\talgorithm hmac-sha512;\n\tsecret \"c2VjcmV0LWN0\";\n};\n");
    let set = ["provider", "set", "RFC2136", "--server", "127.0.0.1:5353", "--key-file", &default];
    a.cli(&[&set[..], &["--line-key", &format!("CT={ct}")]].concat()).await.done();
    let listed = a.cli(&["provider", "list", "-o", "json"]).await.json();
    assert_eq!(listed[0]["at"], "127.0.0.1:5353", "{listed}");
    assert_eq!(listed[0]["lines"], json!(["default", "CT"]), "{listed}");
    assert!(a.cli(&["provider", "list"]).await.done().contains("default CT"));
    let data = async |site: &Site| {
        let secrets: Api<Secret> = Api::namespaced(site.client().await, "default");
        secrets.get_opt("platform-rfc2136").await.unwrap()?.data
    };
    let whole = data(&a).await.unwrap();
    assert_eq!(whole.len(), 5, "two keys and a server");
    wait("the follower has the whole account", || async { (data(&b).await? == whole).then_some(()) }).await;

    a.cli(&set).await.done();
    wait("a line's key that was taken back is gone", || async { (data(&b).await?.len() == 3).then_some(()) })
        .await;
}

#[tokio::test]
async fn a_node_that_leaves_leaves_the_clusters_records() {
    let (a, b) = tokio::join!(Site::leader("a", &[]), Site::follower("b", "CU", "203.0.113.2", &[]));
    let fake = FakeAli::start().await;
    fake.add_key("acme", "key-id", "key-secret");
    fake.add_zone("acme", "example.com", Edition::EnterpriseUltimate);
    join(&a, &b).await;
    let set = ["provider", "set", "Ali", "--endpoint", &fake.endpoint()];
    a.cli_with(&set, "key-id\nkey-secret\n").await.done();
    a.cli(&["service", "add", "www.example.com", "--provider", "Ali"]).await.done();
    fake.until("each node has written its lines", |fake| fake.texts("example.com").len() == 3).await;
    fake.forget_calls();
    b.cli(&["node", "quit", "--me", "b", "--yes"]).await.done();
    assert_eq!(fake.count("DeleteDomainRecord"), 0, "they are the cluster's");
}

#[tokio::test]
async fn what_may_be_taken_over_is_said_at_the_leader_and_holds_for_all_nodes() {
    let (a, b) = tokio::join!(Site::leader("a", &[]), Site::follower("b", "CU", "203.0.113.2", &[]));
    join(&a, &b).await;
    edited(&a, "one").await;
    let adopts = async |wanted: bool| {
        wait(&format!("the follower's adopt is {wanted}"), || async {
            let service = b.services().await.get("one").await.ok()?;
            let here = service.metadata.annotations.and_then(|mut all| all.remove(ADOPT_ANNOTATION));
            (wanted == (here.as_deref() == Some("true"))).then_some(())
        })
        .await;
    };
    adopts(false).await;
    a.cli(&["service", "adopt", "one", "--yes"]).await.done();
    adopts(true).await;
    // What is pushed for another reason must not take it back.
    edited(&a, "two").await;
    wait("two is there", || async { b.services().await.get("two").await.ok().map(drop) }).await;
    adopts(true).await;
    let none = Patch::Merge(json!({"metadata": {"annotations": {ADOPT_ANNOTATION: null}}}));
    a.services().await.patch("one", &PatchParams::default(), &none).await.unwrap();
    adopts(false).await;
}
