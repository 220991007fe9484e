//! Rules of shapes as seen through `TypeInfo`.

use serde_json::{Value, json};

use super::*;

pub(super) fn crd(spec: Value) -> TypeInfo {
    let schema = json!({ "type": "object", "properties": { "spec": spec, "status": OPEN.clone() } });
    TypeInfo::from_crd(&schema).unwrap_or_else(|causes| panic!("{causes:#?}"))
}

static OPEN: std::sync::LazyLock<Value> =
    std::sync::LazyLock::new(|| json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }));

pub(super) fn fields(properties: Value) -> TypeInfo {
    crd(json!({ "type": "object", "properties": properties }))
}

pub(super) fn object(spec: Value) -> Value {
    json!({ "apiVersion": "example.com/v1", "kind": "Thing", "metadata": { "name": "a" }, "spec": spec })
}

pub(super) fn messages(info: &TypeInfo, spec: Value, old: Option<Value>) -> Vec<(String, String)> {
    let old = old.map(object);
    let causes = info.validate(&object(spec), old.as_ref());
    causes.into_iter().map(|cause| (cause.field, cause.message)).collect()
}

#[test]
fn a_type_info_crosses_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<TypeInfo>();
}

#[test]
fn unknown_fields_are_dropped_and_named() {
    let info = fields(json!({
        "list": { "type": "array", "items": { "type": "object", "properties": { "a": { "type": "string" } } } },
        "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                  "properties": { "known": { "type": "object", "properties": { "a": { "type": "string" } } } } },
        "map": { "type": "object", "additionalProperties": { "type": "object", "properties": { "a": { "type": "string" } } } },
        "raw": { "x-kubernetes-preserve-unknown-fields": true },
        "embedded": { "type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true },
    }));
    let mut given = object(json!({
        "foo": 1,
        "list": [{ "a": "x" }, { "a": "x", "b": 1 }],
        "free": { "other": 1, "known": { "a": "x", "b": 1 } },
        "map": { "k": { "a": "x", "b": 1 } },
        "raw": { "anything": { "goes": 1 } },
        "embedded": { "apiVersion": "v1", "kind": "X", "metadata": {}, "data": 1 },
    }));
    given["extra"] = json!(1);
    given["metadata"]["colour"] = json!("red");
    given["metadata"]["labels"] = json!({ "any": "thing" });
    let dropped = info.prune(&mut given);
    let want =
        ["extra", "metadata.colour", "spec.foo", "spec.free.known.b", "spec.list[1].b", "spec.map.k.b"];
    let mut dropped = dropped;
    dropped.sort();
    assert_eq!(dropped, want);
    assert_eq!(given["spec"]["free"]["other"], 1);
    assert_eq!(given["metadata"]["labels"]["any"], "thing");
    assert_eq!(info.prune(&mut given), Vec::<String>::new());
}

#[test]
fn a_null_that_is_not_allowed_counts_as_absent() {
    let info = fields(json!({
        "defaulted": { "type": "string", "default": "d" },
        "nullable": { "type": "string", "nullable": true, "default": "d" },
        "plain": { "type": "string" },
        "nested": { "type": "object", "default": {}, "properties": { "inner": { "type": "integer", "default": 7 } } },
        "list": { "type": "array", "items": { "type": "object", "properties": { "x": { "type": "integer", "default": 1 } } } },
    }));
    let mut given =
        object(json!({ "defaulted": null, "nullable": null, "plain": null, "list": [{}, { "x": 2 }] }));
    info.default(&mut given);
    let want = json!({ "defaulted": "d", "nullable": null, "nested": { "inner": 7 }, "list": [{ "x": 1 }, { "x": 2 }] });
    assert_eq!(given["spec"], want);
}

#[test]
fn values_are_judged_in_the_words_of_kubernetes() {
    let info = fields(json!({
        "count": { "type": "integer", "minimum": 1.0, "maximum": 65535.0, "format": "uint16" },
        "small": { "type": "integer", "format": "int32" },
        "even": { "type": "integer", "multipleOf": 2 },
        "open": { "type": "number", "minimum": 0, "exclusiveMinimum": true },
        "name": { "type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 4 },
        "mode": { "type": "string", "enum": ["On", "Off"] },
        "at": { "type": "string", "format": "date-time" },
        "either": { "x-kubernetes-int-or-string": true },
        "list": { "type": "array", "minItems": 1, "maxItems": 2, "items": { "type": "string" } },
        "inner": { "type": "object", "required": ["x"], "properties": { "x": { "type": "string" } } },
    }));
    let table = [
        (
            json!({ "count": 0 }),
            "spec.count",
            "Invalid value: 0: spec.count in body should be greater than or equal to 1",
        ),
        (
            json!({ "count": 70000 }),
            "spec.count",
            "Invalid value: 70000: spec.count in body should be less than or equal to 65535",
        ),
        (
            json!({ "count": "x" }),
            "spec.count",
            "Invalid value: \"string\": spec.count in body must be of type integer: \"string\"",
        ),
        (
            json!({ "small": 3000000000_i64 }),
            "spec.small",
            "Invalid value: 3000000000: spec.small in body must be of type integer with format int32",
        ),
        (json!({ "even": 3 }), "spec.even", "Invalid value: 3: spec.even in body should be a multiple of 2"),
        (json!({ "open": 0 }), "spec.open", "Invalid value: 0: spec.open in body should be greater than 0"),
        (
            json!({ "name": "A1" }),
            "spec.name",
            "Invalid value: \"A1\": spec.name in body should match '^[a-z]+$'",
        ),
        (
            json!({ "name": "a" }),
            "spec.name",
            "Invalid value: \"a\": spec.name in body should be at least 2 chars long",
        ),
        (json!({ "name": "abcde" }), "spec.name", "Too long: may not be more than 4 bytes"),
        (
            json!({ "mode": "Maybe" }),
            "spec.mode",
            "Unsupported value: \"Maybe\": supported values: \"On\", \"Off\"",
        ),
        (
            json!({ "at": "soon" }),
            "spec.at",
            "Invalid value: \"soon\": spec.at in body must be of type date-time: \"soon\"",
        ),
        (
            json!({ "either": true }),
            "spec.either",
            "Invalid value: \"boolean\": spec.either in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({ "list": [] }),
            "spec.list",
            "Invalid value: []: spec.list in body should have at least 1 items",
        ),
        (json!({ "list": ["a", "b", "c"] }), "spec.list", "Too many: 3: must have at most 2 items"),
        (
            json!({ "list": [1] }),
            "spec.list[0]",
            "Invalid value: \"integer\": spec.list[0] in body must be of type string: \"integer\"",
        ),
        (json!({ "inner": {} }), "spec.inner.x", "Required value"),
    ];
    for (spec, field, message) in table {
        assert_eq!(messages(&info, spec.clone(), None), [(field.to_owned(), message.to_owned())], "{spec}");
    }
    let fine = json!({ "count": 1, "small": -1, "even": 4, "open": 0.1, "name": "ab", "mode": "On", "either": "80%", "list": ["a"] });
    assert_eq!(messages(&info, fine, None), []);
}

#[test]
fn branches_are_judged_as_a_whole() {
    let field = json!({ "type": "string" });
    let info = crd(json!({
        "type": "object",
        "properties": { "a": field, "b": field, "c": field },
        "oneOf": [{ "required": ["a"] }, { "required": ["b"] }],
        "not": { "required": ["c"] },
    }));
    assert_eq!(messages(&info, json!({ "a": "x" }), None), []);
    let none =
        "Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found none valid";
    assert_eq!(messages(&info, json!({}), None), [("spec".to_owned(), none.to_owned())]);
    let both = "Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives";
    assert_eq!(messages(&info, json!({ "a": "x", "b": "x" }), None), [("spec".to_owned(), both.to_owned())]);
    let not = "Invalid value: \"\": \"spec\" must not validate the schema (not)";
    assert_eq!(messages(&info, json!({ "a": "x", "c": "x" }), None), [("spec".to_owned(), not.to_owned())]);
}

#[test]
fn entries_with_one_identity_stand_once() {
    let entry =
        json!({ "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } });
    let info = fields(json!({
        "map": { "type": "array", "items": entry, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] },
        "set": { "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" },
    }));
    let given = json!({ "map": [{ "name": "a" }, { "name": "a" }], "set": ["x", "y", "x"] });
    let want =
        [("spec.map[1]", "Duplicate value: {\"name\":\"a\"}"), ("spec.set[2]", "Duplicate value: \"x\"")];
    assert_eq!(messages(&info, given, None), want.map(|(f, m)| (f.to_owned(), m.to_owned())));
}

#[test]
fn metadata_is_known_without_being_declared_and_its_name_may_be_narrowed() {
    let schema = json!({
        "type": "object",
        "properties": {
            "metadata": { "type": "object", "properties": { "name": { "type": "string", "maxLength": 3 } } },
            "spec": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        },
    });
    let info = TypeInfo::from_crd(&schema).unwrap();
    let mut given = object(json!({}));
    given["metadata"] =
        json!({ "name": "long", "creationTimestamp": null, "ownerReferences": [], "labels": { "a": 1 } });
    info.default(&mut given);
    assert!(given["metadata"].get("creationTimestamp").is_none());
    let causes = info.validate(&given, None);
    let at: Vec<_> = causes.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(at, ["metadata.labels.a", "metadata.name"]);
}

#[test]
fn what_did_not_change_is_not_judged_again() {
    let info = fields(json!({
        "a": { "type": "string", "maxLength": 1, "x-kubernetes-validations": [{ "rule": "self != 'bb'" }] },
        "b": { "type": "string" },
    }));
    let old = json!({ "a": "bb", "b": "x" });
    assert_ne!(messages(&info, old.clone(), None), []);
    assert_eq!(messages(&info, json!({ "a": "bb", "b": "y" }), Some(old.clone())), []);
    assert_ne!(messages(&info, json!({ "a": "bbb", "b": "y" }), Some(old)), []);
}

#[test]
fn a_schema_that_is_not_structural_is_refused_by_name() {
    let spec = |spec: Value| json!({ "type": "object", "properties": { "spec": spec } });
    let at = "openAPIV3Schema.properties[spec]";
    let table = [
        (json!({ "type": "string" }), "openAPIV3Schema.type".to_owned()),
        (spec(json!({})), format!("{at}.type")),
        (spec(json!({ "type": "text" })), format!("{at}.type")),
        (spec(json!({ "type": "array" })), format!("{at}.items")),
        (
            spec(json!({ "type": "array", "uniqueItems": true, "items": { "type": "string" } })),
            format!("{at}.uniqueItems"),
        ),
        (spec(json!({ "type": "object", "$ref": "#/x" })), format!("{at}.$ref")),
        (spec(json!({ "type": "string", "pattern": "(" })), format!("{at}.pattern")),
        (
            spec(json!({ "type": "object", "additionalProperties": false })),
            format!("{at}.additionalProperties"),
        ),
        (
            spec(json!({ "type": "object", "oneOf": [{ "properties": { "a": {} } }] })),
            format!("{at}.properties[a]"),
        ),
        (spec(json!({ "type": "object", "anyOf": [{ "type": "object" }] })), format!("{at}.anyOf[0].type")),
        (
            spec(json!({ "type": "array", "items": { "type": "object" }, "x-kubernetes-list-type": "map" })),
            format!("{at}.x-kubernetes-list-map-keys"),
        ),
        (spec(json!({ "type": "string", "default": 1 })), format!("{at}.default")),
        (
            spec(json!({ "type": "object", "x-kubernetes-validations": [{ "rule": "self.(" }] })),
            format!("{at}.x-kubernetes-validations[0].rule"),
        ),
        (
            spec(json!({ "type": "object", "x-kubernetes-validations": [{ "rule": "" }] })),
            format!("{at}.x-kubernetes-validations[0].rule"),
        ),
        (
            json!({ "type": "object", "properties": { "metadata": { "type": "object", "properties": { "labels": { "type": "object" } } } } }),
            "openAPIV3Schema.properties[metadata].properties".to_owned(),
        ),
    ];
    for (schema, field) in table {
        let causes = TypeInfo::from_crd(&schema).expect_err(&format!("{schema} is accepted"));
        let at: Vec<_> = causes.iter().map(|cause| cause.field.as_str()).collect();
        assert_eq!(at, [field.as_str()], "{schema}");
    }
}

#[test]
fn a_bottomless_schema_and_a_bottomless_object_are_refused() {
    let mut schema = json!({ "type": "string" });
    for _ in 0..200 {
        schema = json!({ "type": "object", "properties": { "a": schema } });
    }
    assert!(TypeInfo::from_crd(&schema).is_err());
    let wrap = |value: Value| Value::Object([("a".to_owned(), value)].into_iter().collect());
    let deep = (0..400).fold(json!(1), |inner, _| wrap(inner));
    // A schema that contains itself is the one way to walk as deep as the object goes.
    let info = TypeInfo::builtin("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let nested = (0..400).fold(json!({}), |inner, _| {
        let mut schema = json!({ "type": "object" });
        schema["properties"] = wrap(inner);
        schema
    });
    let mut given = json!({ "metadata": { "name": "a" }, "spec": { "group": "g", "scope": "Cluster", "names": { "kind": "K", "plural": "p" },
        "versions": [{ "name": "v1", "served": true, "storage": true, "schema": {} }] } });
    given["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = nested;
    info.prune(&mut given);
    info.default(&mut given);
    let causes = info.validate(&given, None);
    assert!(causes.iter().any(|cause| cause.message.contains("nested too deeply")), "{causes:?}");
    let info = crd(OPEN.clone());
    assert_eq!(info.prune(&mut object(deep.clone())), Vec::<String>::new());
    assert_eq!(info.validate(&object(deep), None).len(), 1, "nobody could read it back");
}
