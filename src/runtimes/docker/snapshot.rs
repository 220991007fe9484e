//! Copies of volumes, through the engine's API alone: a container of the application's own image, made and never started,
//! mounts both, and the archive of one is poured into the other. A copy counts when it is complete; till then it is made
//! anew. Whoever writes to the volume should be stopped first: that is the plan's matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptionsBuilder, RemoveVolumeOptions,
    UploadToContainerOptionsBuilder,
};
use futures::StreamExt;
use tokio::time::{MissedTickBehavior, interval};

use super::engine::Engine;
use super::error::{is_absent, taken, told};
use super::files::Home;
use super::names::{self, Labels, Whose, whose};
use super::observe::own_containers;
use super::offline;
use super::steps::{remove, stop};
use crate::domain::app::instance::Instance;
use crate::domain::app::workload::Source;
use crate::domain::retry::Class;
use crate::runtimes::{Aid, Kind, Progress, RuntimeError};

/// Lays a copy of volume `name` aside under `label`.
pub async fn take(
    engine: &Engine,
    home: &Home,
    instance: &Instance,
    name: &str,
    label: &str,
    aid: &Aid<'_>,
) -> Result<(), RuntimeError> {
    let from = names::volume(&instance.workload, &instance.key.name, name);
    let to = names::snapshot(&instance.key.name, name, label);
    let known = {
        let home = home.clone();
        offline(move || home.remembered()).await?
    };
    if known.snapshots.contains(&to) && labels(engine, &to).await?.is_some() {
        return Ok(());
    }
    renew(engine, instance, &to, names::of_snapshot(instance, name, label)).await?;
    copy(engine, instance, name, (&from, &to), aid).await?;
    let home = home.clone();
    offline(move || {
        home.remember(|known| {
            known.snapshots.insert(to);
        })
    })
    .await
}

/// Puts the copy of volume `name` under `label` back. The App's containers that hold the volume go: they are made anew.
pub async fn restore(
    engine: &Engine,
    home: &Home,
    instance: &Instance,
    name: &str,
    label: &str,
    aid: &Aid<'_>,
) -> Result<(), RuntimeError> {
    let from = names::snapshot(&instance.key.name, name, label);
    let to = names::volume(&instance.workload, &instance.key.name, name);
    let known = {
        let home = home.clone();
        offline(move || home.remembered()).await?
    };
    if !known.snapshots.contains(&from) || labels(engine, &from).await?.is_none() {
        let what = format!("volume {to} can't be put back: there is no complete copy {from}");
        return Err(RuntimeError::new(Kind::Other, Class::User, what));
    }
    for container in own_containers(engine, &instance.key, &instance.uid).await? {
        let holds = container.mounts.iter().flatten().any(|mount| mount.name.as_deref() == Some(to.as_str()));
        if let Some(id) = container.id.filter(|_| holds) {
            stop(engine, &id, &id, None).await?;
            remove(engine, &id, &id).await?;
        }
    }
    renew(engine, instance, &to, names::of_volume(instance, name)).await?;
    copy(engine, instance, name, (&from, &to), aid).await
}

/// Removes the copy of volume `name` under `label`.
pub async fn forget(
    engine: &Engine,
    home: &Home,
    instance: &Instance,
    name: &str,
    label: &str,
) -> Result<(), RuntimeError> {
    let copy = names::snapshot(&instance.key.name, name, label);
    if let Some(labels) = labels(engine, &copy).await? {
        if whose(Some(&labels), &instance.key, &instance.uid) == Whose::Foreign {
            return Ok(());
        }
        drop_volume(engine, &copy).await?;
    }
    let home = home.clone();
    offline(move || {
        home.remember(|known| {
            known.snapshots.remove(&copy);
        })
    })
    .await
}

