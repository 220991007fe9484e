//! `resolve NAME`: what the DNS server really answers, line by line. It asks on behalf of a sample prefix of each line
//! (EDNS client subnet), taken from line tables, and shows what came back; it computes no answer itself.

pub mod samples;
pub mod server;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use futures::future::join_all;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde::Serialize;

use crate::api::LINE_TABLE_LABEL;
use crate::api::vocab::{Family, Line};
use crate::cli::Ctx;
use crate::cli::error::CliError;
use crate::cli::output::{Out, Text, Tone};
use crate::cli::resolve::samples::{Sample, samples};
use crate::cli::resolve::server::server;
use crate::cli::words::Lang;
use crate::dns::ask::{Reply, ask};
use crate::domain::names::{DnsName, FieldError};

/// How long one answer is waited for.
const DEADLINE: Duration = Duration::from_secs(3);

/// Flags of `resolve`.
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// The name to ask for
    name: String,
    /// Asks from this line only; several by commas
    #[arg(long, value_name = "LINE", value_delimiter = ',', conflicts_with = "subnet")]
    line: Vec<String>,
    /// Asks on behalf of this network instead of lines' samples; several by commas
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    subnet: Vec<String>,
    /// The server to ask; left out: 127.0.0.1:1053, or with `kubectl cocoa` the one behind the cluster's DNS Service
    #[arg(long, value_name = "ADDR[:PORT]", env = "COCOASYNCER_SERVER")]
    server: Option<String>,
    /// Line table to take each line's sample from; left out: those in the control plane
    #[arg(long = "line-table", value_name = "FILE", value_delimiter = ',', env = "COCOASYNCER_LINE_TABLE")]
    line_tables: Vec<PathBuf>,
    /// Record type to ask for, A or AAAA; left out: both
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
}

/// One question and what came back.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Row {
    line: Option<&'static str>,
    subnet: Option<String>,
    #[serde(rename = "type")]
    family: &'static str,
    values: Vec<String>,
    ttl: Option<u32>,
    rcode: String,
    authoritative: bool,
    millis: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Asks and shows.
pub async fn show(args: ResolveArgs, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    let name = DnsName::parse(&args.name, "NAME")?;
    let server = server(args.server.as_deref(), ctx).await?;
    let families = families(args.kind.as_deref())?;
    let asked = match args.subnet.is_empty() {
        false => subnets(&args.subnet)?,
        true => lines(&args, ctx).await?,
    };
    let questions = asked.iter().flat_map(|sample| families.iter().map(move |family| (sample, *family)));
    let rows: Vec<Row> =
        join_all(questions.map(|(sample, family)| question(server, &name, sample, family))).await;
    // One row with an answer is enough to know that a family plays a part; with none, the first shows why.
    let rows = worth_showing(rows, args.kind.is_some());
    let silent = rows.iter().all(|row| row.error.is_some());
    write(&rows, ctx.out, ctx.lang)?;
    if args.subnet.is_empty() && asked.iter().all(|sample| sample.line == Some(Line::Default)) {
        ctx.out.note(ctx.lang.pick(
            "no line table was found, so only the line default was asked: name one by --line-table",
            "未找到线路表，因此只查询了 default 线路：请用 --line-table 指定",
        ))?;
    }
    match rows.first().and_then(|row| row.error.clone()).filter(|_| silent) {
        Some(error) => Err(CliError::failed(format!("{server}: {error}"))),
        None if rows.iter().all(|row| row.values.is_empty()) => Ok(ExitCode::from(3)),
        None => Ok(ExitCode::SUCCESS),
    }
}

async fn question(server: SocketAddr, name: &DnsName, sample: &Sample, family: Family) -> Row {
    let kind = family.record_type();
    let row = Row {
        line: sample.line.map(Line::as_str),
        subnet: sample.subnet.map(|subnet| subnet.to_string()),
        family: kind,
        values: Vec::new(),
        ttl: None,
        rcode: String::new(),
        authoritative: false,
        millis: 0,
        error: None,
    };
    match ask(server, name.as_str(), kind, sample.subnet, DEADLINE).await {
        Ok(reply) => answered(row, &reply),
        Err(error) => Row { error: Some(format!("{:#}", anyhow::Error::from(error))), ..row },
    }
}

fn answered(row: Row, reply: &Reply) -> Row {
    Row {
        values: reply.values(row.family),
        ttl: reply.answers.iter().find(|found| found.kind == row.family).map(|found| found.ttl),
        rcode: reply.rcode.clone(),
        authoritative: reply.authoritative,
        millis: u64::try_from(reply.took.as_millis()).unwrap_or(u64::MAX),
        ..row
    }
}

/// Leaves a family out that no line has an answer of, unless it was asked for or nothing would be left.
fn worth_showing(rows: Vec<Row>, all: bool) -> Vec<Row> {
    let answered = |family: &str| rows.iter().any(|row| row.family == family && !row.values.is_empty());
    let any = Family::ALL.into_iter().any(|family| answered(family.record_type()));
    let keep: Vec<&str> = Family::ALL
        .into_iter()
        .map(Family::record_type)
        .filter(|family| if any { answered(family) } else { *family == Family::V4.record_type() })
        .collect();
    rows.into_iter().filter(|row| all || keep.contains(&row.family)).collect()
}

