//! A runtime in memory, for tests: what its containers do is scripted, any step can be made to fail or to hang, and all
//! calls are counted. It keeps to the rules of the real ones: what another App marked is not touched.

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use tokio::sync::{broadcast, watch};

use crate::domain::app::instance::{AppKey, Instance};
use crate::domain::app::observed::{Capacity, Container, Observed, Probe, Wellness};
use crate::domain::app::plan::Step;
use crate::domain::app::verdict::Backend;
use crate::domain::app::workload::Protocol;
use crate::domain::retry::Class;
use crate::runtimes::memory::world::{Fault, Standing, World, stamp};
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
