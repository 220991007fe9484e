//! Rules of ownership: migration, unreadable input, the list itself, built-in kinds.

use serde_json::{Value, json};

use super::tests::{T1, T2, T3, applied, config, conflict, owned, shape, times, updated, with_spec, writer};
use super::*;

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
