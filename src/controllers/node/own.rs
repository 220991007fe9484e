//! This process's own node: found among the objects, or made at the first start with a secret of its own.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tracing::info;

use crate::api::NODE_SECRET_KEY;
use crate::api::node::{CocoaNode, SecretKeyRef};
use crate::domain::secret::Secret;

/// A failed first start.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// The control plane refused or failed.
    #[error("create {what} of this node")]
    Create {
        /// What.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
    /// The system gave no random bytes.
    #[error("no random bytes for the node's secret")]
    Random,
}

/// Makes sure that the node of this process exists; one that is there stays as it is. `secret` is its shared secret;
/// left out, one is made up. It lies in the namespace `system`, unless the node says otherwise.
pub async fn ensure(
    client: &Client,
    system: &str,
    node: &CocoaNode,
    secret: Option<Secret>,
) -> Result<(), OwnError> {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let nodes = Api::<CocoaNode>::all(client.clone());
    let failed = |what| move |source| OwnError::Create { what, source: Box::new(source) };
    if nodes.get_opt(name).await.map_err(failed("the CocoaNode"))?.is_some() {
        return Ok(());
    }
    if let Some(reference) = &node.spec.secret_ref {
        let secret = secret.map_or_else(random, Ok)?;
        create_secret(client, system, reference, &secret).await.map_err(failed("the Secret"))?;
    }
    match nodes.create(&PostParams::default(), node).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        created => {
            created.map_err(failed("the CocoaNode"))?;
            info!(node = %name, "this node was created; its secret lies in the Secret that it names");
            Ok(())
        }
    }
}

async fn create_secret(
    client: &Client,
    system: &str,
    reference: &SecretKeyRef,
    secret: &Secret,
) -> Result<(), kube::Error> {
    let namespace = reference.namespace.as_deref().unwrap_or(system);
    let key = reference.key.as_deref().unwrap_or(NODE_SECRET_KEY).to_owned();
    let object = SecretObject {
        metadata: ObjectMeta { name: Some(reference.name.clone()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(key, ByteString(secret.expose().as_bytes().to_vec()))])),
        type_: Some("cocoasyncer.io/node".into()),
        ..SecretObject::default()
    };
    match Api::<SecretObject>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &object)
        .await
    {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        created => created.map(|_| ()),
    }
}

/// 32 random characters, safe in URLs, YAML and shells.
fn random() -> Result<Secret, OwnError> {
    use ring::rand::SecureRandom;
    let mut bytes = [0u8; 16];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| OwnError::Random)?;
    Ok(Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}
