//! The applications as a standby shows them: it runs no worker and changes nothing, but its App API answers as the
//! active replica's does, passwords and masks included.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::api::app::App;
use crate::controllers::app::shared::AppContext;
use crate::controllers::app::{key_of, prepare, revision, view};
use crate::domain::app::instance::AppKey;
use crate::domain::app::view::AppsView;

/// How soon what could not be read is read again.
const AGAIN: Duration = Duration::from_secs(30);

/// What an application's secrets follow from: its uid, its generation, its revision.
type Stamp = (Option<String>, Option<i64>, i64);

/// Follows the Apps until `stop`. The context must be one that nothing is written through.
pub async fn run(ctx: AppContext, views: watch::Sender<Arc<AppsView>>, stop: CancellationToken) {
    tokio::select! {
        () = follow(ctx, views) => {}
        () = stop.cancelled() => {}
    }
}

async fn follow(ctx: AppContext, views: watch::Sender<Arc<AppsView>>) {
    ctx.base.stores.apps_ready().await;
    let mut offers = ctx.library.subscribe();
    let mut read: BTreeMap<AppKey, Stamp> = BTreeMap::new();
    // What is not learned by then is tried again below.
    let _ = tokio::time::timeout(view::LEARN, learn(&ctx, &ctx.base.stores.apps(), &mut read)).await;
    loop {
        let apps = ctx.base.stores.apps();
        show(&ctx, &apps, &views);
        let behind = learn(&ctx, &apps, &mut read).await;
        show(&ctx, &apps, &views);
        tokio::select! {
            () = ctx.base.stores.apps_changed() => {}
            changed = offers.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if behind => {}
        }
    }
}

fn show(ctx: &AppContext, apps: &[App], views: &watch::Sender<Arc<AppsView>>) {
    views.send_replace(Arc::new(view::view(ctx, apps, &ctx.shared.secrets.borrow())));
}

/// Reads the secrets of applications that were installed; whether some could not be read.
async fn learn(ctx: &AppContext, apps: &[App], read: &mut BTreeMap<AppKey, Stamp>) -> bool {
    let mut behind = false;
    let there: BTreeMap<AppKey, &App> = apps.iter().map(|app| (key_of(app), app)).collect();
    read.retain(|key, _| {
        let stays = there.contains_key(key);
        if !stays {
            ctx.shared.forget(key);
        }
        stays
    });
    for (key, app) in there {
        let Some(number) = app.status.as_ref().and_then(|status| status.revision) else { continue };
        let stamp = (app.uid(), app.metadata.generation, number);
        if read.get(&key) == Some(&stamp) {
            continue;
        }
        match one(ctx, &key, app, number).await {
            Some(()) => drop(read.insert(key, stamp)),
            None => behind = true,
        }
    }
    behind
}

async fn one(ctx: &AppContext, key: &AppKey, app: &App, number: i64) -> Option<()> {
    let runtime = ctx.runtime(app.status.as_ref()?.runtime?)?;
    let uid = app.uid().unwrap_or_default();
    let pinned = revision::load(ctx, (key, &uid), number).await.ok()?;
    let pinned = match pinned {
        Some(pinned) => pinned,
        None => prepare::offered(ctx, &app.spec).ok()?.1,
    };
    match prepare::prepare(ctx, app, &*runtime, pinned).await {
        Ok(prepared) => {
            ctx.shared.note(key, &prepared.instance);
            Some(())
        }
        Err(refusal) => {
            debug!(app = %key, why = %refusal.message, "its secrets are not known yet");
            None
        }
    }
}
