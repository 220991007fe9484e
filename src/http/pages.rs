//! Pages for people: that the service lives, and how the cluster is. No secret, credential, node code or object name
//! (which may be a code) reaches them: they are made of rows that have no place for one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use http::HeaderMap;
use http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use jiff::Timestamp;

use crate::api::vocab::{Line, WorkMode};
use crate::domain::liveness::Life;
use crate::domain::names::DnsName;
use crate::domain::view::{ClusterView, NodeView, ServiceView};
use crate::http::state::ApiState;
use crate::wire::render::without_user;

pub mod words;

use words::Language;
use words::Words;

/// The one style sheet, inside every page; its digest is all that the pages may load.
pub(super) const STYLE: &str = include_str!("../../templates/style.css");

/// That the service lives.
#[utoipa::path(get, path = "/v1", summary = "Whether the service lives",
    description = "Also under / and /v1/, with any method. A page for people.",
    responses((status = 200, description = "the service lives")))]
pub async fn home(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Response {
    let since = Instant::now();
    let language = Language::of(headers.get(ACCEPT_LANGUAGE));
    let response = html(state.snapshot().home(language), language);
    state.routes().home.answered("200", since.elapsed());
    response
}

/// How the cluster is.
#[utoipa::path(get, path = "/v1/status", summary = "This node and its cluster",
    description = "A page for people, in English or Chinese by Accept-Language; no secrets and no node codes.",
    responses((status = 200, description = "text/html")))]
pub async fn status(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Response {
    let since = Instant::now();
    let language = Language::of(headers.get(ACCEPT_LANGUAGE));
    let response = html(state.snapshot().status(language), language);
    state.routes().status.answered("200", since.elapsed());
    response
}

/// A page with headers that let it load nothing but its own style.
pub(super) fn html(page: Bytes, language: Language) -> Response {
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    headers.insert(VARY, HeaderValue::from_static("accept-language"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CONTENT_SECURITY_POLICY, policy());
    response
}

fn policy() -> HeaderValue {
    let digest = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
    let digest = base64::engine::general_purpose::STANDARD.encode(digest);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    );
    HeaderValue::try_from(policy).expect("base64 and ASCII words make a header")
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    t: &'a Words,
    style: &'a str,
    node_name: &'a str,
    live: usize,
    total: usize,
    version: &'a str,
}

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage<'a> {
    t: &'a Words,
    style: &'a str,
    node_name: &'a str,
    live: usize,
    total: usize,
    health: &'a str,
    mode: &'a str,
    updated: String,
    nodes: Vec<NodeRow<'a>>,
    services: Vec<ServiceRow<'a>>,
    version: &'a str,
}

struct NodeRow<'a> {
    name: &'a str,
    mine: bool,
    address: String,
    class: &'a str,
    state: &'a str,
    lines: Vec<LineTag>,
    addresses: Vec<String>,
    mode: &'a str,
    watch_dog: String,
}

struct ServiceRow<'a> {
    name: &'a str,
    fqdn: String,
    provider: &'a str,
    lines: Vec<LineTag>,
    class: &'a str,
    state: String,
}

struct LineTag {
    name: String,
    taken: bool,
}

/// The first page.
pub(super) fn render_home(view: &ClusterView, language: Language) -> String {
    let page = HomePage {
        t: Words::of(language),
        style: STYLE,
        node_name: own_name(view),
        live: view.live(),
        total: view.nodes.len(),
        version: env!("CARGO_PKG_VERSION"),
    };
    rendered(&page)
}

/// The status page.
pub(super) fn render_status(view: &ClusterView, language: Language) -> String {
    let t = Words::of(language);
    let (live, total) = (view.live(), view.nodes.len());
    let names: BTreeMap<&str, &str> =
        view.nodes.iter().map(|node| (node.object.as_str(), node.spec.node_name.as_str())).collect();
    let page = StatusPage {
        t,
        style: STYLE,
        node_name: own_name(view),
        live,
        total,
        health: match live {
            0 => "bad",
            live if live < total => "warn",
            _ => "good",
        },
        mode: view.own().map(|own| mode(own, t)).unwrap_or_default(),
        updated: moment(view.updated_at),
        nodes: view.nodes.iter().map(|node| node_row(node, node.object == view.me, t)).collect(),
        services: view.services.iter().map(|service| service_row(service, &names, t)).collect(),
        version: env!("CARGO_PKG_VERSION"),
    };
    rendered(&page)
}

/// Renders a page.
pub(super) fn rendered(page: &impl Template) -> String {
    page.render().expect("writing to memory does not fail, and our templates call nothing that does")
}

fn own_name(view: &ClusterView) -> &str {
    view.own().map(|own| own.spec.node_name.as_str()).unwrap_or("CocoaSyncer")
}

fn mode<'a>(node: &NodeView, t: &'a Words) -> &'a str {
    match node.spec.work_mode {
        WorkMode::Leader => t.leader,
        WorkMode::Follower => t.follower,
    }
}

fn node_row<'a>(node: &'a NodeView, mine: bool, t: &'a Words) -> NodeRow<'a> {
    let (class, state) = match node.pulse.life {
        Life::Alive => ("good", t.alive),
        Life::Lost => ("bad", t.lost),
        Life::Returning => ("warn", t.returning),
        Life::Unseen => ("warn", t.unseen),
    };
    let tag = |(line, taken): &(Line, bool)| LineTag { name: line.as_str().to_owned(), taken: *taken };
    NodeRow {
        name: &node.spec.node_name,
        mine,
        address: without_user(&node.spec.node_address),
        class,
        state,
        lines: node.serving.iter().map(tag).collect(),
        addresses: node.addresses.values().flatten().map(ToString::to_string).collect(),
        mode: mode(node, t),
        watch_dog: node.pulse.watch_dog.map(moment).unwrap_or_else(|| "–".to_owned()),
    }
}

fn service_row<'a>(service: &'a ServiceView, names: &BTreeMap<&str, &str>, t: &Words) -> ServiceRow<'a> {
    let spec = &service.spec;
    let zone = DnsName::parse(&spec.domain, "domain");
    let full = zone.and_then(|zone| zone.child(&spec.record, "record"));
    let (class, state) = match &service.ready {
        Some((true, _)) => ("good", t.ready.to_owned()),
        Some((false, reason)) => ("bad", format!("{} · {reason}", t.not_ready)),
        None => ("warn", t.pending.to_owned()),
    };
    ServiceRow {
        name: &spec.service_name,
        fqdn: full.map(|name| name.to_string()).unwrap_or_else(|_| spec.domain.clone()),
        provider: spec.platform_provider.as_str(),
        lines: service.lines.split_whitespace().filter_map(|part| line_tag(part, names)).collect(),
        class,
        state,
    }
}

/// `default,CT=shanghai+` with the object's name made into the node's; what names nobody known is left out.
fn line_tag(part: &str, names: &BTreeMap<&str, &str>) -> Option<LineTag> {
    let (lines, holder) = part.split_once('=')?;
    let object = holder.trim_end_matches('+');
    let name = names.get(object)?;
    Some(LineTag { name: format!("{} → {name}", lines.replace(',', " ")), taken: holder.ends_with('+') })
}

fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
