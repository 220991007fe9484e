//! Ports of the host that are in use: what listens, as the kernel lists it, and what the engine's containers publish,
//! those that are stopped included, for they want their ports back.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, PortMap, PortSummaryTypeEnum};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};

use super::error::{status, told};
use crate::api::{APP_LABEL, APP_NAMESPACE_LABEL};
use crate::domain::app::instance::AppKey;
use crate::domain::app::workload::Protocol;
use crate::runtimes::RuntimeError;

/// A set of ports.
pub type Ports = BTreeSet<(u16, Protocol)>;

/// Longest that a look at one container may take. Its ports are not known then: should one be taken, the start says so.
const LOOK: Duration = Duration::from_secs(2);

/// The kernel's lists below `/proc/net`.
const LISTS: [(&str, Protocol); 4] =
    [("tcp", Protocol::Tcp), ("tcp6", Protocol::Tcp), ("udp", Protocol::Udp), ("udp6", Protocol::Udp)];

/// All ports in use but those on which only `key`'s running containers listen.
pub async fn taken(docker: &Docker, proc: &Path, key: &AppKey) -> Result<Ports, RuntimeError> {
    let (own, others) = published(docker, key).await?;
    let listening: Ports = LISTS
        .iter()
        .filter_map(|(list, protocol)| {
            let text = std::fs::read_to_string(proc.join("net").join(list)).ok()?;
            Some(listening(&text, *protocol))
        })
        .flatten()
        .collect();
    // The engine listens for its containers, so the App's own ports stand in the kernel's lists too.
    Ok(listening.difference(&own).chain(&others).copied().collect())
}

/// Sockets that wait for others, from one of the kernel's lists.
pub fn listening(text: &str, protocol: Protocol) -> Ports {
    let row = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
        let port = |at: &str| u16::from_str_radix(at.rsplit(':').next()?, 16).ok();
        let waits = match protocol {
            Protocol::Tcp => state == "0A",
            // A datagram socket that is connected is an asker's.
            _ => port(remote)? == 0,
        };
        let port = port(local)?;
        (waits && port != 0).then_some((port, protocol))
    };
    text.lines().skip(1).filter_map(row).collect()
}

/// What the App's containers publish, and what all others do.
async fn published(docker: &Docker, key: &AppKey) -> Result<(Ports, Ports), RuntimeError> {
    let what = "list containers";
    let all = ListContainersOptionsBuilder::new().all(true).build();
    let listed = docker.list_containers(Some(all)).await.map_err(|error| told(what, &error))?;
    let (mut own, mut others) = (Ports::new(), Ports::new());
    for container in listed {
        let (mine, runs) =
            (is_of(&container, key), container.state == Some(ContainerSummaryStateEnum::RUNNING));
        // What listens on the ports of a container that does not run is somebody else.
        if mine && !runs {
            continue;
        }
        let into = if mine { &mut own } else { &mut others };
        let ports = container.ports.unwrap_or_default();
        into.extend(ports.iter().filter_map(|port| {
            let protocol = match port.typ {
                Some(PortSummaryTypeEnum::UDP) => Protocol::Udp,
                Some(PortSummaryTypeEnum::SCTP) => Protocol::Sctp,
                _ => Protocol::Tcp,
            };
            Some((port.public_port?, protocol))
        }));
        if runs {
            continue;
        }
        // Only what runs is listed with its ports.
        let id = container.id.unwrap_or_default();
        let asked = docker.inspect_container(&id, None::<InspectContainerOptions>);
        // A container that somebody copies files from, or that hangs, is locked, be it anybody's: that holds up nobody.
        let Ok(found) = tokio::time::timeout(LOOK, asked).await else { continue };
        match found {
            Ok(found) => {
                let wanted = found.host_config.and_then(|host| host.port_bindings).unwrap_or_default();
                into.extend(bound(&wanted));
            }
            // It went meanwhile, or the engine itself can't read it.
            Err(error) if status(&error).is_some() => {}
            Err(error) => return Err(told(what, &error)),
        }
    }
    Ok((own, others))
}

fn is_of(container: &ContainerSummary, key: &AppKey) -> bool {
    let label = |name: &str| {
        let labels: Option<&HashMap<String, String>> = container.labels.as_ref();
        labels.and_then(|labels| labels.get(name)).map(String::as_str)
    };
    label(APP_LABEL) == Some(&key.name) && label(APP_NAMESPACE_LABEL) == Some(&key.namespace)
}

/// The host's ports of a container's wishes.
fn bound(wanted: &PortMap) -> Ports {
    let mut ports = Ports::new();
    for (port, bindings) in wanted {
        let protocol = match port.rsplit('/').next() {
            Some("udp") => Protocol::Udp,
            Some("sctp") => Protocol::Sctp,
            _ => Protocol::Tcp,
        };
        let numbers = bindings.iter().flatten().filter_map(|binding| binding.host_port.as_deref());
        ports.extend(numbers.filter_map(|number| Some((number.parse().ok()?, protocol))));
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
        0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n\
        1: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2\n\
        2: 0100007F:9C40 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 3\n\
        3: broken\n";
    const UDP6: &str = "  sl  local_address rem_address st\n\
        0: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 0:0\n\
        1: 00000000000000000000000001000000:A000 00000000000000000000000001000000:0035 01 0:0\n";

    #[test]
    fn who_listens_is_read_from_the_kernels_lists() {
        assert_eq!(listening(TCP, Protocol::Tcp), [(8080, Protocol::Tcp), (80, Protocol::Tcp)].into());
        assert_eq!(listening(UDP6, Protocol::Udp), [(53, Protocol::Udp)].into());
        assert!(listening("", Protocol::Tcp).is_empty());
    }

    #[test]
    fn a_stopped_container_still_wants_its_ports() {
        let binding =
            |port: &str| bollard::models::PortBinding { host_ip: None, host_port: Some(port.into()) };
        let wanted: PortMap = [
            ("80/tcp".to_owned(), Some(vec![binding("8080"), binding("")])),
            ("53/udp".to_owned(), Some(vec![binding("5353")])),
            ("9/tcp".to_owned(), None),
        ]
        .into();
        assert_eq!(bound(&wanted), [(8080, Protocol::Tcp), (5353, Protocol::Udp)].into());
    }
}
