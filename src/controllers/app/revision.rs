//! Revisions: a template as it stood when an install or upgrade of it succeeded, in a Secret `app-NAME-rN` (a template
//! may hold what its author calls a password). A changed catalogue so never changes what is installed, and an upgrade has
//! a way back.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde::{Deserialize, Serialize};

use crate::api::{APP_LABEL, APP_SECRET_LABEL, APP_UID_LABEL};
use crate::controllers::app::choices::{gone_is_fine, in_time, label, labels};
use crate::controllers::app::shared::AppContext;
use crate::domain::app::instance::{AppKey, File, Files};
use crate::domain::app::template::{Entry, Template};

/// Value of [`APP_SECRET_LABEL`].
const REVISION: &str = "revision";
const CONTENT: &str = "revision.json";
/// What a Secret may hold, with room for its labels. Source: 1 MiB for all its data in Kubernetes.
const MOST: usize = 1_000_000;

/// A template with the version and the values that the App had for it.
#[derive(Debug, Clone)]
pub struct Pinned {
    /// The template.
    pub template: Arc<Template>,
    /// Its other files.
    pub files: Arc<Files>,
    /// `spec.appVersion`.
    pub version: String,
    /// `spec.variables`.
    pub variables: BTreeMap<String, String>,
}

impl Pinned {
    /// Whether both run the same version with the same values; the template itself may have changed meanwhile.
    pub fn same_wish(&self, version: &str, variables: &BTreeMap<String, String>) -> bool {
        self.version == version && self.variables == *variables
    }
}

/// What became of a revision's writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It stands.
    Done,
    /// A Secret can't hold it: the catalogue is followed.
    TooLarge,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    name: String,
    version: String,
    variables: BTreeMap<String, String>,
    compose: Option<String>,
    env: Option<String>,
    metadata: Option<String>,
    /// By path: the size, none for a folder.
    entries: BTreeMap<String, Option<u64>>,
    /// By path: mode and content.
    files: BTreeMap<String, (u32, String)>,
}

fn coded(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

fn to_text(pinned: &Pinned) -> String {
    let template = &pinned.template;
    let code = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(coded);
    let size = |entry: &Entry| match entry {
        Entry::File(size) => Some(*size),
        Entry::Folder => None,
    };
    let stored = Stored {
        name: template.name.clone(),
        version: pinned.version.clone(),
        variables: pinned.variables.clone(),
        compose: code(&template.compose),
        env: code(&template.env),
        metadata: code(&template.metadata),
        entries: template.entries.iter().map(|(path, entry)| (path.clone(), size(entry))).collect(),
        files: pinned.files.iter().map(|(path, f)| (path.clone(), (f.mode, coded(&f.bytes)))).collect(),
    };
    serde_json::to_string(&stored).unwrap_or_default()
}

fn from_text(text: &[u8]) -> Option<Pinned> {
    let stored: Stored = serde_json::from_slice(text).ok()?;
    let bytes = |text: Option<String>| match text {
        Some(text) => decoded(&text).map(Some),
        None => Some(None),
    };
    let entry = |(path, size): (String, Option<u64>)| (path, size.map_or(Entry::Folder, Entry::File));
    let file = |(path, (mode, text)): (String, (u32, String))| {
        Some((path, File { bytes: decoded(&text)?.into(), mode }))
    };
    let template = Template {
        name: stored.name,
        compose: bytes(stored.compose)?,
        env: bytes(stored.env)?,
        metadata: bytes(stored.metadata)?,
        entries: stored.entries.into_iter().map(entry).collect(),
        troubles: Vec::new(),
    };
    let files: Option<Files> = stored.files.into_iter().map(file).collect();
    Some(Pinned {
        template: Arc::new(template),
        files: Arc::new(files?),
        version: stored.version,
        variables: stored.variables,
    })
}

fn secret_name(name: &str, number: i64) -> String {
    format!("app-{name}-r{number}")
}

/// Writes a revision down.
pub async fn save(
    ctx: &AppContext,
    (key, uid): (&AppKey, &str),
    number: i64,
    pinned: &Pinned,
) -> Result<Written, kube::Error> {
    let text = to_text(pinned);
    if MOST < text.len() {
        return Ok(Written::TooLarge);
    }
    let secret = KubeSecret {
        metadata: ObjectMeta {
            name: Some(secret_name(&key.name, number)),
            labels: Some(labels(key, uid, REVISION)),
            ..ObjectMeta::default()
        },
        data: Some([(CONTENT.to_owned(), ByteString(text.into_bytes()))].into()),
        type_: Some("Opaque".to_owned()),
        ..KubeSecret::default()
    };
    let api = Api::<KubeSecret>::namespaced(ctx.base.client.clone(), &key.namespace);
    let params = PatchParams::apply("cocoasyncer/app").force();
    in_time(api.patch(&secret.name_any(), &params, &Patch::Apply(&secret))).await?;
    Ok(Written::Done)
}

/// Reads a revision; none: there is none, or it isn't this App's.
pub async fn load(
    ctx: &AppContext,
    (key, uid): (&AppKey, &str),
    number: i64,
) -> Result<Option<Pinned>, kube::Error> {
    let api = Api::<KubeSecret>::namespaced(ctx.base.client.clone(), &key.namespace);
    let secret = in_time(api.get_opt(&secret_name(&key.name, number))).await?;
    let mine = secret.filter(|secret| label(secret, APP_UID_LABEL) == Some(uid));
    Ok(mine.and_then(|secret| from_text(&secret.data?.get(CONTENT)?.0)))
}

/// Removes a revision.
pub async fn remove(ctx: &AppContext, key: &AppKey, number: i64) -> Result<(), kube::Error> {
    let api = Api::<KubeSecret>::namespaced(ctx.base.client.clone(), &key.namespace);
    let name = secret_name(&key.name, number);
    gone_is_fine(in_time(api.delete(&name, &DeleteParams::default())).await.map(|_| ()))
}

/// Removes all revisions of an App.
pub async fn remove_all(ctx: &AppContext, key: &AppKey, uid: &str) -> Result<(), kube::Error> {
    let api = Api::<KubeSecret>::namespaced(ctx.base.client.clone(), &key.namespace);
    let labels = format!("{APP_LABEL}={},{APP_UID_LABEL}={uid},{APP_SECRET_LABEL}={REVISION}", key.name);
    let all = in_time(api.list_metadata(&ListParams::default().labels(&labels))).await?;
    for secret in all.items {
        let gone = in_time(api.delete(&secret.name_any(), &DeleteParams::default())).await.map(|_| ());
        gone_is_fine(gone)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_read_as_it_was_written() {
        let template = Template {
            name: "blog".into(),
            compose: Some(b"services: {}".to_vec()),
            env: None,
            metadata: Some(vec![0, 255]),
            entries: [("src".into(), Entry::Folder), ("src/a".into(), Entry::File(2))].into(),
            troubles: Vec::new(),
        };
        let file = File { bytes: Arc::from(&b"\0\xff"[..]), mode: 0o755 };
        let pinned = Pinned {
            template: Arc::new(template),
            files: Arc::new([("src/a".into(), file)].into()),
            version: "1".into(),
            variables: [("A".into(), "b".into())].into(),
        };
        let read = from_text(to_text(&pinned).as_bytes()).unwrap();
        assert_eq!(to_text(&read), to_text(&pinned));
        assert!(read.same_wish("1", &pinned.variables) && !read.same_wish("2", &pinned.variables));
        assert_eq!(read.files, pinned.files);
        assert!(from_text(b"{}").is_none());
    }
}
