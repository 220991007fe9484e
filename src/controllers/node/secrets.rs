//! The nodes' shared secrets, read from the Secrets that the nodes name and kept for the beats. Only those Secrets are
//! ever read. That one changed is heard by a watch of the system namespace's metadata, of which nothing is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Config, Event};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::NODE_SECRET_KEY;
use crate::api::node::{CocoaNode, SecretKeyRef};
use crate::controllers::shared::chance::about;
use crate::controllers::shared::context::Context;
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::controllers::snapshot::Snapshot;
use crate::domain::budget::POLL;
use crate::domain::secret::Secret;
use crate::telemetry::chain::Chain;
use crate::watching::objects;

/// Secrets by the node's object name.
pub type NodeSecrets = BTreeMap<String, Secret>;

/// A Secret that could not be read, or is missing, is looked for again after this long.
const AGAIN: Duration = Duration::from_secs(30);
/// What is wrong with nodes' Secrets, among all troubles.
const AREA: &str = "secret of node ";

/// Keeps `out` at what the nodes' Secrets say. A Secret that can't be read keeps its last value: a passing fault of the
/// control plane must not look like a dead peer.
pub async fn run(
    ctx: Context,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    out: watch::Sender<Arc<NodeSecrets>>,
    stop: CancellationToken,
) {
    let mut asked: BTreeMap<String, SecretKeyRef> = BTreeMap::new();
    let system = Api::<PartialObjectMeta<SecretObject>>::namespaced(ctx.client.clone(), ctx.scope().system());
    let mut heard = objects(system, Config::default());
    loop {
        let nodes = snapshots.borrow_and_update().as_ref().map(|snapshot| snapshot.nodes.clone());
        let wanted = nodes.map(|nodes| wanted(&nodes)).unwrap_or_default();
        let before = out.borrow().clone();
        let (next, troubles) = read_all(&ctx, &wanted, &before).await;
        let pause = if troubles.is_empty() { about(POLL) } else { AGAIN };
        ctx.troubles.are(AREA, troubles);
        out.send_if_modified(|all| {
            let changed = **all != next;
            *all = Arc::new(next);
            changed
        });
        asked.clone_from(&wanted);
        let refresh = tokio::time::sleep(pause);
        tokio::pin!(refresh);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = &mut refresh => break,
                Some(event) = heard.next() => if concerns(&ctx, &event, &asked) { break },
                changed = snapshots.changed() => {
                    if changed.is_err() { return }
                    let nodes = snapshots.borrow_and_update().as_ref().map(|snapshot| snapshot.nodes.clone());
                    if nodes.is_some_and(|nodes| self::wanted(&nodes) != asked) { break }
                }
            }
        }
    }
}

/// Whether something happened to a Secret that a node names. What happened while nobody watched stands in a list.
fn concerns(
    ctx: &Context,
    event: &watcher::Result<Event<PartialObjectMeta<SecretObject>>>,
    asked: &BTreeMap<String, SecretKeyRef>,
) -> bool {
    let Ok(Event::Apply(object) | Event::Delete(object)) = event else {
        return matches!(event, Ok(Event::InitDone));
    };
    let system = ctx.scope().system();
    let here = |of: &&SecretKeyRef| of.namespace.as_deref().is_none_or(|namespace| namespace == system);
    asked.values().filter(here).any(|of| Some(&of.name) == object.metadata.name.as_ref())
}

fn wanted(nodes: &[CocoaNode]) -> BTreeMap<String, SecretKeyRef> {
    let named = |node: &CocoaNode| Some((node.metadata.name.clone()?, node.spec.secret_ref.clone()?));
    nodes.iter().filter_map(named).collect()
}

async fn read_all(
    ctx: &Context,
    wanted: &BTreeMap<String, SecretKeyRef>,
    before: &NodeSecrets,
) -> (NodeSecrets, BTreeMap<String, String>) {
    let (mut all, mut troubles) = (NodeSecrets::new(), BTreeMap::new());
    for (node, reference) in wanted {
        let namespace = reference.namespace.as_deref().unwrap_or(ctx.scope().system());
        let at = format!("CocoaNode {node}, spec.secretRef: Secret {namespace}/{}", reference.name);
        let trouble = match read(ctx, reference).await {
            Ok(Some(secret)) => {
                all.insert(node.clone(), secret);
                continue;
            }
            Ok(None) => {
                format!("{at} is missing, or lacks its key: put it back, or peers can't be told apart")
            }
            Err(error) => {
                all.extend(before.get(node).map(|secret| (node.clone(), secret.clone())));
                format!("{at} is not read, the last one stays: {}", Chain(&error))
            }
        };
        troubles.insert(format!("{AREA}{node}"), trouble);
    }
    (all, troubles)
}

/// Reads one key of one Secret; `None` where there is no such Secret or key.
pub async fn read(ctx: &Context, reference: &SecretKeyRef) -> Result<Option<Secret>, kube::Error> {
    let namespace = reference.namespace.as_deref().unwrap_or(ctx.scope().system());
    let api = Api::<SecretObject>::namespaced(ctx.client.clone(), namespace);
    let call = tokio::time::timeout(CALL_DEADLINE, api.get_opt(&reference.name)).await;
    let object = call.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())))?;
    let key = reference.key.as_deref().unwrap_or(NODE_SECRET_KEY);
    let bytes = object.and_then(|object| object.data?.remove(key)).map(|bytes| bytes.0);
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map(|text| Secret::new(text.trim())))
}
