//! Rules of ownership as clients see them.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const T1: &str = "2026-11-21T00:00:01Z";
const T2: &str = "2026-11-21T00:00:02Z";
const T3: &str = "2026-11-21T00:00:03Z";

fn writer<'a>(manager: &'a str, now: &'a str) -> Writer<'a> {
    Writer { manager, api_version: "example.com/v1", subresource: None, now }
}

fn shape() -> TypeInfo {
    let entry = json!({
        "type": "object", "required": ["name"],
        "properties": { "name": { "type": "string" }, "v": { "type": "integer" }, "w": { "type": "integer" } },
    });
    let pair =
        json!({ "type": "object", "properties": { "x": { "type": "integer" }, "y": { "type": "integer" } } });
    let mut atomic = pair.clone();
    atomic["x-kubernetes-map-type"] = json!("atomic");
    let schema = json!({ "type": "object", "properties": {
        "spec": { "type": "object", "properties": {
            "a": { "type": "integer" }, "b": { "type": "integer" }, "c": { "type": "integer" },
            "list": { "type": "array", "items": entry, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] },
            "set": { "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" },
            "plain": { "type": "array", "items": { "type": "string" } },
            "map": { "type": "object", "additionalProperties": { "type": "string" } },
            "pair": pair, "atomic": atomic,
        } },
        "status": { "type": "object", "properties": { "ready": { "type": "boolean" }, "seen": { "type": "integer" } } },
    } });
    TypeInfo::from_crd(&schema).unwrap()
}

fn config(spec: Value) -> Value {
    json!({ "apiVersion": "example.com/v1", "kind": "Thing", "metadata": { "name": "n" }, "spec": spec })
}

/// Applies; the live object is what the store would hold.
fn applied(live: Option<&Value>, manager: &str, spec: Value, now: &str) -> Result<Value, ApplyError> {
    apply(&shape(), live, &config(spec), &writer(manager, now), false)
}

fn forced(live: &Value, manager: &str, spec: Value, now: &str) -> Value {
    apply(&shape(), Some(live), &config(spec), &writer(manager, now), true).unwrap()
}

fn updated(live: Option<&Value>, manager: &str, after: Value, now: &str) -> Value {
    let mut after = after;
    track_update(&shape(), live, &mut after, &writer(manager, now));
    after
}

fn with_spec(live: &Value, spec: Value) -> Value {
    let mut next = live.clone();
    next["spec"] = spec;
    next
}

fn owned(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let mine = entries.into_iter().find(|entry| entry["manager"] == manager);
    mine.map_or(Value::Null, |entry| entry["fieldsV1"].clone())
}

fn times(object: &Value) -> Vec<(Value, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.into_iter().map(|entry| (entry["manager"].clone(), entry["time"].clone())).collect()
}

fn conflict(manager: &str, field: &str) -> Conflict {
    Conflict { manager: manager.to_owned(), field: field.to_owned() }
}

#[test]
fn applying_what_is_not_there_creates_it_and_owns_it() {
    let spec = json!({ "a": 1, "list": [{ "name": "x", "v": 1 }], "set": ["s"], "plain": ["p"], "map": { "k": "v" },
        "pair": { "x": 1 }, "atomic": { "x": 1 } });
    let made = applied(None, "one", spec.clone(), T1).unwrap();
    assert_eq!(made["spec"], spec);
    let want = json!([{
        "manager": "one", "operation": "Apply", "apiVersion": "example.com/v1", "time": T1, "fieldsType": "FieldsV1",
        "fieldsV1": { "f:spec": {
            "f:a": {}, "f:list": { "k:{\"name\":\"x\"}": { ".": {}, "f:name": {}, "f:v": {} } }, "f:set": { "v:\"s\"": {} },
            "f:plain": {}, "f:map": { "f:k": {} }, "f:pair": { "f:x": {} }, "f:atomic": {},
        } },
    }]);
    assert_eq!(made["metadata"]["managedFields"], want);
}

