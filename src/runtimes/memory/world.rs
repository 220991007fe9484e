//! What stands in memory, and what a step makes of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::Script;
use crate::domain::app::instance::{AppKey, Instance};
use crate::domain::app::observed::{Capacity, Container, State, Wellness};
use crate::domain::app::plan::{Step, in_order};
use crate::domain::app::workload::{Health, Protocol, Service, Source};
use crate::domain::retry::Class;
use crate::runtimes::{Kind, LogLine, RuntimeError};

/// A failure that was ordered.
pub struct Fault {
    /// What a step's text (`pull nginx:1`) or a call's name (`observe`) must contain.
    pub of: String,
    pub kind: Kind,
    pub class: Class,
    /// How many times more.
    pub times: usize,
}

/// What stands of one application.
#[derive(Default)]
pub struct Standing {
    pub uid: String,
    pub kept: bool,
    pub network: bool,
    pub files: Option<String>,
    pub volumes: BTreeMap<String, String>,
    pub copies: BTreeMap<(String, String), String>,
    pub containers: BTreeMap<String, Container>,
    pub ports: BTreeSet<(u16, Protocol)>,
    pub log: Vec<LogLine>,
}

#[derive(Default)]
pub struct World {
    pub images: BTreeSet<String>,
    pub apps: BTreeMap<AppKey, Standing>,
    pub scripts: BTreeMap<String, Script>,
    pub faults: Vec<Fault>,
    pub foreign: BTreeSet<(u16, Protocol)>,
    pub capacity: Option<Capacity>,
    pub calls: BTreeMap<String, usize>,
    pub steps: Vec<String>,
    pub next: u64,
}

impl World {
    /// What stands of the application, made where nothing does.
    fn of(&mut self, instance: &Instance) -> Result<&mut Standing, RuntimeError> {
        let standing = self.apps.entry(instance.key.clone()).or_default();
        if standing.kept || standing.uid.is_empty() {
            (standing.kept, standing.uid) = (false, instance.uid.clone());
        }
        if standing.uid != instance.uid {
            let what = format!("what stands under {} is another App's", instance.key);
            return Err(RuntimeError::new(Kind::NameTaken, Class::User, what));
        }
        Ok(standing)
    }

