//! The operator of a cluster: `cocoasyncer run` alone in its process, against a plane in this one, with 2,000 services, 50
//! nodes, 12,000 records and 12,000 foreign Secrets. What it takes and asks at rest, how fast it starts and follows.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use cocoasyncer::api::app::App;
use cocoasyncer::api::node::CocoaNode;
use cocoasyncer::api::service::ManagedService;
use cocoasyncer::api::{CATALOG_LABEL, LINE_TABLE_LABEL, PROVIDER_LABEL};
use cocoasyncer::controlplane::{ControlPlane, Options};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind, WatchEvent};
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::measure::{Pairs, median, until};
use crate::plane::directory;
use crate::report::{Figure, Promise};
use crate::sites::{Site, ask_ttl, question};
use crate::{objects, rest};

const SERVICES: usize = 2000;
const NODES: usize = 50;
const FOREIGN: usize = 12_000;
const STARTS: usize = 5;
const EDITS: usize = 200;
/// Objects that the baseline writes in turns.
const BARE: usize = 20;
/// Until what a start took has been given back, and what a start asks has been asked.
const SETTLE: Duration = Duration::from_secs(30);
/// How long rest is looked at.
const REST: Duration = Duration::from_secs(90);
/// A watch is opened anew this often an hour: kube asks API servers to end it after 290 s.
const WATCH_AN_HOUR: f64 = 3600.0 / 290.0;

struct World {
    runtime: Runtime,
    dir: TempDir,
    kubeconfig: PathBuf,
    _plane: ControlPlane,
    operator: Site,
}

impl World {
    fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let dir = directory()?;
        let kubeconfig = dir.path().join("kubeconfig");
        let rest = runtime.block_on(rest::serve())?;
        let plane = runtime.block_on(async {
            let store = Some(dir.path().join("store"));
            let plane = ControlPlane::open(Options { dir: store, ..Options::default() }).await?;
            let bound = plane.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
            bound.write_kubeconfig(&kubeconfig)?;
            tokio::spawn(bound.serve(std::future::pending()));
            fill(&plane.client(), rest).await?;
            anyhow::Ok(plane)
        })?;
        // The pace would be what is measured.
        let operator = Site::operator(&dir.path().join("operator"), &kubeconfig, &["--api-rate", "100000"])?;
        Ok(Self { runtime, dir, kubeconfig, _plane: plane, operator })
    }

    fn client(&self) -> anyhow::Result<Client> {
        self.runtime.block_on(async {
            let file = Kubeconfig::read_from(&self.kubeconfig)?;
            let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
            config.default_retry = false;
            anyhow::Ok(Client::try_from(config)?)
        })
    }

    /// Seconds from the start of the process until it is ready.
    fn start(&mut self) -> anyhow::Result<f64> {
        let began = Instant::now();
        self.operator.start()?;
        let ops = self.operator.ops;
        self.runtime.block_on(until(
            "the operator is ready",
            Duration::from_secs(60),
            Duration::from_millis(3),
            || async move { get(ops, "readyz").await.filter(|text| text.contains("\"ready\":true")) },
        ))?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// What the operator has asked of the API server since its start, by verb.
    fn calls(&self) -> anyhow::Result<Vec<(String, f64)>> {
        let text = self.runtime.block_on(get(self.operator.ops, "metrics")).context("no metrics")?;
        let ours = text.lines().filter_map(|line| line.strip_prefix("cocoasyncer_api_server_calls_total{"));
        let read = |line: &str| {
            let (labels, count) = line.rsplit_once(' ')?;
            let verb = labels.split("verb=\"").nth(1)?.split('"').next()?;
            Some((verb.to_owned(), count.parse().ok()?))
        };
        Ok(ours.filter_map(read).collect())
    }
}

