//! Figures of the loops: what they did, what they hold back, how long it took.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use crate::api::vocab::Line;
use crate::domain::dns_plan::Held;
use crate::domain::records::{Cause, ZoneId};
use crate::domain::retry::Class;
use crate::telemetry::round::outcome;

use super::{counters, gauges, histograms, register_all};

/// Buckets in seconds for work that takes from a millisecond to half a minute.
const WORK: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Figures of the loops. Clones share them.
#[derive(Clone)]
pub struct ReconcileMetrics {
    reconciles: IntCounterVec,
    duration: HistogramVec,
    changes: IntCounterVec,
    held: IntGaugeVec,
    records: IntGaugeVec,
    synced: IntGaugeVec,
    applied: HistogramVec,
    provider_calls: IntCounterVec,
    peer_calls: IntCounterVec,
}

/// Where a record stands against its wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordState {
    /// As wished.
    InPlace,
    /// Not yet.
    Pending,
    /// Left as it is on purpose.
    Held,
}

impl RecordState {
    const fn as_str(self) -> &'static str {
        match self {
            RecordState::InPlace => "in_place",
            RecordState::Pending => "pending",
            RecordState::Held => "held",
        }
    }
}

impl Default for ReconcileMetrics {
    fn default() -> Self {
        Self {
            reconciles: counters("cocoasyncer_reconciles_total", "Rounds of each loop", &["loop", "result"]),
            duration: histograms(
                "cocoasyncer_reconcile_seconds",
                "Time that a round took, in seconds",
                &["loop"],
                WORK,
            ),
            changes: counters(
                "cocoasyncer_record_changes_total",
                "Record sets changed, by cause",
                &["cause"],
            ),
            held: gauges(
                "cocoasyncer_changes_held",
                "Changes held back now, by zone",
                &["zone", "provider", "reason"],
            ),
            records: gauges(
                "cocoasyncer_records",
                "Record sets by line and state",
                &["zone", "provider", "line", "state"],
            ),
            synced: gauges(
                "cocoasyncer_zone_synced_timestamp_seconds",
                "When all that had to be done in a zone was last done, in seconds since 1970; 0: not since the start",
                &["zone", "provider"],
            ),
            applied: histograms(
                "cocoasyncer_decision_to_applied_seconds",
                "Time from the decision that a record must change until the provider has it, in seconds",
                &["provider"],
                WORK,
            ),
            provider_calls: counters(
                "cocoasyncer_provider_calls_total",
                "Calls of DNS providers",
                &["provider", "call", "result"],
            ),
            peer_calls: counters("cocoasyncer_peer_calls_total", "Calls of peers", &["call", "result"]),
        }
    }
}

impl ReconcileMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        register_all(
            registry,
            [
                Box::new(self.reconciles.clone()),
                Box::new(self.duration.clone()),
                Box::new(self.changes.clone()),
                Box::new(self.held.clone()),
                Box::new(self.records.clone()),
                Box::new(self.synced.clone()),
                Box::new(self.applied.clone()),
                Box::new(self.provider_calls.clone()),
                Box::new(self.peer_calls.clone()),
            ],
        )
    }

    /// A round of the loop `name` ended.
    pub fn reconciled(&self, name: &'static str, result: Result<(), Class>, took: Duration) {
        self.reconciles.with_label_values(&[name, outcome(result)]).inc();
        self.duration.with_label_values(&[name]).observe(took.as_secs_f64());
    }

    /// `count` record sets were changed for this cause.
    pub fn changed(&self, cause: Cause, count: u64) {
        self.changes.with_label_values(&[cause_name(cause)]).inc_by(count);
    }

    /// All that is held back in a zone now.
    pub fn holds<'a>(&self, zone: &ZoneId, held: impl IntoIterator<Item = &'a Held>) {
        let mut counts: BTreeMap<&str, i64> = Held::REASONS.into_iter().map(|reason| (reason, 0)).collect();
        for one in held {
            *counts.entry(one.reason()).or_default() += 1;
        }
        for (reason, count) in counts {
            self.held.with_label_values(&[zone.zone.as_str(), zone.provider.as_str(), reason]).set(count);
        }
    }

    /// How many record sets of a zone stand so on a line.
    pub fn records(&self, zone: &ZoneId, line: Line, state: RecordState, count: usize) {
        let labels = [zone.zone.as_str(), zone.provider.as_str(), line.as_str(), state.as_str()];
        self.records.with_label_values(&labels).set(count as i64);
    }

    /// A turn of a zone ended at `now`; `well`: nothing is left to do.
    pub fn synced(&self, zone: &ZoneId, well: bool, now: Timestamp) {
        // A zone that never was is shown as well, as 0.
        let synced = self.synced.with_label_values(&[zone.zone.as_str(), zone.provider.as_str()]);
        if well {
            synced.set(now.as_second());
        }
    }

    /// A zone is served no more: its figures go.
    pub fn forget(&self, zone: &ZoneId) {
        let (zone, provider) = (zone.zone.as_str(), zone.provider.as_str());
        let _ = self.synced.remove_label_values(&[zone, provider]);
        for reason in Held::REASONS {
            let _ = self.held.remove_label_values(&[zone, provider, reason]);
        }
        for line in Line::ALL {
            for state in [RecordState::InPlace, RecordState::Pending, RecordState::Held] {
                let _ = self.records.remove_label_values(&[zone, provider, line.as_str(), state.as_str()]);
            }
        }
    }

    /// Decided changes have reached the provider.
    pub fn applied(&self, provider: &str, after: Duration) {
        self.applied.with_label_values(&[provider]).observe(after.as_secs_f64());
    }

    /// A provider was called (`list` or `apply`).
    pub fn provider_called(&self, provider: &str, call: &'static str, result: Result<(), Class>) {
        self.provider_calls.with_label_values(&[provider, call, outcome(result)]).inc();
    }

    /// A peer was called (`beat` or `push`).
    pub fn peer_called(&self, call: &'static str, result: Result<(), Class>) {
        self.peer_calls.with_label_values(&[call, outcome(result)]).inc();
    }
}

const fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Loss => "loss",
        Cause::Return => "return",
        Cause::Drain => "drain",
        Cause::Address => "address",
        Cause::Edit => "edit",
        Cause::Deleted => "deleted",
        Cause::Drift => "drift",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::vocab::PlatformProvider;
    use crate::domain::names::DnsName;

    #[test]
    fn a_zone_that_is_gone_leaves_no_figures() {
        let (metrics, registry) = (ReconcileMetrics::default(), Registry::new());
        metrics.register(&registry).unwrap();
        let zone = DnsName::parse("example.com", "").unwrap();
        let zone = ZoneId { provider: PlatformProvider::Local, account: None, zone };
        metrics.records(&zone, Line::CT, RecordState::InPlace, 3);
        metrics.holds(&zone, &[]);
        metrics.synced(&zone, false, Timestamp::UNIX_EPOCH);
        metrics.reconciled("service", Err(Class::Transient), Duration::from_millis(3));
        let text = super::super::text(&registry);
        assert!(
            text.contains(
                r#"cocoasyncer_records{line="CT",provider="Local",state="in_place",zone="example.com"} 3"#
            ),
            "{text}"
        );
        assert!(text.contains(r#"cocoasyncer_reconciles_total{loop="service",result="transient"} 1"#));
        let synced = r#"cocoasyncer_zone_synced_timestamp_seconds{provider="Local",zone="example.com"} 0"#;
        assert!(text.contains(synced), "{text}");
        metrics.forget(&zone);
        assert!(!super::super::text(&registry).contains("example.com"));
    }
}
