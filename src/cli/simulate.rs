//! `simulate`: what DNS would look like if nodes were lost or drained. Nothing is changed.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::Ctx;
use crate::cli::error::CliError;
use crate::cli::output::{Out, Text, Tone};
use crate::cli::plan::values;
use crate::cli::preview::{Zone, preview};
use crate::cli::words::Lang;
use crate::cli::world::World;
use crate::domain::cluster::Cluster;
use crate::domain::names::FieldError;
use crate::domain::records::RecordKey;

/// Flags of `simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// A node that would be lost; can be given more than once
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    lose: Vec<String>,
    /// A node that would be drained; can be given more than once
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    drain: Vec<String>,
    /// A lost or drained node that would be back; can be given more than once
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    back: Vec<String>,
    /// Shows only what would change
    #[arg(long)]
    changed: bool,
}

/// One record, as it is and as it would be.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    line: &'static str,
    #[serde(rename = "type")]
    family: &'static str,
    now: Option<Answer>,
    then: Option<Answer>,
    changes: bool,
    /// Nobody living could answer: what stands would stay.
    stays: bool,
}

#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
struct Answer {
    node: String,
    values: String,
}

/// Shows the simulation.
pub async fn show(args: SimulateArgs, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    if args.lose.is_empty() && args.drain.is_empty() && args.back.is_empty() {
        return Err(FieldError::new("--lose", "name at least one node by --lose, --drain or --back").into());
    }
    let plane = ctx.access.plane().await?;
    let world = World::load(&plane).await?;
    let rows = rows(&world, &args)?;
    write(&rows, args.changed, ctx.out, ctx.lang)?;
    Ok(ExitCode::SUCCESS)
}

fn rows(world: &World, args: &SimulateArgs) -> Result<Vec<Row>, CliError> {
    let now = world.cluster();
    let then = changed(world, &now, args)?;
    let before = preview(world, &now);
    let after = preview(world, &then);
    let before: BTreeMap<_, &Zone> = before.zones.iter().map(|zone| (&zone.id, zone)).collect();
    let mut rows = Vec::new();
    for zone in &after.zones {
        let Some(was) = before.get(&zone.id) else { continue };
        rows.extend(zone.keys().iter().map(|key| row(was, zone, key)));
    }
    Ok(rows)
}

fn changed(world: &World, now: &Cluster, args: &SimulateArgs) -> Result<Cluster, CliError> {
    let mut then = now.clone();
    for name in args.lose.iter().chain(&args.drain).chain(&args.back) {
        world.node(name)?;
    }
    for member in then.members.values_mut() {
        let named = |list: &[String]| list.contains(&member.name);
        let (lost, drained, back) = (named(&args.lose), named(&args.drain), named(&args.back));
        member.lives = (member.lives || back) && !lost;
        member.drained = (member.drained && !back) || drained;
    }
    Ok(then)
}

fn row(was: &Zone, zone: &Zone, key: &RecordKey) -> Row {
    let answer = |zone: &Zone| {
        zone.answer(key).map(|(node, set)| Answer { node: node.to_owned(), values: values(set) })
    };
    // What nobody can answer for now is what the last report left standing.
    let left = |zone: &Zone| {
        let set = zone.found.get(key)?;
        Some(Answer { node: zone.nodes.get(key).cloned().unwrap_or_default(), values: values(&set.set) })
    };
    let now = answer(was).or_else(|| left(was));
    let then = answer(zone);
    let stays = then.is_none();
    let then = then.or_else(|| now.clone());
    Row {
        name: key.name.to_string(),
        line: key.line.as_str(),
        family: key.family.record_type(),
        changes: now != then,
        now,
        then,
        stays,
    }
}

fn write(rows: &[Row], only_changed: bool, out: &mut Out, lang: Lang) -> Result<(), CliError> {
    let shown: Vec<&Row> = rows.iter().filter(|row| row.changes || row.stays || !only_changed).collect();
    if out.value(&shown)? {
        return Ok(());
    }
    let said = |answer: &Option<Answer>| match answer {
        Some(answer) => format!("{} ({})", answer.values, answer.node),
        None => "-".to_owned(),
    };
    let cells = |row: &&Row| -> [Text; 6] {
        let (mark, tone) = match row {
            Row { stays: true, .. } => (lang.pick("nobody: stays", "无人应答:保留"), Tone::Bad),
            Row { changes: true, .. } => (lang.pick("moves", "转移"), Tone::Odd),
            _ => ("", Tone::Plain),
        };
        [
            row.name.clone().into(),
            row.line.into(),
            row.family.into(),
            said(&row.now).into(),
            Text::toned(said(&row.then), tone),
            Text::toned(mark, tone),
        ]
    };
    let head = [
        lang.pick("NAME", "名称"),
        lang.pick("LINE", "线路"),
        lang.pick("TYPE", "类型"),
        lang.pick("NOW", "现在"),
        lang.pick("THEN", "之后"),
        "",
    ];
    if !shown.is_empty() {
        out.table(head, shown.iter().map(cells).collect())?;
    }
    let moving = rows.iter().filter(|row| row.changes).count();
    let stuck = rows.iter().filter(|row| row.stays).count();
    out.line(match lang {
        Lang::En => {
            format!("{moving} of {} records would move, {stuck} would have nobody to answer", rows.len())
        }
        Lang::Zh => format!("{} 条记录中 {moving} 条会转移,{stuck} 条无人应答", rows.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixtures::{Page, world};
    use crate::cli::output::Format;

    fn args(lose: &[&str], drain: &[&str], back: &[&str]) -> SimulateArgs {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        SimulateArgs { lose: owned(lose), drain: owned(drain), back: owned(back), changed: false }
    }

    #[track_caller]
    fn check(world: &World, args: &SimulateArgs, expect: &str) {
        let page = Page::default();
        let mut out = Out::to(page.clone(), Format::Table);
        write(&rows(world, args).unwrap(), args.changed, &mut out, Lang::En).unwrap();
        assert_eq!(page.text(), expect);
    }

    #[test]
    fn losing_a_node_moves_its_lines_only() {
        check(
            &world(200, true),
            &args(&["b"], &[], &[]),
            "NAME              LINE     TYPE  NOW                     THEN
test.example.com  default  A     203.0.113.1 ttl 60 (a)  203.0.113.1 ttl 60 (a)
test.example.com  CU       A     203.0.113.2 ttl 60 (b)  203.0.113.1 ttl 60 (a)  moves
1 of 2 records would move, 0 would have nobody to answer
",
        );
        let drained = SimulateArgs { changed: true, ..args(&[], &["a"], &[]) };
        check(
            &world(200, true),
            &drained,
            "NAME              LINE     TYPE  NOW                     THEN
test.example.com  default  A     203.0.113.1 ttl 60 (a)  203.0.113.2 ttl 60 (b)  moves
1 of 2 records would move, 0 would have nobody to answer
",
        );
    }

    #[test]
    fn losing_everybody_leaves_the_last_records() {
        let all = rows(&world(200, true), &args(&["a", "b"], &[], &[])).unwrap();
        assert!(all.iter().all(|row| row.stays && !row.changes && row.now.is_some()));
    }

    #[test]
    fn a_lost_node_can_be_thought_back_and_an_unknown_one_is_refused() {
        let all = rows(&world(504, true), &args(&[], &[], &["b"])).unwrap();
        assert_eq!(all[1].then.as_ref().unwrap().node, "b");
        assert!(all[1].changes);
        let err = rows(&world(200, true), &args(&["moon"], &[], &[])).unwrap_err();
        assert_eq!(err.to_string(), "there is no CocoaNode moon: a, b");
    }
}
