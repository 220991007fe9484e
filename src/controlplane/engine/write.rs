//! Create, update, patch and apply.

use serde_json::{Value, json};

use super::{
    Call, Done, Engine,
    checks::{
        apply_refusal, check_kind, check_name, face, fault, judge, patch_refusal, preconditions, prune, track,
    },
    commit_refusal, now_text,
};
use crate::controlplane::{
    cause::Cause,
    fields::{self, Writer},
    gc::index,
    kinds,
    object::{self, Part},
    patch,
    registry::{Origin, crd, faults},
    status::Refusal,
    store::{CommitError, Expect, Next, Write},
};

/// A change to an object that is there.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7396.
    Merge(Value),
    /// Kubernetes' strategic merge.
    Strategic(Value),
}

/// What a decided write comes to.
struct Settled {
    object: Value,
    unchanged: bool,
    warnings: Vec<String>,
}

impl Engine {
    /// Stores a new object.
    pub async fn create(&self, call: &Call, body: Value) -> Result<Done, Refusal> {
        let mut body = body;
        check_kind(call, &mut body)?;
        let metadata = object::metadata_mut(&mut body);
        if metadata.get("resourceVersion").and_then(Value::as_str).is_some_and(|version| !version.is_empty())
        {
            return Err(Refusal::bad_request("resourceVersion should not be set on objects to be created"));
        }
        let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let generate = metadata.get("generateName").and_then(Value::as_str).unwrap_or_default().to_owned();
        if name.is_empty() && generate.is_empty() {
            let cause = Cause::required("metadata.name", "name or generateName is required");
            return Err(Refusal::invalid(call.resource.kind_subject(""), vec![cause]));
        }
        if !name.is_empty() {
            let call = Call { name, ..call.clone() };
            return self.create_named(&call, body, true).await;
        }
        for _ in 0..8 {
            let base: String = generate.chars().take(58).collect();
            let name = format!("{base}{}", self.suffix());
            let call = Call { name, ..call.clone() };
            match self.create_named(&call, body.clone(), true).await {
                Err(refusal) if refusal.reason == "AlreadyExists" => {}
                other => return other,
            }
        }
        Err(Refusal::already_exists(call.resource.subject(&generate)))
    }

    /// `tracked` says whether the owners of the fields are still to be written down; apply has done so already.
    async fn create_named(&self, call: &Call, body: Value, tracked: bool) -> Result<Done, Refusal> {
        let mut new = body;
        let warnings = prune(call, &mut new)?;
        let now = now_text();
        let metadata = object::metadata_mut(&mut new);
        metadata.insert("name".to_owned(), json!(call.name));
        match &call.namespace {
            Some(namespace) => metadata.insert("namespace".to_owned(), json!(namespace)),
            None => metadata.remove("namespace"),
        };
        object::begin(call.rules(), &mut new, &self.uid(), &now);
        call.resource.info().default(&mut new);
        let mut causes = self.prepare(call, None, &mut new, &now);
        if tracked {
            track(call, None, &mut new, &now);
        }
        causes.extend(judge(call, &new, None));
        if !causes.is_empty() {
            return Err(fault(call, causes));
        }
        let key = call.key();
        loop {
            let mut guards = self.live_namespace(call)?;
            guards.extend(self.live_definition(call)?);
            if self.store.get(&key).map_err(super::read_refusal)?.is_some() {
                return Err(Refusal::already_exists(call.subject()));
            }
            if call.dry_run {
                return Ok(Done { object: new, created: true, removed: false, warnings });
            }
            let next = Next::Put(call.resource.store_form(&new));
            match self.store.commit(Write { key: key.clone(), expect: Expect::Absent, next, guards }).await {
                Ok(revision) => {
                    set_version(&mut new, revision);
                    self.committed(call, &new, false);
                    return Ok(Done { object: new, created: true, removed: false, warnings });
                }
                Err(CommitError::Stale) => {}
                Err(error) => return Err(commit_refusal(error)),
            }
        }
    }

    /// Replaces an object.
    pub async fn update(&self, call: &Call, body: Value) -> Result<Done, Refusal> {
        let mut body = body;
        check_kind(call, &mut body)?;
        check_name(call, &body)?;
        let version = body["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if version.is_empty() && !call.resource.unconditional_update {
            self.get(&call.resource, call.namespace.as_deref(), &call.name)?;
            let cause = Cause {
                field: "metadata.resourceVersion".to_owned(),
                reason: "FieldValueInvalid",
                message: "Invalid value: 0: must be specified for an update".to_owned(),
            };
            return Err(Refusal::invalid(call.kind_subject(), vec![cause]));
        }
        self.modify(call, true, |_| Ok(body.clone())).await
    }

