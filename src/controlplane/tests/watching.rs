//! Watches and lists: nothing is lost, nothing is made up.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::{Value, json};

use super::{ControlPlane, status};

fn map(name: &str, colour: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"colour": colour}}})).unwrap()
}

/// The events of a raw watch, as type and name.
async fn raw_watch(client: &Client, parameters: &str, count: usize) -> Vec<(String, Value)> {
    let uri = format!("/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=20&{parameters}");
    let request = http::Request::get(uri).body(Vec::new()).unwrap();
    let events = client.request_events::<Value>(request).await.unwrap();
    let read = events.take(count).map_ok(|event| match event {
        WatchEvent::Added(one) => ("ADDED".to_owned(), one),
        WatchEvent::Modified(one) => ("MODIFIED".to_owned(), one),
        WatchEvent::Deleted(one) => ("DELETED".to_owned(), one),
        WatchEvent::Bookmark(one) => ("BOOKMARK".to_owned(), serde_json::to_value(one).unwrap()),
        WatchEvent::Error(error) => ("ERROR".to_owned(), serde_json::to_value(error).unwrap()),
    });
    read.try_collect().await.unwrap()
}

fn named(events: &[(String, Value)]) -> Vec<String> {
    let name = |value: &Value| value["metadata"]["name"].as_str().unwrap_or("-").to_owned();
    events.iter().map(|(kind, object)| format!("{kind} {}", name(object))).collect()
}

#[tokio::test]
async fn what_begins_to_match_is_added_and_what_ceases_is_deleted() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(plane.client());
    let from = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    api.create(&PostParams::default(), &map("a", "blue")).await.unwrap();
    for colour in ["red", "red", "blue", "red"] {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"colour": colour}}, "data": {"at": colour}}));
        api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    }
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let selected = format!("labelSelector=colour%3Dred&resourceVersion={from}");
    let events = raw_watch(&plane.client(), &selected, 4).await;
    // The second write of red changes nothing, so it is no event.
    assert_eq!(named(&events), ["ADDED a", "DELETED a", "ADDED a", "DELETED a"]);
    let versions: Vec<u64> = events
        .iter()
        .map(|(_, one)| one["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(versions.is_sorted(), "{versions:?}");
}

#[tokio::test]
async fn a_watch_list_says_what_is_there_and_marks_its_end() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(plane.client());
    api.create(&PostParams::default(), &map("a", "x")).await.unwrap();
    api.create(&PostParams::default(), &map("b", "x")).await.unwrap();
    let streaming = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let events = raw_watch(&plane.client(), streaming, 3).await;
    assert_eq!(named(&events), ["ADDED a", "ADDED b", "BOOKMARK -"]);
    assert_eq!(events[2].1["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    // Without the match the server must say no, or client-go waits for ever.
    let bad = "/api/v1/configmaps?watch=1&sendInitialEvents=true";
    let request = http::Request::get(bad).body(Vec::new()).unwrap();
    assert_eq!(status(plane.client().request_text(request).await.unwrap_err()).code, 422);
}

#[tokio::test]
async fn a_watch_from_nowhere_begins_with_what_is_there() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(plane.client());
    api.create(&PostParams::default(), &map("a", "x")).await.unwrap();
    for parameters in ["", "resourceVersion=0"] {
        assert_eq!(named(&raw_watch(&plane.client(), parameters, 1).await), ["ADDED a"]);
    }
}

#[tokio::test]
async fn a_watch_from_a_forgotten_or_future_version_is_told_to_list_again() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(plane.client());
    let made = api.create(&PostParams::default(), &map("a", "x")).await.unwrap();
    let now: u64 = made.metadata.resource_version.unwrap().parse().unwrap();
    plane.engine.store.compact(now);
    for version in [now - 1, now + 100] {
        let events = raw_watch(&plane.client(), &format!("resourceVersion={version}"), 1).await;
        assert_eq!((events[0].0.as_str(), &events[0].1["code"]), ("ERROR", &json!(410)), "{version}");
    }
}

#[tokio::test]
async fn pages_show_one_moment_whatever_is_written_between_them() {
    let plane = ControlPlane::in_memory().await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(plane.client());
    for name in ["a", "b", "c", "d", "e"] {
        api.create(&PostParams::default(), &map(name, "x")).await.unwrap();
    }
    let page = ListParams::default().limit(2);
    let first = api.list(&page).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    api.delete("c", &DeleteParams::default()).await.unwrap();
    api.create(&PostParams::default(), &map("cc", "x")).await.unwrap();
    let patch = Patch::Merge(json!({"data": {"new": "1"}}));
    api.patch("d", &PatchParams::default(), &patch).await.unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    let second = api.list(&page.clone().continue_token(&token)).await.unwrap();
    let names =
        |items: &[ConfigMap]| items.iter().filter_map(|one| one.metadata.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&second.items), ["c", "d"]);
    assert_eq!(second.items[1].data, None);
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
    plane.engine.store.compact(plane.engine.store.revision().unwrap());
    let token = second.metadata.continue_.unwrap();
    assert_eq!(status(api.list(&page.continue_token(&token)).await.unwrap_err()).code, 410);
    // From scratch the new world shows.
    assert_eq!(names(&api.list(&ListParams::default()).await.unwrap().items), ["a", "b", "cc", "d", "e"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_watchers_miss_none_of_many_events() {
    const EVENTS: usize = 1000;
    let plane = ControlPlane::in_memory().await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(plane.client());
    let from = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let watchers: Vec<_> = (0..10)
        .map(|_| {
            let (api, from) = (api.clone(), from.clone());
            tokio::spawn(async move {
                let events = api.watch(&WatchParams::default().timeout(60), &from).await.unwrap();
                let versions = events.take(EVENTS).map_ok(|event| match event {
                    WatchEvent::Added(one) => one.metadata.resource_version.unwrap().parse::<u64>().unwrap(),
                    other => panic!("{other:?}"),
                });
                versions.try_collect::<Vec<_>>().await.unwrap()
            })
        })
        .collect();
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let api = api.clone();
            tokio::spawn(async move {
                for i in (0..EVENTS).filter(|i| i % 16 == writer) {
                    api.create(&PostParams::default(), &map(&format!("m{i}"), "x")).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let first: u64 = from.parse().unwrap();
    let expected: Vec<u64> = (first + 1..=first + EVENTS as u64).collect();
    for watcher in watchers {
        assert_eq!(watcher.await.unwrap(), expected);
    }
}
