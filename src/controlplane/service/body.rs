//! Request bodies: how large they may be, and what they may be written in.

use std::{fmt::Display, time::Duration};

use axum::body::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use crate::controlplane::{
    protobuf::{self, DecodeError},
    status::Refusal,
};

/// The largest body, in bytes; the same limit as a real API server's.
pub const LIMIT: usize = 3 << 20;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a body, up to the limit.
pub async fn collect<B>(body: B) -> Result<Bytes, Refusal>
where
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Display,
{
    let body = body.map_err(|error| error.to_string());
    let read = tokio::time::timeout(PATIENCE, Limited::new(body, LIMIT).collect());
    match read.await {
        Err(_) => Err(Refusal::new(408, "Timeout", "the body took too long to arrive")),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::too_large(LIMIT)),
        Ok(Err(error)) => Err(Refusal::bad_request(format!("the body cannot be read: {error}"))),
    }
}

/// The media type of the body, without parameters.
pub fn media_type(headers: &HeaderMap) -> &str {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// The object in a body.
pub fn object(headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
    match media_type(headers) {
        "" | "application/json" => json(body),
        "application/yaml" | "application/x-yaml" | "text/yaml" => yaml(body),
        "application/vnd.kubernetes.protobuf" => protobuf::decode(body).map_err(|error| match error {
            DecodeError::Unknown(_) => Refusal::unsupported_media_type(error.to_string()),
            _ => Refusal::bad_request(error.to_string()),
        }),
        other => Err(Refusal::unsupported_media_type(format!(
            "the body of the request was in an unknown format - {other}; accepted media types include: \
             application/json, application/yaml, application/vnd.kubernetes.protobuf"
        ))),
    }
}

/// JSON.
pub fn json(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|error| not_json(&error))
}

/// The refusal of what is not JSON.
pub fn not_json(error: &serde_json::Error) -> Refusal {
    Refusal::bad_request(format!("the body is not JSON: {error}"))
}

/// YAML, which includes JSON.
pub fn yaml(body: &[u8]) -> Result<Value, Refusal> {
    // JSON is YAML, and its own reader is faster and stricter.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
        && let Ok(value) = serde_json::from_slice(body)
    {
        return Ok(value);
    }
    let text = std::str::from_utf8(body).map_err(|_| Refusal::bad_request("the body is not UTF-8"))?;
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| Refusal::bad_request(format!("the body is not YAML: {error}")))
}
