//! Starts the loops and joins them: who hands what to whom.

use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use kube::Client;
use prometheus::Registry;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::assembly::accounts::opener;
use crate::assembly::apps::{Applications, Faces};
use crate::assembly::first::Begun;
use crate::assembly::patience::Patience;
use crate::assembly::replica::Replica;
use crate::config::Settings;
use crate::controllers::admission::Judge;
use crate::controllers::board::Board;
use crate::controllers::lease::fence::Fence;
use crate::controllers::lease::turns::{self, Stand};
use crate::controllers::local::{Inside, LineTableSink};
use crate::controllers::node::{beats, secrets};
use crate::controllers::serials::{Noting, Serials};
use crate::controllers::service::retained::Retained;
use crate::controllers::shared::context::{Clock, Context, Role};
use crate::controllers::snapshot::{self, Snapshot};
use crate::controllers::stores::Stores;
use crate::controllers::view::{self, Facts};
use crate::dns::source::LineTables;
use crate::domain::names::FieldError;
use crate::domain::records::ZoneId;
use crate::domain::view::ClusterView;
use crate::domain::zone::Zones;
use crate::peers::PeerClient;
use crate::process::{Readiness, Ready, Shutdown, Tasks};
use crate::providers::local::LocalProvider;
use crate::providers::{self, DnsProvider};
use crate::telemetry::metrics::provider::ProviderMetrics;
use crate::telemetry::metrics::reconcile::ReconcileMetrics;
use crate::telemetry::troubles::Troubles;

/// What the servers read of the loops.
pub struct Loops {
    /// The cluster as this node knows it.
    pub views: watch::Receiver<Arc<ClusterView>>,
    /// The zones.
    pub zones: Arc<ArcSwap<Zones>>,
    /// Who is on which line.
    pub tables: Arc<LineTables>,
    /// The applications.
    pub apps: Faces,
    /// What the webhook judges by.
    pub judge: Judge,
    /// Cancelled once the zones hold what they held before this process started.
    pub seeded: CancellationToken,
}

struct Tables(Arc<LineTables>);

impl LineTableSink for Tables {
    fn set(&self, source: &str, text: &str) -> Result<bool, FieldError> {
        self.0.set_source(source, text)
    }

    fn remove(&self, source: &str) -> Result<bool, FieldError> {
        self.0.remove_source(source)
    }
}

/// What the loops are made of.
pub struct Wiring<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The control plane.
    pub client: Client,
    /// How its failures are taken.
    pub patience: Patience,
    /// The clock.
    pub clock: Clock,
    /// Port of the v1 API, as bound.
    pub api_port: u16,
    /// Who is on which line, as the files say.
    pub tables: Arc<LineTables>,
    /// All metrics of the process.
    pub registry: &'a Registry,
    /// Who is ready.
    pub readiness: &'a Readiness,
    /// What is wrong though they are.
    pub troubles: Troubles,
    /// The place at the lease, given up when the guard is dropped.
    pub seat: (Stand, DropGuard),
    /// What the start found or made.
    pub begun: Begun,
}

