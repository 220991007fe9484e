//! Who owns whom: a small index over the stored objects that name owners. PURE. Objects without owners cost nothing
//! here, so a store full of foreign Secrets does not grow it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::controlplane::{object, store::log::Change};

/// A thing that may have become due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// An object whose owners may be gone.
    Dependent(String),
    /// An object that is being deleted and waits for its dependents.
    Owner(String),
    /// A namespace that is being deleted.
    Namespace(String),
    /// A definition that is being deleted.
    Definition(String),
}

/// What the index needs to know of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    uid: String,
    namespace: Option<String>,
    owners: Vec<String>,
    deleting: bool,
    waits: bool,
    group_plural: Option<String>,
}

impl Facts {
    /// Reads them from a stored object.
    pub fn of(object: &Value) -> Facts {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
        let finalizers = object::texts(&metadata["finalizers"]);
        let deleting = metadata["deletionTimestamp"].is_string();
        let spec = &object["spec"];
        let definition = object["kind"] == "CustomResourceDefinition";
        Facts {
            uid: text(&metadata["uid"]).unwrap_or_default(),
            namespace: text(&metadata["namespace"]),
            owners: owners.filter_map(|owner| text(&owner["uid"])).collect(),
            deleting,
            waits: deleting
                && (finalizers.contains(&object::FOREGROUND) || finalizers.contains(&object::ORPHAN)),
            group_plural: definition.then(|| {
                let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                format!("{}/{}/", part(&spec["group"]), part(&spec["names"]["plural"]))
            }),
        }
    }
}

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    dependents: HashMap<String, BTreeSet<String>>,
    owners: HashMap<String, Vec<String>>,
    waiting: HashMap<String, String>,
    namespaces: BTreeSet<String>,
    definitions: BTreeMap<String, String>,
}

/// The prefix of the keys of namespaces.
const NAMESPACES: &str = "/namespaces//";
/// The prefix of the keys of definitions.
const DEFINITIONS: &str = "apiextensions.k8s.io/customresourcedefinitions//";

