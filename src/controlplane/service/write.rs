//! Create, update, patch, apply, delete.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{Ask, body, document, strict};
use crate::controlplane::{
    cause::Cause,
    engine::{Call, Done, Validation, checks::strict_refusal, delete::DeleteOptions, write::Patch},
    object::{Part, Propagation},
    path::Address,
    registry::{Origin, Resource},
    status::{Refusal, success},
};

impl Ask {
    pub(super) fn call(&self, resource: &Arc<Resource>, address: &Address) -> Result<Call, Refusal> {
        let validation = match self.query.get("fieldValidation") {
            None | Some("Warn") => Validation::Warn,
            Some("Ignore") => Validation::Ignore,
            Some("Strict") => Validation::Strict,
            Some(other) => {
                let allowed = ["Ignore", "Strict", "Warn"].map(|one| json!(one));
                let cause = Cause::unsupported("fieldValidation", &json!(other), &allowed);
                return Err(Refusal::option(self.options_kind(), cause));
            }
        };
        let applies = body::media_type(&self.headers) == "application/apply-patch+yaml";
        if self.method == Method::PATCH && self.query.get("force").is_some() && !applies {
            let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
            return Err(Refusal::option(self.options_kind(), cause));
        }
        Ok(Call {
            resource: resource.clone(),
            namespace: address.namespace.clone(),
            name: address.name.clone().unwrap_or_default(),
            part: match address.subresource.as_deref() {
                Some("status") => Part::Status,
                Some("finalize") => Part::Finalize,
                _ => Part::Main,
            },
            manager: self.manager()?,
            dry_run: self.dry_run()?,
            validation,
        })
    }

    fn manager(&self) -> Result<String, Refusal> {
        if let Some(manager) = self.query.get("fieldManager") {
            if 128 < manager.chars().count() || manager.chars().any(char::is_control) {
                return Err(Refusal::bad_request("fieldManager must be at most 128 printable characters"));
            }
            return Ok(manager.to_owned());
        }
        let agent =
            self.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let program = agent.split('/').next().unwrap_or_default();
        Ok(if program.is_empty() { "unknown".to_owned() } else { program.chars().take(128).collect() })
    }

    /// The object that was sent, and what is to be said about members that it has twice.
    fn sent(&self, call: &Call) -> Result<(Value, Vec<String>), Refusal> {
        let plain = matches!(body::media_type(&self.headers), "" | "application/json");
        if !plain || call.validation == Validation::Ignore {
            return Ok((body::object(&self.headers, &self.body)?, Vec::new()));
        }
        let (object, twice) = strict::parse(&self.body).map_err(|error| body::not_json(&error))?;
        let warnings: Vec<String> = twice.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
        if call.validation == Validation::Strict && !warnings.is_empty() {
            return Err(strict_refusal(&call.resource, &warnings));
        }
        Ok((object, warnings))
    }

    fn dry_run(&self) -> Result<bool, Refusal> {
        match self.query.get("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(self.bad_dry_run(&json!(other))),
        }
    }

    fn bad_dry_run(&self, found: &Value) -> Refusal {
        Refusal::option(self.options_kind(), Cause::unsupported("dryRun", found, &[json!("All")]))
    }

