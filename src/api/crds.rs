//! The three CRDs as values and as YAML, in a stable order; `crds/` and the chart are printed from here.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::api::{app::App, node::CocoaNode, service::ManagedService};

/// All CRDs, in the order in which they are applied.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![CocoaNode::crd(), ManagedService::crd(), App::crd()]
}

/// The file name under `crds/` of one CRD.
pub fn file_name(crd: &CustomResourceDefinition) -> String {
    format!("{}.yaml", crd.spec.names.plural)
}

/// A CRD as YAML that `kubectl apply` takes.
pub fn yaml(crd: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(crd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crd_is_written_with_its_rules_and_no_field_without_words() {
        for crd in all() {
            let text = yaml(&crd).unwrap();
            let back: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(serde_json::to_value(&back).unwrap(), serde_json::to_value(&crd).unwrap());
            let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
            let spec = &schema["openAPIV3Schema"]["properties"]["spec"]["properties"];
            for (name, field) in spec.as_object().unwrap() {
                assert!(
                    field["description"].is_string(),
                    "{}.spec.{name} has no description",
                    crd.spec.names.kind
                );
            }
        }
    }
}
