//! The objects of the measured worlds: nodes with fixed addresses, services spread over a few zones.

use std::net::Ipv4Addr;
use std::time::Duration;

use cocoasyncer::api::crds;
use cocoasyncer::api::node::CocoaNode;
use cocoasyncer::api::service::ManagedService;
use cocoasyncer::api::vocab::Line;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Zones that services are spread over.
pub const ZONES: usize = 4;
/// The Secret of all nodes.
pub const SECRET: &str = "only-for-the-bench";

/// Applies our CRDs and waits until they are served.
pub async fn install_crds(client: &Client) -> anyhow::Result<()> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for crd in crds::all() {
        let name = crd.metadata.name.clone().unwrap_or_default();
        api.patch(&name, &PatchParams::apply("bench").force(), &Patch::Apply(&crd)).await?;
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(Duration::from_secs(20), established).await??;
    }
    Ok(())
}

/// `n01`, `n02`, ...; the first six have a line each, the others stand by for all.
pub fn node(index: usize, address: &str) -> anyhow::Result<CocoaNode> {
    let name = format!("n{index:02}");
    let lines: Vec<Line> = Line::ALL.into_iter().skip(index - 1).take(1).collect();
    let spec = json!({
        "nodeName": name, "nodeCode": format!("code-{name}"), "nodeAddress": format!("{address}/{name}"),
        "workMode": if index == 1 { "leader" } else { "follower" }, "isps": lines,
        "addresses": { "fixed": [public(index)] }, "secretRef": { "name": "bench" },
    });
    Ok(CocoaNode::new(&name, serde_json::from_value(spec)?))
}

/// The public address of a node.
pub fn public(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, u8::try_from(index).unwrap_or(u8::MAX))
}

/// The name of a service in DNS.
pub fn dns_name(index: usize) -> String {
    format!("service-{index:04}.zone{}.example.com", index % ZONES)
}

/// A service.
pub fn service(index: usize) -> anyhow::Result<ManagedService> {
    let name = format!("service-{index:04}");
    let spec = json!({ "serviceName": name, "domain": format!("zone{}.example.com", index % ZONES), "record": name });
    let mut object = ManagedService::new(&name, serde_json::from_value(spec)?);
    object.metadata.namespace = Some("default".into());
    Ok(object)
}

/// The Secret that the nodes name.
pub fn node_secret() -> anyhow::Result<Secret> {
    Ok(serde_json::from_value(json!({
        "metadata": { "name": "bench", "namespace": "cocoasyncer-system" }, "stringData": { "cocoaSecret": SECRET },
    }))?)
}

/// A Secret of somebody else, of a usual size.
pub fn foreign_secret(index: usize) -> anyhow::Result<Secret> {
    Ok(serde_json::from_value(json!({
        "metadata": { "name": format!("foreign-{index:05}"), "namespace": "default", "labels": { "app": "foreign" } },
        "stringData": { "token": "x".repeat(1024) },
    }))?)
}

/// Creates all objects, `at_once` at a time.
pub async fn create_all<K>(api: &Api<K>, objects: Vec<K>, at_once: usize) -> anyhow::Result<()>
where
    K: Resource + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    let create = |object: K| {
        let api = api.clone();
        async move { api.create(&PostParams::default(), &object).await.map(|_| ()) }
    };
    futures::stream::iter(objects).map(create).buffer_unordered(at_once).try_collect::<()>().await?;
    Ok(())
}
