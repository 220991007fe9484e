//! The built-in kinds, as one table. They are stored objects: nothing here runs a pod or programs a network.

use std::sync::OnceLock;

use super::{Column, Origin, Resource, Scale};
use crate::controlplane::{cells, names::NameRule};

/// Lives in namespaces.
const NAMESPACED: u16 = 1;
/// Has a status subresource.
const STATUS: u16 = 2;
/// Counts generations.
const GENERATION: u16 = 4;
/// Has a scale subresource.
const SCALE: u16 = 8;
/// An update must carry the version.
const CONDITIONAL: u16 = 16;
/// Answers questions, stores nothing.
const REVIEW: u16 = 32;

/// group, version, kind, plural, short names, flags, selectable fields
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    u16,
    &'static [&'static str],
);

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "type",
];
const NEW_EVENT_FIELDS: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("", "v1", "Namespace", "namespaces", &["ns"], STATUS, &["status.phase"]),
    ("", "v1", "Secret", "secrets", &[], NAMESPACED, &["type"]),
    ("", "v1", "ConfigMap", "configmaps", &["cm"], NAMESPACED, &[]),
    ("", "v1", "Event", "events", &["ev"], NAMESPACED, EVENT_FIELDS),
    ("", "v1", "ServiceAccount", "serviceaccounts", &["sa"], NAMESPACED, &[]),
    ("", "v1", "Service", "services", &["svc"], NAMESPACED | STATUS, &["spec.clusterIP", "spec.type"]),
    ("", "v1", "Endpoints", "endpoints", &["ep"], NAMESPACED, &[]),
    ("", "v1", "Pod", "pods", &["po"], NAMESPACED | STATUS | GENERATION,
        &["spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase", "status.podIP"]),
    ("", "v1", "Node", "nodes", &["no"], STATUS, &["spec.unschedulable"]),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], NAMESPACED | STATUS, &[]),
    ("", "v1", "PersistentVolume", "persistentvolumes", &["pv"], STATUS, &[]),
    ("", "v1", "ReplicationController", "replicationcontrollers", &["rc"], NAMESPACED | STATUS | GENERATION | SCALE, &["status.replicas"]),
    ("", "v1", "LimitRange", "limitranges", &["limits"], NAMESPACED, &[]),
    ("", "v1", "ResourceQuota", "resourcequotas", &["quota"], NAMESPACED | STATUS, &[]),
    ("coordination.k8s.io", "v1", "Lease", "leases", &[], NAMESPACED | CONDITIONAL, &[]),
    ("events.k8s.io", "v1", "Event", "events", &["ev"], NAMESPACED, NEW_EVENT_FIELDS),
    ("apps", "v1", "Deployment", "deployments", &["deploy"], NAMESPACED | STATUS | GENERATION | SCALE, &[]),
    ("apps", "v1", "ReplicaSet", "replicasets", &["rs"], NAMESPACED | STATUS | GENERATION | SCALE, &["status.replicas"]),
    ("apps", "v1", "StatefulSet", "statefulsets", &["sts"], NAMESPACED | STATUS | GENERATION | SCALE, &[]),
    ("apps", "v1", "DaemonSet", "daemonsets", &["ds"], NAMESPACED | STATUS | GENERATION, &[]),
    ("apps", "v1", "ControllerRevision", "controllerrevisions", &[], NAMESPACED, &[]),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"], NAMESPACED | STATUS, &[]),
    ("batch", "v1", "Job", "jobs", &[], NAMESPACED | STATUS | GENERATION, &["status.successful"]),
    ("batch", "v1", "CronJob", "cronjobs", &["cj"], NAMESPACED | STATUS | GENERATION, &[]),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", &["ing"], NAMESPACED | STATUS | GENERATION, &[]),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", &["netpol"], NAMESPACED | GENERATION, &[]),
    ("networking.k8s.io", "v1", "IngressClass", "ingressclasses", &[], GENERATION, &[]),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", &[], NAMESPACED, &[]),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", &[], NAMESPACED, &[]),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", &[], 0, &[]),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", &[], 0, &[]),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", &["pdb"], NAMESPACED | STATUS | GENERATION, &[]),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", &[], NAMESPACED | GENERATION, &[]),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", &["pc"], GENERATION, &[]),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", &["sc"], 0, &[]),
    ("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", &[], GENERATION, &[]),
    ("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", &[], GENERATION, &[]),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", &[], STATUS | GENERATION, &[]),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", &[], GENERATION, &[]),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", &["crd", "crds"], STATUS | GENERATION | CONDITIONAL, &[]),
    ("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", &[], REVIEW, &[]),
    ("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", &[], REVIEW, &[]),
    ("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", &[], REVIEW, &[]),
    ("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", &[], REVIEW, &[]),
];

/// All built-in resources.
pub fn resources() -> impl Iterator<Item = Resource> {
    ROWS.iter().map(resource)
}

fn resource(row: &Row) -> Resource {
    let (group, version, kind, plural, short_names, flags, fields) = *row;
    let has = |flag: u16| flags & flag != 0;
    let events = plural == "events";
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: short_names.iter().map(|one| (*one).to_owned()).collect(),
        categories: categories(group, plural),
        namespaced: has(NAMESPACED),
        status: has(STATUS),
        scale: has(SCALE).then(scale),
        generation: has(GENERATION),
        unconditional_update: !has(CONDITIONAL),
        name_rule: match (group, plural) {
            ("", "namespaces") => NameRule::Label,
            ("", "services") => NameRule::ServiceLabel,
            ("rbac.authorization.k8s.io", _) => NameRule::PathSegment,
            _ => NameRule::Subdomain,
        },
        columns: columns(group, plural),
        fields: fields.iter().map(|one| (*one).to_owned()).collect(),
        origin: if has(REVIEW) { Origin::Review } else { Origin::Builtin },
        storage_version: if events { "v1".to_owned() } else { api_version },
        shared: group == "events.k8s.io",
        since: 0,
        deprecated: None,
        // Both faces of events share their objects.
        prefix: if events { "/events/".to_owned() } else { format!("{group}/{plural}/") },
        info: OnceLock::new(),
    }
}

fn categories(group: &str, plural: &str) -> Vec<String> {
    let in_all = matches!(
        (group, plural),
        ("", "pods" | "services" | "replicationcontrollers")
            | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets")
            | ("batch", _)
            | ("autoscaling", _)
    );
    let extensions = matches!(group, "admissionregistration.k8s.io" | "apiextensions.k8s.io");
    match (in_all, extensions) {
        (true, _) => vec!["all".to_owned()],
        (_, true) => vec!["api-extensions".to_owned()],
        _ => Vec::new(),
    }
}

fn scale() -> Scale {
    Scale { wanted: ".spec.replicas".to_owned(), present: ".status.replicas".to_owned(), selector: None }
}

fn columns(group: &str, plural: &str) -> Vec<Column> {
    cells::builtin_columns(group, plural)
        .iter()
        .map(|(name, kind, priority)| Column {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            format: if *name == "Name" { "name".to_owned() } else { String::new() },
            description: String::new(),
            priority: *priority,
            path: String::new(),
        })
        .collect()
}
