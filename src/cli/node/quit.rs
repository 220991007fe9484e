//! `node quit`: a leader lets a node go, or a follower leaves its leader's cluster.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use clap::Args;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::node::CocoaNode;
use crate::api::service::ManagedService;
use crate::api::vocab::{DeletionPolicy, PlatformProvider};
use crate::api::{ORIGIN_LABEL, ORIGIN_LEADER, RELEASE_ANNOTATION, RELEASED_BY_LEADER};
use crate::cli::Ctx;
use crate::cli::connect::Plane;
use crate::cli::error::CliError;
use crate::cli::preview::preview;
use crate::cli::prompt;
use crate::cli::serve::host_name;
use crate::cli::words::Lang;
use crate::cli::world::World;
use crate::config::checks::object_name;
use crate::domain::dns_plan::Held;
use crate::domain::names::FieldError;

/// How long the removal of the leader's services may take.
const GONE_WITHIN: Duration = Duration::from_secs(15);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Flags of `node quit`.
#[derive(Debug, Args)]
pub struct QuitArgs {
    /// The node to let go; left out: this node leaves its leader's cluster
    node: Option<String>,
    /// Object name of this node, where it is not the host's
    #[arg(long, value_name = "NAME", env = "COCOASYNCER_NODE")]
    me: Option<String>,
    /// Asks nothing
    #[arg(short, long)]
    yes: bool,
}

/// Lets a node go, or leaves.
pub async fn run(args: QuitArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let plane = ctx.access.plane().await?;
    let world = World::load(&plane).await?;
    match &args.node {
        Some(name) => let_go(&plane, &world, name, &args, ctx).await,
        None => leave(&plane, &world, &args, ctx).await,
    }
}

