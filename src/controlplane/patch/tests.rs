//! Rules and laws of the three patches, and what hostile ones must not do.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn patched(mut target: Value, patch: Value) -> Result<Value, PatchError> {
    json_patch(&mut target, &patch).map(|()| target)
}

fn merged(mut target: Value, patch: &Value) -> Value {
    merge_patch(&mut target, patch);
    target
}

fn strategic(info: &TypeInfo, mut target: Value, patch: Value) -> Value {
    strategic_merge(info, &mut target, &patch).unwrap();
    target
}

#[test]
fn operations_do_what_rfc_6902_says() {
    let table = [
        (json!({}), json!([{ "op": "add", "path": "/a", "value": 1 }]), json!({ "a": 1 })),
        (
            json!({ "a": [1, 3] }),
            json!([{ "op": "add", "path": "/a/1", "value": 2 }]),
            json!({ "a": [1, 2, 3] }),
        ),
        (json!({ "a": [1] }), json!([{ "op": "add", "path": "/a/-", "value": 2 }]), json!({ "a": [1, 2] })),
        (json!({ "a": 1, "b": 2 }), json!([{ "op": "remove", "path": "/a" }]), json!({ "b": 2 })),
        (json!({ "a": [1, 2] }), json!([{ "op": "remove", "path": "/a/-1" }]), json!({ "a": [1] })),
        (json!({ "a": 1 }), json!([{ "op": "replace", "path": "/a", "value": 2 }]), json!({ "a": 2 })),
        (json!({ "a": 1 }), json!([{ "op": "move", "from": "/a", "path": "/b" }]), json!({ "b": 1 })),
        (json!({ "a": 1 }), json!([{ "op": "copy", "from": "/a", "path": "/b" }]), json!({ "a": 1, "b": 1 })),
        (
            json!({ "a/b": 1, "m~n": 2 }),
            json!([{ "op": "remove", "path": "/a~1b" }, { "op": "test", "path": "/m~0n", "value": 2 }]),
            json!({ "m~n": 2 }),
        ),
        (json!({ "a": 1 }), json!([{ "op": "test", "path": "/a", "value": 1.0 }]), json!({ "a": 1 })),
    ];
    for (target, patch, want) in table {
        assert_eq!(patched(target, patch.clone()), Ok(want), "{patch}");
    }
}

#[test]
fn a_test_for_null_passes_where_nothing_is() {
    for path in ["/metadata/finalizers", "/nothing"] {
        let patch = json!([{ "op": "test", "path": path, "value": null }]);
        assert_eq!(patched(json!({ "metadata": {} }), patch), Ok(json!({ "metadata": {} })));
    }
    let far = json!([{ "op": "test", "path": "/nothing/here", "value": null }]);
    let failed = Err(PatchError::TestFailed("/nothing/here".to_owned()));
    assert_eq!(patched(json!({}), far), failed, "where not even the parent is");
    let patch = json!([{ "op": "test", "path": "/a", "value": 1 }]);
    assert_eq!(patched(json!({}), patch), Err(PatchError::TestFailed("/a".to_owned())));
}

#[test]
fn a_patch_that_does_not_fit_is_refused() {
    let table = [
        json!({}),
        json!([{ "op": "add", "path": "a", "value": 1 }]),
        json!([{ "op": "add", "path": "/x/y", "value": 1 }]),
        json!([{ "op": "remove", "path": "/x" }]),
        json!([{ "op": "remove", "path": "" }]),
        json!([{ "op": "replace", "path": "/x", "value": 1 }]),
        json!([{ "op": "move", "from": "/a", "path": "/a/b" }]),
        json!([{ "op": "dance", "path": "/a" }]),
        json!([{ "path": "/a" }]),
        json!([{ "op": "add", "path": "/l/99999999999999999999999999", "value": 1 }]),
        json!([{ "op": "add", "path": "/l/4294967295", "value": 1 }]),
        json!([{ "op": "add", "path": "/l/-9", "value": 1 }]),
        json!([{ "op": "add", "path": "/l/+1", "value": 1 }]),
    ];
    for patch in table {
        let outcome = patched(json!({ "a": {}, "l": [1] }), patch.clone());
        assert!(
            matches!(outcome, Err(PatchError::Invalid(_) | PatchError::Unfit(_))),
            "{patch}: {outcome:?}"
        );
    }
}

