//! Carries out a wave of steps at a runtime, counts them, and hears how far they are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures::{StreamExt, TryStreamExt};
use tokio::sync::Notify;

use crate::api::app::{Layer, Progress as Told};
use crate::controllers::app::shared::name_of;
use crate::domain::app::instance::Instance;
use crate::domain::app::plan::Step;
use crate::domain::app::registry::Credentials;
use crate::runtimes::{Aid, Progress, Runtime, RuntimeError};
use crate::telemetry::metrics::app::AppMetrics;

/// Steps of one wave that are taken at once.
const AT_ONCE: usize = 4;
/// Layers that a status names: those that move, the first of them.
const LAYERS: usize = 16;

/// How far the steps of a wave are.
#[derive(Default)]
pub struct Meter {
    by_what: Mutex<BTreeMap<String, Progress>>,
    moved: Notify,
}

impl Meter {
    fn hear(&self, progress: Progress) {
        let mut all = self.by_what.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(progress.what.clone(), progress);
        drop(all);
        self.moved.notify_one();
    }

    /// Waits until something has moved.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// All of it in one, as a status tells it.
    pub fn told(&self) -> Told {
        let all = self.by_what.lock().unwrap_or_else(PoisonError::into_inner);
        let octets = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        // While one total is unknown, so is the sum.
        let known = all.values().all(|progress| 0 < progress.total);
        let layer = |(id, done, total): &(String, u64, u64)| Layer {
            id: id.clone(),
            done: octets(*done),
            total: octets(*total),
        };
        let moving = |(_, done, total): &&(String, u64, u64)| *total == 0 || done < total;
        let layers = all.values().flat_map(|progress| &progress.layers).filter(moving);
        Told {
            step: all.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
            layers: layers.take(LAYERS).map(layer).collect(),
            done: octets(all.values().map(|progress| progress.done).sum()),
            total: if known { octets(all.values().map(|progress| progress.total).sum()) } else { 0 },
            queue_position: None,
        }
    }
}

/// Takes the steps of a wave; the first that fails ends the others.
pub async fn wave(
    (runtime, metrics): (&dyn Runtime, &AppMetrics),
    instance: &Instance,
    credentials: &Credentials,
    steps: &[Step],
    meter: &Meter,
) -> Result<(), (Step, RuntimeError)> {
    let take = |step: Step| async move {
        let progress = |progress| meter.hear(progress);
        let aid = Aid { credentials, progress: &progress };
        let done = runtime.step(instance, &step, aid).await;
        let result = done.as_ref().map_or_else(|error| error.kind.as_str(), |()| "ok");
        metrics.step(name_of(runtime.backend()), step.kind(), result);
        done.map_err(|error| (step, error))
    };
    let all = futures::stream::iter(steps.iter().cloned().map(take));
    all.buffer_unordered(AT_ONCE).try_collect::<()>().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_sums_and_an_unknown_total_stays_unknown() {
        let meter = Meter::default();
        let one = |what: &str, done, total| Progress { what: what.into(), done, total, layers: Vec::new() };
        meter.hear(one("pull a", 1, 4));
        meter.hear(one("pull b", 2, 6));
        meter.hear(one("pull a", 3, 4));
        assert_eq!((meter.told().done, meter.told().total), (5, 10));
        assert_eq!(meter.told().step, "pull a, pull b");
        meter.hear(one("pull c", 1, 0));
        assert_eq!(meter.told().total, 0);
    }
}
