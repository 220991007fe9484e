//! Create, update, patch and apply as clients meet them.

use k8s_openapi::api::{
    apps::v1::Deployment,
    coordination::v1::Lease,
    core::v1::{ConfigMap, Event as CoreEvent, Secret},
    events::v1::Event,
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{ControlPlane, status, widget, widgets};

#[tokio::test]
async fn names_are_given_generated_or_refused() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(plane.client());
    let post = PostParams::default();
    let of = |metadata: Value| serde_json::from_value::<ConfigMap>(json!({"metadata": metadata})).unwrap();
    let made = api.create(&post, &of(json!({"generateName": "x-"}))).await.unwrap();
    assert_eq!(made.metadata.name.unwrap().len(), 7);
    for (metadata, code) in [
        (json!({"name": "Bad_Name"}), 422),
        (json!({}), 422),
        (json!({"name": "a", "namespace": "other"}), 400),
        (json!({"name": "a", "resourceVersion": "5"}), 400),
        (json!({"name": "a", "labels": {"k": "not ok"}}), 422),
    ] {
        let refused = api.create(&post, &of(metadata.clone())).await;
        assert_eq!(status(refused.unwrap_err()).code, code, "{metadata}");
    }
    api.create(&post, &of(json!({"name": "a"}))).await.unwrap();
    let again = status(api.create(&post, &of(json!({"name": "a"}))).await.unwrap_err());
    assert!(again.is_already_exists(), "{again:?}");
    let elsewhere: Api<ConfigMap> = Api::namespaced(plane.client(), "nowhere");
    let refused = status(elsewhere.create(&post, &of(json!({"name": "a"}))).await.unwrap_err());
    assert_eq!((refused.code, refused.message.as_str()), (404, "namespaces \"nowhere\" not found"));
}

#[tokio::test]
async fn an_update_without_a_version_overwrites_a_builtin_and_is_refused_for_ours() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.client());
    let post = PostParams::default();
    let map = |value: &str| -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"name": "m"}, "data": {"k": value}})).unwrap()
    };
    maps.create(&post, &map("1")).await.unwrap();
    maps.replace("m", &post, &map("2")).await.unwrap();
    assert_eq!(maps.get("m").await.unwrap().data.unwrap()["k"], "2");
    let api = widgets(&plane.client()).await;
    api.create(&post, &widget("a", json!({"size": 1}))).await.unwrap();
    let refused = status(api.replace("a", &post, &widget("a", json!({"size": 2}))).await.unwrap_err());
    assert_eq!(refused.code, 422);
    assert!(refused.message.contains("metadata.resourceVersion"), "{}", refused.message);
}

#[tokio::test]
async fn status_and_spec_have_each_their_own_door() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api = widgets(&plane.client()).await;
    let mut object = widget("a", json!({"size": 1}));
    object.data["status"] = json!({"forged": true});
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert!(made.data.get("status").is_none());
    assert_eq!(made.data["spec"]["colour"], "red", "defaults are stored");
    let patch = Patch::Merge(json!({"spec": {"size": 5}, "status": {"ready": true}}));
    let patched = api.patch_status("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!((&patched.data["spec"]["size"], &patched.data["status"]["ready"]), (&json!(1), &json!(true)));
    assert_eq!(patched.metadata.generation, Some(1));
    let patched =
        api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"status": {"ready": false}}))).await;
    assert_eq!(patched.unwrap().data["status"]["ready"], json!(true));
    // A status apply that says the same again is no write: else each would wake the controller that made it.
    let apply = |ready: bool| {
        Patch::Apply(
            json!({"apiVersion": "example.org/v1", "kind": "Widget", "status": {"ready": ready}, "metadata": {"name": "a"}}),
        )
    };
    let params = PatchParams::apply("controller").force();
    let first = api.patch_status("a", &params, &apply(false)).await.unwrap();
    let second = api.patch_status("a", &params, &apply(false)).await.unwrap();
    assert_eq!(first, second);
}

#[tokio::test]
async fn invalid_objects_are_refused_field_by_field_and_nothing_is_stored() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api = widgets(&plane.client()).await;
    let before = plane.engine.store.revision().unwrap();
    let refused = api.create(&PostParams::default(), &widget("a", json!({"size": 0}))).await.unwrap_err();
    let refused = status(refused);
    assert_eq!(refused.code, 422);
    assert_eq!(refused.details.unwrap().causes[0].field, "spec.size");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let made = api.create(&dry, &widget("a", json!({"size": 1}))).await.unwrap();
    assert_eq!(made.data["spec"]["colour"], "red");
    assert!(api.get_opt("a").await.unwrap().is_none());
    assert_eq!(plane.engine.store.revision().unwrap(), before);
}

