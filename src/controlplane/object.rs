//! The life cycle of one object: what a write may change, what the plane itself sets, when an object is gone. PURE:
//! the store, the clock and the random uid are arguments or elsewhere.

use serde_json::{Map, Value, json};

use super::cause::Cause;

/// Which face of an object a request writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The object.
    Main,
    /// Its `/status`.
    Status,
    /// A namespace's `/finalize`.
    Finalize,
}

/// The rules of a kind that matter here.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Status is written through its own subresource only.
    pub status: bool,
    /// Generations are counted.
    pub generation: bool,
}

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They follow later.
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    Orphan,
}

/// What a delete comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Deletion {
    /// The object goes now.
    Remove,
    /// The object stays, marked, until its finalizers are gone.
    Mark(Value),
    /// It is marked already and nothing changes.
    Unchanged,
}

/// The finalizer of a foreground deletion.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an orphaning deletion.
pub const ORPHAN: &str = "orphan";

/// Makes a new object of what a client sent.
pub fn begin(rules: Rules, object: &mut Value, uid: &str, now: &str) {
    if rules.status
        && let Some(map) = object.as_object_mut()
    {
        map.remove("status");
    }
    let metadata = metadata_mut(object);
    for field in
        ["selfLink", "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"]
    {
        metadata.remove(field);
    }
    drop_empty(metadata);
    metadata.insert("uid".to_owned(), json!(uid));
    metadata.insert("creationTimestamp".to_owned(), json!(now));
    if rules.generation {
        metadata.insert("generation".to_owned(), json!(1));
    }
}

/// Brings `new`, which is to replace `old`, in line: what this face may not write comes from `old`. Returns what the
/// client tried to change and must not.
pub fn carry_over(rules: Rules, part: Part, old: &Value, new: &mut Value) -> Vec<Cause> {
    match part {
        Part::Status => {
            let status = new.get("status").cloned();
            let managed = new.pointer("/metadata/managedFields").cloned();
            *new = old.clone();
            put(new, "status", status);
            if let Some(managed) = managed {
                metadata_mut(new).insert("managedFields".to_owned(), managed);
            }
            return Vec::new();
        }
        Part::Finalize => {
            let finalizers = new.pointer("/spec/finalizers").cloned();
            *new = old.clone();
            if !new["spec"].is_object() {
                new["spec"] = json!({});
            }
            put(&mut new["spec"], "finalizers", finalizers);
            return Vec::new();
        }
        Part::Main => {}
    }
    if rules.status {
        let status = old.get("status").cloned();
        put(new, "status", status);
    }
    let mut causes = Vec::new();
    let before = &old["metadata"];
    let deleting = before["deletionTimestamp"].is_string();
    let metadata = metadata_mut(new);
    metadata.remove("selfLink");
    drop_empty(metadata);
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "namespace"]
    {
        match (before.get(field), metadata.get(field)) {
            (Some(kept), None) => {
                metadata.insert(field.to_owned(), kept.clone());
            }
            (kept, Some(sent)) if kept != Some(sent) => causes.push(Cause {
                field: format!("metadata.{field}"),
                reason: "FieldValueInvalid",
                message: format!("Invalid value: {sent}: field is immutable"),
            }),
            _ => {}
        }
    }
    match before.get("generation") {
        Some(generation) => metadata.insert("generation".to_owned(), generation.clone()),
        None => metadata.remove("generation"),
    };
    if deleting {
        causes.extend(new_finalizers(before, metadata));
    }
    causes
}

fn new_finalizers(before: &Value, metadata: &Map<String, Value>) -> Option<Cause> {
    let had: Vec<&str> = texts(&before["finalizers"]);
    let added: Vec<&str> = metadata
        .get("finalizers")
        .map(texts)
        .unwrap_or_default()
        .into_iter()
        .filter(|one| !had.contains(one))
        .collect();
    (!added.is_empty()).then(|| Cause {
        field: "metadata.finalizers".to_owned(),
        reason: "FieldValueForbidden",
        message: format!(
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
        ),
    })
}

