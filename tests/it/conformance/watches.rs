//! Watches: nothing lost between list and watch, selectors as seen by the watcher, bookmarks, watch-lists, endings.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Env, MERGE, conform, text, version};

const LABELLED: &str = "labelSelector=show%3Dyes";

fn shown(env: &Env, name: &str, show: &str) -> Value {
    let mut thing = env.thing(name, json!({"size": 1}));
    thing["metadata"]["labels"] = json!({"show": show});
    thing
}

#[tokio::test]
async fn a_watch_replays_what_happened_since_its_version_and_then_follows() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        let from = version(&env.get(&things).await.ok());
        let made = env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        let changed = env.patch(&path, MERGE, json!({"spec": {"size": 2}})).await.ok();
        env.delete(&path, json!({})).await.ok();
        let mut watch = env.watch(&format!("{things}?resourceVersion={from}")).await;
        let added = watch.next().await;
        assert_eq!((&added["type"], &added["object"]), (&json!("ADDED"), &made));
        let modified = watch.next().await;
        assert_eq!((&modified["type"], &modified["object"]), (&json!("MODIFIED"), &changed));
        let deleted = watch.next().await;
        assert_eq!((&deleted["type"], &deleted["object"]["spec"]["size"]), (&json!("DELETED"), &json!(2)));
        let at = |object: &Value| version(object).parse::<u64>().unwrap();
        assert!(at(&deleted["object"]) > at(&changed), "a deletion has a version of its own: {deleted}");
        env.post(&things, env.thing("b", json!({"size": 1}))).await.ok();
        assert_eq!(watch.said().await, "ADDED b");
        let mut resumed = env.watch(&format!("{things}?resourceVersion={}", version(&changed))).await;
        assert_eq!([resumed.said().await, resumed.said().await], ["DELETED a", "ADDED b"]);
    })
    .await;
}

