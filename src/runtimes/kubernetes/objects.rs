//! The kinds that an application is made of, and whose an object is.

use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::TypeMeta;
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::api::{APP_LABEL, APP_NAMESPACE_LABEL, APP_SECRET_LABEL, APP_UID_LABEL, DIGEST_LABEL, KEPT_LABEL};
use crate::domain::app::instance::AppKey;
use crate::runtimes::RuntimeError;
use crate::runtimes::kubernetes::failure::plainly;

/// A kind: group, version, kind, plural.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectKind(pub &'static str, pub &'static str, pub &'static str, pub &'static str);

/// Claims, which nothing but an uninstall removes.
pub const CLAIM: ObjectKind = ObjectKind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
/// Deployments.
pub const DEPLOYMENT: ObjectKind = ObjectKind("apps", "v1", "Deployment", "deployments");
/// Jobs.
pub const JOB: ObjectKind = ObjectKind("batch", "v1", "Job", "jobs");
/// Services.
pub const SERVICE: ObjectKind = ObjectKind("", "v1", "Service", "services");
/// Routes of a Gateway; not every cluster has them.
pub const ROUTE: ObjectKind = ObjectKind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes");
/// All kinds, what makes pods first.
pub const KINDS: &[ObjectKind] = &[
    DEPLOYMENT,
    JOB,
    ObjectKind("networking.k8s.io", "v1", "Ingress", "ingresses"),
    ROUTE,
    SERVICE,
    ObjectKind("", "v1", "ConfigMap", "configmaps"),
    ObjectKind("", "v1", "Secret", "secrets"),
    CLAIM,
];

impl ObjectKind {
    /// The kind of an object.
    pub fn of(object: &Value) -> Option<Self> {
        KINDS.iter().find(|kind| object["kind"] == kind.2).copied()
    }

    /// The kind for a dynamic client.
    pub fn resource(&self) -> ApiResource {
        let Self(group, version, kind, plural) = *self;
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        ApiResource {
            group: group.into(),
            version: version.into(),
            api_version,
            kind: kind.into(),
            plural: plural.into(),
        }
    }

    /// Its objects of a namespace.
    pub fn api(&self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &self.resource())
    }

    /// The object with its kind in it.
    fn said(&self, mut object: DynamicObject) -> DynamicObject {
        let ApiResource { api_version, kind, .. } = self.resource();
        object.types = Some(TypeMeta { api_version, kind });
        object
    }

    /// Its objects with these labels; none where the cluster doesn't know the kind.
    pub async fn list(
        &self,
        client: &Client,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<DynamicObject>, RuntimeError> {
        let params = ListParams::default().labels(labels);
        match self.api(client, namespace).list(&params).await {
            // An API server says once for the whole list what its items are, and not in each of them.
            Ok(list) => Ok(list.items.into_iter().map(|object| self.said(object)).collect()),
            Err(kube::Error::Api(status)) if status.code == 404 && *self == ROUTE => Ok(Vec::new()),
            // Who may not list routes was never to make one.
            Err(kube::Error::Api(status)) if status.code == 403 && *self == ROUTE => Ok(Vec::new()),
            Err(error) => Err(plainly(&format!("list {}", self.3))(error)),
        }
    }
}

/// What selects everything of an App, but for what the operator itself keeps for it (password, ports, revisions): that is
/// no part of the workload, and goes with the data.
pub fn of_app(uid: &str) -> String {
    format!("{APP_UID_LABEL}={uid},!{APP_SECRET_LABEL}")
}

/// What selects claims that were kept for a later install.
pub fn kept_for(key: &AppKey) -> String {
    format!("{APP_LABEL}={},{KEPT_LABEL}", key.name)
}

/// Whose an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This App's.
    Ours,
    /// It was kept when an App of this name went.
    Kept,
    /// Somebody else's.
    Foreign,
}

/// Whose `object` is, from the view of an App.
pub fn whose(object: &DynamicObject, key: &AppKey, uid: &str) -> Whose {
    let label = |name: &str| object.labels().get(name).map(String::as_str);
    let named = label(APP_LABEL) == Some(key.name.as_str())
        && label(APP_NAMESPACE_LABEL) == Some(key.namespace.as_str());
    match (label(APP_UID_LABEL) == Some(uid), label(KEPT_LABEL).is_some()) {
        (true, _) if named => Whose::Ours,
        (false, true) if named => Whose::Kept,
        _ => Whose::Foreign,
    }
}

/// The digest that an object carries.
pub fn digest(object: &DynamicObject) -> &str {
    object.annotations().get(DIGEST_LABEL).map(String::as_str).unwrap_or_default()
}

/// What changes when somebody changes an object, but not when its status does, where the kind tells these apart.
pub fn version(object: &DynamicObject) -> String {
    match object.metadata.generation {
        Some(generation) => format!("g{generation}"),
        None => object.resource_version().unwrap_or_default(),
    }
}

/// An object as a document.
pub fn document(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or(Value::Null)
}

/// A string in a document.
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_of_a_list_says_its_kind_as_an_object_by_itself_does() {
        let item = serde_json::json!({ "metadata": { "name": "blog" }, "spec": { "replicas": 1 } });
        let object = DEPLOYMENT.said(serde_json::from_value(item).unwrap());
        let document = document(&object);
        assert_eq!((text(&document, "/apiVersion"), text(&document, "/kind")), ("apps/v1", "Deployment"));
        assert_eq!(document["spec"]["replicas"], 1);
    }
}
