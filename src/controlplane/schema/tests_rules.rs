//! Rules about CEL rules.

use serde_json::{Value, json};

use super::TypeInfo;
use super::tests::{crd, fields, messages};

#[test]
fn a_rule_speaks_with_its_message_its_path_and_its_reason() {
    let info = crd(json!({
        "type": "object",
        "properties": { "low": { "type": "integer" }, "high": { "type": "integer" } },
        "x-kubernetes-validations": [
            { "rule": "self.low <= self.high", "message": "low first", "fieldPath": ".low", "reason": "FieldValueForbidden" },
            { "rule": "self.high < 100", "messageExpression": "'high is ' + string(self.high)" },
        ],
    }));
    assert_eq!(messages(&info, json!({ "low": 1, "high": 2 }), None), []);
    let want = [("spec.low", "Forbidden: low first"), ("spec", "Invalid value: \"object\": high is 100")];
    assert_eq!(
        messages(&info, json!({ "low": 200, "high": 100 }), None),
        want.map(|(f, m)| (f.to_owned(), m.to_owned()))
    );
}

#[test]
fn a_rule_about_an_optional_old_value_runs_on_create_too() {
    let info = crd(json!({
        "type": "object",
        "properties": { "my-size": { "type": "integer" }, "tags": { "type": "object", "additionalProperties": { "type": "string" } } },
        "x-kubernetes-validations": [{
            "rule": "oldSelf.hasValue() ? self.my__dash__size >= oldSelf.value().my__dash__size : self.my__dash__size == 1",
            "messageExpression": "oldSelf.hasValue() ? 'may only grow' : 'starts at one'",
            "fieldPath": "['my-size']",
            "optionalOldSelf": true,
        }, { "rule": "!('a-b' in oldSelf.value().tags) || 'a-b' in self.tags", "optionalOldSelf": true, "message": "tags stay" }],
    }));
    let first =
        |spec: Value, old: Option<Value>| messages(&info, spec, old).first().map(|(_, text)| text.clone());
    let tagged = |size: i64| json!({ "my-size": size, "tags": { "a-b": "x" } });
    assert_eq!(first(tagged(2), None), Some("Invalid value: \"object\": starts at one".to_owned()));
    assert_eq!(first(tagged(2), Some(tagged(1))), None);
    assert_eq!(
        first(tagged(1), Some(tagged(2))),
        Some("Invalid value: \"object\": may only grow".to_owned())
    );
    let untagged = json!({ "my-size": 2, "tags": {} });
    assert_eq!(first(untagged, Some(tagged(1))), Some("Invalid value: \"object\": tags stay".to_owned()));
}

#[test]
fn a_rule_that_names_what_does_not_exist_is_refused_with_the_schema() {
    let try_rule = |rule: &str| {
        let spec = json!({ "type": "object", "x-kubernetes-validations": [{ "rule": rule }] });
        TypeInfo::from_crd(&json!({ "type": "object", "properties": { "spec": spec } })).map(drop)
    };
    let fine = [
        "self.l.all(x, self.k.exists(y, y == x))",
        "self.m.map(k, k + 'a').size() > 0 && oldSelf.a == 1",
        "self.l.all(i, v, i < v) && math.greatest(1, 2) == 2 && sets.contains([1], [1])",
        "type(self.a) == int && has(self.b)",
        "isIP(self.a) && ip(self.a).family() == 4 && quantity('1') == quantity(self.q)",
        "self.l.filter(i, i > 0).map(i, i * 2).exists_one(j, j == 4)",
    ];
    for rule in fine {
        assert_eq!(try_rule(rule), Ok(()), "{rule}");
    }
    for rule in ["selff.a == 1", "self.l.all(x, x == other)", "self.a == [1"] {
        let causes = try_rule(rule).expect_err(rule);
        assert_eq!(causes[0].field, "openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule");
        assert!(causes[0].message.contains("compilation failed"), "{causes:?}");
    }
}

#[test]
fn a_transition_rule_finds_the_old_entry_by_its_key() {
    let entry = json!({
        "type": "object",
        "required": ["name"],
        "properties": { "name": { "type": "string" }, "v": { "type": "integer" } },
        "x-kubernetes-validations": [{ "rule": "self.v == oldSelf.v", "message": "v is fixed" }],
    });
    let info = fields(json!({
        "list": { "type": "array", "items": entry, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] },
        "fixed": { "type": "string", "x-kubernetes-validations": [{ "rule": "self == oldSelf", "message": "is immutable" }] },
    }));
    let old = json!({ "list": [{ "name": "a", "v": 1 }, { "name": "b", "v": 2 }], "fixed": "x" });
    assert_eq!(messages(&info, old.clone(), None), [], "no old object, no transition");
    let swapped = json!({ "list": [{ "name": "b", "v": 2 }, { "name": "a", "v": 1 }, { "name": "c", "v": 9 }], "fixed": "x" });
    assert_eq!(messages(&info, swapped, Some(old.clone())), []);
    let changed = json!({ "list": [{ "name": "b", "v": 3 }], "fixed": "y" });
    let want = [
        ("spec.fixed", "Invalid value: \"y\": is immutable"),
        ("spec.list[0]", "Invalid value: \"object\": v is fixed"),
    ];
    assert_eq!(messages(&info, changed, Some(old)), want.map(|(f, m)| (f.to_owned(), m.to_owned())));
}

#[test]
fn a_rule_at_the_root_sees_the_name() {
    let schema = json!({
        "type": "object",
        "properties": { "spec": { "type": "object", "properties": { "id": { "type": "string" } } } },
        "x-kubernetes-validations": [{ "rule": "self.metadata.name == self.spec.id && self.kind == 'Thing'", "message": "id is the name" }],
    });
    let info = TypeInfo::from_crd(&schema).unwrap();
    let thing = |id: &str| json!({ "apiVersion": "e/v1", "kind": "Thing", "metadata": { "name": "a" }, "spec": { "id": id } });
    assert_eq!(info.validate(&thing("a"), None), []);
    let causes = info.validate(&thing("b"), None);
    assert_eq!(
        (causes[0].field.as_str(), causes[0].message.as_str()),
        ("", "Invalid value: \"object\": id is the name")
    );
}

#[test]
fn a_rule_that_cannot_be_evaluated_refuses_the_object() {
    let info = crd(json!({
        "type": "object",
        "properties": { "a": { "type": "integer" }, "b": { "type": "integer" } },
        "x-kubernetes-validations": [{ "rule": "self.a / self.b > 0" }],
    }));
    assert_eq!(messages(&info, json!({ "a": 4, "b": 2 }), None), []);
    assert_eq!(messages(&info, json!({ "a": 4, "b": 0 }), None).len(), 1);
    assert_eq!(messages(&info, json!({ "a": 4 }), None).len(), 1);
}
