//! The cluster as the planner sees it: CocoaNodes, pulses and addresses, made into members that may hold lines.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::node::CocoaNode;
use crate::api::vocab::{Family, Line, NetworkType};
use crate::domain::liveness::Pulse;
use crate::domain::names::FieldError;

/// Addresses of one node, a family each.
pub type Addresses = BTreeMap<Family, BTreeSet<IpAddr>>;

/// One node as the planner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Object name; the order of names is the order of succession.
    pub name: String,
    /// Lines it claims as its own.
    pub lines: BTreeSet<Line>,
    /// Families it publishes.
    pub network: NetworkType,
    /// Higher is asked first when lines are handed out.
    pub preference: i32,
    /// Public addresses known now.
    pub addresses: Addresses,
    /// Whether it lives.
    pub lives: bool,
    /// Whether it is drained now.
    pub drained: bool,
    /// Lines pinned to it now.
    pub pinned: BTreeSet<Line>,
}

impl Member {
    /// Whether it claims `line` in `family`.
    pub fn claims(&self, line: Line, family: Family) -> bool {
        self.lines.contains(&line) && self.network.has(family)
    }

    /// Whether it could answer in `family`: it lives and its address is known.
    pub fn can_answer(&self, family: Family) -> bool {
        self.lives
            && self.network.has(family)
            && self.addresses.get(&family).is_some_and(|set| !set.is_empty())
    }
}

/// All nodes that take part, in the order of their names, and those that don't, with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Who takes part.
    pub members: BTreeMap<String, Member>,
    /// Who doesn't: the field that must be mended.
    pub refused: BTreeMap<String, FieldError>,
}

/// What is known of a node beyond its spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vital {
    /// Its pulse.
    pub pulse: Pulse,
    /// Its addresses.
    pub addresses: Addresses,
}

impl Cluster {
    /// Joins specs with what is known. Of two nodes with one nodeCode the older counts and the younger is refused.
    pub fn of<'a>(
        nodes: impl IntoIterator<Item = &'a CocoaNode>,
        vitals: &BTreeMap<String, Vital>,
        now: Timestamp,
    ) -> Self {
        let mut nodes: Vec<&CocoaNode> = nodes.into_iter().collect();
        nodes.sort_by_key(|node| (node.metadata.creation_timestamp.clone(), node.metadata.name.clone()));
        let mut cluster = Cluster::default();
        let mut codes = BTreeMap::new();
        for node in nodes {
            let name = node.metadata.name.clone().unwrap_or_default();
            if let Err(error) = claim_code(&mut codes, node) {
                cluster.refused.insert(name, error);
                continue;
            }
            if node.metadata.deletion_timestamp.is_none() {
                cluster.members.insert(name.clone(), member(name, node, vitals, now));
            }
        }
        cluster
    }

    /// The members that serve a service: all, or those it names.
    pub fn serving(&self, names: &BTreeSet<String>) -> Vec<&Member> {
        self.members.values().filter(|member| names.is_empty() || names.contains(&member.name)).collect()
    }
}

/// Notes in `codes` whose a nodeCode is; who comes first keeps it.
pub fn claim_code<'a>(codes: &mut BTreeMap<&'a str, &'a str>, node: &'a CocoaNode) -> Result<(), FieldError> {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    match codes.entry(&node.spec.node_code) {
        Entry::Vacant(free) => drop(free.insert(name)),
        Entry::Occupied(first) => {
            let why = format!("node {} has this nodeCode already: give each node its own", first.get());
            return Err(FieldError::new("spec.nodeCode", why));
        }
    }
    Ok(())
}

/// Whether a node is drained now.
pub fn is_drained(node: &CocoaNode, now: Timestamp) -> bool {
    node.spec.drain.as_ref().is_some_and(|drain| runs(drain.until.as_ref(), now))
}

/// The lines that are pinned to a node now.
pub fn pinned(node: &CocoaNode, now: Timestamp) -> BTreeSet<Line> {
    let pin = node.spec.pin.as_ref().filter(|pin| runs(pin.until.as_ref(), now));
    pin.map(|pin| pin.lines.iter().copied().collect()).unwrap_or_default()
}

fn runs(until: Option<&Time>, now: Timestamp) -> bool {
    until.is_none_or(|until| now < until.0)
}

fn member(name: String, node: &CocoaNode, vitals: &BTreeMap<String, Vital>, now: Timestamp) -> Member {
    let spec = &node.spec;
    let vital = vitals.get(&name);
    Member {
        lines: spec.isps.iter().copied().collect(),
        network: spec.network_type,
        preference: spec.preference,
        addresses: vital.map(|vital| vital.addresses.clone()).unwrap_or_default(),
        lives: vital.is_some_and(|vital| vital.pulse.lives()),
        drained: is_drained(node, now),
        pinned: pinned(node, now),
        name,
    }
}

/// When the next drain or pin ends by itself, so that the loop wakes for it.
pub fn next_expiry<'a>(nodes: impl IntoIterator<Item = &'a CocoaNode>, now: Timestamp) -> Option<Timestamp> {
    let ends = |node: &'a CocoaNode| {
        let drain = node.spec.drain.as_ref().and_then(|d| d.until.as_ref());
        let pin = node.spec.pin.as_ref().and_then(|p| p.until.as_ref());
        drain.into_iter().chain(pin).map(|t| t.0)
    };
    nodes.into_iter().flat_map(ends).filter(|end| now < *end).min()
}

impl Vital {
    /// A node as its status last told, for whoever sees the objects only.
    pub fn reported(node: &CocoaNode, now: Timestamp) -> Self {
        let status = node.status.clone().unwrap_or_default();
        let watch_dog = status.watch_dog.map(|time| time.0);
        let addresses =
            status.addresses.into_iter().map(|of| (of.family, of.values.into_iter().collect())).collect();
        Self { pulse: Pulse::resumed(status.status_code, watch_dog, now), addresses }
    }
}