#[test]
fn another_manager_with_another_value_is_told_whose_field_it_is() {
    let live = applied(
        None,
        "one",
        json!({ "a": 1, "b": 1, "list": [{ "name": "x", "v": 1 }], "plain": ["p"] }),
        T1,
    )
    .unwrap();
    let refused = applied(
        Some(&live),
        "two",
        json!({ "a": 2, "b": 1, "list": [{ "name": "x", "v": 2 }], "plain": ["q"] }),
        T2,
    );
    let want = vec![
        conflict("one", ".spec.a"),
        conflict("one", ".spec.list[name=\"x\"].v"),
        conflict("one", ".spec.plain"),
    ];
    assert_eq!(refused, Err(ApplyError::Conflicts(want)));
}

#[test]
fn force_takes_over() {
    let live = applied(None, "one", json!({ "a": 1, "b": 1 }), T1).unwrap();
    let live = forced(&live, "two", json!({ "a": 2 }), T2);
    assert_eq!(live["spec"], json!({ "a": 2, "b": 1 }));
    assert_eq!(owned(&live, "one"), json!({ "f:spec": { "f:b": {} } }));
    assert_eq!(owned(&live, "two"), json!({ "f:spec": { "f:a": {} } }));
}

#[test]
fn what_is_no_longer_applied_goes_unless_somebody_else_owns_it() {
    let live = applied(
        None,
        "one",
        json!({ "a": 1, "b": 1, "set": ["x", "y"], "list": [{ "name": "m" }, { "name": "n", "v": 1 }] }),
        T1,
    )
    .unwrap();
    let live =
        applied(Some(&live), "two", json!({ "b": 1, "set": ["y"], "list": [{ "name": "n", "w": 2 }] }), T2)
            .unwrap();
    let live = applied(Some(&live), "one", json!({ "c": 1 }), T3).unwrap();
    assert_eq!(live["spec"], json!({ "b": 1, "c": 1, "set": ["y"], "list": [{ "name": "n", "w": 2 }] }));
    assert_eq!(owned(&live, "one"), json!({ "f:spec": { "f:c": {} } }));
}

#[test]
fn equal_values_are_owned_together_and_changing_one_is_a_conflict() {
    let live = applied(None, "one", json!({ "a": 1 }), T1).unwrap();
    let live = applied(Some(&live), "two", json!({ "a": 1 }), T2).unwrap();
    assert_eq!(owned(&live, "one"), owned(&live, "two"));
    let refused = applied(Some(&live), "one", json!({ "a": 2 }), T3);
    assert_eq!(refused, Err(ApplyError::Conflicts(vec![conflict("two", ".spec.a")])));
}

#[test]
fn giving_up_a_shared_field_leaves_it_to_the_other() {
    let live = applied(None, "one", json!({ "a": 1, "b": 1 }), T1).unwrap();
    let live = applied(Some(&live), "two", json!({ "a": 1 }), T2).unwrap();
    let live = applied(Some(&live), "one", json!({ "b": 1 }), T3).unwrap();
    assert_eq!(live["spec"], json!({ "a": 1, "b": 1 }));
    assert_eq!(owned(&live, "one"), json!({ "f:spec": { "f:b": {} } }));
}

#[test]
fn lists_merge_by_key_and_keep_the_order_of_the_one_who_applies() {
    let live = applied(
        None,
        "one",
        json!({ "list": [{ "name": "a", "v": 1 }, { "name": "b" }, { "name": "c" }], "set": ["x", "y"] }),
        T1,
    )
    .unwrap();
    let live = applied(
        Some(&live),
        "two",
        json!({ "list": [{ "name": "d" }, { "name": "a", "w": 2 }], "set": ["z", "x"] }),
        T2,
    )
    .unwrap();
    let want = json!([{ "name": "d" }, { "name": "a", "v": 1, "w": 2 }, { "name": "b" }, { "name": "c" }]);
    assert_eq!(live["spec"]["list"], want);
    assert_eq!(live["spec"]["set"], json!(["z", "x", "y"]));
}

#[test]
fn an_apply_that_changes_nothing_returns_the_live_object() {
    let spec = json!({ "a": 1, "list": [{ "name": "x", "v": 1 }] });
    let mut live = applied(None, "one", spec.clone(), T1).unwrap();
    live["metadata"]["uid"] = json!("u");
    live["metadata"]["resourceVersion"] = json!("7");
    live["status"] = json!({ "ready": true });
    assert_eq!(applied(Some(&live), "one", spec, T2), Ok(live));
}

