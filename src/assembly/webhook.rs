//! Joins the webhook: its socket, its certificates, and what it judges by.

use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use prometheus::Registry;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::webhook::Webhook;
use crate::controllers::admission::Judge;
use crate::controllers::admission::certificates::{Active, Certificates, Place};
use crate::controllers::shared::context::Clock;
use crate::http::admission;
use crate::http::server::{Bound, Limits};
use crate::pki::{Rotating, server};
use crate::process::Tasks;
use crate::telemetry::metrics::admission::AdmissionMetrics;
use crate::telemetry::metrics::http::HttpMetrics;
use crate::telemetry::metrics::process::ProcessMetrics;

/// Connections at a time: API servers keep few, and each question may read a template.
const CONNECTIONS: usize = 64;

/// What the webhook is made of.
pub struct Parts<'a> {
    /// Its settings.
    pub settings: &'a Webhook,
    /// Its socket.
    pub bound: Bound,
    /// The operator's namespace.
    pub namespace: &'a str,
    /// The way to the API server.
    pub client: Client,
    /// The time.
    pub clock: Clock,
    /// What it judges by.
    pub judge: Judge,
    /// Figures of all servers.
    pub http: HttpMetrics,
    /// Figures of the process.
    pub process: ProcessMetrics,
    /// All metrics of the process.
    pub registry: &'a Registry,
    /// Whether this replica is the one that writes.
    pub active: Active,
}

/// Serves until `stop`.
pub fn serve(parts: Parts<'_>, stop: &CancellationToken, tasks: &mut Tasks) -> anyhow::Result<()> {
    let Parts { settings, bound, namespace, client, clock, judge, http, process, registry, active } = parts;
    let metrics = AdmissionMetrics::default();
    metrics.register(registry).context("register the webhook's metrics")?;
    let rotating = Arc::<Rotating>::default();
    let tls = server(rotating.clone(), &[b"http/1.1"]).context("set up the webhook's TLS")?;
    let place = Place {
        namespace: namespace.to_owned(),
        secret: settings.service.clone(),
        configuration: settings.configuration.clone(),
        names: settings.names(namespace),
    };
    let certificates = Certificates { client, clock, place, rotating, metrics: process, active };
    tasks.spawn_infallible("webhook's certificates", certificates.run(stop.clone()));
    let ask: admission::Judge = Arc::new(move |question| {
        let judge = judge.clone();
        let judging = tokio::task::spawn_blocking(move || judge.judge(&question));
        // A panic is told by the runtime, and is this one answer's end.
        Box::pin(async { judging.await.ok() })
    });
    let (router, limits) =
        (admission::router(ask, metrics), Limits { max_connections: CONNECTIONS, ..Limits::default() });
    let (tls, until) = (TlsAcceptor::from(Arc::new(tls)), stop.clone().cancelled_owned());
    tasks.spawn_infallible("webhook", bound.serve_tls(router, http, limits, tls, until));
    Ok(())
}