async fn fill(client: &Client, rest: SocketAddr) -> anyhow::Result<()> {
    objects::install_crds(client).await?;
    let system = Api::<Secret>::namespaced(client.clone(), "cocoasyncer-system");
    objects::create_all(&system, vec![objects::node_secret()?], 1).await?;
    let nodes =
        (1..=NODES).map(|index| objects::node(index, &format!("http://{rest}"))).collect::<Result<_, _>>()?;
    objects::create_all(&Api::<CocoaNode>::all(client.clone()), nodes, 64).await?;
    let services = (0..SERVICES).map(objects::service).collect::<Result<_, _>>()?;
    objects::create_all(&Api::<ManagedService>::namespaced(client.clone(), "default"), services, 128).await?;
    let foreign = (0..FOREIGN).map(objects::foreign_secret).collect::<Result<_, _>>()?;
    objects::create_all(&Api::<Secret>::namespaced(client.clone(), "default"), foreign, 256).await
}

async fn get(at: SocketAddr, path: &str) -> Option<String> {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .ok()?
        .get(format!("http://{at}/{path}"))
        .send()
        .await
        .ok()?
        .text()
        .await
        .ok()
}

/// Waits until every service says that it has its records, and that in this generation.
async fn all_reported(client: &Client) -> anyhow::Result<()> {
    let api = Api::<ManagedService>::namespaced(client.clone(), "default");
    let (within, pause) = (Duration::from_secs(120), Duration::from_millis(100));
    until("all services are reported", within, pause, || async {
        let all = api.list(&Default::default()).await.ok()?;
        let done = all.iter().filter(|one| {
            let status = one.status.as_ref();
            status.is_some_and(|status| {
                status.records.len() == 6 && status.observed_generation == one.metadata.generation
            })
        });
        (done.count() == SERVICES).then_some(())
    })
    .await
}

/// Changes every service, and waits until the operator has said so of each: services a second.
fn followed(world: &World, client: &Client, ttl: u32) -> anyhow::Result<f64> {
    let began = Instant::now();
    world.runtime.block_on(async {
        let api = Api::<ManagedService>::namespaced(client.clone(), "default");
        let patch = Patch::Merge(json!({ "spec": { "ttl": ttl } }));
        let edit = |index: usize| {
            let (api, patch) = (api.clone(), patch.clone());
            async move { api.patch(&format!("service-{index:04}"), &PatchParams::default(), &patch).await }
        };
        futures::stream::iter(0..SERVICES)
            .map(edit)
            .buffer_unordered(64)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        all_reported(client).await
    })?;
    Ok(SERVICES as f64 / began.elapsed().as_secs_f64())
}

/// Objects of a kind that nobody watches, with a status.
async fn bare(client: &Client) -> anyhow::Result<Api<DynamicObject>> {
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let crd = serde_json::from_value(json!({
        "metadata": { "name": "bares.figures.example.com" },
        "spec": { "group": "figures.example.com", "scope": "Cluster", "names": { "kind": "Bare", "plural": "bares" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": open } }] },
    }))?;
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    crds.create(&Default::default(), &crd).await?;
    await_condition(crds, "bares.figures.example.com", conditions::is_crd_established()).await?;
    let kind = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("figures.example.com", "v1", "Bare"),
        "bares",
    );
    let api = Api::all_with(client.clone(), &kind);
    let all = (0..BARE).map(|index| DynamicObject::new(&format!("bare-{index}"), &kind)).collect();
    objects::create_all(&api, all, 8).await?;
    Ok(api)
}

/// Writes a status as often as there are services, one after the other, and nothing else: writes a second.
fn patched(world: &World, api: &Api<DynamicObject>, turn: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    world.runtime.block_on(async {
        for index in 0..SERVICES {
            let patch = Patch::Merge(json!({ "status": { "count": turn * SERVICES + index } }));
            api.patch_status(&format!("bare-{}", index % BARE), &PatchParams::default(), &patch).await?;
        }
        anyhow::Ok(())
    })?;
    Ok(SERVICES as f64 / began.elapsed().as_secs_f64())
}

fn throughput(world: &World, client: &Client) -> anyhow::Result<Figure> {
    let bare = world.runtime.block_on(bare(client))?;
    let (mut ttl, mut turn) = (60, 0);
    let pairs = Pairs::measure(
        3,
        || {
            ttl += 1;
            followed(world, client, ttl)
        },
        || {
            turn += 1;
            patched(world, &bare, turn)
        },
    )?;
    let (ours, theirs) = pairs.medians();
    Ok(Figure {
        what: "services reconciled a second, against bare status patches",
        measured: pairs.ratio(),
        unit: " x",
        promise: Promise::AtLeast(0.5),
        ratio: (pairs.ratio(), "a loop of bare status patches"),
        raw: format!("{ours:.0} and {theirs:.0} a second; the edits themselves are in ours"),
    })
}

#[allow(clippy::disallowed_methods, reason = "the baseline is kube's own")]
async fn filled<K>(client: &Client, config: watcher::Config, tasks: &mut JoinSet<()>) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let stream = reflector::reflector(writer, watcher(Api::<K>::all(client.clone()), config));
    tasks.spawn(async move { stream.for_each(|_| async {}).await });
    store
}

