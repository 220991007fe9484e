//! Questions that store nothing: who am I, and what may I do. Whoever holds the token may do everything.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{Ask, body, document};
use crate::controlplane::{registry::Resource, status::Refusal};

impl Ask {
    pub(super) fn review(self, resource: &Arc<Resource>) -> Result<Response<Body>, Refusal> {
        if self.method != Method::POST {
            return Err(Refusal::method_not_allowed());
        }
        let mut review = body::object(&self.headers, &self.body)?;
        if !review.is_object() {
            return Err(Refusal::bad_request("the body must be a JSON object"));
        }
        review["apiVersion"] = json!(resource.api_version());
        review["kind"] = json!(resource.kind);
        review["status"] = match resource.kind.as_str() {
            "SelfSubjectReview" => {
                json!({"userInfo": {"username": self.identity.name, "groups": self.identity.groups}})
            }
            "SelfSubjectRulesReview" => json!({
                "incomplete": false,
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            }),
            "SelfSubjectAccessReview" => allowed("the holder of this plane's token may do everything"),
            _ => {
                let known = review["spec"]["user"] == Value::String(self.identity.name.clone());
                if known {
                    allowed("the only user")
                } else {
                    json!({"allowed": false, "reason": "there is no such user"})
                }
            }
        };
        Ok(document(StatusCode::CREATED, &review, false))
    }
}

fn allowed(why: &str) -> Value {
    json!({"allowed": true, "reason": why})
}
