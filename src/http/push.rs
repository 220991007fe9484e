//! Carries out what a leader's push asks for. `wire::import` decides; this lists, tries every write without effect
//! first, so that a refusal changes nothing, and then writes: Secrets, nodes, services, removals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret as SecretObject};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, NamespaceResourceScope};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tracing::warn;

use crate::api::node::CocoaNode;
use crate::api::service::ManagedService;
use crate::api::{
    ADOPT_ANNOTATION, ORIGIN_LABEL, ORIGIN_LEADER, OWNER_CONFIG_MAP, OWNER_KEY, PROVIDER_LABEL,
    RELEASE_ANNOTATION, RELEASED_BY_LEADER,
};
use crate::domain::marks::OwnerId;
use crate::domain::names::FieldError;
use crate::domain::scope::Scope;
use crate::wire::cluster::CocoaBasic;
use crate::wire::import::{Deletion, Existing, FIELD_MANAGER, Plan, Taken, plan};

/// ConfigMap in the system namespace that remembers which push was taken last.
pub const TAKEN_CONFIG_MAP: &str = "cocoasyncer-cluster";
/// Writes under way at a time; the store commits those that come together in one go.
const CONCURRENCY: usize = 16;

/// Objects in one answer of a list.
const PAGE: u32 = 500;

