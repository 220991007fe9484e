//! What is not the App's is never touched, and an engine that is gone is said to be gone.

use std::os::unix::fs::symlink;

use bollard::models::{ContainerCreateBody, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, InspectNetworkOptions,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions,
};
use cocoasyncer::domain::app::instance::AppKey;
use cocoasyncer::domain::app::plan::Step;
use cocoasyncer::domain::retry::Class;
use cocoasyncer::runtimes::docker::DockerRuntime;
use cocoasyncer::runtimes::{Clear, Kind, Runtime};

use crate::support::engine::{Lab, Setting, TINY, lab};

const ALL: Clear = Clear { images: false, data: true };

fn compose() -> String {
    format!(
        "services:\n  web:\n    image: {TINY}\n    container_name: $W9_ID\n    command: [sleep, '1000']\n    \
         restart: always\n    init: true\n    volumes: ['data:/data']\nvolumes:\n  data:\n"
    )
}

async fn foreign_container(lab: &Lab, name: &str) -> String {
    let body = ContainerCreateBody { image: Some(TINY.into()), ..Default::default() };
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    lab.docker.create_container(Some(options), body).await.unwrap().id
}

#[tokio::test]
async fn things_of_others_under_our_names_are_named_and_left_alone() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let made = lab.composed(&compose(), &[], &name, Setting::default());
    let id = foreign_container(&lab, &name).await;
    let (network, volume) = (format!("{name}_default"), format!("{name}_data"));
    let wanted = NetworkCreateRequest { name: network.clone(), ..Default::default() };
    lab.docker.create_network(wanted).await.unwrap();
    let wanted = VolumeCreateRequest { name: Some(volume.clone()), ..Default::default() };
    lab.docker.create_volume(wanted).await.unwrap();
    let seen = lab.runtime.observe(&made).await.unwrap();
    assert!(seen.services.is_empty() && seen.strays.is_empty() && !seen.network && seen.volumes.is_empty());
    let steps = [
        (Step::Network, &network),
        (Step::Volume("data".into()), &volume),
        (Step::Create("web".into()), &name),
        (Step::Start("web".into()), &name),
        (Step::Stop("web".into()), &name),
        (Step::Remove("web".into()), &name),
    ];
    for (step, called) in steps {
        let error = lab.step(&made, &step).await.unwrap_err();
        assert_eq!((error.kind, error.class), (Kind::NameTaken, Class::User), "{step}: {error}");
        assert!(error.what.contains(called.as_str()), "{step}: {error}");
    }
    lab.step(&made, &Step::RemoveStray(id.clone())).await.unwrap();
    lab.runtime.clear(&made.key, &made.uid, ALL).await.unwrap();
    lab.docker.inspect_container(&id, None::<InspectContainerOptions>).await.unwrap();
    lab.docker.inspect_network(&network, None::<InspectNetworkOptions>).await.unwrap();
    lab.docker.inspect_volume(&volume).await.unwrap();
    let force = RemoveContainerOptionsBuilder::new().force(true).build();
    lab.docker.remove_container(&id, Some(force)).await.unwrap();
    lab.docker.remove_network(&network).await.unwrap();
    lab.docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await.unwrap();
}

#[tokio::test]
async fn an_app_of_another_namespace_or_uid_is_somebody_else() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let made = lab.composed(&compose(), &[], &name, Setting::default());
    lab.settles(&made).await;
    let mut other = made.clone();
    other.key = AppKey { namespace: "elsewhere".into(), name: name.clone() };
    for step in [Step::Files, Step::Network, Step::Volume("data".into()), Step::Create("web".into())] {
        let error = lab.step(&other, &step).await.unwrap_err();
        assert_eq!(error.kind, Kind::NameTaken, "{step}: {error}");
    }
    lab.runtime.clear(&other.key, &other.uid, ALL).await.unwrap();
    // The same name and namespace with another uid, while the first one's containers stand.
    let later = lab.composed(&compose(), &[], &name, Setting { uid: "uid-2", ..Setting::default() });
    for step in [Step::Network, Step::Volume("data".into()), Step::Create("web".into())] {
        let error = lab.step(&later, &step).await.unwrap_err();
        assert_eq!(error.kind, Kind::NameTaken, "{step}: {error}");
    }
    assert!(lab.turn(&made).await.is_empty(), "the first one stands untouched");
}

#[tokio::test]
async fn a_link_that_the_application_laid_is_not_mounted() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let compose = format!(
        "services:\n  web:\n    image: {TINY}\n    command: [sleep, '1000']\n    restart: always\n    init: true\n    \
         volumes: ['./src/inner:/inner']\n"
    );
    let made = lab.composed(&compose, &[("src/inner/a", "a", 0o644)], &name, Setting::default());
    lab.step(&made, &Step::Files).await.unwrap();
    let src = lab.apps.path().join(&name).join("src");
    std::fs::rename(src.join("inner"), src.join("away")).unwrap();
    symlink("/etc", src.join("inner")).unwrap();
    lab.step(&made, &Step::Network).await.unwrap();
    let error = lab.step(&made, &Step::Create("web".into())).await.unwrap_err();
    assert_eq!((error.kind, error.class), (Kind::Refused, Class::User), "{error}");
    // Nor is it written through.
    let other = lab.composed(&compose, &[("src/inner/passwd", "x", 0o644)], &name, Setting::default());
    assert!(lab.step(&other, &Step::Files).await.is_err());
    assert_ne!(std::fs::read_to_string("/etc/passwd").unwrap(), "x");
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unreachable_and_found_when_it_comes() {
    let Some(lab) = lab(&[]).await else { return };
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("engine.sock");
    let runtime = DockerRuntime::new(&socket.to_string_lossy(), home.path()).unwrap();
    let error = runtime.check().await.unwrap_err();
    assert_eq!((error.kind, error.class), (Kind::Unreachable, Class::Transient));
    assert!(error.what.contains("engine.sock"), "{error}");
    // Somebody's socket on which nobody answers.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert_eq!(runtime.check().await.unwrap_err().kind, Kind::Unreachable);
    std::fs::remove_file(&socket).unwrap();
    symlink(lab.socket(), &socket).unwrap();
    runtime.check().await.unwrap();
}
