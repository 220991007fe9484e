//! What is served: the built-in kinds, and every kind that an applied CustomResourceDefinition describes, from the
//! moment it is stored. Holds no objects.

pub mod builtin;
pub mod crd;
pub mod faults;

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use serde_json::{Value, json};

use super::{
    names::NameRule,
    schema::TypeInfo,
    status::Subject,
    store::codec::{Stored, encode},
};

/// The column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The heading.
    pub name: String,
    /// OpenAPI type: string, integer, date, …
    pub kind: String,
    /// OpenAPI format.
    pub format: String,
    /// For people.
    pub description: String,
    /// 0 is always shown; larger ones with `-o wide`.
    pub priority: i64,
    /// Where the cell comes from, as JSONPath; empty for the columns of built-in kinds.
    pub path: String,
}

/// Where the three numbers of the scale subresource lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Wanted replicas.
    pub wanted: String,
    /// Present replicas.
    pub present: String,
    /// The selector as text, if the kind has one.
    pub selector: Option<String>,
}

/// Where a resource comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Compiled in.
    Builtin,
    /// Described by a CustomResourceDefinition.
    Custom,
    /// Answers a question and stores nothing.
    Review,
}

/// One resource in one version.
pub struct Resource {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind, such as `ConfigMap`.
    pub kind: String,
    /// Kind of its lists.
    pub list_kind: String,
    /// Name in paths.
    pub plural: String,
    /// Name of one.
    pub singular: String,
    /// What kubectl accepts besides.
    pub short_names: Vec<String>,
    /// Groupings such as `all`.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether status is written through its own subresource.
    pub status: bool,
    /// The scale subresource.
    pub scale: Option<Scale>,
    /// Whether the generation counts changes of the wanted state.
    pub generation: bool,
    /// Whether an update without a version overwrites.
    pub unconditional_update: bool,
    /// How names are judged.
    pub name_rule: NameRule,
    /// Columns of its tables.
    pub columns: Vec<Column>,
    /// Field paths that selectors may name.
    pub fields: Vec<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// The apiVersion in the store.
    pub storage_version: String,
    /// Whether other versions of the kind are served as well.
    pub shared: bool,
    /// The revision at which its schema became what it is; older objects are brought in line when they are read.
    pub since: u64,
    /// What to tell whoever still uses this version.
    pub deprecated: Option<String>,
    prefix: String,
    info: OnceLock<TypeInfo>,
}

impl Resource {
    /// What is known about the kind's shape; worked out when it is first needed.
    pub fn info(&self) -> &TypeInfo {
        self.info.get_or_init(|| TypeInfo::builtin(&self.group, &self.version, &self.kind))
    }

    /// `group/version`, or the version alone in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `plural.group`
    pub fn full_name(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The prefix of the keys of all objects, or of those in one namespace.
    pub fn prefix(&self, namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) => format!("{}{namespace}/", self.prefix),
            None => self.prefix.clone(),
        }
    }

    /// The key of one object.
    pub fn key(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}{}/{name}", self.prefix, namespace.unwrap_or_default())
    }

    /// The subject of a refusal that speaks of the resource.
    pub fn subject(&self, name: &str) -> Subject {
        Subject {
            group: self.group.clone(),
            kind: self.plural.clone(),
            name: name.to_owned(),
            uid: String::new(),
        }
    }

    /// The subject of a refusal that speaks of the kind.
    pub fn kind_subject(&self, name: &str) -> Subject {
        Subject { kind: self.kind.clone(), ..self.subject(name) }
    }

    /// Whether stored bytes may be sent as they are.
    pub fn verbatim(&self, stored: &Stored) -> bool {
        !self.shared && self.since <= stored.revision
    }

    /// A stored object in this version.
    pub fn present(&self, stored: &Stored) -> Value {
        let mut value = stored.value();
        if self.shared {
            self.convert(&mut value);
        }
        if stored.revision < self.since {
            self.info().prune(&mut value);
            self.info().default(&mut value);
        }
        value
    }

    /// The stored form of an object of this version.
    pub fn store_form(&self, value: &Value) -> axum::body::Bytes {
        if !self.shared {
            return encode(value);
        }
        let mut value = value.clone();
        if self.is_new_event() {
            super::events::to_core(&mut value);
        }
        value["apiVersion"] = json!(self.storage_version);
        encode(&value)
    }

    /// Whether this is the events.k8s.io face of events.
    fn is_new_event(&self) -> bool {
        self.group == "events.k8s.io" && self.origin == Origin::Builtin
    }

    fn convert(&self, value: &mut Value) {
        if self.is_new_event() {
            super::events::from_core(value);
        }
        if value.is_object() {
            value["apiVersion"] = json!(self.api_version());
        }
    }

    /// Whether this is `plural` of the built-in `group`.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.origin != Origin::Custom && self.group == group && self.plural == plural
    }
}

