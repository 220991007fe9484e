//! Nodes of a push: matched by nodeCode, checked field by field, written where they differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::names::{free, is_object_name, object_name};
use super::{Existing, NodeWrite, SecretWrite, differs, leaders_mark, marked};
use crate::api::NODE_SECRET_KEY;
use crate::api::node::{CocoaNode, CocoaNodeSpec, Liveness, SecretKeyRef};
use crate::api::vocab::{Line, NetworkType, WorkMode};
use crate::domain::names::{FieldError, ObjectId};
use crate::domain::secret::Secret;
use crate::wire::cluster::{CocoaBasic, MASK, NO_LINE, NodeInfo};

/// What becomes of the nodes.
pub(super) struct Nodes {
    /// Nodes that differ.
    pub writes: Vec<NodeWrite>,
    /// Secrets of all peers whose secret the push tells.
    pub secrets: Vec<SecretWrite>,
    /// Secrets that stay, told or not.
    pub kept_secrets: BTreeSet<ObjectId>,
    /// The leader's nodes that the push no longer has.
    pub removed: Vec<String>,
    /// The leader's object names and what they are called here.
    pub names: BTreeMap<String, String>,
}

/// Plans all nodes of a push.
pub(super) fn plan(push: &CocoaBasic, existing: &Existing<'_>) -> Result<Nodes, FieldError> {
    let at = "cocoaBasic.otherCocoaSyncer";
    let checked = checked(push, existing, at)?;
    let me = existing.nodes.iter().find(|node| name_of(node) == existing.me);
    let my_code = me.map(|node| node.spec.node_code.as_str());
    match my_code {
        None => return Err(FieldError::new(at, "this node has no CocoaNode yet: create it first")),
        Some(code) if !checked.iter().any(|node| node.spec.node_code == code) => {
            return Err(FieldError::new(at, "must contain this node: its nodeCode is not among them"));
        }
        Some(_) => (),
    }
    if !checked.iter().any(|node| node.spec.isps.contains(&Line::Default)) {
        return Err(FieldError::new(at, "no node holds the line default: give it to one of them"));
    }
    named(checked, existing)
}

/// A node whose fields have been read; what stands here already is beside it.
struct Checked<'a> {
    info: &'a NodeInfo,
    spec: CocoaNodeSpec,
    found: Option<&'a CocoaNode>,
}

fn checked<'a>(
    push: &'a CocoaBasic,
    existing: &'a Existing<'_>,
    at: &str,
) -> Result<Vec<Checked<'a>>, FieldError> {
    if push.other_cocoa_syncer.is_empty() {
        return Err(FieldError::new(at, "must name at least one node"));
    }
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all = Vec::new();
    for (index, info) in push.other_cocoa_syncer.iter().enumerate() {
        if let Some(first) = codes.insert(&info.node_code, index) {
            let why = format!("is that of otherCocoaSyncer[{first}] too: give each node its own");
            return Err(FieldError::new(format!("{at}[{index}].nodeCode"), why));
        }
    }
    for (index, info) in push.other_cocoa_syncer.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let same = existing.nodes.iter().filter(|node| node.spec.node_code == info.node_code);
        // Should two objects have the code, this node itself comes first.
        let found = same.min_by_key(|node| name_of(node) != existing.me);
        let mine = found.is_some_and(|node| name_of(node) == existing.me);
        let spec = spec(info, found, mine, &at)?;
        all.push(Checked { info, spec, found });
    }
    Ok(all)
}

