//! Figures of the replicas: which one is active, how often that changed, and what the fence held back.

use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use super::{counters, gauges, register_all};

/// Figures of this replica. Clones share them.
#[derive(Clone)]
pub struct LeaseMetrics {
    node: String,
    active: IntGaugeVec,
    terms: IntCounterVec,
    held_back: IntCounterVec,
}

impl LeaseMetrics {
    /// Of a replica of this node.
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            active: gauges(
                "cocoasyncer_replica_active",
                "Whether this replica of the node is the active one, which alone writes",
                &["node"],
            ),
            terms: counters(
                "cocoasyncer_replica_terms_total",
                "How often this replica became the active one",
                &["node"],
            ),
            held_back: counters(
                "cocoasyncer_fenced_writes_total",
                "Writes that were held back because this replica was not, or no longer, the active one",
                &["target", "result"],
            ),
        }
    }

    /// Registers them all.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        // Nothing counted yet is a figure, too: alerts ask for it.
        self.active.with_label_values(&[&self.node]);
        self.terms.with_label_values(&[&self.node]);
        for target in TARGETS {
            self.held_back.with_label_values(&[target, REFUSED]);
            self.held_back.with_label_values(&[target, CUT_OFF]);
        }
        register_all(
            registry,
            [Box::new(self.active.clone()), Box::new(self.terms.clone()), Box::new(self.held_back.clone())],
        )
    }

    /// This replica is the active one, or not.
    pub fn active(&self, is: bool) {
        self.active.with_label_values(&[&self.node]).set(i64::from(is));
    }

    /// A term began.
    pub fn began(&self) {
        self.terms.with_label_values(&[&self.node]).inc();
    }

    /// A write was not begun.
    pub fn refused(&self, target: &str) {
        self.held_back.with_label_values(&[target, REFUSED]).inc();
    }

    /// A write was cut off.
    pub fn cut_off(&self, target: &str) {
        self.held_back.with_label_values(&[target, CUT_OFF]).inc();
    }

    /// How many writes to this target were not begun.
    pub fn refusals(&self, target: &str) -> u64 {
        self.held_back.with_label_values(&[target, REFUSED]).get()
    }

    /// How many writes to this target were cut off.
    pub fn cuts(&self, target: &str) -> u64 {
        self.held_back.with_label_values(&[target, CUT_OFF]).get()
    }
}

/// Where writes go: the control plane, a DNS provider, a runtime of applications, a peer.
pub const TARGETS: [&str; 4] = ["object", "record", "workload", "push"];
const REFUSED: &str = "refused";
const CUT_OFF: &str = "cut_off";
