//! This process as one replica of its node: its place at the lease, and which loops run in which role.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use kube::{Client, Resource};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use crate::assembly::apps::Applications;
use crate::assembly::plane;
use crate::config::{Plane, Settings};
use crate::controllers::accounts::{self, Directory, Open};
use crate::controllers::board::Board;
use crate::controllers::lease::fence::{Standing, ticks};
use crate::controllers::lease::keeper::{self, Seat, lease_name};
use crate::controllers::lease::provider::FencedProvider;
use crate::controllers::lease::turns::{Crew, Loops, Stand, Turn};
use crate::controllers::local::{self, Inside};
use crate::controllers::manifests::Manifests;
use crate::controllers::node::secrets::NodeSecrets;
use crate::controllers::node::{addresses, report};
use crate::controllers::service::{self, retained::Retained};
use crate::controllers::shared::context::{Context, Role};
use crate::controllers::shared::report::publish;
use crate::controllers::snapshot::Snapshot;
use crate::controllers::view::{self, Facts};
use crate::controllers::{owner, sync};
use crate::domain::lease::Timing;
use crate::domain::marks::OwnerId;
use crate::domain::view::ClusterView;
use crate::peers::PeerClient;
use crate::process::Tasks;
use crate::providers::DnsProvider;
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::lease::LeaseMetrics;

/// How long the lease of a plane inside lasts, in seconds. Nobody competes for it, for nobody else opens the store; so
/// it costs next to no write, and a full disk keeps nobody from moving a dead site's lines.
const ALONE_SECONDS: u32 = 900;

/// Takes this process's place at its node's lease. The place is given up when the guard is dropped: by then nothing
/// more may be written.
pub fn sit_down(
    settings: &Settings,
    client: &Client,
    standing: &watch::Sender<Standing>,
    metrics: LeaseMetrics,
    tasks: &mut Tasks,
) -> anyhow::Result<(Stand, DropGuard)> {
    let (me, seconds) = match &settings.plane {
        // One process at a time opens the store, so that whoever finds this name is its successor.
        Plane::Embedded(_) => (settings.node.clone(), ALONE_SECONDS),
        Plane::Cluster(_) => (random_name(&settings.host)?, settings.lease_seconds),
    };
    let seat = Seat {
        client: client.clone(),
        namespace: settings.scope.system().to_owned(),
        name: lease_name(&settings.node),
        me,
        timing: Timing::of(std::time::Duration::from_secs(seconds.into())),
        ticks: ticks(),
        clock: Arc::new(Timestamp::now),
        metrics: metrics.clone(),
    };
    let stand = Stand { standing: standing.subscribe(), ticks: seat.ticks.clone(), metrics };
    let leave = CancellationToken::new();
    tasks.spawn_infallible("lease", keeper::run(seat, standing.clone(), leave.clone()));
    Ok((stand, leave.drop_guard()))
}

/// Another one for each process: a container that is started again in its pod is not the one before.
fn random_name(host: &str) -> anyhow::Result<String> {
    let mut bytes = [0u8; 4];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    let random: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{host}_{random}"))
}

/// What the loops of both roles are made of, and what must outlive a role.
pub struct Replica {
    /// Reads only: each role has its own way to write.
    pub ctx: Context,
    /// Applications.
    pub apps: Applications,
    /// What the view tells of this process.
    pub facts: Facts,
    /// Who lives, and where.
    pub board: Board,
    /// Objects and board at one moment.
    pub snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    /// What the API shows.
    pub views: watch::Sender<Arc<ClusterView>>,
    /// The nodes' secrets.
    pub secrets: watch::Sender<Arc<NodeSecrets>>,
    /// The own watchdog was fed.
    pub fed: watch::Sender<()>,
    /// The accounts.
    pub directory: watch::Sender<Arc<Directory>>,
    /// Who marks records, and whether a setting fixes it.
    pub owner: (watch::Sender<Option<OwnerId>>, Option<OwnerId>),
    /// Records that stay after their service.
    pub retained: Retained,
    /// The DNS server inside.
    pub inside: Inside,
    /// Falls once the zones hold what they held before.
    pub seeded: CancellationToken,
    /// Opens accounts.
    pub open: Open,
    /// Client of the peers.
    pub peers: PeerClient,
    /// Folders of manifests, warm where this process's first term has applied them already.
    pub manifests: Option<Manifests>,
    /// Whether there may be other replicas.
    pub shared: bool,
    /// What the active replica does once, where this one was none when it started.
    pub late: Option<Settings>,
}

