//! A site with 1,000 records dies: when the first of them has moved, when the last, and in which order.

use cocoasyncer::api::vocab::Line;

use super::fake::now;
use super::operator::{Calls, Operator, QUOTA, code};
use crate::report::{Figure, Promise};

const SERVICES: usize = 500;
const RECORDS: usize = 2 * SERVICES;
const MOVE: &str = "UpdateDomainRecord";

/// Measures.
pub async fn measure(scenarios: &mut Vec<Calls>) -> anyhow::Result<Vec<Figure>> {
    let sites: [(&str, &[Line]); 2] = [("n1", &[Line::CU]), ("n2", &[Line::Default, Line::CT])];
    let operator = Operator::start(&sites, SERVICES).await?;
    let decided = now();
    operator.world.lose("n2");
    operator.until_called(MOVE, RECORDS).await?;
    operator.until_quiet().await?;
    let moves: Vec<_> = operator.fake.calls()?.into_iter().filter(|call| call.action == MOVE).collect();
    let refused = moves.iter().filter(|call| call.refused).count();
    let after = |at: Option<f64>| at.map_or(f64::NAN, |at| at - decided);
    let first = after(moves.iter().map(|call| call.at).min_by(f64::total_cmp));
    let last = after(moves.iter().map(|call| call.at).max_by(f64::total_cmp));
    let is_default = |line: &str| line == code(Line::Default);
    let others_begin = moves.iter().position(|call| !is_default(&call.line)).unwrap_or(moves.len());
    let late = moves.iter().skip(others_begin).filter(|call| is_default(&call.line)).count();
    scenarios.push(Calls::count("a death of 1,000", &operator, RECORDS)?);
    let alone = RECORDS as f64 / QUOTA;
    Ok(vec![
        Figure {
            what: "first of 1,000 records moved after the decision",
            measured: first,
            unit: " s",
            promise: Promise::AtMost(1.0),
            ratio: (first * QUOTA, "one call's share of the quota"),
            raw: format!("{first:.3} s"),
        },
        Figure {
            what: "all 1,000 records moved",
            measured: last / alone,
            unit: "x",
            promise: Promise::AtMost(1.2),
            ratio: (last / alone, "the quota alone"),
            raw: format!("{last:.2} s, the quota alone {alone:.2} s; {refused} calls refused"),
        },
        Figure {
            what: "lines default that moved after another line",
            measured: late as f64,
            unit: "",
            promise: Promise::AtMost(0.0),
            ratio: (late as f64 / SERVICES as f64, "all lines default"),
            raw: format!("{others_begin} calls before the first of another line"),
        },
    ])
}
