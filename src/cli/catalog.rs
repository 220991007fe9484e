//! `catalog`: which templates there are, and on which backend each would run. It reads files and asks nobody.

pub mod offered;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::Ctx;
use crate::cli::catalog::offered::{Folders, Offered};
use crate::cli::error::CliError;
use crate::cli::output::{Out, Text, Tone};
use crate::cli::words::Lang;
use crate::domain::app::finding::{Effect, Finding, Right};
use crate::domain::app::verdict::{Backend, Verdict, verdict};

/// Commands on catalogues of application templates.
#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// List the applications with their versions, what they need and where they come from
    ///
    /// Of two templates with one name the one of the later folder holds; the other is listed as replaced.
    List(Folders),
    /// Check every template: on which backend it runs, and what stands in the way
    ///
    /// A template either runs, runs with findings to read first, or can't run, for each backend. What asks for a right
    /// over the host can't run unless --allow gives it. The exit code is 1 where some template runs on neither backend.
    Check(CheckArgs),
}

/// Flags of `catalog check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    from: Folders,
    /// Show every finding with its place, notes included
    #[arg(long)]
    detailed: bool,
    /// Show only templates that can't run on some backend
    #[arg(long)]
    failing: bool,
    /// Take these rights over the host as given, e.g. docker-socket,host-path
    #[arg(long, value_name = "RIGHT", value_delimiter = ',', value_parser = right)]
    allow: Vec<Right>,
}

fn right(text: &str) -> Result<Right, String> {
    let known = || Right::ALL.map(Right::as_str).join(", ");
    Right::parse(text).ok_or_else(|| format!("not a right: use {}", known()))
}

/// What a check answers, for programs.
#[derive(Debug, Serialize)]
struct Report {
    templates: Vec<Row>,
    docker: Sum,
    kubernetes: Sum,
}

/// How many templates have which verdict.
#[derive(Debug, Default, Serialize)]
struct Sum {
    runs: usize,
    findings: usize,
    cannot: usize,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    #[serde(flatten)]
    source: Source,
    docker: Answer,
    kubernetes: Answer,
    services: Vec<ServiceRow>,
    findings: Vec<FindingRow>,
}

/// The verdict on one backend, and the codes of the findings that made it.
#[derive(Debug, Serialize)]
struct Answer {
    verdict: &'static str,
    because: BTreeSet<&'static str>,
}

#[derive(Debug, Serialize)]
struct ServiceRow {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
}

#[derive(Debug, Serialize)]
struct FindingRow {
    code: &'static str,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    docker: String,
    kubernetes: String,
    what: String,
    #[serde(skip)]
    place: String,
}

/// Where a template comes from, and whether it holds.
#[derive(Debug, Serialize)]
struct Source {
    /// Its source.
    from: String,
    official: bool,
    /// The source of the one of the same name that holds instead.
    #[serde(rename = "replacedBy", skip_serializing_if = "Option::is_none")]
    replaced_by: Option<String>,
}

impl Source {
    fn of(offered: &Offered) -> Self {
        let replaced_by = offered.replaced_by.as_ref().map(|by| by.origin.to_string());
        Self { from: offered.offer.origin.to_string(), official: offered.offer.official, replaced_by }
    }

    fn state(&self, lang: Lang) -> Text {
        match (&self.replaced_by, self.official) {
            (Some(by), _) => {
                Text::toned(format!("{} {by}", lang.pick("replaced by", "已被替换:")), Tone::Odd)
            }
            (None, true) => lang.pick("official", "官方").into(),
            (None, false) => "-".into(),
        }
    }
}

/// One application of a listing.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    #[serde(flatten)]
    source: Source,
    title: String,
    versions: Vec<String>,
    /// Cores.
    cpu: f64,
    /// GiB.
    memory: f64,
    /// GiB.
    disk: f64,
}

