//! The v1 API's server: routes, pages, badge, metrics. What it answers is rendered once per change of the view; what it
//! takes becomes objects, and nothing else: the loops see them as they see everybody's edits.

pub mod admin;
pub mod badge;
mod body;
pub mod cluster;
pub mod openapi;
pub mod pages;
pub mod push;
pub mod server;
pub mod snapshot;
pub mod state;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get, post};
use http::StatusCode;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::wire::cluster::{Envelope, Outcome};

use body::{envelope, json, other};
use state::ApiState;

/// Longest a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// All routes of the API port.
pub fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/", any(pages::home))
        .route("/v1", any(pages::home))
        .route("/v1/", any(pages::home))
        .route("/v1/badge", get(badge::badge))
        .route("/v1/status", get(pages::status))
        .route("/v1/getClusterInfo", post(cluster::get_cluster_info))
        .route("/v1/updateClusterInfo", post(cluster::update_cluster_info))
        .route("/v1/swagger/index.html", get(openapi::page))
        .route("/v1/swagger/openapi.json", get(openapi::document))
        .route("/v1/swagger/doc.json", get(openapi::document))
        .route("/metrics", get(admin::api_metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(state)
}

async fn not_found(State(state): State<Arc<ApiState>>) -> Response {
    state.count("other", "404");
    json(StatusCode::NOT_FOUND, envelope(&other(StatusCode::NOT_FOUND, "no such route")))
}

async fn method_not_allowed(State(state): State<Arc<ApiState>>) -> Response {
    state.count("other", "405");
    let answer = Envelope::of(Outcome::NotAllowed).because("method: is not one of this route's");
    json(StatusCode::METHOD_NOT_ALLOWED, envelope(&answer))
}

/// A panic is one request's end, not the server's. What it said stays in the log: it might quote anything.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request's handler panicked");
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    json(status, envelope(&other(status, "this is a fault of ours; the log has more")))
}

#[cfg(test)]
mod tests;
