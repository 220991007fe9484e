//! What is watched: our own kinds and the few labelled Secrets and ConfigMaps, each as a local cache. Nothing else of
//! the cluster is ever held in memory.

use std::fmt::Debug;
use std::sync::Arc;

use futures::future::{BoxFuture, Shared, join_all};
use futures::{FutureExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::api::app::App;
use crate::api::node::CocoaNode;
use crate::api::service::ManagedService;
use crate::api::{LINE_TABLE_LABEL, PROVIDER_LABEL};
use crate::domain::scope::Scope;
use crate::watching::{Teller, objects};

type Guarded<K> = DeserializeGuard<K>;
/// Ends when a cache has been filled once. Shared, for of several that wait for one `Store` itself only the last is woken.
type Filled = Shared<BoxFuture<'static, ()>>;

/// The caches. Cloning is cheap.
#[derive(Clone)]
pub struct Stores {
    scope: Arc<Scope>,
    nodes: Store<Guarded<CocoaNode>>,
    services: Store<Guarded<ManagedService>>,
    /// One for each place of the scope.
    accounts: Arc<[Store<Secret>]>,
    /// One for each place of the scope.
    line_tables: Arc<[Store<ConfigMap>]>,
    apps: Store<Guarded<App>>,
    /// Of all but Apps.
    filled: Arc<[Filled]>,
    /// Of Apps, and of the services that they own.
    apps_filled: [Filled; 2],
    changed: Arc<Notify>,
    /// Apart from the others: who follows records has nothing to do with applications.
    apps_changed: Arc<Notify>,
}

impl Stores {
    /// Starts the watches; they end with `stop`. Our own kinds are watched everywhere, the others within `scope`.
    pub fn start(
        client: &Client,
        scope: &Arc<Scope>,
        stop: &CancellationToken,
        spawn: &mut impl FnMut(&'static str, Watch),
    ) -> Self {
        let (changed, apps_changed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let all = watcher::Config::default;
        let (nodes, watch_nodes) = watch(Api::all(client.clone()), all(), &changed, stop);
        let (services, watch_services) = watch(Api::all(client.clone()), all(), &changed, stop);
        let (mut accounts, mut line_tables) = (Vec::new(), Vec::new());
        let seen = filled(&services);
        let mut all_filled = vec![filled(&nodes), seen.clone()];
        for place in scope.places() {
            let secrets = within::<Secret>(client, place);
            let (store, watched) = watch(secrets, all().labels(PROVIDER_LABEL), &changed, stop);
            all_filled.push(filled(&store));
            accounts.push(store);
            spawn("watch of platform accounts", watched);
            let maps = within::<ConfigMap>(client, place);
            let (store, watched) = watch(maps, all().labels(LINE_TABLE_LABEL), &changed, stop);
            all_filled.push(filled(&store));
            line_tables.push(store);
            spawn("watch of line tables", watched);
        }
        let (apps, watch_apps) = watch(Api::all(client.clone()), all(), &apps_changed, stop);
        spawn("watch of Apps", watch_apps);
        spawn("watch of CocoaNodes", watch_nodes);
        spawn("watch of ManagedServices", watch_services);
        let (accounts, line_tables) = (accounts.into(), line_tables.into());
        let apps_filled = [filled(&apps), seen];
        Self {
            scope: scope.clone(),
            nodes,
            services,
            accounts,
            line_tables,
            apps,
            filled: all_filled.into(),
            apps_filled,
            changed,
            apps_changed,
        }
    }

    /// Which namespaces are served.
    pub fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// Waits until every cache has been filled once.
    pub async fn ready(&self) {
        join_all(self.filled.iter().cloned()).await;
    }

    /// Waits until the cache of Apps has been filled once.
    pub async fn apps_ready(&self) {
        join_all(self.apps_filled.clone()).await;
    }

    /// Waits until an App has changed since the last call returned. For one caller: the applications' loop.
    pub async fn apps_changed(&self) {
        self.apps_changed.notified().await;
    }

    /// All Apps of the scope that could be read, in the order of their names.
    pub fn apps(&self) -> Vec<App> {
        let mut all = readable(&self.apps);
        all.retain(|app| self.serves(app));
        all
    }

    /// The Apps outside the scope.
    pub fn apps_outside(&self) -> Vec<App> {
        let mut all = readable(&self.apps);
        all.retain(|app| !self.serves(app));
        all
    }

    fn serves<K: Resource>(&self, object: &K) -> bool {
        object.meta().namespace.as_deref().is_none_or(|namespace| self.scope.covers(namespace))
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

    /// All services of the scope, shared: there may be thousands.
    pub fn services(&self) -> Vec<Arc<DeserializeGuard<ManagedService>>> {
        let mut all = self.services.state();
        all.retain(|service| self.serves(&**service));
        all
    }

    /// The services outside the scope.
    pub fn services_outside(&self) -> Vec<Arc<DeserializeGuard<ManagedService>>> {
        let mut all = self.services.state();
        all.retain(|service| !self.serves(&**service));
        all
    }

    /// All platform accounts, in the order of their names.
    pub fn accounts(&self) -> Vec<Arc<Secret>> {
        let mut all: Vec<_> = self.accounts.iter().flat_map(Store::state).collect();
        all.sort_by_key(|secret| (secret.namespace(), secret.name_any()));
        all
    }

    /// All line tables that came as ConfigMaps.
    pub fn line_tables(&self) -> Vec<Arc<ConfigMap>> {
        self.line_tables.iter().flat_map(Store::state).collect()
    }
}

fn filled<K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static>(store: &Store<K>) -> Filled {
    let store = store.clone();
    // A dropped writer means that we are stopping: then nobody cares.
    async move { drop(store.wait_until_ready().await) }.boxed().shared()
}

fn readable<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<Guarded<K>>) -> Vec<K> {
    let mut all: Vec<K> =
        store.state().iter().filter_map(|guarded| guarded.0.as_ref().ok().cloned()).collect();
    all.sort_by_key(|object| (object.meta().namespace.clone(), object.meta().name.clone()));
    all
}

/// The objects of a place of the scope.
pub fn within<K>(client: &Client, place: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match place {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// A running watch.
pub type Watch = BoxFuture<'static, ()>;

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
    let stream = objects(api, config).map_ok(|event| event.modify(forget_managed_fields));
    let run = async move {
        let stream = reflector::reflector(writer, stream).take_until(stop.cancelled_owned());
        let mut stream = std::pin::pin!(stream);
        let mut teller = Teller::of(K::kind(&()));
        while let Some(event) = stream.next().await {
            match event {
                Ok(_) => {
                    teller.came();
                    changed.notify_one();
                }
                Err(error) => teller.failed(&error),
            }
        }
    };
    (reader, Box::pin(run))
}

fn forget_managed_fields<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_for_a_cache_are_woken() {
        let (store, mut writer) = reflector::store::<ConfigMap>();
        let filled = filled(&store);
        let mut waiting: JoinSet<()> = (0..3).map(|_| filled.clone()).collect();
        // All have begun to wait before anything comes.
        tokio::task::yield_now().await;
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        let all = async { while waiting.join_next().await.is_some() {} };
        tokio::time::timeout(std::time::Duration::from_secs(5), all).await.unwrap();
    }
}
