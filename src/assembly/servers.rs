//! The servers: their sockets, bound before anything else happens, and what each serves from.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::assembly::apps::Faces;
use crate::assembly::listening::Listening;
use crate::assembly::loops::Loops;
use crate::config::{Plane, Settings};
use crate::controllers::lease::fence::Standing;
use crate::controlplane::serve::listen;
use crate::dns;
use crate::dns::handler::Brain;
use crate::domain::view::ClusterView;
use crate::http::admin::{self, AdminState};
use crate::http::server::{self, Limits};
use crate::http::state::{self, ApiState};
use crate::process::{Readiness, Shutdown, Tasks};
use crate::telemetry::dns::DnsMetrics;
use crate::telemetry::metrics::http::HttpMetrics;
use crate::telemetry::metrics::process::ProcessMetrics;
use crate::telemetry::metrics::text;
use crate::telemetry::tracing::LogFilter;
use crate::telemetry::troubles::Troubles;

/// How long callers of the v1 API wait at the start, at most, for a view of the cluster.
const FIRST_VIEW: Duration = Duration::from_secs(5);

/// Sockets that wait to be served.
pub struct Sockets {
    /// Where they listen, ports as bound.
    pub listening: Listening,
    plane: Option<TcpListener>,
    dns: dns::Bound,
    api: server::Bound,
    ops: Option<server::Bound>,
    webhook: Option<server::Bound>,
}

/// What the servers are made of beside their sockets.
pub struct Parts<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The control plane, for what a leader pushes.
    pub client: Client,
    /// What the loops publish.
    pub loops: &'a Loops,
    /// What the operations port shows.
    pub operations: Operations,
}

/// What the operations port shows, from the first moment on.
pub struct Operations {
    /// All metrics of the process.
    pub registry: Registry,
    /// Figures of the process.
    pub process: ProcessMetrics,
    http: HttpMetrics,
    /// Which replica writes.
    standing: watch::Receiver<Standing>,
    /// Has the cluster's figures; empty until there is a view of the cluster.
    api: Arc<OnceLock<Arc<ApiState>>>,
}