/// Raises the generation if the wanted state changed.
pub fn bump_generation(rules: Rules, old: &Value, new: &mut Value) {
    if !rules.generation {
        return;
    }
    let wanted = |object: &Value| -> Map<String, Value> {
        let mut map = object.as_object().cloned().unwrap_or_default();
        map.remove("metadata");
        if rules.status {
            map.remove("status");
        }
        map
    };
    let before = old["metadata"]["generation"].as_i64().unwrap_or(0);
    let raised = if wanted(old) == wanted(new) { before } else { before + 1 };
    metadata_mut(new).insert("generation".to_owned(), json!(raised.max(1)));
}

/// Whether a write changes nothing: the version, and the times at which managers last wrote, do not count.
pub fn same(old: &Value, new: &Value) -> bool {
    let strip = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
            for entry in metadata.get_mut("managedFields").and_then(Value::as_array_mut).into_iter().flatten()
            {
                if let Some(entry) = entry.as_object_mut() {
                    entry.remove("time");
                }
            }
        }
        object
    };
    strip(old) == strip(new)
}

/// Whether nothing holds the object any more.
pub fn finished(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    // Only namespaces have finalizers in their spec.
    let held = object["kind"] == "Namespace" && !empty(&object["spec"]["finalizers"]);
    metadata["deletionTimestamp"].is_string() && empty(&metadata["finalizers"]) && !held
}

/// What deleting `object` comes to. `held` keeps it although it has no finalizers: a namespace with content.
pub fn delete(object: &Value, propagation: Propagation, held: bool, now: &str) -> Deletion {
    let mut marked = object.clone();
    let metadata = metadata_mut(&mut marked);
    let mut finalizers: Vec<String> =
        metadata.get("finalizers").map(texts).unwrap_or_default().into_iter().map(str::to_owned).collect();
    let wanted = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    if wanted.is_some() {
        finalizers.retain(|one| one != FOREGROUND && one != ORPHAN);
    }
    finalizers.extend(wanted.map(str::to_owned));
    if finalizers.is_empty() && !held {
        return Deletion::Remove;
    }
    let already = metadata.get("deletionTimestamp").is_some_and(Value::is_string);
    if !finalizers.is_empty() {
        metadata.insert("finalizers".to_owned(), json!(finalizers));
    }
    if already {
        return if marked == *object { Deletion::Unchanged } else { Deletion::Mark(marked) };
    }
    metadata.insert("deletionTimestamp".to_owned(), json!(now));
    metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(0));
    if let Some(generation) = metadata.get("generation").and_then(Value::as_i64) {
        metadata.insert("generation".to_owned(), json!(generation + 1));
    }
    Deletion::Mark(marked)
}

/// The metadata of `object`, made if it is missing.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().expect("made an object just above")
}

/// The texts of a list.
pub fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Leaves out what says nothing, so that an emptied list and a list that never was are the same.
fn drop_empty(metadata: &mut Map<String, Value>) {
    metadata.retain(|field, value| match (field.as_str(), value) {
        (_, Value::Null) => false,
        ("finalizers" | "ownerReferences", Value::Array(list)) => !list.is_empty(),
        ("labels" | "annotations", Value::Object(map)) => !map.is_empty(),
        ("managedFields", Value::Array(list)) => !list.is_empty(),
        _ => true,
    });
}

