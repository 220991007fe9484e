//! Figures of applications: where they are, how long each phase took, what was done and what failed. Labels are closed
//! vocabularies; no application is named.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use crate::domain::app::phase::Phase;

use super::{counters, gauges, histograms, register_all};

/// Buckets in seconds for a phase: a start takes one, a large pull half an hour.
const PHASES: &[f64] =
    &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

/// How a change of version ends.
const UPGRADES: [&str; 2] = ["ok", "rolled_back"];

/// Figures of applications. Clones share them.
#[derive(Clone)]
pub struct AppMetrics {
    apps: IntGaugeVec,
    phases: HistogramVec,
    queue: IntGaugeVec,
    oldest: IntGaugeVec,
    steps: IntCounterVec,
    upgrades: IntCounterVec,
}

impl Default for AppMetrics {
    fn default() -> Self {
        let all = Self {
            apps: gauges("cocoasyncer_apps", "Applications by status", &["status"]),
            phases: histograms(
                "cocoasyncer_app_phase_seconds",
                "Time that applications stayed in a phase that they left, in seconds",
                &["phase"],
                PHASES,
            ),
            queue: gauges(
                "cocoasyncer_app_queue_length",
                "Applications that wait for their turn",
                &["runtime"],
            ),
            oldest: gauges(
                "cocoasyncer_app_queue_oldest_timestamp_seconds",
                "Since when the first of those who wait for their turn waits, in seconds since 1970; 0: nobody waits",
                &["runtime"],
            ),
            steps: counters(
                "cocoasyncer_app_steps_total",
                "Steps taken, by what became of them",
                &["runtime", "step", "result"],
            ),
            upgrades: counters(
                "cocoasyncer_app_upgrades_total",
                "Changes of version that ended",
                &["result"],
            ),
        };
        // A counter that is there from the start shows its first rise too.
        UPGRADES.into_iter().for_each(|result| drop(all.upgrades.with_label_values(&[result])));
        all
    }
}

impl AppMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        register_all(
            registry,
            [
                Box::new(self.apps.clone()),
                Box::new(self.phases.clone()),
                Box::new(self.queue.clone()),
                Box::new(self.oldest.clone()),
                Box::new(self.steps.clone()),
                Box::new(self.upgrades.clone()),
            ],
        )
    }

    /// How many applications are in which phase now.
    pub fn apps(&self, counts: &BTreeMap<Phase, i64>) {
        for phase in Phase::ALL {
            let count = counts.get(&phase).copied().unwrap_or_default();
            self.apps.with_label_values(&[phase.word()]).set(count);
        }
    }

    /// An application left `phase` after `took`.
    pub fn left(&self, phase: Phase, took: Duration) {
        self.phases.with_label_values(&[phase.word()]).observe(took.as_secs_f64());
    }

    /// So many wait for their turn, the first of them since `oldest`.
    pub fn waiting(&self, runtime: &'static str, length: usize, oldest: Option<Timestamp>) {
        self.queue.with_label_values(&[runtime]).set(i64::try_from(length).unwrap_or(i64::MAX));
        self.oldest.with_label_values(&[runtime]).set(oldest.map_or(0, Timestamp::as_second));
    }

    /// A step was taken; `result` is `ok` or a failure's kind.
    pub fn step(&self, runtime: &'static str, step: &'static str, result: &'static str) {
        self.steps.with_label_values(&[runtime, step, result]).inc();
    }

    /// A change of version ended, well or undone.
    pub fn upgraded(&self, well: bool) {
        let [ok, undone] = UPGRADES;
        self.upgrades.with_label_values(&[if well { ok } else { undone }]).inc();
    }

    /// So many steps of this kind ended so.
    pub fn steps(&self, runtime: &str, step: &str, result: &str) -> u64 {
        self.steps.with_label_values(&[runtime, step, result]).get()
    }
}
