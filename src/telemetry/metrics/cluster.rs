//! Figures of the cluster, taken from the view when somebody asks, so that they are never stale.

use std::sync::{Mutex, PoisonError};

use prometheus::{IntGauge, IntGaugeVec, Registry};

use crate::domain::view::{ClusterView, LineView};

use super::{gauges, register_all, text};

/// Figures of the cluster.
pub struct ClusterMetrics {
    legacy: IntGaugeVec,
    up: IntGaugeVec,
    lines: IntGaugeVec,
    watch_dog: IntGaugeVec,
    services: IntGaugeVec,
    served: IntGaugeVec,
    taken_over: IntGaugeVec,
    generation: IntGauge,
    changed: IntGauge,
    asking: Mutex<()>,
}

impl Default for ClusterMetrics {
    fn default() -> Self {
        Self {
            legacy: gauges(
                "cocoaSyncerStatus",
                "Counts of nodes, services and platform accounts, as dashboards of the old program read them",
                &["cocoaSyncerStatus"],
            ),
            up: gauges("cocoasyncer_node_up", "1 while the node lives, 0 while it is lost", &["node"]),
            lines: gauges(
                "cocoasyncer_node_lines",
                "Lines that the node answers for, its own and taken over",
                &["node", "taken_over"],
            ),
            watch_dog: gauges(
                "cocoasyncer_node_watchdog_timestamp_seconds",
                "When the node last fed its watchdog, by its own clock, in seconds since 1970",
                &["node"],
            ),
            services: gauges(
                "cocoasyncer_services",
                "Managed services by whether they are as wished",
                &["state"],
            ),
            served: gauges(
                "cocoasyncer_line_served",
                "1 while a node answers for the line, 0 while none can",
                &["line", "family"],
            ),
            taken_over: gauges(
                "cocoasyncer_line_taken_over_timestamp_seconds",
                "Since when the node answers for a line whose owners can't, in seconds since 1970",
                &["line", "family", "node"],
            ),
            changed: IntGauge::new(
                "cocoasyncer_configuration_changed_timestamp_seconds",
                "When the configuration last changed, in seconds since 1970",
            )
            .expect("the name is a constant that is well formed"),
            generation: IntGauge::new(
                "cocoasyncer_configuration_generation",
                "Generation of the configuration, rises with every change",
            )
            .expect("the name is a constant that is well formed"),
            asking: Mutex::new(()),
        }
    }
}

impl ClusterMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        register_all(
            registry,
            [
                Box::new(self.legacy.clone()),
                Box::new(self.up.clone()),
                Box::new(self.lines.clone()),
                Box::new(self.watch_dog.clone()),
                Box::new(self.services.clone()),
                Box::new(self.served.clone()),
                Box::new(self.taken_over.clone()),
                Box::new(self.generation.clone()),
                Box::new(self.changed.clone()),
            ],
        )
    }

    /// The registry's text with this view's figures. One asker at a time: figures are set anew for each.
    pub fn text(&self, registry: &Registry, view: &ClusterView) -> String {
        let _one = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        self.show(view);
        text(registry)
    }

    fn show(&self, view: &ClusterView) {
        let (nodes, live) = (view.nodes.len(), view.live());
        for (label, count) in [
            ("NodeNumber", nodes),
            ("CocoaSyncerManagedService", view.services.len()),
            ("CocoaSyncerCloudPlatformInfo", view.accounts.len()),
            ("CocoaSyncerNodeOnlineCount", live),
            ("CocoaSyncerNodeOfflineCount", nodes - live),
        ] {
            self.legacy.with_label_values(&[label]).set(count as i64);
        }
        // Nodes come and go; a gone one must not be told for ever.
        self.up.reset();
        self.lines.reset();
        self.watch_dog.reset();
        self.served.reset();
        self.taken_over.reset();
        for node in &view.nodes {
            let name = node.object.as_str();
            self.up.with_label_values(&[name]).set(node.pulse.lives().into());
            let taken = node.serving.iter().filter(|(_, taken_over)| *taken_over).count();
            self.lines.with_label_values(&[name, "true"]).set(taken as i64);
            self.lines.with_label_values(&[name, "false"]).set((node.serving.len() - taken) as i64);
            if let Some(dog) = node.pulse.watch_dog {
                self.watch_dog.with_label_values(&[name]).set(dog.as_second());
            }
        }
        let ready =
            view.services.iter().filter(|s| s.ready.as_ref().is_some_and(|(ready, _)| *ready)).count();
        self.services.with_label_values(&["ready"]).set(ready as i64);
        self.services.with_label_values(&["not_ready"]).set((view.services.len() - ready) as i64);
        for LineView { line, family, node, taken_over } in &view.lines {
            let (line, family) = (line.as_str(), family.record_type());
            self.served.with_label_values(&[line, family]).set(node.is_some().into());
            if let (Some(node), Some(since)) = (node, taken_over) {
                self.taken_over.with_label_values(&[line, family, node]).set(since.as_second());
            }
        }
        self.changed.set(view.updated_at.as_second());
        self.generation.set(i64::try_from(view.generation).unwrap_or(i64::MAX));
    }
}