fn write(rows: &[Row], out: &mut Out, lang: Lang) -> Result<(), CliError> {
    if out.value(&rows)? {
        return Ok(());
    }
    let cells = rows.iter().map(|row| {
        let (answer, tone) = match (&row.error, row.rcode.as_str(), row.values.is_empty()) {
            (Some(error), _, _) => (error.clone(), Tone::Bad),
            (None, "NOERROR", true) => (lang.pick("no record", "无记录").to_owned(), Tone::Odd),
            (None, "NOERROR", false) => (row.values.join(","), Tone::Plain),
            (None, rcode, _) => (rcode.to_owned(), Tone::Bad),
        };
        [
            row.line.unwrap_or("-").into(),
            row.subnet.clone().unwrap_or_else(|| "-".to_owned()).into(),
            row.family.into(),
            Text::toned(answer, tone),
            row.ttl.map(|ttl| ttl.to_string()).unwrap_or_default().into(),
            format!("{} ms", row.millis).into(),
        ]
    });
    let head = [
        lang.pick("LINE", "线路"),
        lang.pick("ASKED FROM", "来源网段"),
        lang.pick("TYPE", "类型"),
        lang.pick("ANSWER", "应答"),
        "TTL",
        lang.pick("TIME", "用时"),
    ];
    out.table(head, cells.collect())
}

fn families(kind: Option<&str>) -> Result<Vec<Family>, FieldError> {
    match kind.map(str::to_ascii_uppercase).as_deref() {
        None => Ok(Family::ALL.into()),
        Some("A") => Ok(vec![Family::V4]),
        Some("AAAA") => Ok(vec![Family::V6]),
        Some(other) => Err(FieldError::new("--type", format!("{other:?} is none of A, AAAA"))),
    }
}

fn subnets(texts: &[String]) -> Result<Vec<Sample>, FieldError> {
    let read = |text: &String| {
        let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let subnet = parsed.ok_or_else(|| {
            FieldError::new("--subnet", format!("{text:?} is not a CIDR: write e.g. 192.0.2.0/24"))
        })?;
        Ok(Sample { line: None, subnet: Some(subnet) })
    };
    texts.iter().map(read).collect()
}

/// A sample of each line that was asked for; `default` is whoever no prefix covers.
async fn lines(args: &ResolveArgs, ctx: &Ctx<'_>) -> Result<Vec<Sample>, CliError> {
    let wanted = match args.line.is_empty() {
        true => Line::ALL.to_vec(),
        false => crate::config::checks::lines("--line", &args.line)?,
    };
    let sources = sources(args, ctx).await?;
    let texts: Vec<(&str, &str)> =
        sources.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let all = samples(&texts)?;
    let mut found = Vec::new();
    for line in wanted {
        match all.iter().find(|sample| sample.line == Some(line)) {
            Some(sample) => found.push(sample.clone()),
            None if args.line.is_empty() => {}
            None => {
                let why = format!(
                    "no line table has a prefix of {line}: name one by --line-table, or ask by --subnet"
                );
                return Err(FieldError::new("--line", why).into());
            }
        }
    }
    Ok(found)
}

async fn sources(args: &ResolveArgs, ctx: &Ctx<'_>) -> Result<Vec<(String, String)>, CliError> {
    if !args.line_tables.is_empty() {
        let mut all = Vec::new();
        for path in &args.line_tables {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("--line-table: {}", path.display()))?;
            all.push((path.display().to_string(), text));
        }
        return Ok(all);
    }
    // Without a control plane at hand a bare server can still be asked, as somebody on no line.
    let Ok(plane) = ctx.access.plane().await else {
        return Ok(Vec::new());
    };
    let maps: Api<ConfigMap> = Api::all(plane.client.clone());
    let params = ListParams::default().labels(LINE_TABLE_LABEL);
    let Ok(listed) = plane.answer("ConfigMap", maps.list(&params)).await else {
        return Ok(Vec::new());
    };
    let texts = listed.items.into_iter().flat_map(|map| {
        let name = map.name_any();
        map.data.unwrap_or_default().into_iter().map(move |(key, text)| (format!("{name}/{key}"), text))
    });
    Ok(texts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixtures::Page;
    use crate::cli::output::Format;

    fn row(line: &'static str, family: &'static str, values: &[&str]) -> Row {
        Row {
            line: Some(line),
            subnet: Some("192.0.2.0/24".into()),
            family,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            ttl: (!values.is_empty()).then_some(60),
            rcode: "NOERROR".into(),
            authoritative: true,
            millis: 1,
            error: None,
        }
    }

    #[test]
    fn a_family_that_nobody_publishes_is_left_out() {
        let rows = || vec![row("CT", "A", &["203.0.113.1"]), row("CT", "AAAA", &[]), row("CU", "A", &[])];
        let page = Page::default();
        let mut out = Out::to(page.clone(), Format::Table);
        write(&worth_showing(rows(), false), &mut out, Lang::En).unwrap();
        assert_eq!(
            page.text(),
            "LINE  ASKED FROM    TYPE  ANSWER       TTL  TIME
CT    192.0.2.0/24  A     203.0.113.1  60   1 ms
CU    192.0.2.0/24  A     no record         1 ms
"
        );
        assert_eq!(worth_showing(rows(), true).len(), 3);
        assert_eq!(worth_showing(vec![row("CT", "A", &[]), row("CT", "AAAA", &[])], false).len(), 1);
    }

    #[test]
    fn a_subnet_is_read_as_people_write_it() {
        assert_eq!(subnets(&["192.0.2.7".into()]).unwrap()[0].subnet.unwrap().to_string(), "192.0.2.7/32");
        assert_eq!(subnets(&["192.0.2.0/40".into()]).unwrap_err().field, "--subnet");
        assert_eq!(families(Some("MX")).unwrap_err().field, "--type");
    }
}
