//! What stands of an application: facts as the engine tells them. Changes that somebody made by hand to a container show as
//! another digest, so that the plan makes it anew.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary, HealthStatusEnum,
};
use bollard::query_parameters::{
    InspectContainerOptions, InspectNetworkOptions, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};
use jiff::Timestamp;

use super::body::restart;
use super::engine::{Engine, by_label};
use super::error::{clip, is_absent, told};
use super::files::Home;
use super::names::{self, SERVICE_LABEL, Whose, whose};
use super::{logs, offline};
use crate::api::{APP_LABEL, APP_NAMESPACE_LABEL, DIGEST_LABEL};
use crate::domain::app::instance::{AppKey, Instance};
use crate::domain::app::observed::{Container, Observed, State, Wellness};
use crate::domain::app::workload::{Network, Service, Source};
use crate::runtimes::RuntimeError;

/// Looks at everything.
pub async fn observe(engine: &Engine, home: &Home, instance: &Instance) -> Result<Observed, RuntimeError> {
    let mut seen = Observed {
        images: images(engine, instance).await?,
        network: network(engine, instance).await?,
        files: {
            let (home, instance) = (home.clone(), instance.clone());
            offline(move || home.stands(&instance)).await?
        },
        volumes: volumes(engine, instance).await?,
        ..Observed::default()
    };
    for found in own_containers(engine, &instance.key, &instance.uid).await? {
        let id = found.id.clone().unwrap_or_default();
        let label = found.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL));
        let service = label.and_then(|name| instance.workload.service(name));
        let named = |service: &Service| {
            let name = format!("/{}", names::container(&instance.key.name, service));
            found.names.iter().flatten().any(|known| *known == name)
        };
        match service {
            // A renamed one is no sibling's neighbour any more.
            Some(service) if named(service) && !seen.services.contains_key(&service.name) => {
                if let Some(container) = container(engine, instance, service, &id).await? {
                    seen.services.insert(service.name.clone(), container);
                }
            }
            _ => {
                seen.strays.insert(id);
            }
        }
    }
    join_addresses(instance, &mut seen);
    Ok(seen)
}

/// The App's containers, running or not.
pub async fn own_containers(
    engine: &Engine,
    key: &AppKey,
    uid: &str,
) -> Result<Vec<ContainerSummary>, RuntimeError> {
    let listed = engine.containers(&by_key(key)).await?;
    Ok(listed.into_iter().filter(|found| whose(found.labels.as_ref(), key, uid) == Whose::Ours).collect())
}

/// The filter for what carries an App's name and namespace.
pub fn by_key(key: &AppKey) -> std::collections::HashMap<String, Vec<String>> {
    by_label(&[format!("{APP_LABEL}={}", key.name), format!("{APP_NAMESPACE_LABEL}={}", key.namespace)])
}

async fn images(engine: &Engine, instance: &Instance) -> Result<BTreeSet<String>, RuntimeError> {
    let wanted: BTreeSet<&String> =
        instance.workload.services.iter().filter_map(|service| service.image.as_ref()).collect();
    let mut there = BTreeSet::new();
    for image in wanted {
        match engine.docker.inspect_image(image).await {
            Ok(_) => drop(there.insert(image.clone())),
            Err(error) if is_absent(&error) => {}
            // What is no reference at all is told by the pull.
            Err(error) if super::error::status(&error) == Some(400) => {}
            Err(error) => return Err(told(&format!("look for image {image}"), &error)),
        }
    }
    Ok(there)
}

async fn network(engine: &Engine, instance: &Instance) -> Result<bool, RuntimeError> {
    let ours = |labels: &names::Labels| whose(Some(labels), &instance.key, &instance.uid) == Whose::Ours;
    let own = network_labels(engine, &names::network(&instance.key.name)).await?;
    let shared = match &instance.shared_network {
        Some(name) if shares(instance) => network_labels(engine, name).await?.is_some(),
        _ => true,
    };
    Ok(own.is_some_and(|labels| ours(&labels)) && shared)
}

/// Whether the serving service is to be in the shared network.
pub fn shares(instance: &Instance) -> bool {
    let serving = instance.serving.as_ref().and_then(|serving| instance.workload.service(&serving.service));
    serving.is_some_and(|service| service.network == Network::Own && service.joins.is_none())
}

