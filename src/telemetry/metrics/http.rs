//! Figures of the HTTP servers.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry};

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
                "Time until the answer, in seconds",
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

    /// A route's figures, found once and not again for every request. `route` is a route's pattern, never what was
    /// asked for.
    pub fn route(&self, route: &'static str) -> RouteMetrics {
        let code = |code| (code, self.requests.with_label_values(&[route, code]));
        RouteMetrics { codes: CODES.map(code), duration: self.duration.with_label_values(&[route]) }
    }

    /// Counts a connection until what is returned is dropped.
    pub fn connection(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }
}

/// Outcomes that are counted, the frequent ones first; whatever else there is counts as `other`.
const CODES: [&str; 9] = ["200", "201", "401", "405", "400", "404", "413", "503", "other"];

/// Figures of one route.
pub struct RouteMetrics {
    codes: [(&'static str, IntCounter); CODES.len()],
    duration: Histogram,
}

impl RouteMetrics {
    /// A request was answered with this outcome.
    pub fn answered(&self, code: &str, took: Duration) {
        let last = &self.codes[CODES.len() - 1];
        self.codes.iter().find(|(known, _)| *known == code).unwrap_or(last).1.inc();
        self.duration.observe(took.as_secs_f64());
    }
}

/// A connection that is open.
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
