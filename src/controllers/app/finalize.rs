//! The removal of an application: what its runtime has of it, its Secrets, and last the finalizer. It works by marks and
//! not by the template, which may be gone; what can't be removed is said, and tried again.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tracing::{debug, info, warn};

use crate::api::WORKLOAD_FINALIZER;
use crate::api::app::{App, RuntimeKind};
use crate::controllers::app::prepare::Refusal;
use crate::controllers::app::report::Told;
use crate::controllers::app::shared::name_of;
use crate::controllers::app::worker::{Worker, finalizers};
use crate::controllers::app::{choices, revision};
use crate::controllers::shared::chance::chance;
use crate::domain::app::phase::Doing;
use crate::domain::retry::{Class, retry_in};
use crate::runtimes::{Clear, Runtime};
use crate::telemetry::chain::Chain;

/// Longest that a removal may take; what is left is removed by the next turn.
const CLEAR_DEADLINE: Duration = Duration::from_secs(600);
/// While the object's last moment is awaited.
const LAST: Duration = Duration::from_secs(10);

/// Removes what can be removed; the finalizer falls when nothing is left.
pub async fn turn(worker: &mut Worker, app: &App) -> Duration {
    worker.give_back();
    let mut all = app.metadata.finalizers.clone().unwrap_or_default();
    if !all.iter().any(|one| one == WORKLOAD_FINALIZER) {
        return LAST;
    }
    if worker.stuck == 0 {
        report(worker, app, None).await;
    }
    if let Err(why) = clear(worker, app).await {
        worker.stuck = worker.stuck.saturating_add(1);
        match worker.stuck {
            1 => warn!(app = %worker.key, why = %why, "not removed yet"),
            _ => debug!(app = %worker.key, why = %why, "still not removed"),
        }
        report(worker, app, Some(&why)).await;
        if worker.stuck == 1 {
            worker.reporter.event(app, false, "NotRemoved", why).await;
        }
        return retry_in(Class::Transient, worker.stuck, chance()).unwrap_or(LAST);
    }
    all.retain(|one| one != WORKLOAD_FINALIZER);
    worker.ctx.shared.forget(&worker.key);
    match finalizers(&worker.ctx, app, all).await {
        Ok(()) => {
            info!(app = %worker.key, "application removed");
            LAST
        }
        Err(kube::Error::Api(status)) if status.is_not_found() => LAST,
        // Most often our own status was faster: the next turn reads the object as it is now.
        Err(error) => {
            debug!(app = %worker.key, error = %Chain(&error), "finalizer not removed yet");
            worker.stuck = worker.stuck.max(1);
            Duration::from_millis(100)
        }
    }
}

async fn report(worker: &mut Worker, app: &App, why: Option<&str>) {
    let told = Told { words: why, ..Told::only(&Doing::Uninstalling) };
    let now = worker.ctx.base.now();
    worker.reporter.draft.since.get_or_insert(Time(now));
    worker.reporter.report(app, None, told).await;
}

/// Where something of the application may be: in its runtime, and where none was noted in every one there is.
fn runtimes(worker: &Worker) -> Result<Vec<Arc<dyn Runtime>>, String> {
    let ctx = &worker.ctx;
    let known = worker.reporter.draft.runtime.filter(|kind| *kind != RuntimeKind::Auto);
    match known.map(|kind| (kind, ctx.runtime(kind))) {
        None => Ok(ctx.docker.iter().chain(&ctx.kubernetes).cloned().collect()),
        Some((_, Some(runtime))) => Ok(vec![runtime]),
        Some((kind, None)) => Err(format!(
            "it ran on {kind:?}, which this node has no more: connect it again, or take the finalizer {WORKLOAD_FINALIZER} away by hand"
        )),
    }
}

async fn clear(worker: &Worker, app: &App) -> Result<(), String> {
    let uid = app.metadata.uid.clone().unwrap_or_default();
    let (ctx, key, uninstall) = (&worker.ctx, &worker.key, &app.spec.uninstall);
    let what = Clear { images: uninstall.delete_image, data: uninstall.delete_data };
    for runtime in runtimes(worker)? {
        let call = tokio::time::timeout(CLEAR_DEADLINE, runtime.clear(key, &uid, what)).await;
        let done = call.map_err(|_| format!("no end in {} s", CLEAR_DEADLINE.as_secs()))?;
        let result = done.as_ref().map_or_else(|error| error.kind.as_str(), |_| "ok");
        ctx.metrics.step(name_of(runtime.backend()), "clear", result);
        let left = done.map_err(|error| Refusal::runtime(&error).message)?;
        if !left.is_empty() {
            return Err(format!("what could not be removed: {}", left.join("; ")));
        }
    }
    let secrets = async {
        revision::remove_all(ctx, key, &uid).await?;
        choices::release(ctx, key, &uid, !uninstall.delete_data).await
    };
    secrets.await.map_err(|error| Refusal::plane(error).message)
}
