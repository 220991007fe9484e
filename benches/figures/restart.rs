//! A large site comes back: 2,000 services on 50 nodes, 12,000 records, started again after an orderly stop and after a
//! SIGKILL until DNS, v1 API and control plane all serve; and what it takes of memory when it has nothing to do, with
//! and without 12,000 Secrets of others beside it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use cocoasyncer::api::node::CocoaNode;
use cocoasyncer::api::service::ManagedService;
use cocoasyncer::controlplane::{ControlPlane, Options};
use k8s_openapi::api::core::v1::Secret;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::measure::{median, until};
use crate::plane::directory;
use crate::report::{Figure, Promise};
use crate::sites::{Site, ask_all, question};
use crate::{objects, rest};

const SERVICES: usize = 2000;
const NODES: usize = 50;
const FOREIGN: usize = 12_000;
const STARTS: usize = 6;
/// Long enough for a resync, for pushes, and for what a start took to be given back.
const REST: Duration = Duration::from_secs(80);
/// The part of it that counts.
const COUNTED: Duration = Duration::from_secs(40);

struct World {
    runtime: Runtime,
    dir: TempDir,
    large: Site,
}

/// Fills a store in this process, faster than over the wire.
async fn fill(dir: &Path, rest: SocketAddr) -> anyhow::Result<()> {
    let plane = ControlPlane::open(Options { dir: Some(dir.into()), ..Options::default() }).await?;
    let client = plane.client();
    objects::install_crds(&client).await?;
    let secrets = Api::<Secret>::namespaced(client.clone(), "cocoasyncer-system");
    objects::create_all(&secrets, vec![objects::node_secret()?], 1).await?;
    let nodes =
        (1..=NODES).map(|index| objects::node(index, &format!("http://{rest}"))).collect::<Result<_, _>>()?;
    objects::create_all(&Api::<CocoaNode>::all(client.clone()), nodes, 64).await?;
    let services = (0..SERVICES).map(objects::service).collect::<Result<_, _>>()?;
    objects::create_all(&Api::<ManagedService>::namespaced(client.clone(), "default"), services, 128).await?;
    plane.close().await;
    Ok(())
}

async fn add_secrets(dir: &Path) -> anyhow::Result<()> {
    let plane = ControlPlane::open(Options { dir: Some(dir.into()), ..Options::default() }).await?;
    let secrets = Api::<Secret>::namespaced(plane.client(), "default");
    let all = (0..FOREIGN).map(objects::foreign_secret).collect::<Result<_, _>>()?;
    objects::create_all(&secrets, all, 256).await?;
    plane.close().await;
    Ok(())
}

async fn client(site: &Site) -> anyhow::Result<Client> {
    let file = Kubeconfig::read_from(site.kubeconfig())?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

impl World {
    fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let dir = directory()?;
        let rest = runtime.block_on(rest::serve())?;
        runtime.block_on(fill(&dir.path().join("large"), rest))?;
        let large = Site::new(&dir.path().join("large"), "n01", &[])?;
        let mut world = Self { runtime, dir, large };
        world.large.start()?;
        world.runtime.block_on(all_ready(&world.large))?;
        world.large.stop()?;
        Ok(world)
    }

    /// Seconds from the start of the process until everything serves.
    fn start(&mut self) -> anyhow::Result<f64> {
        let began = Instant::now();
        self.large.start()?;
        self.runtime.block_on(serves(&self.large))?;
        self.large.must_run()?;
        Ok(began.elapsed().as_secs_f64())
    }
}

/// Waits until every service has its records.
async fn all_ready(site: &Site) -> anyhow::Result<()> {
    until(
        "the first start has written all records",
        Duration::from_secs(120),
        Duration::from_millis(500),
        || async {
            let api = Api::<ManagedService>::all(client(site).await.ok()?);
            let all = api.list(&Default::default()).await.ok()?;
            let done = all
                .iter()
                .filter(|service| service.status.as_ref().is_some_and(|status| status.records.len() == 6));
            (done.count() == SERVICES).then_some(())
        },
    )
    .await
}

