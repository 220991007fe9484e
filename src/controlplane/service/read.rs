//! Get, list and watch.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::{Ask, bytes, document};
use crate::controlplane::{
    cause::Cause,
    engine::list::{At, ListRequest},
    path::{Address, Query},
    registry::Resource,
    render::{ListMeta, Shape},
    select::Selector,
    status::Refusal,
    watch::{self, WatchRequest, parse_version},
};

impl Ask {
    pub(super) fn get(self, resource: &Arc<Resource>, address: &Address) -> Result<Response<Body>, Refusal> {
        let (render, accept) = self.render(resource)?;
        let name = address.name.as_deref().unwrap_or_default();
        let stored = self.engine.get(resource, address.namespace.as_deref(), name)?;
        if accept.shape == Shape::Plain && !accept.yaml {
            let mut out = Vec::with_capacity(stored.body.len() + 48);
            render.stored(&stored, &mut out);
            return Ok(bytes(StatusCode::OK, "application/json", out));
        }
        Ok(document(StatusCode::OK, &render.value(resource.present(&stored)), accept.yaml))
    }

    pub(super) async fn list(
        self,
        resource: &Arc<Resource>,
        address: &Address,
    ) -> Result<Response<Body>, Refusal> {
        let (render, accept) = self.render(resource)?;
        let request = self.list_request(resource)?;
        let (engine, resource, namespace) =
            (self.engine.clone(), resource.clone(), address.namespace.clone());
        // A long list is milliseconds of reading; it must not hold up the runtime's other tasks.
        let body = tokio::task::spawn_blocking(move || {
            let page = engine.list(&resource, namespace.as_deref(), &request)?;
            let meta = ListMeta { revision: page.revision, cursor: page.cursor, remaining: page.remaining };
            Ok(render.list(&page.items, &meta))
        });
        let body = body.await.map_err(Refusal::internal)??;
        if accept.yaml {
            let value = serde_json::from_slice(&body).map_err(Refusal::internal)?;
            return Ok(document(StatusCode::OK, &value, true));
        }
        Ok(bytes(StatusCode::OK, "application/json", body))
    }

    pub(super) fn selector(&self, resource: &Resource) -> Result<Selector, Refusal> {
        Selector::parse(self.query.get("labelSelector"), self.query.get("fieldSelector"), &resource.fields)
    }

    pub(super) fn list_request(&self, resource: &Resource) -> Result<ListRequest, Refusal> {
        let cursor = self.query.get("continue").map(str::to_owned);
        let limit = match self.query.get("limit").map(str::parse::<usize>) {
            None | Some(Ok(0)) => None,
            Some(Ok(limit)) => Some(limit),
            Some(Err(_)) => return Err(Refusal::bad_request("limit must be a number, zero or more")),
        };
        Ok(ListRequest {
            selector: self.selector(resource)?,
            at: at(&self.query, cursor.is_some())?,
            limit,
            cursor,
        })
    }

    pub(super) async fn watch(
        self,
        resource: &Arc<Resource>,
        address: &Address,
    ) -> Result<Response<Body>, Refusal> {
        let (render, _) = self.render(resource)?;
        let selector = self.selector(resource)?;
        let request = WatchRequest::read(&self.query, address.namespace.clone(), selector, render)?;
        let engine = self.engine.clone();
        let started = tokio::task::spawn_blocking(move || watch::start(&engine, request));
        let frames = started.await.map_err(Refusal::internal)??;
        let mut response = Response::new(Body::from_stream(frames));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        Ok(response)
    }
}

/// Which revision a list asks for.
fn at(query: &Query, continued: bool) -> Result<At, Refusal> {
    let version = parse_version(query)?;
    let refuse = |cause| Err(Refusal::option("ListOptions", cause));
    let forbidden = |why: &str| Cause::forbidden("resourceVersionMatch", why);
    if query.get("sendInitialEvents").is_some() {
        return refuse(Cause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    match (query.get("resourceVersionMatch"), version) {
        (Some(_), _) if continued => refuse(forbidden("is forbidden when continue is provided")),
        (None, Some(1..)) if continued => {
            Err(Refusal::bad_request("specifying resource version is not allowed when using continue"))
        }
        (Some(_), None) => refuse(forbidden("is forbidden unless resourceVersion is provided")),
        (Some("Exact"), Some(0)) => {
            refuse(forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""))
        }
        (Some("Exact"), Some(version)) => Ok(At::Exactly(version)),
        (Some("NotOlderThan") | None, Some(version)) if version != 0 => Ok(At::NotOlderThan(version)),
        (Some("NotOlderThan") | None, _) => Ok(At::Now),
        (Some(other), _) => {
            let allowed = [json!("Exact"), json!("NotOlderThan"), json!("")];
            refuse(Cause::unsupported("resourceVersionMatch", &json!(other), &allowed))
        }
    }
}
