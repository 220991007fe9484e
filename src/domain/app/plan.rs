//! What has to be done so that an application stands as wished: steps that a person can read, in their order, and what
//! holds the others back. Level-triggered: after the steps the world is looked at again, and planned anew.

use std::collections::BTreeSet;
use std::fmt;

use crate::domain::app::instance::Instance;
use crate::domain::app::observed::{Container, Observed, State, Wellness};
use crate::domain::app::verdict::Backend;
use crate::domain::app::workload::{Network, PullPolicy, Service, Source, Until, Workload};

/// One step. Taking a step twice does no harm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Write the rendered files.
    Files,
    /// Make the application's network, and the shared one where it is needed.
    Network,
    /// Make a volume, or take over the one that was kept.
    Volume(String),
    /// Pull an image.
    Pull(String),
    /// Make a service's container.
    Create(String),
    /// Start a service's container.
    Start(String),
    /// Stop a service's container.
    Stop(String),
    /// Remove a service's container.
    Remove(String),
    /// Remove a container of the application that no service explains, by its id.
    RemoveStray(String),
    /// Copy a volume aside, under this label.
    Snapshot(String, String),
    /// Put a copy of a volume back.
    Restore(String, String),
    /// Remove a copy of a volume.
    DropSnapshot(String, String),
    /// Apply all objects, and remove those that are rendered no more (Kubernetes).
    Apply,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Files => f.write_str("write files"),
            Step::Network => f.write_str("create network"),
            Step::Volume(name) => write!(f, "create volume {name}"),
            Step::Pull(image) => write!(f, "pull {image}"),
            Step::Create(service) => write!(f, "create {service}"),
            Step::Start(service) => write!(f, "start {service}"),
            Step::Stop(service) => write!(f, "stop {service}"),
            Step::Remove(service) => write!(f, "remove {service}"),
            Step::RemoveStray(id) => write!(f, "remove container {id}"),
            Step::Snapshot(volume, label) => write!(f, "copy volume {volume} to {label}"),
            Step::Restore(volume, label) => write!(f, "restore volume {volume} from {label}"),
            Step::DropSnapshot(volume, label) => write!(f, "drop copy {label} of volume {volume}"),
            Step::Apply => f.write_str("apply objects"),
        }
    }
}

impl Step {
    /// Its kind, as metrics name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Step::Files => "files",
            Step::Network => "network",
            Step::Volume(_) => "volume",
            Step::Pull(_) => "pull",
            Step::Create(_) => "create",
            Step::Start(_) => "start",
            Step::Stop(_) => "stop",
            Step::Remove(_) | Step::RemoveStray(_) => "remove",
            Step::Snapshot(..) => "snapshot",
            Step::Restore(..) => "restore",
            Step::DropSnapshot(..) => "drop_snapshot",
            Step::Apply => "apply",
        }
    }

    /// Words about its failure, which name it once.
    pub fn failed(&self, words: &str) -> String {
        let step = self.to_string();
        if words.starts_with(&step) { words.to_owned() } else { format!("{step}: {words}") }
    }

    /// The service that it is about, where it is about one.
    pub fn service(&self) -> Option<&str> {
        match self {
            Step::Create(name) | Step::Start(name) | Step::Stop(name) | Step::Remove(name) => Some(name),
            _ => None,
        }
    }
}

/// A service that can't start yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Who waits.
    pub service: String,
    /// For whom.
    pub on: String,
    /// Until when.
    pub until: Until,
}

/// What to do now, and what later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// What can't be done before something else has happened.
    pub waiting: Vec<Waiting>,
}

impl Plan {
    /// Images that are to be pulled.
    pub fn pulls(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match step {
            Step::Pull(image) => Some(image.as_str()),
            _ => None,
        })
    }

    /// Whether what is wished stands already.
    pub fn is_done(&self) -> bool {
        self.steps.is_empty() && self.waiting.is_empty()
    }
}

