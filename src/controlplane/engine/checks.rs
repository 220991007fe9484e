//! What is checked around a write: that the body is what the path says, what the client decided on, which fields the
//! schema knows. PURE.

use serde_json::{Value, json};

use super::{Call, Validation};
use crate::controlplane::{
    cause::Cause,
    fields::{self, ApplyError, Writer},
    names,
    object::{self, Part},
    patch::PatchError,
    registry::{Origin, Resource},
    status::Refusal,
};

/// The body must be what the path says it is.
pub(super) fn check_kind(call: &Call, body: &mut Value) -> Result<(), Refusal> {
    let resource = &call.resource;
    if !body.is_object() {
        return Err(Refusal::bad_request("the body must be a JSON object"));
    }
    for (field, expected) in [("apiVersion", resource.api_version()), ("kind", resource.kind.clone())] {
        match body[field].as_str().unwrap_or_default() {
            "" if resource.origin == Origin::Custom => {
                return Err(Refusal::bad_request(format!("Object '{field}' is missing in the body")));
            }
            "" => body[field] = json!(expected),
            found if found == expected => {}
            found => {
                return Err(Refusal::bad_request(format!(
                    "the {field} in the data ({found}) does not match the expected {field} ({expected})"
                )));
            }
        }
    }
    let sent = body["metadata"]["namespace"].as_str().unwrap_or_default();
    if !sent.is_empty() && Some(sent) != call.namespace.as_deref() {
        return Err(Refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// The body must name what the path names.
pub(super) fn check_name(call: &Call, body: &Value) -> Result<(), Refusal> {
    match body["metadata"]["name"].as_str().unwrap_or_default() {
        "" => Err(Refusal::bad_request("name must be provided: metadata.name is missing")),
        name if name == call.name => Ok(()),
        name => Err(Refusal::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.name
        ))),
    }
}

/// The version and uid that a client decided on.
pub(super) fn preconditions(call: &Call, old: &Value, new: &Value) -> Result<(), Refusal> {
    let (before, sent) = (&old["metadata"], &new["metadata"]);
    let differs = |field: &str| {
        sent[field].as_str().is_some_and(|value| !value.is_empty() && Some(value) != before[field].as_str())
    };
    if differs("uid") {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            sent["uid"], before["uid"]
        );
        return Err(Refusal::conflict(call.subject(), &why.replace('"', "")));
    }
    if differs("resourceVersion") {
        return Err(Refusal::conflict(
            call.subject(),
            "the object has been modified; please apply your changes to the latest version and try again",
        ));
    }
    Ok(())
}

/// Drops what the schema does not know, and says so or refuses.
pub(super) fn prune(call: &Call, object: &mut Value) -> Result<Vec<String>, Refusal> {
    let unknown = call.resource.info().prune(object);
    let texts = unknown.iter().map(|path| format!("unknown field \"{}\"", path.trim_start_matches('.')));
    match call.validation {
        Validation::Ignore => Ok(Vec::new()),
        Validation::Warn => Ok(texts.collect()),
        Validation::Strict if unknown.is_empty() => Ok(Vec::new()),
        Validation::Strict => Err(strict_refusal(&call.resource, &texts.collect::<Vec<_>>())),
    }
}

/// The refusal of a body that strict reading does not take.
pub fn strict_refusal(resource: &Resource, faults: &[String]) -> Refusal {
    let (kind, version, all) = (&resource.kind, &resource.version, faults.join(", "));
    Refusal::bad_request(format!(
        "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {all}"
    ))
}

/// Leaves of an applied configuration what this face writes.
pub(super) fn face(call: &Call, body: &mut Value) {
    let Some(map) = body.as_object_mut() else { return };
    match call.part {
        Part::Main => {
            if call.resource.status {
                map.remove("status");
            }
        }
        Part::Status => {
            map.retain(|field, _| matches!(field.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
            object::metadata_mut(body).retain(|field, _| {
                matches!(field.as_str(), "name" | "namespace" | "uid" | "resourceVersion")
            });
        }
        Part::Finalize => {}
    }
}

/// Writes down who owns the fields that changed.
pub(super) fn track(call: &Call, old: Option<&Value>, new: &mut Value, now: &str) {
    let api_version = call.resource.api_version();
    let writer =
        Writer { manager: &call.manager, api_version: &api_version, subresource: call.subresource(), now };
    fields::track_update(call.resource.info(), old, new, &writer);
}

/// What is wrong with the object as it would be stored.
pub(super) fn judge(call: &Call, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = match call.part {
        Part::Main => names::metadata(call.resource.name_rule, &new["metadata"]),
        _ => Vec::new(),
    };
    let mut found = call.resource.info().validate(new, old);
    if call.resource.is("", "secrets") {
        // These causes quote the value; what is wrong with one is already said without it.
        found.retain(|cause| !cause.field.starts_with("data."));
    }
    causes.extend(found);
    causes
}

/// The refusal of an object with these faults. What is of the wrong type cannot even be read as a built-in kind.
pub(super) fn fault(call: &Call, causes: Vec<Cause>) -> Refusal {
    let wrong = causes.iter().find(|cause| cause.reason == "FieldValueTypeInvalid");
    match wrong {
        Some(cause)
            if call.resource.origin == Origin::Builtin && call.resource.group != "apiextensions.k8s.io" =>
        {
            let (kind, version) = (&call.resource.kind, &call.resource.version);
            Refusal::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: {}: {}",
                cause.field, cause.message
            ))
        }
        _ => Refusal::invalid(call.kind_subject(), causes),
    }
}

/// A patch that does not fit.
pub(super) fn patch_refusal(call: &Call, error: PatchError) -> Refusal {
    match error {
        PatchError::Invalid(why) => Refusal::bad_request(why),
        PatchError::TestFailed(why) | PatchError::Unfit(why) => {
            let message = format!("the server rejected our request due to an error in our request: {why}");
            Refusal { subject: Box::new(call.subject()), ..Refusal::new(422, "Invalid", message) }
        }
    }
}

/// An apply that was not done.
pub(super) fn apply_refusal(call: &Call, error: ApplyError) -> Refusal {
    let conflicts = match error {
        ApplyError::Invalid(why) => return Refusal::bad_request(why),
        ApplyError::Conflicts(conflicts) => conflicts,
    };
    let causes: Vec<Cause> = conflicts
        .iter()
        .map(|conflict| Cause {
            field: conflict.field.clone(),
            reason: "FieldManagerConflict",
            message: format!("conflict with \"{}\" using {}", conflict.manager, call.resource.api_version()),
        })
        .collect();
    let count = conflicts.len();
    let list = conflicts.iter().map(|one| format!("conflict with \"{}\": {}", one.manager, one.field));
    let message = format!(
        "Apply failed with {count} conflict{}: {}",
        if count == 1 { "" } else { "s" },
        list.collect::<Vec<_>>().join("\n")
    );
    Refusal { causes, ..Refusal::new(409, "Conflict", message) }
}