#[test]
fn what_the_server_wrote_is_kept_and_owned_by_nobody() {
    let mut live = applied(None, "one", json!({ "a": 1 }), T1).unwrap();
    for (key, value) in [
        ("uid", json!("u")),
        ("resourceVersion", json!("7")),
        ("generation", json!(1)),
        ("creationTimestamp", json!(T1)),
    ] {
        live["metadata"][key] = value;
    }
    let mut sent = config(json!({ "b": 1 }));
    sent["metadata"]["uid"] = json!("u");
    sent["metadata"]["labels"] = json!({ "l": "1" });
    let next = apply(&shape(), Some(&live), &sent, &writer("one", T2), false).unwrap();
    assert_eq!(next["metadata"]["uid"], "u");
    assert_eq!(next["metadata"]["generation"], 1);
    assert_eq!(next["spec"], json!({ "b": 1 }));
    assert_eq!(
        owned(&next, "one"),
        json!({ "f:metadata": { "f:labels": { "f:l": {} } }, "f:spec": { "f:b": {} } })
    );
}

#[test]
fn an_update_owns_what_it_changes_and_takes_it_from_others() {
    let live =
        applied(None, "one", json!({ "a": 1, "b": 1, "list": [{ "name": "x", "v": 1 }] }), T1).unwrap();
    let next = updated(
        Some(&live),
        "editor",
        with_spec(&live, json!({ "a": 2, "list": [{ "name": "x", "v": 1 }], "map": { "k": "v" } })),
        T2,
    );
    assert_eq!(owned(&next, "editor"), json!({ "f:spec": { "f:a": {}, "f:map": { ".": {}, "f:k": {} } } }));
    assert_eq!(
        owned(&next, "one"),
        json!({ "f:spec": { "f:list": { "k:{\"name\":\"x\"}": { ".": {}, "f:name": {}, "f:v": {} } } } })
    );
    let refused = applied(Some(&next), "one", json!({ "a": 1 }), T3);
    assert_eq!(refused, Err(ApplyError::Conflicts(vec![conflict("editor", ".spec.a")])));
}

#[test]
fn a_write_that_changes_nothing_touches_no_time() {
    let live = updated(None, "maker", config(json!({ "a": 1 })), T1);
    let same = updated(Some(&live), "other", live.clone(), T2);
    assert_eq!(same, live);
    let mut naked = live.clone();
    naked["metadata"].as_object_mut().unwrap().remove("managedFields");
    assert_eq!(
        updated(Some(&live), "other", naked, T2),
        live,
        "a client that forgot the list does not delete it"
    );
}

#[test]
fn an_owner_of_nothing_disappears() {
    let live = updated(None, "maker", config(json!({ "a": 1 })), T1);
    let next = updated(Some(&live), "other", with_spec(&live, json!({ "a": 2 })), T2);
    assert_eq!(owned(&next, "maker"), json!({ "f:spec": {} }));
    let mut bare = next.clone();
    bare.as_object_mut().unwrap().remove("spec");
    let bare = updated(Some(&next), "other", bare, T3);
    assert_eq!(times(&bare), []);
}

