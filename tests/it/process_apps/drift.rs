//! What somebody does by hand at the engine is undone; what was asked for through the API stays.

use bollard::query_parameters::{RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptions};

use crate::support::apps::{Host, shows};
use crate::support::engine::lab;

#[tokio::test]
async fn a_container_removed_stopped_or_paused_by_hand_comes_back() {
    let Some(lab) = lab(&[]).await else { return };
    let name = &lab.name();
    let host = Host::start(lab, &[], &[]).await;
    host.install("pair", "1", name).await;
    host.runs(name).await;
    let (_, port) = host.chosen(name).await;
    host.shell(&format!("{name}-db"), "echo kept > /data/page").await;
    let docker = host.lab.docker.clone();
    let is_new = async |container: &str, old: &str| {
        host.wait("it is back", async || {
            let found = host.inspect(container).await?;
            let state = found.state?;
            (state.running == Some(true) && state.started_at.as_deref() != Some(old)).then_some(())
        })
        .await;
        host.runs(name).await;
        shows(port, "/page", "kept").await;
    };
    for container in [name.clone(), format!("{name}-db")] {
        let old = host.inspect(&container).await.unwrap().state.unwrap().started_at.unwrap();
        let force = RemoveContainerOptionsBuilder::new().force(true).build();
        docker.remove_container(&container, Some(force)).await.unwrap();
        is_new(&container, &old).await;
        let old = host.inspect(&container).await.unwrap().state.unwrap().started_at.unwrap();
        docker.stop_container(&container, None::<StopContainerOptions>).await.unwrap();
        is_new(&container, &old).await;
        docker.pause_container(&container).await.unwrap();
        host.wait("it goes on", async || {
            let paused = host.inspect(&container).await?.state?.paused;
            (paused == Some(false)).then_some(())
        })
        .await;
        host.runs(name).await;
    }
}

#[tokio::test]
async fn what_was_stopped_through_the_api_stays_so() {
    let Some(lab) = lab(&[]).await else { return };
    let name = &lab.name();
    let mut host = Host::start(lab, &[], &[]).await;
    host.install("pair", "1", name).await;
    host.runs(name).await;
    let (password, port) = host.chosen(name).await;
    host.operate("AppStop", name).await;
    host.becomes(name, "stopped").await;
    let running = async |host: &Host| {
        let mut running = 0;
        for container in host.standing(name).await {
            let state = host.inspect(&container.name).await.and_then(|found| found.state);
            running += usize::from(state.and_then(|state| state.running) == Some(true));
        }
        running
    };
    assert_eq!(running(&host).await, 0);
    host.falls().await;
    // Started by hand it is stopped again: so long, and more, it had looked after the restart.
    host.lab.docker.start_container(name, None::<StartContainerOptions>).await.unwrap();
    host.wait("it is stopped again", async || (running(&host).await == 0).then_some(())).await;
    host.becomes(name, "stopped").await;
    host.operate("AppStart", name).await;
    host.runs(name).await;
    assert_eq!(host.chosen(name).await, (password, port));
    shows(port, "/version", "1").await;
}
