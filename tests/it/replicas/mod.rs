//! Replicas of one node over one plane, in process: who is active, what the others serve, and that nothing is written
//! twice when that changes.

mod changes;
mod faults;
mod starts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use cocoasyncer::api::node::CocoaNode;
use cocoasyncer::api::service::ManagedService;
use cocoasyncer::api::vocab::PlatformProvider;
use cocoasyncer::api::{ACCESS_KEY, ACCESS_SECRET, PROVIDER_LABEL};
use cocoasyncer::assembly::first::First;
use cocoasyncer::assembly::loops::{Loops, Wiring};
use cocoasyncer::assembly::patience::Patience;
use cocoasyncer::assembly::replica::sit_down;
use cocoasyncer::config::apps::AppFlags;
use cocoasyncer::config::{ClusterAccess, Flags, Settings};
use cocoasyncer::controllers::lease::fence::Standing;
use cocoasyncer::controlplane::ControlPlane;
use cocoasyncer::dns::ask::ask;
use cocoasyncer::dns::handler::Brain;
use cocoasyncer::domain::names::DnsName;
use cocoasyncer::domain::zone::content::Zone;
use cocoasyncer::process::{Readiness, Shutdown, Tasks};
use cocoasyncer::telemetry::dns::DnsMetrics;
use cocoasyncer::telemetry::metrics::lease::LeaseMetrics;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::client::Body;
use kube::{Api, Client};
use prometheus::Registry;
use tokio::sync::{oneshot, watch};

use crate::support::ali::FakeAli;
use crate::support::ali::zones::Edition;
use crate::support::{install_crds, managed, until};

/// How long the lease lasts here, in seconds: as short as a busy machine allows.
const LEASE: u32 = 4;
const SYSTEM: &str = "cocoasyncer-system";

/// What a replica's way to the plane does.
#[derive(Clone, Default)]
struct Way(Arc<AtomicU8>);

impl Way {
    /// Answers again.
    fn mend(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// Refuses at once.
    fn cut(&self) {
        self.0.store(1, Ordering::SeqCst);
    }

    /// Never answers.
    fn hang(&self) {
        self.0.store(2, Ordering::SeqCst);
    }

    fn around(&self, client: &Client) -> Client {
        let (way, inner) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (way, client) = (way.clone(), inner.clone());
            async move {
                match way.0.load(Ordering::SeqCst) {
                    1 => Err(kube::Error::Service("no way to the plane".into())),
                    2 => std::future::pending().await,
                    _ => client.send(request).await,
                }
            }
        });
        Client::new(service, client.default_namespace())
    }
}

/// A plane with one node's replicas and an account at the stand-in of Alidns.
struct Site {
    _plane: ControlPlane,
    client: Client,
    ali: FakeAli,
}

impl Site {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plane = ControlPlane::in_memory().await.unwrap();
        let client = plane.client();
        install_crds(&client).await;
        let ali = FakeAli::start().await;
        ali.add_key("acme", "key-id", "key-secret");
        ali.add_zone("acme", "example.net", Edition::EnterpriseUltimate);
        let secret = serde_json::json!({
            "metadata": { "name": "platform-ali", "namespace": "default", "labels": { PROVIDER_LABEL: "Ali" } },
            "stringData": { ACCESS_KEY: "key-id", ACCESS_SECRET: "key-secret", "endpoint": ali.endpoint() },
        });
        let secrets = Api::<Secret>::namespaced(client.clone(), "default");
        secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
        Self { _plane: plane, client, ali }
    }

    /// Begins a replica; it need not have come far.
    fn begin(&self, host: &str) -> Replica {
        let way = Way::default();
        let (standing, shutdown) = (watch::Sender::default(), Shutdown::new());
        let started = watch::Sender::default();
        let starting = Starting {
            settings: settings(host),
            client: way.around(&self.client),
            standing: standing.clone(),
            shutdown: shutdown.clone(),
            started: started.clone(),
        };
        let (alive, killed) = oneshot::channel::<()>();
        let (over, ended) = oneshot::channel();
        // A runtime of its own, which a kill ends with all that runs on it.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.unwrap();
            let drained = runtime.block_on(async {
                tokio::select! {
                    () = starting.run() => true,
                    _ = killed => false,
                }
            });
            runtime.shutdown_background();
            let _ = over.send(drained);
        });
        let (standing, started) = (standing.subscribe(), started.subscribe());
        Replica { way, standing, shutdown, started, alive, ended }
    }

    /// A replica that is ready.
    async fn ready(&self, host: &str) -> Replica {
        let replica = self.begin(host);
        replica.ready().await;
        replica
    }

    fn services(&self) -> Api<ManagedService> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// A service in the zone of the DNS server inside (`example.com`) or at Ali (`example.net`), ready.
    async fn serve(&self, name: &str, platform: PlatformProvider) {
        let mut service = managed(name, name);
        service.spec.platform_provider = platform;
        if platform == PlatformProvider::Ali {
            service.spec.domain = "example.net".to_owned();
        }
        self.services().create(&PostParams::default(), &service).await.unwrap();
        self.is_ready(name).await;
    }

    async fn is_ready(&self, name: &str) {
        until(&format!("{name} is ready"), || async {
            let status = self.services().get(name).await.unwrap().status?;
            let ready = status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
            (ready && !status.records.is_empty()).then_some(())
        })
        .await;
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), SYSTEM)
    }

    async fn lease(&self) -> Lease {
        self.leases().get("cocoasyncer-n1").await.unwrap()
    }

    async fn version(&self, name: &str) -> Option<String> {
        self.services().get(name).await.unwrap().metadata.resource_version
    }

    async fn node(&self) -> Option<CocoaNode> {
        Api::<CocoaNode>::all(self.client.clone()).get_opt("n1").await.unwrap()
    }
}

