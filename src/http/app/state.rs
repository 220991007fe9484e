//! What the App API's handlers hold, and the lists, rendered when first asked for and kept until the view changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Bytes;
use futures::future::BoxFuture;
use kube::Client;
use tokio::sync::watch;

use crate::catalog::library::Library;
use crate::domain::app::instance::AppKey;
use crate::domain::app::observed::Capacity;
use crate::domain::app::verdict::Backend;
use crate::domain::app::view::{AppView, AppsView};
use crate::http::auth::Auth;
use crate::telemetry::metrics::http::{HttpMetrics, RouteMetrics};
use crate::wire::app::words::Code;
use crate::wire::app::{Action, Failure, list};
use crate::wire::render::Reveal;

/// How long a call waits until the view shows what it wrote. The wish is recorded either way.
const CATCH_UP: Duration = Duration::from_secs(2);

/// What the configuration says of the App API.
#[derive(Debug, Clone)]
pub struct AppApiSettings {
    /// Where AppInstall makes Apps.
    pub namespace: String,
    /// Who may call.
    pub auth: Auth,
    /// Whether a handled call that failed gets HTTP 200 too, as a later program had it.
    pub always_200: bool,
}

/// Tells what the host has left; none: nobody knows, and nothing is refused for it here.
pub type Meter = Arc<dyn Fn() -> BoxFuture<'static, Option<Capacity>> + Send + Sync>;

/// Reads an application's log: of one service, or of all, so many lines; answers service and line, secrets masked, or why
/// it can't be read.
pub type Logs = Arc<
    dyn Fn(AppKey, Option<String>, u32) -> BoxFuture<'static, Result<Vec<(String, String)>, String>>
        + Send
        + Sync,
>;

/// What the API asks of the runtime, given by whoever joins the two.
#[derive(Clone)]
pub struct Senses {
    /// What the host has left.
    pub meter: Meter,
    /// Logs; none: there are none to be had.
    pub logs: Option<Logs>,
    /// Where an install goes; none: nobody knows, and what runs anywhere is taken.
    pub backend: Option<Backend>,
}

impl Default for Senses {
    fn default() -> Self {
        Self { meter: Arc::new(|| Box::pin(async { None })), logs: None, backend: None }
    }
}

/// What the handlers hold.
pub struct AppState {
    views: watch::Receiver<Arc<AppsView>>,
    current: ArcSwap<Rendered>,
    settled: AtomicBool,
    routes: [(Action, RouteMetrics); 9],
    pub(super) library: Library,
    pub(super) client: Client,
    pub(super) settings: AppApiSettings,
    pub(super) senses: Senses,
}

/// A view and its lists.
struct Rendered {
    view: Arc<AppsView>,
    /// Masked, and with passwords.
    lists: [OnceLock<Bytes>; 2],
}

impl Rendered {
    fn of(view: Arc<AppsView>) -> Self {
        Self { view, lists: Default::default() }
    }
}

impl AppState {
    /// `views` is a receiver from before the first view was sent: until one comes, nobody is told that an App is missing.
    pub fn new(
        views: watch::Receiver<Arc<AppsView>>,
        library: Library,
        client: Client,
        settings: AppApiSettings,
        senses: Senses,
        http: &HttpMetrics,
    ) -> Arc<Self> {
        let current = ArcSwap::from_pointee(Rendered::of(views.borrow().clone()));
        let routes = [
            Action::Install,
            Action::Uninstall,
            Action::Restart,
            Action::Start,
            Action::Stop,
            Action::Status,
            Action::List,
            Action::Logs,
            Action::Catalog,
        ];
        let routes = routes.map(|action| (action, http.route(action.path())));
        Arc::new(Self {
            views,
            current,
            settled: AtomicBool::new(false),
            routes,
            library,
            client,
            settings,
            senses,
        })
    }

    /// Waits, not for long, for the first view: before it, every App would be told to be missing.
    pub(super) async fn settled(&self) -> Result<(), Failure> {
        if self.settled.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut views = self.views.clone();
        let there = !views.borrow().apps.is_empty();
        if !there && !matches!(tokio::time::timeout(CATCH_UP, views.changed()).await, Ok(Ok(()))) {
            return Err(Failure::new(Code::SystemError, "the Apps have not been read yet"));
        }
        self.settled.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The view that holds now.
    pub(super) fn view(&self) -> Arc<AppsView> {
        self.views.borrow().clone()
    }

    /// AppList's answer of all applications.
    pub(super) fn list(&self, reveal: Reveal) -> Bytes {
        let rendered = self.rendered();
        let slot = match reveal {
            Reveal::Masked => 0,
            Reveal::Credentials => 1,
        };
        rendered.lists[slot].get_or_init(|| list(&rendered.view, None, reveal)).clone()
    }

    fn rendered(&self) -> Arc<Rendered> {
        let current = self.current.load_full();
        let view = self.views.borrow();
        if Arc::ptr_eq(&current.view, &view) {
            return current;
        }
        let fresh = Arc::new(Rendered::of(view.clone()));
        drop(view);
        self.current.store(fresh.clone());
        fresh
    }

    /// Waits, not for long, until the view is as `is_so` has it.
    pub(super) async fn caught_up(&self, is_so: impl Fn(&AppsView) -> bool) {
        let mut views = self.views.clone();
        let shown = views.wait_for(|view| is_so(view));
        if tokio::time::timeout(CATCH_UP, shown).await.is_err() {
            tracing::debug!("the view does not show yet what the App API wrote");
        }
    }

    /// Figures of a route.
    pub(super) fn metrics(&self, action: Action) -> &RouteMetrics {
        let found = self.routes.iter().find(|(known, _)| *known == action);
        &found.unwrap_or(&self.routes[0]).1
    }
}

/// Whether `shown` is as new as the object's version `written`. Versions are numbers that grow; where one is none, only
/// the same one will do.
pub(super) fn is_as_new(shown: &AppView, written: &str) -> bool {
    match (shown.resource_version.parse::<u64>(), written.parse::<u64>()) {
        (Ok(shown), Ok(written)) => written <= shown,
        _ => shown.resource_version == written,
    }
}
