//! `getClusterInfo` and the badge through the whole server, against a bare axum handler that returns the same bytes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::controlplane::ControlPlane;
use cocoasyncer::domain::liveness::Pulse;
use cocoasyncer::domain::names::ObjectId;
use cocoasyncer::domain::secret::Secret;
use cocoasyncer::domain::view::{ClusterView, NodeView, ServiceView};
use cocoasyncer::http::server::{self, Limits};
use cocoasyncer::http::state::{ApiState, Settings};
use cocoasyncer::telemetry::metrics::http::HttpMetrics;
use http::header::CONTENT_TYPE;
use k8s_openapi::jiff::Timestamp;
use prometheus::Registry;
use tokio::sync::watch;

use crate::measure::Pairs;
use crate::report::{Figure, Promise};
use crate::{load, objects};

const TURNS: usize = 9;
const LASTING: Duration = Duration::from_millis(600);

/// A cluster of three nodes and three services, as most are.
fn view() -> anyhow::Result<ClusterView> {
    let now = Timestamp::now();
    let node = |index: usize| -> anyhow::Result<NodeView> {
        let object = objects::node(index, "http://127.0.0.1:44443")?;
        Ok(NodeView {
            object: object.metadata.name.unwrap_or_default(),
            spec: object.spec,
            secret: Secret::new(objects::SECRET),
            pulse: Pulse::own(now, now),
            addresses: BTreeMap::from([(Family::V4, [objects::public(index).into()].into())]),
            serving: vec![(Line::Default, false)],
        })
    };
    let service = |index: usize| -> anyhow::Result<ServiceView> {
        Ok(ServiceView {
            release: None,
            adopt: false,
            id: ObjectId { namespace: "default".into(), name: format!("service-{index}") },
            spec: objects::service(index)?.spec,
            lines: "default=n01".into(),
            ready: Some((true, "AsWished".into())),
        })
    };
    Ok(ClusterView {
        me: "n01".into(),
        api_port: 44443,
        reverse_proxy: false,
        created_at: now,
        updated_at: now,
        generation: 1,
        owner: None,
        nodes: (1..=3).map(node).collect::<Result<_, _>>()?,
        lines: Vec::new(),
        services: Arc::new((1..=3).map(service).collect::<Result<_, _>>()?),
        accounts: Vec::new(),
    })
}

async fn ours(views: watch::Receiver<Arc<ClusterView>>) -> anyhow::Result<SocketAddr> {
    let plane = ControlPlane::in_memory().await?;
    let metrics = HttpMetrics::default();
    let state = ApiState::new(views, plane.client(), Registry::new(), &metrics, Settings::default())?;
    let bound = server::bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
    let at = bound.local_addr;
    tokio::spawn(async move {
        let _alive = plane;
        let router = cocoasyncer::http::router(state);
        bound.serve(router, metrics, Limits::default(), std::future::pending()).await;
    });
    Ok(at)
}

async fn bare(info: Bytes, badge: Bytes) -> anyhow::Result<SocketAddr> {
    let answer = |kind: &'static str, body: Bytes| move || async move { ([(CONTENT_TYPE, kind)], body) };
    let router = Router::new()
        .route("/v1/getClusterInfo", post(answer("application/json; charset=utf-8", info)))
        .route("/v1/badge", get(answer("image/svg+xml;charset=utf-8", badge)));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let at = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(at)
}

/// Measures.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (views, receiver) = watch::channel(Arc::new(view()?));
    let ours = runtime.block_on(ours(receiver))?;
    let body = format!("{{\"cocoaSecret\":\"{}\"}}", objects::SECRET);
    let (info, badge) = runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let info = client.post(format!("http://{ours}/v1/getClusterInfo")).body(body.clone()).send().await?;
        let badge = client.get(format!("http://{ours}/v1/badge")).send().await?;
        anyhow::Ok((info.bytes().await?, badge.bytes().await?))
    })?;
    anyhow::ensure!(
        info.windows(7).any(|part| part == b"\"n02\"" || part.starts_with(b"\"n02\"")),
        "no cluster in the answer"
    );
    let sizes = (info.len(), badge.len());
    let bare = runtime.block_on(bare(info, badge))?;
    let request = |line: &str, body: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let figure = |what, request: String, size: usize| -> anyhow::Result<Figure> {
        let pairs = Pairs::measure(
            TURNS,
            || load::http(ours, request.as_bytes(), LASTING),
            || load::http(bare, request.as_bytes(), LASTING),
        )?;
        let (ours, bare) = pairs.medians();
        Ok(Figure {
            what,
            measured: pairs.ratio(),
            unit: "x",
            promise: Promise::AtLeast(0.8),
            ratio: (pairs.ratio(), "a bare axum handler"),
            raw: format!("{ours:.0}/s, bare {bare:.0}/s, {size} octets, 8 connections"),
        })
    };
    let figures = vec![
        figure("getClusterInfo, requests a second", request("POST /v1/getClusterInfo", &body), sizes.0)?,
        figure("badge, requests a second", request("GET /v1/badge", ""), sizes.1)?,
    ];
    drop(views);
    Ok(figures)
}
