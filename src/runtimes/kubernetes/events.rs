//! Something happened to an App's objects: watches of what carries our labels, nothing kept of it but the name.

use std::fmt::Debug;

use futures::stream::{BoxStream, StreamExt, select_all};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::watcher::{self, Config, Event};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tracing::debug;

use crate::api::{APP_LABEL, APP_UID_LABEL};
use crate::domain::scope::Scope;
use crate::watching;

/// Names of Apps with whose objects something happened; an empty one after a watch began anew.
pub(super) fn stream(client: &Client, scope: &Scope) -> BoxStream<'static, String> {
    let all = scope.places().into_iter().flat_map(|place| {
        [
            of::<Pod>(client, place),
            of::<Deployment>(client, place),
            of::<Job>(client, place),
            of::<Service>(client, place),
            of::<ConfigMap>(client, place),
            of::<Secret>(client, place),
            of::<PersistentVolumeClaim>(client, place),
            of::<Ingress>(client, place),
        ]
    });
    select_all(all).boxed()
}

fn of<K>(client: &Client, place: Option<&str>) -> BoxStream<'static, String>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let api = match place {
        Some(namespace) => Api::<PartialObjectMeta<K>>::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let config = Config::default().labels(APP_UID_LABEL);
    let watch = watching::objects(api, config);
    let named = |event: Result<Event<PartialObjectMeta<K>>, watcher::Error>| match event {
        Ok(Event::Apply(object) | Event::Delete(object)) => object.labels().get(APP_LABEL).cloned(),
        Ok(Event::InitDone) => Some(String::new()),
        Ok(Event::Init | Event::InitApply(_)) => None,
        Err(error) => {
            debug!(kind = %K::kind(&()), error = %error, "watch of applications' objects interrupted");
            None
        }
    };
    watch.filter_map(move |event| std::future::ready(named(event))).boxed()
}
