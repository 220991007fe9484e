//! A runtime in memory, for tests: what its containers do is scripted, any step can be made to fail or to hang, and all
//! calls are counted. It keeps to the rules of the real ones: what another App marked is not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{broadcast, watch};

use crate::domain::app::instance::{AppKey, Instance};
use crate::domain::app::observed::{Capacity, Container, Observed, Probe, State, Wellness};
use crate::domain::app::plan::{Step, in_order};
use crate::domain::app::verdict::Backend;
use crate::domain::app::workload::{Health, Protocol, Service, Source};
use crate::domain::retry::Class;
use crate::runtimes::{Aid, Clear, Kind, LogLine, Progress, Runtime, RuntimeError};

/// What containers of an image do.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// They end at once, with this code.
    pub exits: Option<i64>,
    /// What their health check says; none: healthy, where the template has a check.
    pub health: Option<Wellness>,
    /// Their port does not answer.
    pub silent: bool,
    /// What they write to their log when they start.
    pub says: Option<String>,
}

/// A failure that was ordered.
struct Fault {
    /// What a step's text (`pull nginx:1`) or a call's name (`observe`) must contain.
    of: String,
    kind: Kind,
    class: Class,
    /// How many times more.
    times: usize,
}

/// What stands of one application.
#[derive(Default)]
struct Standing {
    uid: String,
    kept: bool,
    network: bool,
    files: Option<String>,
    volumes: BTreeMap<String, String>,
    copies: BTreeMap<(String, String), String>,
    containers: BTreeMap<String, Container>,
    ports: BTreeSet<(u16, Protocol)>,
    log: Vec<LogLine>,
}

#[derive(Default)]
struct World {
    images: BTreeSet<String>,
    apps: BTreeMap<AppKey, Standing>,
    scripts: BTreeMap<String, Script>,
    faults: Vec<Fault>,
    foreign: BTreeSet<(u16, Protocol)>,
    capacity: Option<Capacity>,
    calls: BTreeMap<String, usize>,
    steps: Vec<String>,
    next: u64,
}

/// Reads the clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The runtime.
pub struct MemoryRuntime {
    backend: Backend,
    clock: Clock,
    world: Mutex<World>,
    events: broadcast::Sender<String>,
    /// Steps whose text contains one of these don't end.
    held: watch::Sender<BTreeSet<String>>,
}

impl MemoryRuntime {
    /// One with nothing in it.
    pub fn new(backend: Backend, clock: Clock) -> Self {
        let (world, events, held) =
            (Mutex::default(), broadcast::Sender::new(1024), watch::Sender::default());
        Self { backend, clock, world, events, held }
    }

    /// What containers of images whose name contains `image` do from their next start on.
    pub fn script(&self, image: &str, script: Script) {
        self.with(|world| world.scripts.insert(image.to_owned(), script));
    }

    /// Makes what contains `of` fail the next `times` times: a step's text or a call's name.
    pub fn fail(&self, of: &str, kind: Kind, class: Class, times: usize) {
        self.with(|world| world.faults.push(Fault { of: of.to_owned(), kind, class, times }));
    }

    /// Ends all failures.
    pub fn mend(&self) {
        self.with(|world| world.faults.clear());
    }

    /// Makes steps whose text contains `of` hang until [`MemoryRuntime::release`].
    pub fn hold(&self, of: &str) {
        self.held.send_modify(|held| held.extend([of.to_owned()]));
    }

    /// Lets go what [`MemoryRuntime::hold`] holds.
    pub fn release(&self, of: &str) {
        self.held.send_modify(|held| held.retain(|other| other != of));
    }

    /// Somebody else takes a port.
    pub fn occupy(&self, port: u16, protocol: Protocol) {
        self.with(|world| world.foreign.insert((port, protocol)));
    }

    /// Sets what the host has.
    pub fn has(&self, capacity: Capacity) {
        self.with(|world| world.capacity = Some(capacity));
    }

    /// Somebody removes a container by hand.
    pub fn remove(&self, key: &AppKey, service: &str) {
        self.with(|world| world.apps.get_mut(key).map(|standing| standing.containers.remove(service)));
        self.tell(key);
    }

