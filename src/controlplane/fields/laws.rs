//! Laws of ownership over generated configurations.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::tests::{T1, T2, T3, applied, config, forced, owned, shape, updated, with_spec, writer};
use super::*;

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

/// Anything at all, often under names that the schema knows with other types.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), (0i64..3).prop_map(Value::from), "[ab]?".prop_map(Value::from)];
    leaf.prop_recursive(4, 30, 4, |inner| {
        let names = prop_oneof![
            Just("a"),
            Just("list"),
            Just("set"),
            Just("map"),
            Just("pair"),
            Just("name"),
            Just("atomic")
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(names.prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
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
    fn no_input_makes_us_fall_and_an_apply_that_passes_is_stable(before in any_json(), spec in any_json(), update in any_json()) {
        let live = updated(None, "maker", config(before), T1);
        let live = updated(Some(&live), "editor", with_spec(&live, update), T2);
        let info = shape();
        let sent = config(spec);
        if let Ok(once) = apply(&info, Some(&live), &sent, &writer("one", T2), true) {
            prop_assert_eq!(apply(&info, Some(&once), &sent, &writer("one", T3), true), Ok(once.clone()));
            let again = updated(Some(&once), "other", once.clone(), T3);
            prop_assert_eq!(again, once);
        }
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