fn put(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(map) = object.as_object_mut() else { return };
    match value {
        Some(value) => map.insert(field.to_owned(), value),
        None => map.remove(field),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUSTOM: Rules = Rules { status: true, generation: true };
    const NOW: &str = "2024-01-01T00:00:00Z";

    fn stored() -> Value {
        let mut object = json!({"kind": "Widget", "metadata": {"name": "a", "generation": 9, "selfLink": "x"},
            "spec": {"size": 1}, "status": {"forged": true}});
        begin(CUSTOM, &mut object, "u1", NOW);
        object["status"] = json!({"ready": true});
        object
    }

    #[test]
    fn a_new_object_gets_its_identity_from_the_plane_alone() {
        let object = stored();
        assert_eq!(object["metadata"]["uid"], "u1");
        assert_eq!(object["metadata"]["generation"], 1);
        assert!(object["metadata"].get("selfLink").is_none());
    }

    #[test]
    fn status_and_spec_are_each_written_through_their_own_door() {
        let old = stored();
        let mut new = old.clone();
        new["spec"]["size"] = json!(2);
        new["status"]["ready"] = json!(false);
        let mut main = new.clone();
        assert!(carry_over(CUSTOM, Part::Main, &old, &mut main).is_empty());
        assert_eq!((&main["spec"]["size"], &main["status"]["ready"]), (&json!(2), &json!(true)));
        let mut status = new;
        status["metadata"]["labels"] = json!({"a": "b"});
        assert!(carry_over(CUSTOM, Part::Status, &old, &mut status).is_empty());
        assert_eq!((&status["spec"]["size"], &status["status"]["ready"]), (&json!(1), &json!(false)));
        assert!(status["metadata"].get("labels").is_none());
    }

    #[test]
    fn generation_counts_changes_of_the_wanted_state_only() {
        let old = stored();
        for (path, value, expected) in [
            ("/spec/size", json!(2), 2),
            ("/status/ready", json!(false), 1),
            ("/metadata/name", json!("b"), 1),
        ] {
            let mut new = old.clone();
            *new.pointer_mut(path).unwrap() = value;
            bump_generation(CUSTOM, &old, &mut new);
            assert_eq!(new["metadata"]["generation"], expected, "{path}");
        }
    }

    #[test]
    fn identity_cannot_be_changed_and_may_be_left_out() {
        let old = stored();
        let mut new = old.clone();
        new["metadata"]["uid"] = json!("other");
        assert_eq!(carry_over(CUSTOM, Part::Main, &old, &mut new)[0].field, "metadata.uid");
        let mut bare = json!({"kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}});
        assert!(carry_over(CUSTOM, Part::Main, &old, &mut bare).is_empty());
        bump_generation(CUSTOM, &old, &mut bare);
        assert!(same(&old, &bare));
    }

    #[test]
    fn a_write_that_differs_only_in_version_and_manager_times_is_no_write() {
        let old =
            json!({"metadata": {"resourceVersion": "1", "managedFields": [{"manager": "a", "time": "x"}]}});
        let mut new =
            json!({"metadata": {"resourceVersion": "2", "managedFields": [{"manager": "a", "time": "y"}]}});
        assert!(same(&old, &new));
        new["metadata"]["managedFields"][0]["manager"] = json!("b");
        assert!(!same(&old, &new));
    }

    #[test]
    fn finalizers_hold_an_object_and_no_new_ones_come_while_it_leaves() {
        let mut object = stored();
        assert_eq!(delete(&object, Propagation::Background, false, NOW), Deletion::Remove);
        object["metadata"]["finalizers"] = json!(["a/b"]);
        let Deletion::Mark(marked) = delete(&object, Propagation::Background, false, NOW) else { panic!() };
        assert_eq!(marked["metadata"]["deletionTimestamp"], NOW);
        assert_eq!(marked["metadata"]["generation"], 2);
        assert!(!finished(&marked));
        assert_eq!(delete(&marked, Propagation::Background, false, "later"), Deletion::Unchanged);
        let mut more = marked.clone();
        more["metadata"]["finalizers"] = json!(["a/b", "c/d"]);
        assert_eq!(carry_over(CUSTOM, Part::Main, &marked, &mut more)[0].reason, "FieldValueForbidden");
        let mut free = marked.clone();
        free["metadata"]["finalizers"] = json!([]);
        assert!(carry_over(CUSTOM, Part::Main, &marked, &mut free).is_empty());
        assert!(finished(&free));
    }

    #[test]
    fn propagation_becomes_a_finalizer() {
        let object = stored();
        for (propagation, finalizer) in [(Propagation::Foreground, FOREGROUND), (Propagation::Orphan, ORPHAN)]
        {
            let Deletion::Mark(marked) = delete(&object, propagation, false, NOW) else { panic!() };
            assert_eq!(marked["metadata"]["finalizers"], json!([finalizer]));
        }
    }
}
