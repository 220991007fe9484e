//! The life of a CustomResourceDefinition.

use serde_json::{Value, json};

use super::things::condition;
use super::{Env, JSON_PATCH, MERGE, conform, names, text, until};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

impl Env {
    fn definition_path(&self) -> String {
        format!("{DEFINITIONS}/things.{}", self.group)
    }
}

#[tokio::test]
async fn a_definition_is_accepted_established_and_then_served() {
    conform(|env: Env| async move {
        let made = env.define(env.thing_definition()).await;
        for kind in ["NamesAccepted", "Established"] {
            let one = condition(&made, kind).unwrap_or_else(|| panic!("{kind} in {made}"));
            assert_eq!(one["status"], "True", "{one}");
            assert!(!text(&one["reason"]).is_empty() && one["lastTransitionTime"].is_string(), "{one}");
        }
        assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
        assert_eq!(made["status"]["acceptedNames"]["plural"], "things");
        assert_eq!(made["spec"]["names"]["listKind"], "ThingList", "defaulted");
        assert_eq!(made["spec"]["conversion"]["strategy"], "None", "defaulted");
        assert_eq!(made["metadata"]["generation"], 1);
        env.post(DEFINITIONS, env.thing_definition()).await.refused(409, "AlreadyExists");
    })
    .await;
}

#[tokio::test]
async fn a_definition_that_cannot_be_is_refused_with_the_field() {
    conform(|env: Env| async move {
        let schema = "/spec/versions/0/schema/openAPIV3Schema";
        let cases: [(&str, Value, &str, &str); 7] = [
            ("/metadata/name", json!("other.example.com"), "metadata.name", "FieldValueInvalid"),
            ("/spec/versions/0/storage", json!(false), "spec.versions", "FieldValueInvalid"),
            ("/spec/scope", json!("Everywhere"), "spec.scope", "FieldValueNotSupported"),
            ("/spec/names/kind", json!("not a kind"), "spec.names.kind", "FieldValueInvalid"),
            (
                &format!("{schema}/type"),
                json!("array"),
                "spec.validation.openAPIV3Schema.type",
                "FieldValueInvalid",
            ),
            (
                &format!("{schema}/properties/spec/properties/level/default"),
                json!("three"),
                "spec.validation.openAPIV3Schema.properties[spec].properties[level].default",
                "FieldValueTypeInvalid",
            ),
            (
                &format!("{schema}/properties/spec/x-kubernetes-validations/0/rule"),
                json!("self.nothing > 1"),
                "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule",
                "FieldValueInvalid",
            ),
        ];
        for (pointer, value, field, reason) in cases {
            let mut definition = env.thing_definition();
            *definition.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
            if pointer.ends_with("level/default") || field.ends_with("type") {
                // Reported with or without more causes, and by either spelling of the path.
                env.post(DEFINITIONS, definition).await.refused(422, "Invalid");
                continue;
            }
            env.post(DEFINITIONS, definition).await.invalid(field, reason);
        }
        let mut untyped = env.thing_definition();
        untyped["spec"]["versions"][0].as_object_mut().unwrap().remove("schema");
        env.post(DEFINITIONS, untyped).await.refused(422, "Invalid");
        env.get(&env.definition_path()).await.refused(404, "NotFound");
    })
    .await;
}

#[tokio::test]
async fn a_definition_changes_while_it_is_served() {
    conform(|env: Env| async move {
        let things = env.things().await;
        env.post(&things, env.thing("old", json!({"size": 1}))).await.ok();
        let add = json!([
            {"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/fresh",
                "value": {"type": "string", "default": "new"}},
            {"op": "add", "path": "/spec/versions/0/additionalPrinterColumns/-",
                "value": {"name": "Fresh", "type": "string", "jsonPath": ".spec.fresh"}},
        ]);
        let changed = env.patch(&env.definition_path(), JSON_PATCH, add).await.ok();
        assert_eq!(changed["metadata"]["generation"], 2);
        until("the new field is kept", || async {
            let thing = env.thing("new", json!({"size": 1, "fresh": "yes"}));
            let reply = env.post(&format!("{things}?dryRun=All"), thing).await.ok();
            (reply["spec"]["fresh"] == "yes").then_some(())
        })
        .await;
        let old = env.get(&format!("{things}/old")).await.ok();
        assert_eq!(old["spec"]["fresh"], "new", "a default shows in what was stored before it");
        until("the new column shows", || async {
            let table = env.get_as(&things, "application/json;as=Table;v=v1;g=meta.k8s.io").await.ok();
            let columns = table["columnDefinitions"].as_array().unwrap();
            columns.iter().any(|column| column["name"] == "Fresh").then_some(())
        })
        .await;
        let scope = env.patch(&env.definition_path(), MERGE, json!({"spec": {"scope": "Cluster"}})).await;
        scope.invalid("spec.scope", "FieldValueInvalid");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_definition_takes_its_objects_with_it() {
    conform(|env: Env| async move {
        let things = env.things().await;
        env.post(&things, env.thing("free", json!({"size": 1}))).await.ok();
        let mut held = env.thing("held", json!({"size": 1}));
        held["metadata"]["finalizers"] = json!(["example.com/x"]);
        env.post(&things, held).await.ok();
        let going = env.delete(&env.definition_path(), json!({})).await.ok();
        let finalizers = json!(["customresourcecleanup.apiextensions.k8s.io"]);
        assert_eq!(going["metadata"]["finalizers"], finalizers, "{going}");
        until("what nothing holds is gone", || async {
            let list = env.get(&things).await;
            (list.code == 200 && names(&list.body) == ["held"]).then_some(())
        })
        .await;
        until("nothing new is taken", || async {
            let reply = env.post(&things, env.thing("new", json!({"size": 1}))).await;
            if reply.code == 201 {
                return None;
            }
            reply.refused(403, "Forbidden");
            Some(())
        })
        .await;
        env.get(&env.definition_path()).await.ok();
        env.patch(&format!("{things}/held"), MERGE, json!({"metadata": {"finalizers": null}})).await.ok();
        until("the definition is gone", || async {
            (env.get(&env.definition_path()).await.code == 404).then_some(())
        })
        .await;
        until("its path is gone", || async { (env.get(&things).await.code == 404).then_some(()) }).await;
        env.things().await;
        assert!(names(&env.get(&things).await.ok()).is_empty(), "nothing comes back");
    })
    .await;
}

#[tokio::test]
async fn names_are_taken_once_in_a_group() {
    conform(|env: Env| async move {
        env.things().await;
        let mut rival = env.thing_definition();
        rival["metadata"]["name"] = json!(format!("rivals.{}", env.group));
        rival["spec"]["names"] = json!({"plural": "rivals", "singular": "rival", "kind": "Thing"});
        env.post(DEFINITIONS, rival).await.ok();
        let path = format!("{DEFINITIONS}/rivals.{}", env.group);
        let refused = until("the names are judged", || async {
            condition(&env.get(&path).await.ok(), "NamesAccepted")
        })
        .await;
        assert_eq!(refused["status"], "False", "{refused}");
        let now = env.get(&path).await.ok();
        assert!(condition(&now, "Established").is_none_or(|one| one["status"] == "False"), "{now}");
        assert_eq!(env.get(&format!("/apis/{}/v1/rivals", env.group)).await.code, 404);
        env.delete(&format!("{DEFINITIONS}/things.{}", env.group), json!({})).await.ok();
        until("the names are free", || async {
            condition(&env.get(&path).await.ok(), "Established").filter(|one| one["status"] == "True")
        })
        .await;
    })
    .await;
}
