//! New services at a vendor's quota: from their creation until all of them say that they are ready.

use std::time::Instant;

use cocoasyncer::api::vocab::Line;

use super::fake::now;
use super::operator::{Calls, Operator, QUOTA};
use crate::measure::median;
use crate::report::{Figure, Promise};

const SERVICES: usize = 64;
const ROUNDS: usize = 3;
/// The account's zones, the zone's limits, one page of records.
const READS: usize = 3;

/// Seconds until all were ready, and what stood behind it.
struct Round {
    ready: f64,
    /// Until the first record was added, and until the last was marked.
    first: f64,
    last: f64,
}

async fn round() -> anyhow::Result<(Round, Calls)> {
    let operator = Operator::start(&[("n1", &[Line::Default])], 0).await?;
    let (began, at) = (Instant::now(), now());
    operator.create(0..SERVICES).await?;
    operator.until_ready(SERVICES).await?;
    let ready = began.elapsed().as_secs_f64();
    let marked = operator.fake.count("UpdateDomainRecordRemark")?;
    anyhow::ensure!(SERVICES <= marked, "all say that they are ready, and only {marked} records are whole");
    operator.until_quiet().await?;
    let writes: Vec<f64> =
        operator.fake.calls()?.iter().filter(|call| call.is_write()).map(|call| call.at - at).collect();
    let round = Round {
        ready,
        first: writes.iter().copied().fold(f64::NAN, f64::min),
        last: writes.iter().copied().fold(f64::NAN, f64::max),
    };
    Ok((round, Calls::count("64 from nothing", &operator, READS + 2 * SERVICES)?))
}

/// Measures.
pub async fn measure(scenarios: &mut Vec<Calls>) -> anyhow::Result<Vec<Figure>> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (round, calls) = round().await?;
        rounds.push(round);
        scenarios.push(calls);
    }
    let middle = |of: fn(&Round) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    let (ready, alone) = (middle(|round| round.ready), SERVICES as f64 / QUOTA);
    Ok(vec![Figure {
        what: "64 new records at 60 writes/s until Ready",
        measured: ready / alone,
        unit: "x",
        promise: Promise::AtMost(2.0),
        ratio: (ready / alone, "the quota alone"),
        raw: format!(
            "{ready:.2} s, the quota alone {alone:.2} s; first added after {:.2} s, last marked after {:.2} s",
            middle(|round| round.first),
            middle(|round| round.last)
        ),
    }])
}