async fn let_go(
    plane: &Plane,
    world: &World,
    name: &str,
    args: &QuitArgs,
    ctx: &mut Ctx<'_>,
) -> Result<(), CliError> {
    let node = world.node(name)?;
    let question = match ctx.lang {
        Lang::En => {
            format!("Take {name} ({}) out of the cluster? Its lines move to the others.", node.spec.node_name)
        }
        Lang::Zh => format!("将 {name}({})移出集群?其线路将转移到其他节点。", node.spec.node_name),
    };
    prompt::confirm(&question, args.yes, ctx.lang)?;
    let nodes: Api<CocoaNode> = Api::all(plane.client.clone());
    plane.answer(&format!("CocoaNode {name}"), nodes.delete(name, &DeleteParams::default())).await?;
    if let Some(secret) = &node.spec.secret_ref {
        let namespace = secret.namespace.as_deref().unwrap_or(&plane.system);
        let shared =
            world.nodes.iter().filter(|other| other.spec.secret_ref.as_ref() == Some(secret)).count();
        if shared == 1 {
            let secrets: Api<Secret> = Api::namespaced(plane.client.clone(), namespace);
            let what = format!("Secret {namespace}/{}", secret.name);
            match plane.answer(&what, secrets.delete(&secret.name, &DeleteParams::default())).await {
                Ok(_) | Err(CliError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    release(plane).await?;
    ctx.out.note(format!("{name} {}", ctx.lang.pick("left", "已离开")))
}

async fn leave(plane: &Plane, world: &World, args: &QuitArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let me = args.me.clone().unwrap_or_else(|| object_name(&host_name()));
    if world.node(&me).is_err() {
        let why = format!("there is no CocoaNode {me}: name the node to let go, or this node by --me");
        return Err(FieldError::new("--me", why).into());
    }
    let question = match ctx.lang {
        Lang::En => format!(
            "{me} forgets its leader's nodes, services and accounts. Was it let go at the leader first (`node quit {me}` there)?"
        ),
        Lang::Zh => {
            format!("{me} 将清除主节点下发的节点、服务与平台账号。是否已先在主节点执行 `node quit {me}`?")
        }
    };
    prompt::confirm(&question, args.yes, ctx.lang)?;
    let client = &plane.client;
    // What this node is known by stays: it is its own, whoever wrote it last.
    let own = world.node(&me)?.spec.secret_ref.clone();
    let own = own.map(|r| format!("{}/{}", r.namespace.as_deref().unwrap_or(&plane.system), r.name));
    let within = |ns: &str| Api::<ManagedService>::namespaced(client.clone(), ns);
    judge(plane).await?;
    let mut removed = remove(plane, within, Api::all(client.clone()), None).await?;
    gone(plane).await?;
    let within = |ns: &str| Api::<Secret>::namespaced(client.clone(), ns);
    removed += remove(plane, within, Api::all(client.clone()), own.as_deref()).await?;
    // Who marks the cluster's records is the cluster's; two installations must not share it.
    let within = |ns: &str| Api::<ConfigMap>::namespaced(client.clone(), ns);
    removed += remove(plane, within, Api::all(client.clone()), None).await?;
    let nodes: Api<CocoaNode> = Api::all(client.clone());
    for node in plane.answer("CocoaNode", nodes.list(&marked())).await?.items {
        let name = node.name_any();
        let what = format!("CocoaNode {name}");
        if name == me {
            // This node stays a node, of a cluster of its own.
            let unmark = Patch::Merge(json!({"metadata": {"labels": {ORIGIN_LABEL: null}}}));
            plane.answer(&what, nodes.patch(&name, &PatchParams::default(), &unmark)).await?;
        } else {
            plane.answer(&what, nodes.delete(&name, &DeleteParams::default())).await?;
            removed += 1;
        }
    }
    ctx.out.note(match ctx.lang {
        Lang::En => format!("{me} left its cluster: {removed} objects of the leader's are gone"),
        Lang::Zh => format!("{me} 已退出集群,清除主节点下发的对象 {removed} 个"),
    })
}

/// Says of the leader's services that their deletion is meant: whoever confirmed the leave has confirmed that all their
/// records go at once, which the guard on mass changes would hold. Only this node's own copy goes: what stands at a
/// platform is the cluster's, which goes on with it.
async fn judge(plane: &Plane) -> Result<(), CliError> {
    let all: Api<ManagedService> = Api::all(plane.client.clone());
    for service in plane.answer("ManagedService", all.list(&marked())).await?.items {
        let released = match service.spec.platform_provider {
            PlatformProvider::Local => {
                json!({"metadata": {"annotations": {RELEASE_ANNOTATION: RELEASED_BY_LEADER}}})
            }
            PlatformProvider::Ali | PlatformProvider::RFC2136 => {
                json!({"spec": {"deletionPolicy": DeletionPolicy::Retain}})
            }
        };
        let released = Patch::Merge(released);
        let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
        let api: Api<ManagedService> = Api::namespaced(plane.client.clone(), &namespace);
        let what = format!("ManagedService {namespace}/{name}");
        plane.answer(&what, api.patch(&name, &PatchParams::default(), &released)).await?;
    }
    Ok(())
}

/// Lines that only the node claimed go with it, which the guard on mass changes may hold: whoever confirmed has confirmed
/// that. Only plans that do nothing but remove records are released.
async fn release(plane: &Plane) -> Result<(), CliError> {
    let world = World::load(plane).await?;
    for zone in preview(&world, &world.cluster()).zones {
        let plan = zone.plan();
        let mass: Vec<_> = plan.held.iter().filter_map(Held::mass_change).collect();
        let only_removes = mass.iter().all(|change| change.to.is_none());
        if let (Some(digest), Some(first), true) = (&plan.digest, mass.first(), only_removes) {
            let id = &first.service;
            let api: Api<ManagedService> = Api::namespaced(plane.client.clone(), &id.namespace);
            let patch = Patch::Merge(json!({"metadata": {"annotations": {RELEASE_ANNOTATION: digest}}}));
            let params = PatchParams::default();
            let what = format!("ManagedService {id}");
            plane.answer(&what, api.patch(&id.name, &params, &patch)).await?;
        }
    }
    Ok(())
}

/// Waits until the leader's services are gone with their records.
async fn gone(plane: &Plane) -> Result<(), CliError> {
    let all: Api<ManagedService> = Api::all(plane.client.clone());
    let deadline = Instant::now() + GONE_WITHIN;
    while !plane.answer("ManagedService", all.list(&marked())).await?.items.is_empty() {
        if deadline < Instant::now() {
            return Err(CliError::failed(
                "the leader's services are still being removed: see `cocoasyncer service list`",
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn marked() -> ListParams {
    ListParams::default().labels(&format!("{ORIGIN_LABEL}={ORIGIN_LEADER}"))
}

/// Deletes everything of one kind that the leader sent, but for `kept`, and counts it.
async fn remove<K>(
    plane: &Plane,
    within: impl Fn(&str) -> Api<K>,
    all: Api<K>,
    kept: Option<&str>,
) -> Result<usize, CliError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let kind = K::kind(&()).into_owned();
    let listed = plane.answer(&kind, all.list(&marked())).await?;
    let mut gone = 0;
    for object in &listed.items {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        if kept == Some(format!("{namespace}/{name}").as_str()) {
            continue;
        }
        let what = format!("{kind} {namespace}/{name}");
        plane.answer(&what, within(&namespace).delete(&name, &DeleteParams::default())).await?;
        gone += 1;
    }
    Ok(gone)
}
