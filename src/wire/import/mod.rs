//! A leader's push, judged against what this node has: a plan of objects to write and to remove, or a refusal that
//! names the field. PURE; whoever carries the plan out writes Secrets, nodes, services, then removes.
//!
//! Only `otherCocoaSyncer`, `cocoaManagedService` and `cloudPlatformInfo` are taken. A node's `statusCode` and
//! `watchDog` never are: they are this node's own readings. Of itself this node keeps `workMode`, `addresses` and
//! `secretRef`. Objects without the leader's mark are never removed.

mod accounts;
mod names;
mod nodes;
mod services;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::api::node::CocoaNode;
use crate::api::service::{ManagedService, ManagedServiceSpec};
use crate::api::{ORIGIN_LABEL, ORIGIN_LEADER};
use crate::domain::marks::OwnerId;
use crate::domain::names::{FieldError, ObjectId};
use crate::domain::secret::Secret;
use crate::wire::cluster::CocoaBasic;

/// Field manager of everything that a push writes.
pub const FIELD_MANAGER: &str = "cocoasyncer/leader-push";

/// What this node has before the push.
pub struct Existing<'a> {
    /// Namespace of what a push doesn't place itself.
    pub system: &'a str,
    /// Object name of this node.
    pub me: &'a str,
    /// All CocoaNodes.
    pub nodes: &'a [CocoaNode],
    /// All ManagedServices.
    pub services: &'a [ManagedService],
    /// Secrets with the leader's mark or a platform's label.
    pub secrets: &'a [SecretObject],
    /// The last push that was taken.
    pub taken: Option<&'a Taken>,
    /// Who marks its records; none: not known yet.
    pub owner: Option<&'a OwnerId>,
}

/// Which push was taken last, so that an older one never undoes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The leader's nodeCode.
    pub leader: String,
    /// When that leader was set up: one that was set up anew counts from the start again.
    pub created_at: Timestamp,
    /// The push's generation.
    pub generation: u64,
}

/// What is to be written and removed. Empty where all is as the leader wishes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// To be remembered once the plan begins; `None`: a leader of the old kind, which does not count.
    pub taken: Option<Taken>,
    /// Who marks the records from now on; `None`: as it is, or the leader tells none.
    pub owner: Option<OwnerId>,
    /// Namespaces that must be there.
    pub namespaces: BTreeSet<String>,
    /// Secrets to write.
    pub secrets: Vec<SecretWrite>,
    /// Nodes to write.
    pub nodes: Vec<NodeWrite>,
    /// Services to write.
    pub services: Vec<ServiceWrite>,
    /// Objects with the leader's mark that the push no longer has.
    pub deletions: Vec<Deletion>,
    /// Whether the leader is of our kind: then its guard on mass changes has judged what it no longer has.
    pub judged: bool,
}

/// A Secret to write, with the leader's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretWrite {
    /// Which.
    pub id: ObjectId,
    /// Its labels, the mark included.
    pub labels: BTreeMap<String, String>,
    /// Its data.
    pub data: BTreeMap<String, Secret>,
}

/// A CocoaNode to write.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeWrite {
    /// Which.
    pub name: String,
    /// Whether it gets the leader's mark; this node itself does not.
    pub marked: bool,
    /// The fields of the spec that the leader commands.
    pub spec: Value,
}

/// A ManagedService to write, with the leader's mark.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceWrite {
    /// Which.
    pub id: ObjectId,
    /// Its spec.
    pub spec: ManagedServiceSpec,
    /// The digest of the held plan that the leader's owner released; empty where none was.
    pub release: String,
    /// Whether records of somebody else may be taken over, as the leader's owner says; none where nothing is said.
    pub adopt: Option<bool>,
}

/// An object to remove.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deletion {
    /// A ManagedService.
    Service(ObjectId),
    /// A CocoaNode.
    Node(String),
    /// A Secret.
    Secret(ObjectId),
}

impl Plan {
    /// Whether nothing is to be written or removed.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
            && self.owner.is_none()
            && self.nodes.is_empty()
            && self.services.is_empty()
            && self.deletions.is_empty()
    }
}

