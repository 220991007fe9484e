//! A hundred installed applications, a container each, when nothing happens: what our process takes of the processor and
//! of memory, and what it asks the engine, which a proxy counts.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};

use super::engine::{Calls, Engine, counting, tool};
use super::install::template;
use super::operator::Operator;
use crate::measure::until;
use crate::plane::directory;
use crate::report::{Figure, Promise};

const APPS: usize = 100;
/// What counts of the rest.
const COUNTED: Duration = Duration::from_secs(60);
/// So long nothing is asked before it counts as rest.
const CALM: Duration = Duration::from_secs(15);
/// Between two looks at an application that rests, in seconds; what a look costs is divided by it.
const RESYNC: f64 = cocoasyncer::controllers::app::worker::RESYNC.as_secs() as f64;
/// A server that ends when it is told to.
const COMPOSE: &str = "services:\n  web:\n    image: $W9_REPO:$W9_VERSION\n    container_name: $W9_ID\n    \
    restart: unless-stopped\n    stop_signal: SIGKILL\n    command: [httpd, '-f', '-p', '80', '-h', /etc]\n\
networks:\n  default:\n    name: $W9_NETWORK\n    external: true\n";
const ENV: &str = "W9_REPO=cocoasyncer-test/tiny\nW9_DIST=community\nW9_VERSION=1\nW9_ID=resting\nW9_NETWORK=websoft9\n\
W9_HTTP_PORT=80\n";

fn name(index: usize) -> String {
    format!("resting{index:03}")
}

/// What was measured of a process at rest.
#[derive(Debug, Default)]
struct Rest {
    /// Seconds of a core from its start until the rest.
    start: f64,
    /// Calls of the engine until then.
    asked: BTreeMap<String, u64>,
    /// Seconds of a core in the rest.
    cpu: f64,
    /// Calls of the engine in the rest.
    calls: u64,
    /// The highest resident memory in the rest, in MiB.
    memory: f64,
}

/// Waits until nothing has been asked for a while, and measures.
async fn rest(operator: &mut Operator, calls: &Calls) -> anyhow::Result<Rest> {
    let before = calls.sum();
    let (mut seen, mut since) = (before, Instant::now());
    let deadline = since + Duration::from_secs(120);
    while since.elapsed() < CALM {
        anyhow::ensure!(Instant::now() < deadline, "it asks the engine without an end: {:?}", calls.all());
        sleep(Duration::from_millis(250)).await;
        if calls.sum() != seen {
            (seen, since) = (calls.sum(), Instant::now());
        }
    }
    let mut rest = Rest { start: operator.site.cpu()?, asked: calls.all(), ..Rest::default() };
    let began = Instant::now();
    while began.elapsed() < COUNTED {
        sleep(Duration::from_secs(1)).await;
        operator.site.must_run()?;
        rest.memory = operator.site.memory()?.0.max(rest.memory);
    }
    rest.cpu = operator.site.cpu()? - rest.start;
    rest.calls = calls.sum() - seen;
    Ok(rest)
}

async fn all_run(operator: &Operator) -> anyhow::Result<()> {
    until("all applications run", Duration::from_secs(900), Duration::from_secs(1), || async {
        let list = operator.list().await.ok()?;
        let running = list.iter().filter(|app| app["status"] == "running").count();
        (running == APPS).then_some(())
    })
    .await
}

/// The process with applications, as it was left by their installs and as it is after a restart.
async fn full(operator: &mut Operator, calls: &Calls) -> anyhow::Result<(Rest, Rest, BTreeMap<String, u64>)> {
    for index in 0..APPS {
        operator.install("resting", &name(index), "1").await?;
    }
    all_run(operator).await?;
    let installed = rest(operator, calls).await?;
    operator.site.stop()?;
    let before = calls.all();
    operator.again().await?;
    all_run(operator).await?;
    let started = rest(operator, calls).await?;
    Ok((installed, started, before))
}

/// Measures.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    let runtime = Runtime::new()?;
    // A folder with a short path and on a disk.
    let engine = Engine::start(std::path::Path::new("/var/tmp"))?;
    tool("images.sh", &["tiny"], Some(&engine.host()))?;
    let dir = directory()?;
    let catalog = dir.path().join("catalog");
    template(&catalog, "resting", "1", COMPOSE, ENV)?;
    let catalog = catalog.to_string_lossy().into_owned();
    let args = ["--catalog", catalog.as_str(), "--app-installs-at-once", "4"];
    let short = tempfile::tempdir()?;
    let measured = runtime.block_on(async {
        let (socket, calls) = counting(&engine.host(), short.path())?;
        let socket = socket.to_string_lossy().into_owned();
        let mut operator = Operator::start(&dir.path().join("idle"), &socket, &args).await?;
        let idle = rest(&mut operator, &calls).await?;
        operator.site.stop()?;
        let mut operator = Operator::start(&dir.path().join("full"), &socket, &args).await?;
        let full = full(&mut operator, &calls).await?;
        anyhow::Ok((idle, full))
    });
    let (idle, (installed, started, before)) = measured?;
    Ok(figures(&idle, &installed, &started, &before))
}

fn figures(idle: &Rest, installed: &Rest, started: &Rest, before: &BTreeMap<String, u64>) -> Vec<Figure> {
    // A start looks at every application once and more, so this is no less than what a look costs.
    let look = (started.start - idle.start).max(0.0);
    let counted = COUNTED.as_secs_f64();
    let share = (started.cpu.max(installed.cpu) / counted + look / RESYNC) * 100.0;
    let idle_share = idle.cpu / counted * 100.0;
    let asked = started.asked.iter().map(|(what, now)| (what, now - before.get(what).unwrap_or(&0)));
    let asked: Vec<String> =
        asked.filter(|(_, calls)| *calls != 0).map(|(what, calls)| format!("{calls} {what}")).collect();
    let calls = started.calls.max(installed.calls) as f64;
    let memory = started.memory.max(installed.memory);
    vec![
        Figure {
            what: "of a core for 100 applications at rest",
            measured: share,
            unit: " %",
            promise: Promise::AtMost(1.0),
            ratio: (share / idle_share.max(0.01), "an idle operator's share"),
            raw: format!(
                "in {counted} s {:.2} s after the installs, {:.2} s after a restart, idle {:.2} s; a look at all of \
                them every {RESYNC} s takes at most {look:.2} s",
                installed.cpu, started.cpu, idle.cpu
            ),
        },
        Figure {
            what: "calls of the engine in a minute for 100 applications at rest",
            measured: calls,
            unit: "",
            promise: Promise::AtMost(1.0),
            ratio: (calls / APPS as f64, "their number"),
            raw: format!("idle {}; a start asked {}", idle.calls, asked.join(", ")),
        },
        Figure {
            what: "memory of 100 applications at rest, above an idle operator",
            measured: memory - idle.memory,
            unit: " MiB",
            promise: Promise::AtMost(40.0),
            ratio: (memory / idle.memory, "an idle operator's memory"),
            raw: format!(
                "after the installs {:.1} MiB, after a restart {:.1}, idle {:.1}",
                installed.memory, started.memory, idle.memory
            ),
        },
    ]
}
