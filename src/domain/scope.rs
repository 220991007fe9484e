//! Which namespaces the operator serves. Our own kinds are watched everywhere; Secrets, ConfigMaps and workloads are read
//! and written only within the scope, so that rights in those namespaces are all it needs.

use std::collections::BTreeSet;

use crate::api::SYSTEM_NAMESPACE;

/// Where the operator reads and writes what is not of its own kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    system: String,
    /// None: all. The system namespace is always among them.
    namespaces: Option<BTreeSet<String>>,
}

impl Default for Scope {
    fn default() -> Self {
        Self::all(SYSTEM_NAMESPACE)
    }
}

impl Scope {
    /// All namespaces; what belongs to the operator itself lies in `system`.
    pub fn all(system: impl Into<String>) -> Self {
        Self { system: system.into(), namespaces: None }
    }

    /// These namespaces and `system`.
    pub fn only(system: impl Into<String>, namespaces: impl IntoIterator<Item = String>) -> Self {
        let system = system.into();
        let mut all: BTreeSet<String> = namespaces.into_iter().collect();
        all.insert(system.clone());
        Self { system, namespaces: Some(all) }
    }

    /// The namespace of what belongs to the operator itself, and of the Secrets of nodes that name no namespace.
    pub fn system(&self) -> &str {
        &self.system
    }

    /// Whether what lies in `namespace` is served.
    pub fn covers(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|all| all.contains(namespace))
    }

    /// The places to watch, in order: `None` is the one place that is the whole cluster.
    pub fn places(&self) -> Vec<Option<&str>> {
        match &self.namespaces {
            None => vec![None],
            Some(all) => all.iter().map(|namespace| Some(namespace.as_str())).collect(),
        }
    }

    /// What to do about an object outside, in the words of its condition.
    pub fn refusal(&self) -> String {
        let served: Vec<&str> = self.places().into_iter().flatten().collect();
        format!(
            "metadata.namespace: the operator serves {} only: add this namespace to --namespaces (the chart's value namespaces), or make the object in one of those",
            served.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_namespace_is_always_served_and_no_list_means_all() {
        let some = Scope::only("ops", ["blog".to_owned(), "ops".to_owned()]);
        assert_eq!(some.places(), [Some("blog"), Some("ops")]);
        assert!(some.covers("ops") && some.covers("blog") && !some.covers("default"));
        assert!(some.refusal().contains("blog, ops only"));
        let all = Scope::all("ops");
        assert_eq!(all.places(), [None]);
        assert!(all.covers("anything"));
    }
}