#[tokio::test]
async fn appliers_share_an_object_and_fight_only_over_the_same_field() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api = widgets(&plane.client()).await;
    let body = |spec: Value| {
        Patch::Apply(
            json!({"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": spec}),
        )
    };
    let one = PatchParams::apply("one");
    let two = PatchParams::apply("two");
    let made = api.patch("a", &one, &body(json!({"size": 1}))).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    api.patch("a", &two, &body(json!({"colour": "blue"}))).await.unwrap();
    let fight = status(api.patch("a", &two, &body(json!({"size": 2}))).await.unwrap_err());
    assert_eq!(fight.code, 409);
    assert_eq!(fight.details.unwrap().causes[0].field, ".spec.size");
    let won = api.patch("a", &two.clone().force(), &body(json!({"size": 2}))).await.unwrap();
    assert_eq!((&won.data["spec"]["size"], &won.data["spec"]["colour"]), (&json!(2), &json!("red")));
    let stale = json!({"apiVersion": "example.org/v1", "kind": "Widget",
        "metadata": {"name": "a", "resourceVersion": made.metadata.resource_version}, "spec": {"size": 3}});
    let stale = status(api.patch("a", &two.clone().force(), &Patch::Apply(stale)).await.unwrap_err());
    assert_eq!(stale.code, 409);
    let nameless =
        status(api.patch("a", &PatchParams::default(), &body(json!({"size": 2}))).await.unwrap_err());
    assert_eq!(nameless.code, 422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_without_a_version_never_conflict_and_none_is_lost() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(plane.client());
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "m"}})).unwrap();
    api.create(&PostParams::default(), &map).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let api = api.clone();
            tokio::spawn(async move {
                for i in 0..10 {
                    let patch = Patch::Merge(json!({"data": {format!("k{task}-{i}"): "x"}}));
                    api.patch("m", &PatchParams::default(), &patch).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(api.get("m").await.unwrap().data.unwrap().len(), 160);
}

#[tokio::test]
async fn the_two_faces_of_an_event_are_one_object() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let new: Api<Event> = Api::default_namespaced(plane.client());
    let event: Event = serde_json::from_value(json!({
        "metadata": {"name": "e"}, "eventTime": "2024-01-01T00:00:00.000000Z", "action": "Act", "reason": "Because",
        "type": "Normal", "note": "words", "reportingController": "c", "reportingInstance": "i",
        "regarding": {"kind": "Widget", "name": "a"},
    }))
    .unwrap();
    new.create(&PostParams::default(), &event).await.unwrap();
    let core: Api<CoreEvent> = Api::default_namespaced(plane.client());
    let found = core.list(&ListParams::default().fields("involvedObject.name=a")).await.unwrap().items;
    assert_eq!(found[0].message.as_deref(), Some("words"));
    let patch =
        Patch::Merge(json!({"series": {"count": 2, "lastObservedTime": "2024-01-01T00:00:01.000000Z"}}));
    new.patch("e", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(core.get("e").await.unwrap().series.unwrap().count, Some(2));
}

#[tokio::test]
async fn builtins_that_controllers_lean_on_behave() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let post = PostParams::default();
    let secrets: Api<Secret> = Api::default_namespaced(plane.client());
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}})).unwrap();
    let made = secrets.create(&post, &secret).await.unwrap();
    assert_eq!(made.data.unwrap()["k"].0, b"v");
    let bad =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}, "data": {"k": "hunter2!"}});
    let request =
        http::Request::post("/api/v1/namespaces/default/secrets").body(bad.to_string().into_bytes()).unwrap();
    let refused = status(plane.client().request_text(request).await.unwrap_err());
    assert_eq!(refused.code, 400);
    assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    let leases: Api<Lease> = Api::default_namespaced(plane.client());
    let lease: Lease =
        serde_json::from_value(json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}})).unwrap();
    let mut lease = leases.create(&post, &lease).await.unwrap();
    lease.spec.as_mut().unwrap().holder_identity = Some("b".to_owned());
    let mine = leases.replace("l", &post, &lease).await.unwrap();
    let lost = status(leases.replace("l", &post, &lease).await.unwrap_err());
    assert!(lost.is_conflict() && mine.spec.unwrap().holder_identity.as_deref() == Some("b"));
    let deployments: Api<Deployment> = Api::default_namespaced(plane.client());
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "x", "image": "i"}]}}},
    }))
    .unwrap();
    deployments.create(&post, &deployment).await.unwrap();
    let patch = Patch::Strategic(
        json!({"spec": {"template": {"spec": {"containers": [{"name": "y", "image": "j"}]}}}}),
    );
    let patched = deployments.patch("d", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.spec.unwrap().template.spec.unwrap().containers.len(), 2);
    let four = Patch::Merge(json!({"spec": {"replicas": 4}}));
    let scale = deployments.patch_scale("d", &PatchParams::default(), &four).await;
    assert_eq!(scale.unwrap().spec.unwrap().replicas, Some(4));
    assert_eq!(deployments.get("d").await.unwrap().metadata.generation, Some(3));
}
