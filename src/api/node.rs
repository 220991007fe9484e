//! CocoaNode: one site, the lines it answers for, and how its peers judge whether it lives.

#![allow(clippy::duplicated_attributes, reason = "columns of one type repeat it")]

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::vocab::{Family, Line, NetworkType, WorkMode};

/// A site with its own ISP. One process of this program is one node; the others are its peers.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "cocoasyncer.io",
    version = "v1alpha1",
    kind = "CocoaNode",
    plural = "cocoanodes",
    singular = "cocoanode",
    shortname = "cnode",
    category = "cocoa",
    status = "CocoaNodeStatus",
    doc = "A site with its own ISP: the lines it answers for, its public addresses, and whether it lives.",
    derive = "PartialEq",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.workMode"),
    printcolumn(name = "Lines", type_ = "string", json_path = ".status.serving"),
    printcolumn(name = "Addresses", type_ = "string", json_path = ".status.published"),
    printcolumn(name = "Status", type_ = "integer", json_path = ".status.statusCode"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.nodeAddress", priority = 1),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct CocoaNodeSpec {
    /// Friendly name shown on the badge and on pages, e.g. `Shanghai`. Best at most 11 characters.
    #[schemars(length(min = 1, max = 64))]
    pub node_name: String,
    /// Code that identifies the node among its peers; unique in the cluster and never shown on a page, e.g. `sh01`.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub node_code: String,
    /// Base URL of the node's v1 API as its peers reach it, e.g. `https://sh.example.com:44443`.
    #[schemars(length(max = 2048), regex(pattern = r"^https?://[^/?#\s]+(/[^?#\s]*)?$"))]
    pub node_address: String,
    /// `leader` (default) commands the cluster; `follower` takes its configuration.
    #[serde(default)]
    pub work_mode: WorkMode,
    /// Lines the node answers for while it lives, e.g. `[default, CT]`. Empty: none of its own; it may still take over.
    #[serde(default)]
    #[schemars(length(max = 6))]
    #[x_kube(validation = Rule::new("self.all(l, self.exists_one(m, m == l))").message("each line may stand once"))]
    pub isps: Vec<Line>,
    /// Families the node publishes: `IPV4` (default), `IPV6` or `Both`.
    #[serde(default)]
    pub network_type: NetworkType,
    /// The Secret that holds the node's shared secret. Without it the node cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// How the node's public addresses are found. Left out: a peer tells them itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<AddressSource>,
    /// When the node counts as lost and when as back.
    #[serde(default)]
    pub liveness: Liveness,
    /// Preference when lines of a lost node are handed out: higher goes first, equals share. 0 to 100, default 50.
    #[serde(default = "default_preference")]
    #[schemars(range(min = 0, max = 100))]
    pub preference: i32,
    /// Takes the node out of DNS for a while without stopping it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// Gives lines to this node for a while, whoever else holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
}

fn default_preference() -> i32 {
    50
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret's name, e.g. `shanghai`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The Secret's namespace; default `cocoasyncer-system`, where nodes' secrets lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The key in it; default `cocoaSecret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Where public addresses come from: exactly one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new(
    "(has(self.fixed) ? 1 : 0) + (has(self.echo) ? 1 : 0) + (has(self.service) ? 1 : 0) + (has(self.node) ? 1 : 0) == 1"
).message("exactly one of fixed, echo, service, node"))]
#[serde(rename_all = "camelCase")]
pub struct AddressSource {
    /// Addresses written here, e.g. `["203.0.113.10", "2001:db8::10"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // An address has at most 45 characters; API servers refuse rules over texts without a bound.
    #[schemars(length(min = 1, max = 16), inner(length(max = 45)))]
    #[x_kube(validation = Rule::new("self.all(a, a.matches('^[0-9]{1,3}([.][0-9]{1,3}){3}$') || a.contains(':'))")
        .message("each must be an IPv4 or IPv6 address"))]
    pub fixed: Option<Vec<String>>,
    /// HTTP services that answer with the asker's address; for a node that asks about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<Echo>,
    /// A Kubernetes Service whose load balancer's or external addresses are the node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ObjectRef>,
    /// A Kubernetes Node (by name) whose ExternalIP addresses are the node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub node: Option<String>,
    /// Publishes private, loopback or otherwise unroutable addresses too. Default false: they are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_private: bool,
}

