//! What the schemas of the built-in kinds do not say: list keys, atomic maps, strategic merge keys.
//!
//! PURE data, by the short name of the definition (`Container`) and the field. Source: the
//! `x-kubernetes-list-*`, `x-kubernetes-map-type` and `x-kubernetes-patch-*` marks of the Kubernetes API.

/// How one list of a built-in kind is merged.
pub(crate) struct Listed {
    /// Definition and field.
    pub(crate) at: (&'static str, &'static str),
    /// Key of a strategic merge; empty for a list of plain values.
    pub(crate) patch: &'static str,
    /// Keys of ownership; empty for a set of plain values.
    pub(crate) keys: &'static [&'static str],
}

const fn by(definition: &'static str, field: &'static str, key: &'static [&'static str]) -> Listed {
    Listed { at: (definition, field), patch: key[0], keys: key }
}

const fn set(definition: &'static str, field: &'static str) -> Listed {
    Listed { at: (definition, field), patch: "", keys: &[] }
}

/// Lists whose entries have an identity; every other list is one value.
pub(crate) const LISTS: &[Listed] = &[
    set("ObjectMeta", "finalizers"),
    by("ObjectMeta", "ownerReferences", &["uid"]),
    set("NamespaceSpec", "finalizers"),
    by("NamespaceStatus", "conditions", &["type"]),
    by("PodSpec", "containers", &["name"]),
    by("PodSpec", "initContainers", &["name"]),
    by("PodSpec", "ephemeralContainers", &["name"]),
    by("PodSpec", "volumes", &["name"]),
    by("PodSpec", "imagePullSecrets", &["name"]),
    by("PodSpec", "hostAliases", &["ip"]),
    by("PodSpec", "topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    by("PodSpec", "resourceClaims", &["name"]),
    by("PodSpec", "schedulingGates", &["name"]),
    by("PodStatus", "conditions", &["type"]),
    by("PodStatus", "podIPs", &["ip"]),
    by("PodStatus", "hostIPs", &["ip"]),
    by("PodStatus", "resourceClaimStatuses", &["name"]),
    by("Container", "env", &["name"]),
    by("Container", "ports", &["containerPort", "protocol"]),
    by("Container", "volumeMounts", &["mountPath"]),
    by("Container", "volumeDevices", &["devicePath"]),
    by("EphemeralContainer", "env", &["name"]),
    by("EphemeralContainer", "ports", &["containerPort", "protocol"]),
    by("EphemeralContainer", "volumeMounts", &["mountPath"]),
    by("EphemeralContainer", "volumeDevices", &["devicePath"]),
    by("ResourceRequirements", "claims", &["name"]),
    by("ServiceSpec", "ports", &["port", "protocol"]),
    by("ServiceStatus", "conditions", &["type"]),
    by("ServiceAccount", "secrets", &["name"]),
    by("NodeStatus", "addresses", &["type"]),
    by("NodeStatus", "conditions", &["type"]),
    set("NodeSpec", "podCIDRs"),
    by("PersistentVolumeClaimStatus", "conditions", &["type"]),
    by("DeploymentStatus", "conditions", &["type"]),
    by("ReplicaSetStatus", "conditions", &["type"]),
    by("StatefulSetStatus", "conditions", &["type"]),
    by("DaemonSetStatus", "conditions", &["type"]),
    by("PodDisruptionBudgetStatus", "conditions", &["type"]),
    by("CustomResourceDefinitionStatus", "conditions", &["type"]),
    by("MutatingWebhookConfiguration", "webhooks", &["name"]),
    by("ValidatingWebhookConfiguration", "webhooks", &["name"]),
    by("MutatingWebhook", "matchConditions", &["name"]),
    by("ValidatingWebhook", "matchConditions", &["name"]),
    by("ValidatingAdmissionPolicySpec", "matchConditions", &["name"]),
    by("ValidatingAdmissionPolicySpec", "variables", &["name"]),
    by("ValidatingAdmissionPolicyStatus", "conditions", &["type"]),
    set("Endpoint", "addresses"),
];

/// Lists that a strategic merge joins although ownership takes them as one value.
pub(crate) const PATCH_ONLY: &[((&str, &str), &str)] =
    &[(("ServiceAccount", "imagePullSecrets"), "name"), (("JobStatus", "conditions"), "type")];

/// Objects whose strategic merge drops the fields that the new variant does not have.
pub(crate) const RETAIN_KEYS: &[(&str, &str)] =
    &[("PodSpec", "volumes"), ("DeploymentSpec", "strategy"), ("PersistentVolume", "spec")];

/// Keys that count as set when they are absent, as the real server defaults them.
pub(crate) const KEY_DEFAULTS: &[((&str, &str), &str)] =
    &[(("ContainerPort", "protocol"), "TCP"), (("ServicePort", "protocol"), "TCP")];

/// Definitions that are one value for ownership.
pub(crate) const ATOMIC: &[&str] = &[
    "LabelSelector",
    "NodeSelector",
    "NodeSelectorTerm",
    "ObjectReference",
    "LocalObjectReference",
    "OwnerReference",
    "SecretReference",
    "SecretKeySelector",
    "ConfigMapKeySelector",
    "ObjectFieldSelector",
    "ResourceFieldSelector",
    "TypedLocalObjectReference",
    "TopologySelectorTerm",
    "ScopeSelector",
    "RoleRef",
    "Subject",
    "ParamRef",
    "ParamKind",
    "MatchResources",
    "NamedRuleWithOperations",
];

/// Maps of plain values that are one value for ownership.
pub(crate) const ATOMIC_FIELDS: &[(&str, &str)] = &[("ServiceSpec", "selector"), ("PodSpec", "nodeSelector")];

/// The last part of `io.k8s.api.core.v1.Container`.
pub(crate) fn short(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}
