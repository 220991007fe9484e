//! The v1 cluster API's documents, spelt as the published document spells them. What nodes of our kind tell each other
//! beyond it stands in members named `operator`, which the old program passes over.
//!
//! A document may hold secrets: they are [`Secret`] here, so they show in no debug output, and are written in clear only
//! by serialising the document.

mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::cluster::Addresses;
use crate::domain::secret::Secret;

/// What stands where a credential is not shown.
pub const MASK: &str = "***";
/// Most nodes in a document.
pub const MAX_NODES: usize = 1024;
/// Most services in a document.
pub const MAX_SERVICES: usize = 20_000;
/// Most platform accounts in a document.
pub const MAX_PLATFORMS: usize = 128;
/// Most further keys of a platform account.
pub const MAX_ACCOUNT_DATA: usize = 32;
/// What a node that answers for nothing has in `ISPs`.
pub const NO_LINE: &str = "None";

/// How a call ended, as the contract numbers it; HTTP says 200 for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 200: done.
    Done,
    /// 201: a follower that is in no cluster yet.
    Fresh,
    /// 401: the secret is wrong or missing.
    Unauthorized,
    /// 405: this node may not do that, or not as it was asked (then `error` names the field).
    NotAllowed,
}

impl Outcome {
    /// The `statusCode`.
    pub const fn code(self) -> i32 {
        match self {
            Outcome::Done => 200,
            Outcome::Fresh => 201,
            Outcome::Unauthorized => 401,
            Outcome::NotAllowed => 405,
        }
    }

    /// The `statusString`.
    pub const fn text(self) -> &'static str {
        match self {
            Outcome::Done => "MafuMafu~",
            Outcome::Fresh => "Mafu?",
            Outcome::Unauthorized => "Unauthorized! You are not Cocoa!",
            Outcome::NotAllowed => {
                "Not Allowed! Cocoa is soooo kawaii, Do you still sure you really want to eat Cocoa???"
            }
        }
    }
}

/// An answer without a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The outcome's number.
    pub status_code: i32,
    /// The outcome's words.
    pub status_string: String,
    /// What must be mended, beginning with the field's name; absent where nothing must.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Empty: stands in answers of `getClusterInfo` only, so that clients find the member they look for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cocoa_basic: Option<Nothing>,
}

/// An object without members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Nothing {}

impl Envelope {
    /// The answer to an outcome.
    pub fn of(outcome: Outcome) -> Self {
        Self {
            status_code: outcome.code(),
            status_string: outcome.text().to_owned(),
            error: None,
            cocoa_basic: None,
        }
    }

    /// The same with what must be mended.
    pub fn because(self, error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..self }
    }

    /// The same with an empty document.
    pub fn with_nothing(self) -> Self {
        Self { cocoa_basic: Some(Nothing {}), ..self }
    }
}

/// An answer of `getClusterInfo`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The outcome's number.
    pub status_code: i32,
    /// The outcome's words.
    pub status_string: String,
    /// The document.
    pub cocoa_basic: CocoaBasic,
}

/// A node's whole knowledge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CocoaBasic {
    /// Port of its v1 API.
    pub api_port: u16,
    /// Friendly name.
    pub node_name: String,
    /// Code among its peers.
    pub node_code: String,
    /// Base URL of its v1 API.
    pub node_address: String,
    /// `leader` or `follower`.
    pub work_mode: String,
    /// Its shared secret.
    #[schema(value_type = String)]
    #[serde(serialize_with = "in_clear")]
    pub cocoa_secret: Secret,
    /// Whether a reverse proxy stands in front.
    pub reverse_proxy: bool,
    /// All nodes, this one too.
    pub other_cocoa_syncer: Vec<NodeInfo>,
    /// All services.
    pub cocoa_managed_service: Vec<Service>,
    /// All platform accounts.
    pub cloud_platform_info: Vec<Platform>,
    /// Minutes after which a silent node is lost.
    pub timeout: u32,
    /// Kind of database.
    #[serde(rename = "DataBaseType")]
    pub database_type: String,
    /// Where the database is, with its password.
    #[schema(value_type = String)]
    #[serde(rename = "Dsn", serialize_with = "in_clear")]
    pub dsn: Secret,
    /// When the node was set up.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "with_offset")]
    pub created_at: Option<Timestamp>,
    /// When its configuration last changed.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "with_offset")]
    pub updated_at: Option<Timestamp>,
    /// Whether it has a configuration.
    pub config_imported: bool,
    /// What nodes of our kind add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<BasicExtension>,
}