#[test]
fn copies_do_not_multiply_without_bound() {
    let mut operations = vec![json!({ "op": "add", "path": "/a", "value": "x".repeat(1000) })];
    for round in 0..40 {
        operations.push(json!({ "op": "copy", "from": "", "path": format!("/{round}") }));
    }
    assert!(matches!(patched(json!({}), Value::Array(operations)), Err(PatchError::Unfit(_))));
    let many = vec![json!({ "op": "test", "path": "/a", "value": null }); 10_001];
    assert!(matches!(patched(json!({}), Value::Array(many)), Err(PatchError::Invalid(_))));
}

#[test]
fn depth_cannot_be_built_up_step_by_step() {
    let nest = "/a".repeat(90);
    let mut value = json!({});
    for _ in 0..90 {
        value = json!({ "a": value });
    }
    let mut operations = vec![json!({ "op": "add", "path": "/a", "value": value })];
    operations
        .extend((1..20).map(|round| json!({ "op": "add", "path": nest.repeat(round), "value": value })));
    assert!(matches!(patched(json!({}), Value::Array(operations)), Err(PatchError::Unfit(_))));
}

#[test]
fn a_bottomless_patch_neither_overflows_nor_passes() {
    let wrap = |key: &str, value: Value| Value::Object([(key.to_owned(), value)].into_iter().collect());
    let deep = (0..1000).fold(json!(1), |inner, _| wrap("a", inner));
    merged(json!({}), &deep);
    let info = TypeInfo::builtin("", "v1", "Pod");
    assert!(strategic_merge(&info, &mut json!({}), &deep).is_err());
    let mut operation = json!({ "op": "add", "path": "/a" });
    operation["value"] = deep;
    assert!(patched(json!({}), Value::Array(vec![operation])).is_err());
}

#[test]
fn strategic_merge_joins_entries_by_their_key() {
    let info = TypeInfo::builtin("", "v1", "Pod");
    let target = json!({ "spec": { "containers": [
        { "name": "a", "image": "1", "env": [{ "name": "X", "value": "1" }], "args": ["x"] }, { "name": "b", "image": "1" }] } });
    let patch = json!({ "spec": { "containers": [
        { "name": "a", "image": "2", "env": [{ "name": "Y", "value": "2" }], "args": ["y"] },
        { "name": "b", "$patch": "delete" }, { "name": "c", "image": "3" }] } });
    let want = json!({ "spec": { "containers": [
        { "name": "a", "image": "2", "env": [{ "name": "X", "value": "1" }, { "name": "Y", "value": "2" }], "args": ["y"] },
        { "name": "c", "image": "3" }] } });
    assert_eq!(strategic(&info, target, patch), want);
}

#[test]
fn strategic_directives_are_obeyed_and_leave_no_trace() {
    let pod = TypeInfo::builtin("", "v1", "Pod");
    let table = [
        (
            json!({ "metadata": { "labels": { "a": "1" } } }),
            json!({ "metadata": { "labels": { "$patch": "replace", "b": "2" } } }),
            json!({ "metadata": { "labels": { "b": "2" } } }),
        ),
        (
            json!({ "metadata": { "labels": { "a": "1" } } }),
            json!({ "metadata": { "labels": { "$patch": "delete" } } }),
            json!({ "metadata": {} }),
        ),
        (
            json!({ "metadata": { "labels": { "a": "1" } } }),
            json!({ "metadata": { "labels": { "a": null, "b": "2" } } }),
            json!({ "metadata": { "labels": { "b": "2" } } }),
        ),
        (
            json!({ "metadata": { "finalizers": ["a", "b"] } }),
            json!({ "metadata": { "finalizers": ["b", "c"] } }),
            json!({ "metadata": { "finalizers": ["a", "b", "c"] } }),
        ),
        (
            json!({ "metadata": { "finalizers": ["a", "b"] } }),
            json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["a"] } }),
            json!({ "metadata": { "finalizers": ["b"] } }),
        ),
        (
            json!({ "spec": { "volumes": [{ "name": "v", "emptyDir": {} }] } }),
            json!({ "spec": { "volumes": [{ "name": "v", "$retainKeys": ["name", "secret"], "secret": {} }] } }),
            json!({ "spec": { "volumes": [{ "name": "v", "secret": {} }] } }),
        ),
        (
            json!({ "spec": { "volumes": [{ "name": "v" }] } }),
            json!({ "spec": { "volumes": [{ "name": "w" }, { "$patch": "replace" }] } }),
            json!({ "spec": { "volumes": [{ "name": "w" }] } }),
        ),
        (
            json!({ "spec": { "containers": [{ "name": "a" }, { "name": "b" }] } }),
            json!({ "spec": { "$setElementOrder/containers": [{ "name": "c" }, { "name": "b" }, { "name": "a" }], "containers": [{ "name": "c" }] } }),
            json!({ "spec": { "containers": [{ "name": "c" }, { "name": "b" }, { "name": "a" }] } }),
        ),
        (
            json!({ "spec": { "tolerations": [{ "key": "a" }] } }),
            json!({ "spec": { "tolerations": [{ "key": "b" }] } }),
            json!({ "spec": { "tolerations": [{ "key": "b" }] } }),
        ),
        (
            json!({}),
            json!({ "spec": { "nodeSelector": { "a": "b", "c": null } } }),
            json!({ "spec": { "nodeSelector": { "a": "b" } } }),
        ),
    ];
    for (target, patch, want) in table {
        assert_eq!(strategic(&pod, target, patch.clone()), want, "{patch}");
    }
}