    /// Changes an object.
    pub async fn patch(&self, call: &Call, patch: &Patch) -> Result<Done, Refusal> {
        self.modify(call, true, |live| {
            let mut next = live.clone();
            match patch {
                Patch::Json(patch) => patch::json_patch(&mut next, patch),
                Patch::Merge(patch) => {
                    patch::merge_patch(&mut next, patch);
                    Ok(())
                }
                Patch::Strategic(patch) => patch::strategic_merge(call.resource.info(), &mut next, patch),
            }
            .map_err(|error| patch_refusal(call, error))?;
            if next["apiVersion"] != live["apiVersion"] || next["kind"] != live["kind"] {
                return Err(Refusal::bad_request("a patch may not change apiVersion or kind"));
            }
            if next["metadata"]["name"] != live["metadata"]["name"] {
                let cause = Cause {
                    field: "metadata.name".to_owned(),
                    reason: "FieldValueInvalid",
                    message: format!("Invalid value: {}: field is immutable", next["metadata"]["name"]),
                };
                return Err(Refusal::invalid(call.kind_subject(), vec![cause]));
            }
            Ok(next)
        })
        .await
    }

    /// Applies a configuration; makes the object if there is none.
    pub async fn apply(&self, call: &Call, body: Value, force: bool) -> Result<Done, Refusal> {
        let mut body = body;
        check_kind(call, &mut body)?;
        // The path has said the name; whoever applies a status need not say it again.
        object::metadata_mut(&mut body).entry("name").or_insert_with(|| json!(call.name));
        check_name(call, &body)?;
        if body["metadata"]
            .get("managedFields")
            .is_some_and(|list| list.as_array().is_none_or(|list| !list.is_empty()))
        {
            return Err(Refusal::bad_request("metadata.managedFields must be nil"));
        }
        let warnings = prune(call, &mut body)?;
        face(call, &mut body);
        loop {
            let now = now_text();
            let api_version = call.resource.api_version();
            let writer = Writer {
                manager: &call.manager,
                api_version: &api_version,
                subresource: call.subresource(),
                now: &now,
            };
            let merge = |live: Option<&Value>| {
                fields::apply(call.resource.info(), live, &body, &writer, force)
                    .map_err(|error| apply_refusal(call, error))
            };
            let outcome = match self.find(&call.resource, call.namespace.as_deref(), &call.name)? {
                Some(_) => {
                    let decided = self.modify(call, false, |live| {
                        // Merging keeps the live version and uid, so what the client sent is judged before.
                        preconditions(call, live, &body)?;
                        merge(Some(live))
                    });
                    decided.await
                }
                None if call.part != Part::Main => return Err(Refusal::not_found(call.subject())),
                None if body["metadata"]["uid"].is_string() => {
                    let why =
                        "uid mismatch: the provided object specified uid, and no existing object was found";
                    return Err(Refusal::conflict(call.subject(), why));
                }
                None => self.create_named(call, merge(None)?, false).await,
            };
            match outcome {
                // Created or deleted by somebody else between the look and the write.
                Err(refusal) if refusal.reason == "AlreadyExists" => {}
                Err(refusal) if refusal.code == 404 && *refusal.subject == call.subject() => {}
                outcome => {
                    return outcome
                        .map(|done| Done { warnings: [warnings.clone(), done.warnings].concat(), ..done });
                }
            }
        }
    }