    /// Takes a step.
    pub fn take(&mut self, instance: &Instance, step: &Step, now: Timestamp) -> Result<(), RuntimeError> {
        let gone = |what: &str| RuntimeError::new(Kind::Other, Class::Transient, format!("no {what}"));
        match step {
            Step::Files => self.of(instance)?.files = Some(stamp(instance)),
            Step::Network => self.of(instance)?.network = true,
            Step::Volume(name) => drop(self.of(instance)?.volumes.entry(name.clone()).or_default()),
            Step::Pull(image) => drop(self.images.insert(image.clone())),
            Step::Create(name) => self.create(instance, name)?,
            Step::Start(name) => self.start(instance, name, now)?,
            Step::Stop(name) => {
                if let Some(container) = self.of(instance)?.containers.get_mut(name) {
                    container.state = State::Exited;
                    (container.exit, container.ended) = (Some(137), Some(now));
                }
            }
            Step::Remove(name) => drop(self.of(instance)?.containers.remove(name)),
            Step::RemoveStray(id) => self.of(instance)?.containers.retain(|_, container| container.id != *id),
            Step::Snapshot(volume, label) => {
                let standing = self.of(instance)?;
                let text = standing.volumes.get(volume).cloned().ok_or_else(|| gone(volume))?;
                standing.copies.insert((volume.clone(), label.clone()), text);
            }
            Step::Restore(volume, label) => {
                let standing = self.of(instance)?;
                let copy = standing.copies.get(&(volume.clone(), label.clone())).cloned();
                standing.volumes.insert(volume.clone(), copy.ok_or_else(|| gone(label))?);
            }
            Step::DropSnapshot(volume, label) => {
                drop(self.of(instance)?.copies.remove(&(volume.clone(), label.clone())))
            }
            Step::Apply => {
                self.of(instance)?.files = Some(stamp(instance));
                let services = in_order(&instance.workload);
                let names: BTreeSet<&str> = services.iter().map(|service| service.name.as_str()).collect();
                self.of(instance)?.containers.retain(|name, _| names.contains(name.as_str()));
                for service in services {
                    self.images.extend(service.image.clone());
                    self.create(instance, &service.name)?;
                    if instance.wanted.running {
                        self.start(instance, &service.name, now)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn create(&mut self, instance: &Instance, name: &str) -> Result<(), RuntimeError> {
        let service = found(instance, name)?;
        let image = service.image.clone().unwrap_or_default();
        if !self.images.contains(&image) {
            return Err(RuntimeError::new(Kind::ImageUnknown, Class::Transient, format!("no image {image}")));
        }
        self.next += 1;
        let container = Container {
            id: format!("c{}", self.next),
            digest: instance.digests.get(name).cloned().unwrap_or_default(),
            image,
            state: State::Created,
            health: None,
            restarts: 0,
            exit: None,
            started: None,
            ended: None,
            address: None,
            trouble: None,
        };
        let standing = self.of(instance)?;
        standing.ports = instance.ports.iter().map(|port| (port.host, protocol(&port.protocol))).collect();
        standing.containers.insert(name.to_owned(), container);
        Ok(())
    }

    fn start(&mut self, instance: &Instance, name: &str, now: Timestamp) -> Result<(), RuntimeError> {
        let service = found(instance, name)?;
        let mine = instance.ports.iter().map(|port| (port.host, protocol(&port.protocol)));
        let taken = self.taken(&instance.key);
        if let Some((port, _)) = mine.into_iter().find(|port| taken.contains(port)) {
            let what = format!("port {port} is taken");
            return Err(RuntimeError::new(Kind::PortTaken, Class::Transient, what));
        }
        let image = service.image.clone().unwrap_or_default();
        let script = self.scripts.iter().find(|(of, _)| image.contains(of.as_str()));
        let script = script.map(|(_, script)| script.clone()).unwrap_or_default();
        self.next += 1;
        // Two ends in one second are two, as an engine's clock shows them.
        let now = now + SignedDuration::from_nanos(i64::try_from(self.next).unwrap_or_default());
        let standing = self.of(instance)?;
        for mount in &service.mounts {
            if let Source::Volume(volume) = &mount.source {
                let text = standing.volumes.entry(volume.clone()).or_default();
                text.push_str(&format!("[{image}]"));
            }
        }
        if let Some(text) = script.says {
            standing.log.push(LogLine { service: name.to_owned(), text });
        }
        let none = || RuntimeError::new(Kind::Other, Class::Transient, format!("no container of {name}"));
        let container = standing.containers.get_mut(name).ok_or_else(none)?;
        container.started = Some(now);
        container.health = match service.health {
            Health::Checked => Some(script.health.unwrap_or(Wellness::Healthy)),
            _ => None,
        };
        (container.state, container.exit, container.ended) = match script.exits {
            Some(code) => (State::Exited, Some(code), Some(now)),
            None => (State::Running, None, None),
        };
        Ok(())
    }

    /// Ports that others than `key` have.
    pub fn taken(&self, key: &AppKey) -> BTreeSet<(u16, Protocol)> {
        let others = self.apps.iter().filter(|(other, standing)| *other != key && !standing.kept);
        others.flat_map(|(_, standing)| &standing.ports).chain(&self.foreign).copied().collect()
    }
}

fn found<'a>(instance: &'a Instance, name: &str) -> Result<&'a Service, RuntimeError> {
    let none = || RuntimeError::new(Kind::Other, Class::Bug, format!("no service {name}"));
    instance.workload.service(name).ok_or_else(none)
}

fn protocol(text: &str) -> Protocol {
    if text.eq_ignore_ascii_case("udp") { Protocol::Udp } else { Protocol::Tcp }
}

/// What is rendered, in short.
pub fn stamp(instance: &Instance) -> String {
    format!("{:?} {}", instance.digests, instance.wanted.running)
}
