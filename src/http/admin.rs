//! The operations port: whether the process lives and is ready, its metrics, its log filter. And `/metrics` of the API
//! port, where existing scrape configurations look for it.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::http::body;
use crate::http::state::ApiState;
use crate::telemetry::metrics::CONTENT_TYPE as METRICS_TYPE;
use crate::telemetry::tracing::LogFilter;

/// What the operations port's handlers hold.
#[derive(Clone)]
pub struct AdminState {
    /// Names of those who are not ready; empty: all are.
    pub missing: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// What is wrong though the process works, in words; empty: nothing.
    pub troubles: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// What this replica is (`active`, `standby`, `unknown`) and which one is active.
    pub replica: Arc<dyn Fn() -> (&'static str, Option<String>) + Send + Sync>,
    /// The metrics as text, e.g. [`ApiState::metrics_text`].
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The log filter; `None`: somebody else's subscriber is installed.
    pub log: Option<LogFilter>,
}

/// All routes of the operations port. It asks for no token: it belongs on loopback or an inner network.
pub fn router(state: AdminState) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/log-level", get(log_level).put(set_log_level))
        .with_state(state)
}

async fn ready(State(state): State<AdminState>) -> (StatusCode, Json<Value>) {
    let missing = (state.missing)();
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let troubles = (state.troubles)();
    // A standby is as ready as the active one: it serves the same.
    let (role, active) = (state.replica)();
    let (ready, missing) = (missing.is_empty(), json!(missing));
    let told = json!({
        "ready": ready, "missing": missing, "troubles": troubles, "role": role, "active": active,
    });
    (status, Json(told))
}

async fn metrics(State(state): State<AdminState>) -> Response {
    prometheus_text((state.metrics)())
}

/// The metrics.
#[utoipa::path(get, path = "/metrics", summary = "Metrics", description = "Prometheus text.",
    responses((status = 200, description = "text/plain; version=0.0.4")))]
pub(super) async fn api_metrics(State(state): State<Arc<ApiState>>) -> Response {
    let since = Instant::now();
    let response = prometheus_text(state.metrics_text());
    state.routes().metrics.answered("200", since.elapsed());
    response
}

fn prometheus_text(text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE));
    response
}

async fn log_level(State(state): State<AdminState>) -> Result<String, (StatusCode, String)> {
    let log = state.log.ok_or_else(unknown)?;
    Ok(log.get() + "\n")
}

/// Takes directives as text, or as JSON `{"filter": "info,cocoasyncer=debug"}`.
async fn set_log_level(
    State(state): State<AdminState>,
    headers: HeaderMap,
    request: Request,
) -> Result<String, (StatusCode, String)> {
    let log = state.log.ok_or_else(unknown)?;
    let refuse = |why: &str| (StatusCode::BAD_REQUEST, format!("{why}\n"));
    let text = body::read(request).await.map_err(|refusal| (refusal.status, refusal.why + "\n"))?;
    let is_json =
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let directives = match is_json {
        true => {
            let doc: Value = serde_json::from_slice(&text).map_err(|_| refuse("body: is not JSON"))?;
            doc["filter"].as_str().ok_or_else(|| refuse("filter: must be a string"))?.to_owned()
        }
        false => String::from_utf8(text.to_vec()).map_err(|_| refuse("body: is not text"))?,
    };
    if directives.trim().is_empty() {
        return Err(refuse("filter: must not be empty"));
    }
    log.set(&directives).map_err(|err| refuse(&err.to_string()))?;
    tracing::info!(filter = %log.get(), "log filter changed");
    Ok(log.get() + "\n")
}

fn unknown() -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, "the log filter is not ours to change\n".to_owned())
}
