//! What only all services together show, and the verdict for each backend.

pub mod siblings;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::app::compose::{FILE, values};
use crate::domain::app::finding::{Code, Effect, Finding, Findings, Place, Right};
use crate::domain::app::template::Template;
use crate::domain::app::workload::{Health, Service, Source, Until, Workload};

/// What a name in DNS may have at most (RFC 1035), and so an application's and a container's.
pub const LONGEST_NAME: usize = 63;

/// The most ports of a host that one application may publish: an engine has a rule, or a process, for each.
const MOST_PUBLISHED: i64 = 10_000;

/// What runs a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A Docker engine.
    Docker,
    /// A Kubernetes cluster.
    Kubernetes,
}

/// Whether a template runs on a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It runs as its author meant.
    Runs,
    /// It runs, with findings to read first.
    Findings,
    /// It can't run.
    Cannot,
}

impl Verdict {
    /// As programs read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Runs => "runs",
            Verdict::Findings => "findings",
            Verdict::Cannot => "cannot",
        }
    }
}

impl Finding {
    /// What the finding means on `backend`.
    pub fn effect(&self, backend: Backend) -> Effect {
        match backend {
            Backend::Docker => self.docker,
            Backend::Kubernetes => self.kubernetes,
        }
    }

    /// What the finding comes to on `backend`, where the rights in `allowed` are given.
    pub fn verdict(&self, backend: Backend, allowed: &BTreeSet<Right>) -> Verdict {
        match self.effect(backend) {
            Effect::Fine | Effect::Note => Verdict::Runs,
            Effect::Odd => Verdict::Findings,
            Effect::Needs(right) if allowed.contains(&right) => Verdict::Findings,
            Effect::Needs(_) | Effect::Cannot => Verdict::Cannot,
        }
    }
}

/// The verdict on `backend` of all `findings`, where the rights in `allowed` are given.
pub fn verdict(findings: &[Finding], backend: Backend, allowed: &BTreeSet<Right>) -> Verdict {
    findings.iter().map(|finding| finding.verdict(backend, allowed)).max().unwrap_or(Verdict::Runs)
}

/// Says what only all services together show.
pub fn judge(workload: &Workload, template: &Template, findings: &mut Findings) {
    names(workload, findings);
    siblings::look(workload, findings);
    order(workload, findings);
    cycles(workload, findings);
    published(workload, findings);
    shared(workload, findings);
    let checked = workload.services.iter().any(|service| service.health == Health::Checked);
    let ports = workload.services.iter().any(|s| !s.ports.is_empty() || !s.inner_ports.is_empty());
    if !checked && !ports && !workload.services.is_empty() {
        findings.add(Finding::both(Code::NoProbe, Effect::Note, Place::file(FILE), &template.name));
    }
}

/// The place of `key` of `service`.
pub fn at(service: &Service, key: &str) -> Place {
    Place {
        line: Some(service.line).filter(|line| 0 < *line),
        service: Some(service.name.clone()),
        key: Some(key.to_owned()),
        ..Place::file(FILE)
    }
}

fn names(workload: &Workload, findings: &mut Findings) {
    let mut taken = BTreeSet::new();
    for service in &workload.services {
        let Some(name) = &service.container else { continue };
        if !taken.insert(name) {
            findings.add(Finding::both(Code::NameTaken, Effect::Cannot, at(service, "container_name"), name));
        }
        if 1 < workload.services.len() && LONGEST_NAME < name.len() {
            // No resolver asks for it, whatever the engine would answer.
            findings.add(Finding::both(
                Code::NameTooLong,
                Effect::Cannot,
                at(service, "container_name"),
                name,
            ));
            continue;
        }
        // DNS does not tell cases apart: a name in capitals is found all the same.
        if 1 < workload.services.len() && !values::is_dns_label(&name.to_ascii_lowercase()) {
            let effects = (Effect::Fine, Effect::Odd);
            findings.add(Finding::each(Code::NotDns, effects, at(service, "container_name"), name));
        }
    }
}

fn order(workload: &Workload, findings: &mut Findings) {
    let by_name: BTreeMap<&str, &Service> = workload.services.iter().map(|s| (s.name.as_str(), s)).collect();
    let absent = |name: &str| match workload.idle.contains(name) {
        true => Code::InactiveService,
        false => Code::UnknownService,
    };
    for service in &workload.services {
        for wait in &service.waits {
            let place = Place { line: Some(wait.line).filter(|line| 0 < *line), ..at(service, "depends_on") };
            match by_name.get(wait.on.as_str()) {
                None if wait.required => {
                    findings.add(Finding::both(absent(&wait.on), Effect::Cannot, place, &wait.on));
                }
                Some(on) if wait.until == Until::Healthy && on.health != Health::Checked => {
                    // Where the check is switched off, nothing ever says that it is healthy.
                    let effect = if on.health == Health::Off { Effect::Cannot } else { Effect::Odd };
                    findings.add(Finding::both(Code::NoHealth, effect, place, &wait.on));
                }
                _ => {}
            }
        }
        if let Some(name) = service.joins.as_deref().filter(|name| !by_name.contains_key(name)) {
            findings.add(Finding::both(absent(name), Effect::Cannot, at(service, "network_mode"), name));
        }
    }
}

/// Takes away, again and again, what waits for nothing that is left; what stays waits for itself.
fn cycles(workload: &Workload, findings: &mut Findings) {
    let mut left: Vec<&Service> = workload.services.iter().collect();
    loop {
        let names: BTreeSet<&str> = left.iter().map(|service| service.name.as_str()).collect();
        let before = left.len();
        left.retain(|service| {
            service
                .waits
                .iter()
                .map(|wait| &wait.on)
                .chain(&service.joins)
                .any(|on| names.contains(on.as_str()))
        });
        if left.len() == before {
            break;
        }
    }
    if let Some(first) = left.first() {
        let names: Vec<&str> = left.iter().map(|service| service.name.as_str()).collect();
        findings.add(Finding::both(Code::Cycle, Effect::Cannot, at(first, "depends_on"), names.join(", ")));
    }
}

fn published(workload: &Workload, findings: &mut Findings) {
    let mut taken = BTreeSet::new();
    let mut left = MOST_PUBLISHED;
    for service in &workload.services {
        for port in &service.ports {
            let (Some(host), None) = (port.host, &port.address) else { continue };
            // A range over one port leaves the choice to the engine.
            if host.first != host.last && port.container.first == port.container.last {
                continue;
            }
            left -= i64::from(host.last - host.first) + 1;
            if left < 0 {
                let what = format!("ports: more than {MOST_PUBLISHED} are published");
                findings.add(Finding::both(Code::BadValue, Effect::Cannot, at(service, "ports"), what));
                return;
            }
            for number in host.first..=host.last {
                if !taken.insert((number, port.protocol)) {
                    let number = number.to_string();
                    findings.add(Finding::both(Code::PortClash, Effect::Odd, at(service, "ports"), number));
                }
            }
        }
    }
}

fn shared(workload: &Workload, findings: &mut Findings) {
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for service in &workload.services {
        for mount in &service.mounts {
            if let Source::Volume(name) = &mount.source {
                users.entry(name).or_default().insert(&service.name);
            }
        }
    }
    for (name, users) in users.into_iter().filter(|(_, users)| 1 < users.len()) {
        let place = Place { key: Some(format!("volumes.{name}")), ..Place::file(FILE) };
        let subject = format!("{name} ({})", users.into_iter().collect::<Vec<_>>().join(", "));
        findings.add(Finding::each(Code::SharedVolume, (Effect::Fine, Effect::Note), place, subject));
    }
}