/// The labels of a network; none: there is no such network.
pub async fn network_labels(engine: &Engine, name: &str) -> Result<Option<names::Labels>, RuntimeError> {
    match engine.docker.inspect_network(name, None::<InspectNetworkOptions>).await {
        // An id, or the beginning of one, is found too.
        Ok(found) if found.name.as_deref() == Some(name) => Ok(Some(found.labels.unwrap_or_default())),
        Ok(_) => Ok(None),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) if is_ambiguous(&error) => sole_network(engine, name).await,
        Err(error) => Err(told(&format!("look at network {name}"), &error)),
    }
}

/// Whether the engine has several networks of one name: it makes them where two ask at the same moment.
fn is_ambiguous(error: &bollard::errors::Error) -> bool {
    matches!(error, bollard::errors::Error::DockerResponseServerError { message, .. } if message.contains("ambiguous"))
}

/// The labels of the oldest network of this name; the younger ones of ours go, which nobody can have joined by name.
pub async fn sole_network(engine: &Engine, name: &str) -> Result<Option<names::Labels>, RuntimeError> {
    let options =
        ListNetworksOptionsBuilder::new().filters(&[("name".to_owned(), vec![name.to_owned()])].into());
    let listed = engine.docker.list_networks(Some(options.build())).await;
    let mut same = listed.map_err(|error| told("list networks", &error))?;
    same.retain(|network| network.name.as_deref() == Some(name));
    same.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    let mut all = same.into_iter();
    let oldest = all.next();
    for younger in all {
        let labels = younger.labels.unwrap_or_default();
        let ours = labels.contains_key(names::SHARED_LABEL) || labels.contains_key(APP_LABEL);
        if let Some(id) = younger.id.filter(|_| ours) {
            // Who is in it keeps it: then the name stays ambiguous, and the next look says so.
            let _ = engine.docker.remove_network(&id).await;
        }
    }
    Ok(oldest.map(|network| network.labels.unwrap_or_default()))
}

async fn volumes(engine: &Engine, instance: &Instance) -> Result<BTreeSet<String>, RuntimeError> {
    let options = ListVolumesOptionsBuilder::new().filters(&by_key(&instance.key)).build();
    let listed = engine.docker.list_volumes(Some(options)).await.map_err(|e| told("list volumes", &e))?;
    let listed = listed.volumes.unwrap_or_default();
    let mut there = BTreeSet::new();
    let mounts = instance.workload.services.iter().flat_map(|service| &service.mounts);
    for mount in mounts {
        let Source::Volume(name) = &mount.source else { continue };
        let called = names::volume(&instance.workload, &instance.key.name, name);
        let Some(volume) = listed.iter().find(|volume| volume.name == called) else { continue };
        let whose = whose(Some(&volume.labels), &instance.key, &instance.uid);
        if whose == Whose::Ours || is_free(engine, instance, &called).await? {
            there.insert(name.clone());
        }
    }
    Ok(there)
}

/// Whether no container but this App's uses a volume.
pub async fn is_free(engine: &Engine, instance: &Instance, volume: &str) -> Result<bool, RuntimeError> {
    let users = engine.containers(&[("volume".to_owned(), vec![volume.to_owned()])].into()).await?;
    let ours =
        |user: &ContainerSummary| whose(user.labels.as_ref(), &instance.key, &instance.uid) == Whose::Ours;
    // The engine's filter takes a part of the name for the name.
    let uses = |user: &&ContainerSummary| {
        user.mounts.iter().flatten().any(|mount| mount.name.as_deref() == Some(volume))
    };
    Ok(users.iter().filter(uses).all(ours))
}

async fn container(
    engine: &Engine,
    instance: &Instance,
    service: &Service,
    id: &str,
) -> Result<Option<Container>, RuntimeError> {
    let found = match engine.docker.inspect_container(id, None::<InspectContainerOptions>).await {
        Ok(found) => found,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(told(&format!("look at container {id}"), &error)),
    };
    let state = found.state.clone().unwrap_or_default();
    let config = found.config.clone().unwrap_or_default();
    let label = |name: &str| config.labels.as_ref().and_then(|labels| labels.get(name)).cloned();
    let mut digest = label(DIGEST_LABEL).unwrap_or_default();
    if let Some(changed) = changed(instance, service, &found) {
        digest = format!("{digest}, {changed} by hand");
    }
    let address = found
        .network_settings
        .as_ref()
        .and_then(|net| net.networks.as_ref())
        .and_then(|all| all.get(&names::network(&instance.key.name))?.ip_address.as_ref()?.parse().ok());
    let kind = state_of(&state);
    let last = match (kind, state.exit_code) {
        (State::Restarting, _) => logs::last_line(engine, id).await,
        (State::Exited | State::Dead, code) if code.unwrap_or_default() != 0 => {
            logs::last_line(engine, id).await
        }
        _ => None,
    };
    let trouble = trouble(&state, last).map(|words| clip(&instance.masked(&words)));
    Ok(Some(Container {
        id: id.to_owned(),
        digest,
        image: config.image.unwrap_or_default(),
        state: kind,
        health: health(&state),
        restarts: found.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
        exit: matches!(kind, State::Exited | State::Dead | State::Restarting)
            .then_some(state.exit_code)
            .flatten(),
        started: time(state.started_at.as_deref()),
        ended: time(state.finished_at.as_deref()),
        address,
        trouble,
    }))
}

