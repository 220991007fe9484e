//! kube's own runtime on top: a controller with a finalizer, status and events, run until nothing moves any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::{finalizer, watcher};
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};

use super::{Env, conform, names, text, until};

const FINALIZER: &str = "example.com/tested";

struct Context {
    api: Api<DynamicObject>,
    resource: ApiResource,
    recorder: Recorder,
    runs: AtomicUsize,
    cleaned: AtomicUsize,
}

type Failure = finalizer::Error<kube::Error>;

async fn reconcile(thing: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, Failure> {
    context.runs.fetch_add(1, Ordering::SeqCst);
    finalizer(&context.api, FINALIZER, thing, |event| async {
        match event {
            finalizer::Event::Apply(thing) => settle(&thing, &context).await,
            finalizer::Event::Cleanup(_) => {
                context.cleaned.fetch_add(1, Ordering::SeqCst);
                Ok(Action::await_change())
            }
        }
    })
    .await
}

async fn settle(thing: &DynamicObject, context: &Context) -> Result<Action, kube::Error> {
    let status = json!({
        "apiVersion": context.resource.api_version, "kind": "Thing",
        "status": {"phase": "Settled", "ready": thing.data["spec"]["size"]},
    });
    let params = PatchParams::apply("settler").force();
    context.api.patch_status(&thing.name_any(), &params, &Patch::Apply(status)).await?;
    let event = Event {
        type_: EventType::Normal,
        reason: "Settled".into(),
        note: Some("it is settled".into()),
        action: "Settle".into(),
        secondary: None,
    };
    context.recorder.publish(&event, &thing.object_ref(&context.resource)).await?;
    Ok(Action::await_change())
}

#[tokio::test]
async fn a_controller_settles_its_objects_rests_and_cleans_up() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let kind = GroupVersionKind::gvk(&env.group, "v1", "Thing");
        let resource = ApiResource::from_gvk_with_plural(&kind, "things");
        let api: Api<DynamicObject> = Api::namespaced_with(env.client.clone(), &env.ns, &resource);
        let reporter = Reporter { controller: "example.com/settler".into(), instance: Some("one".into()) };
        let context = Arc::new(Context {
            api: api.clone(),
            resource: resource.clone(),
            recorder: Recorder::new(env.client.clone(), reporter),
            runs: AtomicUsize::new(0),
            cleaned: AtomicUsize::new(0),
        });
        let controller = Controller::new_with(api.clone(), watcher::Config::default(), resource.clone());
        let stream = controller.run(
            reconcile,
            |_, error: &Failure, _| panic!("a reconcile failed: {error}"),
            context.clone(),
        );
        let task = tokio::spawn(stream.for_each(|_| async {}));
        for n in 0..3 {
            let thing: DynamicObject =
                serde_json::from_value(env.thing(&format!("t{n}"), json!({"size": n + 1}))).unwrap();
            api.create(&PostParams::default(), &thing).await.unwrap();
        }
        let settled = async |size: u32| {
            until("all is settled", || async {
                let all = env.get(&things).await.ok();
                let done = |thing: &Value| {
                    thing["status"]["ready"] == thing["spec"]["size"]
                        && thing["metadata"]["finalizers"] == json!([FINALIZER])
                };
                let all = all["items"].as_array().unwrap().clone();
                (all.iter().all(done) && all[0]["spec"]["size"] == size).then_some(())
            })
            .await;
        };
        settled(1).await;
        let patch = Patch::Merge(json!({"spec": {"size": 9}}));
        api.patch("t0", &PatchParams::default(), &patch).await.unwrap();
        settled(9).await;
        rests(&context).await;
        let events = env.get(&env.core("events")).await.ok();
        let events = events["items"].as_array().unwrap();
        let ours: Vec<&Value> = events.iter().filter(|e| e["reason"] == "Settled").collect();
        assert_eq!(ours.len(), 3, "repeats become a series: {events:?}");
        assert!(ours.iter().all(|e| text(&e["message"]) == "it is settled"));
        for n in 0..3 {
            api.delete(&format!("t{n}"), &kube::api::DeleteParams::default()).await.unwrap();
        }
        until("all is gone", || async { names(&env.get(&things).await.ok()).is_empty().then_some(()) }).await;
        assert!(context.cleaned.load(Ordering::SeqCst) >= 3);
        assert!(!task.is_finished(), "the controller lives on");
        task.abort();
    })
    .await;
}

/// A write that changed nothing must not wake the one who wrote it.
async fn rests(context: &Context) {
    until("the controller rests", || async {
        let before = context.runs.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
        (context.runs.load(Ordering::SeqCst) == before).then_some(())
    })
    .await;
}