/// Longest that one push may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// Why a push was not taken, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// What stands in it can't be; nothing was changed.
    #[error(transparent)]
    Refused(FieldError),
    /// The API server refuses what would be written; nothing was changed.
    #[error("{object}: {message}")]
    Invalid {
        /// The object that would be written.
        object: String,
        /// The API server's words.
        message: String,
    },
    /// Another replica of this node takes a push at this moment.
    #[error("another replica of this node is taking a push")]
    Raced,
    /// The API server took too long.
    #[error("the push was not written within {} s", DEADLINE.as_secs())]
    Deadline,
    /// Reading or writing failed.
    #[error("{step} {object}")]
    Api {
        /// What was tried.
        step: &'static str,
        /// With which object.
        object: String,
        /// Why it failed.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Takes pushes, one after the other.
pub struct Pushes {
    client: Client,
    scope: Arc<Scope>,
    /// Who marks records, where a setting fixes it: then no push changes it.
    owner: Option<OwnerId>,
    /// Whose turn it is, and the leader's owner id that was passed over last, so that it is said once.
    turn: Mutex<Option<OwnerId>>,
}

/// One object to apply.
struct Write {
    resource: ApiResource,
    namespace: Option<String>,
    name: String,
    object: Value,
    /// Whether the API server's words about it may be repeated: about a Secret they may not.
    quotable: bool,
}

impl Pushes {
    /// Writes through this client, within `scope`. No push changes an `owner` that a setting fixes.
    pub fn new(client: Client, scope: Arc<Scope>, owner: Option<OwnerId>) -> Self {
        Self { client, scope, owner, turn: Mutex::default() }
    }

    /// Takes a push on the node whose object is `me`, and says how many objects changed.
    pub async fn take(&self, push: &CocoaBasic, me: &str) -> Result<usize, PushError> {
        let mut turn = self.turn.lock().await;
        // The client may retry for long; the leader pushes again anyway.
        match tokio::time::timeout(DEADLINE, self.taking(push, me, &mut turn)).await {
            Ok(done) => done,
            Err(_) => Err(PushError::Deadline),
        }
    }

    async fn taking(
        &self,
        push: &CocoaBasic,
        me: &str,
        passed_over: &mut Option<OwnerId>,
    ) -> Result<usize, PushError> {
        let (nodes, services, secrets, taken, owner) = tokio::try_join!(
            list("list CocoaNodes", Api::<CocoaNode>::all(self.client.clone()), None),
            list("list ManagedServices", Api::<ManagedService>::all(self.client.clone()), None),
            self.secrets(),
            self.taken(),
            self.owner(),
        )?;
        let existing = Existing {
            system: self.scope.system(),
            me,
            nodes: &nodes,
            services: &services,
            secrets: &secrets,
            taken: taken.0.as_ref(),
            owner: owner.as_ref(),
        };
        let mut plan = plan(push, &existing).map_err(PushError::Refused)?;
        for namespace in &plan.namespaces {
            self.check(namespace)?;
        }
        if let Some(own) = &owner {
            self.weigh(own, &mut plan, passed_over);
        }
        let remember = plan.taken.as_ref().filter(|now| taken.0.as_ref() != Some(*now));
        if plan.is_empty() && remember.is_none() {
            return Ok(0);
        }
        self.carry_out(&plan, remember.map(|now| (now, taken.1.clone()))).await?;
        let Plan { owner, secrets, nodes, services, deletions, .. } = &plan;
        Ok(usize::from(owner.is_some()) + secrets.len() + nodes.len() + services.len() + deletions.len())
    }

    /// Keeps an owner id that a setting fixes, and says what it means that the leader's is another.
    fn weigh(&self, own: &OwnerId, plan: &mut Plan, passed_over: &mut Option<OwnerId>) {
        let Some(leaders) = &plan.owner else { return };
        if self.owner.is_none() {
            warn!(%own, %leaders, "takes the leader's owner id: records marked with the own one are foreign until adopted");
            return;
        }
        if passed_over.as_ref() != Some(leaders) {
            warn!(%own, %leaders, "--owner-id differs from the leader's: each takes the other's records for foreign");
        }
        *passed_over = plan.owner.take();
    }

    async fn carry_out(
        &self,
        plan: &Plan,
        remember: Option<(&Taken, Option<String>)>,
    ) -> Result<(), PushError> {
        let settings: Vec<Write> = plan.owner.iter().map(|id| owner(id, self.scope.system())).collect();
        let secrets: Vec<Write> = plan.secrets.iter().map(secret).collect();
        let nodes: Vec<Write> = plan.nodes.iter().map(node).collect();
        let services: Vec<Write> = plan.services.iter().map(service).collect();
        let system = remember.is_some() || plan.owner.is_some();
        let system = system.then(|| self.scope.system().to_owned());
        let namespaces: BTreeSet<&String> = plan.namespaces.iter().chain(&system).collect();
        for namespace in namespaces {
            self.ensure_namespace(namespace).await?;
        }
        for dry_run in [true, false] {
            if let (Some((taken, version)), false) = (&remember, dry_run) {
                // Remembered first: an older push that comes between must be refused even if this one breaks off.
                self.remember(taken, version.as_deref()).await?;
            }
            for writes in [&settings, &secrets, &nodes, &services] {
                let each: Vec<_> = writes.iter().map(|write| self.apply(write, dry_run)).collect();
                stream::iter(each).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
            }
        }
        let each: Vec<_> = plan.deletions.iter().map(|gone| self.delete(gone, plan.judged)).collect();
        stream::iter(each).buffer_unordered(CONCURRENCY).try_collect::<()>().await
    }

    /// Secrets that a push may concern; others are not even read.
    async fn secrets(&self) -> Result<Vec<SecretObject>, PushError> {
        let mark = format!("{ORIGIN_LABEL}={ORIGIN_LEADER}");
        let (mut all, mut accounts) = (Vec::new(), Vec::new());
        for place in self.scope.places() {
            let api: Api<SecretObject> = match place {
                Some(namespace) => namespaced(self.client.clone(), namespace),
                None => Api::all(self.client.clone()),
            };
            all.extend(list("list the leader's Secrets", api.clone(), Some(&mark)).await?);
            accounts.extend(list("list accounts' Secrets", api, Some(PROVIDER_LABEL)).await?);
        }
        let known = |one: &SecretObject| {
            all.iter().any(|other| other.name_any() == one.name_any() && other.namespace() == one.namespace())
        };
        let more: Vec<_> = accounts.into_iter().filter(|account| !known(account)).collect();
        all.extend(more);
        Ok(all)
    }

    /// What was taken last, and in which version that stands; two replicas may be pushed to at a time.
    async fn taken(&self) -> Result<(Option<Taken>, Option<String>), PushError> {
        let (data, version) = self.kept(TAKEN_CONFIG_MAP).await?;
        let read = || {
            let generation = data.get("generation")?.parse().ok()?;
            Some(Taken {
                leader: data.get("leader")?.clone(),
                created_at: data.get("createdAt")?.parse().ok()?,
                generation,
            })
        };
        Ok((read(), version))
    }

    /// Remembers what is taken now, unless another replica has taken one since.
    async fn remember(&self, taken: &Taken, version: Option<&str>) -> Result<(), PushError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.scope.system());
        let mut object = remembered(taken, self.scope.system()).object;
        let failed = |source| PushError::Api {
            step: "remember the push in ConfigMap",
            object: TAKEN_CONFIG_MAP.to_owned(),
            source: Box::new(source),
        };
        let manager = Some(FIELD_MANAGER.to_owned());
        let done = match version {
            Some(version) => {
                object["metadata"]["resourceVersion"] = json!(version);
                let params = PatchParams { field_manager: manager, ..PatchParams::default() };
                api.patch(TAKEN_CONFIG_MAP, &params, &Patch::Merge(object)).await
            }
            None => {
                let map: ConfigMap =
                    serde_json::from_value(object).map_err(|error| failed(kube::Error::SerdeError(error)))?;
                let params = PostParams { field_manager: manager, ..PostParams::default() };
                api.create(&params, &map).await
            }
        };
        match done {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Err(PushError::Raced)
            }
            Err(source) => Err(failed(source)),
        }
    }

    /// Who marks records now: as a setting fixes it, else as it is kept.
    async fn owner(&self) -> Result<Option<OwnerId>, PushError> {
        if self.owner.is_some() {
            return Ok(self.owner.clone());
        }
        let (data, _) = self.kept(OWNER_CONFIG_MAP).await?;
        Ok(data.get(OWNER_KEY).and_then(|id| OwnerId::parse(id, OWNER_KEY).ok()))
    }

    /// What a ConfigMap of the operator's keeps, and its version; nothing where there is none.
    async fn kept(&self, name: &str) -> Result<(BTreeMap<String, String>, Option<String>), PushError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.scope.system());
        let failed = |source| PushError::Api {
            step: "get ConfigMap",
            object: name.to_owned(),
            source: Box::new(source),
        };
        let map = api.get_opt(name).await.map_err(failed)?;
        let version = map.as_ref().and_then(ResourceExt::resource_version);
        Ok((map.and_then(|map| map.data).unwrap_or_default(), version))
    }

    fn check(&self, namespace: &str) -> Result<(), PushError> {
        if self.scope.covers(namespace) {
            return Ok(());
        }
        let words = format!("{namespace} is not served here: add it to --namespaces of this node's operator");
        Err(PushError::Refused(FieldError::new("operator.namespace", words)))
    }

    async fn ensure_namespace(&self, name: &str) -> Result<(), PushError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let failed = |source| PushError::Api {
            step: "create Namespace",
            object: name.to_owned(),
            source: Box::new(source),
        };
        if api.get_opt(name).await.map_err(failed)?.is_some() {
            return Ok(());
        }
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        match api.create(&Default::default(), &namespace).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(source) => Err(failed(source)),
        }
    }

    async fn apply(&self, write: &Write, dry_run: bool) -> Result<(), PushError> {
        let api: Api<DynamicObject> = match &write.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &write.resource),
            None => Api::all_with(self.client.clone(), &write.resource),
        };
        let params = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER).force() };
        let object = || format!("{} {}", write.resource.kind, write.name);
        match api.patch(&write.name, &params, &Patch::Apply(&write.object)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if dry_run && matches!(status.code, 400 | 422) => {
                let words = if write.quotable { status.message } else { "is not accepted".to_owned() };
                Err(PushError::Invalid { object: object(), message: words })
            }
            Err(source) => Err(PushError::Api { step: "apply", object: object(), source: Box::new(source) }),
        }
    }

    /// Deletes; what a leader of our kind has `judged` is not held by this node's guard again.
    async fn delete(&self, gone: &Deletion, judged: bool) -> Result<(), PushError> {
        let client = self.client.clone();
        let (done, object) = match gone {
            Deletion::Node(name) => {
                let api: Api<CocoaNode> = Api::all(client);
                (api.delete(name, &DeleteParams::default()).await.map(drop), format!("CocoaNode {name}"))
            }
            Deletion::Service(id) => {
                let api = namespaced::<ManagedService>(client, &id.namespace);
                if judged {
                    let released =
                        json!({"metadata": {"annotations": {RELEASE_ANNOTATION: RELEASED_BY_LEADER}}});
                    // Where it fails the deletion is held, and the next push tries again.
                    let _ = api.patch(&id.name, &PatchParams::default(), &Patch::Merge(released)).await;
                }
                (
                    api.delete(&id.name, &DeleteParams::default()).await.map(drop),
                    format!("ManagedService {id}"),
                )
            }
            Deletion::Secret(id) => {
                let api = namespaced::<SecretObject>(client, &id.namespace);
                (api.delete(&id.name, &DeleteParams::default()).await.map(drop), format!("Secret {id}"))
            }
        };
        match done {
            Ok(()) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(source) => Err(PushError::Api { step: "delete", object, source: Box::new(source) }),
        }
    }
}