impl Index {
    /// The keys of the objects that name `uid` as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<String> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Learns of a write; returns what it made due.
    pub fn learn(&mut self, key: &str, change: Change, facts: &Facts) -> Vec<Due> {
        let gone = change == Change::Removed;
        let mut due = Vec::new();
        let before = self.owners.remove(key).unwrap_or_default();
        for uid in &before {
            if let Some(keys) = self.dependents.get_mut(uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
        if !gone && !facts.owners.is_empty() {
            for uid in &facts.owners {
                self.dependents.entry(uid.clone()).or_default().insert(key.to_owned());
            }
            self.owners.insert(key.to_owned(), facts.owners.clone());
            if before != facts.owners {
                due.push(Due::Dependent(key.to_owned()));
            }
        }
        // Whoever waits for this one may go on when it left, or stopped naming its owner.
        let waiting = before.iter().chain(&facts.owners).filter_map(|uid| self.waiting.get(uid));
        due.extend(waiting.map(|owner| Due::Owner(owner.clone())));
        if facts.waits && !gone {
            self.waiting.insert(facts.uid.clone(), key.to_owned());
            due.push(Due::Owner(key.to_owned()));
        } else {
            self.waiting.remove(&facts.uid);
        }
        if gone {
            due.extend(self.dependents(&facts.uid).into_iter().map(Due::Dependent));
        }
        due.extend(self.learn_containers(key, gone, facts));
        due
    }

    /// Namespaces and definitions that wait for their content.
    fn learn_containers(&mut self, key: &str, gone: bool, facts: &Facts) -> Vec<Due> {
        let mut due = Vec::new();
        let leaving = facts.deleting && !gone;
        if let Some(name) = key.strip_prefix(NAMESPACES) {
            if leaving {
                self.namespaces.insert(name.to_owned());
                due.push(Due::Namespace(name.to_owned()));
            } else {
                self.namespaces.remove(name);
            }
        }
        if let (Some(name), Some(prefix)) = (key.strip_prefix(DEFINITIONS), &facts.group_plural) {
            if leaving {
                self.definitions.insert(prefix.clone(), name.to_owned());
                due.push(Due::Definition(name.to_owned()));
            } else {
                self.definitions.remove(prefix);
            }
        }
        if gone {
            let namespace = facts.namespace.as_ref().filter(|name| self.namespaces.contains(*name));
            due.extend(namespace.cloned().map(Due::Namespace));
            let definition = self.definitions.iter().find(|(prefix, _)| key.starts_with(prefix.as_str()));
            due.extend(definition.map(|(_, name)| Due::Definition(name.clone())));
        }
        due
    }
}

/// Whether the index could learn anything from this body. Looks at bytes only: most objects say nothing of interest,
/// and reading them all would make every start slow.
pub fn interesting(body: &[u8]) -> bool {
    [&b"\"ownerReferences\""[..], b"\"deletionTimestamp\""].into_iter().any(|word| contains(body, word))
}

/// Whether `word` stands in `body`.
pub fn contains(body: &[u8], word: &[u8]) -> bool {
    let Some((first, rest)) = word.split_first() else { return true };
    let mut from = 0;
    while let Some(at) = body[from..].iter().position(|byte| byte == first) {
        let after = from + at + 1;
        if body[after..].starts_with(rest) {
            return true;
        }
        from = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(uid: &str, owners: &[&str], deleting: bool, finalizers: &[&str]) -> Facts {
        let owners: Vec<Value> = owners.iter().map(|uid| json!({"uid": uid})).collect();
        let mut object = json!({"metadata": {"uid": uid, "namespace": "n", "ownerReferences": owners, "finalizers": finalizers}});
        if deleting {
            object["metadata"]["deletionTimestamp"] = json!("now");
        }
        Facts::of(&object)
    }

    #[test]
    fn the_end_of_an_owner_makes_its_dependents_due() {
        let mut index = Index::default();
        assert!(index.learn("x//o", Change::Created, &facts("1", &[], false, &[])).is_empty());
        let due = index.learn("x//d", Change::Created, &facts("2", &["1"], false, &[]));
        assert_eq!(due, [Due::Dependent("x//d".into())]);
        let due = index.learn("x//o", Change::Removed, &facts("1", &[], false, &[]));
        assert_eq!(due, [Due::Dependent("x//d".into())]);
    }

    #[test]
    fn an_owner_that_waits_is_due_when_a_dependent_leaves() {
        let mut index = Index::default();
        index.learn("x//d", Change::Created, &facts("2", &["1"], false, &[]));
        let due = index.learn("x//o", Change::Updated, &facts("1", &[], true, &[object::FOREGROUND]));
        assert_eq!(due, [Due::Owner("x//o".into())]);
        let due = index.learn("x//d", Change::Removed, &facts("2", &["1"], false, &[]));
        assert!(due.contains(&Due::Owner("x//o".into())), "{due:?}");
        assert!(index.dependents("1").is_empty());
    }

    #[test]
    fn a_leaving_namespace_is_due_again_with_each_object_that_left() {
        let mut index = Index::default();
        let due = index.learn("/namespaces//n", Change::Updated, &facts("1", &[], true, &[]));
        assert_eq!(due, [Due::Namespace("n".into())]);
        let due = index.learn("/secrets/n/s", Change::Removed, &facts("2", &[], false, &[]));
        assert_eq!(due, [Due::Namespace("n".into())]);
    }

    #[test]
    fn bytes_are_searched_whole() {
        assert!(interesting(br#"{"a":"b","deletionTimestamp":"x"}"#));
        assert!(!interesting(br#"{"deletion":"Timestamp"}"#));
        assert!(contains(b"aab", b"ab") && !contains(b"aa", b"ab"));
    }
}
