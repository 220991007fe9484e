//! Everything that a preview is computed from: nodes and services as the control plane has them now.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::api::node::CocoaNode;
use crate::api::service::ManagedService;
use crate::cli::connect::Plane;
use crate::cli::error::CliError;
use crate::domain::cluster::{Cluster, Vital};

/// Nodes and services at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// All nodes, in the order of their names.
    pub nodes: Vec<CocoaNode>,
    /// All services of all namespaces, in the order of their names.
    pub services: Vec<ManagedService>,
    /// The moment.
    pub now: Timestamp,
}

impl World {
    /// Reads both lists.
    pub async fn load(plane: &Plane) -> Result<Self, CliError> {
        let all = ListParams::default();
        let nodes: Api<CocoaNode> = Api::all(plane.client.clone());
        let services: Api<ManagedService> = match &plane.only {
            Some(namespace) => Api::namespaced(plane.client.clone(), namespace),
            None => Api::all(plane.client.clone()),
        };
        let mut nodes = plane.answer("CocoaNode", nodes.list(&all)).await?.items;
        let mut services = plane.answer("ManagedService", services.list(&all)).await?.items;
        nodes.sort_by_key(ResourceExt::name_any);
        services.sort_by_key(|service| (service.namespace(), service.name_any()));
        Ok(Self { nodes, services, now: Timestamp::now() })
    }

    /// What the nodes' status says of them.
    pub fn vitals(&self) -> BTreeMap<String, Vital> {
        self.nodes.iter().map(|node| (node.name_any(), Vital::reported(node, self.now))).collect()
    }

    /// The cluster as the planner sees it.
    pub fn cluster(&self) -> Cluster {
        Cluster::of(&self.nodes, &self.vitals(), self.now)
    }

    /// The node of this name, or the refusal that lists those there are.
    pub fn node(&self, name: &str) -> Result<&CocoaNode, CliError> {
        match self.nodes.iter().find(|node| node.name_any() == name) {
            Some(node) => Ok(node),
            None => {
                let names: Vec<String> = self.nodes.iter().map(ResourceExt::name_any).collect();
                let there =
                    if names.is_empty() { "there is none at all".to_owned() } else { names.join(", ") };
                Err(CliError::NotFound(format!("there is no CocoaNode {name}: {there}")))
            }
        }
    }
}
