//! A resync that changes nothing: the loops in this process, the clock moved on by a resync's time, and what the plane
//! and the provider saw of it.
//!
//! Beats are left out: a node's watchdog in its status is a reading, not a result of the resync.

use std::sync::Arc;
use std::time::Duration;

use cocoasyncer::api::SYSTEM_NAMESPACE;
use cocoasyncer::api::node::CocoaNode;
use cocoasyncer::api::service::ManagedService;
use cocoasyncer::controllers::board::Board;
use cocoasyncer::controllers::service::retained::Retained;
use cocoasyncer::controllers::shared::context::Context;
use cocoasyncer::controllers::snapshot::{self, RESYNC, Snapshot};
use cocoasyncer::controllers::stores::Stores;
use cocoasyncer::controllers::{node, service};
use cocoasyncer::controlplane::ControlPlane;
use cocoasyncer::providers::DnsProvider;
use cocoasyncer::providers::memory::MemoryProvider;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::measure::until;
use crate::objects;
use crate::report::{Figure, Promise};

const SERVICES: usize = 2000;
const ROUNDS: usize = 3;

struct World {
    client: Client,
    provider: Arc<MemoryProvider>,
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    _tasks: JoinSet<()>,
}

impl World {
    async fn start(plane: &ControlPlane) -> anyhow::Result<Self> {
        let client = plane.client();
        objects::install_crds(&client).await?;
        let nodes =
            (1..=6).map(|index| objects::node(index, "http://node.invalid")).collect::<Result<_, _>>()?;
        objects::create_all(&Api::<CocoaNode>::all(client.clone()), nodes, 8).await?;
        let services = (0..SERVICES).map(objects::service).collect::<Result<_, _>>()?;
        objects::create_all(&Api::<ManagedService>::namespaced(client.clone(), "default"), services, 64)
            .await?;
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        let stores = Stores::start(&client, &Arc::default(), &stop, &mut |_, watch| drop(tasks.spawn(watch)));
        let (provider, began) = (Arc::new(MemoryProvider::default()), Timestamp::now());
        let of = provider.clone();
        let provider_for = Arc::new(move |_: &_| Some(of.clone() as Arc<dyn DnsProvider>));
        let clock = Arc::new(move || began);
        let ctx = Context::new(client.clone(), "n01".into(), stores, clock, provider_for, Default::default());
        let (board, sender) = (Board::default(), watch::Sender::new(None));
        let seen = || sender.subscribe();
        let retained = Retained::load(&client, SYSTEM_NAMESPACE).await?;
        tasks.spawn(node::addresses::run(ctx.clone(), board.clone(), seen(), stop.clone()));
        tasks.spawn(node::report::run(ctx.clone(), seen(), stop.clone()));
        tasks.spawn(service::run(ctx.clone(), retained, seen(), stop.clone()));
        let snapshots = seen();
        let directory = watch::Sender::default();
        let placing = directory.subscribe();
        tasks.spawn(async move {
            // No account is asked for, but its end must stay open.
            let _open = directory;
            std::future::pending().await
        });
        tasks.spawn(snapshot::run(ctx, board.clone(), placing, sender, stop));
        until("the board knows all nodes", Duration::from_secs(20), Duration::from_millis(10), || async {
            (board.vitals().len() == 6).then_some(())
        })
        .await?;
        for index in 1..=6 {
            board.feed(&format!("n{index:02}"), began);
        }
        Ok(Self { client, provider, snapshots, _tasks: tasks })
    }

    /// The plane's revision: it rises with every write of anything.
    async fn revision(&self) -> anyhow::Result<u64> {
        let list = Api::<Namespace>::all(self.client.clone()).list(&Default::default()).await?;
        Ok(list.metadata.resource_version.unwrap_or_default().parse()?)
    }

    /// Waits until nothing has been written or listed for a second.
    async fn settle(&self) -> anyhow::Result<()> {
        let mut last = None;
        let mut quiet = 0;
        while quiet < 10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = Some((self.revision().await?, self.provider.calls()));
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
        }
        let (_, (_, records)) = last.unwrap_or_default();
        anyhow::ensure!(SERVICES * 6 <= records, "only {records} records were written");
        Ok(())
    }
}

async fn measure() -> anyhow::Result<Vec<Figure>> {
    let plane = ControlPlane::in_memory().await?;
    let world = World::start(&plane).await?;
    world.settle().await?;
    let first = (world.revision().await?, world.provider.calls());
    let (mut writes, mut records, mut lists) = (0, 0, 0);
    let mut snapshots = world.snapshots.clone();
    for _ in 0..ROUNDS {
        let before = (world.revision().await?, world.provider.calls());
        snapshots.mark_unchanged();
        tokio::time::pause();
        tokio::time::advance(RESYNC + Duration::from_secs(1)).await;
        tokio::time::resume();
        tokio::time::timeout(Duration::from_secs(10), snapshots.changed()).await??;
        let listed = || async { (before.1.0 < world.provider.calls().0).then_some(()) };
        until("a zone is listed again", Duration::from_secs(10), Duration::from_millis(5), listed).await?;
        world.settle().await?;
        let after = (world.revision().await?, world.provider.calls());
        writes += after.0 - before.0;
        records += after.1.1 - before.1.1;
        lists = lists.max(after.1.0 - before.1.0);
    }
    let ours = writes + records as u64;
    let raw = format!(
        "{ROUNDS} resyncs of {SERVICES} services: {writes} writes to the plane, {records} to the provider; the first pass made {} and {}",
        first.0, first.1.1
    );
    Ok(vec![
        Figure {
            what: "writes of a resync that changes nothing",
            measured: ours as f64,
            unit: "",
            promise: Promise::AtMost(0.0),
            ratio: (ours as f64 / (first.0 as f64 + first.1.1 as f64), "the first pass"),
            raw,
        },
        Figure {
            what: "lists a zone of a resync",
            measured: lists as f64 / objects::ZONES as f64,
            unit: "",
            promise: Promise::AtMost(1.0),
            ratio: (lists as f64 / objects::ZONES as f64, "one list a zone"),
            raw: format!("at most {lists} lists for {} zones, {SERVICES} services", objects::ZONES),
        },
    ])
}

/// Measures.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    // The clock can only be moved on a runtime of one thread.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure())
}