/// The steps in waves: those of one wave don't need each other and may be taken at once.
pub fn waves(instance: &Instance, steps: &[Step]) -> Vec<Vec<Step>> {
    let mut waves: Vec<Vec<Step>> = Vec::new();
    for step in steps {
        let with = |wave: &&mut Vec<Step>| {
            let kin = wave.first().is_some_and(|first| first.kind() == step.kind());
            kin && wave.iter().all(|other| !linked(instance, other, step))
        };
        match waves.last_mut().filter(with) {
            Some(wave) => wave.push(step.clone()),
            None => waves.push(vec![step.clone()]),
        }
    }
    waves
}

/// Whether one of two steps is of a service that waits for, or joins, the other's.
fn linked(instance: &Instance, one: &Step, other: &Step) -> bool {
    let (Some(one), Some(other)) = (one.service(), other.service()) else { return false };
    let needs = |who: &str, whom: &str| {
        let service = instance.workload.service(who);
        service.is_some_and(|service| {
            service.joins.as_deref() == Some(whom) || service.waits.iter().any(|wait| wait.on == whom)
        })
    };
    one == other || needs(one, other) || needs(other, one)
}

/// Plans for `backend`. Services in `resting` failed lately and are not started in this turn.
pub fn plan(instance: &Instance, seen: &Observed, resting: &BTreeSet<String>, backend: Backend) -> Plan {
    match backend {
        Backend::Docker => docker(instance, seen, resting),
        Backend::Kubernetes if seen.applied => Plan::default(),
        Backend::Kubernetes => Plan { steps: vec![Step::Apply], waiting: Vec::new() },
    }
}

/// The services, each after those that it waits for or joins; otherwise in the template's order.
pub fn in_order(workload: &Workload) -> Vec<&Service> {
    let mut left: Vec<&Service> = workload.services.iter().collect();
    let mut sorted = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let names: BTreeSet<&str> = left.iter().map(|service| service.name.as_str()).collect();
        let on = |service: &Service| {
            let waits = service.waits.iter().map(|wait| &wait.on).chain(&service.joins);
            waits.filter(|on| **on != service.name).any(|on| names.contains(on.as_str()))
        };
        // A circle has no first: the check refuses it, and here it only must not go round for ever.
        let next = left.iter().position(|service| !on(service)).unwrap_or(0);
        sorted.push(left.remove(next));
    }
    sorted
}

fn docker(instance: &Instance, seen: &Observed, resting: &BTreeSet<String>) -> Plan {
    let order = in_order(&instance.workload);
    let mut plan = Plan::default();
    plan.steps.extend(seen.strays.iter().cloned().map(Step::RemoveStray));
    if !instance.wanted.running {
        let up = |service: &&&Service| {
            let state = seen.services.get(&service.name).map(|container| container.state);
            matches!(state, Some(State::Running | State::Restarting | State::Paused))
        };
        plan.steps.extend(order.iter().rev().filter(up).map(|service| Step::Stop(service.name.clone())));
        return plan;
    }
    let anew = renewed(instance, seen, &order);
    ground(instance, seen, &order, &anew, &mut plan);
    // What is replaced goes before what replaces it, the last to start first: nobody shall miss whom he depends on.
    for service in order.iter().rev().filter(|service| anew.contains(service.name.as_str())) {
        if let Some(container) = seen.services.get(&service.name) {
            if !matches!(container.state, State::Created | State::Exited | State::Dead) {
                plan.steps.push(Step::Stop(service.name.clone()));
            }
            plan.steps.push(Step::Remove(service.name.clone()));
        }
    }
    let creates = order.iter().filter(|service| anew.contains(service.name.as_str()));
    plan.steps.extend(creates.map(|service| Step::Create(service.name.clone())));
    let mut begun = BTreeSet::new();
    for service in order {
        let container = seen.services.get(&service.name).filter(|_| !anew.contains(service.name.as_str()));
        start(instance, seen, (service, container), (&anew, resting), &mut begun, &mut plan);
    }
    plan
}