/// A namespaced object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Echo services and how many must agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.agreement <= size(self.services)").message("agreement must be at most the number of services"))]
#[serde(rename_all = "camelCase")]
pub struct Echo {
    /// URLs that answer with the asker's address as text or as a JSON field `ip`; each is asked over IPv4 and IPv6 apart.
    #[schemars(length(min = 1, max = 8))]
    pub services: Vec<String>,
    /// How many services must name the same address before it is believed. Default 1.
    #[serde(default = "default_agreement")]
    #[schemars(range(min = 1, max = 8))]
    pub agreement: u32,
    /// Seconds between two rounds of asking, 5 to 86400; a failed round is repeated sooner. Default 60.
    #[serde(default = "default_echo_interval")]
    #[schemars(range(min = 5, max = 86400))]
    pub interval_seconds: u32,
}

fn default_agreement() -> u32 {
    1
}

fn default_echo_interval() -> u32 {
    60
}

/// When a node is lost and when it is back. The defaults detect a death in under 10 s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Liveness {
    /// Seconds between two beats, 1 to 300. Default 2.
    #[serde(default = "default_heartbeat")]
    #[schemars(range(min = 1, max = 300))]
    pub heartbeat_seconds: u32,
    /// Beats missed in a row until the node is lost, 1 to 100. Default 3.
    #[serde(default = "default_lost_after")]
    #[schemars(range(min = 1, max = 100))]
    pub lost_after_misses: u32,
    /// Good beats in a row until a lost node may be back, 1 to 100. Default 5.
    #[serde(default = "default_back_after")]
    #[schemars(range(min = 1, max = 100))]
    pub back_after_beats: u32,
    /// Seconds of good beats a lost node must show before it gets its lines back, 0 to 86400. Default 15.
    #[serde(default = "default_hold_down")]
    #[schemars(range(min = 0, max = 86400))]
    pub hold_down_seconds: u32,
    /// Minutes after which a peer of the old kind, which feeds only every 30 s, is lost: 1 to 1440. Default 10.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 1440))]
    pub timeout_minutes: u32,
}

fn default_heartbeat() -> u32 {
    2
}
fn default_lost_after() -> u32 {
    3
}
fn default_back_after() -> u32 {
    5
}
fn default_hold_down() -> u32 {
    15
}
fn default_timeout() -> u32 {
    10
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            heartbeat_seconds: default_heartbeat(),
            lost_after_misses: default_lost_after(),
            back_after_beats: default_back_after(),
            hold_down_seconds: default_hold_down(),
            timeout_minutes: default_timeout(),
        }
    }
}

/// A drain: the node keeps running but answers for nothing while others can.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// When the drain ends by itself (RFC 3339); left out: when somebody removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Why, for whoever reads it next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// A pin: the node answers for these lines while it lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// The lines, at least one.
    #[schemars(length(min = 1, max = 6))]
    pub lines: Vec<Line>,
    /// When the pin ends by itself (RFC 3339); left out: when somebody removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Why, for whoever reads it next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// What is known of the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CocoaNodeStatus {
    /// 200: the node lives; 504: it is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<i32>,
    /// The node's watchdog as last read, refreshed here at most every 30 s; the v1 API has it live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_dog: Option<Time>,
    /// Public addresses, a family each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<FamilyAddresses>,
    /// Lines it answers for now, its own and taken over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<ServedLine>,
    /// `lines` in short, for people: a line taken over carries a `+`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub serving: String,
    /// `addresses` in short, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub published: String,
    /// Conditions `Valid`, `Ready` and `AddressesKnown`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Addresses of one family with their origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FamilyAddresses {
    /// `A` or `AAAA`.
    pub family: Family,
    /// The addresses.
    pub values: Vec<IpAddr>,
    /// How they were learned: `fixed`, `echo`, `service`, `node` or `peer`.
    pub source: String,
    /// When this set was first learned.
    pub learned_at: Time,
}

/// A line that the node answers for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServedLine {
    /// The line.
    pub line: Line,
    /// The record type; both stand here where families have fared differently.
    pub family: Family,
    /// Whether the line belongs to another node that can't answer now.
    pub taken_over: bool,
    /// Since when this node answers for it.
    pub since: Time,
}
