//! The nodes' shared secrets, read from the Secrets that the nodes name and kept for the beats. Only those Secrets are
//! ever read; none is watched, so foreign ones cost nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::api::node::{CocoaNode, SecretKeyRef};
use crate::api::{NODE_SECRET_KEY, SYSTEM_NAMESPACE};
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::controllers::snapshot::Snapshot;
use crate::domain::secret::Secret;

/// Secrets by the node's object name.
pub type NodeSecrets = BTreeMap<String, Secret>;

/// A Secret that changed is seen after at most this long.
const REFRESH: Duration = Duration::from_secs(30);

/// Keeps `out` at what the nodes' Secrets say. A Secret that can't be read keeps its last value: a passing fault of the
/// control plane must not look like a dead peer.
pub async fn run(
    client: Client,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    out: watch::Sender<Arc<NodeSecrets>>,
    stop: CancellationToken,
) {
    let mut asked: BTreeMap<String, SecretKeyRef> = BTreeMap::new();
    loop {
        let nodes = snapshots.borrow_and_update().as_ref().map(|snapshot| snapshot.nodes.clone());
        let wanted = nodes.map(|nodes| wanted(&nodes)).unwrap_or_default();
        let before = out.borrow().clone();
        let next = read_all(&client, &wanted, &before).await;
        out.send_if_modified(|all| {
            let changed = **all != next;
            *all = Arc::new(next);
            changed
        });
        asked.clone_from(&wanted);
        let refresh = tokio::time::sleep(REFRESH);
        tokio::pin!(refresh);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = &mut refresh => break,
                changed = snapshots.changed() => {
                    if changed.is_err() { return }
                    let nodes = snapshots.borrow_and_update().as_ref().map(|snapshot| snapshot.nodes.clone());
                    if nodes.is_some_and(|nodes| self::wanted(&nodes) != asked) { break }
                }
            }
        }
    }
}

fn wanted(nodes: &[CocoaNode]) -> BTreeMap<String, SecretKeyRef> {
    let named = |node: &CocoaNode| Some((node.metadata.name.clone()?, node.spec.secret_ref.clone()?));
    nodes.iter().filter_map(named).collect()
}

async fn read_all(
    client: &Client,
    wanted: &BTreeMap<String, SecretKeyRef>,
    before: &NodeSecrets,
) -> NodeSecrets {
    let mut all = NodeSecrets::new();
    for (node, reference) in wanted {
        match read(client, reference).await {
            Ok(Some(secret)) => drop(all.insert(node.clone(), secret)),
            Ok(None) => {}
            Err(error) => {
                warn!(node = %node, secret = %reference.name, error = %error, "secret not read, the last one stays");
                all.extend(before.get(node).map(|secret| (node.clone(), secret.clone())));
            }
        }
    }
    all
}

/// Reads one key of one Secret; `None` where there is no such Secret or key.
pub async fn read(client: &Client, reference: &SecretKeyRef) -> Result<Option<Secret>, kube::Error> {
    let namespace = reference.namespace.as_deref().unwrap_or(SYSTEM_NAMESPACE);
    let api = Api::<SecretObject>::namespaced(client.clone(), namespace);
    let call = tokio::time::timeout(CALL_DEADLINE, api.get_opt(&reference.name)).await;
    let object = call.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())))?;
    let key = reference.key.as_deref().unwrap_or(NODE_SECRET_KEY);
    let bytes = object.and_then(|object| object.data?.remove(key)).map(|bytes| bytes.0);
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map(|text| Secret::new(text.trim())))
}
