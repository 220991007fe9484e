//! A folder of manifests, applied at start and whenever it changes, for people without kubectl.
//!
//! What vanished from the folder is deleted only where it carries our marks and the whole folder was read twice alike;
//! an unreadable or empty folder deletes nothing. A folder that did not change makes no request at all.

mod files;
pub mod import;
pub mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::discovery::{ApiCapabilities, ApiResource, Scope, verbs};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::Discovery;
use ring::digest::SHA256;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::api::{ORIGIN_LABEL, ORIGIN_MANIFESTS};
use crate::controllers::manifests::files::{digest, files};
use crate::controllers::manifests::read::{FILE_ANNOTATION, Folder, Key, Manifest};
use crate::domain::retry::{Class, retry_in};
use crate::telemetry::chain::Chain;

/// Field manager of what the folder says.
pub const FIELD_MANAGER: &str = "cocoasyncer/manifests";
/// How often the folder is looked at.
pub const POLL: Duration = Duration::from_secs(2);
/// Namespace of namespaced objects that name none.
const DEFAULT_NAMESPACE: &str = "default";
/// No single request may take longer.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

type Digest = Vec<u8>;

/// What one look at the folder did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    /// Objects that were sent.
    pub applied: usize,
    /// Objects that were sent in vain; they are tried again.
    pub failed: usize,
    /// Objects and documents that were refused; an edit must mend them.
    pub refused: usize,
    /// Objects that had vanished from the folder.
    pub deleted: usize,
}

/// The folders and what is known to stand.
pub struct Manifests {
    client: Client,
    folders: Vec<PathBuf>,
    seen: Option<Seen>,
    applied: BTreeMap<Key, Digest>,
    waiting: BTreeMap<Key, Waiting>,
}

struct Seen {
    digest: Digest,
    folder: Folder,
    /// Whether every file could be read.
    readable: bool,
    /// Whether the folder says all that it means to say, so that what it doesn't say may go.
    complete: bool,
    pruned: bool,
}

struct Waiting {
    failures: u32,
    /// `None`: only an edit helps.
    next: Option<Instant>,
    digest: Digest,
}

/// A failed request.
#[derive(Debug, thiserror::Error)]
enum ApplyError {
    #[error("the server knows no kind {kind} in {api_version}")]
    UnknownKind { api_version: String, kind: String },
    #[error("no answer within {} s", REQUEST_DEADLINE.as_secs())]
    Deadline,
    #[error("apiVersion: can't be read")]
    ApiVersion,
    #[error("{0}")]
    Refused(String, Class),
    #[error(transparent)]
    Kube(kube::Error),
}

impl ApplyError {
    fn class(&self) -> Class {
        match self {
            ApplyError::ApiVersion => Class::User,
            ApplyError::Refused(_, class) => *class,
            ApplyError::UnknownKind { .. } | ApplyError::Deadline | ApplyError::Kube(_) => Class::Transient,
        }
    }
}

/// What a server refused in its own words; but for a Secret, whose content those words may quote.
fn refused(error: kube::Error, kind: &str) -> ApplyError {
    let kube::Error::Api(status) = error else {
        return ApplyError::Kube(error);
    };
    let class = if matches!(status.code, 400 | 404 | 422) { Class::User } else { Class::Transient };
    let fields = status.details.iter().flat_map(|details| &details.causes).map(|cause| cause.field.as_str());
    let words = match kind {
        "Secret" => format!("{}: {}", status.reason, fields.collect::<Vec<_>>().join(", ")),
        _ => status.message.clone(),
    };
    ApplyError::Refused(words, class)
}

