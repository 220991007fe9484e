//! Figures of the webhook: what it was asked and what it said.

use prometheus::{IntCounterVec, Registry};

use super::{counters, register_all};

/// Figures of the webhook. Clones share them.
#[derive(Clone)]
pub struct AdmissionMetrics {
    requests: IntCounterVec,
}

impl Default for AdmissionMetrics {
    fn default() -> Self {
        Self {
            requests: counters(
                "cocoasyncer_admission_requests_total",
                "Questions of the API server's, by kind and by what was answered",
                &["kind", "result"],
            ),
        }
    }
}

impl AdmissionMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        register_all(registry, [Box::new(self.requests.clone())])
    }

    /// A question about an object of this kind was answered: `allowed`, `warned`, `refused`, or `unread`.
    pub fn answered(&self, kind: &'static str, result: &'static str) {
        self.requests.with_label_values(&[kind, result]).inc();
    }
}