/// The labels of a volume; none: there is no such volume.
async fn labels(engine: &Engine, volume: &str) -> Result<Option<Labels>, RuntimeError> {
    match engine.docker.inspect_volume(volume).await {
        Ok(found) => Ok(Some(found.labels)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(told(&format!("look at volume {volume}"), &error)),
    }
}

/// Removes a volume.
pub async fn drop_volume(engine: &Engine, volume: &str) -> Result<(), RuntimeError> {
    match engine.docker.remove_volume(volume, None::<RemoveVolumeOptions>).await {
        Ok(()) => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(told(&format!("remove volume {volume}"), &error)),
    }
}

/// An empty volume under this name.
async fn renew(
    engine: &Engine,
    instance: &Instance,
    volume: &str,
    carries: Labels,
) -> Result<(), RuntimeError> {
    if let Some(found) = labels(engine, volume).await? {
        if whose(Some(&found), &instance.key, &instance.uid) == Whose::Foreign {
            return Err(taken("volume", volume));
        }
        drop_volume(engine, volume).await?;
    }
    let wanted = VolumeCreateRequest {
        name: Some(volume.to_owned()),
        labels: Some(carries),
        ..VolumeCreateRequest::default()
    };
    let made = engine.docker.create_volume(wanted).await;
    made.map(drop).map_err(|error| told(&format!("create volume {volume}"), &error))
}

/// An image of the application that is there: one of a service that mounts the volume, if possible.
async fn image(engine: &Engine, instance: &Instance, name: &str) -> Result<String, RuntimeError> {
    let mounts = |source: &Source| matches!(source, Source::Volume(volume) if volume == name);
    let mut services: Vec<_> = instance.workload.services.iter().collect();
    services.sort_by_key(|service| !service.mounts.iter().any(|mount| mounts(&mount.source)));
    for image in services.iter().filter_map(|service| service.image.as_ref()) {
        if engine.docker.inspect_image(image).await.is_ok() {
            return Ok(image.clone());
        }
    }
    let containers = own_containers(engine, &instance.key, &instance.uid).await?;
    containers.into_iter().find_map(|container| container.image_id).ok_or_else(|| {
        let what =
            format!("volume {name} can't be copied: no image of the application is there to do it with");
        RuntimeError::new(Kind::ImageUnknown, Class::Transient, what)
    })
}

async fn copy(
    engine: &Engine,
    instance: &Instance,
    name: &str,
    (from, to): (&str, &str),
    aid: &Aid<'_>,
) -> Result<(), RuntimeError> {
    let what = format!("copy volume {from} to {to}");
    let mount = |volume: &str, target: &str, read_only| Mount {
        target: Some(target.to_owned()),
        source: Some(volume.to_owned()),
        typ: Some(MountType::VOLUME),
        read_only: Some(read_only),
        // What the image has at that place is no part of the copy.
        volume_options: Some(bollard::models::MountVolumeOptions {
            no_copy: Some(true),
            ..Default::default()
        }),
        ..Mount::default()
    };
    let body = ContainerCreateBody {
        image: Some(image(engine, instance, name).await?),
        entrypoint: Some(vec!["never-started".to_owned()]),
        labels: Some(names::owned(&instance.key, &instance.uid)),
        host_config: Some(HostConfig {
            mounts: Some(vec![mount(from, FROM, true), mount(to, TO, false)]),
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let made = engine.docker.create_container(None::<CreateContainerOptions>, body).await;
    let helper = made.map_err(|error| told(&what, &error))?.id;
    // A helper that a dropped future leaves behind is a stray, and removed as such.
    let poured = pour(engine, &helper, &what, aid).await;
    let removed = remove(engine, &helper, "the copying container").await;
    poured.and(removed)
}

const FROM: &str = "/cocoasyncer-from";
const TO: &str = "/cocoasyncer-to";

async fn pour(engine: &Engine, helper: &str, what: &str, aid: &Aid<'_>) -> Result<(), RuntimeError> {
    let download = DownloadFromContainerOptionsBuilder::new().path(&format!("{FROM}/.")).build();
    let upload = UploadToContainerOptionsBuilder::new().path(TO).copy_uidgid("true").build();
    let done = Arc::new(AtomicU64::new(0));
    let counted = done.clone();
    let archive = engine.docker.download_from_container(helper, Some(download)).map(move |piece| {
        let piece = piece.map_err(std::io::Error::other)?;
        counted.fetch_add(u64::try_from(piece.len()).unwrap_or_default(), Ordering::Relaxed);
        Ok(piece)
    });
    // The answer comes when the last octet is in its place, however long that takes.
    let docker = engine.docker.clone().with_timeout(std::time::Duration::from_secs(24 * 3600));
    let uploaded = docker.upload_to_container(helper, Some(upload), bollard::body_try_stream(archive));
    let mut uploaded = std::pin::pin!(uploaded);
    let mut tick = interval(std::time::Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = &mut uploaded => {
                return ended.map_err(|error| told(what, &error));
            }
            _ = tick.tick() => {
                let done = done.load(Ordering::Relaxed);
                (aid.progress)(Progress { what: what.to_owned(), done, ..Progress::default() });
            }
        }
    }
}
