//! From a service to what the engine is asked to make of it. Pure: the same instance gives the same body.

use std::collections::BTreeMap;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, Mount, MountTmpfsOptions, MountType, MountVolumeOptions, NetworkingConfig,
    PortBinding, PortMap, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};

use super::{engine_only, files, names};
use crate::domain::app::instance::Instance;
use crate::domain::app::workload::{
    Check, Health, Network, Port, Protocol, Restart, Sandbox, Service, Source,
};

/// What a body refers to beside the instance.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// Where the rendered files lie, absolute.
    pub folder: &'a Path,
    /// Ids of the containers that stand already, by service: a joined network is named by one.
    pub containers: &'a BTreeMap<String, String>,
}

impl Place<'_> {
    fn path(&self, relative: &str) -> String {
        self.folder.join(relative).to_string_lossy().trim_end_matches('/').to_owned()
    }

    /// `service:x` as the engine wants it; other modes as they stand.
    fn mode(&self, mode: &str) -> String {
        let joined = mode.strip_prefix("service:").and_then(|service| self.containers.get(service));
        joined.map_or_else(|| mode.to_owned(), |id| format!("container:{id}"))
    }
}

/// The body of a service's container.
pub fn container(instance: &Instance, service: &Service, place: &Place<'_>) -> ContainerCreateBody {
    let own = service.network == Network::Own && service.joins.is_none();
    let joins = service.joins.is_some();
    let (exposed, _) = ports(service);
    let mut body = ContainerCreateBody {
        // A joined network brings its own host name.
        hostname: service.hostname.clone().filter(|_| !joins && service.network != Network::Host),
        user: service.user.clone(),
        exposed_ports: (!joins && !exposed.is_empty()).then_some(exposed),
        tty: service.sandbox.tty.then_some(true),
        open_stdin: service.sandbox.stdin_open.then_some(true),
        env: Some(service.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: service.command.clone(),
        // An empty list leaves the image's in force; a list of one empty word takes it away.
        entrypoint: service.entrypoint.clone().map(|words| match words.is_empty() {
            true => vec![String::new()],
            false => words,
        }),
        healthcheck: health(service),
        image: service.image.clone(),
        working_dir: service.working_dir.clone(),
        labels: Some(names::of_container(instance, service, &place.folder.to_string_lossy())),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.stop_grace.map(|grace| i64::try_from(grace.as_secs()).unwrap_or(i64::MAX)),
        host_config: Some(host(instance, service, place)),
        networking_config: own.then(|| NetworkingConfig {
            endpoints_config: Some(
                [(names::network(&instance.key.name), endpoint(instance, service))].into(),
            ),
        }),
        ..ContainerCreateBody::default()
    };
    engine_only::put(service, &mut body);
    body
}

/// The names under which siblings find a service.
pub fn aliases(instance: &Instance, service: &Service) -> Vec<String> {
    let mut all = vec![service.name.clone(), names::container(&instance.key.name, service)];
    for alias in service.aliases.iter().chain(&service.hostname) {
        if !all.contains(alias) {
            all.push(alias.clone());
        }
    }
    all
}

fn endpoint(instance: &Instance, service: &Service) -> EndpointSettings {
    EndpointSettings { aliases: Some(aliases(instance, service)), ..EndpointSettings::default() }
}

fn host(instance: &Instance, service: &Service, place: &Place<'_>) -> HostConfig {
    let joins = service.joins.is_some();
    let (_, published) = ports(service);
    let (binds, mounts) = mounts(instance, service, place);
    let thousandths = |value: u64| i64::try_from(value.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
    let octets = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let mut host = HostConfig {
        network_mode: Some(match (&service.joins, service.network) {
            (Some(joined), _) => place.mode(&format!("service:{joined}")),
            (None, Network::Own) => names::network(&instance.key.name),
            (None, Network::Host) => "host".to_owned(),
            (None, Network::None) => "none".to_owned(),
        }),
        port_bindings: (!joins && !published.is_empty()).then_some(published),
        binds: (!binds.is_empty()).then_some(binds),
        mounts: (!mounts.is_empty()).then_some(mounts),
        restart_policy: Some(restart(service.restart)),
        nano_cpus: service.limits.cpu.map(thousandths),
        memory: service.limits.memory.map(octets),
        memory_reservation: service.limits.memory_reserved.map(octets),
        shm_size: service.limits.shm.map(octets),
        device_requests: service.limits.gpus.map(|count| {
            vec![DeviceRequest {
                count: Some(count),
                capabilities: Some(vec![vec!["gpu".to_owned()]]),
                ..DeviceRequest::default()
            }]
        }),
        log_config: service.logging.clone().map(|(driver, options)| HostConfigLogConfig {
            typ: Some(driver),
            config: Some(options.into_iter().collect()),
        }),
        ..HostConfig::default()
    };
    if !joins {
        let hosts = service.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}"));
        host.extra_hosts = some(hosts.collect());
        host.dns = some(service.dns.servers.clone());
        host.dns_search = some(service.dns.search.clone());
        host.dns_options = some(service.dns.options.clone());
    }
    sandbox(&service.sandbox, place, &mut host);
    host
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn sandbox(sandbox: &Sandbox, place: &Place<'_>, host: &mut HostConfig) {
    host.privileged = sandbox.privileged.then_some(true);
    host.readonly_rootfs = sandbox.read_only.then_some(true);
    host.init = sandbox.init.then_some(true);
    host.cap_add = some(sandbox.cap_add.clone());
    host.cap_drop = some(sandbox.cap_drop.clone());
    host.group_add = some(sandbox.group_add.clone());
    // Compose writes `key:value`, the engine wants `key=value`.
    let options = sandbox.security_opt.iter().map(|option| match option.contains('=') {
        true => option.clone(),
        false => option.replacen(':', "=", 1),
    });
    host.security_opt = some(options.collect());
    host.sysctls = (!sandbox.sysctls.is_empty()).then(|| sandbox.sysctls.clone().into_iter().collect());
    let limits = sandbox.ulimits.iter().map(|(name, (soft, hard))| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(*soft),
        hard: Some(*hard),
    });
    host.ulimits = some(limits.collect());
    let devices = sandbox.devices.iter().map(|(host, container, rights)| DeviceMapping {
        path_on_host: Some(host.clone()),
        path_in_container: Some(container.clone()),
        cgroup_permissions: Some(if rights.is_empty() { "rwm".to_owned() } else { rights.clone() }),
    });
    host.devices = some(devices.collect());
    let mode = |key: &str| sandbox.namespaces.get(key).map(|mode| place.mode(mode));
    host.pid_mode = mode("pid");
    host.ipc_mode = mode("ipc");
    host.uts_mode = mode("uts");
    host.userns_mode = mode("userns_mode");
    host.cgroupns_mode = mode("cgroup").and_then(|mode| mode.parse().ok());
}

/// The policy by which the engine restarts it.
pub fn restart(restart: Restart) -> RestartPolicy {
    let (name, most) = match restart {
        // What serves comes back by the plan, which sees why it ended.
        Restart::Unsaid | Restart::No => (RestartPolicyNameEnum::NO, None),
        Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Restart::Always => (RestartPolicyNameEnum::ALWAYS, None),
        Restart::OnFailure(most) => (RestartPolicyNameEnum::ON_FAILURE, most.map(i64::from)),
    };
    RestartPolicy { name: Some(name), maximum_retry_count: most }
}

fn health(service: &Service) -> Option<HealthConfig> {
    let check = match service.health {
        Health::Unsaid => return None,
        Health::Off => {
            return Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() });
        }
        Health::Checked => service.check.as_ref()?,
    };
    let Check { command, shell, interval, timeout, retries, start_period, start_interval } = check;
    let nanos =
        |time: &Option<std::time::Duration>| time.and_then(|time| i64::try_from(time.as_nanos()).ok());
    let first = if *shell { "CMD-SHELL" } else { "CMD" };
    Some(HealthConfig {
        test: Some(std::iter::once(first.to_owned()).chain(command.iter().cloned()).collect()),
        interval: nanos(interval),
        timeout: nanos(timeout),
        retries: retries.map(i64::from),
        start_period: nanos(start_period),
        start_interval: nanos(start_interval),
    })
}

