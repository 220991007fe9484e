//! A cluster with the operator's definitions, its ServiceAccount and rights, an account at the stand-in of Alidns, and
//! replicas of the operator, each behind a proxy of its own.

use std::fmt::Debug;
use std::time::Duration;

use cocoasyncer::api::crds;
use cocoasyncer::api::service::ManagedService;
use cocoasyncer::api::{ACCESS_KEY, ACCESS_SECRET, PROVIDER_LABEL, SYSTEM_NAMESPACE};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::ali::FakeAli;
use crate::support::ali::zones::Edition;
use crate::support::cluster::Cluster;
use crate::support::cluster::proxy::Proxy;
use crate::support::cluster::rights::Account;
use crate::support::objects;
use crate::support::process::{Site, wait};

/// An asker whom the examples' line table knows as CT's.
pub const CT: &str = "192.0.2.0/26";
/// The public address of the node.
pub const ADDRESS: &str = "203.0.113.1";
/// The one CocoaNode.
pub const NODE: &str = "site";
/// The chart's ServiceAccount.
const ACCOUNT: &str = "cocoasyncer";
/// Kinds that say what it may.
const RIGHTS: [&str; 5] = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];

/// See the head of this file.
pub struct World {
    pub cluster: Cluster,
    pub account: Account,
    pub ali: FakeAli,
}

/// A replica of the operator and the way to its API server.
pub struct Replica {
    pub site: Site,
    pub proxy: Proxy,
}

impl World {
    /// With all that it needs but services and replicas.
    pub async fn new() -> Self {
        let cluster = Cluster::open().await;
        clear(&cluster).await;
        define(&cluster.client).await;
        let account = cluster.account(SYSTEM_NAMESPACE, ACCOUNT).await;
        let ali = FakeAli::start().await;
        ali.add_key("acme", "key-id", "key-secret");
        ali.add_zone("acme", "example.com", Edition::EnterpriseUltimate);
        ali.no_limits();
        let world = Self { cluster, account, ali };
        for object in rights() {
            world.apply(object).await;
        }
        world.apply(world.platform()).await;
        world
    }

    /// The Secret of the account at Ali.
    pub fn platform(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "ali", "namespace": SYSTEM_NAMESPACE, "labels": { PROVIDER_LABEL: "Ali" },
            },
            "stringData": {
                ACCESS_KEY: "key-id", ACCESS_SECRET: "key-secret", "endpoint": self.ali.endpoint(),
            },
        })
    }

    /// Applies an object as it stands in a manifest.
    pub async fn apply(&self, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply("test").force();
        self.api(&object).patch(name, &params, &Patch::Apply(&object)).await.unwrap();
    }

    /// Deletes an object that is there.
    pub async fn delete(&self, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.api(&object).delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// The collection in which an object lies.
    pub fn api(&self, object: &Value) -> Api<DynamicObject> {
        let types: TypeMeta = serde_json::from_value(object.clone()).unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).unwrap());
        match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.cluster.client.clone(), namespace, &resource),
            None => Api::all_with(self.cluster.client.clone(), &resource),
        }
    }

    pub fn services(&self) -> Api<ManagedService> {
        Api::namespaced(self.cluster.client.clone(), SYSTEM_NAMESPACE)
    }

    /// A service that the operator's own DNS server answers.
    pub async fn local(&self, name: &str) {
        self.apply(service(name)).await;
    }

    /// A service whose records lie at Ali.
    pub async fn at_ali(&self, name: &str) {
        let mut object = service(name);
        object["spec"]["platformProvider"] = json!("Ali");
        self.apply(object).await;
    }

    /// A replica that does not run yet, for the system namespace.
    pub async fn replica(&self, flags: &[&str]) -> Replica {
        self.replica_within(&[SYSTEM_NAMESPACE], flags).await
    }

    /// The same for these namespaces; none: for all.
    pub async fn replica_within(&self, namespaces: &[&str], flags: &[&str]) -> Replica {
        let proxy = self.cluster.proxy().await;
        let token = self.cluster.token(&proxy, &self.account).await;
        let mut all = vec!["--lines", "default,CT", "--public-address", ADDRESS];
        all.extend(["--address", "http://site.invalid"]);
        namespaces.iter().for_each(|namespace| all.extend(["--namespaces", namespace]));
        all.extend(flags);
        let site = Site::in_cluster(NODE, &proxy.kubeconfig(&token), &all);
        Replica { site, proxy }
    }

    /// A replica that runs and is ready.
    pub async fn operator(&self) -> Replica {
        let mut replica = self.replica(&[]).await;
        replica.site.start().await;
        replica
    }

    /// Waits until a service's condition `kind` has this reason; returns the message.
    pub async fn becomes(&self, service: &str, kind: &str, reason: &str) -> String {
        wait(&format!("{service} has {kind} {reason}"), || async {
            let status = self.services().get(service).await.ok()?.status?;
            let found = status.conditions.into_iter().find(|condition| condition.type_ == kind)?;
            (found.reason == reason).then_some(found.message)
        })
        .await
    }

    /// Waits until the zone at Ali holds exactly `names` for both lines.
    pub async fn holds(&self, names: &[&str]) {
        let mut expect: Vec<String> = Vec::new();
        for name in names {
            expect.extend(["default", "telecom"].map(|line| format!("{name} A {line} {ADDRESS}")));
        }
        expect.sort();
        wait(&format!("the zone holds {expect:#?}"), || async {
            let records = self.ali.records("example.com").into_iter();
            let short = records.map(|one| format!("{} {} {} {}", one.rr, one.kind, one.line, one.value));
            let mut found: Vec<String> = short.collect();
            found.sort();
            (found == expect).then_some(())
        })
        .await;
    }
}

