//! The engine stopped, killed and started under us: the status says so, and everything comes back by itself.

use rustix::process::Signal;
use serde_json::json;

use crate::support::apps::{Host, shows};
use crate::support::engine::own::Engine;
use crate::support::engine::{Lab, free_port, lab};

async fn says(host: &Host, name: &str, reason: &str) {
    host.wait(&format!("its status says {reason}"), async || {
        host.condition(name, "Ready").await.filter(|found| found.0 == reason)
    })
    .await;
    assert_eq!(host.status(name).await.as_deref(), Some("error"));
}

#[tokio::test]
async fn an_engine_that_goes_and_comes_is_told_and_everything_runs_again() {
    // Where no engine can run, none of the test's own can either.
    let Some(known) = lab(&[]).await else { return };
    drop(known);
    let mut engine = Engine::start("base=10.211.0.0/16,size=24").await;
    let lab = Lab::at(&engine.socket, &[]).await;
    let (name, still) = (&lab.name(), &lab.name());
    let mut host = Host::start(lab, &[], &[]).await;
    let variables = json!({ "W9_HTTP_PORT_SET": free_port().to_string() });
    host.apply(name, json!({ "appName": "pair", "appVersion": "1", "variables": variables })).await;
    host.runs(name).await;
    host.install("pair", "1", still).await;
    host.runs(still).await;
    host.operate("AppStop", still).await;
    host.becomes(still, "stopped").await;
    let chosen = host.chosen(name).await;
    host.shell(name, "echo kept > /data/page").await;
    for (round, signal) in [Signal::TERM, Signal::KILL].into_iter().enumerate() {
        engine.ends(signal).await;
        says(&host, name, "RuntimeUnreachable").await;
        if round == 1 {
            // Without an engine we start all the same, and say so.
            host.falls().await;
            says(&host, name, "RuntimeUnreachable").await;
        }
        engine.again().await;
        host.runs(name).await;
        shows(chosen.1, "/page", "kept").await;
        assert_eq!(host.chosen(name).await, chosen);
        host.becomes(still, "stopped").await;
    }
    for name in [name, still] {
        host.uninstalls(name, &[]).await;
        host.left_nothing(name).await;
    }
    drop(host);
    engine.ends(Signal::TERM).await;
}
