//! Death to every record changed: three real processes at default settings, one hundred names, one SIGKILL. Detection
//! is what the survivors log; the rest until the last record is their own work.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;

use crate::measure::median;
use crate::plane::directory;
use crate::report::{Figure, Promise};
use crate::sites::{Site, ask_all, question};

const ROUNDS: usize = 3;
const NAMES: usize = 100;
const LINES: [(&str, &str); 3] = [("a", "default"), ("b", "CU"), ("c", "CT")];
/// Somebody on the line of the site that dies.
const ASKER: &str = "192.0.2.64/26";
const SECRET: &str = "only-for-the-bench";

fn public(site: usize) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, [1, 2, 3][site])
}

fn manifest(sites: &[Site]) -> String {
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: bench, namespace: cocoasyncer-system}}\nstringData: {{cocoaSecret: {SECRET}}}\n"
    );
    let node = |(index, site): (usize, &Site)| {
        let (name, line) = LINES[index];
        let (mode, address) = if index == 0 {
            ("leader", format!(", addresses: {{fixed: [{}]}}", public(0)))
        } else {
            ("follower", String::new())
        };
        format!(
            "apiVersion: cocoasyncer.io/v1alpha1\nkind: CocoaNode\nmetadata: {{name: {name}}}\nspec: {{nodeName: {name}, nodeCode: {name}, nodeAddress: 'http://{}', workMode: {mode}, isps: [{line}], secretRef: {{name: bench}}{address}}}\n",
            site.api
        )
    };
    let service = |index: usize| {
        format!(
            "apiVersion: cocoasyncer.io/v1alpha1\nkind: ManagedService\nmetadata: {{name: s{index:03}}}\nspec: {{serviceName: s{index:03}, domain: example.com, record: s{index:03}}}\n"
        )
    };
    let all =
        std::iter::once(secret).chain(sites.iter().enumerate().map(node)).chain((0..NAMES).map(service));
    all.collect::<Vec<_>>().join("---\n")
}

fn sites(dir: &Path) -> anyhow::Result<Vec<Site>> {
    let table = dir.join("lines.txt");
    std::fs::write(&table, "192.0.2.0/26 CT\n192.0.2.64/26 CU\n")?;
    std::fs::write(dir.join("secret"), SECRET)?;
    let manifests = dir.join("manifests");
    std::fs::create_dir_all(&manifests)?;
    let (table, secret) = (table.display().to_string(), dir.join("secret").display().to_string());
    let folder = manifests.display().to_string();
    let mut all = Vec::new();
    for (index, (name, _)) in LINES.iter().enumerate() {
        let address = public(index).to_string();
        let mode = if index == 0 { "leader" } else { "follower" };
        let mut args = vec!["--node-code", name, "--work-mode", mode, "--public-address", &address];
        args.extend(["--line-table", &table, "--secret-file", &secret]);
        if index == 0 {
            args.extend(["--manifests", &folder]);
        }
        all.push(Site::new(&dir.join(name), name, &args)?);
    }
    std::fs::write(manifests.join("cluster.yaml"), manifest(&all))?;
    Ok(all)
}

/// Waits until a site answers every name so that `is_right`; gives the time.
fn follow(
    site: &Site,
    questions: &[Vec<u8>],
    within: Duration,
    is_right: impl Fn(Ipv4Addr) -> bool,
) -> anyhow::Result<Timestamp> {
    let deadline = Instant::now() + within;
    loop {
        let answers = ask_all(site.dns, questions, Duration::from_millis(300))?;
        if answers.iter().all(|answer| answer.is_some_and(&is_right)) {
            return Ok(Timestamp::now());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "DNS did not follow within {} s, see {}",
            within.as_secs(),
            site.log().display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// When a site says that it lost one.
fn lost_at(site: &Site) -> anyhow::Result<Timestamp> {
    let log = std::fs::read_to_string(site.log())?;
    let line = log.lines().rfind(|line| line.contains("\"node lost\"")).context("nobody was lost")?;
    let line: serde_json::Value = serde_json::from_str(line)?;
    Ok(line["timestamp"].as_str().unwrap_or_default().parse()?)
}

struct Round {
    /// Seconds from the kill to the last record at the last survivor.
    all: f64,
    /// Seconds from the kill to the last survivor's word.
    detection: f64,
    /// The longest that a survivor took from its own word to its own last record.
    own: f64,
}

fn round() -> anyhow::Result<Round> {
    let dir = directory()?;
    let mut sites = sites(dir.path())?;
    sites.iter_mut().try_for_each(Site::start)?;
    let questions = (0_u16..)
        .take(NAMES)
        .map(|index| question(&format!("s{index:03}.example.com"), ASKER, index))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for site in &sites {
        follow(site, &questions, Duration::from_secs(60), |address| address == public(1))?;
    }
    // Statuses and first pushes are not part of a death.
    std::thread::sleep(Duration::from_secs(3));
    let killed = Timestamp::now();
    sites[1].kill()?;
    let survivors = [&sites[0], &sites[2]];
    let changed = std::thread::scope(|scope| {
        let look = |site| {
            let questions = &questions;
            scope.spawn(move || {
                follow(site, questions, Duration::from_secs(30), |address| address != public(1))
            })
        };
        let all = survivors.map(look);
        all.map(|one| one.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked"))))
    });
    let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
    let mut round = Round { all: 0.0, detection: 0.0, own: 0.0 };
    for (site, changed) in survivors.into_iter().zip(changed) {
        let (changed, lost) = (changed?, lost_at(site)?);
        round.all = round.all.max(seconds(killed, changed));
        round.detection = round.detection.max(seconds(killed, lost));
        round.own = round.own.max(seconds(lost, changed));
    }
    Ok(round)
}

/// Measures.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    let rounds = (0..ROUNDS).map(|_| round()).collect::<anyhow::Result<Vec<_>>>()?;
    let middle = |of: fn(&Round) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    let (all, detection, own) = (middle(|r| r.all), middle(|r| r.detection), middle(|r| r.own));
    let each = |of: fn(&Round) -> f64| {
        rounds.iter().map(|round| format!("{:.2}", of(round))).collect::<Vec<_>>().join(", ")
    };
    Ok(vec![
        Figure {
            what: "death to the last of 100 records, 3 sites",
            measured: all,
            unit: " s",
            promise: Promise::AtMost(10.0),
            ratio: (all / detection, "detection"),
            raw: format!("{} s; detected after {} s", each(|r| r.all), each(|r| r.detection)),
        },
        Figure {
            what: "own work from detection to the last record",
            measured: own,
            unit: " s",
            promise: Promise::AtMost(0.5),
            ratio: (own / detection, "detection"),
            raw: format!("{} s", each(|r| r.own)),
        },
    ])
}
