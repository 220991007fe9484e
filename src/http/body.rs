//! Bodies in and out: bounded reading, and answers as JSON bytes.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::wire::cluster::Envelope;
use crate::wire::render::to_json;

/// Most octets of a request's body.
pub(super) const MAX_BODY: usize = 1 << 20;

/// Longest that a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a body was not read, as the answer to it.
pub(super) struct Refusal {
    pub status: StatusCode,
    pub why: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    fn too_long(most: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("body: must have at most {most} octets"))
    }
}

/// Reads a body whole.
pub(super) async fn read(request: Request) -> Result<Bytes, Refusal> {
    read_at_most(request, MAX_BODY).await
}

/// Reads a body of at most so many octets whole.
pub(super) async fn read_at_most(request: Request, most: usize) -> Result<Bytes, Refusal> {
    let told =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|told| (most as u64) < told) {
        return Err(Refusal::too_long(most));
    }
    let reading = Limited::new(request.into_body(), most).collect();
    let Ok(read) = tokio::time::timeout(BODY_TIMEOUT, reading).await else {
        let why = format!("body: took longer than {} s", BODY_TIMEOUT.as_secs());
        return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, why));
    };
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(err) if err.is::<LengthLimitError>() => Err(Refusal::too_long(most)),
        Err(_) => Err(Refusal::new(StatusCode::BAD_REQUEST, "body: ended too early")),
    }
}

/// An answer that HTTP itself must give a status for: no call of the API was made.
pub(super) fn other(status: StatusCode, why: impl Into<String>) -> Envelope {
    Envelope {
        status_code: status.as_u16().into(),
        status_string: status.canonical_reason().unwrap_or_default().to_owned(),
        error: Some(why.into()),
        cocoa_basic: None,
    }
}

/// An envelope's bytes.
pub(super) fn envelope(answer: &Envelope) -> Bytes {
    to_json(answer).into()
}

/// An answer of JSON.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
