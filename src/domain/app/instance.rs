//! One installed (or about to be installed) application: a template filled with what its App says and what the install
//! chose. Everything that a runtime needs, and nothing of any runtime's dialect.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::app::PublishedPort;
use crate::domain::app::metadata::Needs;
use crate::domain::app::workload::Workload;
use crate::domain::secret::Secret;

/// Which App.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppKey {
    /// The object's namespace.
    pub namespace: String,
    /// The object's name: the `customer_app_name` and the `app_id`.
    pub name: String,
}

impl fmt::Display for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A file of a template.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// What stands in it.
    pub bytes: Arc<[u8]>,
    /// Its permission bits.
    pub mode: u32,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({} bytes, {:o})", self.bytes.len(), self.mode)
    }
}

/// A template's files by their paths in its folder, without the three that the pipeline reads. An empty folder stands as
/// its path with a slash behind it.
pub type Files = BTreeMap<String, File>;

/// What an install chose. It stays with the data, so that a later install of the same name can open it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// The generated password, at least 16 of `[A-Za-z0-9]`, the first one a letter.
    pub password: Secret,
    /// A random word of lower-case letters and digits for names that can't be prefixed.
    pub code: String,
    /// Ports of the host: by the variable that chooses them, or by `service:port/tcp` where the template names a number.
    pub ports: BTreeMap<String, u16>,
}

/// The service that people talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Its name.
    pub service: String,
    /// Its port in the container.
    pub port: u16,
    /// The host's port that leads there, where one is published.
    pub host: Option<u16>,
    /// Whether it speaks HTTP.
    pub http: bool,
}

/// What its owner wants of it beyond being there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Whether it runs; else it is stopped.
    pub running: bool,
    /// What started before this time is started anew.
    pub restarted: Option<Timestamp>,
}

/// An application with all its values.
#[derive(Clone)]
pub struct Instance {
    /// The App.
    pub key: AppKey,
    /// The App's uid: what carries another one under the same name is not this App's.
    pub uid: String,
    /// What its owner wants of it.
    pub wanted: Wanted,
    /// The template's name.
    pub app_name: String,
    /// Its display name.
    pub title: String,
    /// The version.
    pub version: String,
    /// `$W9_ID`: the key's name, with a letter before a digit.
    pub id: String,
    /// What it runs, every variable put in.
    pub workload: Workload,
    /// A digest of everything that a service's container is made from, by service: another digest, another container.
    pub digests: BTreeMap<String, String>,
    /// The `.env` as the template's variables now stand.
    pub env: Secret,
    /// The compose document with every variable put in, for people and for the tools of compose.
    pub compose: Secret,
    /// The template's other files.
    pub files: Arc<Files>,
    /// Who serves people, where somebody does.
    pub serving: Option<Serving>,
    /// The host's ports.
    pub ports: Vec<PublishedPort>,
    /// The network that this host's applications share, for the serving service.
    pub shared_network: Option<String>,
    /// Where people reach it; the host's name or address is filled in.
    pub url: Option<String>,
    /// `spec.domain`: the full name under which it is served.
    pub domain: Option<String>,
    /// `spec.pullSecretRef`: the Secret in its namespace with the registry's credentials, for a cluster's nodes.
    pub pull_secret: Option<String>,
    /// Where its administrator logs in.
    pub admin_url: Option<String>,
    /// Its first user.
    pub user_name: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// What it asks of its host.
    pub needs: Needs,
    /// What must not be seen in logs, errors and statuses.
    pub masks: Vec<Secret>,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("key", &self.key)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Instance {
    /// `text` with every secret of the application as `***`.
    pub fn masked(&self, text: &str) -> String {
        masked(&self.masks, text)
    }
}

/// `text` with each of `secrets` as `***`.
pub fn masked(secrets: &[Secret], text: &str) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        if text.contains(secret.expose()) {
            text = text.replace(secret.expose(), "***");
        }
    }
    text
}
