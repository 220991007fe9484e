//! `node join ADDRESS`: the new node is asked with its own secret before anything is created, so that a typing error
//! never becomes a dead member of the cluster.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret as SecretObject};
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use serde::Serialize;

use crate::api::NODE_SECRET_KEY;
use crate::api::node::{CocoaNode, CocoaNodeSpec, Liveness, SecretKeyRef};
use crate::api::vocab::{Line, NetworkType, WorkMode};
use crate::cli::Ctx;
use crate::cli::connect::Plane;
use crate::cli::error::CliError;
use crate::cli::node::FIELD_MANAGER;
use crate::cli::prompt::{self, From};
use crate::cli::words::Lang;
use crate::cli::world::World;
use crate::config::checks::{check_base_url, check_object_name, lines, object_name};
use crate::domain::names::FieldError;
use crate::domain::secret::Secret;
use crate::peers::PeerClient;
use crate::wire::cluster::{CocoaBasic, NodeInfo};
use crate::wire::render::without_user;

/// How long the new node may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Flags of `node join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// Base URL of the new node's v1 API, e.g. http://203.0.113.20:44443
    address: String,
    /// File with the new node's secret, `-` for standard input; left out: it is asked for
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Object name to give it; left out: the one it tells, else its code's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Its lines; left out: those it tells
    #[arg(long, value_name = "LINE", value_delimiter = ',')]
    lines: Option<Vec<String>>,
    /// Asks nothing
    #[arg(short, long)]
    yes: bool,
}

/// What the new node said of itself, and what is made of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    object: String,
    spec: CocoaNodeSpec,
    /// 201: in no cluster yet; 200: in one already.
    status_code: i32,
    nodes: usize,
}

/// Asks the node, shows what it found, and creates it.
pub async fn run(args: JoinArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let address = check_base_url("ADDRESS", &args.address)?;
    let plane = ctx.access.plane().await?;
    // The control plane first: who can't create the node need not type its secret.
    let world = World::load(&plane).await?;
    let question = format!("{} {address}: ", ctx.lang.pick("Secret of", "节点密钥"));
    let from = args.secret_file.as_deref().map_or(From::Person(&question), From::File);
    let secret = prompt::secret(from, "--secret-file")?;
    let peers = PeerClient::new().context("prepare the question")?;
    let (code, basic) = peers.info(&address, &secret, DEADLINE).await.context("the node can't join")?;
    let candidate = candidate(&args, &address, code, &basic)?;
    refuse(&candidate, &world)?;
    show(&candidate, ctx)?;
    prompt::confirm(ctx.lang.pick("Take it into the cluster?", "加入集群?"), args.yes, ctx.lang)?;
    create(&plane, &candidate, &secret).await?;
    ctx.out.note(format!("{} {}", candidate.object, ctx.lang.pick("joined", "已加入")))
}

fn candidate(args: &JoinArgs, address: &str, code: i32, basic: &CocoaBasic) -> Result<Candidate, FieldError> {
    let told = |node: &&NodeInfo| node.node_code == basic.node_code;
    let info = basic.other_cocoa_syncer.iter().find(told).cloned().unwrap_or_default();
    let hidden = |text: &str| text.is_empty() || text.bytes().all(|b| b == b'*');
    if hidden(&basic.node_code) {
        return Err(FieldError::new(
            "ADDRESS",
            "the node does not tell its nodeCode: it must know this secret as its own",
        ));
    }
    let own_spec: Option<CocoaNodeSpec> =
        info.operator.as_ref().and_then(|more| serde_json::from_value(more.spec.clone()).ok());
    let object = match (&args.name, info.operator.as_ref().map(|more| more.object.as_str())) {
        (Some(name), _) => check_object_name("--name", name)?,
        (None, Some(told)) if !told.is_empty() => check_object_name("ADDRESS", told)?,
        (None, _) => object_name(&basic.node_code.replace('.', "-")),
    };
    let told_lines: Vec<String> = info.isps.clone();
    let isps: Vec<Line> = match &args.lines {
        Some(texts) => lines("--lines", texts)?,
        None => lines("ISPs", &told_lines)?,
    };
    let network_type = match info.network_type.as_str() {
        "IPV6" => NetworkType::IPV6,
        "Both" => NetworkType::Both,
        _ => NetworkType::IPV4,
    };
    let work_mode = if basic.work_mode == "leader" { WorkMode::Leader } else { WorkMode::Follower };
    let fresh = CocoaNodeSpec {
        node_name: if hidden(&basic.node_name) { object.clone() } else { basic.node_name.clone() },
        node_code: basic.node_code.clone(),
        node_address: address.to_owned(),
        work_mode,
        isps,
        network_type,
        secret_ref: None,
        addresses: None,
        liveness: own_spec.as_ref().map_or(Liveness::default(), |spec| spec.liveness.clone()),
        preference: own_spec.map_or(50, |spec| spec.preference),
        drain: None,
        pin: None,
    };
    let secret_ref = SecretKeyRef { name: object.clone(), namespace: None, key: None };
    let spec = CocoaNodeSpec { secret_ref: Some(secret_ref), ..fresh };
    Ok(Candidate { object, spec, status_code: code, nodes: basic.other_cocoa_syncer.len() })
}

