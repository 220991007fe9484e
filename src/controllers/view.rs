//! The view: this node's knowledge as one value, for the v1 API, the pages and the metrics. A beat changes only the
//! pulses in it: what is costly is made anew only when the objects changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::api::condition::types;
use crate::api::node::CocoaNode;
use crate::api::vocab::{Family, Line};
use crate::api::{ACCESS_KEY, ACCESS_SECRET, PROVIDER_LABEL};
use crate::controllers::board::Board;
use crate::controllers::generation::{Heard, digest, remember};
use crate::controllers::node::secrets::NodeSecrets;
use crate::controllers::shared::context::{Context, Role};
use crate::controllers::snapshot::Snapshot;
use crate::domain::cluster::Vital;
use crate::domain::lines::{Assignment, Holder, Why, assign};
use crate::domain::liveness::Pulse;
use crate::domain::marks::OwnerId;
use crate::domain::names::ObjectId;
use crate::domain::secret::Secret;
use crate::domain::view::{AccountView, ClusterView, LineView, NodeView, ServiceView};
use crate::telemetry::chain::Chain;
use crate::wire::cluster::MAX_ACCOUNT_DATA;
use crate::wire::read::MAX_TEXT;

/// What failures of the generation are said of.
const GENERATION: &str = "generation";

/// What the view needs beside the snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Port of the v1 API.
    pub api_port: u16,
    /// Whether a reverse proxy stands in front.
    pub reverse_proxy: bool,
}

/// What wakes it.
pub struct Sources {
    /// Objects, vitals and lines.
    pub snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    /// The nodes' secrets.
    pub secrets: watch::Receiver<Arc<NodeSecrets>>,
    /// This node fed its watchdog.
    pub fed: watch::Receiver<()>,
    /// Who marks records.
    pub owner: watch::Receiver<Option<OwnerId>>,
}

