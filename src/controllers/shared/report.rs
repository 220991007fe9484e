//! How statuses and events are written: a status only when it says something new, an event never in place of one.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use crate::api::condition::{condition, reasons, types};
use crate::controllers::shared::context::Context;
use crate::telemetry::chain::Chain;

/// Longest a single call to the control plane may take.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// A failed write of a status.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    /// The control plane refused or failed.
    #[error("write the status of {name}")]
    Apply {
        /// The object.
        name: String,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("write the status of {name}: no answer in {CALL_DEADLINE:?}")]
    Deadline {
        /// The object.
        name: String,
    },
}

/// What became of a status.
#[derive(Debug)]
pub enum Applied<K> {
    /// It stands; the object as it is with it.
    As(Box<K>),
    /// Its object is gone and has nothing to report.
    Gone,
    /// The object is another than the one that the status was made from, which its watch will show.
    Behind,
    /// It could not be written.
    Failed,
}

impl<K> Applied<K> {
    /// Whether nothing is left to be written.
    pub fn stands(&self) -> bool {
        matches!(self, Self::As(_) | Self::Gone)
    }
}

/// On which version of its object a status may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Whichever stands.
    Any,
    /// The one it was made from: what a call whose answer was lost has written, is not written again with other times.
    This,
}

/// Applies `status` of `object` under the field manager; the caller has seen that it differs from what stands there. A
/// failure is logged, once while it stays the same.
pub async fn apply_status<K, S>(
    ctx: &Context,
    api: &Api<K>,
    object: &K,
    status: &S,
    manager: &str,
    on: On,
) -> Applied<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
    S: Serialize,
{
    let meta = object.meta();
    let about = about(object);
    match write_status(api, object, status, manager, on).await {
        Ok(Applied::Behind) => {
            ctx.said.fails(about, "behind");
            debug!(namespace = meta.namespace, name = meta.name, "status made from an older object");
            Applied::Behind
        }
        Ok(applied) => {
            ctx.said.is_well(&about);
            applied
        }
        Err(error) => {
            let error = Chain(&error).to_string();
            match ctx.said.fails(about, &error) {
                true => warn!(namespace = meta.namespace, error, "status not written"),
                false => debug!(namespace = meta.namespace, error, "status still not written"),
            }
            Applied::Failed
        }
    }
}

async fn write_status<K, S>(
    api: &Api<K>,
    object: &K,
    status: &S,
    manager: &str,
    on: On,
) -> Result<Applied<K>, ReportError>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
    S: Serialize,
{
    let name = object.meta().name.clone().unwrap_or_default();
    // The uid makes sure that a status never lands on another object of the same name.
    let mut metadata = serde_json::json!({ "name": name, "uid": object.meta().uid });
    if on == On::This {
        metadata["resourceVersion"] = object.meta().resource_version.as_deref().into();
    }
    let patch = serde_json::json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": metadata,
        "status": status,
    });
    let params = PatchParams::apply(manager).force();
    let patch = Patch::Apply(&patch);
    let call = api.patch_status(&name, &params, &patch);
    match tokio::time::timeout(CALL_DEADLINE, call).await {
        Err(_) => Err(ReportError::Deadline { name }),
        Ok(Ok(written)) => {
            debug!(object = %name, kind = %K::kind(&()), "status written");
            Ok(Applied::As(Box::new(written)))
        }
        Ok(Err(kube::Error::Api(status))) if status.is_not_found() => Ok(Applied::Gone),
        Ok(Err(kube::Error::Api(status))) if status.is_conflict() => match on {
            On::Any => Ok(Applied::Gone),
            On::This => Ok(Applied::Behind),
        },
        Ok(Err(source)) => Err(ReportError::Apply { name, source: Box::new(source) }),
    }
}

/// Whether an object's status could not be written when that was last tried.
pub fn is_open<K: Resource<DynamicType = ()>>(ctx: &Context, object: &K) -> bool {
    ctx.said.is_failing(&about(object))
}

/// What is said of an object's status is said under this.
fn about<K: Resource<DynamicType = ()>>(object: &K) -> String {
    let meta = object.meta();
    format!("{} {:?} {:?}", K::kind(&()), meta.namespace, meta.name)
}

/// Publishes an event; a failure is logged and forgotten, since the status says the same. A good one tells of one
/// change and stands for itself; a bad one of the same reason as one before only counts it up, so its words must hold
/// for both.
pub async fn publish(
    ctx: &Context,
    about: &ObjectReference,
    good: bool,
    reason: &str,
    action: &str,
    note: String,
) {
    let event = Event {
        type_: if good { EventType::Normal } else { EventType::Warning },
        reason: reason.to_owned(),
        note: Some(cut(note, 1024)),
        action: action.to_owned(),
        secondary: None,
    };
    let recorder = if good { ctx.fresh_recorder() } else { ctx.recorder.clone() };
    let call = recorder.publish(&event, about);
    match tokio::time::timeout(CALL_DEADLINE, call).await {
        Ok(Ok(())) => {
            ctx.said.is_well(EVENTS);
        }
        Ok(Err(error)) => lost(ctx, reason, &Chain(&error).to_string()),
        Err(_) => lost(ctx, reason, "no answer in time"),
    }
}

/// What failures of events are said of: all of them fail alike.
const EVENTS: &str = "events";

fn lost(ctx: &Context, reason: &str, error: &str) {
    match ctx.said.fails(EVENTS.to_owned(), error) {
        true => warn!(reason, error, "event not published"),
        false => debug!(reason, error, "event not published"),
    }
}

/// The condition of an object outside the scope.
pub fn unserved(ctx: &Context) -> Condition {
    condition(types::READY, false, reasons::NAMESPACE_NOT_SERVED, ctx.scope().refusal())
}

/// Whether nobody has reported on an object, or only that its namespace is not served.
pub fn is_unserved(conditions: &[Condition]) -> bool {
    conditions.iter().all(|one| one.type_ == types::READY && one.reason == reasons::NAMESPACE_NOT_SERVED)
}

/// `text` cut to at most `most` bytes, at a character.
pub fn cut(mut text: String, most: usize) -> String {
    if most < text.len() {
        let mut end = most.saturating_sub(3);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