/// Everything that is served at one moment.
#[derive(Clone, Default)]
pub struct Served {
    resources: BTreeMap<(String, String, String), Arc<Resource>>,
    /// A number that changes with every change of what is served.
    pub edition: u64,
}

impl Served {
    /// The resource of a path.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.resources.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    /// The resource of an owner reference or a manifest.
    pub fn find_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.of_version(group, version).find(|resource| resource.kind == kind).cloned()
    }

    /// All resources of a group-version.
    pub fn of_version<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Resource>> {
        self.resources.values().filter(move |one| one.group == group && one.version == version)
    }

    /// All resources.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }

    /// The resource that a stored key belongs to.
    pub fn of_key(&self, key: &str) -> Option<Arc<Resource>> {
        self.resources
            .values()
            .find(|one| one.origin != Origin::Review && key.starts_with(&one.prefix))
            .cloned()
    }

    /// Groups with their versions, the preferred one first. The core group has the empty name.
    pub fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for resource in self.resources.values() {
            let versions = groups.entry(resource.group.clone()).or_default();
            if !versions.contains(&resource.version) {
                versions.push(resource.version.clone());
            }
        }
        groups.values_mut().for_each(|versions| versions.sort_by_key(|version| Reverse(priority(version))));
        groups.into_iter().collect()
    }
}

/// What is served now, and how it changes.
pub struct Registry {
    served: ArcSwap<Served>,
}

impl Registry {
    /// The built-in kinds alone.
    pub fn new() -> Registry {
        let mut served = Served::default();
        for resource in builtin::resources() {
            served.resources.insert(address(&resource), Arc::new(resource));
        }
        Registry { served: ArcSwap::from_pointee(served) }
    }

    /// What is served now.
    pub fn served(&self) -> Arc<Served> {
        self.served.load_full()
    }

    /// Serves what `crd` describes, instead of what it described before.
    pub fn put_crd(&self, crd: &Value) {
        let fresh: Vec<Arc<Resource>> = crd::resources(crd).into_iter().map(Arc::new).collect();
        self.replace(crd, fresh);
    }

    /// Serves it no more.
    pub fn remove_crd(&self, crd: &Value) {
        self.replace(crd, Vec::new());
    }

    fn replace(&self, crd: &Value, fresh: Vec<Arc<Resource>>) {
        let group = crd["spec"]["group"].as_str().unwrap_or_default();
        let plural = crd["spec"]["names"]["plural"].as_str().unwrap_or_default();
        self.served.rcu(|served| {
            let mut next = Served::clone(served);
            next.edition += 1;
            next.resources
                .retain(|_, one| one.origin != Origin::Custom || one.group != group || one.plural != plural);
            for resource in &fresh {
                next.resources.entry(address(resource)).or_insert_with(|| resource.clone());
            }
            next
        });
    }
}

fn address(resource: &Resource) -> (String, String, String) {
    (resource.group.clone(), resource.version.clone(), resource.plural.clone())
}

/// Orders versions as Kubernetes does: stable before beta before alpha, larger before smaller, anything else last.
pub fn priority(version: &str) -> (u8, u64, u64) {
    let number = |text: &str| text.parse::<u64>().ok();
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    for (word, rank) in [("alpha", 1), ("beta", 2)] {
        if let Some((major, minor)) = rest.split_once(word) {
            return match (number(major), number(minor)) {
                (Some(major), Some(minor)) => (rank, major, minor),
                _ => (0, 0, 0),
            };
        }
    }
    number(rest).map_or((0, 0, 0), |major| (3, major, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_preferred_as_kubernetes_prefers_them() {
        let mut versions = vec!["foo", "v1alpha1", "v1", "v2beta1", "v10", "v2", "v1beta2"];
        versions.sort_by_key(|version| Reverse(priority(version)));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "foo"]);
    }

    #[test]
    fn no_two_kinds_share_a_prefix_of_keys_unless_they_share_their_objects() {
        let registry = Registry::new();
        let served = registry.served();
        for a in served.all() {
            for b in served.all() {
                let same = a.plural == b.plural && (a.group == b.group || a.plural == "events");
                assert!(same || !a.prefix.starts_with(&b.prefix), "{} {}", a.full_name(), b.full_name());
            }
        }
    }
}
