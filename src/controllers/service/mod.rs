//! The service loop: one worker a zone, so that one list call and one batch serve all services of the zone, and a
//! failing zone holds up no other.

pub mod finalize;
pub mod report;
pub mod measure;
pub mod memory;
pub mod retained;
pub mod sync;
pub mod zone;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::vocab::PlatformProvider;
use crate::controllers::service::retained::Retained;
use crate::controllers::shared::context::{Context, Role};
use crate::controllers::shared::keyed::Keyed;
use crate::controllers::snapshot::Snapshot;
use crate::domain::records::ZoneId;

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
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let telling = async {
            if let Some(snapshot) = snapshot {
                report::outside(&ctx).await;
                report::refused(&ctx, &snapshot).await;
                report::unplaced(&ctx, &snapshot).await;
            }
            snapshots.changed().await
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = telling => if changed.is_err() { return },
        }
    }
}
