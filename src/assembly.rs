//! The only place that knows everything: settings in, a client (of a cluster or of the embedded plane), providers,
//! loops and servers out. It decides nothing that a setting or a loop could.

pub mod accounts;
pub mod apps;
pub mod listening;
pub mod patience;
pub mod plane;
pub mod replica;
pub mod first;
pub mod loops;
pub mod servers;
pub mod tokens;
pub mod webhook;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::DropGuard;
use tracing::info;

use crate::assembly::first::{Begun, First};
use crate::assembly::loops::{Loops, Wiring};
use crate::assembly::patience::Patience;
use crate::assembly::replica::sit_down;
use crate::assembly::servers::{Operations, Parts, Sockets};
use crate::config::{Plane, Settings};
use crate::controllers::lease::turns::Stand;
use crate::dns::source::LineTables;
use crate::domain::secret::Secret;
use crate::process::{DRAIN_DEADLINE, Readiness, Shutdown, Tasks};
use crate::telemetry::metrics::lease::LeaseMetrics;
use crate::telemetry::tracing::LogFilter;
use crate::telemetry::troubles::Troubles;

/// Parts that must be ready before the process is.
const PARTS: [&str; 5] = ["control-plane", "node", "caches", "dns", "http"];

/// Runs the operator until a signal ends it, on whichever plane the settings name.
pub async fn operate(settings: Settings, log: LogFilter) -> anyhow::Result<()> {
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("listen for signals")?;
    let readiness = Readiness::new(&shutdown, PARTS);
    let mut tasks = Tasks::new(&shutdown);
    // Files and sockets first: what can't be read or is in use must stop the start before anything was written.
    let inputs = Inputs::read(&settings)?;
    let mut sockets = Sockets::bind(&settings).await?;
    let troubles = Troubles::default();
    let standing = watch::Sender::default();
    let told = (&readiness, &troubles, standing.subscribe());
    let operations = sockets.serve_operations(&settings, log, told, &shutdown, &mut tasks)?;
    operations.process.runs_as(&settings.node);
    let listening = sockets.listening.clone();
    let (client, embedded, patience) = match &settings.plane {
        Plane::Embedded(embedded) => {
            let socket = sockets.take_plane();
            let plane = plane::embedded(embedded, socket, &operations.process, &shutdown, &mut tasks).await?;
            listening.write(&embedded.data_dir).context("write the addresses in use")?;
            (plane.client(), Some(plane), Patience::None)
        }
        Plane::Cluster(access) => {
            let server = plane::cluster(access, settings.api_rate, &troubles, &operations.registry).await?;
            let patience = Patience::Until(shutdown.clone());
            plane::served(&server, &readiness.take("control-plane"), &patience).await?;
            (server.client(), None, patience)
        }
    };
    readiness.take("control-plane").ready();
    let mut first_node = settings.first_node.clone();
    listening.complete(&mut first_node);
    let metrics = LeaseMetrics::new(&settings.node);
    metrics.register(&operations.registry).context("register the replica's metrics")?;
    let mut seat = sit_down(&settings, &client, &standing, metrics, &mut tasks)?;
    let first = First { settings: &settings, node: first_node.object(&settings.node), secret: inputs.secret };
    let waiting = readiness.take("node");
    let begun = patience.with(&waiting, async || first.begin(&client, &mut seat.0, &shutdown).await).await;
    let started = match begun.map(Option::flatten) {
        Ok(Some(begun)) => {
            waiting.ready();
            let tables = inputs.tables;
            let starting = Starting {
                settings: &settings,
                client,
                patience,
                troubles,
                sockets,
                tables,
                operations,
                seat,
                begun,
            };
            starting.start(&readiness, &shutdown, &mut tasks).await
        }
        // It was stopped while it waited.
        Ok(None) => {
            drop(seat);
            Ok(())
        }
        Err(error) => {
            // Else the lease's task would wait for what will never be written.
            drop(seat);
            Err(error)
        }
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
    if let Plane::Embedded(embedded) = &settings.plane {
        listening.forget(&embedded.data_dir);
    }
    info!("stopped");
    ended.map_err(Into::into)
}

/// What is read from files before anything is touched.
struct Inputs {
    tables: Arc<LineTables>,
    secret: Option<Secret>,
}

impl Inputs {
    fn read(settings: &Settings) -> anyhow::Result<Self> {
        let tables: Arc<LineTables> = Arc::default();
        // Later a bad table leaves the one before it in force; at the start there is none before it, and everybody
        // would be on `default`.
        tables.read_paths(&settings.line_tables).context("--line-table")?;
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("--secret-file: read {}", path.display()))?;
            match text.trim() {
                "" => bail!("--secret-file: {} is empty: write the secret into it", path.display()),
                text => Ok(Secret::new(text)),
            }
        };
        let secret = settings.first_node.secret_file.as_ref().map(read).transpose()?;
        Ok(Self { tables, secret })
    }
}

/// What the loops and the servers are started from.
struct Starting<'a> {
    seat: (Stand, DropGuard),
    begun: Begun,
    settings: &'a Settings,
    client: Client,
    patience: Patience,
    troubles: Troubles,
    sockets: Sockets,
    tables: Arc<LineTables>,
    operations: Operations,
}

impl Starting<'_> {
    async fn start(
        self,
        readiness: &Readiness,
        shutdown: &Shutdown,
        tasks: &mut Tasks,
    ) -> anyhow::Result<()> {
        let Self { settings, client, patience, troubles, sockets, tables, operations, seat, begun } = self;
        let wiring = Wiring {
            settings,
            client: client.clone(),
            patience,
            clock: Arc::new(Timestamp::now),
            api_port: sockets.listening.api.port(),
            tables,
            registry: &operations.registry,
            readiness,
            troubles,
            seat,
            begun,
        };
        let Some(loops) = Loops::start(wiring, shutdown, tasks).await? else { return Ok(()) };
        sockets.serve(Parts { settings, client, loops: &loops, operations }, readiness, shutdown, tasks)
    }
}
