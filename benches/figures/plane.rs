//! The plane: durable creates by sixteen writers against one, and watch events to ten watchers.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use cocoasyncer::controlplane::{ControlPlane, Options};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{WatchEvent, WatchParams};
use kube::core::WatchEvent as Event;
use kube::{Api, Client};

use crate::measure::Pairs;
use crate::objects;
use crate::report::{Figure, Promise};

const TURNS: usize = 7;
const LASTING: Duration = Duration::from_millis(700);
const WATCHERS: usize = 10;
const EVENTS: usize = 10_000;

/// A directory on the disk that the project is built on; memory file systems know no sync.
pub fn directory() -> anyhow::Result<tempfile::TempDir> {
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&base)?;
    Ok(tempfile::Builder::new().prefix("figures-").tempdir_in(base)?)
}

fn map(name: String) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name);
    map.data = Some([("key".to_owned(), "value".to_owned())].into());
    map
}

/// Creates a second by so many writers.
async fn creates(client: &Client, writers: usize, prefix: &str) -> anyhow::Result<f64> {
    let api = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let began = Instant::now();
    let write = |writer: usize| {
        let (api, prefix) = (api.clone(), prefix.to_owned());
        tokio::spawn(async move {
            let mut done = 0;
            while began.elapsed() < LASTING {
                api.create(&Default::default(), &map(format!("{prefix}-{writer}-{done}"))).await?;
                done += 1;
            }
            Ok::<usize, kube::Error>(done)
        })
    };
    let all: Vec<_> = (0..writers).map(write).collect();
    let mut done = 0;
    for writer in all {
        done += writer.await??;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

fn writers() -> anyhow::Result<Figure> {
    let dir = directory()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let open = ControlPlane::open(Options { dir: Some(dir.path().into()), ..Options::default() });
    let plane = runtime.block_on(open)?;
    let client = runtime.block_on(async { plane.client() });
    let turn = std::cell::Cell::new(0);
    let measure = |writers| {
        turn.set(turn.get() + 1);
        runtime.block_on(creates(&client, writers, &format!("w{}", turn.get())))
    };
    let pairs = Pairs::measure(TURNS, || measure(16), || measure(1))?;
    let (many, one) = pairs.medians();
    runtime.block_on(plane.close());
    Ok(Figure {
        what: "durable creates by 16 writers",
        measured: pairs.ratio(),
        unit: "x",
        promise: Promise::AtLeast(3.0),
        ratio: (pairs.ratio(), "one writer"),
        raw: format!("16 writers {many:.0}/s, one {one:.0}/s, each create synced to disk"),
    })
}

/// Sees `wanted` objects come, each once; returns how many came.
async fn watch(client: Client, from: String, wanted: usize) -> anyhow::Result<usize> {
    let api = Api::<ConfigMap>::namespaced(client, "default");
    let params = WatchParams::default().labels("");
    let mut events = api.watch(&params, &from).await?.boxed();
    let mut seen = BTreeSet::new();
    while seen.len() < wanted {
        let next = tokio::time::timeout(Duration::from_secs(20), events.try_next());
        match next.await {
            Ok(event) => match event?.context("the watch ended")? {
                Event::Added(map) => {
                    let name = map.metadata.name.unwrap_or_default();
                    anyhow::ensure!(seen.insert(name), "an event came twice");
                }
                WatchEvent::Error(status) => anyhow::bail!("the watch ended: {}", status.message),
                _ => {}
            },
            Err(_) => break,
        }
    }
    Ok(seen.len())
}

/// Seconds that `EVENTS` creates take with so many watchers, and how many events were lost.
async fn round(client: &Client, watchers: usize, prefix: &str) -> anyhow::Result<(f64, usize)> {
    let api = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let from = api.list(&Default::default()).await?.metadata.resource_version.unwrap_or_default();
    let all: Vec<_> =
        (0..watchers).map(|_| tokio::spawn(watch(client.clone(), from.clone(), EVENTS))).collect();
    let began = Instant::now();
    let maps = (0..EVENTS).map(|index| map(format!("{prefix}-{index}"))).collect();
    objects::create_all(&api, maps, 64).await?;
    let mut lost = 0;
    for watcher in all {
        lost += EVENTS - watcher.await??;
    }
    Ok((began.elapsed().as_secs_f64(), lost))
}

fn watchers() -> anyhow::Result<Figure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // A plane each, so that neither reads the other's past.
    let run = |watchers| {
        let dir = directory()?;
        runtime.block_on(async {
            let plane =
                ControlPlane::open(Options { dir: Some(dir.path().into()), ..Options::default() }).await?;
            let round = round(&plane.client(), watchers, "event").await?;
            plane.close().await;
            anyhow::Ok(round)
        })
    };
    let (alone, _) = run(0)?;
    let (seconds, lost) = run(WATCHERS)?;
    Ok(Figure {
        what: "10,000 events to 10 watchers, lost",
        measured: lost as f64,
        unit: "",
        promise: Promise::AtMost(0.0),
        ratio: (seconds / alone, "the time without watchers"),
        raw: format!(
            "{seconds:.2} s with 10 watchers, {alone:.2} s with none, {:.0} events/s in all",
            (EVENTS * WATCHERS) as f64 / seconds
        ),
    })
}

/// Measures.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    Ok(vec![writers()?, watchers()?])
}