    /// Decides by `change` on the present object, until nobody interferes.
    pub async fn modify(
        &self,
        call: &Call,
        tracked: bool,
        change: impl Fn(&Value) -> Result<Value, Refusal>,
    ) -> Result<Done, Refusal> {
        let key = call.key();
        loop {
            let stored = self.get(&call.resource, call.namespace.as_deref(), &call.name)?;
            let old = call.resource.present(&stored);
            let settled = self.settle(call, &old, change(&old)?, tracked)?;
            let (mut object, warnings) = (settled.object, settled.warnings);
            if settled.unchanged {
                return Ok(Done { object: old, created: false, removed: false, warnings });
            }
            let removed = object::finished(&object);
            if call.dry_run {
                return Ok(Done { object, created: false, removed, warnings });
            }
            let body = call.resource.store_form(&object);
            let next = if removed { Next::Remove(body) } else { Next::Put(body) };
            let write =
                Write { key: key.clone(), expect: Expect::At(stored.revision), next, guards: Vec::new() };
            match self.store.commit(write).await {
                Ok(revision) => {
                    set_version(&mut object, revision);
                    self.committed(call, &object, removed);
                    return Ok(Done { object, created: false, removed, warnings });
                }
                Err(CommitError::Stale) => {}
                Err(error) => return Err(commit_refusal(error)),
            }
        }
    }

    fn settle(&self, call: &Call, old: &Value, new: Value, tracked: bool) -> Result<Settled, Refusal> {
        let mut new = new;
        preconditions(call, old, &new)?;
        let warnings = prune(call, &mut new)?;
        let now = now_text();
        let mut causes = object::carry_over(call.rules(), call.part, old, &mut new);
        call.resource.info().default(&mut new);
        causes.extend(self.prepare(call, Some(old), &mut new, &now));
        object::bump_generation(call.rules(), old, &mut new);
        if tracked {
            track(call, Some(old), &mut new, &now);
        }
        let unchanged = causes.is_empty() && object::same(old, &new);
        if !unchanged {
            causes.extend(judge(call, &new, Some(old)));
        }
        if !causes.is_empty() {
            return Err(fault(call, causes));
        }
        Ok(Settled { object: new, unchanged, warnings })
    }

    fn prepare(&self, call: &Call, old: Option<&Value>, new: &mut Value, now: &str) -> Vec<Cause> {
        let mut causes = match call.part {
            Part::Finalize => Vec::new(),
            Part::Main | Part::Status => kinds::prepare(&call.resource, old, new),
        };
        if call.resource.is("apiextensions.k8s.io", "customresourcedefinitions") && call.part == Part::Main {
            faults::complete(new);
            causes.extend(faults::faults(new, old));
            if causes.is_empty() {
                crd::set_status(new, &self.registry.served(), now);
            }
        }
        causes
    }

    /// What follows from a write at once, before anybody is answered.
    pub(super) fn committed(&self, call: &Call, object: &Value, removed: bool) {
        if call.resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
            if removed { self.registry.remove_crd(object) } else { self.registry.put_crd(object) }
        }
    }

    /// The namespace that a new object goes to, as it stands: it must exist and not be on its way out.
    fn live_namespace(&self, call: &Call) -> Result<Vec<(String, u64)>, Refusal> {
        let Some(namespace) = &call.namespace else { return Ok(Vec::new()) };
        let namespaces = self.namespaces();
        let stored = self.get(&namespaces, None, namespace)?;
        if stored.value()["metadata"]["deletionTimestamp"].is_string() {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            let cause = Cause {
                field: "metadata.namespace".to_owned(),
                reason: "NamespaceTerminating",
                message: format!("namespace {namespace} is being terminated"),
            };
            return Err(Refusal { causes: vec![cause], ..Refusal::forbidden(call.subject(), &why) });
        }
        Ok(vec![(namespaces.key(None, namespace), stored.revision)])
    }

    /// The definition of a new object, as it stands: it must not be on its way out, or the object would outlive it.
    fn live_definition(&self, call: &Call) -> Result<Option<(String, u64)>, Refusal> {
        if call.resource.origin != Origin::Custom {
            return Ok(None);
        }
        let definitions = self.definitions();
        let name = call.resource.full_name();
        let stored = self.find(&definitions, None, &name)?.ok_or_else(Refusal::no_such_path)?;
        // Definitions are large; the text rarely occurs, so most of the time nothing need be parsed.
        if index::contains(&stored.body, b"\"deletionTimestamp\"")
            && stored.value()["metadata"]["deletionTimestamp"].is_string()
        {
            let message = "create not allowed while custom resource definition is terminating";
            return Err(Refusal::forbidden(call.subject(), message));
        }
        Ok(Some((definitions.key(None, &name), stored.revision)))
    }
}

/// Writes the version of the commit into the answer.
pub(super) fn set_version(object: &mut Value, revision: u64) {
    object::metadata_mut(object).insert("resourceVersion".to_owned(), json!(revision.to_string()));
}