/// What nodes of our kind add to [`CocoaBasic`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicExtension {
    /// Version of the program.
    pub version: String,
    /// Rises with every change of the configuration.
    pub generation: u64,
    /// Who marks the installation's records at shared DNS providers; empty: not told.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
}

/// One node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeInfo {
    /// Friendly name.
    pub node_name: String,
    /// Code among its peers.
    pub node_code: String,
    /// Base URL of its v1 API.
    pub node_address: String,
    /// `leader` or `follower`.
    pub work_mode: String,
    /// Its shared secret.
    #[schema(value_type = String)]
    #[serde(serialize_with = "in_clear")]
    pub cocoa_secret: Secret,
    /// Lines it answers for while it lives.
    #[serde(rename = "ISPs")]
    pub isps: Vec<String>,
    /// `IPV4`, `IPV6` or `Both`.
    pub network_type: String,
    /// 200 or 504.
    pub status_code: i32,
    /// When it last fed its watchdog.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "with_offset")]
    pub watch_dog: Option<Timestamp>,
    /// Services it serves; nodes that serve the same share them: in a large cluster that is most, and all.
    #[schema(value_type = Vec<Service>)]
    #[serde(serialize_with = "shared")]
    pub cocoa_managed_service: Arc<Vec<Service>>,
    /// What nodes of our kind add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<NodeExtension>,
}

fn shared<S: serde::Serializer>(services: &Arc<Vec<Service>>, to: S) -> Result<S::Ok, S::Error> {
    services.as_slice().serialize(to)
}

/// What nodes of our kind add to [`NodeInfo`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeExtension {
    /// Object name of the CocoaNode.
    pub object: String,
    /// Public addresses known now.
    #[schema(value_type = Object)]
    pub public_addresses: Addresses,
    /// Seconds between two beats; 0 where it is not told.
    pub heartbeat_seconds: u32,
    /// The CocoaNode's spec without `secretRef` and `addresses`.
    #[schema(value_type = Object)]
    #[serde(skip_serializing_if = "Value::is_null")]
    pub spec: Value,
}

/// One service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Friendly name.
    pub service_name: String,
    /// The zone.
    pub domain: String,
    /// The name within the zone.
    pub record: String,
    /// Where the records live.
    pub platform_provider: String,
    /// What nodes of our kind add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<ServiceExtension>,
}

/// What nodes of our kind add to [`Service`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct ServiceExtension {
    /// Namespace of the ManagedService.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its spec.
    #[schema(value_type = Object)]
    #[serde(skip_serializing_if = "Value::is_null")]
    pub spec: Value,
    /// The digest of the held plan that its owner released; empty where none was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub release: String,
    /// Whether records of somebody else under its name may be taken over; left out where not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub adopt: bool,
}

/// One platform account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Platform {
    /// Whose account.
    pub platform_provider: String,
    /// The key's id.
    #[schema(value_type = String)]
    #[serde(serialize_with = "in_clear")]
    pub access_key: Secret,
    /// The key's secret.
    #[schema(value_type = String)]
    #[serde(serialize_with = "in_clear")]
    pub access_secret: Secret,
    /// What nodes of our kind add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<PlatformExtension>,
}

/// What nodes of our kind add to [`Platform`]: the Secret that holds the account, because services may name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlatformExtension {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What lies in it beside the two keys of the document.
    #[schema(value_type = Object)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "all_in_clear")]
    pub data: BTreeMap<String, Secret>,
}

/// What a request begins with, read without taking the rest of it apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Glance {
    cocoa_secret: String,
    #[serde(default)]
    beat_only: bool,
}

/// A request to either route.
pub struct Request {
    /// The secret that was offered; empty where there is none.
    pub secret: Secret,
    /// Whether a peer of our kind asks for this node alone.
    pub beat_only: bool,
    body: Value,
}

fn in_clear<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose())
}

fn all_in_clear<S: Serializer>(data: &BTreeMap<String, Secret>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(data.iter().map(|(key, value)| (key, value.expose())))
}

fn with_offset<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.collect_str(&time.display_with_offset(Offset::UTC)),
        None => to.serialize_str("0001-01-01T00:00:00+00:00"),
    }
}

#[cfg(test)]
mod tests;
