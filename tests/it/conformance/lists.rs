//! Lists: pages of one snapshot, selectors, versions, tables and metadata only.

use serde_json::{Value, json};

use super::{Env, conform, names, text, version};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";

async fn make(env: &Env, things: &str, count: usize) {
    for n in 0..count {
        let mut thing = env.thing(&format!("t{n}"), json!({"size": n + 1}));
        let parity = if n % 2 == 0 { "even" } else { "odd" };
        thing["metadata"]["labels"] = json!({"parity": parity, format!("n{n}"): ""});
        env.post(things, thing).await.ok();
    }
}

#[tokio::test]
async fn pages_are_cut_from_one_snapshot() {
    conform(|env: Env| async move {
        let things = env.things().await;
        make(&env, &things, 7).await;
        let first = env.get(&format!("{things}?limit=3")).await.ok();
        assert_eq!(names(&first), ["t0", "t1", "t2"]);
        assert_eq!(first["metadata"]["remainingItemCount"], 4);
        let token = text(&first["metadata"]["continue"]);
        env.delete(&format!("{things}/t4"), json!({})).await.ok();
        env.post(&things, env.thing("t3a", json!({"size": 1}))).await.ok();
        let second = env.get(&format!("{things}?limit=3&continue={token}")).await.ok();
        assert_eq!(names(&second), ["t3", "t4", "t5"], "what came or went since is not seen");
        assert_eq!(version(&second), version(&first));
        let token = text(&second["metadata"]["continue"]);
        let third = env.get(&format!("{things}?limit=3&continue={token}")).await.ok();
        assert_eq!(names(&third), ["t6"]);
        assert!(text(&third["metadata"]["continue"]).is_empty());
        assert!(third["metadata"]["remainingItemCount"].is_null(), "{third}");
        env.get(&format!("{things}?limit=3&continue=nonsense")).await.refused(400, "BadRequest");
        let both = format!("{things}?limit=3&continue={token}&resourceVersion={}", version(&first));
        env.get(&both).await.refused(400, "BadRequest");
    })
    .await;
}

#[tokio::test]
async fn pages_with_a_selector_hold_what_it_selects_and_nothing_twice() {
    conform(|env: Env| async move {
        let things = env.things().await;
        make(&env, &things, 9).await;
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page =
                env.get(&format!("{things}?labelSelector=parity%3Deven&limit=2&continue={token}")).await;
            let page = page.ok();
            assert!(page["items"].as_array().unwrap().len() <= 2);
            seen.extend(names(&page));
            token = text(&page["metadata"]["continue"]);
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, ["t0", "t2", "t4", "t6", "t8"]);
    })
    .await;
}