/// Seconds that bare reflectors of the same objects take until they are filled.
fn reflected(world: &World) -> anyhow::Result<f64> {
    let began = Instant::now();
    let client = world.client()?;
    world.runtime.block_on(async {
        let (mut tasks, all) = (JoinSet::new(), watcher::Config::default);
        let nodes = filled::<CocoaNode>(&client, all(), &mut tasks).await;
        let services = filled::<ManagedService>(&client, all(), &mut tasks).await;
        let apps = filled::<App>(&client, all(), &mut tasks).await;
        let accounts = filled::<Secret>(&client, all().labels(PROVIDER_LABEL), &mut tasks).await;
        let tables = filled::<ConfigMap>(&client, all().labels(LINE_TABLE_LABEL), &mut tasks).await;
        let templates = filled::<ConfigMap>(&client, all().labels(CATALOG_LABEL), &mut tasks).await;
        nodes.wait_until_ready().await?;
        services.wait_until_ready().await?;
        apps.wait_until_ready().await?;
        accounts.wait_until_ready().await?;
        tables.wait_until_ready().await?;
        templates.wait_until_ready().await?;
        anyhow::ensure!(services.state().len() == SERVICES, "not all services");
        anyhow::Ok(())
    })?;
    Ok(began.elapsed().as_secs_f64())
}

fn starts(world: &mut World) -> anyhow::Result<Figure> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        world.operator.stop()?;
        theirs.push(reflected(world)?);
        ours.push(world.start()?);
    }
    let ratio = median(&ours) / median(&theirs);
    Ok(Figure {
        what: "start until ready, against bare reflectors",
        measured: ratio,
        unit: " x",
        promise: Promise::AtMost(1.5),
        ratio: (ratio, "bare reflectors of the same objects"),
        raw: format!("{:.2} s and {:.2} s", median(&ours), median(&theirs)),
    })
}

