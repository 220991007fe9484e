//! `metadata.managedFields`: who owns which set since when.
//!
//! PURE.

use serde_json::{Value, json};

use super::Writer;
use super::set::{Elem, FieldSet};

/// Updaters beyond this are folded into one entry, as on the real server, so that the list stays short.
const MOST_UPDATERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// How a manager writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// One manager's set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    pub(super) subresource: Option<String>,
    pub(super) time: Option<String>,
    pub(super) set: FieldSet,
}

impl Entry {
    /// A new, empty entry of `writer`.
    pub(super) fn new(writer: &Writer, operation: Operation) -> Entry {
        Entry {
            manager: writer.manager.to_owned(),
            operation,
            api_version: writer.api_version.to_owned(),
            subresource: writer.subresource.map(str::to_owned),
            time: Some(writer.now.to_owned()),
            set: FieldSet::default(),
        }
    }

    /// Whether both speak for the same manager: appliers keep their identity across versions.
    pub(super) fn same_identity(&self, other: &Entry) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    fn read(value: &Value) -> Option<Entry> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Entry {
            manager: text("manager").unwrap_or_default(),
            operation: match text("operation")?.as_str() {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            },
            api_version: text("apiVersion")?,
            subresource: text("subresource").filter(|name| !name.is_empty()),
            time: text("time"),
            set: FieldSet::decode(value.get("fieldsV1").unwrap_or(&json!({})))?,
        })
    }

    fn write(&self) -> Value {
        let operation = match self.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        let mut entry = json!({
            "manager": self.manager,
            "operation": operation,
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.set.encode(),
        });
        for (key, value) in [("time", &self.time), ("subresource", &self.subresource)] {
            if let Some(value) = value {
                entry[key] = Value::from(value.clone());
            }
        }
        entry
    }
}

/// The entries of an object; none where the list cannot be read as a whole.
pub(super) fn read(object: &Value) -> Option<Vec<Entry>> {
    match listed(object) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(list) => list.as_array()?.iter().map(Entry::read).collect(),
    }
}

/// The entries that an update starts from: the client's own list if it sent a readable one, else the stored.
pub(super) fn read_for_update(before: Option<&Value>, after: &Value, subresource: bool) -> Vec<Entry> {
    let stored = || before.and_then(read).unwrap_or_default();
    let reset = match listed(after).and_then(Value::as_array).map(Vec::as_slice) {
        Some([]) => true,
        Some([only]) => only.as_object().is_some_and(serde_json::Map::is_empty),
        _ => false,
    };
    match (subresource, reset) {
        // A list cannot be changed through a subresource.
        (true, _) => stored(),
        (false, true) => Vec::new(),
        (false, false) => match read(after) {
            Some(entries) if !entries.is_empty() => entries,
            _ => stored(),
        },
    }
}

/// Writes the entries in the order of the real server; without entries there is no list.
pub(super) fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.set.is_empty());
    fold(&mut entries);
    entries.sort_by(|a, b| {
        let rank = |e: &Entry| {
            (e.operation, e.time.clone(), e.manager.clone(), e.api_version.clone(), e.subresource.clone())
        };
        rank(a).cmp(&rank(b))
    });
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    match entries.is_empty() {
        true => {
            metadata.remove("managedFields");
        }
        false => {
            let list = entries.iter().map(Entry::write).collect();
            metadata.insert("managedFields".to_owned(), Value::Array(list));
        }
    }
}

/// Takes from a set what nobody ever owns: identity, and what the server alone writes.
pub(super) fn trackable(mut set: FieldSet) -> FieldSet {
    for name in ["apiVersion", "kind", "metadata"] {
        set.members.remove(&Elem::field(name));
    }
    let metadata = Elem::field("metadata");
    if let Some(below) = set.children.get_mut(&metadata) {
        for name in SERVER_METADATA {
            let elem = Elem::field(name);
            below.members.remove(&elem);
            below.children.remove(&elem);
        }
        if below.is_empty() {
            set.children.remove(&metadata);
        }
    }
    set
}

/// Metadata that no manager owns.
pub(super) const SERVER_METADATA: [&str; 11] = [
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

fn listed(object: &Value) -> Option<&Value> {
    object.get("metadata")?.get("managedFields")
}

/// The oldest updaters beyond the limit become one entry per version.
fn fold(entries: &mut Vec<Entry>) {
    let updaters =
        entries.iter().filter(|entry| entry.operation == Operation::Update && entry.subresource.is_none());
    let count = updaters.count();
    if count <= MOST_UPDATERS {
        return;
    }
    entries.sort_by(|a, b| a.time.cmp(&b.time));
    let mut surplus = count - MOST_UPDATERS + 1;
    let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut folded: Vec<Entry> = Vec::new();
    for entry in entries.drain(..) {
        let old = entry.operation == Operation::Update && entry.subresource.is_none() && 0 < surplus;
        if !old {
            kept.push(entry);
            continue;
        }
        surplus -= 1;
        match folded.iter_mut().find(|old| old.api_version == entry.api_version) {
            Some(old) => {
                old.set = old.set.union(&entry.set);
                old.time = entry.time;
            }
            None => folded.push(Entry { manager: ANCIENT.to_owned(), ..entry }),
        }
    }
    kept.extend(folded);
    *entries = kept;
}