impl Manifests {
    /// Nothing has been looked at yet.
    pub fn new(client: Client, folders: Vec<PathBuf>) -> Self {
        Self { client, folders, seen: None, applied: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    /// Goes on through another client. Whoever comes first knows what was applied; later ones know nothing, for somebody
    /// else may have applied other things since.
    pub fn take_up(&mut self, client: Client) -> Self {
        let cold = Self::new(client.clone(), self.folders.clone());
        Self { client, ..std::mem::replace(self, cold) }
    }

    /// Looks at the folder every [`POLL`] until `stop`; `first` is called once the first look is through, so that
    /// whoever must know whether an object exists waits for it.
    pub async fn run(mut self, stop: CancellationToken, first: impl FnOnce(&Pass) + Send) {
        let mut first = Some(first);
        while !stop.is_cancelled() {
            let Some(pass) = stop.run_until_cancelled(self.pass()).await else { return };
            if let Some(first) = first.take() {
                first(&pass);
            }
            let _ = stop.run_until_cancelled(tokio::time::sleep(POLL)).await;
        }
    }

    /// One look: reads the files, applies what is new or due again, and deletes what is gone.
    pub async fn pass(&mut self) -> Pass {
        let fresh = self.look().await;
        let mut pass =
            Pass { refused: self.seen.as_ref().map_or(0, |s| s.folder.refused.len()), ..Pass::default() };
        let due = self.due();
        let prune = !fresh && self.seen.as_ref().is_some_and(|seen| !seen.pruned && seen.complete);
        if due.is_empty() && !prune {
            return pass;
        }
        let discovery = match discover(&self.client).await {
            Ok(discovery) => discovery,
            Err(error) => {
                warn!(error = %Chain(&error), "the server's kinds can't be read; manifests wait");
                pass.failed = due.len();
                return pass;
            }
        };
        self.apply(due, discovery, &mut pass).await;
        if prune {
            self.prune(&mut pass).await;
        }
        pass
    }

    /// Whether the folder's content is new since the last look.
    async fn look(&mut self) -> bool {
        let (files, readable) = files(&self.folders).await;
        let digest = digest(&files);
        if self.seen.as_ref().is_some_and(|seen| seen.digest == digest && seen.readable == readable) {
            return false;
        }
        let folder = read::read(files.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        for refusal in &folder.refused {
            warn!(place = %refusal.place, field = %refusal.error.field, why = %refusal.error.why, "manifest refused");
        }
        if folder.objects.is_empty() {
            warn!("the manifests folder holds no object: nothing is applied, and nothing is deleted");
        }
        // A document that can't be read may be the one that a deletion would miss.
        let complete = readable && folder.refused.is_empty() && !folder.objects.is_empty();
        let pruned = self.seen.as_ref().is_some_and(|seen| seen.pruned && seen.digest == digest);
        self.seen = Some(Seen { digest, folder, readable, complete, pruned });
        true
    }

    fn due(&self) -> Vec<Manifest> {
        let now = Instant::now();
        let objects = self.seen.iter().flat_map(|seen| &seen.folder.objects);
        let is_due = |manifest: &&Manifest| {
            let digest = object_digest(manifest);
            if self.applied.get(&manifest.key) == Some(&digest) {
                return false;
            }
            match self.waiting.get(&manifest.key) {
                Some(waiting) if waiting.digest == digest => waiting.next.is_some_and(|next| next <= now),
                Some(_) | None => true,
            }
        };
        objects.filter(is_due).cloned().collect()
    }

    async fn apply(&mut self, due: Vec<Manifest>, mut discovery: Discovery, pass: &mut Pass) {
        for manifest in due {
            let mut outcome = apply(&self.client, &discovery, &manifest).await;
            if matches!(outcome, Err(ApplyError::UnknownKind { .. })) {
                // The definition may have been applied a moment ago, in this very pass.
                if let Ok(again) = discover(&self.client).await {
                    discovery = again;
                    outcome = apply(&self.client, &discovery, &manifest).await;
                }
            }
            let digest = object_digest(&manifest);
            match outcome {
                Ok(()) => {
                    info!(object = %manifest.key, file = %manifest.place.file, "applied");
                    self.waiting.remove(&manifest.key);
                    self.applied.insert(manifest.key, digest);
                    pass.applied += 1;
                }
                Err(error) => self.failed(manifest, digest, &error, pass),
            }
        }
    }

    fn failed(&mut self, manifest: Manifest, digest: Digest, error: &ApplyError, pass: &mut Pass) {
        let failures = match self.waiting.get(&manifest.key) {
            Some(waiting) if waiting.digest == digest => waiting.failures + 1,
            Some(_) | None => 0,
        };
        let jitter = f64::from(digest[0]) / 255.0;
        let wait = retry_in(error.class(), failures, jitter);
        match wait {
            Some(wait) => {
                pass.failed += 1;
                warn!(place = %manifest.place, object = %manifest.key, error = %Chain(error), retry_in = ?wait, "not applied");
            }
            None => {
                pass.refused += 1;
                warn!(place = %manifest.place, object = %manifest.key, error = %Chain(error), "refused; mend the file");
            }
        }
        let next = wait.map(|wait| Instant::now() + wait);
        self.waiting.insert(manifest.key, Waiting { failures, next, digest });
    }

    /// Deletes what carries our marks and stands in no file any more.
    async fn prune(&mut self, pass: &mut Pass) {
        // Kinds that the pass has just defined must be looked through too.
        let Ok(discovery) = discover(&self.client).await else { return };
        let mut whole = true;
        for (resource, _) in listable(&discovery) {
            whole &= self.prune_kind(&resource, &discovery, pass).await;
        }
        if let Some(seen) = self.seen.as_mut() {
            seen.pruned = whole;
            let keys: BTreeSet<&Key> = seen.folder.objects.iter().map(|manifest| &manifest.key).collect();
            self.applied.retain(|key, _| keys.contains(key));
            self.waiting.retain(|key, _| keys.contains(key));
        }
    }

    async fn prune_kind(&self, resource: &ApiResource, discovery: &Discovery, pass: &mut Pass) -> bool {
        let params = ListParams::default().labels(&format!("{ORIGIN_LABEL}={ORIGIN_MANIFESTS}"));
        let all: Api<DynamicObject> = Api::all_with(self.client.clone(), resource);
        let listed = match timeout(REQUEST_DEADLINE, all.list(&params)).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 403..=405) => return true,
            Ok(Err(error)) => {
                warn!(kind = %resource.kind, error = %Chain(&error), "can't be listed; nothing of it is deleted");
                return false;
            }
            Err(_) => return false,
        };
        let wanted = self.wanted(resource, discovery);
        let mut whole = true;
        for object in
            listed.items.into_iter().filter(|object| is_ours(object) && !wanted.contains(&id(object)))
        {
            match delete(&self.client, resource, &object).await {
                Ok(()) => {
                    info!(kind = %resource.kind, name = %id(&object), "deleted: it stands in no manifest any more");
                    pass.deleted += 1;
                }
                Err(error) => {
                    warn!(kind = %resource.kind, name = %id(&object), error = %Chain(&error), "not deleted");
                    whole = false;
                }
            }
        }
        whole
    }

    /// `namespace/name` of every object of this kind in the folder, whichever version it is written in.
    fn wanted(&self, resource: &ApiResource, discovery: &Discovery) -> BTreeSet<String> {
        let manifests = self.seen.iter().flat_map(|seen| &seen.folder.objects);
        let same = manifests.filter(|manifest| {
            let group = manifest.key.api_version.split_once('/').map_or("", |(group, _)| group);
            manifest.key.kind == resource.kind && group == resource.group
        });
        same.map(|manifest| {
            let namespace = resolve(discovery, &manifest.key)
                .map_or(manifest.key.namespace.clone(), |(_, caps)| {
                    namespace_of(manifest, &caps).unwrap_or_default()
                });
            format!("{namespace}/{}", manifest.key.name)
        })
        .collect()
    }
}

fn is_ours(object: &DynamicObject) -> bool {
    let marked = object.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(FILE_ANNOTATION));
    marked && object.metadata.deletion_timestamp.is_none()
}

