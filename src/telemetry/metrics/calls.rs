//! Calls of a cluster's API server.

use prometheus::{IntCounterVec, Registry};

use super::{counters, register_all};

/// Figures of the calls. Clones share them.
#[derive(Clone)]
pub struct CallMetrics {
    calls: IntCounterVec,
}

impl Default for CallMetrics {
    fn default() -> Self {
        let calls = counters(
            "cocoasyncer_api_server_calls_total",
            "Calls of the cluster's API server",
            &["verb", "result"],
        );
        Self { calls }
    }
}

impl CallMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        register_all(registry, [Box::new(self.calls.clone())])
    }

    /// A call was made, and came to this.
    pub fn called(&self, verb: &str, result: &str) {
        self.calls.with_label_values(&[verb, result]).inc();
    }
}
