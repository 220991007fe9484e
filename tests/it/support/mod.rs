//! A world: the embedded plane, the loops and a provider in memory, with a clock and deaths that a test decides.

pub mod ali;
pub mod apps;
pub mod cluster;
pub mod engine;
pub mod objects;
pub mod process;
pub mod prometheus;
pub mod ran;
pub mod samples;
pub mod schemas;
pub mod servers;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cocoasyncer::api::node::{CocoaNode, CocoaNodeSpec, Liveness};
use cocoasyncer::api::service::ManagedService;
use cocoasyncer::api::{crds, vocab::Line};
use cocoasyncer::assembly::accounts::opener;
use cocoasyncer::catalog::library::Library;
use cocoasyncer::controllers::accounts::{self, Directory};
use cocoasyncer::controllers::admission::{Judge, Rules};
use cocoasyncer::controllers::board::{Board, Learned};
use cocoasyncer::controllers::service::retained::Retained;
use cocoasyncer::controllers::shared::context::Context;
use cocoasyncer::controllers::snapshot::{self, Snapshot};
use cocoasyncer::controllers::stores::Stores;
use cocoasyncer::controllers::view::{self, Facts};
use cocoasyncer::controllers::{node, service};
use cocoasyncer::controlplane::ControlPlane;
use cocoasyncer::domain::dns_plan::Owner;
use cocoasyncer::domain::liveness::Reading;
use cocoasyncer::domain::marks::OwnerId;
use cocoasyncer::domain::names::DnsName;
use cocoasyncer::domain::scope::Scope;
use cocoasyncer::domain::view::ClusterView;
use cocoasyncer::providers::DnsProvider;
use cocoasyncer::providers::memory::MemoryProvider;
use cocoasyncer::telemetry::metrics::provider::ProviderMetrics;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// In whose name the worlds mark records.
pub const OWNER: &str = "test-owner";

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `is_so` gives something, or fails the test with `what` was waited for.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut is_so: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = is_so().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Applies our CRDs and waits until they are served.
pub async fn install_crds(client: &Client) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    use kube::runtime::{conditions, wait::await_condition};
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for crd in crds::all() {
        let name = crd.metadata.name.clone().unwrap();
        let params = PatchParams::apply("test").force();
        api.patch(&name, &params, &Patch::Apply(&crd)).await.unwrap();
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(PATIENCE, established).await.unwrap().unwrap();
    }
}

/// A node with its own fixed address.
pub fn cocoa_node(name: &str, lines: &[Line], address: &str) -> CocoaNode {
    let spec = serde_json::json!({
        "nodeName": name, "nodeCode": format!("code-{name}"), "nodeAddress": format!("http://{name}.invalid:44443"),
        "isps": lines, "addresses": { "fixed": [address] },
    });
    CocoaNode::new(name, serde_json::from_value::<CocoaNodeSpec>(spec).unwrap())
}

/// A service under `record.example.com`.
pub fn managed(name: &str, record: &str) -> ManagedService {
    let spec = serde_json::json!({ "serviceName": name, "domain": "example.com", "record": record });
    let mut object = ManagedService::new(name, serde_json::from_value(spec).unwrap());
    object.metadata.namespace = Some("default".into());
    object
}

/// A whole operator in process.
pub struct World {
    /// Dropping it would end the plane.
    _plane: ControlPlane,
    me: &'static str,
    scope: Arc<Scope>,
    pub client: Client,
    pub provider: Arc<MemoryProvider>,
    pub board: Board,
    /// What the v1 API shows.
    views: Option<watch::Receiver<Arc<ClusterView>>>,
    clock: Arc<AtomicI64>,
    loops: Option<(JoinSet<()>, CancellationToken)>,
    /// Judges objects by what the loops know.
    pub judge: Option<Judge>,
    /// What the calls of real providers are counted in.
    pub calls: ProviderMetrics,
}

impl World {
    /// A world with our CRDs and nothing in it, its loops running, as the node `n1`.
    pub async fn new() -> Self {
        Self::of("n1").await
    }

    /// The same as another node.
    pub async fn of(me: &'static str) -> Self {
        Self::over(ControlPlane::in_memory().await.unwrap(), me).await
    }

    /// The same over a plane with nothing in it.
    pub async fn over(plane: ControlPlane, me: &'static str) -> Self {
        let client = plane.client();
        Self::through(plane, me, Scope::default(), client).await
    }

    /// The same that serves `scope` and goes through `client`.
    pub async fn through(plane: ControlPlane, me: &'static str, scope: Scope, client: Client) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        install_crds(&plane.client()).await;
        let mut world = Self {
            _plane: plane,
            me,
            scope: Arc::new(scope),
            client,
            provider: Arc::default(),
            board: Board::default(),
            views: None,
            clock: Arc::new(AtomicI64::new(1_700_000_000)),
            loops: None,
            judge: None,
            calls: ProviderMetrics::default(),
        };
        world.start().await;
        world
    }

