//! The finalizer of a ManagedService: set before its first record is written, removed after its last one is gone.
//! Removal works from what stands at the provider, never from the spec, which may be invalid by then.

use std::collections::BTreeSet;

use futures::StreamExt;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tracing::{debug, info, warn};

use crate::api::RECORDS_FINALIZER;
use crate::api::service::ManagedService;
use crate::api::vocab::PlatformProvider;
use crate::controllers::service::report::Outcome;
use crate::controllers::service::retained::Retained;
use crate::controllers::service::written::Written;
use crate::controllers::shared::context::Context;
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::controllers::snapshot::Managed;
use crate::domain::names::ObjectId;
use crate::domain::records::{RecordKey, RecordSet, Wish, ZoneId, id_of};
use crate::telemetry::chain::Chain;

/// Sets the finalizer where it is missing; returns the services where that failed.
pub async fn add(ctx: &Context, services: &[Managed], written: &mut Written) -> BTreeSet<ObjectId> {
    let missing = services.iter().filter(|managed| !managed.service.deleting).filter_map(|managed| {
        let object = written.latest(managed)?;
        (!has_finalizer(object)).then_some((managed.service.id.clone(), object.clone()))
    });
    let missing: Vec<(ObjectId, ManagedService)> = missing.collect();
    let set = |(id, object): (ObjectId, ManagedService)| async move {
        let mut all = object.metadata.finalizers.clone().unwrap_or_default();
        all.push(RECORDS_FINALIZER.to_owned());
        (id, write(ctx, &object, all).await)
    };
    let mut calls = futures::stream::iter(missing).map(set).buffer_unordered(16);
    let mut failed = BTreeSet::new();
    while let Some((id, set)) = calls.next().await {
        match set {
            Ok(object) => {
                ctx.said.is_well(&about(&id));
                object.into_iter().for_each(|object| written.note(object));
            }
            Err(error) => {
                if ctx.said.fails(about(&id), &error.to_string()) {
                    warn!(service = %id, error = %Chain(&error), "finalizer not set");
                }
                failed.insert(id);
            }
        }
    }
    failed
}

/// Removes the finalizer of every service that is being deleted and has nothing left to remove.
pub async fn remove(
    ctx: &Context,
    zone: &ZoneId,
    retained: &Retained,
    services: &[Managed],
    wish: &Wish,
    Outcome { done, zone: seen }: &Outcome<'_>,
    written: &Written,
) {
    for managed in services.iter().filter(|managed| managed.service.deleting) {
        let service = &managed.service;
        // Of two services for one name the younger owns nothing, and may go.
        let owns = wish.names.get(&service.name) == Some(&service.id);
        let mine = |key: &RecordKey| owns && key.name == service.name;
        let standing: Vec<(RecordKey, RecordSet)> = seen
            .standing()
            .into_iter()
            .flatten()
            .filter(|(key, found)| mine(key) && found.is_ours())
            .map(|(key, found)| (key.clone(), found.set.clone()))
            .collect();
        // What is kept elsewhere stays there by itself; what lives inside has to be noted.
        if service.retain && zone.provider != PlatformProvider::Local {
            info!(service = %service.id, "deleted, its records stay");
            release(ctx, written.latest(managed)).await;
            continue;
        }
        let unread = owns && (done.trouble.is_some() || seen.standing().is_none() || !done.left.is_empty());
        if unread || (!service.retain && !standing.is_empty()) {
            continue;
        }
        if service.retain && !standing.is_empty() {
            if let Err(error) = retained.keep(&ctx.client, zone, standing).await {
                warn!(service = %service.id, error = %Chain(&error), "records to retain not noted, the service waits");
                continue;
            }
            info!(service = %service.id, "deleted, its records stay");
        }
        release(ctx, written.latest(managed)).await;
    }
}

/// Removes the finalizer from a service that owns no record; whether it carries none any more.
pub async fn release(ctx: &Context, object: Option<&ManagedService>) -> bool {
    let Some(object) = object.filter(|object| has_finalizer(object)) else { return true };
    let mut rest = object.metadata.finalizers.clone().unwrap_or_default();
    rest.retain(|finalizer| finalizer != RECORDS_FINALIZER);
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let about = about(&id_of(object));
    match write(ctx, object, rest).await {
        Ok(_) => {
            ctx.said.is_well(&about);
            return true;
        }
        // Somebody was faster: that wakes us with the object as it is now.
        Err(kube::Error::Api(status)) if status.is_conflict() => {
            ctx.said.fails(about, &status.reason);
            debug!(service = %name, "finalizer not removed yet")
        }
        Err(error) => {
            if ctx.said.fails(about, &error.to_string()) {
                warn!(service = %name, error = %Chain(&error), "finalizer not removed");
            }
        }
    }
    false
}

/// Whether a service's finalizer could not be written as it shall stand.
pub fn is_open(ctx: &Context, service: &ObjectId) -> bool {
    ctx.said.is_failing(&about(service))
}

fn about(id: &ObjectId) -> String {
    format!("finalizer of {id}")
}

/// Whether it carries the finalizer.
pub fn has_finalizer(object: &ManagedService) -> bool {
    object.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == RECORDS_FINALIZER)
}

/// The object as it stands then, if it is still there.
async fn write(
    ctx: &Context,
    object: &ManagedService,
    finalizers: Vec<String>,
) -> Result<Option<ManagedService>, kube::Error> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let api = Api::<ManagedService>::namespaced(ctx.client.clone(), namespace);
    // The version makes sure that nobody else's finalizer is lost between our read and our write.
    let metadata = json!({ "finalizers": finalizers, "resourceVersion": object.metadata.resource_version });
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    let params = PatchParams { field_manager: Some("cocoasyncer/service".into()), ..PatchParams::default() };
    match tokio::time::timeout(CALL_DEADLINE, api.patch(name, &params, &patch)).await {
        Ok(Ok(object)) => Ok(Some(object)),
        // Gone is as good as released.
        Ok(Err(kube::Error::Api(status))) if status.is_not_found() => Ok(None),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(kube::Error::Service("no answer in time".into())),
    }
}
