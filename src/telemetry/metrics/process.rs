//! Figures of this process: which build of which node it is, when the certificates that it made end, and what the system
//! counts of it.

use prometheus::process_collector::ProcessCollector;
use prometheus::{IntGaugeVec, Registry};

use super::{gauges, register_all};

/// Figures of this process. Clones share them.
#[derive(Clone)]
pub struct ProcessMetrics {
    build: IntGaugeVec,
    certificates: IntGaugeVec,
}

impl Default for ProcessMetrics {
    fn default() -> Self {
        Self {
            build: gauges(
                "cocoasyncer_build_info",
                "1, with the version that runs and the node that it is",
                &["version", "node"],
            ),
            certificates: gauges(
                "cocoasyncer_certificate_expiry_timestamp_seconds",
                "When a certificate that the process made ends, in seconds since 1970",
                &["certificate"],
            ),
        }
    }
}

impl ProcessMetrics {
    /// Registers them all, with CPU, memory, open files and start time.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(ProcessCollector::for_self()))?;
        register_all(registry, [Box::new(self.build.clone()), Box::new(self.certificates.clone())])
    }

    /// The process is this node.
    pub fn runs_as(&self, node: &str) {
        self.build.with_label_values(&[env!("CARGO_PKG_VERSION"), node]).set(1);
    }

    /// A certificate (`plane`, `webhook`, `webhook-authority`) ends at `end`, in seconds since 1970.
    pub fn certificate_ends(&self, certificate: &'static str, end: i64) {
        self.certificates.with_label_values(&[certificate]).set(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_tells_its_build_and_when_its_certificates_end() {
        let (metrics, registry) = (ProcessMetrics::default(), Registry::new());
        metrics.register(&registry).unwrap();
        metrics.runs_as("tokyo");
        metrics.certificate_ends("plane", 1_900_000_000);
        let text = super::super::text(&registry);
        for line in [
            concat!("cocoasyncer_build_info{node=\"tokyo\",version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "cocoasyncer_certificate_expiry_timestamp_seconds{certificate=\"plane\"} 1900000000",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
    }
}
