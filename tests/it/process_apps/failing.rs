//! An engine that fails in the middle of an install: the status says how, nothing half-made stays when the install is
//! given up, nothing of anybody else is touched, and it goes on by itself when the engine does.

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptionsBuilder, ListNetworksOptions};
use cocoasyncer::api::APP_LABEL;
use rustix::process::Signal;

use super::pulls::{compose, registry};
use crate::support::apps::{Host, shows};
use crate::support::engine::own::Engine;
use crate::support::engine::troubles::{Does, Troubled};
use crate::support::engine::{Lab, TINY, lab};

/// Waits until a status is an error of this reason; its words.
async fn errs(host: &Host, name: &str, reason: &str) -> String {
    let words = host
        .wait(&format!("its status says {reason}"), async || {
            let (is, words) = host.condition(name, "Ready").await?;
            (is == reason).then_some(words)
        })
        .await;
    assert_eq!(host.status(name).await.as_deref(), Some("error"), "{words}");
    words
}

#[tokio::test]
async fn whatever_call_fails_is_told_and_done_again_or_given_up_without_a_trace() {
    let Some(lab) = lab(&[]).await else { return };
    let troubled = Troubled::before(lab.socket());
    let neighbour = &lab.name();
    let names: Vec<String> = (0..6).map(|_| lab.name()).collect();
    let host = Host::start(lab.asked_at(troubled.address()), &[], &["--app-installs-at-once", "2"]).await;
    host.install("pair", "1", neighbour).await;
    host.runs(neighbour).await;
    let before = host.standing(neighbour).await;
    let calls = [
        ("POST", "/networks/create"),
        ("POST", "/volumes/create"),
        ("POST", "/containers/create"),
        ("POST", "/start"),
        ("GET", "/images/"),
        ("GET", "/containers/json"),
    ];
    for ((method, path), name) in calls.into_iter().zip(&names) {
        troubled.makes(method, path, Does::fails("no luck today"));
        host.install("pair", "1", name).await;
        let words = errs(&host, name, "RuntimeFailed").await;
        assert!(words.contains("no luck today"), "{method} {path}: {words}");
        if method == "POST" {
            // Given up while what failed still does.
            host.uninstalls(name, &[]).await;
            host.left_nothing(name).await;
            host.install("pair", "1", name).await;
            errs(&host, name, "RuntimeFailed").await;
        }
        assert!(0 < troubled.met());
        troubled.ends();
        host.runs(name).await;
        host.uninstalls(name, &[]).await;
        host.left_nothing(name).await;
    }
    host.becomes(neighbour, "running").await;
    assert_eq!(host.standing(neighbour).await, before, "a neighbour was touched");
}

#[tokio::test]
async fn a_container_that_nobody_can_look_at_holds_up_no_install() {
    let Some(lab) = lab(&[]).await else { return };
    let troubled = Troubled::before(lab.socket());
    let (name, foreign) = (&lab.name(), &lab.name());
    let labels = [(APP_LABEL.to_owned(), foreign.clone())].into();
    let body = ContainerCreateBody { image: Some(TINY.into()), labels: Some(labels), ..Default::default() };
    let options = CreateContainerOptionsBuilder::new().name(foreign).build();
    let id = lab.docker.create_container(Some(options), body).await.unwrap().id;
    let look = format!("/containers/{id}/json");
    let host = Host::start(lab.asked_at(troubled.address()), &[], &[]).await;
    for does in [Does::Hangs, Does::fails("it is locked")] {
        troubled.makes("GET", &look, does);
        host.install("pair", "1", name).await;
        let info = host.runs(name).await;
        shows(u16::try_from(info["port"].as_u64().unwrap()).unwrap(), "/version", "1").await;
        assert!(0 < troubled.met(), "nobody looked");
        troubled.ends();
        host.uninstalls(name, &[]).await;
        host.left_nothing(name).await;
    }
    assert!(host.inspect(foreign).await.is_some(), "somebody else's container is gone");
}

#[tokio::test]
async fn a_disk_that_fills_up_in_mid_pull_is_told_and_the_pull_done_again() {
    // Where no engine can run, none of the test's own can either.
    let Some(known) = lab(&[]).await else { return };
    drop(known);
    let mut engine = Engine::on_small_disk("base=10.212.0.0/16,size=24").await;
    let lab = Lab::at(&engine.socket, &[]).await;
    let mut registry = registry(&lab).await;
    let (name, neighbour) = (&lab.name(), &lab.name());
    let slow = compose(&lab, &registry.image("slow"));
    let host = Host::start(lab, &[("slow", &slow)], &[]).await;
    host.install("pair", "1", neighbour).await;
    host.runs(neighbour).await;
    let before = host.standing(neighbour).await;
    for given_up in [true, false] {
        host.install("slow", "1", name).await;
        let begun = registry.pouring.wait_for(|count| *count > 0);
        tokio::time::timeout(crate::support::apps::PATIENCE, begun).await.unwrap().unwrap();
        engine.leaves(512).await;
        registry.release();
        let words = errs(&host, name, "NoSpace").await;
        assert!(words.contains("no space left") && words.contains("free some space"), "{words}");
        if given_up {
            host.uninstalls(name, &[]).await;
            host.left_nothing(name).await;
            assert!(host.lab.docker.inspect_image(&registry.image("slow")).await.is_err());
            registry.holds();
        }
        engine.leaves(4 << 20).await;
    }
    let info = host.runs(name).await;
    shows(u16::try_from(info["port"].as_u64().unwrap()).unwrap(), "/file", "x").await;
    assert_eq!(host.standing(neighbour).await, before, "a neighbour was touched");
    drop(host);
    engine.ends(Signal::TERM).await;
}

#[tokio::test]
async fn where_the_engine_has_no_addresses_left_applications_get_networks_all_the_same() {
    let Some(known) = lab(&[]).await else { return };
    drop(known);
    // One network in all.
    let mut engine = Engine::start("base=10.213.0.0/24,size=24").await;
    let lab = Lab::at(&engine.socket, &[]).await;
    let names = [lab.name(), lab.name()];
    let host = Host::start(lab, &[], &["--app-installs-at-once", "2"]).await;
    futures::future::join_all(names.iter().map(|name| host.install("pair", "1", name))).await;
    for name in &names {
        host.runs(name).await;
        shows(host.chosen(name).await.1, "/version", "1").await;
    }
    let networks = host.lab.docker.list_networks(None::<ListNetworksOptions>).await.unwrap();
    let subnets: Vec<String> =
        networks.into_iter().filter_map(|network| network.ipam?.config?.into_iter().next()?.subnet).collect();
    let ours = subnets.iter().filter(|subnet| subnet.starts_with("10.20") && subnet.ends_with("/26"));
    assert_eq!((subnets.len(), ours.count()), (3, 2), "one for both, one for each: {subnets:?}");
    for name in &names {
        host.uninstalls(name, &[]).await;
        host.left_nothing(name).await;
    }
    let left = host.lab.docker.list_networks(None::<ListNetworksOptions>).await.unwrap();
    assert!(
        left.iter().all(|network| network.ipam.as_ref().unwrap().config.iter().flatten().next().is_none())
    );
    drop(host);
    engine.ends(Signal::TERM).await;
}
