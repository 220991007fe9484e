//! Applications by App objects; ports of two that want the same one.

use serde_json::json;

use crate::support::apps::{Host, page, shows};
use crate::support::engine::{free_port, lab};

#[tokio::test]
async fn redis_and_nginx_are_applied_and_gone_with_their_objects() {
    let Some(lab) = lab(&["redis", "nginx"]).await else { return };
    let (cache, web) = (&lab.name(), &lab.name());
    let host = Host::start(lab, &[], &[]).await;
    let chosen = free_port();
    host.apply(cache, json!({ "appName": "redis", "appVersion": "8.2" })).await;
    let variables = json!({ "W9_HTTP_PORT_SET": chosen.to_string() });
    host.apply(web, json!({ "appName": "nginx", "appVersion": "1.28", "variables": variables })).await;
    let info = host.runs(cache).await;
    assert_eq!(host.shell(cache, "redis-cli set k v && redis-cli get k").await.lines().last(), Some("v"));
    let (password, port) = host.chosen(cache).await;
    assert_eq!(
        (info["password"].as_str(), info["port"].as_u64()),
        (Some(password.as_str()), Some(port.into()))
    );
    let info = host.runs(web).await;
    assert_eq!(info["port"], chosen);
    shows(chosen, "/", "It works").await;
    // What compose's own command looks for.
    for (name, service) in [(cache, "redis"), (web, "nginx")] {
        let labels = host.inspect(name).await.unwrap().config.unwrap().labels.unwrap();
        assert_eq!(labels["com.docker.compose.project"], **name);
        assert_eq!(labels["com.docker.compose.service"], service);
    }
    for name in [cache, web] {
        host.delete(name).await;
        host.gone(name).await;
        host.left_nothing(name).await;
    }
    assert!(page(chosen, "/").await.is_none());
}

#[tokio::test]
async fn two_installs_at_one_moment_for_one_port_both_run_and_keep_theirs() {
    let Some(lab) = lab(&[]).await else { return };
    let names = [lab.name(), lab.name(), lab.name()];
    let mut host = Host::start(lab, &[], &["--app-installs-at-once", "3"]).await;
    let all = names.iter().map(|name| host.install("pair", "1", name));
    futures::future::join_all(all).await;
    let mut before = Vec::new();
    for name in &names {
        let info = host.runs(name).await;
        let chosen = host.chosen(name).await;
        assert_eq!(info["port"], chosen.1);
        shows(chosen.1, "/version", "1").await;
        before.push((chosen, host.standing(name).await));
    }
    let ports: std::collections::BTreeSet<u16> = before.iter().map(|((_, port), _)| *port).collect();
    assert_eq!(ports.len(), names.len(), "{ports:?}");
    host.falls().await;
    for (name, before) in names.iter().zip(&before) {
        host.runs(name).await;
        assert_eq!((host.chosen(name).await, host.standing(name).await), *before);
    }
}
