//! An instance as Kubernetes objects. Pure and deterministic: the same instance and options give the same objects in the
//! same order, so that a digest tells whether what stands is what would be rendered now.
//!
//! Each service becomes a Deployment, or a Job where it ends by itself; those that join another's network share its pod.
//! A service with volumes is a Deployment with strategy `Recreate` and no StatefulSet: a StatefulSet names its pods
//! itself, and the pod's `hostname` is what makes a bare service name resolve (see [`network`]); its claims would be
//! called by its own rule, where kept data must be found again by ours; and its claims can't be shared by two services.
//! Two pods on one volume are kept apart as well by `Recreate`.
//!
//! What Docker does and a cluster doesn't: the image's own files at a volume's mount point are not copied into the volume,
//! and a container's files don't outlive a stop.

pub mod names;
pub mod network;
pub mod files;
pub mod volumes;
pub mod probes;
pub mod security;
pub mod container;
pub mod pod;
pub mod gate;
pub mod drift;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use crate::api::{APP_LABEL, APP_NAMESPACE_LABEL, APP_UID_LABEL, DIGEST_LABEL, GROUP, VERSION};
use crate::domain::app::instance::Instance;
use crate::domain::app::workload::Service;

/// Label on pods and what makes them: which workload of the App.
pub const WORKLOAD_LABEL: &str = "cocoasyncer.io/app-workload";
/// Label on pods that must run on one node, since they share volumes: which of the App's sets.
pub const TOGETHER_LABEL: &str = "cocoasyncer.io/app-together";
/// Annotation on a claim: the volume's name in the template.
pub const VOLUME_ANNOTATION: &str = "cocoasyncer.io/app-volume";
/// Annotation on pods: the services of its containers, `container=service` with commas between.
pub const SERVICES_ANNOTATION: &str = "cocoasyncer.io/app-services";
/// Annotation on pods: since when its owner wants it to have been started.
pub const RESTARTED_ANNOTATION: &str = "cocoasyncer.io/restarted-at";
/// Annotation on pods: a digest of the files and values that they read, so that a change starts them anew.
pub const CONFIG_ANNOTATION: &str = "cocoasyncer.io/config-digest";

/// How a cluster wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// The cluster's DNS server. Where it is known, an application's own names go before those of its namespace.
    pub dns_server: Option<IpAddr>,
    /// The class of claims; none: the cluster's own.
    pub storage_class: Option<String>,
    /// GiB of a claim where the template asks for no disk.
    pub volume_gib: u32,
    /// How published ports are published.
    pub exposure: Exposure,
    /// The class of the Ingress for a domain; none: the cluster's own.
    pub ingress_class: Option<String>,
    /// Annotations of the Ingress or HTTPRoute.
    pub route_annotations: BTreeMap<String, String>,
    /// The Gateway that routes a domain; none: an Ingress is made.
    pub gateway: Option<Gateway>,
    /// Secrets in the App's namespace with credentials of registries, beside the App's own.
    pub pull_secrets: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cluster_domain: "cluster.local".into(),
            dns_server: None,
            storage_class: None,
            volume_gib: 1,
            exposure: Exposure::default(),
            ingress_class: None,
            route_annotations: BTreeMap::new(),
            gateway: None,
            pull_secrets: Vec::new(),
        }
    }
}

/// How published ports are published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Exposure {
    /// Within the cluster only.
    #[default]
    Cluster,
    /// On a port of every node, which the cluster chooses.
    Node,
    /// By the cloud's load balancer.
    LoadBalancer,
}

/// A Gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its listener; none: all that fit.
    pub section: Option<String>,
}

/// The levels of the Pod Security Standards, the strictest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Hardened.
    #[default]
    Restricted,
    /// Without known ways up.
    Baseline,
    /// Unrestricted.
    Privileged,
}

impl Level {
    /// Its name in the label `pod-security.kubernetes.io/enforce`.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Restricted => "restricted",
            Level::Baseline => "baseline",
            Level::Privileged => "privileged",
        }
    }
}

/// Services that share a pod, and what makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The name of the Deployment or Job.
    pub name: String,
    /// Whether it is a Job.
    pub job: bool,
    /// Its services with the names of their containers, the one whose network they share first.
    pub services: Vec<(String, String)>,
}

/// What would be applied.
#[derive(Clone, Default)]
pub struct Rendered {
    /// The objects, in the order in which they are applied; each carries a digest of itself.
    pub objects: Vec<Value>,
    /// What isn't as the template's author meant: where, and in which words.
    pub degraded: Vec<(String, String)>,
    /// The least strict level that all pods pass.
    pub level: Level,
    /// What makes pods.
    pub groups: Vec<Group>,
    /// Names that siblings use and that a foreign Service in the namespace would take from them.
    pub bare: BTreeSet<String>,
    /// Every name under which a sibling is found, with the group that answers.
    pub found: BTreeMap<String, String>,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered").field("objects", &self.objects.len()).field("level", &self.level).finish()
    }
}

