//! Removing: what carries the App's labels and uid, and nothing by its name.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::api::KEPT_LABEL;
use crate::domain::app::instance::AppKey;
use crate::runtimes::kubernetes::failure::plainly;
use crate::runtimes::kubernetes::objects::{CLAIM, KINDS, Whose, kept_for, of_app, whose};
use crate::runtimes::kubernetes::{KubernetesRuntime, MANAGER};
use crate::runtimes::{Clear, RuntimeError};

impl KubernetesRuntime {
    /// Removes everything of an App, or all but its claims; answers what is still there.
    pub(super) async fn remove(
        &self,
        key: &AppKey,
        uid: &str,
        what: Clear,
    ) -> Result<Vec<String>, RuntimeError> {
        for kind in KINDS.iter().filter(|kind| **kind != CLAIM) {
            for object in kind.list(&self.client, &key.namespace, &of_app(uid)).await? {
                if whose(&object, key, uid) == Whose::Ours && object.metadata.deletion_timestamp.is_none() {
                    self.drop_object(*kind, &object).await?;
                }
            }
        }
        for claim in self.claims(key, uid, what.data).await? {
            match what.data {
                true => self.drop_object(CLAIM, &claim).await?,
                false => self.keep(&claim).await?,
            }
        }
        self.left(key, uid, what.data).await
    }

    /// The App's claims; with `kept` those that an earlier one of its name left, too.
    async fn claims(&self, key: &AppKey, uid: &str, kept: bool) -> Result<Vec<DynamicObject>, RuntimeError> {
        let mut claims = CLAIM.list(&self.client, &key.namespace, &of_app(uid)).await?;
        if kept {
            claims.extend(CLAIM.list(&self.client, &key.namespace, &kept_for(key)).await?);
        }
        let ours = |claim: &DynamicObject| match whose(claim, key, uid) {
            Whose::Ours => true,
            Whose::Kept => kept,
            Whose::Foreign => false,
        };
        claims.retain(ours);
        Ok(claims)
    }

    /// Marks a claim as kept. The uid on it stays: it says whose data these were, and nobody owns the claim.
    async fn keep(&self, claim: &DynamicObject) -> Result<(), RuntimeError> {
        if claim.labels().contains_key(KEPT_LABEL) && claim.owner_references().is_empty() {
            return Ok(());
        }
        let patch = json!({ "metadata": {
            "uid": claim.metadata.uid, "labels": { KEPT_LABEL: "true" }, "ownerReferences": null,
        } });
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let api = CLAIM.api(&self.client, &claim.namespace().unwrap_or_default());
        let name = claim.name_any();
        match api.patch(&name, &params, &Patch::Merge(&patch)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(plainly(&format!("keep claim {name}"))(error)),
        }
    }

    /// What is not gone yet, in words.
    async fn left(&self, key: &AppKey, uid: &str, data: bool) -> Result<Vec<String>, RuntimeError> {
        let mut left = Vec::new();
        for kind in KINDS.iter().filter(|kind| **kind != CLAIM) {
            let found = kind.list(&self.client, &key.namespace, &of_app(uid)).await?;
            let found = found.iter().filter(|object| whose(object, key, uid) == Whose::Ours);
            left.extend(found.map(|object| format!("{} {} is being removed", kind.2, object.name_any())));
        }
        if data {
            let claims = self.claims(key, uid, true).await?;
            left.extend(claims.iter().map(|claim| format!("claim {} is being removed", claim.name_any())));
        }
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let found = pods.list(&ListParams::default().labels(&of_app(uid))).await;
        let found = found.map_err(plainly("list pods"))?;
        left.extend(found.items.iter().map(|pod| format!("pod {} is ending", pod.name_any())));
        Ok(left)
    }
}
