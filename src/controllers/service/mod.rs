//! The service loop: one worker a zone, so that one list call and one batch serve all services of the zone, and a
//! failing zone holds up no other.

pub mod finalize;
pub mod report;
pub mod measure;
pub mod memory;
pub mod retained;
pub mod sync;
pub mod written;
pub mod zone;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::vocab::PlatformProvider;
use crate::controllers::service::memory::turn_wait;
use crate::controllers::service::retained::Retained;
use crate::controllers::shared::context::{Context, Role};
use crate::controllers::shared::keyed::Keyed;
use crate::controllers::snapshot::Snapshot;
use crate::domain::records::ZoneId;
use crate::domain::retry::Class;

/// Runs a worker for every zone that has a service, until `stop`; then they finish what they have begun. A standby has
/// workers for the zones of its own DNS server alone, which write nothing else.
pub async fn run(
    ctx: Context,
    retained: Retained,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    stop: CancellationToken,
) {
    let telling = tell(ctx.clone(), snapshots.clone(), stop.clone());
    let telling = async {
        if ctx.role == Role::Active {
            telling.await;
        }
    };
    let mut workers: Keyed<ZoneId, ()> = Keyed::new();
    let source = snapshots.clone();
    let following = async {
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            if let Some(snapshot) = snapshot {
                // A worker whose zone has no service left has nothing to do: the last finalizer fell after the last record.
                let mine = |id: &&ZoneId| ctx.role == Role::Active || id.provider == PlatformProvider::Local;
                let zones: BTreeMap<ZoneId, ()> =
                    snapshot.zones.keys().filter(mine).map(|id| (id.clone(), ())).collect();
                workers.follow(zones, |id, (), stop| {
                    zone::run(ctx.clone(), id, retained.clone(), source.clone(), stop)
                });
            }
            tokio::select! {
                () = stop.cancelled() => break,
                changed = snapshots.changed() => if changed.is_err() { break },
            }
        }
        workers.finish().await;
    };
    tokio::join!(following, telling);
}

/// Reports services that no worker has. A control plane that is slow to take thousands of statuses holds up no worker.
async fn tell(ctx: Context, mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>, stop: CancellationToken) {
    let mut failures = 0_u32;
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let telling = async {
            let mut open = false;
            if let Some(snapshot) = snapshot {
                open |= report::outside(&ctx).await;
                open |= report::refused(&ctx, &snapshot).await;
                open |= report::unplaced(&ctx, &snapshot).await;
            }
            failures = if open { failures.saturating_add(1) } else { 0 };
            tokio::select! {
                changed = snapshots.changed() => changed.is_ok(),
                () = tokio::time::sleep(turn_wait(Class::Transient, failures)), if open => true,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            goes_on = telling => if !goes_on { return },
        }
    }
}
