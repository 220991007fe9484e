//! The webhook that an API server asks before it stores an object of ours. It reads and answers; what is right is judged
//! by who is handed in.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use futures::future::BoxFuture;
use http::StatusCode;

use crate::domain::admission::Verdict;
use crate::http::body::{self, envelope, json, other};
use crate::telemetry::metrics::admission::AdmissionMetrics;
use crate::wire::admission::{Question, answer};

/// The path that the API server calls.
pub const PATH: &str = "/admission";
/// Most octets of a review: two objects of the largest size that is stored, and some more.
const MAX_REVIEW: usize = 4 << 20;

/// Judges an object from what is known; none: the judging failed, and the API server does as its failure policy says.
pub type Judge = Arc<dyn Fn(Question) -> BoxFuture<'static, Option<Verdict>> + Send + Sync>;

#[derive(Clone)]
struct Webhook {
    judge: Judge,
    metrics: AdmissionMetrics,
}

/// The webhook's one route.
pub fn router(judge: Judge, metrics: AdmissionMetrics) -> Router {
    Router::new().route(PATH, post(review)).with_state(Webhook { judge, metrics })
}

async fn review(State(webhook): State<Webhook>, request: Request) -> Response {
    let body = match body::read_at_most(request, MAX_REVIEW).await {
        Ok(body) => body,
        Err(refusal) => return webhook.unread(refusal.status, &refusal.why),
    };
    let question = match crate::wire::admission::read(&body) {
        Ok(question) => question,
        Err(error) => return webhook.unread(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    drop(body);
    let (uid, kind) = (question.uid.clone(), kind(&question));
    match (webhook.judge)(question).await {
        Some(verdict) => {
            let result = match () {
                () if !verdict.refused.is_empty() => "refused",
                () if !verdict.warnings.is_empty() => "warned",
                () => "allowed",
            };
            webhook.metrics.answered(kind, result);
            json(StatusCode::OK, Bytes::from(answer(&uid, &verdict)))
        }
        None => {
            webhook.unread(StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of ours; the log has more")
        }
    }
}

impl Webhook {
    fn unread(&self, status: StatusCode, why: &str) -> Response {
        self.metrics.answered("other", "unread");
        json(status, envelope(&other(status, why)))
    }
}

/// The kind as a label: what was asked for may be anything.
fn kind(question: &Question) -> &'static str {
    let known = ["CocoaNode", "ManagedService", "App"];
    known.into_iter().find(|kind| *kind == question.kind.kind).unwrap_or("other")
}
