//! `status`, and the rows that `node list` and `service list` share with it.

use std::process::ExitCode;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde::Serialize;

use crate::api::condition::types::READY;
use crate::api::node::CocoaNode;
use crate::api::service::ManagedService;
use crate::cli::Ctx;
use crate::cli::error::CliError;
use crate::cli::output::{Out, Text, Tone};
use crate::cli::words::Lang;
use crate::cli::world::World;
use crate::wire::render::without_user;

/// A node in a listing.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeRow {
    name: String,
    node_name: String,
    mode: &'static str,
    own_lines: Vec<&'static str>,
    serving: String,
    addresses: String,
    status_code: Option<i32>,
    state: String,
    reason: String,
    node_address: String,
}

/// A service in a listing.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRow {
    namespace: String,
    name: String,
    fqdn: String,
    provider: &'static str,
    ttl: u32,
    lines: String,
    ready: String,
    reason: String,
    message: String,
}

/// Everything in short.
#[derive(Debug, Serialize)]
struct Summary {
    live: usize,
    total: usize,
    nodes: Vec<NodeRow>,
    services: Vec<ServiceRow>,
}

/// Shows who lives and what is served.
pub async fn show(ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    let plane = ctx.access.plane().await?;
    let world = World::load(&plane).await?;
    let live = world.cluster().members.values().filter(|member| member.lives).count();
    let summary =
        Summary { live, total: world.nodes.len(), nodes: node_rows(&world), services: service_rows(&world) };
    if ctx.out.value(&summary)? {
        return Ok(ExitCode::SUCCESS);
    }
    let (total, services) = (summary.total, summary.services.len());
    let ready = summary.services.iter().filter(|row| row.ready == "True").count();
    ctx.out.line(match ctx.lang {
        Lang::En => format!("{live} of {total} nodes live, {ready} of {services} services are as wished\n"),
        Lang::Zh => format!("{total} 个节点中 {live} 个存活,{services} 个服务中 {ready} 个就绪\n"),
    })?;
    nodes(summary.nodes, ctx.out, ctx.lang)?;
    ctx.out.line("")?;
    self::services(summary.services, ctx.out, ctx.lang)?;
    Ok(ExitCode::SUCCESS)
}

/// All nodes as rows.
pub fn node_rows(world: &World) -> Vec<NodeRow> {
    world.nodes.iter().map(node_row).collect()
}

fn node_row(node: &CocoaNode) -> NodeRow {
    let status = node.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().find(|condition| condition.type_ == READY);
    let state = match status.status_code {
        _ if node.spec.drain.is_some() => "drained",
        Some(200) => "lives",
        Some(_) => "lost",
        None => "unknown",
    };
    NodeRow {
        name: node.name_any(),
        node_name: node.spec.node_name.clone(),
        mode: node.spec.work_mode.as_str(),
        own_lines: node.spec.isps.iter().map(|line| line.as_str()).collect(),
        serving: status.serving,
        addresses: status.published,
        status_code: status.status_code,
        state: state.to_owned(),
        reason: ready.map(|condition| condition.reason.clone()).unwrap_or_default(),
        // An address may carry a password, which is nobody's to read over a shoulder.
        node_address: without_user(&node.spec.node_address),
    }
}

/// All services as rows.
pub fn service_rows(world: &World) -> Vec<ServiceRow> {
    world.services.iter().map(service_row).collect()
}

fn service_row(service: &ManagedService) -> ServiceRow {
    let status = service.status.clone().unwrap_or_default();
    let ready: Option<&Condition> = status.conditions.iter().find(|condition| condition.type_ == READY);
    let spec = &service.spec;
    let fqdn = match spec.record.as_str() {
        "@" => spec.domain.clone(),
        record => format!("{record}.{}", spec.domain),
    };
    ServiceRow {
        namespace: service.namespace().unwrap_or_default(),
        name: service.name_any(),
        fqdn,
        provider: spec.platform_provider.as_str(),
        ttl: spec.ttl,
        lines: status.lines,
        ready: ready.map_or("Unknown".to_owned(), |condition| condition.status.clone()),
        reason: ready.map(|condition| condition.reason.clone()).unwrap_or_default(),
        message: ready.map(|condition| condition.message.clone()).unwrap_or_default(),
    }
}

/// Writes nodes as a table.
pub fn nodes(rows: Vec<NodeRow>, out: &mut Out, lang: Lang) -> Result<(), CliError> {
    if rows.is_empty() {
        return out.line(lang.pick(
            "no nodes yet: `cocoasyncer node join ADDRESS` adds one",
            "尚无节点:用 `cocoasyncer node join ADDRESS` 加入",
        ));
    }
    let head = [
        lang.pick("NODE", "节点"),
        lang.pick("NAME", "名称"),
        lang.pick("MODE", "模式"),
        lang.pick("LINES", "线路"),
        lang.pick("SERVES", "服务线路"),
        lang.pick("ADDRESSES", "地址"),
        lang.pick("STATE", "状态"),
        lang.pick("REASON", "原因"),
    ];
    let cells = rows.into_iter().map(|row| {
        let (state, tone) = match row.state.as_str() {
            "lives" => (lang.pick("lives", "存活"), Tone::Good),
            "lost" => (lang.pick("lost", "失联"), Tone::Bad),
            "drained" => (lang.pick("drained", "维护"), Tone::Odd),
            _ => (lang.pick("unknown", "未知"), Tone::Odd),
        };
        [
            row.name.into(),
            row.node_name.into(),
            row.mode.into(),
            row.own_lines.join(",").into(),
            row.serving.into(),
            row.addresses.into(),
            Text::toned(state, tone),
            row.reason.into(),
        ]
    });
    out.table(head, cells.collect())
}

/// Writes services as a table.
pub fn services(rows: Vec<ServiceRow>, out: &mut Out, lang: Lang) -> Result<(), CliError> {
    if rows.is_empty() {
        return out.line(lang.pick(
            "no services yet: `cocoasyncer service add www.example.com` adds one",
            "尚无服务:用 `cocoasyncer service add www.example.com` 添加",
        ));
    }
    let head = [
        lang.pick("SERVICE", "服务"),
        lang.pick("FQDN", "域名"),
        lang.pick("PROVIDER", "平台"),
        "TTL",
        lang.pick("LINES", "线路"),
        lang.pick("READY", "就绪"),
        lang.pick("REASON", "原因"),
    ];
    let cells = rows.into_iter().map(|row| {
        let tone = match row.ready.as_str() {
            "True" => Tone::Good,
            "False" => Tone::Bad,
            _ => Tone::Odd,
        };
        [
            format!("{}/{}", row.namespace, row.name).into(),
            row.fqdn.into(),
            row.provider.into(),
            row.ttl.to_string().into(),
            row.lines.into(),
            Text::toned(row.ready, tone),
            row.reason.into(),
        ]
    });
    out.table(head, cells.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixtures::{Page, world};
    use crate::cli::output::Format;

    #[test]
    fn nodes_and_services_are_told_in_one_line_each() {
        let world = world(504, true);
        let page = Page::default();
        let mut out = Out::to(page.clone(), Format::Table);
        nodes(node_rows(&world), &mut out, Lang::En).unwrap();
        services(service_rows(&world), &mut out, Lang::En).unwrap();
        assert_eq!(
            page.text(),
            "NODE  NAME  MODE    LINES    SERVES  ADDRESSES  STATE  REASON
a     a     leader  default                     lives
b     b     leader  CU                          lost
SERVICE       FQDN              PROVIDER  TTL  LINES  READY    REASON
default/test  test.example.com  Local     60          Unknown
"
        );
    }
}
