//! AppList of 100 applications through the whole server with its token check, against a bare axum handler that returns
//! the same bytes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use cocoasyncer::api::app::PublishedPort;
use cocoasyncer::catalog::library::Library;
use cocoasyncer::controlplane::ControlPlane;
use cocoasyncer::domain::app::instance::AppKey;
use cocoasyncer::domain::app::phase::Phase;
use cocoasyncer::domain::app::view::{AppView, AppsView};
use cocoasyncer::domain::secret::Secret;
use cocoasyncer::http::app::state::{AppApiSettings, AppState, Senses};
use cocoasyncer::http::auth::{Auth, Scope, Token};
use cocoasyncer::http::server::{self, Limits};
use cocoasyncer::telemetry::metrics::http::HttpMetrics;
use http::header::CONTENT_TYPE;
use tokio::sync::watch;

use crate::load;
use crate::measure::Pairs;
use crate::report::{Figure, Promise};

const APPS: u16 = 100;
const TURNS: usize = 9;
const LASTING: Duration = Duration::from_millis(600);
const TOKEN: &str = "a-token-of-the-usual-length-0123456789";

fn app(index: u16) -> AppView {
    let port = 9000 + index;
    AppView {
        key: AppKey { namespace: "default".into(), name: format!("app{index:03}") },
        uid: format!("uid-{index}"),
        resource_version: index.to_string(),
        app_name: "wordpress".into(),
        title: "WordPress".into(),
        official: true,
        phase: Phase::Running,
        message: String::new(),
        version: "6.9".into(),
        ports: vec![PublishedPort { variable: None, host: port, container: 80, protocol: "TCP".into() }],
        compose_file: Some(format!("/var/lib/cocoasyncer/apps/app{index:03}/docker-compose.yml")),
        url: Some(format!("http://203.0.113.1:{port}")),
        admin_url: Some(format!("http://203.0.113.1:{port}/wp-admin")),
        user_name: Some("admin".into()),
        password: Some(Secret::new("sixteen-letters1")),
        masks: vec![Secret::new("sixteen-letters1")],
        default_domain: None,
        set_domain: None,
        progress: None,
    }
}

async fn ours(views: watch::Receiver<Arc<AppsView>>) -> anyhow::Result<SocketAddr> {
    let plane = ControlPlane::in_memory().await?;
    let metrics = HttpMetrics::default();
    let token = Token { name: "bench".into(), secret: Secret::new(TOKEN), scope: Scope::Operate };
    let settings =
        AppApiSettings { namespace: "default".into(), auth: Auth::Tokens(vec![token]), always_200: false };
    let (client, library, senses) = (plane.client(), Library::built_in(), Senses::default());
    let state = AppState::new(views, library, client, settings, senses, &metrics);
    let bound = server::bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
    let at = bound.local_addr;
    tokio::spawn(async move {
        let _alive = plane;
        let router = cocoasyncer::http::app::router(state);
        bound.serve(router, metrics, Limits::default(), std::future::pending()).await;
    });
    Ok(at)
}

async fn bare(list: Bytes) -> anyhow::Result<SocketAddr> {
    let answer = move || async move { ([(CONTENT_TYPE, "application/json; charset=utf-8")], list) };
    let router = Router::new().route("/AppList", get(answer));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let at = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(at)
}

/// Measures.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let view = AppsView { apps: (0..APPS).map(app).collect() };
    let (views, receiver) = watch::channel(Arc::new(view));
    let ours = runtime.block_on(ours(receiver))?;
    let list = runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let asked = client.get(format!("http://{ours}/AppList")).bearer_auth(TOKEN).send().await?;
        anyhow::Ok(asked.error_for_status()?.bytes().await?)
    })?;
    let size = list.len();
    let told: serde_json::Value = serde_json::from_slice(&list)?;
    let apps = told["ResponseData"].as_array().map_or(0, Vec::len);
    anyhow::ensure!(apps == usize::from(APPS), "AppList tells of {apps} applications");
    let bare = runtime.block_on(bare(list))?;
    let request =
        format!("GET /AppList HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let pairs = Pairs::measure(
        TURNS,
        || load::http(ours, request.as_bytes(), LASTING),
        || load::http(bare, request.as_bytes(), LASTING),
    )?;
    let (fast, plain) = pairs.medians();
    drop(views);
    Ok(vec![Figure {
        what: "AppList of 100 applications, requests a second",
        measured: pairs.ratio(),
        unit: "x",
        promise: Promise::AtLeast(0.8),
        ratio: (pairs.ratio(), "a bare axum handler"),
        raw: format!("{fast:.0}/s, bare {plain:.0}/s, {size} octets, 8 connections"),
    }])
}
