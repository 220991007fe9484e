//! What a turn of a zone counts.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::vocab::Line;
use crate::controllers::service::sync::Done;
use crate::controllers::shared::context::Context;
use crate::domain::dns_plan::FoundZone;
use crate::domain::records::{Cause, Wish, ZoneId};
use crate::domain::retry::Class;
use crate::telemetry::metrics::reconcile::RecordState;

/// Counts `count` records that the provider has acknowledged `after` it was decided that they change.
pub fn acknowledged(ctx: &Context, id: &ZoneId, count: usize, after: Duration) {
    for _ in 0..count {
        ctx.metrics.applied(id.provider.as_str(), after);
    }
}

/// Counts a turn that listed and applied.
pub fn turn(ctx: &Context, id: &ZoneId, wish: &Wish, done: &Done, standing: Option<&FoundZone>) {
    let provider = id.provider.as_str();
    ctx.metrics.provider_called(provider, "list", done.trouble.as_ref().map_or(Ok(()), |t| Err(t.class)));
    if !done.changed.is_empty() || !done.failed.is_empty() {
        let failed = done.failed.values().map(|failed| failed.class).next();
        ctx.metrics.provider_called(provider, "apply", failed.map_or(Ok(()), Err::<(), Class>));
    }
    let mut causes: BTreeMap<Cause, u64> = BTreeMap::new();
    for change in &done.changed {
        *causes.entry(change.cause).or_default() += 1;
    }
    for (cause, count) in causes {
        ctx.metrics.changed(cause, count);
    }
    ctx.metrics.holds(id, &done.held);
    ctx.metrics.synced(id, done.result().is_ok() && done.left.is_empty(), ctx.now());
    for line in Line::ALL {
        let ours = |state: RecordState| match state {
            RecordState::InPlace => {
                let all = standing.into_iter().flatten();
                all.filter(|(key, found)| key.line == line && found.is_ours())
                    .filter(|(key, found)| wish.wanted.get(*key).is_some_and(|w| found.set.is_as(&w.set)))
                    .count()
            }
            RecordState::Pending => done.failed.keys().filter(|key| key.line == line).count(),
            RecordState::Held => wish.kept.keys().filter(|key| key.line == line).count(),
        };
        for state in [RecordState::InPlace, RecordState::Pending, RecordState::Held] {
            ctx.metrics.records(id, line, state, ours(state));
        }
    }
}