fn settings(host: &str) -> Settings {
    let apps = AppFlags {
        docker: "none".into(),
        namespace: Some("default".into()),
        auth: "gateway".into(),
        gateway_from: vec!["127.0.0.0/8".into()],
        at_once: 1,
        ..AppFlags::default()
    };
    let flags = Flags {
        host_name: host.into(),
        system_namespace: SYSTEM.into(),
        api_rate: 1000,
        node: Some("n1".into()),
        api_listen: "127.0.0.1:0".into(),
        ops_listen: "127.0.0.1:0".into(),
        dns_listen: vec!["none".into()],
        work_mode: "leader".into(),
        lines: vec!["default".into(), "CT".into()],
        network_type: "IPV4".into(),
        public_addresses: vec!["203.0.113.1".into()],
        echo_agreement: 1,
        log: "info".into(),
        log_format: "text".into(),
        lease_seconds: 6,
        apps,
        ..Flags::default()
    };
    let settings = Settings::in_cluster(flags, ClusterAccess::default(), Default::default()).unwrap();
    Settings { lease_seconds: LEASE, ..settings }
}

struct Starting {
    settings: Settings,
    client: Client,
    standing: watch::Sender<Standing>,
    shutdown: Shutdown,
    started: watch::Sender<Option<Shown>>,
}

/// What a replica shows.
#[derive(Clone)]
struct Shown {
    dns: SocketAddr,
    zones: Arc<arc_swap::ArcSwap<cocoasyncer::domain::zone::Zones>>,
    views: watch::Receiver<Arc<cocoasyncer::domain::view::ClusterView>>,
    readiness: Readiness,
}

impl Starting {
    async fn run(self) {
        let Self { settings, client, standing, shutdown, started } = self;
        let (mut tasks, registry) = (Tasks::new(&shutdown), Registry::new());
        let readiness = Readiness::new(&shutdown, ["caches"]);
        let metrics = LeaseMetrics::new("n1");
        let mut seat = sit_down(&settings, &client, &standing, metrics, &mut tasks).unwrap();
        let first =
            First { settings: &settings, node: settings.first_node.object(&settings.node), secret: None };
        if let Some(begun) = first.begin(&client, &mut seat.0, &shutdown).await.unwrap() {
            let wiring = Wiring {
                settings: &settings,
                client,
                patience: Patience::Until(shutdown.clone()),
                troubles: Default::default(),
                clock: Arc::new(Timestamp::now),
                api_port: 44443,
                tables: Arc::default(),
                registry: &registry,
                readiness: &readiness,
                seat,
                begun,
            };
            let loops = Loops::start(wiring, &shutdown, &mut tasks).await.unwrap().unwrap();
            let (zones, views) = (loops.zones.clone(), loops.views.clone());
            let bound = cocoasyncer::dns::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
            let dns = bound.local_addr().unwrap();
            let counts = DnsMetrics::new().unwrap();
            let brain = Brain { zones: zones.clone(), lines: loops.tables.current(), metrics: counts };
            tasks.spawn_infallible("dns", bound.serve(brain, Default::default(), shutdown.token()));
            started.send_replace(Some(Shown { dns, zones, views, readiness }));
        }
        tasks.run(Duration::from_secs(10)).await.unwrap();
    }
}

/// One replica. It is killed when this is dropped.
struct Replica {
    way: Way,
    standing: watch::Receiver<Standing>,
    shutdown: Shutdown,
    started: watch::Receiver<Option<Shown>>,
    alive: oneshot::Sender<()>,
    ended: oneshot::Receiver<bool>,
}

impl Replica {
    async fn ready(&self) -> Shown {
        until("the replica is ready", || async {
            let shown = self.started.borrow().clone()?;
            shown.readiness.is_ready().then_some(shown)
        })
        .await
    }

    fn is_active(&self) -> bool {
        self.standing.borrow().term.is_some()
    }

    async fn becomes(&self, active: bool) {
        let mut standing = self.standing.clone();
        let changed = standing.wait_for(|standing| standing.term.is_some() == active);
        let in_time = tokio::time::timeout(crate::support::PATIENCE, changed).await;
        assert!(in_time.is_ok(), "it never became active: {active}");
    }

    /// Asks it to end, and waits until it has.
    async fn drain(self) {
        let Self { shutdown, alive: _alive, ended, .. } = self;
        shutdown.drain();
        assert!(ended.await.unwrap(), "it was cut off");
    }

    /// Ends it as a kill would: nothing more is done, nothing is given back.
    async fn kill(self) {
        drop(self.alive);
        assert!(!self.ended.await.unwrap(), "it ended by itself");
    }

    fn zone(&self) -> Option<Zone> {
        let zones = self.started.borrow().as_ref()?.zones.load_full();
        zones.get(&DnsName::parse("example.com", "").unwrap()).map(|zone| Zone::clone(zone))
    }

    /// What its DNS server answers.
    async fn answers(&self, name: &str) -> Vec<String> {
        let dns = self.started.borrow().as_ref().unwrap().dns;
        let reply = ask(dns, name, "A", None, Duration::from_secs(5)).await.unwrap();
        reply.values("A")
    }
}