#[tokio::test]
async fn a_watch_from_no_version_begins_with_what_is_there() {
    conform(|env: Env| async move {
        let things = env.things().await;
        env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        env.patch(&format!("{things}/a"), MERGE, json!({"spec": {"size": 2}})).await.ok();
        for query in ["", "?resourceVersion=0"] {
            let mut watch = env.watch(&format!("{things}{query}")).await;
            let first = watch.next().await;
            assert_eq!(
                (&first["type"], &first["object"]["spec"]["size"]),
                (&json!("ADDED"), &json!(2)),
                "{query}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_selecting_watch_sees_objects_come_into_view_and_leave_it() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let from = version(&env.get(&things).await.ok());
        let mut watch = env.watch(&format!("{things}?{LABELLED}&resourceVersion={from}")).await;
        let mut named =
            env.watch(&format!("{things}?fieldSelector=metadata.name%3Db&resourceVersion={from}")).await;
        env.post(&things, shown(&env, "a", "no")).await.ok();
        env.post(&things, shown(&env, "b", "yes")).await.ok();
        let show = async |name: &str, show: &str| {
            env.patch(&format!("{things}/{name}"), MERGE, json!({"metadata": {"labels": {"show": show}}}))
                .await
                .ok()
        };
        show("a", "yes").await;
        env.patch(&format!("{things}/a"), MERGE, json!({"spec": {"size": 2}})).await.ok();
        let hidden = show("a", "no").await;
        show("a", "never").await;
        env.delete(&format!("{things}/a"), json!({})).await.ok();
        env.delete(&format!("{things}/b"), json!({})).await.ok();
        let mut seen = Vec::new();
        for _ in 0..4 {
            let event = watch.next().await;
            seen.push(format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"])));
            if event["type"] == "DELETED" {
                let object = &event["object"];
                assert_eq!(object["metadata"]["labels"]["show"], "yes", "as it was last in view: {object}");
                assert_eq!(version(object), version(&hidden), "with the version at which it left: {object}");
            }
        }
        assert_eq!(seen, ["ADDED b", "ADDED a", "MODIFIED a", "DELETED a"]);
        assert_eq!(watch.said().await, "DELETED b");
        assert_eq!([named.said().await, named.said().await], ["ADDED b", "DELETED b"]);
    })
    .await;
}

#[tokio::test]
async fn a_watch_list_ends_its_beginning_with_a_bookmark() {
    conform(|env: Env| async move {
        let things = env.things().await;
        for name in ["a", "b"] {
            env.post(&things, env.thing(name, json!({"size": 1}))).await.ok();
        }
        let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
        for more in ["", "&resourceVersion="] {
            let mut watch = env.watch(&format!("{things}?{query}{more}")).await;
            let mut first = vec![watch.said().await, watch.said().await];
            first.sort();
            assert_eq!(first, ["ADDED a", "ADDED b"]);
            let bookmark = watch.next().await;
            assert_eq!(bookmark["type"], "BOOKMARK");
            let object = &bookmark["object"];
            assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
            assert_eq!(object["kind"], "Thing");
            assert!(!version(object).is_empty());
            let name = if more.is_empty() { "c" } else { "d" };
            env.post(&things, env.thing(name, json!({"size": 1}))).await.ok();
            assert_eq!(watch.said().await, format!("ADDED {name}"));
            env.delete(&format!("{things}/{name}"), json!({})).await.ok();
        }
        let mut empty = env.watch(&format!("{things}?{query}&fieldSelector=metadata.name%3Dnone")).await;
        assert_eq!(empty.next().await["type"], "BOOKMARK", "also where nothing is there");
        for bad in [
            "watch=true&sendInitialEvents=true",
            "watch=true&sendInitialEvents=true&resourceVersionMatch=Exact",
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
        ] {
            env.get(&format!("{things}?{bad}")).await.refused(422, "Invalid");
        }
    })
    .await;
}

#[tokio::test]
async fn a_watch_ends_when_its_time_is_over_and_its_bookmarks_carry_a_version_only() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let from = version(&env.post(&things, env.thing("a", json!({"size": 1}))).await.ok());
        let began = Instant::now();
        let query = format!("{things}?resourceVersion={from}&allowWatchBookmarks=true&timeoutSeconds=2");
        let events = env.watch(&query).await.rest().await;
        let took = began.elapsed();
        assert!(took > Duration::from_secs(1) && took < Duration::from_secs(10), "{took:?}");
        for event in events {
            assert_eq!(event["type"], "BOOKMARK", "{event}");
            assert!(version(&event["object"]).parse::<u64>().unwrap() >= from.parse().unwrap());
            assert!(event["object"]["metadata"]["name"].is_null(), "{event}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_watch_from_too_far_back_is_told_so_unless_all_of_it_is_still_known() {
    conform(|env: Env| async move {
        let things = env.things().await;
        env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        let event = env.watch(&format!("{things}?resourceVersion=1")).await.next().await;
        match text(&event["type"]).as_str() {
            "ERROR" => {
                let status = &event["object"];
                assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(410)), "{status}");
                assert_eq!(status["reason"], "Expired", "{status}");
            }
            _ => assert_eq!(
                (&event["type"], &event["object"]["metadata"]["name"]),
                (&json!("ADDED"), &json!("a"))
            ),
        }
    })
    .await;
}

#[tokio::test]
async fn a_watch_shows_what_it_was_asked_to_show() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let from = version(&env.post(&things, env.thing("a", json!({"size": 1}))).await.ok());
        env.patch(&format!("{things}/a"), MERGE, json!({"spec": {"size": 2}})).await.ok();
        let path = format!("{things}?resourceVersion={from}");
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        let event = env.watch_as(&path, table).await.next().await;
        assert_eq!((&event["type"], &event["object"]["kind"]), (&json!("MODIFIED"), &json!("Table")));
        assert_eq!(event["object"]["rows"][0]["cells"][1], 2, "{event}");
        let metadata = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";
        let event = env.watch_as(&path, metadata).await.next().await;
        assert_eq!(event["object"]["kind"], "PartialObjectMetadata");
        assert!(event["object"]["spec"].is_null(), "{event}");
    })
    .await;
}

#[tokio::test]
async fn many_watchers_see_every_event_in_the_same_order() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let from = version(&env.get(&maps).await.ok());
        let path = format!("{maps}?resourceVersion={from}&labelSelector=many");
        let watches = futures::future::join_all((0..8).map(|_| env.watch(&path))).await;
        let writers = (0..4).map(|writer| {
            let (env, maps) = (&env, &maps);
            async move {
                for n in 0..10 {
                    let name = format!("m{writer}-{n}");
                    let map = json!({"metadata": {"name": name, "labels": {"many": ""}}});
                    env.post(maps, map).await.ok();
                }
            }
        });
        futures::future::join_all(writers).await;
        let mut orders = Vec::new();
        for mut watch in watches {
            let mut order = Vec::new();
            for _ in 0..40 {
                order.push(watch.said().await);
            }
            orders.push(order);
        }
        assert!(orders.iter().all(|order| *order == orders[0]));
        let mut all = orders.remove(0);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 40);
    })
    .await;
}