#[test]
fn the_status_is_owned_apart() {
    let live = applied(None, "ctl", json!({ "a": 1 }), T1).unwrap();
    let status = Writer { subresource: Some("status"), ..writer("ctl", T2) };
    let mut sent = config(json!({ "a": 9 }));
    sent["status"] = json!({ "ready": true });
    let next = apply(&shape(), Some(&live), &sent, &status, false).unwrap();
    assert_eq!(next["spec"]["a"], 1);
    assert_eq!(next["status"]["ready"], true);
    let entries = next["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["subresource"], "status");
    assert_eq!(entries[1]["fieldsV1"], json!({ "f:status": { "f:ready": {} } }));
    let again = applied(Some(&next), "ctl", json!({ "a": 1 }), T3).unwrap();
    assert_eq!(again, next, "the spec's applier does not drop the status");
    let mut counted = next.clone();
    counted["status"]["seen"] = json!(1);
    let update = Writer { subresource: Some("status"), ..writer("kubelet", T3) };
    track_update(&shape(), Some(&next), &mut counted, &update);
    assert_eq!(owned(&counted, "kubelet"), json!({ "f:status": { "f:seen": {} } }));
}

#[test]
fn what_stood_there_before_the_first_apply_has_an_owner_too() {
    let live = config(json!({ "a": 1, "b": 1 }));
    let refused = applied(Some(&live), "one", json!({ "a": 2 }), T1);
    assert_eq!(refused, Err(ApplyError::Conflicts(vec![conflict("before-first-apply", ".spec.a")])));
    let next = applied(Some(&live), "one", json!({ "a": 1 }), T1).unwrap();
    assert_eq!(owned(&next, "before-first-apply"), json!({ "f:spec": { ".": {}, "f:a": {}, "f:b": {} } }));
}

#[test]
fn kubectl_moves_from_client_side_apply_without_conflict_but_not_over_others() {
    let mut first = config(json!({ "a": 1, "b": 1 }));
    let last = first.to_string();
    first["metadata"]["annotations"] = json!({ "kubectl.kubernetes.io/last-applied-configuration": last });
    let live = updated(None, "kubectl-client-side-apply", first, T1);
    let other = applied(Some(&live), "argo", json!({ "a": 2 }), T2);
    assert_eq!(other, Err(ApplyError::Conflicts(vec![conflict("kubectl-client-side-apply", ".spec.a")])));
    let next = applied(Some(&live), "kubectl", json!({ "a": 2, "b": 1 }), T2).unwrap();
    assert_eq!(next["spec"]["a"], 2);
    let left: Value = serde_json::from_str(
        next["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].as_str().unwrap(),
    )
    .unwrap();
    assert_eq!(left["spec"]["a"], 2, "going back stays possible");
    assert_eq!(applied(Some(&next), "kubectl", json!({ "a": 2, "b": 1 }), T3), Ok(next.clone()));
    let scaled = updated(Some(&next), "scaler", with_spec(&next, json!({ "a": 5, "b": 1 })), T3);
    let refused = applied(Some(&scaled), "kubectl", json!({ "a": 2, "b": 1 }), T3);
    assert_eq!(refused, Err(ApplyError::Conflicts(vec![conflict("scaler", ".spec.a")])));
}

#[test]
fn a_configuration_that_cannot_be_read_is_refused() {
    let twice = json!({ "list": [{ "name": "x" }, { "name": "x" }] });
    let table = [
        (twice, "duplicate entries for key [name=\"x\"]"),
        (json!({ "list": [{ "v": 1 }] }), "omits its key fields"),
        (json!({ "set": ["a", "a"] }), "duplicate entries for key [=\"a\"]"),
    ];
    for (spec, text) in table {
        match applied(None, "one", spec.clone(), T1) {
            Err(ApplyError::Invalid(found)) => assert!(found.contains(text), "{found}"),
            other => panic!("{spec}: {other:?}"),
        }
    }
    let live = applied(None, "one", json!({ "a": 1 }), T1).unwrap();
    let sent = apply(&shape(), Some(&live), &live, &writer("one", T2), false);
    assert_eq!(sent, Err(ApplyError::Invalid("metadata.managedFields must be nil".to_owned())));
}

#[test]
fn the_list_can_be_reset_and_replaced_by_a_client_but_not_spoilt() {
    let live = applied(None, "one", json!({ "a": 1 }), T1).unwrap();
    let with = |list: Value| {
        let mut next = live.clone();
        next["metadata"]["managedFields"] = list;
        updated(Some(&live), "editor", next, T2)
    };
    assert_eq!(times(&with(json!([{}]))), []);
    assert_eq!(times(&with(json!([]))), []);
    assert_eq!(with(json!([{ "manager": "x", "operation": "Dance" }])), live);
    let mut renamed = live["metadata"]["managedFields"].clone();
    renamed[0]["manager"] = json!("two");
    assert_eq!(times(&with(renamed)), [(json!("two"), json!(T1))]);
}

#[test]
fn many_updaters_are_folded_into_one() {
    let mut live = updated(None, "u00", config(json!({ "map": { "k00": "v" } })), "2026-11-21T00:00:00Z");
    for round in 1..15 {
        let mut next = live.clone();
        next["spec"]["map"][format!("k{round:02}")] = json!("v");
        live = updated(Some(&live), &format!("u{round:02}"), next, &format!("2026-11-21T00:00:{round:02}Z"));
    }
    let entries = live["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 10);
    assert_eq!(entries[0]["manager"], "ancient-changes");
    assert!(owned(&live, "ancient-changes")["f:spec"]["f:map"]["f:k00"].is_object());
    assert!(owned(&live, "u14")["f:spec"]["f:map"]["f:k14"].is_object());
}

#[test]
fn a_port_without_protocol_is_the_tcp_port() {
    let info = TypeInfo::builtin("", "v1", "Service");
    let service = |ports: Value| json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "s" }, "spec": { "ports": ports } });
    let v1 = |manager| Writer { api_version: "v1", ..writer(manager, T1) };
    let live = apply(
        &info,
        None,
        &service(json!([{ "port": 53, "protocol": "TCP" }, { "port": 53, "protocol": "UDP" }])),
        &v1("one"),
        false,
    )
    .unwrap();
    let next = apply(&info, Some(&live), &service(json!([{ "port": 53, "name": "dns" }])), &v1("two"), false)
        .unwrap();
    assert_eq!(
        next["spec"]["ports"],
        json!([{ "port": 53, "protocol": "TCP", "name": "dns" }, { "port": 53, "protocol": "UDP" }])
    );
    let key = "k:{\"port\":53,\"protocol\":\"TCP\"}";
    assert!(owned(&next, "two")["f:spec"]["f:ports"][key].is_object());
}

