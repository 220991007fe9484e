//! This process's own node: found among the objects, or made at the first start with a secret of its own.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tracing::info;

use crate::api::node::{CocoaNode, CocoaNodeSpec, SecretKeyRef};
use crate::api::{NODE_SECRET_KEY, SYSTEM_NAMESPACE};

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

/// Makes sure that the node `name` exists; one that is there stays as it is.
pub async fn ensure(client: &Client, name: &str, spec: CocoaNodeSpec) -> Result<(), OwnError> {
    let nodes = Api::<CocoaNode>::all(client.clone());
    let failed = |what| move |source| OwnError::Create { what, source: Box::new(source) };
    if nodes.get_opt(name).await.map_err(failed("the CocoaNode"))?.is_some() {
        return Ok(());
    }
    let secrets = Api::<SecretObject>::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let reference = SecretKeyRef { name: format!("cocoanode-{name}"), namespace: None, key: None };
    let secret = SecretObject {
        metadata: ObjectMeta { name: Some(reference.name.clone()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(NODE_SECRET_KEY.to_owned(), ByteString(random()?.into_bytes()))])),
        type_: Some("cocoasyncer.io/node".into()),
        ..SecretObject::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(source) => return Err(failed("the Secret")(source)),
    }
    let mut node = CocoaNode::new(name, spec);
    node.spec.secret_ref.get_or_insert(reference);
    match nodes.create(&PostParams::default(), &node).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        created => {
            created.map_err(failed("the CocoaNode"))?;
            info!(node = %name, "this node was created; its secret lies in {SYSTEM_NAMESPACE}/cocoanode-{name}");
            Ok(())
        }
    }
}

/// 32 random characters, safe in URLs, YAML and shells.
fn random() -> Result<String, OwnError> {
    use ring::rand::SecureRandom;
    let mut bytes = [0u8; 16];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| OwnError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
