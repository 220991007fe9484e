//! The servers: their sockets, bound before anything else happens, and what each serves from.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use prometheus::Registry;

use crate::assembly::loops::Loops;
use crate::config::{Listen, Settings};
use crate::dns;
use crate::dns::handler::Brain;
use crate::http::admin::{self, AdminState};
use crate::http::server::{self, Limits};
use crate::http::state::{self, ApiState};
use crate::process::{Readiness, Shutdown, Tasks};
use crate::telemetry::dns::DnsMetrics;
use crate::telemetry::metrics::http::HttpMetrics;
use crate::telemetry::metrics::register_process;
use crate::telemetry::tracing::LogFilter;

/// Sockets that wait to be served.
pub struct Sockets {
    dns: dns::Bound,
    api: server::Bound,
    ops: server::Bound,
}

/// What the servers are made of beside their sockets.
pub struct Parts<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The control plane, for what a leader pushes.
    pub client: Client,
    /// What the loops publish.
    pub loops: &'a Loops,
    /// All metrics of the process.
    pub registry: Registry,
    /// The log filter, changeable over the operations port.
    pub log: LogFilter,
}

impl Sockets {
    /// Binds them all; a refusal names the flag and the address.
    pub async fn bind(listen: &Listen) -> anyhow::Result<Self> {
        let dns = dns::bind(&listen.dns).await.context("--dns-listen")?;
        let api = server::bind(listen.api).await.context("--api-listen")?;
        let ops = server::bind(listen.ops).await.context("--ops-listen")?;
        Ok(Self { dns, api, ops })
    }

    /// Where the v1 API listens.
    pub fn api_address(&self) -> SocketAddr {
        self.api.local_addr
    }

    /// Serves until the process drains.
    pub fn serve(
        self,
        parts: Parts<'_>,
        readiness: &Readiness,
        shutdown: &Shutdown,
        tasks: &mut Tasks,
    ) -> anyhow::Result<()> {
        let Parts { settings, client, loops, registry, log } = parts;
        let stop = shutdown.token();
        register_process(&registry).context("register the process's metrics")?;
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
        let http = HttpMetrics::default();
        http.register(&registry).context("register the HTTP metrics")?;
        let reveal_to = settings.reveal_credentials_to.clone();
        let state = state::Settings { reveal_to };
        let state = ApiState::new(loops.views.clone(), client, registry, &http, state)
            .context("register the cluster's metrics")?;
        let (readers, text) = (readiness.clone(), state.clone());
        let admin = admin::router(AdminState {
            missing: Arc::new(move || readers.missing()),
            metrics: Arc::new(move || text.metrics_text()),
            log: Some(log),
        });
        let api = crate::http::router(state);
        let until = || stop.clone().cancelled_owned();
        tasks.spawn_infallible("v1 API", self.api.serve(api, http.clone(), Limits::default(), until()));
        tasks.spawn_infallible("operations", self.ops.serve(admin, http, Limits::default(), until()));
        readiness.take("http").ready();
        Ok(())
    }
}
