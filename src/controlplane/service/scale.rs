//! The scale subresource: three numbers of an object, read and written as an autoscaling/v1 Scale.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{Ask, body, document};
use crate::controlplane::{
    jsonpath, patch,
    path::Address,
    registry::{Resource, Scale},
    status::Refusal,
};

impl Ask {
    pub(super) async fn scale(
        self,
        resource: &Arc<Resource>,
        address: &Address,
    ) -> Result<Response<Body>, Refusal> {
        let Some(scale) = &resource.scale else { return Err(Refusal::no_such_path()) };
        let call = self.call(resource, address)?;
        if self.method == Method::GET {
            let stored = self.engine.get(resource, address.namespace.as_deref(), &call.name)?;
            return Ok(document(StatusCode::OK, &view(scale, &resource.present(&stored)), false));
        }
        let sent = match (&self.method, body::media_type(&self.headers)) {
            (&Method::PUT, _) => body::object(&self.headers, &self.body)?,
            (&Method::PATCH, "application/json-patch+json") => body::json(&self.body)?,
            (&Method::PATCH, _) => body::yaml(&self.body)?,
            _ => return Err(Refusal::method_not_allowed()),
        };
        let done = self
            .engine
            .modify(&call, true, |live| {
                let mut wanted = view(scale, live);
                match (&self.method, sent.is_array()) {
                    (&Method::PUT, _) => wanted = sent.clone(),
                    (_, false) => patch::merge_patch(&mut wanted, &sent),
                    (_, true) => patch::json_patch(&mut wanted, &sent)
                        .map_err(|_| Refusal::bad_request("the patch does not fit a Scale"))?,
                }
                let replicas = wanted["spec"]["replicas"].as_i64().unwrap_or(0);
                if replicas < 0 {
                    return Err(Refusal::bad_request("spec.replicas: must be zero or more"));
                }
                let mut next = live.clone();
                if let Some(version) = wanted["metadata"]["resourceVersion"].as_str() {
                    next["metadata"]["resourceVersion"] = json!(version);
                }
                jsonpath::set(&mut next, &scale.wanted, json!(replicas));
                Ok(next)
            })
            .await?;
        Ok(document(StatusCode::OK, &view(scale, &done.object), false))
    }
}

fn view(scale: &Scale, object: &Value) -> Value {
    let metadata = &object["metadata"];
    let number = |path: &str| jsonpath::first(object, path).and_then(Value::as_i64).unwrap_or(0);
    let selector = match &scale.selector {
        Some(path) => jsonpath::first(object, path).and_then(Value::as_str).unwrap_or_default().to_owned(),
        None => labels(&object["spec"]["selector"]["matchLabels"]),
    };
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": number(&scale.wanted)},
        "status": {"replicas": number(&scale.present), "selector": selector},
    })
}

fn labels(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join(",")
}