/// Publishes the view whenever something in it changed, the own watchdog included.
pub async fn run(
    ctx: Context,
    facts: Facts,
    board: Board,
    sources: Sources,
    out: watch::Sender<Arc<ClusterView>>,
    stop: CancellationToken,
) {
    let Sources { mut snapshots, mut secrets, mut fed, mut owner } = sources;
    let mut remembered = None;
    let mut heard = Heard::of(&out.borrow());
    let mut costly: Option<Costly> = None;
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let known = secrets.borrow_and_update().clone();
        let marker = owner.borrow_and_update().clone();
        fed.mark_unchanged();
        if let Some(snapshot) = snapshot {
            // By what it was made of and not by who woke: waiting for a change marks it as seen.
            let kept = costly.take().filter(|kept| kept.is_of(&snapshot, &known) && kept.owner == marker);
            let services = kept.as_ref().map_or_else(|| services(&snapshot), |kept| kept.services.clone());
            let mut view = view(&ctx, facts, &board, &snapshot, &known, services.clone());
            view.owner = marker;
            let digest = kept.map_or_else(|| digest(&view), |kept| kept.digest);
            costly =
                Some(Costly { snapshot, known, owner: view.owner.clone(), services, digest: digest.clone() });
            let numbered = match ctx.role {
                Role::Active => remember(&ctx, &mut remembered, &view, digest).await.map(Some),
                Role::Standby => Ok(heard.look(&ctx, &digest).await),
            };
            match numbered {
                Ok(Some(now)) => {
                    ctx.said.is_well(GENERATION);
                    view.generation = now.generation;
                    view.created_at = now.created_at;
                    view.updated_at = now.updated_at;
                    out.send_replace(Arc::new(view));
                }
                // Before the active replica has numbered anything there is nothing to show.
                Ok(None) => {}
                Err(error) => {
                    if ctx.said.fails(GENERATION.to_owned(), &error.to_string()) {
                        warn!(error = %Chain(&error), "the cluster's generation is not known: the view stays as it was");
                    }
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = snapshots.changed() => if changed.is_err() { return },
            changed = secrets.changed() => if changed.is_err() { return },
            changed = fed.changed() => if changed.is_err() { return },
            changed = owner.changed() => if changed.is_err() { return },
        }
    }
}

/// What is made anew only when the objects changed.
struct Costly {
    snapshot: Arc<Snapshot>,
    known: Arc<NodeSecrets>,
    owner: Option<OwnerId>,
    services: Arc<Vec<ServiceView>>,
    digest: String,
}

impl Costly {
    fn is_of(&self, snapshot: &Arc<Snapshot>, known: &Arc<NodeSecrets>) -> bool {
        Arc::ptr_eq(&self.snapshot, snapshot) && Arc::ptr_eq(&self.known, known)
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
        owner: None,
        nodes: Vec::new(),
        lines: Vec::new(),
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
    services: Arc<Vec<ServiceView>>,
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
        lines: lines(&snapshot.nodes, &assignment),
        services,
        accounts: ctx.stores.accounts().iter().filter_map(|secret| account(secret)).collect(),
        ..empty(ctx, facts)
    }
}

fn serving(name: &str, assignment: &Assignment) -> Vec<(Line, bool)> {
    let held = assignment.iter().filter_map(|(&(line, _), holder)| {
        let holder = holder.as_ref()?;
        (holder.node == name).then_some((line, holder.why != Why::Own))
    });
    let mut lines: Vec<(Line, bool)> = held.collect();
    lines.dedup();
    lines
}

/// Who answers for each line; since when in another's place the nodes' statuses remember.
fn lines(nodes: &[CocoaNode], assignment: &Assignment) -> Vec<LineView> {
    let since = |holder: &Holder, at: (Line, Family)| {
        let named = nodes.iter().find(|node| node.metadata.name.as_ref() == Some(&holder.node));
        let lines = named.and_then(|node| node.status.as_ref()).map(|status| &status.lines);
        let told = lines.into_iter().flatten().find(|told| (told.line, told.family) == at && told.taken_over);
        told.map(|told| told.since.0)
    };
    let mut all: Vec<LineView> = assignment
        .iter()
        .map(|(&(line, family), holder)| {
            let stands_in = holder.as_ref().filter(|holder| holder.why == Why::TakenOver);
            let taken_over = stands_in.and_then(|holder| since(holder, (line, family)));
            LineView { line, family, node: holder.as_ref().map(|holder| holder.node.clone()), taken_over }
        })
        .collect();
    // Without it whoever is on no line that is known gets no answer.
    if !nodes.is_empty() && all.iter().all(|one| one.line != Line::Default) {
        all.push(LineView { line: Line::Default, family: Family::V4, node: None, taken_over: None });
    }
    all
}

fn services(snapshot: &Snapshot) -> Arc<Vec<ServiceView>> {
    let one = |managed: &crate::controllers::snapshot::Managed| {
        let object = managed.object()?;
        let status = object.status.as_ref();
        let ready = status.and_then(|status| status.conditions.iter().find(|c| c.type_ == types::READY));
        Some(ServiceView {
            id: managed.service.id.clone(),
            spec: object.spec.clone(),
            release: managed.service.release.clone(),
            adopt: managed.service.adopt,
            lines: status.map(|status| status.lines.clone()).unwrap_or_default(),
            ready: ready.map(|condition| (condition.status == "True", condition.reason.clone())),
        })
    };
    // One that is being deleted is told until it is gone: its deletion may be held.
    let mut all: Vec<ServiceView> = snapshot.services().filter_map(one).collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    Arc::new(all)
}

fn account(secret: &SecretObject) -> Option<AccountView> {
    let meta = &secret.metadata;
    let provider = meta.labels.as_ref()?.get(PROVIDER_LABEL)?.parse().ok()?;
    let text = |bytes: &ByteString| String::from_utf8(bytes.0.clone()).ok().map(Secret::new);
    let value = |key: &str| text(secret.data.as_ref()?.get(key)?);
    // What is larger than a document allows is no account's; followers would refuse the whole push for it.
    let more = secret.data.iter().flatten().filter(|(key, bytes)| {
        ![ACCESS_KEY, ACCESS_SECRET].contains(&key.as_str()) && bytes.0.len() <= MAX_TEXT
    });
    let more = more.filter_map(|(key, bytes)| Some((key.clone(), text(bytes)?)));
    Some(AccountView {
        id: ObjectId { namespace: meta.namespace.clone()?, name: meta.name.clone()? },
        provider,
        access_key: value(ACCESS_KEY).unwrap_or_default(),
        access_secret: value(ACCESS_SECRET).unwrap_or_default(),
        data: more.take(MAX_ACCOUNT_DATA).collect(),
    })
}