/// Whatever would make a second leader, a second bearer of a code, or a member of two clusters is refused.
fn refuse(candidate: &Candidate, world: &World) -> Result<(), FieldError> {
    let spec = &candidate.spec;
    let no = |why: String| Err(FieldError::new("ADDRESS", why));
    if spec.work_mode == WorkMode::Leader {
        return no("the node is a leader: only a follower can join (--work-mode follower)".into());
    }
    if let Some(there) = world.nodes.iter().find(|node| node.spec.node_code == spec.node_code) {
        let name = there.metadata.name.as_deref().unwrap_or_default();
        return no(format!("CocoaNode {name} has the nodeCode {} already", spec.node_code));
    }
    if let Some(there) =
        world.nodes.iter().find(|node| node.metadata.name.as_deref() == Some(&candidate.object))
    {
        let code = &there.spec.node_code;
        return Err(FieldError::new(
            "--name",
            format!("{} is the node {code} already: choose another", candidate.object),
        ));
    }
    if candidate.status_code == 200 {
        return no("the node is in a cluster already: `cocoasyncer node quit` there first".into());
    }
    if candidate.status_code != 201 {
        return no(format!("the node answers statusCode {}, 201 was expected", candidate.status_code));
    }
    Ok(())
}

fn show(candidate: &Candidate, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    if ctx.out.value(candidate)? {
        return Ok(());
    }
    let (spec, lang): (_, Lang) = (&candidate.spec, ctx.lang);
    let lines: Vec<&str> = spec.isps.iter().map(|line| line.as_str()).collect();
    let rows = [
        (lang.pick("object", "对象"), candidate.object.clone()),
        (lang.pick("name", "名称"), spec.node_name.clone()),
        ("nodeCode", spec.node_code.clone()),
        (lang.pick("address", "地址"), without_user(&spec.node_address)),
        (lang.pick("mode", "模式"), spec.work_mode.as_str().to_owned()),
        (lang.pick("lines", "线路"), if lines.is_empty() { "-".to_owned() } else { lines.join(",") }),
        (lang.pick("network", "网络"), format!("{:?}", spec.network_type)),
    ];
    ctx.out.table(["", ""], rows.map(|(head, text)| [head.into(), text.into()]).to_vec())?;
    // The question that follows goes to standard error, and must not come before this.
    ctx.out.flush()
}

async fn create(plane: &Plane, candidate: &Candidate, secret: &Secret) -> Result<(), CliError> {
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    namespace(plane, &params).await?;
    let name = &candidate.object;
    let secrets: Api<SecretObject> = Api::namespaced(plane.client.clone(), &plane.system);
    let bytes = ByteString(secret.expose().as_bytes().to_vec());
    let object = SecretObject {
        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
        data: Some([(NODE_SECRET_KEY.to_owned(), bytes)].into()),
        ..SecretObject::default()
    };
    let what = format!("Secret {}/{name}", plane.system);
    plane.answer(&what, secrets.create(&params, &object)).await?;
    let node = CocoaNode {
        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
        spec: candidate.spec.clone(),
        status: None,
    };
    let nodes: Api<CocoaNode> = Api::all(plane.client.clone());
    let created = plane.answer(&format!("CocoaNode {name}"), nodes.create(&params, &node)).await;
    if let Err(error) = created {
        // No secret without its node is left behind; where even that fails, the first failure is what matters.
        let _ = plane.answer(&what, secrets.delete(name, &DeleteParams::default())).await;
        return Err(error);
    }
    Ok(())
}

/// The namespace of nodes' secrets, made where it is missing.
async fn namespace(plane: &Plane, params: &PostParams) -> Result<(), CliError> {
    let client: Client = plane.client.clone();
    let all: Api<Namespace> = Api::all(client);
    let system = plane.system.as_str();
    if plane.answer(system, all.get_opt(system)).await?.is_some() {
        return Ok(());
    }
    let metadata = ObjectMeta { name: Some(system.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    plane.answer(system, all.create(params, &namespace)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixtures::world;

    fn basic(code: &str, mode: &str) -> CocoaBasic {
        let node = NodeInfo {
            node_code: code.into(),
            isps: vec!["CU".into(), "CMCC".into()],
            network_type: "Both".into(),
            ..NodeInfo::default()
        };
        CocoaBasic {
            node_name: "Osaka".into(),
            node_code: code.into(),
            work_mode: mode.into(),
            other_cocoa_syncer: vec![node],
            ..CocoaBasic::default()
        }
    }

    fn args() -> JoinArgs {
        JoinArgs { address: "http://o:1".into(), secret_file: None, name: None, lines: None, yes: true }
    }

    #[test]
    fn a_node_is_made_of_what_it_tells() {
        let candidate = candidate(&args(), "http://o:1", 201, &basic("OS.1", "follower")).unwrap();
        assert_eq!(candidate.object, "os-1");
        assert_eq!(candidate.spec.node_name, "Osaka");
        assert_eq!(candidate.spec.isps, [Line::CU, Line::CMCC]);
        assert_eq!(candidate.spec.network_type, NetworkType::Both);
        assert_eq!(candidate.spec.secret_ref.as_ref().unwrap().name, "os-1");
        refuse(&candidate, &world(200, true)).unwrap();
    }

    #[test]
    fn who_must_not_join_is_refused() {
        #[track_caller]
        fn check(code: &str, mode: &str, status: i32, part: &str) {
            let made = candidate(&args(), "http://o:1", status, &basic(code, mode));
            let err = made.and_then(|candidate| refuse(&candidate, &world(200, true))).unwrap_err();
            assert!(err.to_string().contains(part), "{err}");
        }
        check("os", "leader", 201, "is a leader");
        check("b", "follower", 201, "CocoaNode b has the nodeCode b already");
        check("B", "follower", 201, "is the node b already");
        check("os", "follower", 200, "in a cluster already");
        check("os", "follower", 405, "405");
        check("***", "follower", 201, "nodeCode");
    }
}