    /// A container changes, by hand or by itself.
    pub fn change(&self, key: &AppKey, service: &str, change: impl FnOnce(&mut Container)) {
        self.with(|world| {
            world.apps.get_mut(key).and_then(|standing| standing.containers.get_mut(service)).map(change)
        });
        self.tell(key);
    }

    /// Tells that something happened to an application.
    pub fn tell(&self, key: &AppKey) {
        // Nobody listens: then nobody misses it.
        let _ = self.events.send(key.name.clone());
    }

    /// What an application's containers do, by service.
    pub fn containers(&self, key: &AppKey) -> BTreeMap<String, Container> {
        self.with(|world| world.apps.get(key).map(|s| s.containers.clone()).unwrap_or_default())
    }

    /// What stands in a volume: the images that wrote to it.
    pub fn volume(&self, key: &AppKey, name: &str) -> Option<String> {
        self.with(|world| world.apps.get(key).and_then(|standing| standing.volumes.get(name).cloned()))
    }

    /// Labels of the copies of a volume.
    pub fn copies(&self, key: &AppKey, name: &str) -> Vec<String> {
        let of = |standing: &Standing| {
            let copies = standing.copies.keys().filter(|(volume, _)| volume == name);
            copies.map(|(_, label)| label.clone()).collect()
        };
        self.with(|world| world.apps.get(key).map(of).unwrap_or_default())
    }

    /// Whether anything of an application is left.
    pub fn has_any(&self, key: &AppKey) -> bool {
        self.with(|world| world.apps.contains_key(key))
    }

    /// Images that are there.
    pub fn images(&self) -> BTreeSet<String> {
        self.with(|world| world.images.clone())
    }

    /// How often a call, or a kind of step, was made.
    pub fn calls(&self, name: &str) -> usize {
        self.with(|world| world.calls.get(name).copied().unwrap_or_default())
    }

