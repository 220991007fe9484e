//! Rules of ownership as clients see them.

use serde_json::{Value, json};

use super::*;

pub(super) const T1: &str = "2026-11-21T00:00:01Z";
pub(super) const T2: &str = "2026-11-21T00:00:02Z";
pub(super) const T3: &str = "2026-11-21T00:00:03Z";

pub(super) fn writer<'a>(manager: &'a str, now: &'a str) -> Writer<'a> {
    Writer { manager, api_version: "example.com/v1", subresource: None, now }
}

pub(super) fn shape() -> TypeInfo {
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

pub(super) fn config(spec: Value) -> Value {
    json!({ "apiVersion": "example.com/v1", "kind": "Thing", "metadata": { "name": "n" }, "spec": spec })
}

/// Applies; the live object is what the store would hold.
pub(super) fn applied(
    live: Option<&Value>,
    manager: &str,
    spec: Value,
    now: &str,
) -> Result<Value, ApplyError> {
    apply(&shape(), live, &config(spec), &writer(manager, now), false)
}

pub(super) fn forced(live: &Value, manager: &str, spec: Value, now: &str) -> Value {
    apply(&shape(), Some(live), &config(spec), &writer(manager, now), true).unwrap()
}

pub(super) fn updated(live: Option<&Value>, manager: &str, after: Value, now: &str) -> Value {
    let mut after = after;
    track_update(&shape(), live, &mut after, &writer(manager, now));
    after
}

pub(super) fn with_spec(live: &Value, spec: Value) -> Value {
    let mut next = live.clone();
    next["spec"] = spec;
    next
}

pub(super) fn owned(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let mine = entries.into_iter().find(|entry| entry["manager"] == manager);
    mine.map_or(Value::Null, |entry| entry["fieldsV1"].clone())
}

pub(super) fn times(object: &Value) -> Vec<(Value, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.into_iter().map(|entry| (entry["manager"].clone(), entry["time"].clone())).collect()
}

pub(super) fn conflict(manager: &str, field: &str) -> Conflict {
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