/// What somebody changed of a container that the engine lets be changed.
fn changed(instance: &Instance, service: &Service, found: &ContainerInspectResponse) -> Option<&'static str> {
    let host = found.host_config.as_ref()?;
    let is = |limit: Option<u64>, unit: u64, now: Option<i64>| {
        let wish = limit.map(|limit| limit.saturating_mul(unit)).unwrap_or_default();
        u64::try_from(now.unwrap_or_default()).ok() == Some(wish)
    };
    if !is(service.limits.cpu, 1_000_000, host.nano_cpus) || !is(service.limits.memory, 1, host.memory) {
        return Some("limits changed");
    }
    let policy = host.restart_policy.as_ref().and_then(|policy| policy.name);
    if policy.is_some_and(|policy| Some(policy) != restart(service.restart).name) {
        return Some("restart policy changed");
    }
    let networks = found.network_settings.as_ref().and_then(|net| net.networks.as_ref());
    let in_own = networks.is_some_and(|all| all.contains_key(&names::network(&instance.key.name)));
    let own = service.network == Network::Own && service.joins.is_none();
    (own && !in_own).then_some("network left")
}

fn state_of(state: &ContainerState) -> State {
    match state.status {
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => State::Running,
        Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
        Some(ContainerStateStatusEnum::EXITED) => State::Exited,
        Some(ContainerStateStatusEnum::DEAD | ContainerStateStatusEnum::REMOVING) => State::Dead,
        _ => State::Created,
    }
}

fn health(state: &ContainerState) -> Option<Wellness> {
    match state.health.as_ref()?.status? {
        HealthStatusEnum::STARTING => Some(Wellness::Starting),
        HealthStatusEnum::HEALTHY => Some(Wellness::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Wellness::Unhealthy),
        HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => None,
    }
}

fn trouble(state: &ContainerState, last: Option<String>) -> Option<String> {
    if state.oom_killed == Some(true) {
        return Some("it used more memory than it may".to_owned());
    }
    if let Some(error) = state.error.as_ref().filter(|error| !error.is_empty()) {
        return Some(error.clone());
    }
    let checks = state.health.as_ref().filter(|health| health.failing_streak.unwrap_or_default() > 0);
    let said = checks.and_then(|health| health.log.as_ref()?.last()?.output.clone());
    last.or(said).filter(|words| !words.trim().is_empty())
}

/// A moment as the engine writes it; the year 1 stands for never.
fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse::<Timestamp>().ok().filter(|time| time.as_second() > 0)
}

/// Who joins another's network has its address.
fn join_addresses(instance: &Instance, seen: &mut Observed) {
    let addresses: BTreeMap<String, _> =
        seen.services.iter().map(|(name, container)| (name.clone(), container.address)).collect();
    for service in &instance.workload.services {
        let joined = service.joins.as_ref().and_then(|joined| addresses.get(joined)).copied().flatten();
        if let (Some(container), Some(address)) = (seen.services.get_mut(&service.name), joined) {
            container.address = Some(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_times_and_troubles_are_the_engines() {
        assert_eq!(time(Some("0001-01-01T00:00:00Z")), None);
        assert_eq!(time(Some("2026-11-21T15:15:36.451412123Z")).unwrap().as_second(), 1_795_274_136);
        let state = ContainerState {
            status: Some(ContainerStateStatusEnum::EXITED),
            oom_killed: Some(true),
            error: Some("x".into()),
            ..ContainerState::default()
        };
        assert_eq!(state_of(&state), State::Exited);
        assert!(trouble(&state, Some("last".into())).unwrap().contains("memory"));
        let state = ContainerState { oom_killed: None, ..state };
        assert_eq!(trouble(&state, Some("last".into())).as_deref(), Some("x"));
        let state = ContainerState { error: None, ..state };
        assert_eq!(trouble(&state, Some("last".into())).as_deref(), Some("last"));
        assert_eq!(trouble(&state, None), None);
    }
}
