//! The applications' loop: one worker an App, so that a pull of an hour holds up nobody but those behind it in the queue.
//!
//! ```text
//!  watch of Apps --> supervisor --(its App, its rank among equals)--> worker --> prepare -> observe -> plan -> carry out
//!  runtimes' events ----^   |                                            |                                        |
//!                           v                                            +---------------- report <---------------+
//!                       AppsView -> http
//! ```
//!
//! A worker reads the latest App and looks at what stands, and nothing else: what woke it plays no part. A turn can be
//! dropped at any await, and is, as soon as its App is edited or deleted. What must outlive the process lies in the App's
//! status (its place in the queue, an upgrade's step) and in Secrets (what the install chose, the revisions).

pub mod shared;
pub mod queue;
pub mod choices;
pub mod revision;
pub mod named;
pub mod prepare;
pub mod carry;
pub mod crashes;
pub mod report;
pub mod upgrade;
pub mod serve;
pub mod finalize;
pub mod telling;
pub mod probing;
pub mod steps;
pub mod situation;
pub mod worker;
pub mod view;
pub mod standby;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::app::App;
use crate::controllers::app::named::Named;
use crate::controllers::app::shared::AppContext;
use crate::controllers::app::situation::Situation;
use crate::domain::app::acceptance::{key_of, older_namesake};
use crate::domain::app::instance::AppKey;
use crate::domain::app::view::AppsView;

/// Runs a worker for every App, until `stop`.
pub async fn run(ctx: AppContext, views: watch::Sender<Arc<AppsView>>, stop: CancellationToken) {
    tokio::select! {
        () = supervise(ctx, views) => {}
        () = stop.cancelled() => {}
    }
}

/// A worker at work; dropped with its App.
struct Handle {
    uid: Option<String>,
    situation: watch::Sender<Situation>,
    wake: Arc<Notify>,
    task: AbortHandle,
}

async fn supervise(ctx: AppContext, views: watch::Sender<Arc<AppsView>>) {
    ctx.base.stores.apps_ready().await;
    let mut workers = Workers {
        named: Named::new(ctx.base.client.clone()),
        ctx: ctx.clone(),
        running: BTreeMap::new(),
        tasks: JoinSet::new(),
        catalogue: 0,
    };
    let mut offers = ctx.library.subscribe();
    let mut secrets = ctx.shared.secrets.subscribe();
    // Nobody is listened to for nothing: a cluster's watches cost calls.
    let mut events = None;
    announce(&ctx);
    // The first one is sent even if there is no App: who waits for it learns that all are known.
    let (mut first, learned_by) = (true, Instant::now() + view::LEARN);
    loop {
        let apps = ctx.base.stores.apps();
        workers.follow(&apps);
        match apps.is_empty() {
            true => events = None,
            false => {
                events.get_or_insert_with(|| listen(&ctx));
            }
        }
        report::outside(&ctx).await;
        let view = view::view(&ctx, &apps, &secrets.borrow_and_update());
        let whole = view::is_learned(&apps, &secrets.borrow());
        if !first || whole || learned_by <= Instant::now() {
            views.send_if_modified(|old| {
                let news = first || **old != view;
                if news {
                    *old = Arc::new(view);
                }
                news
            });
            first = false;
        }
        tokio::select! {
            () = ctx.base.stores.apps_changed() => {}
            () = workers.named.changed() => {}
            () = tokio::time::sleep_until(learned_by), if first => {}
            changed = secrets.changed() => if changed.is_err() { return },
            changed = offers.changed() => if changed.is_ok() { workers.catalogue += 1 } else { return },
            Some(name) = next(&mut events) => workers.wake(&name),
        }
    }
}

/// Who waited, or had its turn, when this process ended comes before whoever asks first now.
fn announce(ctx: &AppContext) {
    for app in ctx.base.stores.apps().iter().filter(|app| app.metadata.deletion_timestamp.is_none()) {
        let Some(status) = &app.status else { continue };
        let backend = status.runtime.and_then(|kind| ctx.runtime(kind)).map(|runtime| runtime.backend());
        if let (Some(since), Some(backend)) = (&status.queued_at, backend) {
            let interrupted = status.status != "queuing";
            ctx.shared.queue(backend).announce(key_of(app), since.0, interrupted);
        }
    }
}

async fn next(events: &mut Option<BoxStream<'static, String>>) -> Option<String> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

fn listen(ctx: &AppContext) -> BoxStream<'static, String> {
    let all = ctx.docker.iter().chain(&ctx.kubernetes).map(|runtime| runtime.events());
    // One that never ends stands in where there is no runtime.
    stream::select_all(all.chain([stream::pending().boxed()])).boxed()
}

struct Workers {
    ctx: AppContext,
    running: BTreeMap<AppKey, Handle>,
    tasks: JoinSet<()>,
    /// Rises with every change of the catalogue.
    catalogue: u64,
    named: Named,
}

impl Workers {
    fn follow(&mut self, apps: &[App]) {
        while self.tasks.try_join_next().is_some() {}
        self.named.follow(apps);
        let mut wished: BTreeMap<AppKey, Situation> = BTreeMap::new();
        for app in apps {
            let older = older_namesake(app, apps);
            let (catalogue, secrets) = (self.catalogue, self.named.changes(app));
            let situation = Situation { app: Arc::new(app.clone()), older, catalogue, secrets };
            wished.insert(key_of(app), situation);
        }
        let shared = self.ctx.shared.clone();
        self.running.retain(|key, handle| {
            let stays = wished.get(key).is_some_and(|now| now.app.metadata.uid == handle.uid);
            if !stays {
                handle.task.abort();
                shared.forget(key);
            }
            stays
        });
        for (key, now) in wished {
            match self.running.get(&key) {
                Some(handle) => {
                    handle.situation.send_if_modified(|old| {
                        let news = !old.is(&now);
                        if news {
                            *old = now;
                        }
                        news
                    });
                }
                None => self.start(key, now),
            }
        }
    }

    fn start(&mut self, key: AppKey, now: Situation) {
        let (uid, wake) = (now.app.metadata.uid.clone(), Arc::new(Notify::new()));
        let situation = watch::Sender::new(now);
        let run = worker::run(self.ctx.clone(), key.clone(), situation.subscribe(), wake.clone());
        let task = self.tasks.spawn(run);
        self.running.insert(key, Handle { uid, situation, wake, task });
    }

    fn wake(&self, name: &str) {
        let named = self.running.iter().filter(|(key, _)| name.is_empty() || key.name == name);
        named.for_each(|(_, handle)| handle.wake.notify_one());
    }
}
