//! Schemas and CEL rules: each refusal names its field, in the words of metav1.

use serde_json::{Value, json};

use super::{Env, MERGE, conform};

#[tokio::test]
async fn every_rule_of_a_schema_refuses_with_the_field_and_a_reason() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let cases: [(Value, &str, &str, &str); 20] = [
            (json!({}), "spec.size", "FieldValueRequired", "Required value"),
            (json!({"size": 0}), "spec.size", "FieldValueInvalid", "should be greater than or equal to 1"),
            (json!({"size": 101}), "spec.size", "FieldValueInvalid", "should be less than or equal to 100"),
            (json!({"size": "1"}), "spec.size", "FieldValueTypeInvalid", "must be of type integer"),
            (json!({"size": 1.5}), "spec.size", "FieldValueTypeInvalid", "must be of type integer"),
            (
                json!({"colour": "pink"}),
                "spec.colour",
                "FieldValueNotSupported",
                "Unsupported value: \"pink\"",
            ),
            (json!({"words": "x".repeat(11)}), "spec.words", "FieldValueTooLong", "Too long"),
            (json!({"words": "UP"}), "spec.words", "FieldValueInvalid", "should match '^[a-z]*$'"),
            (json!({"when": "noon"}), "spec.when", "FieldValueTypeInvalid", "date-time"),
            (json!({"list": "x"}), "spec.list", "FieldValueTypeInvalid", "must be of type array"),
            (json!({"list": [1]}), "spec.list[0]", "FieldValueTypeInvalid", "must be of type string"),
            (json!({"map": {"k": 1}}), "spec.map.k", "FieldValueTypeInvalid", "must be of type string"),
            (
                json!({"map": {"a": "", "b": "", "c": "", "d": ""}}),
                "spec.map",
                "FieldValueTooMany",
                "must have at most 3",
            ),
            (json!({"ports": [{"port": 1}]}), "spec.ports[0].name", "FieldValueRequired", "Required value"),
            (
                json!({"ports": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}),
                "spec.ports[2]",
                "FieldValueDuplicate",
                "Duplicate value",
            ),
            (json!({"tags": ["a", "a"]}), "spec.tags[1]", "FieldValueDuplicate", "Duplicate value: \"a\""),
            (
                json!({"ports": [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}, {"name": "e"}]}),
                "spec.ports",
                "FieldValueTooMany",
                "must have at most 4",
            ),
            (
                json!({"either": true}),
                "spec.either",
                "FieldValueTypeInvalid",
                "must be of type integer,string",
            ),
            (json!({"inner": []}), "spec.inner", "FieldValueTypeInvalid", "must be of type object"),
            (json!({"free": 1}), "spec.free", "FieldValueTypeInvalid", "must be of type object"),
        ];
        for (spec, field, reason, words) in cases {
            let mut whole = spec.clone();
            if field != "spec.size" {
                whole["size"] = json!(1);
            }
            let message = env.post(&things, env.thing("a", whole)).await.invalid(field, reason);
            assert!(message.contains(words), "{spec}: {message}");
        }
        let many =
            env.post(&things, env.thing("a", json!({"size": 0, "colour": "pink", "words": "UP"}))).await;
        let many = many.refused(422, "Invalid");
        let causes = many["details"]["causes"].as_array().unwrap();
        for field in ["spec.size", "spec.colour", "spec.words"] {
            assert!(causes.iter().any(|cause| cause["field"] == field), "all of them at once: {many}");
        }
    })
    .await;
}

#[tokio::test]
async fn rules_in_cel_refuse_with_their_message_field_and_reason() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let spec = json!({"size": 1, "low": 5, "high": 3});
        let message = env.post(&things, env.thing("a", spec)).await.invalid("spec.low", "FieldValueInvalid");
        assert!(message.contains("low lies above high"), "{message}");
        let spec = json!({"size": 1, "words": "secret"});
        let message =
            env.post(&things, env.thing("a", spec)).await.invalid("spec.words", "FieldValueForbidden");
        assert!(message.contains("that word is forbidden"), "{message}");
        let thing = env.thing("forbidden", json!({"size": 1}));
        let refused = env.post(&things, thing).await.refused(422, "Invalid");
        assert!(refused["message"].as_str().unwrap().contains("the name is taken by fairies"), "{refused}");
        env.post(&things, env.thing("a", json!({"size": 1, "low": 3, "high": 3}))).await.ok();
    })
    .await;
}

#[tokio::test]
async fn a_transition_rule_looks_at_the_old_value_where_there_is_one() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        let set = |value: Value| env.patch(&path, MERGE, json!({"spec": {"fixed": value}}));
        set(json!("first")).await.ok();
        let message = set(json!("second")).await.invalid("spec.fixed", "FieldValueInvalid");
        assert!(message.contains("fixed stays as it was made"), "{message}");
        set(json!("first")).await.ok();
        set(Value::Null).await.ok();
        set(json!("third")).await.ok();
    })
    .await;
}

#[tokio::test]
async fn what_was_valid_under_an_older_schema_may_stay_while_it_is_not_touched() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let path = format!("{things}/a");
        env.post(&things, env.thing("a", json!({"size": 90, "words": "abc"}))).await.ok();
        let definition =
            format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.{}", env.group);
        let tighter = json!([{"op": "replace",
            "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/maximum", "value": 50}]);
        env.patch(&definition, super::JSON_PATCH, tighter).await.ok();
        super::until("the new schema holds", || async {
            let probe = env.post(&format!("{things}?dryRun=All"), env.thing("b", json!({"size": 60}))).await;
            (probe.code == 422).then_some(())
        })
        .await;
        let kept = env.patch(&path, MERGE, json!({"spec": {"words": "xyz"}})).await.ok();
        assert_eq!((&kept["spec"]["size"], &kept["spec"]["words"]), (&json!(90), &json!("xyz")));
        env.patch(&path, MERGE, json!({"spec": {"size": 91}})).await.invalid("spec.size", "FieldValueInvalid");
        env.patch(&path, MERGE, json!({"spec": {"size": 50}})).await.ok();
    })
    .await;
}

#[tokio::test]
async fn status_is_validated_when_it_is_written() {
    conform(|env: Env| async move {
        let things = env.things().await;
        env.post(&things, env.thing("a", json!({"size": 1}))).await.ok();
        let status = format!("{things}/a/status");
        let twice = json!({"status": {"conditions": [
            {"type": "Ready", "status": "True"}, {"type": "Ready", "status": "False"},
        ]}});
        env.patch(&status, MERGE, twice).await.invalid("status.conditions[1]", "FieldValueDuplicate");
        let bare = json!({"status": {"conditions": [{"type": "Ready"}]}});
        env.patch(&status, MERGE, bare).await.invalid("status.conditions[0].status", "FieldValueRequired");
        let odd = json!({"status": {"odd": 1, "phase": "Fine"}});
        let done = env.patch(&status, MERGE, odd).await.ok();
        assert_eq!(done["status"], json!({"phase": "Fine"}), "pruned as everything is");
    })
    .await;
}
