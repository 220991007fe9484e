//! The embedded Kubernetes-compatible API: what `standalone` serves when there is no cluster.
//!
//! Served: every verb of the API machinery (get, list with selectors and pages, watch with replay, bookmarks and
//! watch-lists, create, update, the four patches with field ownership, delete with finalizers and propagation, status
//! and scale, dry run, field validation, tables, discovery, OpenAPI v3) for any applied CustomResourceDefinition and
//! for the built-in kinds in `registry/builtin.rs`.
//!
//! Not served: anything that acts on the built-in kinds (no pod runs, no service gets an address), admission
//! webhooks and policies (stored, not asked), conversion webhooks, aggregation, exec, logs, proxy, answers in protobuf
//! (bodies in it are understood), users other than the one token's.
//!
//! It is self-contained: nothing here names our own kinds, and nothing outside names the store.

pub mod cause;
pub mod schema;
pub mod patch;
pub mod fields;
pub mod openapi;
mod names;
mod jsonpath;
mod path;
mod status;
mod select;
mod store;
mod events;
mod object;
mod cells;
mod table;
mod registry;
mod defaults;
mod kinds;
mod engine;
mod gc;
mod render;
mod protobuf;
mod watch;
mod discovery;
mod service;
pub mod credentials;
pub mod serve;

use std::{
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;

use self::{
    credentials::{Credentials, CredentialsError},
    engine::Engine,
    gc::Collector,
    serve::{BindError, Bound},
    service::{ApiService, Identity},
    store::{Store, disk::StoreOpenError, log::Retention},
};

/// Namespaces that exist from the start.
const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "cocoasyncer-system"];

/// Where the plane lives.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The directory of the store, the certificates and the token. None keeps everything in memory.
    pub dir: Option<PathBuf>,
    /// Names besides its address that clients may call the server by; they go into its certificate.
    pub names: Vec<String>,
}

/// Why the plane cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made.
    #[error("cannot make the data directory {dir}", dir = .dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreOpenError),
    /// The authority or the token cannot be had.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Not even memory could be had.
    #[error("cannot start an in-memory store: {0}")]
    Memory(String),
    /// What lies in the store cannot be read.
    #[error("cannot read the store: {0}")]
    Read(String),
    /// The namespaces that must exist cannot be made.
    #[error("cannot make the first namespaces: {0}")]
    Namespaces(String),
}

/// A running plane.
pub struct ControlPlane {
    engine: Arc<Engine>,
    credentials: Arc<Credentials>,
    names: Vec<String>,
    collector: Option<tokio::task::JoinHandle<()>>,
}

impl ControlPlane {
    /// Opens the plane and makes the namespaces that are always there. Needs a tokio runtime.
    pub async fn open(options: Options) -> Result<ControlPlane, OpenError> {
        let retention = Retention::default();
        let store = match &options.dir {
            Some(dir) => {
                make_directory(dir).map_err(|source| OpenError::Directory { dir: dir.clone(), source })?;
                Store::open(dir, retention)?
            }
            None => Store::in_memory(retention).map_err(|error| OpenError::Memory(error.to_string()))?,
        };
        let engine = Arc::new(Engine::new(store).map_err(|error| OpenError::Read(error.to_string()))?);
        for name in NAMESPACES {
            let call = engine::Call::internal(engine.namespaces(), None, name);
            let body = serde_json::json!({"metadata": {"name": name}});
            match engine.create(&call, body).await {
                Err(refusal) if refusal.reason != "AlreadyExists" => {
                    return Err(OpenError::Namespaces(refusal.message));
                }
                _ => {}
            }
        }
        let credentials = Arc::new(Credentials::open(options.dir.as_deref(), Timestamp::now())?);
        let collector = Some(tokio::spawn(Collector::new(engine.clone()).run()));
        Ok(ControlPlane { engine, credentials, names: options.names, collector })
    }

    /// A plane that forgets everything when it is dropped; for tests and trials.
    pub async fn in_memory() -> Result<ControlPlane, OpenError> {
        ControlPlane::open(Options::default()).await
    }

    /// A client that calls the plane in process: no socket, no TLS, no token.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(ApiService::new(self.engine.clone(), Some(Identity::admin())), "default")
    }

    /// Listens on `addr`, with TLS and the token. Port 0 takes any free port.
    pub async fn bind(&self, addr: SocketAddr) -> Result<Bound, BindError> {
        self.adopt(serve::listen(addr).await?)
    }

    /// Serves, with TLS and the token, on what [`serve::listen`] took.
    pub fn adopt(&self, listener: tokio::net::TcpListener) -> Result<Bound, BindError> {
        Bound::new(self.engine.clone(), self.credentials.clone(), listener, &self.names)
    }

    /// Ends watches and background work and releases the store. Clients made before answer 503 afterwards.
    pub async fn close(mut self) {
        self.engine.stop.cancel();
        if let Some(collector) = self.collector.take() {
            let _ = collector.await;
        }
        let engine = self.engine.clone();
        // Joining the writer waits for a disk; a failed join means it panicked, and it said so itself.
        let _ = tokio::task::spawn_blocking(move || engine.store.close()).await;
    }
}

/// Makes the directory for its owner only; one that exists keeps the rights it was given.
fn make_directory(dir: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.engine.stop.cancel();
    }
}

#[cfg(test)]
mod tests;