/// Runs a command.
pub fn run(command: CatalogCommand, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    match command {
        CatalogCommand::List(from) => list(&from.read()?, ctx),
        CatalogCommand::Check(args) => {
            let templates = args.from.read()?;
            let allowed: BTreeSet<Right> = args.allow.into_iter().collect();
            let nowhere = |offered: &Offered| {
                let findings = &offered.offer.checked.findings;
                let fails = |backend| verdict(findings, backend, &allowed) == Verdict::Cannot;
                fails(Backend::Docker) && fails(Backend::Kubernetes)
            };
            let code = if templates.iter().any(nowhere) { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            let mut report = report(&templates, &allowed, ctx.lang);
            if args.failing {
                report
                    .templates
                    .retain(|row| [&row.docker, &row.kubernetes].iter().any(|on| on.verdict == "cannot"));
            }
            write(&report, args.detailed, ctx.out, ctx.lang)?;
            Ok(code)
        }
    }
}

fn list(templates: &[Offered], ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    let listed = |offered: &Offered| {
        let (checked, source) = (&offered.offer.checked, Source::of(offered));
        let metadata = checked.metadata.clone().unwrap_or_default();
        let title = if metadata.title.is_empty() { checked.name.clone() } else { metadata.title };
        let needs = metadata.needs;
        let (cpu, memory, disk) = (needs.cpu, needs.memory, needs.disk);
        Listed { name: checked.name.clone(), source, title, versions: metadata.versions, cpu, memory, disk }
    };
    let rows: Vec<Listed> = templates.iter().map(listed).collect();
    if ctx.out.value(&rows)? {
        return Ok(ExitCode::SUCCESS);
    }
    let lang = ctx.lang;
    let head = [
        lang.pick("APP", "应用"),
        lang.pick("TITLE", "名称"),
        lang.pick("VERSIONS", "版本"),
        lang.pick("CPU", "CPU"),
        lang.pick("MEMORY", "内存"),
        lang.pick("DISK", "磁盘"),
        lang.pick("FROM", "来源"),
        lang.pick("STATE", "状态"),
    ];
    let row = |row: Listed| -> [Text; 8] {
        let gib = |number: f64| format!("{number} GiB").into();
        [
            row.name.into(),
            row.title.into(),
            row.versions.join(", ").into(),
            row.cpu.to_string().into(),
            gib(row.memory),
            gib(row.disk),
            row.source.from.clone().into(),
            row.source.state(lang),
        ]
    };
    ctx.out.table(head, rows.into_iter().map(row).collect())?;
    Ok(ExitCode::SUCCESS)
}

fn report(templates: &[Offered], allowed: &BTreeSet<Right>, lang: Lang) -> Report {
    let sum = |backend| {
        let mut sum = Sum::default();
        for offered in templates {
            match verdict(&offered.offer.checked.findings, backend, allowed) {
                Verdict::Runs => sum.runs += 1,
                Verdict::Findings => sum.findings += 1,
                Verdict::Cannot => sum.cannot += 1,
            }
        }
        sum
    };
    let row = |offered: &Offered| {
        let checked = &offered.offer.checked;
        let services = checked.workload.iter().flat_map(|workload| &workload.services);
        Row {
            name: checked.name.clone(),
            source: Source::of(offered),
            docker: answer(&checked.findings, Backend::Docker, allowed),
            kubernetes: answer(&checked.findings, Backend::Kubernetes, allowed),
            services: services
                .map(|service| ServiceRow { name: service.name.clone(), image: service.image.clone() })
                .collect(),
            findings: checked.findings.iter().map(|finding| finding_row(finding, lang)).collect(),
        }
    };
    Report {
        templates: templates.iter().map(row).collect(),
        docker: sum(Backend::Docker),
        kubernetes: sum(Backend::Kubernetes),
    }
}

fn answer(findings: &[Finding], backend: Backend, allowed: &BTreeSet<Right>) -> Answer {
    let whole = verdict(findings, backend, allowed);
    let made_it = |finding: &&Finding| whole != Verdict::Runs && finding.verdict(backend, allowed) == whole;
    let because = findings.iter().filter(made_it).map(|finding| finding.code.as_str()).collect();
    Answer { verdict: whole.as_str(), because }
}

fn finding_row(finding: &Finding, lang: Lang) -> FindingRow {
    let effect = |effect| match effect {
        Effect::Fine => "fine".to_owned(),
        Effect::Note => "note".to_owned(),
        Effect::Odd => "finding".to_owned(),
        Effect::Needs(right) => format!("needs {}", right.as_str()),
        Effect::Cannot => "cannot".to_owned(),
    };
    let (en, zh) = finding.words();
    FindingRow {
        code: finding.code.as_str(),
        file: finding.place.file.clone(),
        line: finding.place.line,
        service: finding.place.service.clone(),
        key: finding.place.key.clone(),
        docker: effect(finding.docker),
        kubernetes: effect(finding.kubernetes),
        what: lang.pick(&en, &zh).to_owned(),
        place: finding.place.to_string(),
    }
}

fn write(report: &Report, detailed: bool, out: &mut Out, lang: Lang) -> Result<(), CliError> {
    if out.value(report)? {
        return Ok(());
    }
    let head = [lang.pick("APP", "应用"), "DOCKER", "KUBERNETES", lang.pick("BECAUSE", "原因")];
    let several = report.templates.iter().any(|row| row.source.replaced_by.is_some());
    if several {
        let head =
            [head[0], head[1], head[2], head[3], lang.pick("FROM", "来源"), lang.pick("STATE", "状态")];
        let row = |row: &Row| -> [Text; 6] {
            let [name, docker, kubernetes, because] = summary(row, lang);
            [name, docker, kubernetes, because, row.source.from.clone().into(), row.source.state(lang)]
        };
        out.table(head, report.templates.iter().map(row).collect())?;
    } else if !report.templates.is_empty() {
        out.table(head, report.templates.iter().map(|row| summary(row, lang)).collect())?;
    }
    for row in report.templates.iter().filter(|row| detailed && !row.findings.is_empty()) {
        out.line(format!("\n{}:", row.name))?;
        let line = |found: &FindingRow| -> [Text; 4] {
            let worst = [&found.docker, &found.kubernetes];
            let tone = match worst {
                _ if worst.iter().any(|effect| *effect == "cannot" || effect.starts_with("needs")) => {
                    Tone::Bad
                }
                _ if worst.iter().any(|effect| *effect == "finding") => Tone::Odd,
                _ => Tone::Plain,
            };
            let both = if found.docker == found.kubernetes {
                found.docker.clone()
            } else {
                format!("docker {}, kubernetes {}", found.docker, found.kubernetes)
            };
            [
                found.place.clone().into(),
                Text::toned(found.code, tone),
                both.into(),
                found.what.clone().into(),
            ]
        };
        out.table([""; 4], row.findings.iter().map(line).collect())?;
    }
    for (name, sum) in BTreeMap::from([("Docker", &report.docker), ("Kubernetes", &report.kubernetes)]) {
        out.line(match lang {
            Lang::En => {
                format!("{name}: {} run, {} with findings, {} can't run", sum.runs, sum.findings, sum.cannot)
            }
            Lang::Zh => {
                format!("{name}:{} 个可运行,{} 个有提示,{} 个不可运行", sum.runs, sum.findings, sum.cannot)
            }
        })?;
    }
    Ok(())
}

fn summary(row: &Row, lang: Lang) -> [Text; 4] {
    let word = |answer: &Answer| match answer.verdict {
        "runs" => Text::toned(lang.pick("runs", "可运行"), Tone::Good),
        "findings" => Text::toned(lang.pick("runs with findings", "可运行,有提示"), Tone::Odd),
        _ => Text::toned(lang.pick("can't", "不可运行"), Tone::Bad),
    };
    let because: BTreeSet<&str> = row.docker.because.iter().chain(&row.kubernetes.because).copied().collect();
    let because = because.into_iter().collect::<Vec<_>>().join(", ");
    let because = if because.is_empty() { "-".to_owned() } else { because };
    [row.name.clone().into(), word(&row.docker), word(&row.kubernetes), because.into()]
}

#[cfg(test)]
mod tests;
