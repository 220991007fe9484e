//! A runtime of applications behind a fence: it looks whenever it is asked, and takes steps only while the term lasts.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::controllers::lease::fence::{Fence, Fenced};
use crate::domain::app::instance::{AppKey, Instance};
use crate::domain::app::observed::{Capacity, Observed, Probe};
use crate::domain::app::plan::Step;
use crate::domain::app::verdict::Backend;
use crate::domain::app::workload::Protocol;
use crate::domain::retry::Class;
use crate::runtimes::{Aid, Caveats, Clear, Kind, LogLine, Runtime, RuntimeError};

/// What the metrics call a change of workloads.
const WHAT: &str = "workload";

/// A runtime behind a fence.
pub struct FencedRuntime {
    inner: Arc<dyn Runtime>,
    fence: Fence,
}

impl FencedRuntime {
    /// `inner` behind `fence`.
    pub fn new(inner: Arc<dyn Runtime>, fence: Fence) -> Self {
        Self { inner, fence }
    }
}

fn refused(fenced: Fenced) -> RuntimeError {
    RuntimeError::new(Kind::Unreachable, Class::Transient, fenced.to_string())
}

#[async_trait]
impl Runtime for FencedRuntime {
    fn backend(&self) -> Backend {
        self.inner.backend()
    }

    async fn observe(&self, instance: &Instance) -> Result<Observed, RuntimeError> {
        self.inner.observe(instance).await
    }

    async fn step(&self, instance: &Instance, step: &Step, aid: Aid<'_>) -> Result<(), RuntimeError> {
        self.fence.guard(WHAT, self.inner.step(instance, step, aid)).await.unwrap_or_else(|f| Err(refused(f)))
    }

    async fn probe(&self, instance: &Instance, observed: &Observed) -> Probe {
        self.inner.probe(instance, observed).await
    }

    async fn clear(&self, key: &AppKey, uid: &str, what: Clear) -> Result<Vec<String>, RuntimeError> {
        self.fence.guard(WHAT, self.inner.clear(key, uid, what)).await.unwrap_or_else(|f| Err(refused(f)))
    }

    async fn logs(
        &self,
        key: &AppKey,
        service: Option<&str>,
        lines: u32,
    ) -> Result<Vec<LogLine>, RuntimeError> {
        self.inner.logs(key, service, lines).await
    }

    async fn capacity(&self) -> Result<Capacity, RuntimeError> {
        self.inner.capacity().await
    }

    async fn taken_ports(&self, key: &AppKey) -> Result<BTreeSet<(u16, Protocol)>, RuntimeError> {
        self.inner.taken_ports(key).await
    }

    fn caveats(&self, instance: &Instance) -> Caveats {
        self.inner.caveats(instance)
    }

    fn compose_file(&self, key: &AppKey) -> Option<String> {
        self.inner.compose_file(key)
    }

    fn events(&self) -> BoxStream<'static, String> {
        self.inner.events()
    }
}