#[test]
fn owner_references_merge_by_uid_and_finalizers_by_value() {
    let live = {
        let mut first = config(json!({}));
        first["metadata"]["finalizers"] = json!(["x/one"]);
        first["metadata"]["ownerReferences"] =
            json!([{ "uid": "1", "name": "a", "kind": "K", "apiVersion": "v1" }]);
        updated(None, "maker", first, T1)
    };
    let mut sent = config(json!({ "a": 1 }));
    sent["metadata"]["finalizers"] = json!(["x/two"]);
    sent["metadata"]["ownerReferences"] =
        json!([{ "uid": "2", "name": "b", "kind": "K", "apiVersion": "v1" }]);
    let next = apply(&shape(), Some(&live), &sent, &writer("ctl", T2), false).unwrap();
    assert_eq!(next["metadata"]["finalizers"], json!(["x/one", "x/two"]));
    assert_eq!(next["metadata"]["ownerReferences"].as_array().unwrap().len(), 2);
    assert_eq!(
        owned(&next, "ctl")["f:metadata"],
        json!({ "f:finalizers": { "v:\"x/two\"": {} }, "f:ownerReferences": { "k:{\"uid\":\"2\"}": {} } })
    );
}

#[test]
fn without_a_schema_objects_merge_and_lists_do_not() {
    let info = TypeInfo::builtin("x.example.com", "v1", "Free");
    let live =
        apply(&info, None, &config(json!({ "o": { "p": 1 }, "l": [1] })), &writer("one", T1), false).unwrap();
    assert_eq!(
        owned(&live, "one"),
        json!({ "f:spec": { ".": {}, "f:l": {}, "f:o": { ".": {}, "f:p": {} } } })
    );
    let next =
        apply(&info, Some(&live), &config(json!({ "o": { "q": 2 } })), &writer("two", T2), false).unwrap();
    assert_eq!(next["spec"], json!({ "o": { "p": 1, "q": 2 }, "l": [1] }));
}

#[test]
fn a_stored_set_reads_back_as_it_was_written() {
    let fields = json!({ "f:a": {}, "f:b": { ".": {}, "f:c": {} }, "f:l": { "k:{\"n\":1,\"p\":\"x\"}": { ".": {}, "f:n": {} }, "v:\"s\"": {}, "v:5": {}, "i:0": {} } });
    let set = FieldSet::decode(&fields).unwrap();
    assert_eq!(set.encode(), fields);
    let want = [".a", ".b", ".b.c", ".l[n=1,p=\"x\"]", ".l[n=1,p=\"x\"].n", ".l[=\"s\"]", ".l[=5]", ".l[0]"];
    assert_eq!(set.paths(), want);
    for bad in [json!([]), json!({ "x": {} }), json!({ "k:{": {} }), json!({ "f:a": 1 })] {
        assert_eq!(FieldSet::decode(&bad), None);
    }
}

