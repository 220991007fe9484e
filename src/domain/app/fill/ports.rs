//! Which ports of the host an instance publishes, and who chooses each: a variable, or a number in the document.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::app::compose;
use crate::domain::app::fill::WantedPort;
use crate::domain::app::fill::variables::{self, Known};
use crate::domain::app::finding::Findings;
use crate::domain::app::instance::Files;
use crate::domain::app::template::Template;
use crate::domain::app::workload::{Network, Port, Protocol, Range, Workload};

/// The most variables and published ports that are told apart: templates have ten at most.
const MOST: usize = 1024;

/// A published port and what chooses its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The service's place among those that start.
    pub service: usize,
    /// The port's place among the service's.
    pub port: usize,
    /// The key in the install's choices.
    pub key: String,
    /// The variable that chooses it.
    pub variable: Option<String>,
    /// What it would like.
    pub wanted: WantedPort,
}

/// Reads the document as it is with `put`, and once more with a number of its own in each variable: where those turn up,
/// the variable chooses, however many lines of `.env` lie between.
pub fn survey(template: &Template, known: &Known, put: &BTreeMap<String, String>) -> Vec<Slot> {
    let read = |put: &BTreeMap<String, String>| {
        let env = variables::parse(template, put, &mut Findings::default());
        let bytes = template.compose.as_deref()?;
        compose::read(bytes, &env, template, &Files::new(), &mut Findings::default())
    };
    let Some(real) = read(put) else { return Vec::new() };
    let all = |workload: &Workload| -> BTreeSet<u16> {
        let ports = workload.services.iter().flat_map(|service| &service.ports);
        ports.flat_map(|port| port.host.into_iter().chain([port.container])).map(|r| r.first).collect()
    };
    let taken = all(&real);
    let numbers = (10_000..=u16::MAX).filter(|number| !taken.contains(number));
    let marks: BTreeMap<u16, &str> = numbers.zip(known.port_variables().take(MOST)).collect();
    let mut marked = put.clone();
    marked.extend(marks.iter().map(|(number, key)| ((*key).to_owned(), number.to_string())));
    let marked = read(&marked).unwrap_or_default();
    let mut slots: Vec<Slot> = Vec::new();
    for (at, service) in real.services.iter().enumerate() {
        let like = marked.services.get(at).filter(|it| it.name == service.name);
        let like = like.map(|it| it.ports.as_slice()).filter(|ports| ports.len() == service.ports.len());
        for (index, port) in service.ports.iter().enumerate().take(MOST.saturating_sub(slots.len())) {
            let first = like.and_then(|ports| ports[index].host).map(|host| host.first);
            let variable = first.and_then(|first| marks.get(&first)).map(|key| (*key).to_owned());
            let (key, wanted) = wish(&service.name, port, variable.as_deref(), &slots);
            slots.push(Slot { service: at, port: index, key, variable, wanted });
        }
    }
    slots
}

fn wish(service: &str, port: &Port, variable: Option<&str>, before: &[Slot]) -> (String, WantedPort) {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    // One number can't be published twice: the second use of a variable is a port of its own.
    let twice =
        |key: &str| before.iter().any(|s| s.key == key && s.wanted.protocols.contains(&port.protocol));
    let key = match (variable, port.host) {
        (Some(key), _) if !twice(key) => key.to_owned(),
        (Some(key), _) => format!("{service}:{key}:{}/{protocol}", port.container.first),
        (None, Some(host)) => format!("{service}:{}/{protocol}", host.first),
        (None, None) => format!("{service}::{}/{protocol}", port.container.first),
    };
    let like = match port.host {
        Some(host) => host.first,
        // Nobody asked for a number; one near the container's is easy to know again.
        None if port.container.first < 1024 => port.container.first + 8000,
        None => port.container.first,
    };
    let count = port.container.last - port.container.first + 1;
    let wanted = WantedPort { key: key.clone(), like, protocols: [port.protocol].into(), count };
    (key, wanted)
}

