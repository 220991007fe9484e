//! The two routes between nodes. HTTP says 200 for every outcome of the API, as the published document has it, and the
//! outcome stands in `statusCode`; a request that never became a call of the API (no JSON, too long) gets HTTP's own
//! 400 or 413, in the same envelope, and a push that could not be written 503, so that the leader tries again.
//!
//! A push that is refused for what stands in it gets 405 with `error` naming the field: the contract has no other code
//! for "not so", and 200 would be a lie.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{Request as HttpRequest, State};
use axum::response::Response;
use http::StatusCode;

use crate::http::body::{self, Refusal, envelope, json, other};
use crate::http::openapi::{InfoRequest, UpdateRequest};
use crate::http::push::PushError;
use crate::http::server::Caller;
use crate::http::state::ApiState;
use crate::telemetry::chain::Chain;
use crate::wire::cluster::{Answer, CocoaBasic, Envelope, Outcome, Request};
use crate::wire::read::ReadError;
use crate::wire::render::Scope;

/// An answer, with its outcome's number for the metrics.
struct Told(StatusCode, &'static str, Bytes);

impl From<Refusal> for Told {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.status {
            StatusCode::BAD_REQUEST => "400",
            StatusCode::PAYLOAD_TOO_LARGE => "413",
            StatusCode::SERVICE_UNAVAILABLE => "503",
            _ => "other",
        };
        Told(refusal.status, code, envelope(&other(refusal.status, refusal.why)))
    }
}

/// What this node knows of the cluster.
#[utoipa::path(post, path = "/v1/getClusterInfo", summary = "What this node knows of the cluster",
    description = "Leader and follower. HTTP 200 whatever the outcome; the outcome stands in statusCode. Credentials \
        read *** unless the configuration says that the caller needs them.",
    request_body = InfoRequest,
    responses(
        (status = 200, description = "statusCode 200: done; 201: a follower in no cluster yet; 401: the secret is \
            wrong or missing, with an empty cocoaBasic", body = Answer),
        (status = 400, description = "the body is not JSON", body = Envelope),
        (status = 413, description = "the body has more than 1 MiB", body = Envelope)
    ))]
pub async fn get_cluster_info(State(state): State<Arc<ApiState>>, request: HttpRequest) -> Response {
    let since = Instant::now();
    let caller = request.extensions().get::<Caller>().map(|caller| caller.0.ip());
    let Told(status, code, bytes) = info(&state, caller, request).await.unwrap_or_else(Told::from);
    state.routes().info.answered(code, since.elapsed());
    json(status, bytes)
}

async fn info(state: &ApiState, caller: Option<IpAddr>, request: HttpRequest) -> Result<Told, Refusal> {
    let (secret, beat_only) = Request::read_plain(&body::read(request).await?).map_err(no_json)?;
    let snapshot = state.snapshot();
    if !snapshot.admits(&secret) {
        return Ok(Told(StatusCode::OK, "401", state.unauthorized.clone()));
    }
    let scope = if beat_only { Scope::BeatOnly } else { Scope::Full };
    let (code, bytes) = snapshot.info(state.reveal(caller), scope);
    Ok(Told(StatusCode::OK, code, bytes))
}

/// Takes a leader's configuration.
#[utoipa::path(post, path = "/v1/updateClusterInfo", summary = "Take the leader's configuration",
    description = "Followers only. Takes otherCocoaSyncer, cocoaManagedService and cloudPlatformInfo, and nothing else. \
        A refusal changes nothing.",
    request_body = UpdateRequest,
    responses(
        (status = 200, description = "statusCode 200: taken; 401: the secret is wrong or missing; 405: this node is a \
            leader, or error names the field that must be mended", body = Envelope),
        (status = 400, description = "the body is not JSON", body = Envelope),
        (status = 413, description = "the body has more than 1 MiB", body = Envelope),
        (status = 503, description = "the configuration could not be written now; try again", body = Envelope)
    ))]
pub async fn update_cluster_info(State(state): State<Arc<ApiState>>, request: HttpRequest) -> Response {
    let since = Instant::now();
    let Told(status, code, bytes) = update(&state, request).await.unwrap_or_else(Told::from);
    state.routes().update.answered(code, since.elapsed());
    json(status, bytes)
}

async fn update(state: &Arc<ApiState>, request: HttpRequest) -> Result<Told, Refusal> {
    let snapshot = state.snapshot();
    // Before the secret is looked at, as the contract has it: a leader takes no push from anybody.
    if snapshot.leads() {
        return Ok(Told(StatusCode::OK, "405", state.not_allowed.clone()));
    }
    let request = Request::read(&body::read(request).await?).map_err(no_json)?;
    if !snapshot.admits(&request.secret) {
        return Ok(Told(StatusCode::OK, "401", envelope(&Envelope::of(Outcome::Unauthorized))));
    }
    match request.basic() {
        Ok(basic) => take(state, basic, snapshot.view().me.clone()).await,
        Err(err) => Ok(refused(&err.to_string())),
    }
}

/// Carries a push out in a task of its own: a caller that hangs up must not leave half of it.
async fn take(state: &Arc<ApiState>, basic: CocoaBasic, me: String) -> Result<Told, Refusal> {
    let state = state.clone();
    let work = tokio::spawn(async move { state.pushes.take(&basic, &me).await });
    match work.await {
        Ok(Ok(changed)) => {
            if 0 < changed {
                tracing::info!(changed, "took the leader's configuration");
            }
            Ok(Told(StatusCode::OK, "200", envelope(&Envelope::of(Outcome::Done))))
        }
        Ok(Err(PushError::Refused(why))) => Ok(refused(&why.to_string())),
        Ok(Err(PushError::Invalid { object, message })) => Ok(refused(&format!("{object}: {message}"))),
        Ok(Err(err)) => {
            tracing::warn!(error = %Chain(&err), "the leader's configuration could not be written");
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("{err}: try again")))
        }
        Err(err) => {
            tracing::error!(%err, "taking the leader's configuration ended early");
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "taking the push ended early: try again"))
        }
    }
}

fn refused(why: &str) -> Told {
    tracing::warn!(why, "refused a push");
    Told(StatusCode::OK, "405", envelope(&Envelope::of(Outcome::NotAllowed).because(why)))
}

fn no_json(err: ReadError) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, err.to_string())
}