/// The engine's word for what a port carries.
pub fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

fn ports(service: &Service) -> (Vec<String>, PortMap) {
    let mut exposed: Vec<String> = service.inner_ports.iter().map(|port| format!("{port}/tcp")).collect();
    let mut published = PortMap::new();
    for Port { host, container, protocol, address } in &service.ports {
        for (nth, port) in (container.first..=container.last).enumerate() {
            let name = format!("{port}/{}", word(*protocol));
            let number =
                host.map(|host| match container.first == container.last && host.first != host.last {
                    // Any free one of them.
                    true => format!("{}-{}", host.first, host.last),
                    false => (usize::from(host.first) + nth).to_string(),
                });
            let binding = PortBinding { host_ip: address.clone(), host_port: number };
            published.entry(name.clone()).or_default().get_or_insert_default().push(binding);
            if !exposed.contains(&name) {
                exposed.push(name);
            }
        }
    }
    (exposed, published)
}

fn mounts(instance: &Instance, service: &Service, place: &Place<'_>) -> (Vec<String>, Vec<Mount>) {
    let (mut binds, mut mounts) = (Vec::new(), Vec::new());
    for mount in &service.mounts {
        let mut made = Mount {
            target: Some(mount.target.clone()),
            read_only: mount.read_only.then_some(true),
            ..Mount::default()
        };
        match &mount.source {
            // As a bind, the engine makes a path of the host that is missing, as compose has it.
            Source::Host(path) => {
                let end = if mount.read_only { ":ro" } else { "" };
                binds.push(format!("{path}:{}{end}", mount.target));
                continue;
            }
            Source::Template(path) => {
                made.typ = Some(MountType::BIND);
                made.source = Some(place.path(path));
            }
            Source::Volume(name) => {
                made.typ = Some(MountType::VOLUME);
                made.source = Some(names::volume(&instance.workload, &instance.key.name, name));
                made.volume_options = mount.subpath.clone().map(|subpath| MountVolumeOptions {
                    subpath: Some(subpath),
                    ..MountVolumeOptions::default()
                });
            }
            Source::Anonymous => made.typ = Some(MountType::VOLUME),
            Source::Memory(size, mode) => {
                made.typ = Some(MountType::TMPFS);
                made.tmpfs_options = Some(MountTmpfsOptions {
                    size_bytes: size.and_then(|size| i64::try_from(size).ok()),
                    mode: mode.map(i64::from),
                    ..MountTmpfsOptions::default()
                });
            }
        }
        mounts.push(made);
    }
    for (nth, content) in service.contents.iter().enumerate() {
        mounts.push(Mount {
            target: Some(content.target.clone()),
            source: Some(place.path(&files::content_path(&service.name, nth))),
            typ: Some(MountType::BIND),
            read_only: Some(true),
            ..Mount::default()
        });
    }
    (binds, mounts)
}

#[cfg(test)]
mod tests;
