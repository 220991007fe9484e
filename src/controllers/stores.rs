//! What is watched: our own kinds and the few labelled Secrets and ConfigMaps, each as a local cache. Nothing else of
//! the cluster is ever held in memory.

use std::fmt::Debug;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::api::app::App;
use crate::api::node::CocoaNode;
use crate::api::service::ManagedService;
use crate::api::{LINE_TABLE_LABEL, PROVIDER_LABEL};

type Guarded<K> = DeserializeGuard<K>;

/// The caches. Cloning is cheap.
#[derive(Clone)]
pub struct Stores {
    nodes: Store<Guarded<CocoaNode>>,
    services: Store<Guarded<ManagedService>>,
    accounts: Store<Secret>,
    line_tables: Store<ConfigMap>,
    apps: Store<Guarded<App>>,
    changed: Arc<Notify>,
    /// Apart from the others: who follows records has nothing to do with applications.
    apps_changed: Arc<Notify>,
}

impl Stores {
    /// Starts the watches; they end with `stop`.
    pub fn start(
        client: &Client,
        stop: &CancellationToken,
        spawn: &mut impl FnMut(&'static str, Watch),
    ) -> Self {
        let (changed, apps_changed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let all = watcher::Config::default;
        let accounts = Api::<Secret>::all(client.clone());
        let tables = Api::<ConfigMap>::all(client.clone());
        let (nodes, watch_nodes) = watch(Api::all(client.clone()), all(), &changed, stop);
        let (services, watch_services) = watch(Api::all(client.clone()), all(), &changed, stop);
        let (accounts, watch_accounts) = watch(accounts, all().labels(PROVIDER_LABEL), &changed, stop);
        let (line_tables, watch_tables) = watch(tables, all().labels(LINE_TABLE_LABEL), &changed, stop);
        let (apps, watch_apps) = watch(Api::all(client.clone()), all(), &apps_changed, stop);
        spawn("watch of Apps", watch_apps);
        spawn("watch of CocoaNodes", watch_nodes);
        spawn("watch of ManagedServices", watch_services);
        spawn("watch of platform accounts", watch_accounts);
        spawn("watch of line tables", watch_tables);
        Self { nodes, services, accounts, line_tables, apps, changed, apps_changed }
    }

    /// Waits until every cache has been filled once.
    pub async fn ready(&self) {
        // A dropped writer means that we are stopping: then nobody cares.
        let _ = self.nodes.wait_until_ready().await;
        let _ = self.services.wait_until_ready().await;
        let _ = self.accounts.wait_until_ready().await;
        let _ = self.line_tables.wait_until_ready().await;
    }

    /// Waits until the cache of Apps has been filled once.
    pub async fn apps_ready(&self) {
        let _ = self.apps.wait_until_ready().await;
        let _ = self.services.wait_until_ready().await;
    }

    /// Waits until an App has changed since the last call returned. For one caller: the applications' loop.
    pub async fn apps_changed(&self) {
        self.apps_changed.notified().await;
    }

    /// All Apps that could be read, in the order of their names.
    pub fn apps(&self) -> Vec<App> {
        readable(&self.apps)
    }

    /// Waits until something has changed since the last call returned; Apps apart.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// All nodes that could be read, in the order of their names.
    pub fn nodes(&self) -> Vec<CocoaNode> {
        readable(&self.nodes)
    }

    /// One node.
    pub fn node(&self, name: &str) -> Option<CocoaNode> {
        let found = self.nodes.find(|node| node.meta().name.as_deref() == Some(name))?;
        found.0.as_ref().ok().cloned()
    }

    /// All services that could be read, shared: there may be thousands.
    pub fn services(&self) -> Vec<Arc<DeserializeGuard<ManagedService>>> {
        self.services.state()
    }

    /// All platform accounts, in the order of their names.
    pub fn accounts(&self) -> Vec<Arc<Secret>> {
        let mut all = self.accounts.state();
        all.sort_by_key(|secret| (secret.namespace(), secret.name_any()));
        all
    }

    /// All line tables that came as ConfigMaps.
    pub fn line_tables(&self) -> Vec<Arc<ConfigMap>> {
        self.line_tables.state()
    }
}

fn readable<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<Guarded<K>>) -> Vec<K> {
    let mut all: Vec<K> =
        store.state().iter().filter_map(|guarded| guarded.0.as_ref().ok().cloned()).collect();
    all.sort_by_key(|object| (object.meta().namespace.clone(), object.meta().name.clone()));
    all
}

/// A running watch.
pub type Watch = futures::future::BoxFuture<'static, ()>;

fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
    changed: &Arc<Notify>,
    stop: &CancellationToken,
) -> (Store<K>, Watch)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (reader, writer) = reflector::store();
    let (changed, stop) = (changed.clone(), stop.clone());
    // Field ownership is half of an object's size and nobody here reads it.
    let stream = watcher(api, config).default_backoff().map_ok(|event| event.modify(forget_managed_fields));
    let run = async move {
        let stream = reflector::reflector(writer, stream).take_until(stop.cancelled_owned());
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            match event {
                Ok(_) => changed.notify_one(),
                Err(error) => {
                    warn!(kind = %K::kind(&()), error = %error, "watch interrupted, it goes on by itself")
                }
            }
        }
    };
    (reader, Box::pin(run))
}

fn forget_managed_fields<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}