fn at_rest(world: &mut World) -> anyhow::Result<Vec<Figure>> {
    std::thread::sleep(SETTLE);
    let (before, cpu, began) = (world.calls()?, world.operator.cpu()?, Instant::now());
    let mut highest = (0.0, 0.0);
    while began.elapsed() < REST {
        std::thread::sleep(Duration::from_secs(1));
        world.operator.must_run()?;
        let (all, own) = world.operator.memory()?;
        if highest.0 < all {
            highest = (all, own);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu = (world.operator.cpu()? - cpu) / seconds * 100.0;
    let after = world.calls()?;
    let of = |calls: &[(String, f64)], watch: bool| -> f64 {
        calls.iter().filter(|(verb, _)| (verb == "watch") == watch).map(|(_, count)| count).sum()
    };
    // A watch is opened anew every 290 s: how many there are says how often.
    let (open, other) = (of(&before, true), of(&after, false) - of(&before, false));
    let hour = open * WATCH_AN_HOUR + other * 3600.0 / seconds;
    let verbs: Vec<String> = after.iter().map(|(verb, count)| format!("{verb} {count}")).collect();
    Ok(vec![
        Figure {
            what: "operator's memory, 12,000 records, 12,000 foreign Secrets",
            measured: highest.0,
            unit: " MiB",
            promise: Promise::AtMost(64.0),
            ratio: (highest.0 / 64.0, "what is promised"),
            raw: format!("highest of {seconds:.0} s; {:.1} MiB of it not the program's file", highest.1),
        },
        Figure {
            what: "operator's CPU at rest, 50 nodes beating",
            measured: cpu,
            unit: " % of a core",
            promise: Promise::AtMost(1.0),
            ratio: (cpu, "1 % of a core"),
            raw: format!("over {seconds:.0} s"),
        },
        Figure {
            what: "calls of the API server an hour at rest",
            measured: hour,
            unit: "",
            promise: Promise::AtMost(600.0),
            ratio: (hour / 600.0, "what is promised"),
            raw: format!(
                "{open} watches, {other} other calls in {seconds:.0} s; since the start: {}",
                verbs.join(", ")
            ),
        },
    ])
}

/// Milliseconds by which the DNS server's answer came after our own watch's event, for one edit.
async fn behind(client: &Client, dns: SocketAddr, turn: usize) -> anyhow::Result<f64> {
    let index = turn * 7 % SERVICES;
    let (name, ttl) = (format!("service-{index:04}"), 1000 + u32::try_from(turn)?);
    let api = Api::<ManagedService>::namespaced(client.clone(), "default");
    let there = api.get(&name).await?.resource_version().context("no version")?;
    let watching = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = api.watch(&watching, &there).await?.boxed();
    let asked = question(&objects::dns_name(index), "0.0.0.0/0", 1)?;
    let answers = tokio::task::spawn_blocking(move || {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if ask_ttl(dns, &asked, Duration::from_millis(200))? == Some(ttl) {
                return Ok(Instant::now());
            }
            anyhow::ensure!(Instant::now() < deadline, "no answer after an edit");
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let patch = Patch::Merge(json!({ "spec": { "ttl": ttl } }));
    api.patch(&name, &PatchParams::default(), &patch).await?;
    let seen = loop {
        let event = events.try_next().await?.context("the watch ended")?;
        if matches!(event, WatchEvent::Modified(_)) {
            break Instant::now();
        }
    };
    let answered = answers.await??;
    Ok(answered.saturating_duration_since(seen).as_secs_f64() * 1000.0)
}

fn follows(world: &World, client: &Client) -> anyhow::Result<Figure> {
    let dns = world.operator.dns;
    let mut all = world.runtime.block_on(async {
        let mut all = Vec::new();
        for turn in 0..EDITS {
            all.push(behind(client, dns, turn).await?);
        }
        anyhow::Ok(all)
    })?;
    all.sort_by(f64::total_cmp);
    let at = all[(EDITS * 99).div_ceil(100) - 1];
    Ok(Figure {
        what: "a change in DNS after the plane's own watch has it, 99 of 100",
        measured: at,
        unit: " ms",
        promise: Promise::AtMost(100.0),
        ratio: (at / median(&all), "the median"),
        raw: format!("median {:.1} ms, worst {:.1} ms of {EDITS}", median(&all), all[EDITS - 1]),
    })
}

fn settled() -> anyhow::Result<(World, Client)> {
    let mut world = World::new()?;
    let client = world.client()?;
    world.start()?;
    world.runtime.block_on(all_reported(&client))?;
    Ok((world, client))
}

fn ended(mut world: World, figures: Vec<Figure>) -> anyhow::Result<Vec<Figure>> {
    world.operator.stop()?;
    drop(world.dir);
    Ok(figures)
}

/// Measures starts and rest.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    let (mut world, _) = settled()?;
    let mut figures = vec![starts(&mut world)?];
    figures.extend(at_rest(&mut world)?);
    ended(world, figures)
}

/// Measures how fast changes are followed.
pub fn run_changes() -> anyhow::Result<Vec<Figure>> {
    let (world, client) = settled()?;
    let figures = vec![follows(&world, &client)?, throughput(&world, &client)?];
    ended(world, figures)
}