/// The services whose containers are missing, or were made from something else, or join one that is replaced.
fn renewed<'a>(instance: &Instance, seen: &Observed, order: &[&'a Service]) -> BTreeSet<&'a str> {
    let mut anew = BTreeSet::new();
    for service in order {
        let stands = seen.services.get(&service.name).is_some_and(|container| {
            Some(&container.digest) == instance.digests.get(&service.name) && container.state != State::Dead
        });
        let joins = service.joins.as_deref().is_some_and(|joined| anew.contains(joined));
        if !stands || joins {
            anew.insert(service.name.as_str());
        }
    }
    anew
}

/// What must be there before the first container: files, images, the network, volumes.
fn ground(instance: &Instance, seen: &Observed, order: &[&Service], anew: &BTreeSet<&str>, plan: &mut Plan) {
    if !seen.files {
        plan.steps.push(Step::Files);
    }
    let mut pulled = BTreeSet::new();
    for service in order.iter().filter(|service| anew.contains(service.name.as_str())) {
        let Some(image) = service.image.as_deref() else { continue };
        // What stands was made from it already: `Always` is for installs and upgrades.
        let fresh = service.pull == PullPolicy::Always
            && seen.services.get(&service.name).is_none_or(|container| container.image != image);
        if (fresh || !seen.images.contains(image)) && pulled.insert(image) {
            plan.steps.push(Step::Pull(image.to_owned()));
        }
    }
    if anew.is_empty() {
        return;
    }
    if !seen.network && order.iter().any(|service| service.network == Network::Own) {
        plan.steps.push(Step::Network);
    }
    let mut made = BTreeSet::new();
    for mount in order.iter().flat_map(|service| &service.mounts) {
        if let Source::Volume(name) = &mount.source {
            let external = instance.workload.volumes.get(name).is_some_and(|volume| volume.external);
            if !external && !seen.volumes.contains(name) && made.insert(name) {
                plan.steps.push(Step::Volume(name.clone()));
            }
        }
    }
}

/// Whether it started before the moment from which on it shall have been restarted.
pub fn to_restart(instance: &Instance, container: &Container) -> bool {
    let moments = container.started.zip(instance.wanted.restarted);
    moments.is_some_and(|(started, wished)| started < wished)
}

fn start(
    instance: &Instance,
    seen: &Observed,
    (service, container): (&Service, Option<&Container>),
    (anew, resting): (&BTreeSet<&str>, &BTreeSet<String>),
    begun: &mut BTreeSet<String>,
    plan: &mut Plan,
) {
    let name = &service.name;
    if let Some(container) = container {
        let again = to_restart(instance, container);
        let up = matches!(container.state, State::Running | State::Restarting);
        if !again && (up || done(instance, service, container)) {
            return;
        }
        if up {
            plan.steps.push(Step::Stop(name.clone()));
        }
    }
    if resting.contains(name) {
        return;
    }
    let waits = service.waits.iter().map(|wait| (&wait.on, wait.until));
    // A network can be joined only while its owner runs.
    let joins = service.joins.iter().map(|joined| (joined, Until::Started));
    let mut held = false;
    for (on, until) in waits.chain(joins) {
        let Some(known) = instance.workload.service(on) else { continue };
        let stands = seen.services.get(on).filter(|_| !anew.contains(on.as_str()));
        let met = until == Until::Started && begun.contains(on) || met(instance, known, stands, until);
        if !met {
            held = true;
            plan.waiting.push(Waiting { service: name.clone(), on: on.clone(), until });
        }
    }
    if !held {
        begun.insert(name.clone());
        plan.steps.push(Step::Start(name.clone()));
    }
}

/// Whether a service is as far as another one waits for.
pub fn met(instance: &Instance, service: &Service, stands: Option<&Container>, until: Until) -> bool {
    stands.is_some_and(|container| match until {
        Until::Started => container.state == State::Running || done(instance, service, container),
        Until::Healthy => {
            container.state == State::Running && matches!(container.health, None | Some(Wellness::Healthy))
        }
        Until::Completed => container.state == State::Exited && container.exit == Some(0),
    })
}

/// Whether a service did its work.
pub fn done(instance: &Instance, service: &Service, container: &Container) -> bool {
    container.state == State::Exited && container.exit == Some(0) && service.is_one_shot(&instance.workload)
}

#[cfg(test)]
pub(in crate::domain::app) mod tests;
