//! kube's own controller runtime on the plane: it makes progress, and it comes to rest.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    runtime::{
        Controller,
        controller::Action,
        finalizer::{Event, finalizer},
        reflector::ObjectRef,
        watcher,
    },
};
use serde_json::json;

use super::{ControlPlane, eventually, widget, widgets};

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

struct Context {
    api: Api<DynamicObject>,
    runs: AtomicUsize,
}

async fn reconcile(object: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, Failed> {
    context.runs.fetch_add(1, Ordering::SeqCst);
    finalizer(&context.api, "example.org/cleanup", object, |event| async {
        let Event::Apply(object) = event else { return Ok(Action::await_change()) };
        let name = object.metadata.name.clone().unwrap();
        let status = json!({
            "apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": name},
            "status": {"seen": object.data["spec"]["size"]},
        });
        let params = PatchParams::apply("controller").force();
        context
            .api
            .patch_status(&name, &params, &Patch::Apply(status))
            .await
            .map_err(|e| Failed(e.to_string()))?;
        Ok(Action::await_change())
    })
    .await
    .map_err(|error: kube::runtime::finalizer::Error<Failed>| Failed(error.to_string()))
}

#[tokio::test]
async fn a_controller_converges_and_then_rests() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api = widgets(&plane.client()).await;
    let context = Arc::new(Context { api: api.clone(), runs: AtomicUsize::new(0) });
    let kind = kube::api::ApiResource::from_gvk_with_plural(
        &kube::core::GroupVersionKind::gvk("example.org", "v1", "Widget"),
        "widgets",
    );
    let running = Controller::new_with(api.clone(), watcher::Config::default(), kind)
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(50)), context.clone())
        .for_each(|outcome: Result<(ObjectRef<DynamicObject>, Action), _>| async {
            drop(outcome);
        });
    let running = tokio::spawn(running);
    api.create(&PostParams::default(), &widget("a", json!({"size": 4}))).await.unwrap();
    eventually(&plane, "the status is written", || async {
        api.get("a").await.unwrap().data["status"]["seen"] == 4
    })
    .await;
    assert_eq!(api.get("a").await.unwrap().metadata.finalizers.unwrap(), ["example.org/cleanup"]);
    // At rest nothing is written, so nothing wakes the controller again.
    let version = plane.engine.store.revision().unwrap();
    let mut wake = plane.engine.store.subscribe();
    wake.mark_unchanged();
    let quiet = tokio::time::timeout(Duration::from_millis(400), wake.changed()).await;
    assert!(quiet.is_err(), "a write at rest");
    assert_eq!(plane.engine.store.revision().unwrap(), version);
    assert!(context.runs.load(Ordering::SeqCst) < 8, "{:?}", context.runs);
    api.delete("a", &DeleteParams::default()).await.unwrap();
    eventually(&plane, "the finalizer lets go", || async { api.get_opt("a").await.unwrap().is_none() }).await;
    running.abort();
}
