//! Copies of volumes, through the engine's API alone: containers of the application's own image, made and never started,
//! mount one each, and the archive of the one is poured into the other. A copy counts when it is complete; till then it is made
//! anew. Whoever writes to the volume should be stopped first: that is the plan's matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, VolumeCreateRequest,
};
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
    let image = image(engine, instance, name).await?;
    // Two of them: the engine holds a container locked while it reads or writes its archive. What a dropped future leaves
    // behind is a stray, and removed as such.
    let reader = helper(engine, instance, &image, (from, FROM), &what).await?;
    let poured = match helper(engine, instance, &image, (to, TO), &what).await {
        Ok(writer) => {
            let poured = pour(engine, (&reader, &writer), &what, aid).await;
            let removed = remove(engine, &writer, "the copying container").await;
            poured.and(removed)
        }
        Err(error) => Err(error),
    };
    let removed = remove(engine, &reader, "the copying container").await;
    poured.and(removed)
}

/// A container that is never started and has a volume at a place.
async fn helper(
    engine: &Engine,
    instance: &Instance,
    image: &str,
    (volume, target): (&str, &str),
    what: &str,
) -> Result<String, RuntimeError> {
    let mount = Mount {
        target: Some(target.to_owned()),
        source: Some(volume.to_owned()),
        typ: Some(MountType::VOLUME),
        // What the image has at that place is no part of the copy.
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    };
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec!["never-started".to_owned()]),
        labels: Some(names::owned(&instance.key, &instance.uid)),
        host_config: Some(HostConfig {
            mounts: Some(vec![mount]),
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let made = engine.docker.create_container(None::<CreateContainerOptions>, body).await;
    Ok(made.map_err(|error| told(what, &error))?.id)
}

/// Where the helpers have the volumes: under one name each, so that an archive of one brings the mode and owner of its
/// root to the other (the engine passes over those of a `.`).
const FROM: &str = "/cocoasyncer/from/volume";
const TO: &str = "/cocoasyncer/to/volume";
const INTO: &str = "/cocoasyncer/to";

async fn pour(
    engine: &Engine,
    (reader, writer): (&str, &str),
    what: &str,
    aid: &Aid<'_>,
) -> Result<(), RuntimeError> {
    let download = DownloadFromContainerOptionsBuilder::new().path(FROM).build();
    let upload = UploadToContainerOptionsBuilder::new().path(INTO).copy_uidgid("true").build();
    let done = Arc::new(AtomicU64::new(0));
    let counted = done.clone();
    let archive = engine.docker.download_from_container(reader, Some(download)).map(move |piece| {
        let piece = piece.map_err(std::io::Error::other)?;
        counted.fetch_add(u64::try_from(piece.len()).unwrap_or_default(), Ordering::Relaxed);
        Ok(piece)
    });
    // The answer comes when the last octet is in its place, however long that takes.
    let docker = engine.docker.clone().with_timeout(std::time::Duration::from_secs(24 * 3600));
    let uploaded = docker.upload_to_container(writer, Some(upload), bollard::body_try_stream(archive));
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
