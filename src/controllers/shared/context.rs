//! What every loop may hold. It carries no state of a loop: that stays inside the loop.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};

use crate::controllers::lease::client::fenced;
use crate::controllers::lease::fence::Fence;
use crate::controllers::stores::Stores;
use crate::domain::records::ZoneId;
use crate::domain::scope::Scope;
use crate::providers::DnsProvider;
use crate::telemetry::metrics::reconcile::ReconcileMetrics;
use crate::telemetry::said::Said;
use crate::telemetry::troubles::Troubles;

/// Reads the clock; a scenario hands in its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Finds the provider of a zone; `None` where this node has none configured for it.
pub type ProviderFor = Arc<dyn Fn(&ZoneId) -> Option<Arc<dyn DnsProvider>> + Send + Sync>;

/// What this replica is among those of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It alone writes.
    Active,
    /// It serves what it sees, and writes nothing.
    Standby,
}

/// The context of all loops.
#[derive(Clone)]
pub struct Context {
    /// The control plane: a cluster's or our own.
    pub client: Client,
    /// Object name of the node that this process is.
    pub me: String,
    /// What this replica is, for loops that run in both roles. What an active one writes passes its term's fence.
    pub role: Role,
    /// What is watched.
    pub stores: Stores,
    /// The clock.
    pub clock: Clock,
    /// Where records live.
    pub provider_for: ProviderFor,
    /// Publishes events; one of the same reason is folded into the one before and keeps its words.
    pub recorder: Recorder,
    reporter: Reporter,
    /// What was said of writes to the control plane that fail.
    pub said: Said<String>,
    /// Where the loops count.
    pub metrics: ReconcileMetrics,
    /// What is wrong though they work.
    pub troubles: Troubles,
}

impl Context {
    /// A context of the node `me`.
    pub fn new(
        client: Client,
        me: String,
        stores: Stores,
        clock: Clock,
        provider_for: ProviderFor,
        metrics: ReconcileMetrics,
    ) -> Self {
        let reporter = Reporter { controller: "cocoasyncer".into(), instance: Some(me.clone()) };
        let recorder = Recorder::new(client.clone(), reporter.clone());
        let (role, troubles, said) = (Role::Active, Troubles::default(), Said::default());
        Self { client, me, role, stores, clock, provider_for, recorder, reporter, said, metrics, troubles }
    }

    /// The same in this role, with everything that it writes behind `fence`.
    pub fn behind(&self, role: Role, fence: &Fence) -> Self {
        let client = fenced(&self.client, fence);
        let recorder = Recorder::new(client.clone(), self.reporter.clone());
        Self { client, role, recorder, ..self.clone() }
    }

    /// Publishes events that are each their own, whatever was published before.
    pub fn fresh_recorder(&self) -> Recorder {
        Recorder::new(self.client.clone(), self.reporter.clone())
    }

    /// Which namespaces are served.
    pub fn scope(&self) -> &Arc<Scope> {
        self.stores.scope()
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
