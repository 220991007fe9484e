//! Removes what is an App's, by its marks alone: the template may be gone. What should go and can't is told.

use std::collections::BTreeSet;

use bollard::models::VolumeListResponse;
use bollard::query_parameters::{
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveImageOptionsBuilder,
};

use super::engine::{Engine, by_label};
use super::error::{status, told};
use super::files::Home;
use super::names::{SHARED_LABEL, Whose, whose};
use super::observe::{by_key, own_containers};
use super::steps::{remove, stop};
use super::{offline, pull, snapshot};
use crate::domain::app::instance::AppKey;
use crate::runtimes::{Clear, RuntimeError};

/// Removes it all; answers what was left, and why.
pub async fn clear(
    engine: &Engine,
    home: &Home,
    key: &AppKey,
    uid: &str,
    what: Clear,
) -> Result<Vec<String>, RuntimeError> {
    let mut left = Vec::new();
    let known = {
        let home = home.clone();
        offline(move || home.remembered()).await
    };
    let mut images = known.map(|known| known.images).unwrap_or_default();
    for container in own_containers(engine, key, uid).await? {
        let id = container.id.unwrap_or_default();
        let name = container.names.and_then(|names| names.into_iter().next()).unwrap_or_else(|| id.clone());
        images.extend(container.image);
        stop(engine, &id, &name, None).await?;
        remove(engine, &id, &name).await?;
    }
    networks(engine, key, uid, &mut left).await?;
    // What is kept because it shall be is no failure: a later install of the name takes the volumes over.
    if what.data {
        volumes(engine, key, &mut left).await?;
    }
    if what.images {
        remove_images(engine, &images).await?;
    }
    // Last: it remembers which images are the App's, should one of the others fail.
    let home = home.clone();
    match offline(move || home.clear(what.data)).await {
        Ok(_) => {}
        // Somebody else's folder was never ours.
        Err(error) if error.kind == crate::runtimes::Kind::NameTaken => {}
        Err(error) => return Err(error),
    }
    Ok(left)
}

async fn networks(
    engine: &Engine,
    key: &AppKey,
    uid: &str,
    left: &mut Vec<String>,
) -> Result<(), RuntimeError> {
    let list = async |filter| {
        let options = ListNetworksOptionsBuilder::new().filters(&filter).build();
        engine.docker.list_networks(Some(options)).await.map_err(|error| told("list networks", &error))
    };
    for network in list(by_key(key)).await? {
        let name = network.name.unwrap_or_default();
        if whose(network.labels.as_ref(), key, uid) == Whose::Ours && !remove_network(engine, &name).await? {
            left.push(format!("network {name}: containers of others are in it"));
        }
    }
    // The shared one goes with its last user, stopped ones counted.
    for network in list(by_label(&[format!("{SHARED_LABEL}=true")])).await? {
        let name = network.name.unwrap_or_default();
        let users = engine.containers(&[("network".to_owned(), vec![name.clone()])].into()).await?;
        if users.is_empty() {
            remove_network(engine, &name).await?;
        }
    }
    Ok(())
}

/// Whether it is gone.
async fn remove_network(engine: &Engine, name: &str) -> Result<bool, RuntimeError> {
    match engine.docker.remove_network(name).await {
        Ok(()) => Ok(true),
        Err(error) if status(&error) == Some(404) => Ok(true),
        Err(error) if matches!(status(&error), Some(403 | 409)) => Ok(false),
        Err(error) => Err(told(&format!("remove network {name}"), &error)),
    }
}

/// Volumes of any App that had this name: who adopted them may remove them.
async fn volumes(engine: &Engine, key: &AppKey, left: &mut Vec<String>) -> Result<(), RuntimeError> {
    let options = ListVolumesOptionsBuilder::new().filters(&by_key(key)).build();
    let VolumeListResponse { volumes, .. } =
        engine.docker.list_volumes(Some(options)).await.map_err(|error| told("list volumes", &error))?;
    for volume in volumes.unwrap_or_default() {
        let name = volume.name;
        match snapshot::drop_volume(engine, &name).await {
            Ok(()) => {}
            Err(error) if in_use(&error) => {
                left.push(format!("volume {name}: a container of somebody else uses it"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn in_use(error: &RuntimeError) -> bool {
    error.what.contains("in use")
}

/// Removes the images that nobody else uses; the others stay, as they should.
async fn remove_images(engine: &Engine, images: &BTreeSet<String>) -> Result<(), RuntimeError> {
    for image in images {
        let used = match engine.docker.inspect_image(image).await {
            Ok(found) => {
                let id = found.id.unwrap_or_default();
                let users = engine.containers(&Default::default()).await?;
                users.iter().any(|user| user.image_id.as_deref() == Some(&id))
            }
            Err(error) if pull::is_gone(&error) => continue,
            Err(error) => return Err(told(&format!("look for image {image}"), &error)),
        };
        if used {
            continue;
        }
        let options = RemoveImageOptionsBuilder::new().build();
        match engine.docker.remove_image(image, Some(options), None).await {
            Ok(_) => {}
            Err(error) if pull::is_gone(&error) => {}
            Err(error) if status(&error) == Some(409) => {}
            Err(error) => return Err(told(&format!("remove image {image}"), &error)),
        }
    }
    Ok(())
}