/// What all slots come to, and what variables choose for services that have the host's own network.
pub fn wanted(template: &Template, put: &BTreeMap<String, String>) -> Vec<WantedPort> {
    let known = Known::of(template);
    let mut wanted: Vec<WantedPort> = Vec::new();
    for slot in survey(template, &known, put) {
        match wanted.iter_mut().find(|port| port.key == slot.key) {
            Some(port) => {
                port.protocols.extend(slot.wanted.protocols);
                port.count = port.count.max(slot.wanted.count);
            }
            None => wanted.push(slot.wanted),
        }
    }
    let env = variables::parse(template, put, &mut Findings::default());
    let bytes = template.compose.as_deref().unwrap_or_default();
    let workload = compose::read(bytes, &env, template, &Files::new(), &mut Findings::default());
    let on_host = |workload: &Workload| workload.services.iter().any(|s| s.network == Network::Host);
    if workload.as_ref().is_some_and(on_host) {
        for key in known.port_variables() {
            let like = env.get(key).and_then(|value| value.parse().ok()).filter(|port| *port != 0);
            if let Some(like) = like.filter(|_| wanted.iter().all(|port| port.key != key)) {
                let protocols = [Protocol::Tcp].into();
                wanted.push(WantedPort { key: key.to_owned(), like, protocols, count: 1 });
            }
        }
    }
    wanted
}

/// Gives the ports the numbers that were chosen.
pub fn apply(workload: &mut Workload, slots: &[Slot], chosen: &BTreeMap<String, u16>) {
    for slot in slots {
        let service = workload.services.get_mut(slot.service);
        let port = service.and_then(|service| service.ports.get_mut(slot.port));
        let (Some(port), Some(first)) = (port, chosen.get(&slot.key)) else { continue };
        let last = first.saturating_add(slot.wanted.count - 1);
        port.host = Some(Range { first: *first, last });
    }
}

/// Chooses a port for each of `wanted`; see [`crate::domain::app::fill::allocate`].
pub fn allocate(
    wanted: &[WantedPort],
    remembered: &BTreeMap<String, u16>,
    taken: &BTreeSet<(u16, Protocol)>,
) -> Option<BTreeMap<String, u16>> {
    let mut taken = taken.clone();
    let mut chosen = BTreeMap::new();
    let mut take = |port: &WantedPort, first: u16, taken: &mut BTreeSet<(u16, Protocol)>| {
        for number in first..=first.saturating_add(port.count.max(1) - 1) {
            taken.extend(port.protocols.iter().map(|protocol| (number, *protocol)));
        }
        chosen.insert(port.key.clone(), first);
    };
    // The remembered ones first: they are in use by the application itself, or were kept for it.
    for port in wanted {
        if let Some(kept) = remembered.get(&port.key) {
            take(port, *kept, &mut taken);
        }
    }
    for port in wanted.iter().filter(|port| !remembered.contains_key(&port.key)) {
        let free = |number: u16| port.protocols.iter().all(|protocol| !taken.contains(&(number, *protocol)));
        // A number below 1024 is a service that everybody knows: only the very one that is liked is taken.
        let start = port.like.max(1024);
        let liked = port.like.checked_add(port.count.max(1) - 1).filter(|_| port.like != 0);
        let first = match liked {
            Some(last) if (port.like..=last).all(free) => port.like,
            _ => row(start, port.count, &free).or_else(|| row(1024, port.count, &free))?,
        };
        take(port, first, &mut taken);
    }
    Some(chosen)
}

/// The first of `count` free numbers in a row, from `start` up.
fn row(start: u16, count: u16, free: &impl Fn(u16) -> bool) -> Option<u16> {
    let mut run = 0;
    for number in start..=u16::MAX {
        run = if free(number) { run + 1 } else { 0 };
        if count.max(1) <= run {
            return Some(number - (run - 1));
        }
    }
    None
}
