//! Objects from the old program's configuration, created once. What exists already stays as it is, and what somebody
//! deletes afterwards does not come back at the next start: a ConfigMap remembers that the import was made.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::info;

use crate::controllers::manifests::FIELD_MANAGER;
use crate::wire::legacy_config::Imported;

/// The ConfigMap that remembers the import.
pub const MARKER: &str = "old-config-imported";

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import {
    /// It was made before; nothing was touched.
    MadeBefore,
    /// It was made now.
    Made {
        /// Objects that were created; the others existed.
        created: usize,
    },
}

/// Creates what the old configuration says, unless that was done before; the system namespace
/// remembers it.
pub async fn import_once(client: &Client, imported: &Imported) -> Result<Import, kube::Error> {
    let system = imported.system.as_str();
    let markers: Api<ConfigMap> = Api::namespaced(client.clone(), system);
    if markers.get_opt(MARKER).await?.is_some() {
        return Ok(Import::MadeBefore);
    }
    let namespace = Namespace {
        metadata: ObjectMeta { name: Some(system.to_owned()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    create(&Api::all(client.clone()), &namespace).await?;
    let mut created = 0;
    for secret in &imported.secrets {
        created += usize::from(create(&within(client, secret), secret).await?);
    }
    for node in &imported.nodes {
        created += usize::from(create(&Api::all(client.clone()), node).await?);
    }
    for service in &imported.services {
        created += usize::from(create(&within(client, service), service).await?);
    }
    // Last, so that an import that was cut short is taken up again.
    let marker = ConfigMap {
        metadata: ObjectMeta {
            name: Some(MARKER.to_owned()),
            namespace: Some(system.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("objects".to_owned(), created.to_string())])),
        ..ConfigMap::default()
    };
    create(&markers, &marker).await?;
    info!(created, "the old configuration was imported");
    Ok(Import::Made { created })
}

fn within<K>(client: &Client, object: &K) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client.clone(), &object.namespace().unwrap_or_else(|| "default".to_owned()))
}

/// Whether it was created; false where it exists already.
async fn create<K>(api: &Api<K>, object: &K) -> Result<bool, kube::Error>
where
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match api.create(&params, object).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