fn id(object: &DynamicObject) -> String {
    let meta = &object.metadata;
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

async fn discover(client: &Client) -> Result<Discovery, ApplyError> {
    let run = Discovery::new(client.clone()).run();
    timeout(REQUEST_DEADLINE, run).await.map_err(|_| ApplyError::Deadline)?.map_err(ApplyError::Kube)
}

/// Kinds that are looked through. A namespace or a definition takes all that is in it along: that a file is gone is not
/// enough of a word for that.
fn listable(discovery: &Discovery) -> Vec<(ApiResource, ApiCapabilities)> {
    const KEPT: [&str; 3] = ["Namespace", "CustomResourceDefinition", "Event"];
    let all = discovery.groups().flat_map(|group| group.recommended_resources());
    all.filter(|(resource, caps)| {
        caps.supports_operation(verbs::LIST) && !KEPT.contains(&resource.kind.as_str())
    })
    .collect()
}

fn resolve(discovery: &Discovery, key: &Key) -> Result<(ApiResource, ApiCapabilities), ApplyError> {
    let types = TypeMeta { api_version: key.api_version.clone(), kind: key.kind.clone() };
    let gvk = GroupVersionKind::try_from(&types).map_err(|_| ApplyError::ApiVersion)?;
    discovery.resolve_gvk(&gvk).ok_or_else(|| ApplyError::UnknownKind {
        api_version: key.api_version.clone(),
        kind: key.kind.clone(),
    })
}

fn namespace_of(manifest: &Manifest, caps: &ApiCapabilities) -> Option<String> {
    match (&caps.scope, manifest.key.namespace.as_str()) {
        (Scope::Cluster, _) => None,
        (Scope::Namespaced, "") => Some(DEFAULT_NAMESPACE.to_owned()),
        (Scope::Namespaced, namespace) => Some(namespace.to_owned()),
    }
}

async fn apply(client: &Client, discovery: &Discovery, manifest: &Manifest) -> Result<(), ApplyError> {
    let (resource, caps) = resolve(discovery, &manifest.key)?;
    let api: Api<DynamicObject> = match namespace_of(manifest, &caps) {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&manifest.object);
    let request = api.patch(&manifest.key.name, &params, &patch);
    let sent = timeout(REQUEST_DEADLINE, request).await.map_err(|_| ApplyError::Deadline)?;
    sent.map_err(|error| refused(error, &resource.kind))?;
    debug!(object = %manifest.key, "sent");
    Ok(())
}

async fn delete(client: &Client, resource: &ApiResource, object: &DynamicObject) -> Result<(), ApplyError> {
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    // The object that was listed and no other: somebody may have made a new one of the same name since.
    let preconditions = Preconditions { uid: object.metadata.uid.clone(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    let name = object.metadata.name.as_deref().unwrap_or_default();
    match timeout(REQUEST_DEADLINE, api.delete(name, &params)).await.map_err(|_| ApplyError::Deadline)? {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(refused(error, &resource.kind)),
    }
}

fn object_digest(manifest: &Manifest) -> Digest {
    ring::digest::digest(&SHA256, manifest.object.to_string().as_bytes()).as_ref().to_vec()
}
