//! The view: this node's knowledge as one value for the v1 API, and the generation that rises with every change of the
//! configuration, kept in a ConfigMap so that it never falls.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret as SecretObject};
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::api::condition::types;
use crate::api::node::CocoaNode;
use crate::api::vocab::{Line, WorkMode};
use crate::api::{ACCESS_KEY, ACCESS_SECRET, PROVIDER_LABEL, SYSTEM_NAMESPACE};
use crate::controllers::board::Board;
use crate::controllers::node::secrets::NodeSecrets;
use crate::controllers::shared::context::Context;
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::controllers::snapshot::Snapshot;
use crate::domain::cluster::Vital;
use crate::domain::lines::{Assignment, Why, assign};
use crate::domain::liveness::Pulse;
use crate::domain::names::ObjectId;
use crate::domain::secret::Secret;
use crate::domain::view::{AccountView, ClusterView, NodeView, ServiceView};

/// The ConfigMap that remembers the cluster's generation.
pub const CLUSTER_CONFIG_MAP: &str = "cocoasyncer-cluster";
/// Its key for the generation.
pub const GENERATION_KEY: &str = "generation";

/// What the view needs beside the snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Port of the v1 API.
    pub api_port: u16,
    /// Whether a reverse proxy stands in front.
    pub reverse_proxy: bool,
}

/// What is remembered of the cluster across restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Remembered {
    generation: u64,
    digest: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// Publishes the view whenever something in it changed, the own watchdog included.
