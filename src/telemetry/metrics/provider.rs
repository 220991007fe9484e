//! Figures of the calls to DNS providers: how many, what became of them, what the quotas cost. Labels name the platform
//! and the call, both closed vocabularies, never an account.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, Registry};

use super::{counters, histograms, register_all};

/// Buckets in seconds for what a call or a wait takes.
const WAITS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Figures of the calls. Clones share them.
#[derive(Clone)]
pub struct ProviderMetrics {
    calls: IntCounterVec,
    took: HistogramVec,
    throttled: IntCounterVec,
    waited: HistogramVec,
}

impl Default for ProviderMetrics {
    fn default() -> Self {
        Self {
            calls: counters(
                "cocoasyncer_provider_requests_total",
                "Requests to DNS providers, by what became of them",
                &["provider", "call", "result"],
            ),
            took: histograms(
                "cocoasyncer_provider_request_seconds",
                "Time until a DNS provider answered, in seconds",
                &["provider", "call"],
                WAITS,
            ),
            throttled: counters(
                "cocoasyncer_provider_throttled_total",
                "Requests that a DNS provider refused as too many",
                &["provider"],
            ),
            waited: histograms(
                "cocoasyncer_provider_quota_wait_seconds",
                "Time that requests waited for the account's quota, in seconds",
                &["provider"],
                WAITS,
            ),
        }
    }
}

impl ProviderMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        register_all(
            registry,
            [
                Box::new(self.calls.clone()),
                Box::new(self.took.clone()),
                Box::new(self.throttled.clone()),
                Box::new(self.waited.clone()),
            ],
        )
    }

    /// A request was answered, or given up after `took`; `result` is `ok` or a failure's kind.
    pub fn called(&self, provider: &'static str, call: &'static str, result: &'static str, took: Duration) {
        self.calls.with_label_values(&[provider, call, result]).inc();
        self.took.with_label_values(&[provider, call]).observe(took.as_secs_f64());
    }

    /// A request was refused as too many.
    pub fn throttled(&self, provider: &'static str) {
        self.throttled.with_label_values(&[provider]).inc();
    }

    /// A request waited so long for its account's quota.
    pub fn waited(&self, provider: &'static str, wait: Duration) {
        self.waited.with_label_values(&[provider]).observe(wait.as_secs_f64());
    }
}
