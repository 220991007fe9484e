//! Figures of the webhook: what it was asked and what it said, and when its certificates end.

use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use super::{counters, gauges, register_all};

/// Figures of the webhook. Clones share them.
#[derive(Clone)]
pub struct AdmissionMetrics {
    requests: IntCounterVec,
    expiry: IntGaugeVec,
}

impl Default for AdmissionMetrics {
    fn default() -> Self {
        Self {
            requests: counters(
                "cocoasyncer_admission_requests_total",
                "Questions of the API server's, by kind and by what was answered",
                &["kind", "result"],
            ),
            expiry: gauges(
                "cocoasyncer_certificate_expiry_timestamp_seconds",
                "When a certificate of the operator's own ends, in seconds since 1970",
                &["certificate"],
            ),
        }
    }
}

impl AdmissionMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        register_all(registry, [Box::new(self.requests.clone()), Box::new(self.expiry.clone())])
    }

    /// A question about an object of this kind was answered: `allowed`, `warned`, `refused`, or `unread`.
    pub fn answered(&self, kind: &'static str, result: &'static str) {
        self.requests.with_label_values(&[kind, result]).inc();
    }

    /// A certificate ends then, in seconds since 1970.
    pub fn ends(&self, certificate: &'static str, at: i64) {
        self.expiry.with_label_values(&[certificate]).set(at);
    }
}