pub async fn run(
    ctx: Context,
    facts: Facts,
    board: Board,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    mut secrets: watch::Receiver<Arc<NodeSecrets>>,
    mut fed: watch::Receiver<()>,
    out: watch::Sender<Arc<ClusterView>>,
    stop: CancellationToken,
) {
    let mut remembered = None;
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let known = secrets.borrow_and_update().clone();
        fed.mark_unchanged();
        if let Some(snapshot) = snapshot {
            let mut view = view(&ctx, facts, &board, &snapshot, &known);
            match remember(&ctx, &mut remembered, &view).await {
                Ok(now) => {
                    view.generation = now.generation;
                    view.created_at = now.created_at;
                    view.updated_at = now.updated_at;
                    out.send_replace(Arc::new(view));
                }
                Err(error) => {
                    warn!(error = %error, "the cluster's generation is not known: the view stays as it was")
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = snapshots.changed() => if changed.is_err() { return },
            changed = secrets.changed() => if changed.is_err() { return },
            changed = fed.changed() => if changed.is_err() { return },
        }
    }
}

/// The empty view of a process that has just started.
pub fn empty(ctx: &Context, facts: Facts) -> ClusterView {
    let now = ctx.now();
    ClusterView {
        me: ctx.me.clone(),
        api_port: facts.api_port,
        reverse_proxy: facts.reverse_proxy,
        created_at: now,
        updated_at: now,
        generation: 0,
        nodes: Vec::new(),
        services: Arc::default(),
        accounts: Vec::new(),
    }
}

fn view(
    ctx: &Context,
    facts: Facts,
    board: &Board,
    snapshot: &Snapshot,
    secrets: &NodeSecrets,
) -> ClusterView {
    let vitals = board.vitals();
    let assignment = assign(&snapshot.cluster.serving(&Default::default()));
    let node = |object: &CocoaNode| {
        let name = object.metadata.name.clone().unwrap_or_default();
        let vital = vitals.get(&name).cloned();
        let vital = vital.unwrap_or(Vital { pulse: Pulse::unseen(snapshot.now), addresses: BTreeMap::new() });
        NodeView {
            spec: object.spec.clone(),
            secret: secrets.get(&name).cloned().unwrap_or_default(),
            pulse: vital.pulse,
            addresses: vital.addresses,
            serving: serving(&name, &assignment),
            object: name,
        }
    };
    ClusterView {
        nodes: snapshot.nodes.iter().map(node).collect(),
        services: services(snapshot),
        accounts: ctx.stores.accounts().iter().filter_map(|secret| account(secret)).collect(),
        ..empty(ctx, facts)
    }
}

fn serving(name: &str, assignment: &Assignment) -> Vec<(Line, bool)> {
    let held = assignment.iter().filter_map(|(&(line, _), holder)| {
        let holder = holder.as_ref()?;
        (holder.node == name).then_some((line, holder.why == Why::TakenOver))
    });
    let mut lines: Vec<(Line, bool)> = held.collect();
    lines.dedup();
    lines
}

fn services(snapshot: &Snapshot) -> Arc<Vec<ServiceView>> {
    let readable = snapshot.zones.values().flat_map(|zone| zone.iter());
    let one = |managed: &crate::controllers::snapshot::Managed| {
        let object = managed.object()?;
        let status = object.status.as_ref();
        let ready = status.and_then(|status| status.conditions.iter().find(|c| c.type_ == types::READY));
        Some(ServiceView {
            id: managed.service.id.clone(),
            spec: object.spec.clone(),
            lines: status.map(|status| status.lines.clone()).unwrap_or_default(),
            ready: ready.map(|condition| (condition.status == "True", condition.reason.clone())),
        })
    };
    let mut all: Vec<ServiceView> =
        readable.filter(|managed| !managed.service.deleting).filter_map(one).collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    Arc::new(all)
}

fn account(secret: &SecretObject) -> Option<AccountView> {
    let meta = &secret.metadata;
    let provider = meta.labels.as_ref()?.get(PROVIDER_LABEL)?.parse().ok()?;
    let value = |key: &str| {
        let bytes = secret.data.as_ref()?.get(key)?;
        String::from_utf8(bytes.0.clone()).ok().map(Secret::new)
    };
    Some(AccountView {
        id: ObjectId { namespace: meta.namespace.clone()?, name: meta.name.clone()? },
        provider,
        access_key: value(ACCESS_KEY).unwrap_or_default(),
        access_secret: value(ACCESS_SECRET).unwrap_or_default(),
    })
}

/// What is remembered, brought up to date: on a leader a changed configuration is a new generation, written before it
/// is published; a follower's generation is the leader's, and only read.
async fn remember(
    ctx: &Context,
    remembered: &mut Option<Remembered>,
    view: &ClusterView,
) -> Result<Remembered, kube::Error> {
    let digest = digest(view);
    if let Some(known) = remembered.as_ref().filter(|known| known.digest == digest) {
        return Ok(known.clone());
    }
    let now = ctx.now();
    let stored = load(&ctx.client).await?;
    let first = Remembered { generation: 0, digest: String::new(), created_at: now, updated_at: now };
    let mut next = stored.clone().unwrap_or(first);
    if next.digest != digest {
        let leads = view.own().is_some_and(|own| own.spec.work_mode == WorkMode::Leader);
        next.digest = digest;
        next.updated_at = now;
        next.generation += u64::from(leads);
        store(&ctx.client, &next).await?;
    }
    *remembered = Some(next.clone());
    Ok(next)
}

/// A digest of what a push carries and an operator can change; beats and addresses are not in it, secrets only so.
fn digest(view: &ClusterView) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut part = |text: &str| {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    };
    for node in &view.nodes {
        part(&node.object);
        part(&serde_json::to_string(&node.spec).unwrap_or_default());
        part(node.secret.expose());
    }
    for service in view.services.iter() {
        part(&service.id.to_string());
        part(&serde_json::to_string(&service.spec).unwrap_or_default());
    }
    for account in &view.accounts {
        part(account.provider.as_str());
        part(account.access_key.expose());
        part(account.access_secret.expose());
    }
    context.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

async fn load(client: &Client) -> Result<Option<Remembered>, kube::Error> {
    let api = Api::<ConfigMap>::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let call = tokio::time::timeout(CALL_DEADLINE, api.get_opt(CLUSTER_CONFIG_MAP)).await;
    let map = call.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())))?;
    let read = |data: BTreeMap<String, String>| {
        Some(Remembered {
            generation: data.get(GENERATION_KEY)?.parse().ok()?,
            digest: data.get("digest").cloned().unwrap_or_default(),
            created_at: data.get("createdAt")?.parse().ok()?,
            updated_at: data.get("updatedAt")?.parse().ok()?,
        })
    };
    Ok(map.and_then(|map| map.data).and_then(read))
}

async fn store(client: &Client, remembered: &Remembered) -> Result<(), kube::Error> {
    let Remembered { generation, digest, created_at, updated_at } = remembered;
    let data = [
        (GENERATION_KEY, generation.to_string()),
        ("digest", digest.clone()),
        ("createdAt", created_at.to_string()),
        ("updatedAt", updated_at.to_string()),
    ];
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some(CLUSTER_CONFIG_MAP.to_owned()), ..ObjectMeta::default() },
        data: Some(data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ..ConfigMap::default()
    };
    let api = Api::<ConfigMap>::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let params = PatchParams::apply("cocoasyncer/view").force();
    let patch = Patch::Apply(&map);
    let call = tokio::time::timeout(CALL_DEADLINE, api.patch(CLUSTER_CONFIG_MAP, &params, &patch)).await;
    call.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into()))).map(|_| ())
}
