//! Starts the loops and joins them: who hands what to whom.

use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::vocab::PlatformProvider;
use crate::config::Settings;
use crate::controllers::board::Board;
use crate::controllers::local::LineTableSink;
use crate::controllers::node::{addresses, beats, report, secrets};
use crate::controllers::service::retained::Retained;
use crate::controllers::shared::context::{Clock, Context};
use crate::controllers::snapshot::Snapshot;
use crate::controllers::stores::Stores;
use crate::controllers::view::{self, Facts};
use crate::controllers::{local, service, snapshot, sync};
use crate::dns::source::LineTables;
use crate::domain::names::FieldError;
use crate::domain::records::ZoneId;
use crate::domain::view::ClusterView;
use crate::domain::zone::Zones;
use crate::peers::PeerClient;
use crate::process::{Readiness, Shutdown, Tasks};
use crate::providers::DnsProvider;
use crate::providers::local::LocalProvider;

/// What the servers read of the loops.
pub struct Loops {
    /// The cluster as this node knows it.
    pub views: watch::Receiver<Arc<ClusterView>>,
    /// The zones.
    pub zones: Arc<ArcSwap<Zones>>,
    /// Who is on which line.
    pub tables: Arc<LineTables>,
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

impl Loops {
    /// Starts them all.
    pub async fn start(
        settings: &Settings,
        client: Client,
        clock: Clock,
        readiness: &Readiness,
        shutdown: &Shutdown,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Self> {
        let stop = shutdown.token();
        let zones: Arc<ArcSwap<Zones>> = Arc::default();
        let seconds = clock.clone();
        let seconds = Arc::new(move || u64::try_from(seconds().as_second()).unwrap_or_default());
        let local = Arc::new(LocalProvider::new(zones.clone(), seconds));
        let provider = local.clone();
        let provider_for = Arc::new(move |id: &ZoneId| match id.provider {
            PlatformProvider::Local => Some(provider.clone() as Arc<dyn DnsProvider>),
            PlatformProvider::Ali | PlatformProvider::RFC2136 => None,
        });
        let stores = Stores::start(&client, &stop, &mut |name, watch| tasks.spawn_infallible(name, watch));
        let ctx = Context::new(client.clone(), settings.node.clone(), stores, clock, provider_for);
        let facts = Facts { api_port: settings.listen.api.port(), reverse_proxy: settings.reverse_proxy };
        let retained = Retained::load(&client).await.context("read the records that were retained")?;
        let loops = Self {
            views: watch::Sender::new(Arc::new(view::empty(&ctx, facts))).subscribe(),
            zones,
            tables: Arc::new(LineTables::new()),
            seeded: CancellationToken::new(),
        };
        loops.join(settings, ctx, facts, local, retained, readiness, &stop, tasks)
    }

    fn join(
        mut self,
        settings: &Settings,
        ctx: Context,
        facts: Facts,
        local: Arc<LocalProvider>,
        retained: Retained,
        readiness: &Readiness,
        stop: &CancellationToken,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Self> {
        let peers = PeerClient::new().context("make the client of the peers")?;
        let board = Board::default();
        let snapshots = watch::Sender::<Option<Arc<Snapshot>>>::new(None);
        let views = watch::Sender::new(Arc::new(view::empty(&ctx, facts)));
        let (known, fed) = (watch::Sender::default(), watch::Sender::new(()));
        let seen = || snapshots.subscribe();
        self.views = views.subscribe();
        let caches = (readiness.take("caches"), seen(), stop.clone());
        tasks.spawn_infallible("caches", ready_when_seen(caches.0, caches.1, caches.2));
        tasks.spawn_infallible("own watchdog", {
            beats::feed(ctx.clone(), board.clone(), seen(), fed.clone(), stop.clone())
        });
        tasks.spawn_infallible("beats", {
            beats::run(ctx.clone(), board.clone(), peers.clone(), seen(), known.subscribe(), stop.clone())
        });
        tasks.spawn_infallible("addresses", addresses::run(ctx.clone(), board.clone(), seen(), stop.clone()));
        tasks.spawn_infallible("nodes' statuses", report::run(ctx.clone(), seen(), stop.clone()));
        tasks.spawn_infallible("services", service::run(ctx.clone(), retained.clone(), seen(), stop.clone()));
        tasks.spawn_infallible("zones", {
            let tables: Arc<dyn LineTableSink> = Arc::new(Tables(self.tables.clone()));
            let fixed = settings.authority.name_servers.clone();
            local::run(ctx.clone(), local, fixed, retained, tables, seen(), self.seeded.clone(), stop.clone())
        });
        tasks.spawn_infallible("view", {
            let sources = (seen(), known.subscribe(), fed.subscribe());
            view::run(ctx.clone(), facts, board.clone(), sources.0, sources.1, sources.2, views, stop.clone())
        });
        tasks.spawn_infallible("pushes", sync::run(peers, self.views.clone(), stop.clone()));
        tasks.spawn_infallible("nodes' secrets", {
            secrets::run(ctx.client.clone(), seen(), known, stop.clone())
        });
        tasks.spawn_infallible("snapshots", snapshot::run(ctx, board, snapshots, stop.clone()));
        Ok(self)
    }
}

async fn ready_when_seen(
    ready: crate::process::Ready,
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