fn spec(
    info: &NodeInfo,
    found: Option<&CocoaNode>,
    mine: bool,
    at: &str,
) -> Result<CocoaNodeSpec, FieldError> {
    identity(info, at)?;
    let (work_mode, network_type) = modes(info, mine, at)?;
    let isps = lines(info, at)?;
    let extension = match &info.operator {
        Some(operator) => operator.spec(&format!("{at}.operator"))?,
        None => None,
    };
    let found = found.map(|node| &node.spec);
    // What the old wire cannot say survives its push.
    let base = extension.as_ref().or(found);
    let spec = CocoaNodeSpec {
        node_name: info.node_name.clone(),
        node_code: info.node_code.clone(),
        node_address: info.node_address.clone(),
        work_mode,
        isps,
        network_type,
        secret_ref: found.and_then(|spec| spec.secret_ref.clone()),
        addresses: found.and_then(|spec| spec.addresses.clone()),
        liveness: base.map(|spec| spec.liveness.clone()).unwrap_or_default(),
        preference: base.map_or(50, |spec| spec.preference),
        drain: base.and_then(|spec| spec.drain.clone()),
        pin: base.and_then(|spec| spec.pin.clone()),
    };
    ranges(&spec, at)?;
    Ok(spec)
}

/// What a node is found by.
fn identity(info: &NodeInfo, at: &str) -> Result<(), FieldError> {
    let refuse = |name: &str, why: &str| FieldError::new(format!("{at}.{name}"), why);
    if !is_code(&info.node_code) {
        let why = "must have 1 to 64 letters, digits, dots, hyphens or underscores and begin with a letter or digit";
        return Err(refuse("nodeCode", why));
    }
    if info.node_name.is_empty() || 64 < info.node_name.chars().count() {
        return Err(refuse("nodeName", "must have 1 to 64 characters"));
    }
    if !is_base_url(&info.node_address) {
        let why = "must be a base URL such as https://sh.example.com:44443";
        return Err(refuse("nodeAddress", why));
    }
    Ok(())
}

fn modes(info: &NodeInfo, mine: bool, at: &str) -> Result<(WorkMode, NetworkType), FieldError> {
    let refuse = |name: &str, why: &str| FieldError::new(format!("{at}.{name}"), why);
    let work_mode = match info.work_mode.as_str() {
        "leader" if mine => {
            return Err(refuse("workMode", "makes a leader of this node, which is a follower"));
        }
        "leader" => WorkMode::Leader,
        "follower" => WorkMode::Follower,
        _ => return Err(refuse("workMode", "must be leader or follower")),
    };
    let network_type = match info.network_type.as_str() {
        "IPV4" | "" => NetworkType::IPV4,
        "IPV6" => NetworkType::IPV6,
        "Both" => NetworkType::Both,
        _ => return Err(refuse("networkType", "must be IPV4, IPV6 or Both")),
    };
    Ok((work_mode, network_type))
}

