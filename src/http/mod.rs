//! The servers of the v1 API and of the App API: routes, pages, badge, metrics. What they answer is rendered once per
//! change of the view; what they take becomes objects, and nothing else: the loops see them as they see everybody's edits.

pub mod admin;
pub mod admission;
pub mod app;
pub mod auth;
pub mod badge;
mod body;
pub mod cluster;
pub mod openapi;
pub mod pages;
pub mod push;
pub mod server;
pub mod snapshot;
pub mod state;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get, post};
use http::StatusCode;

use crate::wire::cluster::{Envelope, Outcome};

use body::{envelope, json, other};
use state::ApiState;

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
        .with_state(state)
}

async fn not_found(State(state): State<Arc<ApiState>>) -> Response {
    state.routes().other.answered("404", Duration::ZERO);
    json(StatusCode::NOT_FOUND, envelope(&other(StatusCode::NOT_FOUND, "no such route")))
}

async fn method_not_allowed(State(state): State<Arc<ApiState>>) -> Response {
    state.routes().other.answered("405", Duration::ZERO);
    let answer = Envelope::of(Outcome::NotAllowed).because("method: is not one of this route's");
    json(StatusCode::METHOD_NOT_ALLOWED, envelope(&answer))
}

#[cfg(test)]
mod tests;
