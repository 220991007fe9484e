//! Starts the loops and joins them: who hands what to whom.

use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use kube::Client;
use prometheus::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::assembly::accounts::opener;
use crate::assembly::apps::Applications;
use crate::assembly::patience::Patience;
use crate::config::Settings;
use crate::controllers::accounts::{self, Directory, Open};
use crate::controllers::admission::Judge;
use crate::controllers::board::Board;
use crate::controllers::local::LineTableSink;
use crate::controllers::node::{addresses, beats, report, secrets};
use crate::controllers::serials::Serials;
use crate::controllers::service::retained::Retained;
use crate::controllers::shared::context::{Clock, Context};
use crate::controllers::snapshot::Snapshot;
use crate::controllers::stores::Stores;
use crate::controllers::view::{self, Facts};
use crate::controllers::{local, owner, service, snapshot, sync};
use crate::dns::source::LineTables;
use crate::domain::marks::OwnerId;
use crate::domain::names::{DnsName, FieldError};
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
    pub apps: Applications,
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
}

impl Loops {
    /// Starts them all; `Ok(None)`: the process is to end.
    pub async fn start(
        wiring: Wiring<'_>,
        shutdown: &Shutdown,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Option<Self>> {
        let Wiring { settings, client, patience, clock, api_port, tables, registry, readiness, troubles } =
            wiring;
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
        let mut ctx =
            Context::new(client.clone(), settings.node.clone(), stores, clock, provider_for, metrics);
        ctx.troubles = troubles;
        let apps = Applications::start(settings, ctx.clone(), registry, &stop, tasks).await?;
        let waiting = readiness.take("caches");
        let kept = patience.with(&waiting, async || Kept::load(&client, scope.system(), settings).await);
        let Some(Kept { owner, retained, serials }) = kept.await? else { return Ok(None) };
        let joined = Joined {
            apps,
            owner: watch::Sender::new(owner),
            owner_fixed: settings.owner_id.clone(),
            facts: Facts { api_port, reverse_proxy: settings.reverse_proxy },
            retained,
            serials,
            peers: PeerClient::new().context("make the client of the peers")?,
            name_servers: settings.authority.name_servers.clone(),
            tables,
            ctx,
            local,
            open,
        };
        Ok(Some(joined.spawn(zones, readiness, &stop, tasks)))
    }
}

/// What earlier processes left in the system namespace.
struct Kept {
    owner: Option<OwnerId>,
    retained: Retained,
    serials: Serials,
}

impl Kept {
    async fn load(client: &Client, system: &str, settings: &Settings) -> anyhow::Result<Self> {
        let owner = owner::load(client, system, &settings.node, settings.owner_id.as_ref()).await;
        Ok(Self {
            owner: owner.context("who marks this installation's records")?,
            retained: Retained::load(client, system).await.context("read the records that were retained")?,
            serials: Serials::load(client, system).await.context("read the serials of the zones")?,
        })
    }
}

struct Joined {
    apps: Applications,
    ctx: Context,
    facts: Facts,
    retained: Retained,
    serials: Serials,
    peers: PeerClient,
    local: Arc<LocalProvider>,
    owner: watch::Sender<Option<OwnerId>>,
    owner_fixed: Option<OwnerId>,
    name_servers: Vec<DnsName>,
    tables: Arc<LineTables>,
    open: Open,
}

impl Joined {
    fn spawn(
        self,
        zones: Arc<ArcSwap<Zones>>,
        readiness: &Readiness,
        stop: &CancellationToken,
        tasks: &mut Tasks,
    ) -> Loops {
        let Self {
            apps,
            ctx,
            facts,
            retained,
            serials,
            peers,
            local,
            owner,
            owner_fixed,
            name_servers,
            tables,
            open,
        } = self;
        let stop = || stop.clone();
        let board = Board::default();
        let snapshots = watch::Sender::<Option<Arc<Snapshot>>>::new(None);
        let views = watch::Sender::new(Arc::new(view::empty(&ctx, facts)));
        let (known, fed) = (watch::Sender::default(), watch::Sender::new(()));
        let directory = watch::Sender::<Arc<Directory>>::default();
        let seen = || snapshots.subscribe();
        let judge = Judge { ctx: ctx.clone(), snapshots: seen(), rules: apps.rules() };
        let loops = Loops {
            views: views.subscribe(),
            zones,
            tables: tables.clone(),
            apps,
            judge,
            seeded: CancellationToken::new(),
        };
        let sink: Arc<dyn LineTableSink> = Arc::new(Tables(tables));
        let retained_too = retained.clone();
        let inside = local::Inside { local, name_servers, retained: retained_too, tables: sink, serials };
        let beating =
            beats::run(ctx.clone(), board.clone(), peers.clone(), seen(), known.subscribe(), stop());
        let (secrets, markers, marked_by) = (known.subscribe(), owner.subscribe(), owner.subscribe());
        let viewing = view::Sources { snapshots: seen(), secrets, fed: fed.subscribe(), owner: markers };
        let feeding = beats::feed(ctx.clone(), board.clone(), seen(), fed, stop());
        tasks.spawn_infallible("caches", ready_when_seen(readiness.take("caches"), seen(), stop()));
        tasks.spawn_infallible("owner id", owner::run(ctx.clone(), owner_fixed, owner, stop()));
        tasks.spawn_infallible("own watchdog", feeding);
        tasks.spawn_infallible("beats", beating);
        tasks.spawn_infallible("addresses", addresses::run(ctx.clone(), board.clone(), seen(), stop()));
        tasks.spawn_infallible("nodes' statuses", report::run(ctx.clone(), seen(), stop()));
        tasks.spawn_infallible("services", service::run(ctx.clone(), retained, seen(), stop()));
        tasks
            .spawn_infallible("zones", local::run(ctx.clone(), inside, seen(), loops.seeded.clone(), stop()));
        tasks.spawn_infallible("view", view::run(ctx.clone(), facts, board.clone(), viewing, views, stop()));
        tasks.spawn_infallible("pushes", sync::run(peers, ctx.metrics.clone(), loops.views.clone(), stop()));
        tasks.spawn_infallible("nodes' secrets", secrets::run(ctx.clone(), seen(), known, stop()));
        let placing = directory.subscribe();
        let accounts = accounts::run(ctx.clone(), open, marked_by, seen(), directory, stop());
        tasks.spawn_infallible("accounts", accounts);
        tasks.spawn_infallible("snapshots", snapshot::run(ctx, board, placing, snapshots, stop()));
        loops
    }
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