impl Loops {
    /// Starts them all; `Ok(None)`: the process is to end.
    pub async fn start(
        wiring: Wiring<'_>,
        shutdown: &Shutdown,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Option<Self>> {
        let Wiring { settings, client, patience, clock, api_port, tables, registry, readiness, .. } = wiring;
        let (troubles, (stand, leave), Begun { owner, manifests, late }) =
            (wiring.troubles, wiring.seat, wiring.begun);
        let stop = shutdown.token();
        let zones: Arc<ArcSwap<Zones>> = Arc::default();
        let seconds = clock.clone();
        let seconds: providers::local::Clock =
            Arc::new(move || u64::try_from(seconds().as_second()).unwrap_or_default());
        let calls = ProviderMetrics::default();
        calls.register(registry).context("register the providers' metrics")?;
        let open = opener(calls, seconds.clone());
        let local = LocalProvider::new(zones.clone(), seconds);
        let local = Arc::new(local.with_hostmaster(settings.authority.hostmaster.clone()));
        let provider = local.clone();
        let provider_for = Arc::new(move |_: &ZoneId| Some(provider.clone() as Arc<dyn DnsProvider>));
        let metrics = ReconcileMetrics::default();
        metrics.register(registry).context("register the loops' metrics")?;
        let scope = Arc::new(settings.scope.clone());
        let stores =
            Stores::start(&client, &scope, &stop, &mut |name, watch| tasks.spawn_infallible(name, watch));
        let mut plain =
            Context::new(client.clone(), settings.node.clone(), stores, clock, provider_for, metrics);
        plain.troubles = troubles;
        // Whatever is not started for a role writes nothing.
        let ctx = plain.behind(Role::Standby, &Fence::closed());
        let apps = Applications::start(settings, &ctx, registry, &stop, tasks).await?;
        let waiting = readiness.take("caches");
        let kept = patience.with(&waiting, async || Kept::load(&client, scope.system(), settings).await);
        let Some(Kept { retained, serials }) = kept.await? else { return Ok(None) };
        let facts = Facts { api_port, reverse_proxy: settings.reverse_proxy };
        let replica = Replica {
            apps,
            facts,
            board: Board::default(),
            snapshots: watch::Sender::new(None),
            views: watch::Sender::new(Arc::new(view::empty(&ctx, facts))),
            secrets: watch::Sender::default(),
            fed: watch::Sender::new(()),
            directory: watch::Sender::default(),
            owner: (watch::Sender::new(owner), settings.owner_id.clone()),
            inside: Inside {
                local,
                name_servers: settings.authority.name_servers.clone(),
                retained: retained.clone(),
                tables: Arc::new(Tables(tables.clone())),
                serials,
            },
            retained,
            seeded: CancellationToken::new(),
            open,
            peers: PeerClient::new().context("make the client of the peers")?,
            manifests,
            shared: settings.is_shared(),
            late: late.then(|| settings.clone()),
            // Each role puts a fence of its own around it.
            ctx: plain,
        };
        let seat = (stand, leave);
        Ok(Some(begin(ctx, replica, seat, Shown { zones, tables }, readiness, &stop, tasks)))
    }
}

/// What earlier processes left in the system namespace.
struct Kept {
    retained: Retained,
    serials: Serials,
}

impl Kept {
    async fn load(client: &Client, system: &str, settings: &Settings) -> anyhow::Result<Self> {
        // Replicas answer for the same zones, and one serial tells one content.
        let noting = if settings.is_shared() { Noting::All } else { Noting::Ahead };
        Ok(Self {
            retained: Retained::load(client, system).await.context("read the records that were retained")?,
            serials: Serials::load(client, system, noting).await.context("read the serials of the zones")?,
        })
    }
}

/// What is shown of the loops beside the views.
struct Shown {
    zones: Arc<ArcSwap<Zones>>,
    tables: Arc<LineTables>,
}

/// Starts what runs whatever the role, and the one that follows the role.
fn begin(
    ctx: Context,
    replica: Replica,
    (stand, leave): (Stand, DropGuard),
    Shown { zones, tables }: Shown,
    readiness: &Readiness,
    stop: &CancellationToken,
    tasks: &mut Tasks,
) -> Loops {
    let stop = || stop.clone();
    let (board, snapshots) = (replica.board.clone(), replica.snapshots.clone());
    let seen = || snapshots.subscribe();
    let (known, placing) = (replica.secrets.clone(), replica.directory.subscribe());
    let loops = Loops {
        views: replica.views.subscribe(),
        zones,
        tables,
        apps: replica.apps.faces(),
        judge: Judge { ctx: ctx.clone(), snapshots: seen(), rules: replica.apps.faces().rules() },
        seeded: replica.seeded.clone(),
    };
    let beating =
        beats::run(ctx.clone(), board.clone(), replica.peers.clone(), seen(), known.subscribe(), stop());
    let feeding = beats::feed(ctx.clone(), board.clone(), seen(), replica.fed.clone(), stop());
    let reading = secrets::run(ctx.clone(), seen(), known, stop());
    tasks.spawn_infallible("caches", ready_when_seen(readiness.take("caches"), seen(), stop()));
    tasks.spawn_infallible("own watchdog", feeding);
    tasks.spawn_infallible("beats", beating);
    tasks.spawn_infallible("nodes' secrets", reading);
    tasks.spawn_infallible("snapshots", snapshot::run(ctx, board, placing, snapshots.clone(), stop()));
    let following = turns::run(stand, replica, stop());
    tasks.spawn("replica", async move {
        let ended = following.await;
        // Nothing more is written: another replica may take over.
        drop(leave);
        ended
    });
    loops
}

async fn ready_when_seen(
    ready: Ready,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    stop: CancellationToken,
) {
    let seen = async {
        // An error means that the snapshots' task ended, and that is told elsewhere.
        let _ = snapshots.wait_for(Option::is_some).await;
        ready.ready();
        stop.cancelled().await;
    };
    tokio::select! {
        () = seen => {}
        () = stop.cancelled() => {}
    }
}
