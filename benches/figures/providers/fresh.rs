//! New services at a vendor's quota: from their creation until all of them say that they are ready.

use std::time::Instant;

use cocoasyncer::api::vocab::Line;

use super::operator::{Calls, Operator, QUOTA};
use crate::measure::median;
use crate::report::{Figure, Promise};

const SERVICES: usize = 64;
const ROUNDS: usize = 3;
/// The account's zones, the zone's limits, one page of records.
const READS: usize = 3;

async fn round() -> anyhow::Result<(f64, Calls)> {
    let operator = Operator::start(&[("n1", &[Line::Default])], 0).await?;
    let began = Instant::now();
    operator.create(0..SERVICES).await?;
    operator.until_ready(SERVICES).await?;
    let took = began.elapsed().as_secs_f64();
    let marked = operator.fake.count("UpdateDomainRecordRemark")?;
    anyhow::ensure!(SERVICES <= marked, "all say that they are ready, and only {marked} records are whole");
    operator.until_quiet().await?;
    Ok((took, Calls::count("64 from nothing", &operator, READS + 2 * SERVICES)?))
}

/// Measures.
pub async fn measure(scenarios: &mut Vec<Calls>) -> anyhow::Result<Vec<Figure>> {
    let mut all = Vec::new();
    for _ in 0..ROUNDS {
        let (took, calls) = round().await?;
        all.push(took);
        scenarios.push(calls);
    }
    let (took, alone) = (median(&all), SERVICES as f64 / QUOTA);
    let each = all.iter().map(|took| format!("{took:.2}")).collect::<Vec<_>>().join(", ");
    Ok(vec![Figure {
        what: "64 new records at 60 writes/s until Ready",
        measured: took / alone,
        unit: "x",
        promise: Promise::AtMost(2.0),
        ratio: (took / alone, "the quota alone"),
        raw: format!("{each} s, the quota alone {alone:.2} s; an addition and a mark each"),
    }])
}