    /// Starts the loops, with nothing remembered but what the plane and the provider hold.
    pub async fn start(&mut self) {
        self.board = Board::default();
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        let stores =
            Stores::start(&self.client, &self.scope, &stop, &mut |_, watch| drop(tasks.spawn(watch)));
        let (clock, provider) = (self.clock.clone(), self.provider.clone());
        let clock = Arc::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap());
        let provider_for = Arc::new(move |_: &_| Some(provider.clone() as Arc<dyn DnsProvider>));
        let ctx = Context::new(
            self.client.clone(),
            self.me.into(),
            stores,
            clock,
            provider_for,
            Default::default(),
        );
        let snapshots = watch::Sender::<Option<Arc<Snapshot>>>::new(None);
        let seen = || snapshots.subscribe();
        let rules = Rules {
            library: Library::built_in(),
            policy: Default::default(),
            docker: true,
            kubernetes: false,
        };
        self.judge = Some(Judge { ctx: ctx.clone(), snapshots: seen(), rules });
        let retained = Retained::load(&self.client, self.scope.system()).await.unwrap();
        tasks.spawn(node::addresses::run(ctx.clone(), self.board.clone(), seen(), stop.clone()));
        tasks.spawn(node::report::run(ctx.clone(), seen(), stop.clone()));
        tasks.spawn(service::run(ctx.clone(), retained, seen(), stop.clone()));
        let facts = Facts { api_port: 44443, reverse_proxy: false };
        let views = watch::Sender::new(Arc::new(view::empty(&ctx, facts)));
        self.views = Some(views.subscribe());
        let (secrets, fed, owner) =
            (watch::Sender::default(), watch::Sender::new(()), watch::Sender::new(None));
        let sources = view::Sources {
            snapshots: seen(),
            secrets: secrets.subscribe(),
            fed: fed.subscribe(),
            owner: owner.subscribe(),
        };
        tasks.spawn(view::run(ctx.clone(), facts, self.board.clone(), sources, views, stop.clone()));
        tasks.spawn(async move {
            // Nobody feeds here and no secret or owner changes, but their ends must stay open.
            let _open = (secrets, fed, owner);
            std::future::pending().await
        });
        let directory = watch::Sender::<Arc<Directory>>::default();
        let placing = directory.subscribe();
        let owner = watch::Sender::new(OwnerId::parse(OWNER, "").ok());
        let seconds = Arc::new(|| u64::try_from(Timestamp::now().as_second()).unwrap());
        let open = opener(self.calls.clone(), seconds);
        let asked = owner.subscribe();
        tasks.spawn(async move {
            let _open = owner;
            std::future::pending().await
        });
        tasks.spawn(accounts::run(ctx.clone(), open, asked, seen(), directory, stop.clone()));
        tasks.spawn(snapshot::run(ctx, self.board.clone(), placing, snapshots, stop.clone()));
        self.loops = Some((tasks, stop));
    }

    /// Ends the loops at once, as a kill would.
    pub async fn kill(&mut self) {
        if let Some((mut tasks, stop)) = self.loops.take() {
            stop.cancel();
            tasks.shutdown().await;
        }
    }

    pub fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.clock.load(Ordering::SeqCst)).unwrap()
    }

    pub async fn create_node(&self, node: &CocoaNode) {
        Api::<CocoaNode>::all(self.client.clone()).create(&PostParams::default(), node).await.unwrap();
        let name = node.metadata.name.clone().unwrap();
        until(&format!("{name} is on the board"), || async { self.board.vitals().get(&name).map(|_| ()) })
            .await;
        self.beat(&name, 1);
    }

    /// Good beats of a node, 2 s apart.
    pub fn beat(&self, name: &str, times: usize) {
        for _ in 0..times {
            self.pass(2);
            let reading = Reading::Beat { watch_dog: self.now() };
            self.board.read(name, reading, &Liveness::default(), self.now()).unwrap();
        }
    }

    /// Three missed beats.
    pub fn lose(&self, name: &str) {
        for _ in 0..3 {
            self.pass(2);
            self.board.read(name, Reading::Miss, &Liveness::default(), self.now()).unwrap();
        }
    }

    /// A node learns another address.
    pub fn readdress(&self, name: &str, address: &str) {
        let address: std::net::IpAddr = address.parse().unwrap();
        let addresses = [(cocoasyncer::domain::addresses::family(address), [address].into())].into();
        self.board.learn(name, addresses, Learned { source: "peer", trouble: None });
    }

    /// What the v1 API shows now.
    pub fn view(&self) -> Arc<ClusterView> {
        self.views.as_ref().unwrap().borrow().clone()
    }

    pub fn services(&self) -> Api<ManagedService> {
        Api::namespaced(self.client.clone(), "default")
    }

    pub async fn create(&self, service: &ManagedService) {
        self.services().create(&PostParams::default(), service).await.unwrap();
    }

    pub async fn delete(&self, name: &str) {
        self.services().delete(name, &DeleteParams::background()).await.unwrap();
    }

    pub async fn annotate(&self, name: &str, key: &str, value: &str) {
        let patch = serde_json::json!({ "metadata": { "annotations": { key: value } } });
        self.services().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Our records as the provider holds them, a row each.
    pub fn records(&self) -> Vec<String> {
        let zone = DnsName::parse("example.com", "").unwrap();
        let row = |(key, found): (_, cocoasyncer::domain::dns_plan::Found)| {
            let mark = if found.owner == Owner::Ours { "" } else { " (foreign)" };
            format!("{key} {}{mark}", found.set)
        };
        self.provider.zone(&zone).into_iter().map(row).collect()
    }

    /// Waits until the records are these.
    pub async fn settles(&self, expect: &[&str]) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.records() != expect {
            assert!(
                tokio::time::Instant::now() < deadline,
                "records are\n{:#?}\nnot\n{expect:#?}",
                self.records()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a service's condition has this reason; returns its message.
    pub async fn condition(&self, name: &str, kind: &str, reason: &str) -> String {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let status = self.services().get(name).await.unwrap().status.unwrap_or_default();
            let found = status.conditions.iter().find(|c| c.type_ == kind && c.reason == reason);
            if let Some(found) = found {
                return found.message.clone();
            }
            let late = tokio::time::Instant::now() < deadline;
            assert!(late, "{name} never had {kind} {reason}, but {:#?}", status.conditions);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
