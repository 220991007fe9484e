//! ManagedService: one name in a zone, answered per line by the nodes that live.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::api::vocab::{DeletionPolicy, Family, Line, PlatformProvider};

/// A name that resolves, per line, to a node's public address.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "cocoasyncer.io",
    version = "v1alpha1",
    kind = "ManagedService",
    plural = "managedservices",
    singular = "managedservice",
    shortname = "mservice",
    shortname = "msvc",
    category = "cocoa",
    namespaced,
    status = "ManagedServiceStatus",
    doc = "A name that resolves, per ISP line, to the public address of a site that lives.",
    derive = "PartialEq",
    validation = Rule::new("self.spec.record == '@' || (self.spec.record + '.' + self.spec.domain).size() <= 253")
        .message("record and domain together must have at most 253 characters"),
    printcolumn(name = "FQDN", type_ = "string", json_path = ".status.fqdn"),
    printcolumn(name = "Lines", type_ = "string", json_path = ".status.lines"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.platformProvider", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct ManagedServiceSpec {
    /// Friendly name, e.g. `Blog`.
    #[schemars(length(min = 1, max = 128))]
    pub service_name: String,
    /// The zone, e.g. `example.com`. Can't be changed: delete and create instead.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("domain is immutable: delete this service and create another"),
        validation = Rule::new("self.matches('^([^.\\\\s/@*]+[.])+[^.\\\\s/@*]+$') && self.split('.').all(l, l.size() <= 63)").message("domain must be a zone's name without a trailing dot, e.g. example.com")
    )]
    pub domain: String,
    /// The name within the zone: `www`, `a.b`, `@` for the zone itself, `*` or `*.a` for a wildcard. Can't be changed.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("record is immutable: delete this service and create another"),
        validation = Rule::new("self == '@' || (self.matches('^([*]|[^.\\\\s/@*]+)([.][^.\\\\s/@*]+)*$') && self.split('.').all(l, l.size() <= 63))").message("record must be @, *, or labels without leading or trailing dots")
    )]
    pub record: String,
    /// Where the records live: `Local` (default), the DNS server inside every node; or a cloud's.
    #[serde(default)]
    pub platform_provider: PlatformProvider,
    /// The Secret (same namespace) with the platform's account; left out: the account labelled for the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<AccountRef>,
    /// Seconds that resolvers may keep an answer, 1 to 86400. Default 60.
    #[serde(default = "default_ttl")]
    #[schemars(range(min = 1, max = 86400))]
    pub ttl: u32,
    /// The CocoaNodes that serve it, by object name. Left out or empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    // An object's name has at most 253 characters; API servers refuse rules over texts without a bound.
    #[schemars(length(max = 64), inner(length(max = 253)))]
    #[x_kube(validation = Rule::new("self.all(n, self.exists_one(m, m == n))").message("each node may stand once"))]
    pub nodes: Vec<String>,
    /// Weights 1 to 100 of CocoaNodes, by object name. Where several of these nodes own a line (`spec.isps`), all that can
    /// answer do so together, each in the proportion of its weight; one that is lost, drained or without an address drops
    /// out until it is back, and a pinned line is its node's alone. Lines that fewer than two of them own, and services
    /// without weights, have one node a line. Where the provider can't weigh (`Local`, `RFC2136`) all addresses are in
    /// each answer and resolvers pick: equal shares.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "weights_schema")]
    pub weights: BTreeMap<String, u8>,
    /// `Delete` (default) removes the records with this object; `Retain` leaves them.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn weights_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "integer", "format": "int32", "minimum": 1, "maximum": 100 },
    })
}

fn default_ttl() -> u32 {
    60
}

/// A platform account's Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountRef {
    /// The Secret's name, in the service's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What is known of the name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedServiceStatus {
    /// The full name, without a trailing dot.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fqdn: String,
    /// Who answers for which line, for people: `default,CT=shanghai CU=tokyo+` (`+`: taken over).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lines: String,
    /// Every record as it stands at the provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["line".into(), "type".into()]))]
    pub records: Vec<RecordStatus>,
    /// Record sets whose creation has begun at a provider that can't create and mark at once: one that is found there
    /// unmarked, with these values, is a half of ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["line".into(), "type".into()]))]
    pub begun: Vec<BegunRecord>,
    /// Conditions `Valid`, `Ready` and `RecordsHeld`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// One record set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordStatus {
    /// The line it answers.
    pub line: Line,
    /// `A` or `AAAA`.
    #[serde(rename = "type")]
    pub family: Family,
    /// Its values.
    pub values: Vec<String>,
    /// Seconds it may be kept.
    pub ttl: u32,
    /// The CocoaNode whose addresses these are; empty where nobody living could be named.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Whether the line is another node's, taken over.
    pub taken_over: bool,
    /// Where several owners share the line: the weights of all of them, also of those that can't answer now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "weights_schema")]
    pub weights: BTreeMap<String, u8>,
    /// Since when these values stand.
    pub since: Time,
}

/// A record set whose creation has begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BegunRecord {
    /// The line it is to answer.
    pub line: Line,
    /// `A` or `AAAA`.
    #[serde(rename = "type")]
    pub family: Family,
    /// The values to be put there.
    pub values: Vec<String>,
}
