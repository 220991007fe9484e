//! What the operator asks of a cluster's API, as one table: the chart's roles are printed from it, and a test sees that
//! nothing else is asked and nothing is granted in vain. It holds rights only; who is given them is the chart's.

use serde::Serialize;

/// How far a right reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Scope {
    /// The whole cluster: a ClusterRole.
    Cluster,
    /// The operator's own namespace: a Role.
    System,
    /// The operator's own namespace and each that it was given by `--namespaces`: a Role in each.
    Namespaces,
}

/// What a right is needed for; a feature that is off takes its rights along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Feature {
    /// Needed always.
    Base,
    /// Asks what room the cluster's nodes have left before an App is installed.
    Capacity,
    /// Makes namespaces that a leader's push names and that are missing.
    CreateNamespaces,
    /// Answers the API server's questions about our objects.
    Webhook,
    /// Routes Apps' domains by a Gateway.
    Gateway,
}

/// A right: verbs on one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Right {
    /// How far it reaches.
    pub scope: Scope,
    /// The API group; empty: the core group.
    pub group: &'static str,
    /// The resource in the plural, with a subresource after a slash.
    pub resource: &'static str,
    /// The only objects that it concerns; empty: all. What stands in braces depends on the release.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub names: &'static [&'static str],
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// What it is needed for.
    pub feature: Feature,
    /// Who needs it, for whoever reviews the roles.
    pub why: &'static str,
}

const fn right(
    scope: Scope,
    (group, resource): (&'static str, &'static str),
    verbs: &'static [&'static str],
    why: &'static str,
) -> Right {
    Right { scope, group, resource, names: &[], verbs, feature: Feature::Base, why }
}

const OURS: &str = "cocoasyncer.io";
/// Applied, watched and removed. To apply what is not there yet is to patch and to create.
const OWNED: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// All rights. What stands under `Namespaces` is granted in the operator's own namespace too.
pub const TABLE: &[Right] = &[
    right(
        Scope::Cluster,
        (OURS, "cocoanodes"),
        OWNED,
        "sites are watched, the first start makes its own, a leader's push writes and removes the others",
    ),
    right(
        Scope::Cluster,
        (OURS, "cocoanodes/status"),
        &["patch"],
        "who lives, with which addresses and lines",
    ),
    right(
        Scope::Cluster,
        (OURS, "managedservices"),
        OWNED,
        "names are watched, given their finalizer, pushed by a leader, made for an App's domain",
    ),
    right(Scope::Cluster, (OURS, "managedservices/status"), &["patch"], "what is served and what is refused"),
    right(
        Scope::Cluster,
        (OURS, "apps"),
        OWNED,
        "applications are watched; the App API makes and removes them",
    ),
    right(Scope::Cluster, (OURS, "apps/status"), &["patch"], "what an application does"),
    right(
        Scope::Cluster,
        (OURS, "apps/finalizers"),
        &["update"],
        "an App owns its objects; clusters with OwnerReferencesPermissionEnforcement want this right for it",
    ),
    right(
        Scope::Cluster,
        ("events.k8s.io", "events"),
        &["create", "patch"],
        "events lie where what they tell of lies, and our kinds may lie in any namespace",
    ),
    right(
        Scope::Cluster,
        ("", "namespaces"),
        &["get"],
        "a leader's push is told which of its namespaces are missing here",
    ),
    Right {
        feature: Feature::CreateNamespaces,
        ..right(
            Scope::Cluster,
            ("", "namespaces"),
            &["create"],
            "a leader's push makes those that are missing here",
        )
    },
    right(Scope::Cluster, ("", "nodes"), &["get"], "spec.addresses.node of a CocoaNode names one"),
    Right {
        feature: Feature::Capacity,
        ..right(Scope::Cluster, ("", "nodes"), &["list"], "what an App may ask for: the nodes' room")
    },
    Right {
        feature: Feature::Capacity,
        ..right(Scope::Cluster, ("", "pods"), &["list"], "what an App may ask for: what pods have reserved")
    },
    Right {
        feature: Feature::Webhook,
        names: &["{webhook}"],
        ..right(
            Scope::Cluster,
            ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
            &["get", "patch"],
            "keeps the caBundle of its own webhook, whose certificates it makes",
        )
    },
    right(
        Scope::System,
        ("coordination.k8s.io", "leases"),
        &["get", "list", "watch", "create", "update"],
        "which replica writes",
    ),
    right(
        Scope::Namespaces,
        ("", "secrets"),
        &["get", "list", "watch", "create", "update", "patch", "delete"],
        "accounts of DNS platforms, sites' shared secrets, what installs of Apps chose",
    ),
    right(
        Scope::Namespaces,
        ("", "configmaps"),
        OWNED,
        "line tables, Apps' templates and files, what the operator itself remembers",
    ),
    right(Scope::Namespaces, ("", "services"), OWNED, "Apps' own, and spec.addresses.service of a CocoaNode"),
    right(Scope::Namespaces, ("", "persistentvolumeclaims"), OWNED, "Apps' volumes"),
    right(Scope::Namespaces, ("apps", "deployments"), OWNED, "Apps' containers"),
    right(Scope::Namespaces, ("batch", "jobs"), OWNED, "Apps' containers that come to an end"),
    right(Scope::Namespaces, ("networking.k8s.io", "ingresses"), OWNED, "Apps' domains"),
    right(
        Scope::Namespaces,
        ("gateway.networking.k8s.io", "httproutes"),
        &["list"],
        "what is left of an App that is being removed",
    ),
    Right {
        feature: Feature::Gateway,
        ..right(
            Scope::Namespaces,
            ("gateway.networking.k8s.io", "httproutes"),
            &["get", "create", "patch", "delete"],
            "Apps' domains, by a Gateway",
        )
    },
    right(Scope::Namespaces, ("", "pods"), &["list", "watch"], "how Apps' containers do"),
    right(Scope::Namespaces, ("", "pods/log"), &["get"], "the last words of an App's container, and its log"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_right_is_said_once_without_wildcards_and_with_a_reason() {
        for (index, right) in TABLE.iter().enumerate() {
            assert!(!right.why.is_empty() && !right.verbs.is_empty(), "{right:?}");
            assert!(![right.group, right.resource].iter().chain(right.verbs).any(|word| word.contains('*')));
            let again = TABLE[index + 1..].iter().find(|other| {
                (other.scope, other.group, other.resource) == (right.scope, right.group, right.resource)
                    && other.verbs.iter().any(|verb| right.verbs.contains(verb))
            });
            assert_eq!(again, None);
        }
    }

    #[test]
    fn secrets_and_workloads_are_never_a_whole_clusters() {
        let in_cluster = TABLE.iter().filter(|right| right.scope == Scope::Cluster);
        for right in in_cluster.filter(|right| right.group != OURS) {
            let reads = right.verbs.iter().all(|verb| matches!(*verb, "get" | "list"));
            let harmless = matches!(right.resource, "events" | "namespaces") || !right.names.is_empty();
            assert!(reads && right.resource != "secrets" || harmless, "{right:?}");
        }
    }
}