#[async_trait]
impl Loops for Replica {
    async fn start(&mut self, turn: &Turn, crew: &mut Crew) -> Result<(), kube::Error> {
        let ctx = self.ctx.behind(turn.role, &turn.fence);
        match turn.role {
            Role::Active => {
                // The one before may have written them.
                self.retained.reload(&ctx.client).await?;
                self.inside.serials.reload(&ctx.client).await?;
                self.catch_up(&ctx).await;
                self.write(&ctx, turn, crew);
            }
            // What this replica opened as the active one says nothing of a standby.
            Role::Standby => {
                self.directory.send_replace(Arc::default());
                let snapshot = self.snapshots.borrow().clone();
                let zones = snapshot.iter().flat_map(|snapshot| snapshot.zones.keys());
                zones.for_each(|id| ctx.metrics.forget(id));
            }
        }
        self.serve(&ctx, turn, crew);
        Ok(())
    }
}

impl Replica {
    /// What runs in both roles, each in its own way.
    fn serve(&self, ctx: &Context, turn: &Turn, crew: &mut Crew) {
        let (stop, seen) = (|| turn.stop.clone(), || self.snapshots.subscribe());
        let (owner, fixed) = self.owner.clone();
        let sources = view::Sources {
            snapshots: seen(),
            secrets: self.secrets.subscribe(),
            fed: self.fed.subscribe(),
            owner: owner.subscribe(),
        };
        let viewing =
            view::run(ctx.clone(), self.facts, self.board.clone(), sources, self.views.clone(), stop());
        let serving = local::run(ctx.clone(), self.inside.clone(), seen(), self.seeded.clone(), stop());
        crew.spawn("owner id", owner::run(ctx.clone(), fixed, owner, stop()));
        crew.spawn("addresses", addresses::run(ctx.clone(), self.board.clone(), seen(), stop()));
        crew.spawn("services", service::run(ctx.clone(), self.retained.clone(), seen(), stop()));
        crew.spawn("zones", serving);
        crew.spawn("view", viewing);
        crew.spawn("applications", self.apps.work(ctx.clone(), &turn.fence, stop()));
    }

    /// What a replica that began as a standby has not done yet. Where it fails the next term tries again.
    async fn catch_up(&self, ctx: &Context) {
        let Some(settings) = &self.late else { return };
        let system = settings.scope.system();
        let keep = owner::load(&ctx.client, system, &ctx.me, settings.owner_id.as_ref(), ctx.role);
        if let Err(error) = keep.await {
            warn!(error = %Chain(&error), "the owner id is not kept yet");
        }
        if let Some(path) = &settings.old_config
            && let Err(error) = plane::import_old_config(&ctx.client, path, settings).await
        {
            warn!(error = %Chain(error.as_ref()), "the old configuration is not imported yet");
        }
    }

    /// What the active replica alone runs.
    fn write(&mut self, ctx: &Context, turn: &Turn, crew: &mut Crew) {
        let (stop, fence) = (|| turn.stop.clone(), turn.fence.clone());
        let (open, around) = (self.open.clone(), fence.clone());
        let open: Open = Arc::new(move |platform, data, owner| {
            let account = open(platform, data, owner)?;
            Ok(Arc::new(FencedProvider::new(account, around.clone())) as Arc<dyn DnsProvider>)
        });
        let (seen, owner) = (|| self.snapshots.subscribe(), self.owner.0.subscribe());
        let accounts = accounts::run(ctx.clone(), open, owner, seen(), self.directory.clone(), stop());
        let views = self.views.subscribe();
        let pushing = sync::run(self.peers.clone(), ctx.metrics.clone(), fence, views, stop());
        crew.spawn("accounts", accounts);
        crew.spawn("nodes' statuses", report::run(ctx.clone(), seen(), stop()));
        crew.spawn("pushes", pushing);
        if let Some(manifests) = &mut self.manifests {
            let following = manifests.take_up(ctx.client.clone()).run(stop(), |_| ());
            crew.spawn("manifests", following);
        }
        if self.shared {
            crew.spawn("word of the term", tell(ctx.clone(), stop()));
        }
    }
}

/// Tells of the term that has begun, where an administrator looks: at the node.
async fn tell(ctx: Context, stop: CancellationToken) {
    ctx.stores.ready().await;
    if let Some(node) = ctx.stores.node(&ctx.me) {
        let note = "another replica of it writes now; kubectl get lease says which one".to_owned();
        publish(&ctx, &node.object_ref(&()), true, "ActiveReplicaChanged", "Elect", note).await;
    }
    stop.cancelled().await;
}
