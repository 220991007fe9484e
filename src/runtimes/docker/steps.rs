//! One step at a time, each of which may be taken again: what stands already is left, what is half made is finished, and
//! what stands under our names without our marks is never touched.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::ClientVersion;
use bollard::models::{EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptions,
};

use super::body::{self, Place};
use super::engine::{DEADLINE, Engine};
use super::error::{is_absent, status, taken, told};
use super::files::Home;
use super::names::{self, SHARED_LABEL, Whose, whose};
use super::observe::{is_free, network_labels, own_containers, shares, sole_network};
use super::{offline, pull, snapshot, subnets};
use crate::api::DIGEST_LABEL;
use crate::domain::app::instance::Instance;
use crate::domain::app::plan::Step;
use crate::domain::app::workload::Service;
use crate::domain::retry::Class;
use crate::runtimes::{Aid, Kind, RuntimeError};

/// The version of the API from which on a folder of a volume can be mounted; earlier ones mount all of it, unasked.
const SUBPATHS: ClientVersion = ClientVersion { major_version: 1, minor_version: 45 };

/// Takes `step`.
pub async fn step(
    engine: &Engine,
    home: &Home,
    instance: &Instance,
    step: &Step,
    aid: &Aid<'_>,
) -> Result<(), RuntimeError> {
    match step {
        Step::Files => {
            let (home, instance) = (home.clone(), instance.clone());
            offline(move || home.write(&instance)).await
        }
        Step::Network => network(engine, instance).await,
        Step::Volume(name) => volume(engine, instance, name).await,
        Step::Pull(image) => {
            let uses = |service: &&Service| service.image.as_deref() == Some(image);
            let user = instance.workload.services.iter().find(uses);
            let platform = user.and_then(|service| service.platform.as_deref());
            pull::pull(engine, image, platform, aid).await?;
            // An uninstall finds by this what no container shows yet.
            let (home, image) = (home.clone(), image.clone());
            offline(move || {
                home.remember(|known| {
                    known.images.insert(image);
                })
            })
            .await
        }
        Step::Create(name) => create(engine, home, instance, service(instance, name)?).await,
        Step::Start(name) => start(engine, home, instance, service(instance, name)?).await,
        Step::Stop(name) => {
            let service = service(instance, name)?;
            match own(engine, instance, service).await? {
                Some(id) => stop(engine, &id, name, service.stop_grace).await,
                None => Ok(()),
            }
        }
        Step::Remove(name) => match own(engine, instance, service(instance, name)?).await? {
            Some(id) => remove(engine, &id, name).await,
            None => Ok(()),
        },
        Step::RemoveStray(id) => {
            let strays = own_containers(engine, &instance.key, &instance.uid).await?;
            if !strays.iter().any(|found| found.id.as_deref() == Some(id)) {
                return Ok(());
            }
            stop(engine, id, id, None).await?;
            remove(engine, id, id).await
        }
        Step::Snapshot(name, label) => snapshot::take(engine, home, instance, name, label, aid).await,
        Step::Restore(name, label) => snapshot::restore(engine, home, instance, name, label, aid).await,
        Step::DropSnapshot(name, label) => snapshot::forget(engine, home, instance, name, label).await,
        Step::Apply => {
            let what = "objects are applied to clusters, and this is a Docker engine";
            Err(RuntimeError::new(Kind::Other, Class::Bug, what))
        }
    }
}

fn service<'a>(instance: &'a Instance, name: &str) -> Result<&'a Service, RuntimeError> {
    let missing = || {
        RuntimeError::new(
            Kind::Other,
            Class::Bug,
            format!("the application has no service {name} to work on"),
        )
    };
    instance.workload.service(name).ok_or_else(missing)
}

async fn network(engine: &Engine, instance: &Instance) -> Result<(), RuntimeError> {
    let name = names::network(&instance.key.name);
    make_network(engine, &name, names::of_network(instance)).await?;
    let labels = network_labels(engine, &name).await?;
    if whose(labels.as_ref(), &instance.key, &instance.uid) != Whose::Ours {
        return Err(taken("network", &name));
    }
    match &instance.shared_network {
        // Whoever made it, it is the host's.
        Some(shared) if shares(instance) => {
            make_network(engine, shared, [(SHARED_LABEL.to_owned(), "true".to_owned())].into()).await
        }
        _ => Ok(()),
    }
}

