//! Delete: at once, or marked until its finalizers are gone.

use serde_json::{Value, json};

use super::{Call, Done, Engine, commit_refusal, now_text, write::set_version};
use crate::controlplane::{
    kinds,
    object::{self, Deletion, Part, Propagation},
    registry::crd,
    status::Refusal,
    store::{CommitError, Expect, Next, Write},
};

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// What happens to dependents; the kind's default if not given.
    pub propagation: Option<Propagation>,
    /// Only if the object has this uid.
    pub uid: Option<String>,
    /// Only if the object has this version.
    pub version: Option<String>,
}

impl Engine {
    /// Deletes an object.
    pub async fn delete(&self, call: &Call, options: &DeleteOptions) -> Result<Done, Refusal> {
        let is_namespace = call.resource.is("", "namespaces");
        if is_namespace && kinds::STANDING.contains(&call.name.as_str()) {
            return Err(Refusal::forbidden(call.subject(), "this namespace may not be deleted"));
        }
        loop {
            let stored = self.get(&call.resource, call.namespace.as_deref(), &call.name)?;
            let old = call.resource.present(&stored);
            preconditions(call, &old, options)?;
            let mut subject = old.clone();
            if call.resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
                hold_definition(&mut subject);
            }
            let held =
                is_namespace && old["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
            let propagation = options.propagation.unwrap_or(Propagation::Background);
            if options.propagation == Some(Propagation::Background) {
                // Said explicitly, it takes back an earlier wish.
                retain_finalizers(&mut subject, |one| one != object::FOREGROUND && one != object::ORPHAN);
            }
            let (mut object, removed) = match object::delete(&subject, propagation, held, &now_text()) {
                Deletion::Unchanged => {
                    return Ok(Done { object: old, created: false, removed: false, warnings: Vec::new() });
                }
                Deletion::Remove => (subject, true),
                Deletion::Mark(marked) => (marked, false),
            };
            if is_namespace && !removed {
                object["status"]["phase"] = json!("Terminating");
            }
            if !call.dry_run {
                let body = call.resource.store_form(&object);
                let next = if removed { Next::Remove(body) } else { Next::Put(body) };
                let expect = Expect::At(stored.revision);
                match self.store.commit(Write { key: call.key(), expect, next, guards: Vec::new() }).await {
                    Ok(revision) => {
                        set_version(&mut object, revision);
                        self.committed(call, &object, removed);
                    }
                    Err(CommitError::Stale) => continue,
                    Err(error) => return Err(commit_refusal(error)),
                }
            }
            return Ok(Done { object, created: false, removed, warnings: Vec::new() });
        }
    }

    /// Takes one finalizer away from an object, if it is still there.
    pub async fn release(&self, call: &Call, finalizer: &str) -> Result<(), Refusal> {
        let call = Call { part: Part::Main, ..call.clone() };
        let outcome = self
            .modify(&call, false, |live| {
                let mut next = live.clone();
                retain_finalizers(&mut next, |one| one != finalizer);
                Ok(next)
            })
            .await;
        match outcome {
            Err(refusal) if refusal.code != 404 => Err(refusal),
            _ => Ok(()),
        }
    }
}

fn retain_finalizers(object: &mut Value, keep: impl Fn(&str) -> bool) {
    let metadata = object::metadata_mut(object);
    if let Some(list) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
        list.retain(|one| one.as_str().is_none_or(&keep));
        if list.is_empty() {
            metadata.remove("finalizers");
        }
    }
}

/// A definition stays until its objects are gone.
fn hold_definition(definition: &mut Value) {
    if definition["metadata"]["deletionTimestamp"].is_string() {
        return;
    }
    let metadata = object::metadata_mut(definition);
    let mut finalizers = metadata
        .get("finalizers")
        .map(|list| list.as_array().cloned().unwrap_or_default())
        .unwrap_or_default();
    if !finalizers.iter().any(|one| one == crd::CLEANUP) {
        finalizers.push(json!(crd::CLEANUP));
    }
    metadata.insert("finalizers".to_owned(), json!(finalizers));
    let now = now_text();
    let message = "CustomResource deletion is in progress";
    crd::set_condition(
        &mut definition["status"],
        "Terminating",
        true,
        "InstanceDeletionInProgress",
        message,
        &now,
    );
}

fn preconditions(call: &Call, object: &Value, options: &DeleteOptions) -> Result<(), Refusal> {
    let metadata = &object["metadata"];
    for (label, field, wanted) in
        [("UID", "uid", &options.uid), ("ResourceVersion", "resourceVersion", &options.version)]
    {
        let found = metadata[field].as_str().unwrap_or_default();
        if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) {
            let why = format!(
                "Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {found}"
            );
            return Err(Refusal::conflict(call.subject(), &why));
        }
    }
    Ok(())
}
