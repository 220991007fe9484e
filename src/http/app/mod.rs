//! The App API: routes, who may call, and the form of answers. It reads one immutable view and writes App objects, and
//! nothing else: what it asks for happens as if somebody had asked by kubectl.
//!
//! HTTP says 200 where the call succeeded and 404 where it failed, as the document has it (a setting makes both 200). What
//! never became a call gets HTTP's own status in the same envelope: 400, 408 and 413 for a body that can't be taken, 401
//! and 403 for a caller who may not call, 405 for a method.

pub mod doc;
mod icon;
mod install;
mod objects;
mod operate;
mod seeing;
pub mod state;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{any, get};
use http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, StatusCode};

use crate::http::auth::{Admitted, Auth, Denied, Scope};
use crate::http::body::{self, json};
use crate::http::server::Caller;
use crate::wire::app::params::Params;
use crate::wire::app::words::{Code, Language};
use crate::wire::app::{Action, Failure, done_with, failed};

use state::AppState;

/// All routes of the App API, to be merged into a listener's.
pub fn router(state: Arc<AppState>) -> Router {
    let mut router = Router::new();
    for action in Action::DOCUMENTED {
        for root in ["", "/v1", "/apps"] {
            let handler = any(move |State(state): State<Arc<AppState>>, request: Request| async move {
                call(state, action, None, request).await
            });
            router = router.route(&format!("{root}{}", action.path()), handler);
        }
    }
    router
        .route(Action::Logs.path(), any(logs))
        .route(Action::Catalog.path(), any(catalog))
        .route("/apps/icons/{file}", get(icon::icon))
        .with_state(state)
}

async fn logs(State(state): State<Arc<AppState>>, Path(app_id): Path<String>, request: Request) -> Response {
    call(state, Action::Logs, Some(app_id), request).await
}

async fn catalog(State(state): State<Arc<AppState>>, request: Request) -> Response {
    call(state, Action::Catalog, None, request).await
}

/// Why a call is not answered as asked.
enum Refused {
    /// It was handled, and failed.
    Failed(Failure),
    /// It never became a call.
    Never(StatusCode, Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Refused::Failed(failure)
    }
}

async fn call(state: Arc<AppState>, action: Action, path_id: Option<String>, request: Request) -> Response {
    let since = Instant::now();
    let language = Language::of(request.headers().get("language").map(HeaderValue::as_bytes));
    let outcome = answer(&state, action, path_id, language, request).await;
    let (status, bytes) = match outcome {
        Ok(bytes) => (StatusCode::OK, bytes),
        Err(refused) => {
            let (status, failure) = match refused {
                Refused::Failed(failure) if state.settings.always_200 => (StatusCode::OK, failure),
                Refused::Failed(failure) => (StatusCode::NOT_FOUND, failure),
                Refused::Never(status, failure) => (status, failure),
            };
            tracing::debug!(action = action.path(), code = failure.code.as_str(), "refused");
            (status, failed(action, &failure, language))
        }
    };
    state.metrics(action).answered(status.as_str(), since.elapsed());
    let mut response = json(status, bytes);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"apps\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

async fn answer(
    state: &Arc<AppState>,
    action: Action,
    path_id: Option<String>,
    language: Language,
    request: Request,
) -> Result<Bytes, Refused> {
    let caller = admit(&state.settings.auth, action, &request)?;
    method(action, request.method())?;
    let mut params = params(request).await?;
    if let Some(app_id) = path_id {
        params.name(app_id)?;
    }
    state.settled().await?;
    if action.reads() {
        return seeing::answer(state, action, &params, caller.scope).await.map_err(Refused::from);
    }
    // In a task of its own: a caller that hangs up must not leave half of it.
    let (work, by) = (state.clone(), caller.name.to_owned());
    let task = tokio::spawn(async move {
        let done = match action {
            Action::Install => install::install(&work, &params, language).await,
            _ => operate::operate(&work, action, &params).await,
        };
        if let Ok(app_id) = &done {
            tracing::info!(action = action.path(), app = %app_id, by, "asked for by the App API");
        }
        done
    });
    match task.await {
        Ok(done) => Ok(done_with(&done?)),
        Err(error) => {
            tracing::error!(%error, action = action.path(), "a call of the App API ended early");
            Err(Failure::new(Code::SystemError, "this is a fault of ours; the log has more").into())
        }
    }
}

fn admit<'a>(auth: &'a Auth, action: Action, request: &Request) -> Result<Admitted<'a>, Refused> {
    let needs = match action {
        Action::Status | Action::List | Action::Catalog => Scope::Read,
        // A log may hold anything.
        _ => Scope::Operate,
    };
    let caller = request.extensions().get::<Caller>().map(|caller| caller.0.ip().to_canonical());
    auth.admit(caller, request.headers(), needs).map_err(|denied| {
        let (status, code) = match denied {
            Denied::Missing => (StatusCode::UNAUTHORIZED, Code::TokenMissing),
            Denied::Wrong => (StatusCode::UNAUTHORIZED, Code::TokenWrong),
            Denied::Scope => (StatusCode::FORBIDDEN, Code::TokenScope),
            Denied::Elsewhere => {
                let why = "only the gateway may call, from the networks of --app-gateway-from";
                return Refused::Never(StatusCode::FORBIDDEN, Failure::new(Code::CallerWrong, why));
            }
        };
        Refused::Never(status, Failure::new(code, "send a token as `Authorization: Bearer TOKEN`"))
    })
}

/// GET and POST, as the document has it; HEAD only where nothing is changed.
fn method(action: Action, method: &Method) -> Result<(), Refused> {
    match *method {
        Method::GET | Method::POST => Ok(()),
        Method::HEAD if action.reads() => Ok(()),
        _ => {
            let failure = Failure::new(Code::FormatError, "method: must be GET or POST");
            Err(Refused::Never(StatusCode::METHOD_NOT_ALLOWED, failure))
        }
    }
}

async fn params(request: Request) -> Result<Params, Refused> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let body = match *request.method() {
        Method::POST => body::read(request).await.map_err(|refusal| {
            Refused::Never(refusal.status, Failure::new(Code::FormatError, refusal.why))
        })?,
        _ => Bytes::new(),
    };
    Params::read(&query, &body, kind.as_ref().map(HeaderValue::as_bytes)).map_err(|failure| {
        match failure.code {
            Code::FormatError => Refused::Never(StatusCode::BAD_REQUEST, failure),
            _ => Refused::Failed(failure),
        }
    })
}
