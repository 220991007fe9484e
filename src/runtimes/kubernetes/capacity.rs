//! What the cluster has left: what the roomiest node can still promise.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::domain::app::observed::Capacity;
use crate::runtimes::RuntimeError;
use crate::runtimes::kubernetes::KubernetesRuntime;
use crate::runtimes::kubernetes::failure::plainly;

/// Nothing is known: what can't be told refuses nobody, and the scheduler says so if it doesn't fit.
const UNKNOWN: Capacity = Capacity { cores: f64::INFINITY, memory: f64::INFINITY, disk: f64::INFINITY };
const GIB: f64 = (1u64 << 30) as f64;
/// Objects in one answer of a list.
const PAGE: u32 = 500;

impl KubernetesRuntime {
    /// What the roomiest node has left by its pods' requests; unknown to who may not look. Disks come from a storage class,
    /// which nobody can ask.
    pub(super) async fn room(&self) -> Result<Capacity, RuntimeError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let nodes = match nodes.list(&ListParams::default()).await {
            Ok(nodes) => nodes.items,
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(UNKNOWN),
            Err(error) => return Err(plainly("list nodes")(error)),
        };
        let used = match self.used().await {
            Ok(used) => used,
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(UNKNOWN),
            Err(error) => return Err(plainly("list pods")(error)),
        };
        Ok(left(&nodes, &used))
    }

    /// What pods have requested, by page: a cluster's pods are many, and only two numbers of each count.
    async fn used(&self) -> Result<Used, kube::Error> {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let running = "status.phase!=Succeeded,status.phase!=Failed";
        let (mut params, mut used) = (ListParams::default().fields(running).limit(PAGE), Used::new());
        loop {
            let page = pods.list(&params).await?;
            page.items.iter().for_each(|pod| add(&mut used, pod));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(used),
            }
        }
    }
}

/// Cores and bytes by node.
type Used = BTreeMap<String, (f64, f64)>;

fn add(used: &mut Used, pod: &Pod) {
    let Some(spec) = &pod.spec else { return };
    let Some(node) = spec.node_name.as_deref() else { return };
    let of = |key: &str| -> f64 {
        let requests =
            spec.containers.iter().filter_map(|c| c.resources.as_ref()?.requests.as_ref()?.get(key));
        requests.filter_map(number).sum()
    };
    let entry = used.entry(node.to_owned()).or_default();
    *entry = (entry.0 + of("cpu"), entry.1 + of("memory"));
}

fn left(nodes: &[Node], used: &Used) -> Capacity {
    let usable = |node: &&Node| {
        let ready =
            node.status.iter().flat_map(|s| s.conditions.iter().flatten()).find(|c| c.type_ == "Ready");
        ready.is_none_or(|ready| ready.status == "True")
            && node.spec.as_ref().is_none_or(|spec| spec.unschedulable != Some(true))
    };
    let room = |node: &Node| {
        let has = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let of = |key: &str| has.and_then(|has| number(has.get(key)?)).unwrap_or_default();
        let (cpu, memory) = used.get(node.name_any().as_str()).copied().unwrap_or_default();
        let (cores, memory) = ((of("cpu") - cpu).max(0.0), (of("memory") - memory).max(0.0) / GIB);
        Capacity { cores, memory, disk: f64::INFINITY }
    };
    if nodes.is_empty() {
        // A cluster whose nodes come when they are needed.
        return UNKNOWN;
    }
    let nothing = Capacity { cores: 0.0, memory: 0.0, disk: f64::INFINITY };
    let rooms = nodes.iter().filter(usable).map(room);
    rooms.max_by(|a, b| a.memory.total_cmp(&b.memory)).unwrap_or(nothing)
}

/// A quantity as a number: `500m`, `2`, `16Gi`, `1e3`.
fn number(quantity: &Quantity) -> Option<f64> {
    const UNITS: &[(&str, f64)] = &[
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", GIB),
        ("Ti", GIB * 1024.0),
        ("Pi", GIB * 1_048_576.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    let text = quantity.0.trim();
    let unit = UNITS.iter().find_map(|(unit, by)| Some((text.strip_suffix(unit)?, *by)));
    let (digits, by) = unit.unwrap_or((text, 1.0));
    digits.parse::<f64>().ok().map(|number| number * by)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read() {
        for (text, expect) in [
            ("500m", 0.5),
            ("2", 2.0),
            ("16Gi", 16.0 * GIB),
            ("1e3", 1000.0),
            ("7950912Ki", 7950912.0 * 1024.0),
        ] {
            assert_eq!(number(&Quantity(text.into())), Some(expect), "{text}");
        }
        assert_eq!(number(&Quantity("much".into())), None);
    }

    #[test]
    fn the_roomiest_usable_node_counts_and_requests_are_taken_off() {
        let node = |name: &str, memory: &str, cordoned: bool| -> Node {
            serde_json::from_value(
                json!({ "metadata": { "name": name }, "spec": { "unschedulable": cordoned },
                "status": { "allocatable": { "cpu": "4", "memory": memory } } }),
            )
            .unwrap()
        };
        let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": { "nodeName": "b",
            "containers": [{ "name": "c", "resources": { "requests": { "cpu": "500m", "memory": "6Gi" } } }] } }))
        .unwrap();
        let nodes = [node("a", "4Gi", false), node("b", "8Gi", false), node("c", "64Gi", true)];
        let mut used = Used::new();
        add(&mut used, &pod);
        let left = left(&nodes, &used);
        assert_eq!((left.cores, left.memory), (4.0, 4.0));
        assert!(super::left(&[], &used).memory.is_infinite());
        assert_eq!(super::left(&[node("c", "64Gi", true)], &used).memory, 0.0);
    }
}