/// What the parts of a rendering share.
pub(crate) struct Draft<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) options: &'a Options,
    pub(crate) names: names::Names,
    pub(crate) degraded: Vec<(String, String)>,
    pub(crate) objects: Vec<Value>,
}

impl<'a> Draft<'a> {
    /// Says what is not as the author meant, once.
    pub(crate) fn degrade(&mut self, place: impl Into<String>, words: impl Into<String>) {
        let said = (place.into(), words.into());
        if !self.degraded.contains(&said) {
            self.degraded.push(said);
        }
    }

    /// An object of the App, not digested yet.
    pub(crate) fn object(&self, api: &str, kind: &str, name: &str, body: Value) -> Value {
        let mut object = json!({
            "apiVersion": api,
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": self.instance.key.namespace,
                "labels": self.labels(),
                "ownerReferences": [{
                    "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "App",
                    "name": self.instance.key.name, "uid": self.instance.uid,
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
        });
        merge(&mut object, body);
        object
    }

    /// The labels by which an object is known as the App's.
    pub(crate) fn labels(&self) -> Value {
        json!({
            APP_LABEL: self.instance.key.name,
            APP_NAMESPACE_LABEL: self.instance.key.namespace,
            APP_UID_LABEL: self.instance.uid,
            "app.kubernetes.io/managed-by": "cocoasyncer",
            "app.kubernetes.io/name": names::label_value(&self.instance.app_name),
            "app.kubernetes.io/instance": self.instance.key.name,
        })
    }

    /// What selects the pods of a group.
    pub(crate) fn selector(&self, group: &str) -> Value {
        json!({ APP_UID_LABEL: self.instance.uid, WORKLOAD_LABEL: group })
    }
}

/// Renders. What a cluster can't do at all is refused by the verdict before; what is left of it here is degraded.
pub fn render(instance: &Instance, options: &Options) -> Rendered {
    let names = names::Names::of(instance);
    let groups = pod::groups(instance, &names);
    let mut draft = Draft { instance, options, names, degraded: Vec::new(), objects: Vec::new() };
    let claims = volumes::claims(&mut draft);
    draft.objects.extend(claims);
    let net = network::network(&mut draft, &groups);
    let together = pod::together(instance, &groups);
    let mut level = Level::Restricted;
    let mut workloads = Vec::new();
    for group in &groups {
        let together = together.get(&group.name).map(String::as_str);
        let (workload, reached) = pod::workload(&mut draft, group, &net, together);
        level = level.max(reached);
        workloads.push(workload);
    }
    draft.objects.extend(net.objects);
    draft.objects.extend(workloads);
    let mut objects = draft.objects;
    objects.iter_mut().for_each(stamp);
    Rendered { objects, degraded: draft.degraded, level, groups, bare: net.bare, found: net.found }
}

/// The services of a group.
pub(crate) fn members<'a>(instance: &'a Instance, group: &Group) -> Vec<&'a Service> {
    group.services.iter().filter_map(|(service, _)| instance.workload.service(service)).collect()
}

/// Marks an object with a digest of itself. How many pods run is no part of it: that changes with what was seen.
fn stamp(object: &mut Value) {
    let mut bare = object.clone();
    if let Some(spec) = bare.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
        spec.remove("suspend");
    }
    let digest = hash(bare.to_string().as_bytes(), 32);
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(DIGEST_LABEL.to_owned(), Value::from(digest));
    }
}

/// The first `length` hexadecimal digits of a digest.
pub(crate) fn hash(bytes: &[u8], length: usize) -> String {
    let digest = digest(&SHA256, bytes);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.chars().take(length).collect()
}

/// Puts `from` over `into`, map by map.
pub(crate) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// Octets as the API server writes them back: the largest unit without a rest.
pub(crate) fn octets(octets: u64) -> String {
    let units = [("Ti", 1u64 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let decimal = [("T", 1_000_000_000_000u64), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1000)];
    let fits = |unit: &&(&str, u64)| octets != 0 && octets.is_multiple_of(unit.1);
    match units.iter().chain(&decimal).find(fits) {
        Some((name, size)) => format!("{}{name}", octets / size),
        None => octets.to_string(),
    }
}

/// Thousandths of a core as the API server writes them back.
pub(crate) fn cores(thousandths: u64) -> String {
    match thousandths % 1000 {
        0 => (thousandths / 1000).to_string(),
        _ => format!("{thousandths}m"),
    }
}