    fn options_kind(&self) -> &'static str {
        match self.method {
            Method::POST => "CreateOptions",
            Method::PUT => "UpdateOptions",
            Method::PATCH => "PatchOptions",
            _ => "DeleteOptions",
        }
    }

    pub(super) async fn post(
        self,
        resource: &Arc<Resource>,
        address: &Address,
    ) -> Result<Response<Body>, Refusal> {
        let call = self.call(resource, address)?;
        let (object, warnings) = self.sent(&call)?;
        let done = self.engine.create(&call, object).await?;
        self.done(resource, Done { warnings: [warnings, done.warnings].concat(), ..done })
    }

    pub(super) async fn put(
        self,
        resource: &Arc<Resource>,
        address: &Address,
    ) -> Result<Response<Body>, Refusal> {
        let call = self.call(resource, address)?;
        let (object, warnings) = self.sent(&call)?;
        let done = self.engine.update(&call, object).await?;
        self.done(resource, Done { warnings: [warnings, done.warnings].concat(), ..done })
    }

    pub(super) async fn patch(
        self,
        resource: &Arc<Resource>,
        address: &Address,
    ) -> Result<Response<Body>, Refusal> {
        let call = self.call(resource, address)?;
        let done = match body::media_type(&self.headers) {
            "application/json-patch+json" => {
                let patch = body::json(&self.body)?;
                self.engine.patch(&call, &Patch::Json(patch)).await?
            }
            "application/merge-patch+json" => {
                let patch = body::json(&self.body)?;
                self.engine.patch(&call, &Patch::Merge(patch)).await?
            }
            "application/strategic-merge-patch+json" if resource.origin == Origin::Builtin => {
                let patch = body::json(&self.body)?;
                self.engine.patch(&call, &Patch::Strategic(patch)).await?
            }
            "application/apply-patch+yaml" => {
                if self.query.get("fieldManager").is_none() {
                    let cause = Cause::required("fieldManager", "is required for apply patch");
                    return Err(Refusal::option(self.options_kind(), cause));
                }
                let object = body::yaml(&self.body)?;
                self.engine.apply(&call, object, self.query.flag("force")).await?
            }
            other => {
                let strategic = if resource.origin == Origin::Builtin {
                    ", application/strategic-merge-patch+json"
                } else {
                    ""
                };
                return Err(Refusal::unsupported_media_type(format!(
                    "the body of the request was in an unknown format - {other}; accepted media types include: \
                     application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml{strategic}"
                )));
            }
        };
        self.done(resource, done)
    }

    pub(super) async fn delete(
        self,
        resource: &Arc<Resource>,
        address: &Address,
    ) -> Result<Response<Body>, Refusal> {
        let mut call = self.call(resource, address)?;
        let (options, dry_run) = self.delete_options()?;
        call.dry_run |= dry_run;
        let done = self.engine.delete(&call, &options).await?;
        if done.removed {
            let mut subject = resource.subject(&call.name);
            subject.uid = done.object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            return Ok(document(StatusCode::OK, &success(&subject), false));
        }
        self.done(resource, done)
    }

    pub(super) async fn delete_collection(
        self,
        resource: &Arc<Resource>,
        address: &Address,
    ) -> Result<Response<Body>, Refusal> {
        if resource.is("", "namespaces") {
            return Err(Refusal::method_not_allowed());
        }
        let mut call = self.call(resource, address)?;
        let (options, dry_run) = self.delete_options()?;
        call.dry_run |= dry_run;
        let request = self.list_request(resource)?;
        let page = self.engine.list(resource, address.namespace.as_deref(), &request)?;
        let mut items = Vec::new();
        for stored in &page.items {
            let object = resource.present(stored);
            let text = |field: &str| object["metadata"][field].as_str().map(str::to_owned);
            let one =
                Call { name: text("name").unwrap_or_default(), namespace: text("namespace"), ..call.clone() };
            match self.engine.delete(&one, &options).await {
                Ok(done) => items.push(done.object),
                // Gone already, which is what was asked for.
                Err(refusal) if refusal.code == 404 => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let list = json!({
            "apiVersion": resource.api_version(), "kind": resource.list_kind,
            "metadata": {"resourceVersion": page.revision.to_string()}, "items": items,
        });
        Ok(document(StatusCode::OK, &list, false))
    }

    /// The options of a delete, from the body and the parameters; the parameters win.
    fn delete_options(&self) -> Result<(DeleteOptions, bool), Refusal> {
        let body = if self.body.is_empty() { Value::Null } else { body::object(&self.headers, &self.body)? };
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let named =
            self.query.get("propagationPolicy").map(str::to_owned).or_else(|| text("/propagationPolicy"));
        let orphan = body["orphanDependents"].as_bool();
        let orphan =
            self.query.get("orphanDependents").map(|_| self.query.flag("orphanDependents")).or(orphan);
        let propagation = match (named.as_deref(), orphan) {
            (Some(_), Some(_)) => {
                let why = "orphanDependents and deletionPropagation cannot be both set";
                let cause = Cause::invalid("propagationPolicy", &json!(named), why);
                return Err(Refusal::option(self.options_kind(), cause));
            }
            (Some("Background"), None) => Some(Propagation::Background),
            (Some("Foreground"), None) => Some(Propagation::Foreground),
            (Some("Orphan"), None) | (None, Some(true)) => Some(Propagation::Orphan),
            (None, Some(false)) => Some(Propagation::Background),
            (None, None) => None,
            (Some(other), None) => {
                let allowed = ["Foreground", "Background", "Orphan"].map(|one| json!(one));
                let cause = Cause::unsupported("propagationPolicy", &json!(other), &allowed);
                return Err(Refusal::option(self.options_kind(), cause));
            }
        };
        let mut dry_run = false;
        for one in body["dryRun"].as_array().into_iter().flatten() {
            // Whoever misspells it must not delete for real.
            if one != "All" {
                return Err(self.bad_dry_run(one));
            }
            dry_run = true;
        }
        let options = DeleteOptions {
            propagation,
            uid: text("/preconditions/uid"),
            version: text("/preconditions/resourceVersion"),
        };
        Ok((options, dry_run))
    }
}
