//! A Docker engine as a runtime, over its API alone. Observes and takes steps; decides nothing about an application. What
//! does not carry the App's marks is never touched, whatever its name.

mod body;
mod capacity;
mod clear;
mod engine;
mod engine_only;
mod error;
mod events;
mod files;
mod folder;
mod logs;
mod names;
mod observe;
mod ports;
mod probe;
mod pull;
mod snapshot;
mod steps;
mod subnets;
#[cfg(test)]
mod testing;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use self::engine::Door;
use self::files::Home;
use crate::domain::app::instance::{AppKey, Instance};
use crate::domain::app::observed::{Capacity, Observed, Probe};
use crate::domain::app::plan::Step;
use crate::domain::app::verdict::Backend;
use crate::domain::app::workload::Protocol;
use crate::domain::retry::Class;
use crate::runtimes::{Aid, Clear, Kind, LogLine, Runtime, RuntimeError};

/// The engine that listens where nothing else is said.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Where the kernel tells of this host.
const PROC: &str = "/proc";

/// A Docker engine and the folder of the applications' files on its host.
#[derive(Debug)]
pub struct DockerRuntime {
    door: Arc<Door>,
    apps: PathBuf,
    proc: PathBuf,
}

impl DockerRuntime {
    /// The engine behind `socket` (a path, or `unix://` and a path), with the applications' files below `apps`. Nothing is
    /// asked yet: an engine that is not there is an error of each call, until it comes.
    pub fn new(socket: &str, apps: &Path) -> std::io::Result<Self> {
        Ok(Self {
            door: Arc::new(Door::of(socket, Path::new(PROC))),
            apps: std::path::absolute(apps)?,
            proc: PathBuf::from(PROC),
        })
    }

    /// Reads the host's ports, routes and memory below another folder than `/proc`: where the operator itself runs in a container.
    #[must_use]
    pub fn with_proc(mut self, proc: &Path) -> Self {
        self.proc = proc.to_owned();
        self.door = Arc::new(Door::of(self.door.socket(), proc));
        self
    }

    /// Whether the engine answers.
    pub async fn check(&self) -> Result<(), RuntimeError> {
        let engine = self.door.engine().await?;
        engine.docker.ping().await.map(drop).map_err(|error| error::told("ask the Docker engine", &error))
    }

    fn home(&self, key: &AppKey, uid: &str) -> Home {
        Home::of(&self.apps, key, uid)
    }
}

/// Runs `work` on files where it may block.
async fn offline<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|_| Err(RuntimeError::new(Kind::Other, Class::Bug, "work on files broke off")))
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn backend(&self) -> Backend {
        Backend::Docker
    }

    async fn observe(&self, instance: &Instance) -> Result<Observed, RuntimeError> {
        let engine = self.door.engine().await?;
        observe::observe(engine, &self.home(&instance.key, &instance.uid), instance).await
    }

    async fn step(&self, instance: &Instance, step: &Step, aid: Aid<'_>) -> Result<(), RuntimeError> {
        let engine = self.door.engine().await?;
        let home = self.home(&instance.key, &instance.uid);
        // The engine repeats commands and settings in its complaints.
        let taken = steps::step(engine, &home, instance, step, &aid).await;
        taken.map_err(|error| RuntimeError { what: instance.masked(&error.what), ..error })
    }

    async fn probe(&self, instance: &Instance, observed: &Observed) -> Probe {
        probe::probe(instance, observed).await
    }

    async fn clear(&self, key: &AppKey, uid: &str, what: Clear) -> Result<Vec<String>, RuntimeError> {
        let engine = self.door.engine().await?;
        clear::clear(engine, &self.home(key, uid), key, uid, what).await
    }

    async fn logs(
        &self,
        key: &AppKey,
        service: Option<&str>,
        lines: u32,
    ) -> Result<Vec<LogLine>, RuntimeError> {
        logs::logs(self.door.engine().await?, key, service, lines).await
    }

    async fn capacity(&self) -> Result<Capacity, RuntimeError> {
        let engine = self.door.engine().await?;
        Ok(capacity::of(engine.cores, engine.memory, &self.proc, &[&engine.root, &self.apps]))
    }

    async fn taken_ports(&self, key: &AppKey) -> Result<BTreeSet<(u16, Protocol)>, RuntimeError> {
        ports::taken(&self.door.engine().await?.docker, &self.proc, key).await
    }

    fn compose_file(&self, key: &AppKey) -> Option<String> {
        let path = self.apps.join(&key.name).join(names::COMPOSE_FILE);
        Some(path.to_string_lossy().into_owned())
    }

    fn events(&self) -> BoxStream<'static, String> {
        events::events(self.door.clone())
    }
}
