//! Refusals as a kube-apiserver words them.

use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::asked::Asked;

/// An answer's body.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A whole body.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// JSON as an answer.
pub fn answer(code: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    response
}

/// A refusal's body.
pub fn status(code: u16, reason: &str, message: &str, details: Value) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "details": details, "code": code,
    })
}

pub fn unauthorized() -> Response<Body> {
    answer(401, &status(401, "Unauthorized", "Unauthorized", json!(null)))
}

/// No rule lets `user` do that.
pub fn forbidden(user: &str, asked: &Asked) -> Response<Body> {
    let Asked { verb, group, resource, namespace, name, path } = asked;
    if !path.is_empty() {
        let message = format!("forbidden: User {user:?} cannot {verb} path {path:?}");
        return answer(403, &status(403, "Forbidden", &message, json!({})));
    }
    let kind = asked.kind();
    let what = if name.is_empty() { kind } else { format!("{kind} {name:?}") };
    let place = if namespace.is_empty() {
        "at the cluster scope".into()
    } else {
        format!("in the namespace {namespace:?}")
    };
    let message = format!(
        "{what} is forbidden: User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}"
    );
    answer(403, &status(403, "Forbidden", &message, details(asked)))
}

/// Somebody else wrote in between.
pub fn conflict(asked: &Asked) -> Response<Body> {
    let message = format!(
        "Operation cannot be fulfilled on {} {:?}: the object has been modified; please apply your changes to the \
         latest version and try again",
        asked.kind(),
        asked.name,
    );
    answer(409, &status(409, "Conflict", &message, details(asked)))
}

pub fn too_many() -> Response<Body> {
    let message = "Too many requests, please try again later.";
    let mut response = answer(429, &status(429, "TooManyRequests", message, json!({"retryAfterSeconds": 1})));
    response.headers_mut().insert(header::RETRY_AFTER, "1".parse().unwrap());
    response
}

pub fn internal() -> Response<Body> {
    let message = "Internal error occurred: etcdserver: request timed out";
    let causes = json!({"causes": [{"message": "etcdserver: request timed out"}]});
    answer(500, &status(500, "InternalError", message, causes))
}

/// What a watch is told that begins before the oldest revision kept.
pub fn too_old(version: &str, oldest: u64) -> Value {
    status(410, "Expired", &format!("too old resource version: {version} ({oldest})"), json!(null))
}

fn details(asked: &Asked) -> Value {
    let resource = asked.resource.split('/').next().unwrap_or_default();
    let mut details = json!({"kind": resource});
    for (key, value) in [("group", &asked.group), ("name", &asked.name)] {
        if !value.is_empty() {
            details[key] = json!(value);
        }
    }
    details
}
