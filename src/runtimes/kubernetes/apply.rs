//! Applying: what is somebody else's is refused before anything is written, what stands as it should is left alone, and
//! what is rendered no more goes.

use kube::ResourceExt;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};

use crate::api::{APP_UID_LABEL, KEPT_LABEL};
use crate::domain::app::instance::Instance;
use crate::domain::app::kubernetes::drift::holds;
use crate::domain::app::kubernetes::render;
use crate::domain::retry::Class;
use crate::runtimes::kubernetes::failure::failed;
use crate::runtimes::kubernetes::objects::{
    CLAIM, JOB, ObjectKind, Whose, digest, document, text, version, whose,
};
use crate::runtimes::kubernetes::observe::Scene;
use crate::runtimes::kubernetes::{KubernetesRuntime, MANAGER};
use crate::runtimes::{Kind, RuntimeError};

impl KubernetesRuntime {
    /// Applies all objects, and removes those that are rendered no more.
    pub(super) async fn apply(&self, instance: &Instance) -> Result<(), RuntimeError> {
        let rendered = render(instance, &self.options);
        let (_, scene) = self.look(instance, &rendered).await?;
        if let Some(name) = scene.taken.first() {
            return Err(taken(&format!("Service {name}"), "its own parts would be led to that one"));
        }
        let mut before = Vec::new();
        for wanted in &scene.wanted {
            before.push(self.stands(instance, &scene, wanted).await?);
        }
        for (wanted, live) in scene.wanted.iter().zip(before) {
            if live.as_ref().is_some_and(|live| self.as_wished(wanted, live)) {
                continue;
            }
            self.put(instance, wanted, live).await?;
        }
        for (kind, stray) in scene.strays() {
            self.drop_object(kind, stray).await?;
        }
        Ok(())
    }

    /// The object that stands under a wanted one's name. Labels find what is ours; what has the name without them is
    /// somebody else's.
    async fn stands(
        &self,
        instance: &Instance,
        scene: &Scene,
        wanted: &Value,
    ) -> Result<Option<DynamicObject>, RuntimeError> {
        if let Some(live) = scene.live(wanted) {
            return Ok(Some(live.clone()));
        }
        let (kind, name) = (of(wanted)?, text(wanted, "/metadata/name"));
        let found = kind.api(&self.client, &instance.key.namespace).get_opt(name).await;
        let found =
            found.map_err(|e| failed(format!("read {} {name}", kind.2), e, |t| instance.masked(t)))?;
        let Some(found) = found else { return Ok(None) };
        match whose(&found, &instance.key, &instance.uid) {
            Whose::Ours => Ok(Some(found)),
            Whose::Kept if kind == CLAIM => Ok(Some(found)),
            _ => Err(taken(&format!("{} {name}", kind.2), "it is left as it is")),
        }
    }

    /// Whether `live` needs nothing.
    pub(super) fn as_wished(&self, wanted: &Value, live: &DynamicObject) -> bool {
        let stamp = digest_of(wanted);
        if digest(live) != stamp || live.metadata.deletion_timestamp.is_some() {
            return false;
        }
        let now = document(live);
        if text(wanted, "/kind") == CLAIM.2 {
            // What a claim asks for can't be changed, but for its size, which is its storage's business.
            return live.labels().get(KEPT_LABEL).is_none();
        }
        if text(wanted, "/kind") == JOB.2 && finished(&now) {
            return true;
        }
        holds(wanted, &now) || self.settled(&key(wanted), stamp, &version(live))
    }