/// Lists, by pages: a cluster may hold thousands.
async fn list<K>(step: &'static str, api: Api<K>, labels: Option<&str>) -> Result<Vec<K>, PushError>
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let mut params = ListParams::default().limit(PAGE);
    params.label_selector = labels.map(str::to_owned);
    let mut all = Vec::new();
    loop {
        let failed = |source| PushError::Api { step, object: String::new(), source: Box::new(source) };
        let page = api.list(&params).await.map_err(failed)?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(all),
        }
    }
}

fn namespaced<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(
    client: Client,
    namespace: &str,
) -> Api<K> {
    Api::namespaced(client, namespace)
}

fn secret(write: &crate::wire::import::SecretWrite) -> Write {
    let data: BTreeMap<&String, ByteString> =
        write.data.iter().map(|(key, value)| (key, ByteString(value.expose().as_bytes().to_vec()))).collect();
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
        "metadata": {"name": write.id.name, "namespace": write.id.namespace, "labels": write.labels},
    });
    Write {
        resource: ApiResource::erase::<SecretObject>(&()),
        namespace: Some(write.id.namespace.clone()),
        name: write.id.name.clone(),
        object,
        quotable: false,
    }
}

fn node(write: &crate::wire::import::NodeWrite) -> Write {
    let resource = ApiResource::erase::<CocoaNode>(&());
    let mut metadata = json!({"name": write.name});
    if write.marked {
        metadata["labels"] = json!({ORIGIN_LABEL: ORIGIN_LEADER});
    }
    let object = json!({
        "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": write.spec,
    });
    Write { resource, namespace: None, name: write.name.clone(), object, quotable: true }
}