/// Waits until DNS, v1 API, control plane and `/readyz` answer, each for the last of the services.
async fn serves(site: &Site) -> anyhow::Result<()> {
    let (within, pause) = (Duration::from_secs(30), Duration::from_millis(3));
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    let last = question(&objects::dns_name(SERVICES - 1), "0.0.0.0/0", 1)?;
    let dns = until("DNS answers", within, pause, || {
        let (at, last) = (site.dns, last.clone());
        async move {
            let asked = tokio::task::spawn_blocking(move || ask_all(at, &[last], Duration::from_millis(100)));
            asked.await.ok()?.ok()?.pop()??.eq(&objects::public(1)).then_some(())
        }
    });
    let api = until("the v1 API answers", within, pause, || async {
        let ask = http.post(format!("http://{}/v1/getClusterInfo", site.api));
        let body = format!("{{\"cocoaSecret\":\"{}\"}}", objects::SECRET);
        let text = ask.body(body).send().await.ok()?.text().await.ok()?;
        text.contains("service-1999").then_some(())
    });
    let plane = until("the control plane answers", within, pause, || async {
        let api = Api::<ManagedService>::namespaced(client(site).await.ok()?, "default");
        api.get("service-1999").await.ok().map(|_| ())
    });
    tokio::try_join!(dns, api, ready(site), plane)?;
    Ok(())
}

async fn ready(site: &Site) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    until("it is ready", Duration::from_secs(30), Duration::from_millis(3), || async {
        http.get(format!("http://{}/readyz", site.ops)).send().await.ok()?.status().is_success().then_some(())
    })
    .await
}

fn starts(world: &mut World) -> anyhow::Result<Figure> {
    let (mut stopped, mut killed) = (Vec::new(), Vec::new());
    for turn in 0..STARTS {
        let took = world.start()?;
        if turn % 2 == 0 { &mut stopped } else { &mut killed }.push(took);
        // The next start is the one after this end.
        if turn % 2 == 0 { world.large.kill()? } else { world.large.stop()? }
    }
    let mut empty = Vec::new();
    for turn in 0..3 {
        let mut site = Site::new(&world.dir.path().join(format!("empty{turn}")), "n01", &[])?;
        site.start()?;
        world.runtime.block_on(ready(&site))?;
        site.stop()?;
        let began = Instant::now();
        site.start()?;
        world.runtime.block_on(ready(&site))?;
        empty.push(began.elapsed().as_secs_f64());
    }
    let list = |values: &[f64]| values.iter().map(|v| format!("{v:.2}")).collect::<Vec<_>>().join(", ");
    let measured = median(&stopped).max(median(&killed));
    Ok(Figure {
        what: "restart with 12,000 records until all serve",
        measured,
        unit: " s",
        promise: Promise::AtMost(2.0),
        ratio: (measured / median(&empty), "the restart of an empty site"),
        raw: format!(
            "after a stop {} s, after SIGKILL {} s, empty {} s",
            list(&stopped),
            list(&killed),
            list(&empty)
        ),
    })
}

fn memory(world: &mut World) -> anyhow::Result<Vec<Figure>> {
    let beside = world.dir.path().join("beside");
    std::fs::create_dir_all(&beside)?;
    for entry in std::fs::read_dir(&world.large.dir)? {
        let entry = entry?;
        std::fs::copy(entry.path(), beside.join(entry.file_name()))?;
    }
    world.runtime.block_on(add_secrets(&beside))?;
    let mut beside = Site::new(&beside, "n01", &[])?;
    let mut idle = Site::new(&world.dir.path().join("idle"), "n01", &[])?;
    world.start()?;
    beside.start()?;
    world.runtime.block_on(serves(&beside))?;
    idle.start()?;
    let began = Instant::now();
    let mut highest = [(0.0, 0.0); 3];
    while began.elapsed() < REST {
        std::thread::sleep(Duration::from_secs(1));
        for (site, highest) in [&mut world.large, &mut beside, &mut idle].into_iter().zip(&mut highest) {
            site.must_run()?;
            let (all, own) = site.memory()?;
            if REST - COUNTED < began.elapsed() && highest.0 < all {
                *highest = (all, own);
            }
        }
    }
    let [(large, large_own), (beside_all, beside_own), (idle_all, idle_own)] = highest;
    world.large.stop()?;
    beside.stop()?;
    Ok(vec![
        Figure {
            what: "memory at rest, 12,000 records",
            measured: large,
            unit: " MiB",
            promise: Promise::AtMost(96.0),
            ratio: (large / idle_all, "an idle site's memory"),
            raw: format!(
                "highest of {} s: {large:.1} MiB, {large_own:.1} of them not the program's file; idle {idle_all:.1} and {idle_own:.1}",
                COUNTED.as_secs()
            ),
        },
        Figure {
            what: "more with 12,000 foreign Secrets",
            measured: beside_all - large,
            unit: " MiB",
            promise: Promise::AtMost(16.0),
            ratio: (beside_all / large, "the memory without them"),
            raw: format!("{beside_all:.1} MiB, {beside_own:.1} of them not the program's file"),
        },
    ])
}

/// Measures.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    let mut world = World::new()?;
    let mut figures = vec![starts(&mut world)?];
    figures.extend(memory(&mut world)?);
    Ok(figures)
}
