//! Laws of pruning, defaulting and validation over generated objects.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::TypeInfo;
use super::tests::{fields, object};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-5i64..5).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn laboratory() -> TypeInfo {
    let entry = json!({ "type": "object", "properties": { "a": { "type": "string", "default": "k" }, "b": { "type": "integer", "nullable": true } } });
    fields(json!({
        "a": { "type": "object", "default": {}, "properties": { "a": { "type": "string", "default": "x" }, "b": { "type": "string" } } },
        "b": { "type": "array", "items": entry },
        "c": { "type": "object", "additionalProperties": { "type": "object", "properties": { "a": { "type": "integer", "default": 1 } } } },
    }))
}

proptest! {
    #[test]
    fn pruning_twice_is_pruning_once(spec in any_json()) {
        let info = laboratory();
        let mut once = object(spec);
        info.prune(&mut once);
        let mut twice = once.clone();
        prop_assert!(info.prune(&mut twice).is_empty());
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn defaulting_twice_is_defaulting_once(spec in any_json()) {
        let info = laboratory();
        let mut once = object(spec);
        info.default(&mut once);
        let mut twice = once.clone();
        info.default(&mut twice);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn an_object_that_does_not_change_has_nothing_wrong(spec in any_json()) {
        let info = laboratory();
        let given = object(spec);
        prop_assert!(info.validate(&given, Some(&given)).is_empty());
    }
}