async fn make_network(engine: &Engine, name: &str, labels: names::Labels) -> Result<(), RuntimeError> {
    if network_labels(engine, name).await?.is_some() {
        return Ok(());
    }
    let wanted = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        attachable: Some(true),
        labels: Some(labels),
        ..NetworkCreateRequest::default()
    };
    match engine.docker.create_network(wanted.clone()).await {
        Ok(_) => {
            // Another install may have made one of the same name at the same moment.
            sole_network(engine, name).await?;
            Ok(())
        }
        Err(error) if subnets::are_used_up(&error) => subnets::create(engine, &wanted).await,
        // Another install made it meanwhile.
        Err(error) if status(&error) == Some(409) => Ok(()),
        Err(error) => Err(told(&format!("create network {name}"), &error)),
    }
}

async fn volume(engine: &Engine, instance: &Instance, name: &str) -> Result<(), RuntimeError> {
    let known = instance.workload.volumes.get(name).cloned().unwrap_or_default();
    if known.external {
        return Ok(());
    }
    let called = names::volume(&instance.workload, &instance.key.name, name);
    // The engine answers a second creation with what is there, whoever made it; its labels tell.
    let wanted = VolumeCreateRequest {
        name: Some(called.clone()),
        driver: known.driver,
        driver_opts: Some(known.options.into_iter().collect()),
        labels: Some(names::of_volume(instance, name)),
        ..VolumeCreateRequest::default()
    };
    let what = format!("create volume {called}");
    let volume = match engine.docker.create_volume(wanted).await {
        Ok(volume) => volume,
        // It is there with another driver.
        Err(error) if status(&error) == Some(409) => return Err(taken("volume", &called)),
        Err(error) => return Err(told(&what, &error)),
    };
    match whose(Some(&volume.labels), &instance.key, &instance.uid) {
        Whose::Ours => Ok(()),
        Whose::Former if is_free(engine, instance, &called).await? => Ok(()),
        Whose::Former | Whose::Foreign => Err(taken("volume", &called)),
    }
}

/// The id of a service's container, where it is this App's.
async fn own(
    engine: &Engine,
    instance: &Instance,
    service: &Service,
) -> Result<Option<String>, RuntimeError> {
    Ok(find(engine, instance, service).await?.map(|(id, _)| id))
}

/// Its id and digest. A foreign container under the name is an error.
async fn find(
    engine: &Engine,
    instance: &Instance,
    service: &Service,
) -> Result<Option<(String, String)>, RuntimeError> {
    let name = names::container(&instance.key.name, service);
    let found = match engine.docker.inspect_container(&name, None::<InspectContainerOptions>).await {
        Ok(found) => found,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(told(&format!("look at container {name}"), &error)),
    };
    // An id, or the beginning of one, is found too.
    if found.name.as_deref() != Some(&format!("/{name}")) {
        return Ok(None);
    }
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    if whose(Some(&labels), &instance.key, &instance.uid) != Whose::Ours {
        return Err(taken("container", &name));
    }
    let digest = labels.get(DIGEST_LABEL).cloned().unwrap_or_default();
    Ok(Some((found.id.unwrap_or_default(), digest)))
}

async fn create(
    engine: &Engine,
    home: &Home,
    instance: &Instance,
    service: &Service,
) -> Result<(), RuntimeError> {
    let name = names::container(&instance.key.name, service);
    if let Some((id, digest)) = find(engine, instance, service).await? {
        if Some(&digest) == instance.digests.get(&service.name) {
            return connect(engine, instance, service, &id).await;
        }
        stop(engine, &id, &service.name, service.stop_grace).await?;
        remove(engine, &id, &service.name).await?;
    }
    let part = service.mounts.iter().find(|mount| mount.subpath.is_some());
    if let Some(mount) = part.filter(|_| engine.docker.client_version() < SUBPATHS) {
        let what = format!(
            "{name}: this Docker engine is too old to mount a folder of a volume at {}: it needs version 26",
            mount.target
        );
        return Err(RuntimeError::new(Kind::Refused, Class::User, what));
    }
    check_binds(home, instance, service).await?;
    let mut containers = BTreeMap::new();
    for other in instance.workload.services.iter().filter(|other| other.name != service.name) {
        if refers(service, &other.name)
            && let Some(id) = own(engine, instance, other).await?
        {
            containers.insert(other.name.clone(), id);
        }
    }
    let body = body::container(instance, service, &Place { folder: home.path(), containers: &containers });
    let mut options = CreateContainerOptionsBuilder::new().name(&name);
    if let Some(platform) = &service.platform {
        options = options.platform(platform);
    }
    let made = engine.docker.create_container(Some(options.build()), body).await;
    let made = made.map_err(|error| told(&format!("create container {name}"), &error))?;
    connect(engine, instance, service, &made.id).await
}