impl Sockets {
    /// Binds them all; a refusal names the flag and the address.
    pub async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let plane = match &settings.plane {
            Plane::Embedded(embedded) => Some(listen(embedded.listen).await.context("--plane-listen")?),
            Plane::Cluster(_) => None,
        };
        let dns = dns::bind(&settings.listen.dns).await.context("--dns-listen")?;
        let api = server::bind(settings.listen.api).await.context("--api-listen")?;
        let ops = server::bind(settings.listen.ops).await.context("--ops-listen")?;
        let webhook = match &settings.webhook {
            Some(webhook) => Some(server::bind(webhook.listen).await.context("--webhook-listen")?),
            None => None,
        };
        let listening = Listening {
            plane: plane.as_ref().map(TcpListener::local_addr).transpose().context("--plane-listen")?,
            api: api.local_addr,
            ops: ops.local_addr,
            dns: dns.local_addrs().to_vec(),
            webhook: webhook.as_ref().map(|webhook| webhook.local_addr),
        };
        listening.tell();
        Ok(Self { listening, plane, dns, api, ops: Some(ops), webhook })
    }

    /// The control plane's socket, once.
    pub fn take_plane(&mut self) -> Option<TcpListener> {
        self.plane.take()
    }

    /// Serves the operations port at once, so that whoever asks during a long start hears who is missing.
    pub fn serve_operations(
        &mut self,
        settings: &Settings,
        log: LogFilter,
        (readiness, troubles, standing): (&Readiness, &Troubles, watch::Receiver<Standing>),
        shutdown: &Shutdown,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Operations> {
        let operations = Operations {
            registry: Registry::new(),
            process: ProcessMetrics::default(),
            http: HttpMetrics::default(),
            standing: standing.clone(),
            api: Arc::default(),
        };
        let Operations { registry, process, http, standing: _, api } = &operations;
        process.register(registry).context("register the process's metrics")?;
        http.register(registry).context("register the HTTP metrics")?;
        let (readers, state, early) = (readiness.clone(), api.clone(), registry.clone());
        let troubles = troubles.clone();
        let admin = admin::router(AdminState {
            missing: Arc::new(move || readers.missing()),
            troubles: Arc::new(move || troubles.words()),
            replica: Arc::new(move || told(&standing.borrow())),
            metrics: Arc::new(move || state.get().map_or_else(|| text(&early), |state| state.metrics_text())),
            log: Some(log),
        });
        if let Some(ops) = self.ops.take() {
            let until = shutdown.lingering(linger(settings)).cancelled_owned();
            tasks.spawn_infallible("operations", ops.serve(admin, http.clone(), Limits::default(), until));
        }
        Ok(operations)
    }

    /// Serves until the process drains.
    pub fn serve(
        self,
        parts: Parts<'_>,
        readiness: &Readiness,
        shutdown: &Shutdown,
        tasks: &mut Tasks,
    ) -> anyhow::Result<()> {
        let Parts { settings, client, loops, operations } = parts;
        let Operations { registry, process, http, standing, api: shown } = operations;
        let stop = shutdown.lingering(linger(settings));
        let metrics = DnsMetrics::new().context("make the DNS metrics")?;
        metrics.register(&registry).context("register the DNS metrics")?;
        let brain = Brain { zones: loops.zones.clone(), lines: loops.tables.current(), metrics };
        tasks.spawn_infallible("line tables", {
            loops.tables.clone().watch(settings.line_tables.clone(), stop.clone())
        });
        let (ready, seeded, until) = (readiness.take("dns"), loops.seeded.clone(), stop.clone());
        let dns = self.dns;
        tasks.spawn_infallible("dns", async move {
            // No answer is better than the answer of an empty zone.
            if until.run_until_cancelled(seeded.cancelled()).await.is_some() {
                ready.ready();
                dns.serve(brain, dns::Settings::default(), until).await;
            }
        });
        if let Some((webhook, bound)) = settings.webhook.as_ref().zip(self.webhook) {
            let parts = crate::assembly::webhook::Parts {
                settings: webhook,
                bound,
                namespace: settings.scope.system(),
                client: client.clone(),
                clock: loops.judge.ctx.clock.clone(),
                judge: loops.judge.clone(),
                http: http.clone(),
                process,
                registry: &registry,
                active: Arc::new(move || standing.borrow().term.is_some()),
            };
            crate::assembly::webhook::serve(parts, &stop, tasks)?;
        }
        let reveal_to = settings.reveal_credentials_to.clone();
        let scope = Arc::new(settings.scope.clone());
        let state = state::Settings { reveal_to, owner: settings.owner_id.clone(), scope };
        let apps = loops.apps.state(client.clone(), &http);
        let state = ApiState::new(loops.views.clone(), client, registry, &http, state)
            .context("register the cluster's metrics")?;
        // Set once: there is one start.
        let _ = shown.set(state.clone());
        let (passing, until) = (state.clone().let_go(), stop.clone());
        tasks.spawn_infallible("renderings", async move {
            let _ = until.run_until_cancelled(passing).await;
        });
        let api = crate::http::router(state).merge(crate::http::app::router(apps));
        let apps = Faces::known(loops.apps.views());
        let (ready, bound, mut views) = (readiness.take("http"), self.api, loops.views.clone());
        tasks.spawn_infallible("v1 API", async move {
            let cluster = async { drop(views.wait_for(|view| knows_itself(view)).await) };
            let known = async { tokio::join!(cluster, apps) };
            let known = tokio::time::timeout(FIRST_VIEW, known);
            if stop.run_until_cancelled(known).await.is_some() {
                ready.ready();
                bound.serve(api, http, Limits::default(), stop.cancelled_owned()).await;
            }
        });
        Ok(())
    }
}

/// How long the servers go on after the wish to stop: a cluster sends requests until all its nodes have heard that this
/// pod is not ready. Shorter than peers need to miss a watchdog that is fed no more.
fn linger(settings: &Settings) -> Duration {
    if settings.is_shared() { Duration::from_secs(3) } else { Duration::ZERO }
}

/// How this replica stands, for people: both are as ready to serve.
fn told(standing: &Standing) -> (&'static str, Option<String>) {
    let role = match standing.term {
        Some(_) => "active",
        None if standing.known => "standby",
        None => "unknown",
    };
    (role, standing.holder.clone())
}

/// Whether a view can answer peers: before that the right secret would be refused, and a leader would be no leader.
fn knows_itself(view: &ClusterView) -> bool {
    view.own().is_some_and(|own| own.spec.secret_ref.is_none() || !own.secret.is_empty())
}
