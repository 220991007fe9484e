//! Figures of the HTTP servers.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounterVec, IntGauge, Registry};

use super::{counters, histograms, register_all};

/// Buckets in seconds for answers that are ready and for pushes that must be written.
const BUCKETS: &[f64] = &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Figures of the HTTP servers. Clones share them.
#[derive(Clone)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    connections: IntGauge,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            requests: counters(
                "cocoasyncer_http_requests_total",
                "Requests by route and outcome",
                &["route", "code"],
            ),
            duration: histograms(
                "cocoasyncer_http_request_seconds",
                "Time until the answer",
                &["route"],
                BUCKETS,
            ),
            connections: IntGauge::new("cocoasyncer_http_connections", "Connections open now")
                .expect("the name is a constant that is well formed"),
        }
    }
}

impl HttpMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        register_all(
            registry,
            [
                Box::new(self.requests.clone()),
                Box::new(self.duration.clone()),
                Box::new(self.connections.clone()),
            ],
        )
    }

    /// A request was answered; `route` is a route's pattern, never what was asked for, and `code` the outcome's number.
    pub fn answered(&self, route: &'static str, code: &'static str, took: Duration) {
        self.requests.with_label_values(&[route, code]).inc();
        self.times(route).observe(took.as_secs_f64());
    }

    /// Counts a connection until what is returned is dropped.
    pub fn connection(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    fn times(&self, route: &str) -> Histogram {
        self.duration.with_label_values(&[route])
    }
}

/// A connection that is open.
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
