//! Moving an object from kubectl's client-side apply to server-side apply.
//!
//! PURE. Client-side apply left its last configuration in an annotation; what stands there unchanged was
//! the user's own, so taking it over is no conflict.

use serde_json::Value;

use super::set::{Elem, FieldSet};
use super::typed::Typed;
use super::{Writer, tracked};

/// The manager whose applies migrate; another name opts out.
const KUBECTL: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Fields that kubectl may take without conflict.
pub(super) fn excused(typed: Typed, live: Option<&Value>, writer: &Writer) -> FieldSet {
    let left = live.filter(|_| writer.manager == KUBECTL).and_then(annotation);
    let Some((live, last)) = live.zip(left.and_then(|text| serde_json::from_str::<Value>(text).ok())) else {
        return FieldSet::default();
    };
    let (live, last) = (tracked(live), tracked(&last));
    let drift = typed.compare(Some(&live), Some(&last));
    let mut set = typed.fields(typed.root(), &last).difference(&drift.added.union(&drift.modified));
    // The annotation itself is kubectl's.
    set.insert(&[Elem::field("metadata"), Elem::field("annotations"), Elem::field(ANNOTATION)]);
    set
}

/// Keeps the annotation true, so that going back to client-side apply still works.
pub(super) fn refresh_annotation(after: &mut Value, applied: &Value, writer: &Writer) {
    if writer.manager != KUBECTL || writer.subresource.is_some() || annotation(after).is_none() {
        return;
    }
    let mut config = applied.clone();
    if let Some(metadata) = config.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(ANNOTATION);
        }
    }
    if let Some(slot) = after.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        slot.insert(ANNOTATION.to_owned(), Value::from(config.to_string()));
    }
}

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()
}
