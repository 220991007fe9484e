//! What the API's handlers hold.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::body::Bytes;
use ipnet::IpNet;
use prometheus::Registry;
use tokio::sync::watch;

use crate::domain::marks::OwnerId;
use crate::domain::scope::Scope;
use crate::domain::view::ClusterView;
use crate::http::body::envelope;
use crate::http::openapi::Published;
use crate::http::push::Pushes;
use crate::http::snapshot::Snapshot;
use crate::telemetry::metrics::cluster::ClusterMetrics;
use crate::telemetry::metrics::http::{HttpMetrics, RouteMetrics};
use crate::wire::cluster::{Envelope, Outcome};
use crate::wire::render::Reveal;

/// What the configuration says of the API.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Networks whose callers see credentials in clear: peers of the old kind that need them. By the connection's own
    /// address; what a proxy claims in a header counts for nothing.
    pub reveal_to: Vec<IpNet>,
    /// Who marks this installation's records, where a setting fixes it: then no push changes it.
    pub owner: Option<OwnerId>,
    /// Which namespaces are served.
    pub scope: Arc<Scope>,
}

/// What the handlers hold.
pub struct ApiState {
    views: watch::Receiver<Arc<ClusterView>>,
    current: ArcSwap<Snapshot>,
    settings: Settings,
    registry: Registry,
    cluster: ClusterMetrics,
    routes: Routes,
    /// Carries pushes out.
    pub(super) pushes: Pushes,
    /// The API's description and its page.
    pub(super) published: Published,
    /// The answer to a wrong secret.
    pub(super) unauthorized: Bytes,
    /// The answer to a push on a leader.
    pub(super) not_allowed: Bytes,
}

impl ApiState {
    /// Registers the cluster's figures with `registry`, whose whole text `/metrics` answers; `http` is registered by
    /// whoever made it, because two servers may share it.
    pub fn new(
        views: watch::Receiver<Arc<ClusterView>>,
        client: kube::Client,
        registry: Registry,
        http: &HttpMetrics,
        settings: Settings,
    ) -> Result<Arc<Self>, prometheus::Error> {
        let cluster = ClusterMetrics::default();
        cluster.register(&registry)?;
        let current = ArcSwap::from_pointee(Snapshot::of(views.borrow().clone()));
        Ok(Arc::new(Self {
            views,
            current,
            registry,
            cluster,
            routes: Routes::of(http),
            pushes: Pushes::new(client, settings.scope.clone(), settings.owner.clone()),
            settings,
            published: Published::new(),
            unauthorized: envelope(&Envelope::of(Outcome::Unauthorized).with_nothing()),
            not_allowed: envelope(&Envelope::of(Outcome::NotAllowed)),
        }))
    }

    /// The renderings of the view that holds now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let current = self.current.load_full();
        let view = self.views.borrow();
        if Arc::ptr_eq(current.view(), &view) {
            return current;
        }
        let fresh = Arc::new(Snapshot::of(view.clone()));
        drop(view);
        self.current.store(fresh.clone());
        fresh
    }

    /// Lets go of renderings as soon as their view is past, also where nobody asks again: that of a large cluster is
    /// 12 MiB.
    pub async fn let_go(self: Arc<Self>) {
        let mut views = self.views.clone();
        while views.changed().await.is_ok() {
            self.snapshot();
        }
    }

    /// What a caller from this address may see; `None`: it did not come over the network.
    pub fn reveal(&self, caller: Option<IpAddr>) -> Reveal {
        let trusted =
            |caller: IpAddr| self.settings.reveal_to.iter().any(|net| net.contains(&caller.to_canonical()));
        if caller.is_some_and(trusted) { Reveal::Credentials } else { Reveal::Masked }
    }

    /// `/metrics`, true to the view that holds now.
    pub fn metrics_text(&self) -> String {
        self.cluster.text(&self.registry, self.snapshot().view())
    }

    /// Figures of each route.
    pub(super) fn routes(&self) -> &Routes {
        &self.routes
    }
}

/// Figures of each route.
pub(super) struct Routes {
    pub home: RouteMetrics,
    pub status: RouteMetrics,
    pub badge: RouteMetrics,
    pub info: RouteMetrics,
    pub update: RouteMetrics,
    pub swagger: RouteMetrics,
    pub metrics: RouteMetrics,
    pub other: RouteMetrics,
}

impl Routes {
    fn of(http: &HttpMetrics) -> Self {
        Self {
            home: http.route("/"),
            status: http.route("/v1/status"),
            badge: http.route("/v1/badge"),
            info: http.route("/v1/getClusterInfo"),
            update: http.route("/v1/updateClusterInfo"),
            swagger: http.route("/v1/swagger"),
            metrics: http.route("/metrics"),
            other: http.route("other"),
        }
    }
}