/// Judges a push. A refusal means that nothing may change.
pub fn plan(push: &CocoaBasic, existing: &Existing<'_>) -> Result<Plan, FieldError> {
    let taken = fresh(push, existing.taken)?;
    let owner = owner(push)?.filter(|owner| existing.owner != Some(owner));
    let nodes = nodes::plan(push, existing)?;
    let services = services::plan(push, existing, &nodes.names)?;
    let accounts = accounts::plan(push, existing)?;
    let mut kept = accounts.kept;
    kept.extend(nodes.kept_secrets);
    let mut plan = Plan { taken, owner, nodes: nodes.writes, services: services.writes, ..Plan::default() };
    plan.judged = push.operator.is_some();
    plan.secrets = nodes.secrets.into_iter().chain(accounts.writes).collect();
    plan.secrets.retain(|write| !stands(write, existing.secrets));
    plan.namespaces.extend(plan.secrets.iter().map(|write| write.id.namespace.clone()));
    plan.namespaces.extend(plan.services.iter().map(|write| write.id.namespace.clone()));
    plan.deletions.extend(services.removed.into_iter().map(Deletion::Service));
    plan.deletions.extend(nodes.removed.into_iter().map(Deletion::Node));
    let gone = existing.secrets.iter().filter(|secret| marked(secret.metadata.labels.as_ref()));
    let gone = gone.map(secret_id).filter(|id| !kept.contains(id));
    plan.deletions.extend(gone.map(Deletion::Secret));
    Ok(plan)
}

/// Refuses a push that is older than the one taken last.
fn fresh(push: &CocoaBasic, last: Option<&Taken>) -> Result<Option<Taken>, FieldError> {
    let Some(operator) = &push.operator else { return Ok(None) };
    let created_at = push.created_at.unwrap_or(Timestamp::UNIX_EPOCH);
    let now = Taken { leader: push.node_code.clone(), created_at, generation: operator.generation };
    match last {
        Some(last) if last.leader == now.leader => {
            let order = (now.created_at, now.generation).cmp(&(last.created_at, last.generation));
            if order.is_lt() {
                let why = format!(
                    "{} is older than {}, which was taken already: nothing was changed",
                    now.generation, last.generation
                );
                return Err(FieldError::new("cocoaBasic.operator.generation", why));
            }
            Ok(Some(now))
        }
        _ => Ok(Some(now)),
    }
}

/// Who marks records, as the leader tells it: older ones and those of the old kind tell nobody.
fn owner(push: &CocoaBasic) -> Result<Option<OwnerId>, FieldError> {
    let told = push.operator.as_ref().map(|operator| operator.owner.as_str()).unwrap_or_default();
    match told {
        "" => Ok(None),
        told => OwnerId::parse(told, "cocoaBasic.operator.owner").map(Some),
    }
}

fn marked(labels: Option<&BTreeMap<String, String>>) -> bool {
    labels.and_then(|labels| labels.get(ORIGIN_LABEL)).is_some_and(|origin| origin == ORIGIN_LEADER)
}

fn leaders_mark() -> BTreeMap<String, String> {
    BTreeMap::from([(ORIGIN_LABEL.to_owned(), ORIGIN_LEADER.to_owned())])
}

fn secret_id(secret: &SecretObject) -> ObjectId {
    ObjectId {
        namespace: secret.metadata.namespace.clone().unwrap_or_default(),
        name: secret.metadata.name.clone().unwrap_or_default(),
    }
}

/// Whether applying `spec` would change the object: a field of it says something else there, or a field there that an
/// earlier push set is no longer in it. Fields that somebody here set beside the leader's stay, and make no write.
fn differs(spec: &Value, there: &Value, meta: &ObjectMeta) -> bool {
    let members = |of: &'_ Value| of.as_object().cloned().unwrap_or_default();
    let (spec, there) = (members(spec), members(there));
    let ours = |field: &String| {
        let entries = meta.managed_fields.iter().flatten();
        let mut fields = entries.filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER));
        fields.any(|entry| {
            let set = entry.fields_v1.as_ref().map(|fields| &fields.0["f:spec"]);
            set.is_some_and(|set| set.get(format!("f:{field}")).is_some())
        })
    };
    spec.iter().any(|(field, value)| there.get(field) != Some(value))
        || there.keys().any(|field| !spec.contains_key(field) && ours(field))
}

/// Whether a Secret stands as it is wished, so that nothing need be written.
fn stands(write: &SecretWrite, existing: &[SecretObject]) -> bool {
    let Some(found) = existing.iter().find(|secret| secret_id(secret) == write.id) else { return false };
    let labels = found.metadata.labels.as_ref();
    let labelled = write.labels.iter().all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value));
    let data = found.data.as_ref();
    labelled
        && data.map_or(0, BTreeMap::len) == write.data.len()
        && write.data.iter().all(|(key, value)| {
            let stored = data.and_then(|data| data.get(key)).and_then(|b| std::str::from_utf8(&b.0).ok());
            stored.is_some_and(|stored| *value == Secret::new(stored))
        })
}

#[cfg(test)]
mod tests;
