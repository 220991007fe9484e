//! Metrics, a struct per subsystem; each is registered with the registry that it is given. No label holds a secret, a
//! node code or anything that grows without bound.

pub mod admission;
pub mod app;
pub mod calls;
pub mod catalog;
pub mod cluster;
pub mod http;
pub mod lease;
pub mod process;
pub mod provider;
pub mod reconcile;

use prometheus::core::Collector;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The text format's content type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All of a registry as Prometheus text.
pub fn text(registry: &Registry) -> String {
    let mut text = Vec::new();
    // Only a metric without samples is refused, and what came before it stands.
    let _ = TextEncoder::new().encode(&registry.gather(), &mut text);
    String::from_utf8(text).unwrap_or_default()
}

fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), labels)
        .expect("names and labels are constants that are well formed")
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    IntGaugeVec::new(Opts::new(name, help), labels)
        .expect("names and labels are constants that are well formed")
}

fn histograms(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    HistogramVec::new(opts, labels).expect("names, labels and buckets are constants that are well formed")
}

fn register_all<const N: usize>(
    registry: &Registry,
    all: [Box<dyn Collector>; N],
) -> Result<(), prometheus::Error> {
    all.into_iter().try_for_each(|collector| registry.register(collector))
}
