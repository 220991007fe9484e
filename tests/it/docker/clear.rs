//! Uninstalling: without a trace, by marks alone, and without harm to others.

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptionsBuilder, TagImageOptionsBuilder,
};
use cocoasyncer::runtimes::{Clear, Runtime};

use crate::support::engine::{Lab, Setting, TINY, lab};

const ALL: Clear = Clear { images: true, data: true };

async fn tagged(lab: &Lab, name: &str) -> String {
    let repo = format!("cocoasyncer-test/{name}");
    let tag = TagImageOptionsBuilder::new().repo(&repo).tag("1").build();
    lab.docker.tag_image(TINY, Some(tag)).await.unwrap();
    format!("{repo}:1")
}

fn compose(image: &str) -> String {
    format!(
        "services:\n  web:\n    image: {image}\n    command: [sleep, '1000']\n    restart: always\n    init: true\n    \
         volumes: ['data:/data', '/scratch']\nvolumes:\n  data:\n"
    )
}

#[tokio::test]
async fn nothing_stays_and_a_second_time_does_no_harm() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let image = tagged(&lab, &name).await;
    let made = lab.composed(&compose(&image), &[], &name, Setting::default());
    lab.settles(&made).await;
    assert_eq!(lab.things(&name).await.len(), 3);
    for _ in 0..2 {
        // The image has other users under its other name: the engine takes away this name alone.
        let left = lab.runtime.clear(&made.key, &made.uid, Clear { images: false, ..ALL }).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
        assert!(lab.things(&name).await.is_empty() && !lab.apps.path().join(&name).exists());
    }
    lab.docker.inspect_image(&image).await.unwrap();
    let options = bollard::query_parameters::RemoveImageOptionsBuilder::new().build();
    lab.docker.remove_image(&image, Some(options), None).await.unwrap();
}

#[tokio::test]
async fn what_somebody_else_uses_is_left_and_told() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let image = tagged(&lab, &name).await;
    let made = lab.composed(&compose(&image), &[], &name, Setting::default());
    lab.settles(&made).await;
    let body = ContainerCreateBody {
        image: Some(image.clone()),
        host_config: Some(HostConfig {
            binds: Some(vec![format!("{name}_data:/theirs")]),
            network_mode: Some(format!("{name}_default")),
            ..Default::default()
        }),
        cmd: Some(vec!["sleep".into(), "1000".into()]),
        ..Default::default()
    };
    let other = lab.docker.create_container(None::<CreateContainerOptions>, body).await.unwrap().id;
    lab.docker
        .start_container(&other, None::<bollard::query_parameters::StartContainerOptions>)
        .await
        .unwrap();
    let left = lab.runtime.clear(&made.key, &made.uid, ALL).await.unwrap();
    assert!(
        lab.docker.inspect_image(&image).await.is_ok(),
        "an image that somebody uses stays, as it should"
    );
    for what in [format!("volume {name}_data"), format!("network {name}_default")] {
        assert!(left.iter().any(|left| left.contains(&what)), "{what} is not in {left:?}");
    }
    let force = RemoveContainerOptionsBuilder::new().force(true).build();
    lab.docker.remove_container(&other, Some(force)).await.unwrap();
    let left = lab.runtime.clear(&made.key, &made.uid, ALL).await.unwrap();
    assert!(left.is_empty() && lab.things(&name).await.is_empty(), "{left:?}");
    let options = bollard::query_parameters::RemoveImageOptionsBuilder::new().build();
    lab.docker.remove_image(&image, Some(options), None).await.unwrap();
}
