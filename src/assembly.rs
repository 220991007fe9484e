//! The only place that knows everything: settings in, a client (of a cluster or of the embedded plane), providers,
//! loops and servers out. It decides nothing that a setting or a loop could.

pub mod plane;
pub mod loops;
pub mod servers;

use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use kube::Client;
use prometheus::Registry;
use tracing::info;

use crate::assembly::loops::{Loops, Wiring};
use crate::assembly::servers::{Parts, Sockets};
use crate::config::{Plane, Settings};
use crate::controllers::manifests::Manifests;
use crate::controllers::node::own;
use crate::domain::secret::Secret;
use crate::process::{DRAIN_DEADLINE, Readiness, Shutdown, Tasks};
use crate::telemetry::tracing::LogFilter;

/// Parts that must be ready before the process is.
const PARTS: [&str; 5] = ["control-plane", "node", "caches", "dns", "http"];

/// Runs the operator until a signal ends it, on whichever plane the settings name.
pub async fn operate(settings: Settings, log: LogFilter) -> anyhow::Result<()> {
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("listen for signals")?;
    let readiness = Readiness::new(&shutdown, PARTS);
    let mut tasks = Tasks::new(&shutdown);
    // Sockets first: a port that is in use must stop the start before anything was written.
    let sockets = Sockets::bind(&settings.listen).await?;
    let (client, embedded) = match &settings.plane {
        Plane::Embedded(embedded) => {
            let plane = plane::embedded(embedded, &shutdown, &mut tasks).await?;
            (plane.client(), Some(plane))
        }
        Plane::Cluster(access) => (plane::cluster(access).await?, None),
    };
    readiness.take("control-plane").ready();
    let first = first_objects(&settings, &client, &shutdown, &mut tasks).await;
    let started = match first {
        Ok(()) => {
            readiness.take("node").ready();
            start(&settings, client, sockets, log, &readiness, &shutdown, &mut tasks).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = started {
        shutdown.drain();
        // The first failure is the one to tell; what draining adds is only an echo of it.
        let _ = tasks.run(DRAIN_DEADLINE).await;
        return Err(error);
    }
    let ended = tasks.run(DRAIN_DEADLINE).await;
    if let Some(plane) = embedded {
        plane.close().await;
    }
    info!("stopped");
    ended.map_err(Into::into)
}

/// What must exist before the loops start: what lies in the manifests folders, what the old configuration says, and
/// this process's own node.
async fn first_objects(
    settings: &Settings,
    client: &Client,
    shutdown: &Shutdown,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    if let Some(path) = &settings.old_config {
        plane::import_old_config(client, path, settings).await?;
    }
    if !settings.manifests.is_empty() {
        let mut manifests = Manifests::new(client.clone(), settings.manifests.clone());
        let pass = manifests.pass().await;
        info!(applied = pass.applied, failed = pass.failed, refused = pass.refused, "manifests applied");
        tasks.spawn_infallible("manifests", manifests.run(shutdown.token(), |_| ()));
    }
    let secret = match &settings.first_node.secret_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("--secret-file: read {}", path.display()))?;
            Some(Secret::new(text.trim()))
        }
        None => None,
    };
    let node = settings.first_node.object(&settings.node);
    own::ensure(client, &node, secret).await.context("this process's own CocoaNode")
}

async fn start(
    settings: &Settings,
    client: Client,
    sockets: Sockets,
    log: LogFilter,
    readiness: &Readiness,
    shutdown: &Shutdown,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let registry = Registry::new();
    let wiring = Wiring {
        settings,
        client: client.clone(),
        clock: Arc::new(Timestamp::now),
        api_port: sockets.api_address().port(),
        registry: &registry,
        readiness,
    };
    let loops = Loops::start(wiring, shutdown, tasks).await?;
    sockets.serve(Parts { settings, client, loops: &loops, registry, log }, readiness, shutdown, tasks)
}