#[tokio::test]
async fn selectors_select() {
    conform(|env: Env| async move {
        let things = env.things().await;
        make(&env, &things, 4).await;
        env.patch(&format!("{things}/t3"), super::MERGE, json!({"spec": {"colour": "blue"}})).await.ok();
        for (query, expect) in [
            ("labelSelector=parity=even", &["t0", "t2"][..]),
            ("labelSelector=parity%3D%3Deven", &["t0", "t2"]),
            ("labelSelector=parity%21%3Deven", &["t1", "t3"]),
            ("labelSelector=parity+in+(even,odd),n1", &["t1"]),
            ("labelSelector=parity+notin+(even)", &["t1", "t3"]),
            ("labelSelector=n0", &["t0"]),
            ("labelSelector=%21n0", &["t1", "t2", "t3"]),
            ("labelSelector=none%21%3Dx", &["t0", "t1", "t2", "t3"]),
            ("fieldSelector=metadata.name=t2", &["t2"]),
            ("fieldSelector=metadata.name%21%3Dt2", &["t0", "t1", "t3"]),
            ("fieldSelector=metadata.name=t2,metadata.namespace=elsewhere", &[]),
            ("fieldSelector=metadata.name=t2&labelSelector=parity=odd", &[]),
            ("fieldSelector=spec.colour=blue", &["t3"]),
            ("fieldSelector=spec.colour%21%3Dblue", &["t0", "t1", "t2"]),
        ] {
            assert_eq!(names(&env.get(&format!("{things}?{query}")).await.ok()), expect, "{query}");
        }
        for query in ["labelSelector=a+b+c", "labelSelector=parity+in+even", "fieldSelector=spec.size=1"] {
            env.get(&format!("{things}?{query}")).await.refused(400, "BadRequest");
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_is_of_its_kind_and_has_a_version_to_watch_from() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let empty = env.get(&things).await.ok();
        assert_eq!((&empty["kind"], &empty["items"]), (&json!("ThingList"), &json!([])));
        assert_eq!(empty["apiVersion"], format!("{}/v1", env.group));
        assert!(version(&empty).parse::<u64>().unwrap() > 0, "an empty list has a version too: {empty}");
        make(&env, &things, 1).await;
        let all = env.get(&format!("/apis/{}/v1/things", env.group)).await.ok();
        assert_eq!(names(&all), ["t0"], "a list over all namespaces");
        assert_eq!(all["items"][0]["kind"], "Thing");
        let maps = env.get(&env.core("configmaps")).await.ok();
        assert_eq!((&maps["kind"], &maps["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    })
    .await;
}

#[tokio::test]
async fn a_list_at_a_version_is_as_old_or_as_new_as_asked() {
    conform(|env: Env| async move {
        let things = env.things().await;
        make(&env, &things, 1).await;
        let old = version(&env.get(&things).await.ok());
        env.post(&things, env.thing("late", json!({"size": 1}))).await.ok();
        let exact = format!("{things}?resourceVersion={old}&resourceVersionMatch=Exact&limit=10");
        let exact = env.get(&exact).await.ok();
        assert_eq!((names(&exact), version(&exact)), (vec!["t0".to_owned()], old.clone()));
        let fresh =
            env.get(&format!("{things}?resourceVersion={old}&resourceVersionMatch=NotOlderThan")).await.ok();
        assert!(version(&fresh).parse::<u64>().unwrap() >= old.parse().unwrap());
        env.get(&format!("{things}?resourceVersion=0")).await.ok();
        env.get(&format!("{things}?resourceVersionMatch=Exact")).await.refused(422, "Invalid");
        env.get(&format!("{things}?resourceVersion=0&resourceVersionMatch=Exact"))
            .await
            .refused(422, "Invalid");
        env.get(&format!("{things}?resourceVersion={old}&resourceVersionMatch=Odd"))
            .await
            .refused(422, "Invalid");
        assert_eq!(env.get(&format!("{things}?resourceVersion=abc")).await.code / 100, 4);
        assert_eq!(env.get(&format!("{things}/t0?resourceVersion=0")).await.ok()["metadata"]["name"], "t0");
    })
    .await;
}

#[tokio::test]
async fn a_table_has_the_columns_of_the_definition() {
    conform(|env: Env| async move {
        let things = env.things().await;
        make(&env, &things, 2).await;
        let table = env.get_as(&things, TABLE).await.ok();
        assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
        let columns = table["columnDefinitions"].as_array().unwrap();
        let column = |c: &Value| (text(&c["name"]), text(&c["type"]), c["priority"].as_i64().unwrap());
        assert_eq!(
            columns.iter().map(column).collect::<Vec<_>>(),
            [
                ("Name", "string", 0),
                ("Size", "integer", 0),
                ("Colour", "string", 0),
                ("Words", "string", 1),
                ("Age", "date", 0)
            ]
            .map(|(name, kind, priority)| (name.to_owned(), kind.to_owned(), priority))
        );
        assert_eq!(columns[0]["format"], "name");
        let row = &table["rows"][1];
        let cells = row["cells"].as_array().unwrap();
        assert_eq!((&cells[..3], cells.len()), (&[json!("t1"), json!(2), json!("red")][..], 5));
        assert_eq!(cells[3], Value::Null, "what an object lacks is null");
        assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
        assert_eq!(row["object"]["metadata"]["name"], "t1");
        assert!(row["object"]["spec"].is_null(), "{row}");
        assert!(!version(&table).is_empty());
        let with = env.get_as(&format!("{things}?includeObject=Object"), TABLE).await.ok();
        assert_eq!(with["rows"][0]["object"]["spec"]["size"], 1);
        let without = env.get_as(&format!("{things}?includeObject=None"), TABLE).await.ok();
        assert!(without["rows"][0]["object"].is_null(), "{without}");
        let one = env.get_as(&format!("{things}/t0"), TABLE).await.ok();
        assert_eq!((&one["kind"], one["rows"].as_array().unwrap().len()), (&json!("Table"), 1));
        let page = env.get_as(&format!("{things}?limit=1"), TABLE).await.ok();
        assert!(!text(&page["metadata"]["continue"]).is_empty());
        let maps = env.get_as(&env.core("configmaps"), TABLE).await.ok();
        let columns: Vec<String> =
            maps["columnDefinitions"].as_array().unwrap().iter().map(|c| text(&c["name"])).collect();
        assert_eq!(columns, ["Name", "Data", "Age"]);
    })
    .await;
}

#[tokio::test]
async fn metadata_alone_may_be_asked_for() {
    conform(|env: Env| async move {
        let things = env.things().await;
        make(&env, &things, 1).await;
        let list = env.get_as(&things, METADATA_LIST).await.ok();
        assert_eq!(list["kind"], "PartialObjectMetadataList");
        assert_eq!(list["apiVersion"], "meta.k8s.io/v1");
        assert_eq!(list["items"][0]["metadata"]["labels"]["parity"], "even");
        assert!(list["items"][0]["spec"].is_null(), "{list}");
        let one = env.get_as(&format!("{things}/t0"), METADATA).await.ok();
        assert_eq!((&one["kind"], &one["metadata"]["name"]), (&json!("PartialObjectMetadata"), &json!("t0")));
        assert!(one["spec"].is_null(), "{one}");
    })
    .await;
}
