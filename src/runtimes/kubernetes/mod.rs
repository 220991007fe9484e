//! Applications in the cluster that the operator is connected to: objects by server-side apply under one field manager,
//! removed by the App's labels and uid only. What pulls images, starts pods and brings them back is the cluster.
//!
//! An uninstall doesn't remove images: the nodes' kubelets do that when nobody uses them.

pub mod objects;
pub mod apply;
pub mod observe;
pub mod pods;
pub mod clear;
pub mod capacity;
pub mod logs;
pub mod events;
pub mod failure;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use kube::Client;

use crate::domain::app::instance::{AppKey, Instance};
use crate::domain::app::kubernetes::{Options, render};
use crate::domain::app::observed::{Capacity, Observed, Probe};
use crate::domain::app::plan::Step;
use crate::domain::app::verdict::Backend;
use crate::domain::app::workload::Protocol;
use crate::domain::retry::Class;
use crate::domain::scope::Scope;
use crate::runtimes::{Aid, Caveats, Clear, Kind, LogLine, Runtime, RuntimeError};

/// In whose name objects are applied.
pub const MANAGER: &str = "cocoasyncer/apps";

/// The cluster as a runtime.
pub struct KubernetesRuntime {
    client: Client,
    scope: Arc<Scope>,
    options: Options,
    /// What a cluster made of what was applied where it changed it at once (an admission webhook does): the object's key
    /// with our digest and the object's version then. It is no drift, and applying again would go on for ever.
    settled: Arc<Mutex<BTreeMap<String, (String, String)>>>,
}

impl KubernetesRuntime {
    /// A runtime over `client`, in all namespaces.
    pub fn new(client: Client, options: Options) -> Self {
        Self { client, scope: Arc::default(), options, settled: Arc::default() }
    }

    /// The same, which looks at nothing outside `scope`.
    pub fn within(self, scope: Arc<Scope>) -> Self {
        Self { scope, ..self }
    }

    /// How it renders.
    pub fn options(&self) -> &Options {
        &self.options
    }

    fn settled(&self, key: &str, digest: &str, version: &str) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.get(key).is_some_and(|(d, v)| d == digest && v == version)
    }

    fn settle(&self, key: String, digest: String, version: String) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (digest, version));
    }

    fn unsettle(&self, key: &str) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[async_trait]
impl Runtime for KubernetesRuntime {
    fn backend(&self) -> Backend {
        Backend::Kubernetes
    }

    async fn observe(&self, instance: &Instance) -> Result<Observed, RuntimeError> {
        let rendered = render(instance, &self.options);
        Ok(self.look(instance, &rendered).await?.0)
    }

    async fn step(&self, instance: &Instance, step: &Step, _aid: Aid<'_>) -> Result<(), RuntimeError> {
        match step {
            Step::Apply => self.apply(instance).await,
            Step::Snapshot(..) | Step::Restore(..) | Step::DropSnapshot(..) => Err(RuntimeError::new(
                Kind::Refused,
                Class::User,
                format!("{step}: a cluster's volumes are not copied by us; use its storage's own snapshots"),
            )),
            _ => Err(RuntimeError::new(Kind::Other, Class::Bug, format!("{step}: no step of a cluster"))),
        }
    }

    async fn probe(&self, instance: &Instance, _observed: &Observed) -> Probe {
        self.answers(instance).await
    }

    async fn clear(&self, key: &AppKey, uid: &str, what: Clear) -> Result<Vec<String>, RuntimeError> {
        self.remove(key, uid, what).await
    }

    async fn logs(
        &self,
        key: &AppKey,
        service: Option<&str>,
        lines: u32,
    ) -> Result<Vec<LogLine>, RuntimeError> {
        self.read_logs(key, service, lines).await
    }

    fn caveats(&self, instance: &Instance) -> Caveats {
        let rendered = render(instance, &self.options);
        Caveats {
            data_not_copied: rendered.objects.iter().any(|object| object["kind"] == "PersistentVolumeClaim"),
            partly: rendered.degraded,
            level: Some(rendered.level),
        }
    }

    async fn capacity(&self) -> Result<Capacity, RuntimeError> {
        self.room().await
    }

    /// None: nothing of the nodes' own ports is used.
    async fn taken_ports(&self, _key: &AppKey) -> Result<BTreeSet<(u16, Protocol)>, RuntimeError> {
        Ok(BTreeSet::new())
    }

    fn compose_file(&self, _key: &AppKey) -> Option<String> {
        None
    }

    fn events(&self) -> BoxStream<'static, String> {
        events::stream(&self.client, &self.scope)
    }
}