#[test]
fn the_patch_of_kubectl_apply_leaves_what_others_injected() {
    let info = TypeInfo::builtin("", "v1", "Pod");
    let target = json!({ "spec": {
        "containers": [{ "name": "injected", "image": "x" }, { "name": "a", "image": "1" }],
        "volumes": [{ "name": "v", "emptyDir": {} }, { "name": "token" }] } });
    // As kubectl sends it when a volume changes its kind.
    let patch = json!({ "spec": {
        "$setElementOrder/containers": [{ "name": "a" }], "$setElementOrder/volumes": [{ "name": "v" }],
        "containers": [{ "image": "2", "name": "a" }],
        "volumes": [{ "$retainKeys": ["name", "secret"], "emptyDir": null, "name": "v", "secret": { "secretName": "s" } }] } });
    let want = json!({ "spec": {
        "containers": [{ "name": "injected", "image": "x" }, { "name": "a", "image": "2" }],
        "volumes": [{ "name": "v", "secret": { "secretName": "s" } }, { "name": "token" }] } });
    assert_eq!(strategic(&info, target, patch), want);
}

#[test]
fn strategic_merge_refuses_what_it_cannot_place() {
    let info = TypeInfo::builtin("", "v1", "Pod");
    let table = [
        json!([]),
        json!({ "spec": { "containers": [{ "image": "x" }] } }),
        json!({ "spec": { "$patch": "dance" } }),
        json!({ "$retainKeys": 1 }),
    ];
    for patch in table {
        assert!(strategic_merge(&info, &mut json!({ "spec": {} }), &patch).is_err(), "{patch}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (-5i64..5).prop_map(Value::from)];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, child)| !child.is_null());
            Value::Object(kept.map(|(key, child)| (key.clone(), without_nulls(child))).collect())
        }
        other => other.clone(),
    }
}

fn any_operation() -> impl Strategy<Value = Value> {
    let path = proptest::collection::vec("[a-c]|-|[0-9]{1,20}|~[01]?|", 0..4)
        .prop_map(|parts| parts.iter().map(|p| format!("/{p}")).collect::<String>());
    let op =
        prop_oneof![Just("add"), Just("remove"), Just("replace"), Just("move"), Just("copy"), Just("test")];
    (op, path.clone(), path, any_json())
        .prop_map(|(op, path, from, value)| json!({ "op": op, "path": path, "from": from, "value": value }))
}

proptest! {
    #[test]
    fn merging_twice_is_merging_once(target in any_json(), patch in any_json()) {
        let once = merged(target, &patch);
        prop_assert_eq!(merged(once.clone(), &patch), once);
    }

    #[test]
    fn an_empty_patch_changes_no_object(target in proptest::collection::btree_map("[a-d]", any_json(), 0..4)) {
        let target = Value::Object(target.into_iter().collect());
        prop_assert_eq!(merged(target.clone(), &json!({})), target);
    }

    #[test]
    fn merging_into_nothing_gives_the_patch_without_its_nulls(patch in any_json()) {
        prop_assert_eq!(merged(Value::Null, &patch), without_nulls(&patch));
    }

    #[test]
    fn strategic_merge_without_keys_or_lists_is_merge_patch(labels in proptest::collection::btree_map("[a-d]", any::<bool>(), 0..4), patch in proptest::collection::btree_map("[a-d]", proptest::option::of(any::<bool>()), 0..4)) {
        let info = TypeInfo::builtin("", "v1", "ConfigMap");
        let (target, patch) = (json!({ "data": labels }), json!({ "data": patch }));
        prop_assert_eq!(strategic(&info, target.clone(), patch.clone()), merged(target, &patch));
    }

    #[test]
    fn no_json_patch_makes_us_fall(target in any_json(), operations in proptest::collection::vec(any_operation(), 0..12)) {
        let _ = patched(target, Value::Array(operations));
    }
}