fn lines(info: &NodeInfo, at: &str) -> Result<Vec<Line>, FieldError> {
    let mut lines: Vec<Line> = Vec::new();
    for (index, text) in info.isps.iter().enumerate() {
        if text == NO_LINE {
            continue;
        }
        let line =
            text.parse().map_err(|err| FieldError::new(format!("{at}.ISPs[{index}]"), format!("{err}")))?;
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    Ok(lines)
}

/// The ranges that the CRD would refuse later, when half of the push might stand already.
fn ranges(spec: &CocoaNodeSpec, at: &str) -> Result<(), FieldError> {
    let Liveness {
        heartbeat_seconds,
        lost_after_misses,
        back_after_beats,
        hold_down_seconds,
        timeout_minutes,
    } = &spec.liveness;
    let preference = u32::try_from(spec.preference).unwrap_or(u32::MAX);
    let pins = spec.pin.as_ref().map_or(1, |pin| pin.lines.len() as u32);
    for (name, value, least, most) in [
        ("liveness.heartbeatSeconds", *heartbeat_seconds, 1, 300),
        ("liveness.lostAfterMisses", *lost_after_misses, 1, 100),
        ("liveness.backAfterBeats", *back_after_beats, 1, 100),
        ("liveness.holdDownSeconds", *hold_down_seconds, 0, 86_400),
        ("liveness.timeoutMinutes", *timeout_minutes, 1, 1440),
        ("preference", preference, 0, 100),
        ("pin.lines", pins, 1, 6),
    ] {
        if value < least || most < value {
            let why = format!("must be from {least} to {most}");
            return Err(FieldError::new(format!("{at}.operator.spec.{name}"), why));
        }
    }
    Ok(())
}

fn named(checked: Vec<Checked<'_>>, existing: &Existing<'_>) -> Result<Nodes, FieldError> {
    let matched: BTreeSet<String> = checked.iter().filter_map(|node| node.found).map(name_of).collect();
    // A leader's object whose code is gone may be taken over by a node of the same object name; others' may not.
    let others = existing.nodes.iter().filter(|node| !marked(node.metadata.labels.as_ref())).map(name_of);
    let mut taken: BTreeSet<String> = matched.iter().cloned().chain(others).collect();
    let mut nodes = Nodes {
        writes: Vec::new(),
        secrets: Vec::new(),
        kept_secrets: BTreeSet::new(),
        removed: Vec::new(),
        names: BTreeMap::new(),
    };
    let mut kept = BTreeSet::new();
    for node in checked {
        let told = node.info.operator.as_ref().map(|operator| operator.object.as_str()).unwrap_or_default();
        let wanted = match told {
            told if is_object_name(told) => told.to_owned(),
            _ => object_name(&node.spec.node_code, "node"),
        };
        let name = node.found.map_or_else(|| free(&wanted, &taken, |name| name), name_of);
        taken.insert(name.clone());
        kept.insert(name.clone());
        if !told.is_empty() {
            nodes.names.insert(told.to_owned(), name.clone());
        }
        let there = existing.nodes.iter().find(|there| name_of(there) == name);
        write(node, name, there, existing, &mut nodes);
    }
    let gone = existing.nodes.iter().filter(|node| marked(node.metadata.labels.as_ref()));
    nodes.removed = gone.map(name_of).filter(|name| !kept.contains(name) && name != existing.me).collect();
    Ok(nodes)
}

fn write(
    node: Checked<'_>,
    name: String,
    there: Option<&CocoaNode>,
    existing: &Existing<'_>,
    nodes: &mut Nodes,
) {
    let mine = name == existing.me;
    let mut spec = node.spec;
    let secret = &node.info.cocoa_secret;
    let id = ObjectId { namespace: existing.system.to_owned(), name: format!("leader-node-{name}") };
    if !mine {
        let told = !secret.is_empty() && *secret != Secret::new(MASK);
        let ours = spec.secret_ref.as_ref().is_some_and(|of| of.name == id.name);
        if told {
            let data = BTreeMap::from([(NODE_SECRET_KEY.to_owned(), secret.clone())]);
            nodes.secrets.push(SecretWrite { id: id.clone(), labels: leaders_mark(), data });
            spec.secret_ref = Some(SecretKeyRef {
                name: id.name.clone(),
                namespace: Some(id.namespace.clone()),
                key: Some(NODE_SECRET_KEY.to_owned()),
            });
        }
        if told || ours {
            nodes.kept_secrets.insert(id);
        }
    }
    let spec = commanded(&spec, mine);
    let stands = there.is_some_and(|there| {
        let marked = mine || marked(there.metadata.labels.as_ref());
        marked && !differs(&spec, &plain(&there.spec), &there.metadata)
    });
    if !stands {
        nodes.writes.push(NodeWrite { spec, marked: !mine, name });
    }
}

fn plain(spec: &CocoaNodeSpec) -> Value {
    serde_json::to_value(spec).expect("a spec is plain data")
}

/// The spec without what the leader does not command here.
fn commanded(spec: &CocoaNodeSpec, mine: bool) -> Value {
    let mut value = plain(spec);
    if let Some(members) = value.as_object_mut() {
        members.remove("addresses");
        if mine {
            members.remove("secretRef");
        }
    }
    value
}

pub(super) fn name_of(node: &CocoaNode) -> String {
    node.metadata.name.clone().unwrap_or_default()
}

fn is_code(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    text.len() <= 64
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().all(plain)
}

fn is_base_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().is_some_and(|host| !host.is_empty());
    scheme && host && uri.query().is_none() && !text.contains('#') && text.len() <= 2048
}
