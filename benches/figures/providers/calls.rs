//! Calls made against calls necessary, in every scenario; and what becomes of a call whose answer never came.

use std::time::Duration;

use cocoasyncer::api::vocab::Line;
use kube::api::{Patch, PatchParams};

use super::operator::{Calls, Operator, name};
use crate::report::{Figure, Promise};

/// Services that stand there, with a record each.
const STANDING: usize = 2400;
const SERVICES: usize = 100;
/// Pages of up to 500 records.
const PAGES: usize = 5;
/// Edits come one by one, as a person's tool makes them.
const BETWEEN: Duration = Duration::from_millis(20);

/// What is done to the services, and the writes it takes.
const CREATE: &[&str] = &["AddDomainRecord", "UpdateDomainRecordRemark"];
const CHANGE: &[&str] = &["UpdateDomainRecord"];
const DELETE: &[&str] = &["DeleteDomainRecord"];

async fn create(operator: &Operator, index: usize) -> anyhow::Result<()> {
    operator.create(index..index + 1).await
}

async fn change(operator: &Operator, index: usize) -> anyhow::Result<()> {
    let patch = Patch::Merge(serde_json::json!({ "spec": { "ttl": 120 } }));
    operator.world.services().patch(&name(index), &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn delete(operator: &Operator, index: usize) -> anyhow::Result<()> {
    operator.world.delete(&name(index)).await;
    Ok(())
}

/// Counts what an edit costs. With `lost`, one answer of each kind of write never comes.
async fn cost(
    of: &'static str,
    operator: &Operator,
    writes: &[&str],
    lost: bool,
    edit: impl AsyncFn(&Operator, usize) -> anyhow::Result<()>,
) -> anyhow::Result<Calls> {
    operator.fake.forget()?;
    if lost {
        writes.iter().try_for_each(|action| operator.fake.lose(action))?;
    }
    for index in STANDING..STANDING + SERVICES {
        edit(operator, index).await?;
        tokio::time::sleep(BETWEEN).await;
    }
    for action in writes {
        operator.until_called(action, SERVICES).await?;
    }
    operator.until_quiet().await?;
    // What a lost call has done is found by a look, or by making it again.
    let again = if lost { writes.len() } else { 0 };
    Calls::count(of, operator, PAGES + SERVICES * writes.len() + again)
}

/// Records that stand there twice.
fn twice(rows: &[String]) -> usize {
    let of = |row: &String| row.rsplitn(3, ' ').last().map(str::to_owned);
    let distinct: std::collections::BTreeSet<_> = rows.iter().map(of).collect();
    rows.len() - distinct.len()
}

/// Measures; `scenarios` are those of the other figures.
pub async fn measure(mut scenarios: Vec<Calls>) -> anyhow::Result<Vec<Figure>> {
    let operator = Operator::start(&[("n1", &[Line::Default])], STANDING).await?;
    scenarios.push(cost("100 created", &operator, CREATE, false, create).await?);
    scenarios.push(cost("100 changed", &operator, CHANGE, false, change).await?);
    scenarios.push(cost("100 deleted", &operator, DELETE, false, delete).await?);
    scenarios.push(cost("created, answers lost", &operator, CREATE, true, create).await?);
    let rows = operator.fake.rows()?;
    let doubles = twice(&rows) + rows.len().abs_diff(STANDING + SERVICES);
    scenarios.push(cost("changed, answers lost", &operator, CHANGE, true, change).await?);
    scenarios.push(cost("deleted, answers lost", &operator, DELETE, true, delete).await?);
    let left = operator.fake.rows()?.len().abs_diff(STANDING);
    let ratio = scenarios.iter().map(Calls::ratio).fold(0.0, f64::max);
    let each = |calls: &Calls| format!("{} {}/{}", calls.of, calls.made, calls.necessary);
    Ok(vec![
        Figure {
            what: "calls made for each necessary one, worst scenario",
            measured: ratio,
            unit: "x",
            promise: Promise::AtMost(1.05),
            ratio: (ratio, "the necessary calls"),
            raw: scenarios.iter().map(each).collect::<Vec<_>>().join("; "),
        },
        Figure {
            what: "records twice or left over after time-outs that did the work",
            measured: (doubles + left) as f64,
            unit: "",
            promise: Promise::AtMost(0.0),
            ratio: ((doubles + left) as f64 / SERVICES as f64, "the records"),
            raw: format!("{doubles} twice or missing after 100 additions, {left} after 100 deletions"),
        },
    ])
}