fn service(write: &crate::wire::import::ServiceWrite) -> Write {
    let resource = ApiResource::erase::<ManagedService>(&());
    let mut object = json!({
        "apiVersion": resource.api_version, "kind": resource.kind, "spec": write.spec,
        "metadata": {
            "name": write.id.name, "namespace": write.id.namespace, "labels": {ORIGIN_LABEL: ORIGIN_LEADER},
        },
    });
    if !write.release.is_empty() {
        object["metadata"]["annotations"][RELEASE_ANNOTATION] = json!(write.release);
    }
    if let Some(adopt) = write.adopt {
        object["metadata"]["annotations"][ADOPT_ANNOTATION] = json!(adopt.to_string());
    }
    let namespace = Some(write.id.namespace.clone());
    Write { resource, namespace, name: write.id.name.clone(), object, quotable: true }
}

fn remembered(taken: &Taken, system: &str) -> Write {
    let Taken { leader, created_at, generation } = taken;
    let data =
        json!({"leader": leader, "createdAt": created_at.to_string(), "generation": generation.to_string()});
    config_map((system, TAKEN_CONFIG_MAP), json!({}), data)
}

/// With the leader's mark, so that a node that leaves forgets it.
fn owner(id: &OwnerId, system: &str) -> Write {
    let labels = json!({ORIGIN_LABEL: ORIGIN_LEADER});
    config_map((system, OWNER_CONFIG_MAP), labels, json!({OWNER_KEY: id.as_str()}))
}

fn config_map((namespace, name): (&str, &str), labels: Value, data: Value) -> Write {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "data": data,
    });
    Write {
        resource: ApiResource::erase::<ConfigMap>(&()),
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
        object,
        quotable: true,
    }
}

#[cfg(test)]
pub(super) mod tests;
