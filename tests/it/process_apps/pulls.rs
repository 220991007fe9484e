//! Pulls that take long: killed and given up in the middle, and who waits behind them.

use std::time::Duration;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder};
use cocoasyncer::api::APP_LABEL;
use futures::TryStreamExt;

use crate::docker::registry::Registry;
use crate::support::apps::{Host, shows};
use crate::support::engine::{Lab, TINY, lab};

/// A registry whose images can run.
pub async fn registry(lab: &Lab) -> Registry {
    let name = lab.name();
    let labels = [(APP_LABEL.to_owned(), name.clone())].into();
    let body = ContainerCreateBody { image: Some(TINY.into()), labels: Some(labels), ..Default::default() };
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    lab.docker.create_container(Some(options), body).await.unwrap();
    let options = DownloadFromContainerOptionsBuilder::new().path("/bin/busybox").build();
    let pieces = lab.docker.download_from_container(&name, Some(options));
    let busybox: Vec<_> = pieces.try_collect().await.unwrap();
    Registry::over(vec![busybox.concat()], &name).await
}

/// A template of such an image.
pub fn compose(lab: &Lab, image: &str) -> String {
    lab.forgets(image);
    format!(
        "services:\n  web:\n    image: {image}\n    container_name: $W9_ID\n    restart: unless-stopped\n    init: true\n    \
         command: [/busybox, httpd, -f, -p, '80', -h, /]\n    ports: ['$W9_HTTP_PORT_SET:80']\n"
    )
}

#[tokio::test]
async fn killed_while_one_pulls_and_one_waits_both_end_in_their_order() {
    let Some(lab) = lab(&[]).await else { return };
    let mut registry = registry(&lab).await;
    let (first, second, third) = (&lab.name(), &lab.name(), &lab.name());
    let slow = compose(&lab, &registry.image("slow"));
    let mut host = Host::start(lab, &[("slow", &slow)], &[]).await;
    host.install("slow", "1", first).await;
    host.becomes(first, "pulling").await;
    host.install("pair", "1", second).await;
    host.install("pair", "1", third).await;
    host.becomes(second, "queuing").await;
    for round in 0..3 {
        let pulling = registry.pouring.wait_for(|count| *count > 0);
        tokio::time::timeout(Duration::from_secs(60), pulling).await.unwrap().unwrap();
        host.becomes(first, "pulling").await;
        host.wait("both wait in their order", async || {
            let place = async |name| host.app(name).await.status?.progress?.queue_position;
            (place(second).await == Some(1) && place(third).await == Some(2)).then_some(())
        })
        .await;
        let again = [("app_name", "pair"), ("customer_app_name", third.as_str()), ("app_version", "1")];
        let (_, answer) = host.call("AppInstall", &again).await;
        assert_eq!(answer["Error"]["Code"], "Param.CustomerAppName.Wait", "round {round}");
        host.falls().await;
    }
    // Who waits may give up.
    host.uninstalls(third, &[]).await;
    host.left_nothing(third).await;
    assert_eq!(host.lab.things(second).await, Vec::<String>::new(), "it waits for its turn");
    registry.release();
    let info = host.runs(first).await;
    shows(u16::try_from(info["port"].as_u64().unwrap()).unwrap(), "/file", "x").await;
    host.runs(second).await;
    let since = async |name| host.app(name).await.status.unwrap().revisions[0].at.clone().unwrap().0;
    assert!(since(first).await <= since(second).await, "first come, first served");
    host.uninstalls(first, &[("delete_image", "true")]).await;
    host.left_nothing(first).await;
    assert!(host.lab.docker.inspect_image(&registry.image("slow")).await.is_err(), "its image goes with it");
}

#[tokio::test]
async fn an_uninstall_while_it_pulls_ends_the_pull_and_leaves_nothing() {
    let Some(lab) = lab(&[]).await else { return };
    let mut registry = registry(&lab).await;
    let (name, next) = (&lab.name(), &lab.name());
    let endless = compose(&lab, &registry.image("endless"));
    let host = Host::start(lab, &[("endless", &endless)], &[]).await;
    host.install("endless", "1", name).await;
    host.becomes(name, "pulling").await;
    let began = registry.pouring.wait_for(|count| *count > 0);
    tokio::time::timeout(Duration::from_secs(60), began).await.unwrap().unwrap();
    host.wait("how far it is is told", async || {
        let progress = host.app(name).await.status?.progress?;
        (progress.step.contains("endless") && !progress.layers.is_empty()).then_some(())
    })
    .await;
    host.install("pair", "1", next).await;
    host.uninstalls(name, &[]).await;
    let over = registry.pouring.wait_for(|count| *count == 0);
    tokio::time::timeout(Duration::from_secs(60), over).await.expect("the engine pulls no more").unwrap();
    host.left_nothing(name).await;
    host.runs(next).await;
}