    async fn put(
        &self,
        instance: &Instance,
        wanted: &Value,
        live: Option<DynamicObject>,
    ) -> Result<(), RuntimeError> {
        let (kind, name) = (of(wanted)?, text(wanted, "/metadata/name"));
        let api = kind.api(&self.client, &instance.key.namespace);
        let refused =
            |error: kube::Error| failed(format!("apply {} {name}", kind.2), error, |t| instance.masked(t));
        let mut wanted = wanted.clone();
        let mut live = live;
        if live.as_ref().is_some_and(|live| live.metadata.deletion_timestamp.is_some()) {
            let words = format!("{} {name} is still being removed", kind.2);
            return Err(RuntimeError::new(Kind::Other, Class::Transient, words));
        }
        if let Some(old) = live.take_if(|live| kind == JOB && digest(live) != digest_of(&wanted)) {
            // A Job's pods can't be changed: another one is made.
            self.drop_object(kind, &old).await?;
            if api.get_opt(name).await.map_err(refused)?.is_some() {
                let words = format!("Job {name} is still being removed");
                return Err(RuntimeError::new(Kind::Other, Class::Transient, words));
            }
        }
        if let Some(live) = &live {
            // The uid makes sure that nothing lands on another object of the same name.
            wanted["metadata"]["uid"] = json!(live.metadata.uid);
            if kind == CLAIM {
                self.adopt(instance, live).await?;
                as_it_is(&mut wanted, &document(live));
            }
        }
        let params = PatchParams::apply(MANAGER);
        // What doesn't stand yet is not forced: who made it in between keeps it.
        let params = if live.is_some() { params.force() } else { params };
        let now = api.patch(name, &params, &Patch::Apply(&wanted)).await.map_err(refused)?;
        match holds(&wanted, &document(&now)) {
            true => self.unsettle(&key(&wanted)),
            false => self.settle(key(&wanted), digest_of(&wanted).to_owned(), version(&now)),
        }
        Ok(())
    }

    /// Takes over a claim that was kept.
    async fn adopt(&self, instance: &Instance, claim: &DynamicObject) -> Result<(), RuntimeError> {
        if !claim.labels().contains_key(KEPT_LABEL) {
            return Ok(());
        }
        let name = claim.name_any();
        let patch = json!({ "metadata": {
            "resourceVersion": claim.resource_version(),
            "labels": { KEPT_LABEL: null, APP_UID_LABEL: instance.uid },
        } });
        let api = CLAIM.api(&self.client, &instance.key.namespace);
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let done = api.patch(&name, &params, &Patch::Merge(&patch)).await;
        done.map(drop).map_err(|e| failed(format!("take over claim {name}"), e, str::to_owned))
    }

    /// Removes one object, and what it made; the very one that was seen.
    pub(super) async fn drop_object(
        &self,
        kind: ObjectKind,
        object: &DynamicObject,
    ) -> Result<(), RuntimeError> {
        let name = object.name_any();
        let exactly = Preconditions { uid: object.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams::background().preconditions(exactly);
        let namespace = object.namespace().unwrap_or_default();
        match kind.api(&self.client, &namespace).delete(&name, &params).await {
            Ok(_) => Ok(()),
            // It is gone, or another one by now.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(failed(format!("remove {} {name}", kind.2), error, str::to_owned)),
        }
    }
}

/// A name that is somebody else's.
fn taken(what: &str, then: &str) -> RuntimeError {
    let words = format!(
        "{what} is somebody else's in this namespace; {then}. Install under another name or namespace"
    );
    RuntimeError::new(Kind::NameTaken, Class::User, words)
}

/// A claim's own wishes, which can't be changed any more.
fn as_it_is(wanted: &mut Value, live: &Value) {
    let spec = &live["spec"];
    let mut kept = json!({ "accessModes": spec["accessModes"], "resources": spec["resources"] });
    if !spec["storageClassName"].is_null() {
        kept["storageClassName"] = spec["storageClassName"].clone();
    }
    wanted["spec"] = kept;
}

/// Whether a Job came to its end.
pub(super) fn finished(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        matches!(condition["type"].as_str(), Some("Complete" | "Failed")) && condition["status"] == "True"
    })
}

fn of(wanted: &Value) -> Result<ObjectKind, RuntimeError> {
    ObjectKind::of(wanted).ok_or_else(|| {
        let words = format!("{} is no kind of an application", text(wanted, "/kind"));
        RuntimeError::new(Kind::Other, Class::Bug, words)
    })
}

/// The digest that a wanted object carries.
pub(super) fn digest_of(wanted: &Value) -> &str {
    wanted["metadata"]["annotations"][crate::api::DIGEST_LABEL].as_str().unwrap_or_default()
}

fn key(wanted: &Value) -> String {
    let part = |path| text(wanted, path);
    format!("{}/{}/{}", part("/kind"), part("/metadata/namespace"), part("/metadata/name"))
}
