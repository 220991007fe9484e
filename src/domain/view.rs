//! The cluster as this node knows it, as one immutable value: what the v1 API, the pages and the metrics are rendered
//! from. It may hold secrets, so what renders it decides field by field.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::node::CocoaNodeSpec;
use crate::api::service::ManagedServiceSpec;
use crate::api::vocab::{Family, Line, PlatformProvider};
use crate::domain::cluster::Addresses;
use crate::domain::liveness::Pulse;
use crate::domain::marks::OwnerId;
use crate::domain::names::ObjectId;
use crate::domain::secret::Secret;

/// This node's knowledge at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// Object name of this node.
    pub me: String,
    /// Port of the v1 API.
    pub api_port: u16,
    /// Whether a reverse proxy stands in front, as configured.
    pub reverse_proxy: bool,
    /// When this node was first set up.
    pub created_at: Timestamp,
    /// When the configuration last changed.
    pub updated_at: Timestamp,
    /// Rises with every change of the configuration; an old push never undoes a newer one.
    pub generation: u64,
    /// Who marks its records at shared DNS providers; none: not known yet.
    pub owner: Option<OwnerId>,
    /// All nodes, this one too, in the order of their names.
    pub nodes: Vec<NodeView>,
    /// Every line that somebody claims, and `default`.
    pub lines: Vec<LineView>,
    /// All services, in the order of their names; shared, since a beat changes none.
    pub services: Arc<Vec<ServiceView>>,
    /// Platform accounts.
    pub accounts: Vec<AccountView>,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeView {
    /// Object name.
    pub object: String,
    /// What was wished.
    pub spec: CocoaNodeSpec,
    /// Its shared secret; empty where it is not known.
    pub secret: Secret,
    /// Whether it lives.
    pub pulse: Pulse,
    /// Its public addresses.
    pub addresses: Addresses,
    /// Lines it answers for now; true: taken over.
    pub serving: Vec<(Line, bool)>,
}

impl Eq for NodeView {}

/// One line, for addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineView {
    /// The line.
    pub line: Line,
    /// The family.
    pub family: Family,
    /// Who answers for it; none where nobody can.
    pub node: Option<String>,
    /// Since when it does so in place of the owners, who can't.
    pub taken_over: Option<Timestamp>,
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceView {
    /// The object.
    pub id: ObjectId,
    /// What was wished.
    pub spec: ManagedServiceSpec,
    /// Who answers for which line, in short.
    pub lines: String,
    /// The digest of the held plan that its owner released.
    pub release: Option<String>,
    /// Whether records of somebody else under its name may be taken over.
    pub adopt: bool,
    /// Whether it is as wished, and the reason's word.
    pub ready: Option<(bool, String)>,
}

impl Eq for ServiceView {}

/// One platform account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountView {
    /// The Secret it lies in.
    pub id: ObjectId,
    /// Whose account.
    pub provider: PlatformProvider,
    /// The key's id.
    pub access_key: Secret,
    /// The key's secret.
    pub access_secret: Secret,
    /// What else lies in the Secret: other lines' keys, the server and the like.
    pub data: BTreeMap<String, Secret>,
}

impl ClusterView {
    /// This node.
    pub fn own(&self) -> Option<&NodeView> {
        self.nodes.iter().find(|node| node.object == self.me)
    }

    /// How many nodes live.
    pub fn live(&self) -> usize {
        self.nodes.iter().filter(|node| node.pulse.lives()).count()
    }
}
