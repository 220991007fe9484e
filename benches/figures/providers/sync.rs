//! A zone of 12,000 records in which everything is as it should be: what a look at it costs.

use std::time::Duration;

use anyhow::Context as _;
use cocoasyncer::api::vocab::Line;
use cocoasyncer::api::{ACCESS_KEY, ACCESS_SECRET, ADOPT_ANNOTATION};
use cocoasyncer::domain::marks::OwnerId;
use cocoasyncer::domain::names::DnsName;
use cocoasyncer::domain::secret::Secret;
use cocoasyncer::providers::DnsProvider;
use cocoasyncer::providers::ali::AliProvider;
use cocoasyncer::providers::ali::account::Account;

use super::fake::{KEY, ZONE};
use super::operator::{Calls, Operator};
use crate::measure::median;
use crate::report::{Figure, Promise};
use crate::support::OWNER;

const SERVICES: usize = 2000;
const PAGES: usize = 24;
const ROUNDS: usize = 3;
const LIST: &str = "DescribeDomainRecords";
/// After the last page all is done within this: planning, reporting, and what else the product does meanwhile.
const AFTER: Duration = Duration::from_millis(1500);

/// Seconds of CPU that this process has used, all threads, in the kernel too.
fn cpu() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("no end of the name")?;
    let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    // The kernel tells times in hundredths of a second to programs, whatever its own clock.
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// Seconds of CPU that reading the pages alone takes.
async fn listing(operator: &Operator) -> anyhow::Result<f64> {
    let data = [(ACCESS_KEY, KEY.0), (ACCESS_SECRET, KEY.1), ("endpoint", &operator.fake.endpoint)];
    let data = data.map(|(name, value)| (name.to_owned(), Secret::new(value)));
    let owner = OwnerId::parse(OWNER, "")?;
    let provider = AliProvider::new(Account::parse(&data.into())?, owner, Default::default())?;
    let zone = DnsName::parse(ZONE, "")?;
    provider.list(&zone).await?;
    let before = cpu()?;
    anyhow::ensure!(provider.list(&zone).await?.found.len() == SERVICES * 6, "not all records are listed");
    Ok(cpu()? - before)
}

/// A look, with nothing to do; what triggers it is an edit of one service, which is counted too.
async fn look(operator: &Operator, round: usize) -> anyhow::Result<(f64, Calls)> {
    operator.fake.forget()?;
    let before = cpu()?;
    let adopt = if round.is_multiple_of(2) { "true" } else { "false" };
    operator.world.annotate("s0000", ADOPT_ANNOTATION, adopt).await;
    operator.until_called(LIST, PAGES).await?;
    tokio::time::sleep(AFTER).await;
    let used = cpu()? - before;
    Ok((used, Calls::count("a look at 12,000", operator, PAGES)?))
}

/// Measures.
pub async fn measure(scenarios: &mut Vec<Calls>) -> anyhow::Result<Vec<Figure>> {
    let lines = Line::ALL.map(|line| [line]);
    let names = ["n1", "n2", "n3", "n4", "n5", "n6"];
    let sites: Vec<(&str, &[Line])> = names.into_iter().zip(lines.iter().map(|line| &line[..])).collect();
    let operator = Operator::start(&sites, SERVICES).await?;
    let (mut used, mut alone) = (Vec::new(), Vec::new());
    let mut worst: Option<Calls> = None;
    for round in 0..ROUNDS {
        let (seconds, calls) = look(&operator, round).await?;
        used.push(seconds);
        alone.push(listing(&operator).await?);
        worst = worst.filter(|worst| calls.made <= worst.made).or(Some(calls));
    }
    let calls = worst.context("no round")?;
    let (used, alone, made) = (median(&used), median(&alone), calls.made);
    scenarios.push(calls);
    Ok(vec![
        Figure {
            what: "calls of a no-op sync of 12,000 records at Ali",
            measured: made as f64,
            unit: "",
            promise: Promise::AtMost(PAGES as f64),
            ratio: (made as f64 / PAGES as f64, "its pages"),
            raw: format!("{made} calls of any kind, {PAGES} pages of 500, the most of {ROUNDS} rounds"),
        },
        Figure {
            what: "CPU of a no-op sync of 12,000 records at Ali",
            measured: used,
            unit: " s",
            promise: Promise::AtMost(1.0),
            ratio: (used / alone, "reading the pages alone"),
            raw: format!("{used:.2} s for all loops and the plane, {alone:.2} s for the pages alone"),
        },
    ])
}
