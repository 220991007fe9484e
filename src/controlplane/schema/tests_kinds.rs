//! Our own kinds through the eyes of the API server.

use serde_json::{Value, json};

use super::TypeInfo;
use crate::api::crds;

/// Kind and schema of every version of every kind.
fn schemas() -> Vec<(String, Value)> {
    let of = |crd: &Value| {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        let versions = crd["spec"]["versions"].as_array().unwrap().clone();
        versions.into_iter().map(move |version| (kind.clone(), version["schema"]["openAPIV3Schema"].clone()))
    };
    let crds: Vec<Value> = crds::all().iter().map(|crd| serde_json::to_value(crd).unwrap()).collect();
    crds.iter().flat_map(of).collect()
}

#[test]
fn every_kind_of_ours_is_structural_and_its_rules_compile() {
    for (kind, schema) in schemas() {
        let outcome = TypeInfo::from_crd(&schema).map(drop);
        assert_eq!(outcome, Ok(()), "{kind}");
    }
}

#[test]
fn our_definitions_pass_through_the_built_in_shape_unchanged() {
    let info = TypeInfo::builtin("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    for crd in crds::all() {
        let given = serde_json::to_value(&crd).unwrap();
        let mut kept = given.clone();
        assert_eq!(info.prune(&mut kept), Vec::<String>::new());
        assert_eq!(kept, given);
        assert_eq!(info.validate(&given, None), []);
    }
}

#[test]
fn an_empty_object_of_ours_is_told_what_it_lacks() {
    for (kind, schema) in schemas() {
        let info = TypeInfo::from_crd(&schema).unwrap();
        let mut given = json!({ "apiVersion": "x/v1", "kind": kind, "metadata": { "name": "a" } });
        info.default(&mut given);
        let causes = info.validate(&given, None);
        assert!(causes.iter().any(|cause| cause.field == "spec"), "{kind}: {causes:?}");
    }
}