fn refers(service: &Service, other: &str) -> bool {
    let modes = service.sandbox.namespaces.values();
    service.joins.as_deref() == Some(other)
        || modes.into_iter().any(|mode| mode.strip_prefix("service:") == Some(other))
}

async fn check_binds(home: &Home, instance: &Instance, service: &Service) -> Result<(), RuntimeError> {
    let (home, instance, name) = (home.clone(), instance.clone(), service.name.clone());
    offline(move || home.check_binds(&instance, &name)).await
}

/// Puts the serving service's container into the shared network, under its container name only: two applications'
/// services may have one name.
async fn connect(
    engine: &Engine,
    instance: &Instance,
    service: &Service,
    id: &str,
) -> Result<(), RuntimeError> {
    let serves = instance.serving.as_ref().is_some_and(|serving| serving.service == service.name);
    let Some(shared) = instance.shared_network.as_ref().filter(|_| serves && shares(instance)) else {
        return Ok(());
    };
    let what = format!("connect {} to network {shared}", service.name);
    let found = engine.docker.inspect_container(id, None::<InspectContainerOptions>).await;
    let networks = found.map_err(|error| told(&what, &error))?.network_settings.and_then(|net| net.networks);
    if networks.is_some_and(|all| all.contains_key(shared)) {
        return Ok(());
    }
    make_network(engine, shared, [(SHARED_LABEL.to_owned(), "true".to_owned())].into()).await?;
    let wanted = NetworkConnectRequest {
        container: id.to_owned(),
        endpoint_config: Some(EndpointSettings {
            aliases: Some(vec![names::container(&instance.key.name, service)]),
            ..EndpointSettings::default()
        }),
    };
    engine.docker.connect_network(shared, wanted).await.map_err(|error| told(&what, &error))
}

async fn start(
    engine: &Engine,
    home: &Home,
    instance: &Instance,
    service: &Service,
) -> Result<(), RuntimeError> {
    let name = names::container(&instance.key.name, service);
    let Some(id) = own(engine, instance, service).await? else {
        let what = format!("start {name}: it is not there yet");
        return Err(RuntimeError::new(Kind::Other, Class::Transient, what));
    };
    // The engine looks the sources up again at each start.
    check_binds(home, instance, service).await?;
    connect(engine, instance, service, &id).await?;
    match engine.docker.start_container(&id, None::<StartContainerOptions>).await {
        Ok(()) => Ok(()),
        Err(error) if status(&error) == Some(304) => Ok(()),
        // Somebody paused it by hand, and the engine starts no such one.
        Err(error) if error.to_string().contains("paused") => {
            let what = format!("unpause container {name}");
            engine.docker.unpause_container(&id).await.map_err(|error| told(&what, &error))
        }
        Err(error) => {
            // It knows its networks by ids, and one that somebody made anew has another: so must the container be.
            if is_absent(&error) && error.to_string().contains("network") {
                remove(engine, &id, &name).await?;
            }
            Err(told(&format!("start container {name}"), &error))
        }
    }
}

/// Stops a container and waits until it has ended.
pub async fn stop(
    engine: &Engine,
    id: &str,
    name: &str,
    grace: Option<Duration>,
) -> Result<(), RuntimeError> {
    // The engine answers when it has ended.
    let docker = engine.docker.clone().with_timeout(DEADLINE + grace.unwrap_or_default());
    match docker.stop_container(id, None::<StopContainerOptions>).await {
        Ok(()) => Ok(()),
        Err(error) if matches!(status(&error), Some(304 | 404)) => Ok(()),
        Err(error) => Err(told(&format!("stop {name}"), &error)),
    }
}

/// Removes a container with the volumes that live as long as it does.
pub async fn remove(engine: &Engine, id: &str, name: &str) -> Result<(), RuntimeError> {
    let options = RemoveContainerOptionsBuilder::new().v(true).force(true).build();
    match engine.docker.remove_container(id, Some(options)).await {
        Ok(()) => Ok(()),
        // Gone, or somebody removes it at this moment.
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) if status(&error) == Some(409) && error.to_string().contains("in progress") => Ok(()),
        Err(error) => Err(told(&format!("remove container {name}"), &error)),
    }
}