fn any_spec() -> impl Strategy<Value = Value> {
    let number = || proptest::option::of(0i64..3);
    let names = || proptest::collection::btree_map("[a-c]", proptest::option::of(0i64..3), 0..3);
    (
        number(),
        number(),
        names(),
        proptest::collection::btree_set("[a-c]", 0..3),
        proptest::collection::btree_map("[a-c]", "[xy]", 0..3),
    )
        .prop_map(|(a, b, list, set, map)| {
            let mut spec = Map::new();
            a.into_iter().for_each(|a| drop(spec.insert("a".to_owned(), json!(a))));
            b.into_iter().for_each(|b| drop(spec.insert("b".to_owned(), json!(b))));
            let entry = |(name, v): (String, Option<i64>)| match v {
                Some(v) => json!({ "name": name, "v": v }),
                None => json!({ "name": name }),
            };
            for (key, value, empty) in [
                ("list", json!(list.clone().into_iter().map(entry).collect::<Vec<_>>()), list.is_empty()),
                ("set", json!(set), set.is_empty()),
                ("map", json!(map), map.is_empty()),
            ] {
                if !empty {
                    spec.insert(key.to_owned(), value);
                }
            }
            Value::Object(spec)
        })
}

/// The spec as far as its meaning goes: lists that are merged have no order.
fn meaning(object: &Value) -> Value {
    let mut spec = object.get("spec").cloned().unwrap_or_default();
    for key in ["list", "set"] {
        if let Some(items) = spec.get_mut(key).and_then(Value::as_array_mut) {
            items.sort_by_key(Value::to_string);
        }
    }
    spec
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(before in any_spec(), spec in any_spec()) {
        let live = applied(None, "other", before, T1).unwrap();
        let once = forced(&live, "one", spec.clone(), T2);
        prop_assert_eq!(forced(&once, "one", spec, T3), once);
    }

    #[test]
    fn what_is_applied_is_there(before in any_spec(), spec in any_spec()) {
        let live = applied(None, "other", before, T1).unwrap();
        let next = forced(&live, "one", spec.clone(), T2);
        let again = typed_merge(&next, &spec);
        prop_assert_eq!(meaning(&again), meaning(&next));
    }

    #[test]
    fn managers_of_different_fields_commute(a in 0i64..3, list in 0i64..3, word in "[xy]") {
        let (one, two) = (json!({ "a": a, "list": [{ "name": "m", "v": list }] }), json!({ "b": a, "list": [{ "name": "n", "v": list }], "map": { "k": word } }));
        let forth = applied(applied(None, "one", one.clone(), T1).ok().as_ref(), "two", two.clone(), T1).unwrap();
        let back = applied(applied(None, "two", two, T1).ok().as_ref(), "one", one, T1).unwrap();
        prop_assert_eq!(meaning(&forth), meaning(&back));
        prop_assert_eq!(&forth["metadata"], &back["metadata"]);
    }

    #[test]
    fn dropping_everything_restores_what_was(base in any_spec(), spec in any_spec()) {
        let before = applied(None, "base", base, T1).unwrap();
        if let Ok(during) = applied(Some(&before), "guest", spec, T2) {
            let after = applied(Some(&during), "guest", json!({}), T3).unwrap();
            let cleared = |object: &Value| match meaning(object) {
                Value::Object(map) => map.into_iter().filter(|(_, v)| v != &json!({}) && v != &json!([])).collect::<Map<_, _>>(),
                _ => Map::new(),
            };
            prop_assert_eq!(cleared(&after), cleared(&before));
            prop_assert_eq!(owned(&after, "base"), owned(&before, "base"));
        }
    }

    #[test]
    fn every_field_that_an_update_changes_has_exactly_one_owner(base in any_spec(), next in any_spec()) {
        let live = updated(None, "maker", config(base), T1);
        let after = updated(Some(&live), "editor", with_spec(&live, next), T2);
        let sets: Vec<FieldSet> = ["maker", "editor"].map(|name| FieldSet::decode(&owned(&after, name)).unwrap_or_default()).into();
        prop_assert!(sets[0].intersection(&sets[1]).is_empty());
        let info = shape();
        let typed = Typed { shape: info.shape() };
        let all = managers::trackable(typed.fields(typed.root(), &tracked(&after)));
        prop_assert!(all.difference(&sets[0].union(&sets[1])).is_empty());
    }
}

fn typed_merge(object: &Value, spec: &Value) -> Value {
    let info = shape();
    let typed = Typed { shape: info.shape() };
    typed.merge(typed.root(), object, &json!({ "spec": spec }))
}