    /// All steps that were begun, `namespace/name: step`.
    pub fn steps(&self) -> Vec<String> {
        self.with(|world| world.steps.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn call(&self, name: &str, of: &str) -> Result<(), RuntimeError> {
        self.with(|world| {
            *world.calls.entry(name.to_owned()).or_default() += 1;
            let fault = world.faults.iter_mut().find(|fault| 0 < fault.times && of.contains(&fault.of));
            let Some(fault) = fault else { return Ok(()) };
            fault.times -= 1;
            Err(RuntimeError::new(fault.kind, fault.class, format!("{of}: told to fail")))
        })
    }
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

    fn take(&mut self, instance: &Instance, step: &Step, now: Timestamp) -> Result<(), RuntimeError> {
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

    fn taken(&self, key: &AppKey) -> BTreeSet<(u16, Protocol)> {
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
fn stamp(instance: &Instance) -> String {
    format!("{:?} {}", instance.digests, instance.wanted.running)
}

#[async_trait]
impl Runtime for MemoryRuntime {
    fn backend(&self) -> Backend {
        self.backend
    }

    async fn observe(&self, instance: &Instance) -> Result<Observed, RuntimeError> {
        self.call("observe", "observe")?;
        Ok(self.with(|world| {
            let wanted = instance.workload.services.iter().filter_map(|service| service.image.clone());
            let images = wanted.filter(|image| world.images.contains(image)).collect();
            let Some(standing) = world.apps.get(&instance.key).filter(|s| !s.kept && s.uid == instance.uid)
            else {
                return Observed { images, ..Observed::default() };
            };
            let known = |name: &String| instance.workload.service(name).is_some();
            let strays = standing.containers.iter().filter(|(name, _)| !known(name));
            let as_rendered = standing.files.as_ref() == Some(&stamp(instance));
            Observed {
                images,
                network: standing.network,
                files: standing.files.is_some(),
                volumes: standing.volumes.keys().cloned().collect(),
                strays: strays.map(|(_, container)| container.id.clone()).collect(),
                services: standing
                    .containers
                    .iter()
                    .filter(|(name, _)| known(name))
                    .map(|(name, container)| (name.clone(), container.clone()))
                    .collect(),
                applied: as_rendered && self.backend == Backend::Kubernetes,
            }
        }))
    }

    async fn step(&self, instance: &Instance, step: &Step, aid: Aid<'_>) -> Result<(), RuntimeError> {
        let text = step.to_string();
        self.with(|world| world.steps.push(format!("{}: {text}", instance.key)));
        if let Step::Pull(_) = step {
            let layers = vec![("layer".to_owned(), 1, 2)];
            (aid.progress)(Progress { what: text.clone(), done: 1, total: 2, layers });
        }
        let mut held = self.held.subscribe();
        let free = |held: &BTreeSet<String>| !held.iter().any(|of| text.contains(of));
        // The sender is ours: it does not end.
        let _ = held.wait_for(free).await;
        self.call(step.kind(), &text)?;
        let now = (self.clock)();
        self.with(|world| world.take(instance, step, now))?;
        if matches!(step, Step::Start(_) | Step::Stop(_) | Step::Apply) {
            self.tell(&instance.key);
        }
        Ok(())
    }

    async fn probe(&self, instance: &Instance, _: &Observed) -> Probe {
        let Some(serving) = &instance.serving else { return Probe::Nobody };
        if let Err(error) = self.call("probe", "probe") {
            return Probe::Silent(error.to_string());
        }
        let image = instance.workload.service(&serving.service).and_then(|service| service.image.clone());
        let image = image.unwrap_or_default();
        let silent = self.with(|world| {
            world.scripts.iter().any(|(of, script)| image.contains(of.as_str()) && script.silent)
        });
        match silent {
            true => Probe::Silent("connection refused".into()),
            false => Probe::Answers,
        }
    }

    async fn clear(&self, key: &AppKey, uid: &str, what: Clear) -> Result<Vec<String>, RuntimeError> {
        self.call("clear", "clear")?;
        Ok(self.with(|world| {
            let Some(standing) = world.apps.get_mut(key).filter(|standing| standing.uid == uid) else {
                return Vec::new();
            };
            let images: BTreeSet<String> =
                standing.containers.values().map(|container| container.image.clone()).collect();
            standing.containers.clear();
            (standing.network, standing.kept) = (false, true);
            if what.data {
                world.apps.remove(key);
            }
            let used = |world: &World, image: &str| {
                let mut all = world.apps.values().flat_map(|standing| standing.containers.values());
                all.any(|container| container.image == image)
            };
            for image in images.into_iter().filter(|_| what.images) {
                if !used(world, &image) {
                    world.images.remove(&image);
                }
            }
            Vec::new()
        }))
    }

    async fn logs(
        &self,
        key: &AppKey,
        service: Option<&str>,
        lines: u32,
    ) -> Result<Vec<LogLine>, RuntimeError> {
        self.call("logs", "logs")?;
        let all = self.with(|world| world.apps.get(key).map(|s| s.log.clone()).unwrap_or_default());
        let wanted = all.into_iter().filter(|line| service.is_none_or(|service| line.service == service));
        let wanted: Vec<LogLine> = wanted.collect();
        let skip = wanted.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
        Ok(wanted.into_iter().skip(skip).collect())
    }

    async fn capacity(&self) -> Result<Capacity, RuntimeError> {
        self.call("capacity", "capacity")?;
        let plenty = Capacity { cores: 64.0, memory: 512.0, disk: 4096.0 };
        Ok(self.with(|world| world.capacity.unwrap_or(plenty)))
    }

    async fn taken_ports(&self, key: &AppKey) -> Result<BTreeSet<(u16, Protocol)>, RuntimeError> {
        self.call("taken_ports", "taken_ports")?;
        Ok(self.with(|world| world.taken(key)))
    }

    fn compose_file(&self, key: &AppKey) -> Option<String> {
        (self.backend == Backend::Docker).then(|| format!("/memory/{}/docker-compose.yml", key.name))
    }

    fn events(&self) -> BoxStream<'static, String> {
        let events = self.events.subscribe();
        let next = |mut events: broadcast::Receiver<String>| async move {
            match events.recv().await {
                Ok(name) => Some((name, events)),
                // Some were missed: anything may have happened.
                Err(broadcast::error::RecvError::Lagged(_)) => Some((String::new(), events)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        };
        futures::stream::unfold(events, next).boxed()
    }
}
