//! `plan`: what would change in DNS now, what would not although it is wished for, and why.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::Ctx;
use crate::cli::error::CliError;
use crate::cli::output::{Out, Text, Tone};
use crate::cli::preview::{Preview, preview};
use crate::cli::words::Lang;
use crate::cli::world::World;
use crate::domain::dns_plan::{Change, Held};
use crate::domain::records::{Cause, RecordSet};

/// Flags of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Exit with 4 where something would change or is held
    #[arg(long)]
    detailed_exitcode: bool,
}

/// A plan for programs.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Report {
    steps: Vec<Step>,
    held: Vec<Step>,
    /// Digests of held mass changes, by zone; naming one in the annotation releases it.
    release: Vec<Release>,
    refused: Vec<Refused>,
    unchanged: usize,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Step {
    zone: String,
    action: &'static str,
    name: String,
    #[serde(rename = "type")]
    family: &'static str,
    line: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    why: String,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct Release {
    zone: String,
    /// A service whose annotation releases it, as arguments of `service release`.
    service: String,
    digest: String,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct Refused {
    service: String,
    field: String,
    why: String,
}

/// Shows the plan.
pub async fn show(args: PlanArgs, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    let plane = ctx.access.plane().await?;
    let world = World::load(&plane).await?;
    let report = report(&preview(&world, &world.cluster()), ctx.lang);
    write(&report, ctx.out, ctx.lang)?;
    let quiet = report.steps.is_empty() && report.held.is_empty() && report.refused.is_empty();
    Ok(if args.detailed_exitcode && !quiet { ExitCode::from(4) } else { ExitCode::SUCCESS })
}

fn report(preview: &Preview, lang: Lang) -> Report {
    let mut report = Report { steps: vec![], held: vec![], release: vec![], refused: vec![], unchanged: 0 };
    for zone in &preview.zones {
        let name = format!("{} ({})", zone.id.zone, zone.id.provider);
        let plan = zone.plan();
        report.unchanged += plan.unchanged;
        report.steps.extend(plan.changes.iter().map(|change| step(&name, change, lang)));
        report.held.extend(plan.held.iter().map(|held| held_step(&name, held, lang)));
        let service = plan.held.iter().find_map(Held::mass_change);
        let service =
            service.map(|change| format!("{} -n {}", change.service.name, change.service.namespace));
        let release = plan.digest.zip(service);
        report.release.extend(release.map(|(digest, service)| Release { zone: name, service, digest }));
    }
    report.refused = preview
        .refused
        .iter()
        .map(|(id, error)| Refused {
            service: id.to_string(),
            field: error.field.clone(),
            why: error.why.clone(),
        })
        .collect();
    report
}

fn step(zone: &str, change: &Change, lang: Lang) -> Step {
    let from = change.from.as_ref().map(|found| values(&found.set));
    let to = change.to.as_ref().map(values);
    let (action, why) = match (&from, &to) {
        (None, _) => ("create", lang.pick("it is not there yet", "尚不存在")),
        (Some(_), None) => ("delete", because(change.cause, lang)),
        (Some(_), Some(_)) => ("change", because(change.cause, lang)),
    };
    let key = &change.key;
    Step {
        zone: zone.to_owned(),
        action,
        name: key.name.to_string(),
        family: key.family.record_type(),
        line: key.line.as_str(),
        from,
        to,
        why: why.to_owned(),
    }
}

fn held_step(zone: &str, held: &Held, lang: Lang) -> Step {
    let (key, why) = match held {
        Held::MassChange { change } => {
            let why = lang.pick("held: one of too many changes at once; ", "暂缓:一次变更过多;");
            return Step { why: format!("{why}{}", because(change.cause, lang)), ..step(zone, change, lang) };
        }
        Held::Foreign { key, .. } => (key, lang.pick("somebody else's record", "他人的记录")),
        Held::NobodyLives { key, .. } => (
            key,
            lang.pick("nobody living can answer: the last record stays", "没有存活节点可应答:保留最后的记录"),
        ),
        Held::Paused { key, .. } => (key, lang.pick("paused at the provider", "已在服务商处暂停")),
        Held::Locked { key, .. } => (key, lang.pick("locked at the provider", "已在服务商处锁定")),
        Held::Awaited { key, .. } => (key, lang.pick("another node writes it", "由其他节点写入")),
        Held::Contended { key, .. } => (key, lang.pick("its own node goes on writing it", "原节点仍在写入")),
        Held::Orphan { key } => {
            (key, lang.pick("our mark, but no service of ours", "有我方标记但不属于任何服务"))
        }
    };
    Step {
        zone: zone.to_owned(),
        action: "keep",
        name: key.name.to_string(),
        family: key.family.record_type(),
        line: key.line.as_str(),
        from: None,
        to: None,
        why: why.to_owned(),
    }
}

/// A cause in words.
fn because(cause: Cause, lang: Lang) -> &'static str {
    match cause {
        Cause::Loss => lang.pick("its node is lost", "节点失联"),
        Cause::Return => lang.pick("its owner is back", "原节点已恢复"),
        Cause::Drain => lang.pick("drained or pinned", "维护或固定"),
        Cause::Address => lang.pick("the node has a new address", "节点地址已变"),
        Cause::Edit => lang.pick("a service or a node was edited", "服务或节点被修改"),
        Cause::Deleted => lang.pick("the service is being deleted", "服务正在删除"),
        Cause::Drift => lang.pick("somebody else changed it", "被他人改动"),
    }
}

/// Values and TTL of a record set in short.
pub fn values(set: &RecordSet) -> String {
    let values: Vec<String> = set.values.iter().map(ToString::to_string).collect();
    format!("{} ttl {}", values.join(","), set.ttl)
}

fn write(report: &Report, out: &mut Out, lang: Lang) -> Result<(), CliError> {
    if out.value(report)? {
        return Ok(());
    }
    let row = |step: &Step| -> [Text; 7] {
        let (sign, tone) = match step.action {
            "create" => ("+", Tone::Good),
            "delete" => ("-", Tone::Bad),
            "change" => ("~", Tone::Odd),
            _ => ("!", Tone::Bad),
        };
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        [
            Text::toned(sign, tone),
            step.name.clone().into(),
            step.family.into(),
            step.line.into(),
            or_none(&step.from).into(),
            or_none(&step.to).into(),
            step.why.clone().into(),
        ]
    };
    let head = [
        "",
        lang.pick("NAME", "名称"),
        lang.pick("TYPE", "类型"),
        lang.pick("LINE", "线路"),
        lang.pick("NOW", "现在"),
        lang.pick("THEN", "之后"),
        lang.pick("WHY", "原因"),
    ];
    if !report.steps.is_empty() {
        out.table(head, report.steps.iter().map(row).collect())?;
    }
    if !report.held.is_empty() {
        out.line(lang.pick("\nNot done:", "\n不执行:"))?;
        out.table(head, report.held.iter().map(row).collect())?;
    }
    for release in &report.release {
        let how = lang.pick("if that is meant", "确认无误可执行");
        let command = format!("cocoasyncer service release {} --plan {}", release.service, release.digest);
        out.line(format!("{}: {how}: {command}", release.zone))?;
    }
    for refused in &report.refused {
        let what = lang.pick("refused", "拒绝");
        out.line(format!("{what} {}: {}: {}", refused.service, refused.field, refused.why))?;
    }
    let (changes, held) = (report.steps.len(), report.held.len());
    out.line(match lang {
        Lang::En => format!("{changes} to change, {held} held, {} as they should be", report.unchanged),
        Lang::Zh => format!("{changes} 条待变更,{held} 条暂缓,{} 条无需变更", report.unchanged),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixtures::{Page, world};
    use crate::cli::output::Format;

    #[track_caller]
    fn check(world: &World, lang: Lang, expect: &str) {
        let page = Page::default();
        let mut out = Out::to(page.clone(), Format::Table);
        write(&report(&preview(world, &world.cluster()), lang), &mut out, lang).unwrap();
        assert_eq!(page.text(), expect);
    }

    #[test]
    fn a_plan_says_what_would_change_and_why() {
        check(&world(200, true), Lang::En, "0 to change, 0 held, 2 as they should be\n");
        check(
            &world(200, false),
            Lang::En,
            "   NAME              TYPE  LINE     NOW  THEN                WHY
+  test.example.com  A     default  -    203.0.113.1 ttl 60  it is not there yet
+  test.example.com  A     CU       -    203.0.113.2 ttl 60  it is not there yet
2 to change, 0 held, 0 as they should be
",
        );
        check(
            &world(504, true),
            Lang::Zh,
            "   名称              类型  线路  现在                之后                原因
~  test.example.com  A     CU    203.0.113.2 ttl 60  203.0.113.1 ttl 60  节点失联
1 条待变更,0 条暂缓,1 条无需变更
",
        );
    }

    #[test]
    fn what_is_held_and_what_is_refused_is_said() {
        let mut dead = world(504, true);
        dead.nodes[0].status.as_mut().unwrap().status_code = Some(504);
        check(
            &dead,
            Lang::En,
            "
Not done:
   NAME              TYPE  LINE     NOW  THEN  WHY
!  test.example.com  A     default  -    -     nobody living can answer: the last record stays
!  test.example.com  A     CU       -    -     nobody living can answer: the last record stays
0 to change, 2 held, 0 as they should be
",
        );
        let mut bad = world(200, true);
        bad.services[0].spec.ttl = 0;
        check(
            &bad,
            Lang::En,
            "refused default/test: spec.ttl: 0 is out of range: use 1 to 86400 seconds\n0 to change, 0 held, 0 as they should be\n",
        );
    }
}
