//! Figures of the catalogue: how much each source offers, and whether it can be read.

use std::collections::BTreeMap;

use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use super::{counters, gauges, register_all};

/// Figures of the catalogue. Clones share them.
#[derive(Clone)]
pub struct CatalogMetrics {
    templates: IntGaugeVec,
    readable: IntGaugeVec,
    changes: IntCounterVec,
}

impl Default for CatalogMetrics {
    fn default() -> Self {
        Self {
            templates: gauges(
                "cocoasyncer_catalog_templates",
                "Templates by what became of them",
                &["state"],
            ),
            readable: gauges("cocoasyncer_catalog_readable", "Whether a folder can be read", &["folder"]),
            changes: counters("cocoasyncer_catalog_changes_total", "How often the catalogue changed", &[]),
        }
    }
}

impl CatalogMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let all: [Box<dyn prometheus::core::Collector>; 3] = [
            Box::new(self.templates.clone()),
            Box::new(self.readable.clone()),
            Box::new(self.changes.clone()),
        ];
        register_all(registry, all)
    }

    /// The catalogue changed: so many templates stand so now.
    pub fn changed(&self, states: &BTreeMap<&'static str, usize>) {
        for (state, count) in states {
            self.templates.with_label_values(&[*state]).set(*count as i64);
        }
        self.changes.with_label_values::<&str>(&[]).inc();
    }

    /// A folder was looked at.
    pub fn looked(&self, folder: &str, readable: bool) {
        self.readable.with_label_values(&[folder]).set(i64::from(readable));
    }
}