impl Replica {
    /// Its own DNS server's answer for somebody on CT, where it gives one.
    pub async fn a(&self, name: &str) -> Option<String> {
        self.site.a(&format!("{name}.example.com"), CT).await
    }

    /// Waits until it answers `name` with the node's address.
    pub async fn serves(&self, name: &str) {
        self.site.answers(&format!("{name}.example.com"), CT, ADDRESS).await;
    }
}

/// What it was refused for want of a right fails every test.
impl Drop for Replica {
    fn drop(&mut self) {
        let refusals = self.proxy.ledger().refusals();
        assert!(refusals.is_empty() || std::thread::panicking(), "rights are missing: {refusals:#?}");
    }
}

/// A service where the operator serves: the chart's own namespace.
pub fn service(record: &str) -> Value {
    let mut object = objects::service(record);
    object["metadata"]["namespace"] = json!(SYSTEM_NAMESPACE);
    object
}

/// The definitions, as the binary has them, and served.
pub async fn define(client: &Client) {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for crd in crds::all() {
        let name = crd.metadata.name.clone().unwrap();
        let params = PatchParams::apply("test").force();
        api.patch(&name, &params, &Patch::Apply(&crd)).await.unwrap();
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(Duration::from_secs(30), established).await.unwrap().unwrap();
    }
}

/// Takes away what an earlier test left in a cluster that others use too. An embedded one is new.
async fn clear(cluster: &Cluster) {
    if !cluster.is_real() {
        return;
    }
    let client = &cluster.client;
    let our = |kind: &str| ApiResource::from_gvk(&GroupVersionKind::gvk("cocoasyncer.io", "v1alpha1", kind));
    for kind in ["App", "ManagedService", "CocoaNode"] {
        let Ok(all) =
            Api::<DynamicObject>::all_with(client.clone(), &our(kind)).list(&Default::default()).await
        else {
            continue;
        };
        for object in all {
            let api = match object.metadata.namespace.as_deref() {
                Some(namespace) => {
                    Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &our(kind))
                }
                None => Api::all_with(client.clone(), &our(kind)),
            };
            let name = object.metadata.name.unwrap_or_default();
            // Nobody runs who could let it go.
            let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            let _ = api.patch(&name, &PatchParams::default(), &free).await;
            let _ = api.delete(&name, &DeleteParams::default()).await;
        }
    }
    async fn empty<K>(client: &Client)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api = Api::<K>::namespaced(client.clone(), SYSTEM_NAMESPACE);
        let _ = api.delete_collection(&DeleteParams::default(), &ListParams::default()).await;
    }
    empty::<Secret>(client).await;
    empty::<ConfigMap>(client).await;
    empty::<Lease>(client).await;
}

/// Exactly what the chart gives its ServiceAccount.
pub fn rights() -> Vec<Value> {
    let all = installed().into_iter();
    all.filter(|object| RIGHTS.contains(&object["kind"].as_str().unwrap_or_default())).collect()
}

/// What `kubectl apply` of the whole chart makes: the objects of `manifests/install.yaml`.
pub fn installed() -> Vec<Value> {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/install.yaml")).unwrap();
    let documents = text.split("\n---\n").filter(|document| document.contains("\nkind: "));
    documents.map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}
