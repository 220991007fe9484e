//! What people see of an instance: who serves them, at which ports and address, and with which first login.

use crate::api::app::PublishedPort;
use crate::domain::app::env_file::Env;
use crate::domain::app::fill::Order;
use crate::domain::app::fill::ports::Slot;
use crate::domain::app::fill::variables::{Known, host};
use crate::domain::app::instance::Serving;
use crate::domain::app::metadata::Dialect;
use crate::domain::app::verdict::Backend;
use crate::domain::app::workload::{Port, Protocol, Range, Workload};
use crate::domain::secret::Secret;

/// What people see.
#[derive(Default)]
pub struct Seen {
    /// Who serves.
    pub serving: Option<Serving>,
    /// The host's ports, the web port first.
    pub ports: Vec<PublishedPort>,
    /// The network that the host's applications share.
    pub shared_network: Option<String>,
    /// Where people reach it.
    pub url: Option<String>,
    /// Where its administrator logs in.
    pub admin_url: Option<String>,
    /// Its first user.
    pub user_name: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
}

/// More than this of one application's ports is no news to anybody.
const MOST_PORTS: usize = 256;

impl Seen {
    /// Looks at what was filled.
    pub fn of(known: &Known, env: &Env, workload: &Workload, slots: &[Slot], order: &Order<'_>) -> Self {
        let value = |key: &str| shown(env, key).filter(|value| !value.is_empty());
        let serving = serving(known.dialect, env, workload, slots);
        let mut ports = published(workload, slots);
        let is_web = |port: &PublishedPort| {
            let serving = serving.as_ref().and_then(|serving| serving.host);
            port.protocol == "TCP" && Some(port.host) == serving
        };
        ports.sort_by_key(|port| !is_web(port));
        ports.truncate(MOST_PORTS);
        let url = serving.as_ref().and_then(|serving| url(serving, env, order));
        let Some(dialect) = known.dialect else { return Self { serving, ports, url, ..Self::default() } };
        let [user, password, path] = dialect.login();
        let admin_url = url.as_ref().zip(value(path)).map(|(url, path)| {
            let slash = if path.starts_with('/') { "" } else { "/" };
            format!("{url}{slash}{path}")
        });
        let made = value(dialect.password()).filter(|_| known.has(dialect.password()));
        Self {
            serving,
            ports,
            shared_network: value(dialect.network()).filter(|name| is_network(name)),
            url,
            admin_url,
            user_name: value(user),
            password: value(password).or(made).map(Secret::new),
        }
    }
}

/// A value as people read it: a reference that single quotes kept from being one is followed.
fn shown(env: &Env, key: &str) -> Option<String> {
    let value = env.get(key)?;
    let name = value.strip_prefix('$').map(|name| name.trim_matches(['{', '}']));
    let referred = name.and_then(|name| env.get(name)).unwrap_or(value);
    Some(referred.to_owned())
}

/// A network that applications may share: not one of the engine's own, and a name that it takes.
fn is_network(name: &str) -> bool {
    let reserved = ["host", "none", "bridge", "default", "ingress"];
    crate::domain::app::compose::values::is_container_name(name) && !reserved.contains(&name)
}

fn serving(dialect: Option<Dialect>, env: &Env, workload: &Workload, slots: &[Slot]) -> Option<Serving> {
    let number = |key: &str| env.get(key).and_then(|value| value.parse::<u16>().ok());
    let is_w9 = dialect == Some(Dialect::W9);
    let web = number("W9_HTTP_PORT").filter(|_| is_w9);
    let secure = number("W9_HTTPS_PORT").filter(|_| is_w9 && web.is_none());
    let names_web = dialect.is_some_and(|dialect| {
        env.get(dialect.web_host_port()).is_some() || env.get(dialect.url().0).is_some()
    });
    let http = web.is_some() || secure.is_none() && names_web;
    let holds = |range: Range, port: u16| (range.first..=range.last).contains(&port);
    if let Some(port) = web.or(secure) {
        for service in &workload.services {
            let tcp = service.ports.iter().filter(|it| it.protocol == Protocol::Tcp);
            if let Some(it) = tcp.into_iter().find(|it| holds(it.container, port)) {
                let host = outer(it, port);
                return Some(Serving { service: service.name.clone(), port, host, http });
            }
        }
    }
    let chosen = |slot: &&Slot| slot.variable.as_deref() == dialect.map(Dialect::web_host_port);
    let by_variable = slots.iter().find(|slot| slot.variable.is_some() && chosen(slot));
    let by_variable = by_variable.and_then(|slot| {
        let service = workload.services.get(slot.service)?;
        Some((service, service.ports.get(slot.port)?))
    });
    let inner = web.or(secure).and_then(|port| {
        let service = workload.services.iter().find(|service| service.inner_ports.contains(&port))?;
        Some(Serving { service: service.name.clone(), port, host: None, http })
    });
    let all = workload.services.iter().flat_map(|service| service.ports.iter().map(move |it| (service, it)));
    let first = || all.into_iter().find(|(_, port)| port.protocol == Protocol::Tcp);
    let published = |(service, it): (&crate::domain::app::workload::Service, &Port)| {
        let port = it.container.first;
        Serving { service: service.name.clone(), port, host: outer(it, port), http }
    };
    by_variable.map(published).or(inner).or_else(|| first().map(published))
}

/// The host's number for `port` of the container.
fn outer(port: &Port, number: u16) -> Option<u16> {
    let host = port.host?;
    let offset = if host.first == host.last { 0 } else { number.saturating_sub(port.container.first) };
    host.first.checked_add(offset)
}

fn published(workload: &Workload, slots: &[Slot]) -> Vec<PublishedPort> {
    let mut published = Vec::new();
    for slot in slots {
        let service = workload.services.get(slot.service);
        let Some(port) = service.and_then(|service| service.ports.get(slot.port)) else { continue };
        let protocol = match port.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        };
        for container in port.container.first..=port.container.last {
            let Some(host) = outer(port, container) else { continue };
            let variable = slot.variable.clone();
            let port = PublishedPort { variable, host, container, protocol: protocol.to_owned() };
            if MOST_PORTS <= published.len() {
                return published;
            }
            if !published.contains(&port) {
                published.push(port);
            }
        }
    }
    published
}

/// Where people reach what serves, where that is a web page. A cluster serves a domain on its own ports and nothing else; on
/// an engine's host nothing stands in front of the published port.
fn url(serving: &Serving, env: &Env, order: &Order<'_>) -> Option<String> {
    let secure =
        !serving.http && env.get("W9_HTTPS_PORT").is_some_and(|port| *port == serving.port.to_string());
    let (scheme, usual) = match (serving.http, secure) {
        (true, _) => ("http", 80),
        (_, true) => ("https", 443),
        _ => return None,
    };
    if order.backend == Backend::Kubernetes {
        return order.domain.map(|domain| format!("{scheme}://{domain}"));
    }
    let name = host(order.domain.or(order.host)?);
    match serving.host? {
        port if port == usual => Some(format!("{scheme}://{name}")),
        port => Some(format!("{scheme}://{name}:{port}")),
    }
}
