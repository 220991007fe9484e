//! What all workers of applications share: the context, the settings, the queues and what the view needs of Secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use crate::api::app::RuntimeKind;
use crate::catalog::library::Library;
use crate::controllers::app::queue::Queue;
use crate::controllers::shared::context::Context;
use crate::domain::app::finding::Right;
use crate::domain::app::instance::AppKey;
use crate::domain::app::verdict::Backend;
use crate::domain::secret::Secret;
use crate::runtimes::Runtime;
use crate::telemetry::metrics::app::AppMetrics;

/// What an operator decides for all applications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Rights over the host that templates may have, where their App accepts them too.
    pub allow: BTreeSet<Right>,
    /// Installs and upgrades at a time, per runtime.
    pub at_once: usize,
    /// The host's public name or address, for URLs.
    pub host: Option<String>,
    /// Zones that `spec.domain` may lie in, beside those that services already name.
    pub zones: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { allow: BTreeSet::new(), at_once: 1, host: None, zones: Vec::new() }
    }
}

/// What runs containers here.
#[derive(Clone, Default)]
pub struct Runtimes {
    /// The Docker engine of this host, where there is one.
    pub docker: Option<Arc<dyn Runtime>>,
    /// The cluster, where there is one.
    pub kubernetes: Option<Arc<dyn Runtime>>,
}

/// The context of the applications' workers. Cloning is cheap.
#[derive(Clone)]
pub struct AppContext {
    /// The control plane, the caches, the clock, the events.
    pub base: Context,
    /// The catalogue.
    pub library: Library,
    /// The Docker engine of this host, where there is one.
    pub docker: Option<Arc<dyn Runtime>>,
    /// The cluster, where there is one.
    pub kubernetes: Option<Arc<dyn Runtime>>,
    /// The settings.
    pub settings: Arc<Settings>,
    /// Figures.
    pub metrics: AppMetrics,
    /// What the workers share.
    pub shared: Arc<Shared>,
}

impl AppContext {
    /// A context with empty queues.
    pub fn new(
        base: Context,
        library: Library,
        Runtimes { docker, kubernetes }: Runtimes,
        settings: Settings,
        metrics: AppMetrics,
    ) -> Self {
        let queue = |name| Queue::new(settings.at_once, name, metrics.clone());
        let shared = Shared {
            choosing: Mutex::new(()),
            docker: queue("docker"),
            kubernetes: queue("kubernetes"),
            passwords: watch::Sender::default(),
        };
        let (settings, shared) = (Arc::new(settings), Arc::new(shared));
        Self { base, library, docker, kubernetes, settings, metrics, shared }
    }

    /// The runtime that an App asks for; `Auto` is the cluster where there is one.
    pub fn runtime(&self, kind: RuntimeKind) -> Option<Arc<dyn Runtime>> {
        match kind {
            RuntimeKind::Docker => self.docker.clone(),
            RuntimeKind::Kubernetes => self.kubernetes.clone(),
            RuntimeKind::Auto => self.kubernetes.clone().or_else(|| self.docker.clone()),
        }
    }
}

/// A runtime's name in statuses.
pub fn kind_of(backend: Backend) -> RuntimeKind {
    match backend {
        Backend::Docker => RuntimeKind::Docker,
        Backend::Kubernetes => RuntimeKind::Kubernetes,
    }
}

/// A runtime's name in metrics.
pub fn name_of(backend: Backend) -> &'static str {
    match backend {
        Backend::Docker => "docker",
        Backend::Kubernetes => "kubernetes",
    }
}

/// What all workers share.
pub struct Shared {
    /// Held while an install chooses its ports and writes them down: of two at one time the second sees the first's.
    pub choosing: Mutex<()>,
    docker: Arc<Queue>,
    kubernetes: Arc<Queue>,
    /// Passwords of first users, for the view.
    pub passwords: watch::Sender<BTreeMap<AppKey, Secret>>,
}

impl Shared {
    /// The queue of a runtime.
    pub fn queue(&self, backend: Backend) -> &Arc<Queue> {
        match backend {
            Backend::Docker => &self.docker,
            Backend::Kubernetes => &self.kubernetes,
        }
    }

    /// An App is gone, or wants nothing any more.
    pub fn forget(&self, key: &AppKey) {
        self.docker.leave(key);
        self.kubernetes.leave(key);
        self.passwords.send_if_modified(|known| known.remove(key).is_some());
    }

    /// Notes an App's first user's password.
    pub fn note_password(&self, key: &AppKey, password: Option<&Secret>) {
        self.passwords.send_if_modified(|known| {
            let news = known.get(key) != password;
            match password {
                Some(password) if news => drop(known.insert(key.clone(), password.clone())),
                None => drop(known.remove(key)),
                Some(_) => {}
            }
            news
        });
    }
}
