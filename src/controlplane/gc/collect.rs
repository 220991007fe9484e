//! The steps of collection.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{FutureExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::Collector;
use crate::controlplane::{
    engine::{Call, delete::DeleteOptions, now_text},
    object::{self, Part, Propagation},
    registry::{Origin, Resource, crd},
    status::Refusal,
};

/// How many deletions run beside each other; they share transactions.
const WIDTH: usize = 32;

/// What an owner reference points to.
enum Owner {
    /// An object that stays.
    Solid,
    /// An object that waits for its dependents to go.
    Waiting,
    /// Nothing.
    Gone,
}

/// What a namespace that is being deleted still waits for.
#[derive(Default)]
struct Left {
    /// How many objects of a resource.
    resources: BTreeMap<String, usize>,
    /// How many objects a finalizer holds.
    finalizers: BTreeMap<String, usize>,
}

impl Left {
    fn add(&mut self, resource: &Resource, held: Vec<Vec<String>>) {
        if held.is_empty() {
            return;
        }
        *self.resources.entry(resource.full_name()).or_default() += held.len();
        for finalizer in held.into_iter().flatten() {
            *self.finalizers.entry(finalizer).or_default() += 1;
        }
    }

    /// The namespace with conditions that say so, in the words that `kubectl describe` is known for.
    fn said(&self, namespace: Value, now: &str) -> Value {
        let mut namespace = namespace;
        let list = |all: &BTreeMap<String, usize>, how: &str| {
            let rows: Vec<String> =
                all.iter().map(|(name, count)| format!("{name}{how} {count} resource instances")).collect();
            rows.join(", ")
        };
        let remain = format!("Some resources are remaining: {}", list(&self.resources, ". has"));
        let wait = format!(
            "Some content in the namespace has finalizers remaining: {}",
            list(&self.finalizers, " in")
        );
        let deleted = "All content successfully deleted, may be waiting on finalization";
        let rows = [
            (
                "NamespaceDeletionDiscoveryFailure",
                false,
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
            ("NamespaceDeletionContentFailure", false, "ContentDeleted", deleted),
            match self.resources.is_empty() {
                true => {
                    ("NamespaceContentRemaining", false, "ContentRemoved", "All content successfully removed")
                }
                false => ("NamespaceContentRemaining", true, "SomeResourcesRemain", &remain),
            },
            match self.finalizers.is_empty() {
                true => {
                    let gone = "All content-preserving finalizers finished";
                    ("NamespaceFinalizersRemaining", false, "ContentHasNoFinalizers", gone)
                }
                false => ("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", &wait),
            },
        ];
        if !namespace["status"].is_object() {
            namespace["status"] = json!({});
        }
        for (kind, holds, reason, message) in rows {
            crd::set_condition(&mut namespace["status"], kind, holds, reason, message, now);
        }
        namespace
    }
}

impl Collector {
    /// Deletes an object none of whose owners is left; drops references to owners that are gone.
    pub(super) async fn dependent(&self, key: &str) -> Result<(), Refusal> {
        let Some((call, object)) = self.call(key) else { return Ok(()) };
        let owners: Vec<&Value> =
            object["metadata"]["ownerReferences"].as_array().into_iter().flatten().collect();
        let mut lost = Vec::new();
        let (mut solid, mut waiting) = (false, false);
        for owner in &owners {
            let uid = owner["uid"].as_str().unwrap_or_default().to_owned();
            match self.judge(owner, call.namespace.as_deref())? {
                Owner::Solid => solid = true,
                Owner::Waiting => {
                    waiting = true;
                    lost.push(uid);
                }
                Owner::Gone => lost.push(uid),
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        if solid {
            return self.disown(&call, &lost).await;
        }
        let finalizers = object::texts(&object["metadata"]["finalizers"]);
        let own = object["metadata"]["uid"].as_str().unwrap_or_default();
        let propagation = if finalizers.contains(&object::ORPHAN) {
            Propagation::Orphan
        } else if waiting && !self.index.dependents(own).is_empty() {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        // Already leaving: nothing to add.
        if object["metadata"]["deletionTimestamp"].is_string() {
            return Ok(());
        }
        let options =
            DeleteOptions { propagation: Some(propagation), uid: Some(own.to_owned()), version: None };
        gone_is_fine(self.engine.delete(&call, &options).await.map(drop))
    }

    /// Lets a deleted owner go when its dependents are gone, or are its dependents no more.
    pub(super) async fn owner(&self, key: &str) -> Result<(), Refusal> {
        let Some((call, object)) = self.call(key) else { return Ok(()) };
        let metadata = &object["metadata"];
        if !metadata["deletionTimestamp"].is_string() {
            return Ok(());
        }
        let uid = metadata["uid"].as_str().unwrap_or_default().to_owned();
        let finalizers = object::texts(&metadata["finalizers"]);
        let dependents = self.index.dependents(&uid);
        if finalizers.contains(&object::ORPHAN) {
            let lost = [uid];
            let calls: Vec<Call> =
                dependents.iter().filter_map(|key| self.call(key)).map(|(call, _)| call).collect();
            let mut work = stream::FuturesUnordered::new();
            for call in &calls {
                work.push(self.disown(call, &lost).boxed());
                if WIDTH <= work.len() {
                    work.try_next().await?;
                }
            }
            while work.try_next().await?.is_some() {}
            drop(work);
            return self.engine.release(&call, object::ORPHAN).await;
        }
        if !finalizers.contains(&object::FOREGROUND) {
            return Ok(());
        }
        let mut blocked = false;
        for key in &dependents {
            self.dependent(key).await?;
            let still = self.engine.store.get(key).map_err(crate::controlplane::engine::read_refusal)?;
            blocked |= still.is_some_and(|stored| blocks(&stored.value(), &uid));
        }
        if blocked { Ok(()) } else { self.engine.release(&call, object::FOREGROUND).await }
    }

    /// Empties a namespace that is being deleted, then lets it go.
    pub(super) async fn namespace(&self, name: &str) -> Result<(), Refusal> {
        let namespaces = self.engine.namespaces();
        let Some(stored) = self.engine.find(&namespaces, None, name)? else { return Ok(()) };
        if !stored.value()["metadata"]["deletionTimestamp"].is_string() {
            return Ok(());
        }
        let served = self.engine.registry.served();
        let (mut left, mut seen) = (Left::default(), BTreeSet::new());
        for resource in served.all().filter(|one| one.namespaced && one.origin != Origin::Review) {
            let prefix = resource.prefix(Some(name));
            // Versions of one kind share their objects.
            if seen.insert(prefix.clone()) {
                left.add(resource, self.empty(&prefix).await?);
            }
        }
        let call = Call { part: Part::Status, ..Call::internal(namespaces, None, name) };
        let said = self.engine.modify(&call, false, |live| Ok(left.said(live.clone(), &now_text())));
        gone_is_fine(said.await.map(drop))?;
        if !left.resources.is_empty() {
            return Ok(());
        }
        let call = Call { part: Part::Finalize, ..call };
        let finalize = self.engine.modify(&call, false, |live| {
            let mut next = live.clone();
            let kept: Vec<&str> = object::texts(&live["spec"]["finalizers"])
                .into_iter()
                .filter(|one| *one != "kubernetes")
                .collect();
            next["spec"]["finalizers"] = json!(kept);
            if kept.is_empty()
                && let Some(spec) = next["spec"].as_object_mut()
            {
                spec.remove("finalizers");
            }
            Ok(next)
        });
        gone_is_fine(finalize.await.map(drop))
    }

    /// Deletes the objects of a definition that is being deleted, then lets it go.
    pub(super) async fn definition(&self, name: &str) -> Result<(), Refusal> {
        let definitions = self.engine.definitions();
        let Some(stored) = self.engine.find(&definitions, None, name)? else { return Ok(()) };
        let definition = stored.value();
        if !definition["metadata"]["deletionTimestamp"].is_string() {
            return Ok(());
        }
        let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let prefix = format!(
            "{}/{}/",
            part(&definition["spec"]["group"]),
            part(&definition["spec"]["names"]["plural"])
        );
        // A definition whose names were never accepted owns no objects, whoever has those names does.
        if crd::established(&definition) && !self.empty(&prefix).await?.is_empty() {
            return Ok(());
        }
        self.engine.release(&Call::internal(definitions.clone(), None, name), crd::CLEANUP).await?;
        self.free_names(&definitions, &definition["spec"]["group"]).await
    }

    /// Judges anew the definitions of a group whose names were taken.
    async fn free_names(&self, definitions: &Arc<Resource>, group: &Value) -> Result<(), Refusal> {
        let mut waiting = Vec::new();
        self.engine
            .store
            .scan(&definitions.prefix(None), |_, body| {
                let one: Value = serde_json::from_slice(body).unwrap_or_default();
                if one["spec"]["group"] == *group && !crd::established(&one) {
                    waiting.extend(one["metadata"]["name"].as_str().map(str::to_owned));
                }
            })
            .map_err(crate::controlplane::engine::read_refusal)?;
        for name in waiting {
            let call = Call::internal(definitions.clone(), None, &name);
            // Every write of a definition judges its names.
            gone_is_fine(self.engine.modify(&call, false, |live| Ok(live.clone())).await.map(drop))?;
        }
        Ok(())
    }

    /// Deletes everything under `prefix`; returns the finalizers of each object that they hold.
    async fn empty(&self, prefix: &str) -> Result<Vec<Vec<String>>, Refusal> {
        let mut keys = Vec::new();
        self.engine
            .store
            .scan(prefix, |key, _| keys.push(key.to_owned()))
            .map_err(crate::controlplane::engine::read_refusal)?;
        let calls: Vec<Call> = keys.iter().filter_map(|key| self.call(key)).map(|(call, _)| call).collect();
        let mut work = stream::FuturesUnordered::new();
        let mut left = Vec::new();
        for call in &calls {
            work.push(self.discard(call).boxed());
            if WIDTH <= work.len() {
                left.extend(work.try_next().await?.flatten());
            }
        }
        while let Some(one) = work.try_next().await? {
            left.extend(one);
        }
        Ok(left)
    }

    /// Deletes one object; returns the finalizers that hold it, if any do.
    async fn discard(&self, call: &Call) -> Result<Option<Vec<String>>, Refusal> {
        match self.engine.delete(call, &DeleteOptions::default()).await {
            Ok(done) if done.removed => Ok(None),
            Ok(done) => {
                let finalizers = object::texts(&done.object["metadata"]["finalizers"]);
                Ok(Some(finalizers.into_iter().map(str::to_owned).collect()))
            }
            Err(refusal) if refusal.code == 404 => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    async fn disown(&self, call: &Call, lost: &[String]) -> Result<(), Refusal> {
        let disowned = self.engine.modify(call, false, |live| {
            let mut next = live.clone();
            if let Some(list) = next["metadata"]["ownerReferences"].as_array_mut() {
                list.retain(|owner| !lost.iter().any(|uid| owner["uid"] == uid.as_str()));
                if list.is_empty() {
                    object::metadata_mut(&mut next).remove("ownerReferences");
                }
            }
            Ok(next)
        });
        gone_is_fine(disowned.await.map(drop))
    }

    fn judge(&self, owner: &Value, namespace: Option<&str>) -> Result<Owner, Refusal> {
        let text = |field: &str| owner[field].as_str().unwrap_or_default();
        let served = self.engine.registry.served();
        let Some(resource) = served.find_kind(text("apiVersion"), text("kind")) else {
            // Not ours to know. Whoever deletes on ignorance deletes too much.
            return Ok(Owner::Solid);
        };
        let namespace = if resource.namespaced { namespace } else { None };
        let Some(stored) = self.engine.find(&resource, namespace, text("name"))? else {
            return Ok(Owner::Gone);
        };
        let object = stored.value();
        let metadata = &object["metadata"];
        if metadata["uid"] != owner["uid"] {
            return Ok(Owner::Gone);
        }
        let foreground = object::texts(&metadata["finalizers"]).contains(&object::FOREGROUND);
        let waiting = foreground && metadata["deletionTimestamp"].is_string();
        Ok(if waiting { Owner::Waiting } else { Owner::Solid })
    }

    /// The object at `key`, and how to write it.
    pub(super) fn call(&self, key: &str) -> Option<(Call, Value)> {
        let (stored, namespace, name) = self.at(key)?;
        let resource = self.engine.registry.served().of_key(key)?;
        let namespace = resource.namespaced.then_some(namespace);
        let object = resource.present(&stored);
        Some((Call::internal(resource, namespace.as_deref(), &name), object))
    }
}

/// Whether `dependent` holds up the deletion of its owner `uid`.
fn blocks(dependent: &Value, uid: &str) -> bool {
    let owners = dependent["metadata"]["ownerReferences"].as_array();
    owners.is_some_and(|list| {
        list.iter().any(|one| one["uid"] == uid && one["blockOwnerDeletion"] == json!(true))
    })
}

fn gone_is_fine(outcome: Result<(), Refusal>) -> Result<(), Refusal> {
    match outcome {
        // Gone, or replaced by another of the same name: either way not what was to be collected.
        Err(refusal) if matches!(refusal.code, 404 | 409) => Ok(()),
        other => other,
    }
}
