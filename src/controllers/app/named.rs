//! Secrets that Apps name, for values and for registries: each is watched alone, so that new credentials are used as soon
//! as they are there and foreign Secrets cost nothing. Only that one changed is remembered; who needs it reads it.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tracing::debug;

use crate::api::app::App;
use crate::telemetry::chain::Chain;
use crate::watching;

/// Namespace and name.
type Place = (String, String);

/// The watches.
pub struct Named {
    client: Client,
    watches: BTreeMap<Place, (AbortHandle, u64)>,
    tasks: JoinSet<()>,
    tell: mpsc::UnboundedSender<Place>,
    told: mpsc::UnboundedReceiver<Place>,
}

/// The Secrets that an App names.
fn names(app: &App) -> BTreeSet<Place> {
    let namespace = app.namespace().unwrap_or_default();
    let values = app.spec.secret_variables.values().map(|reference| &reference.name);
    let all = values.chain(app.spec.pull_secret_ref.as_ref().map(|reference| &reference.name));
    all.map(|name| (namespace.clone(), name.clone())).collect()
}

impl Named {
    /// No watches yet; all end when this is dropped.
    pub fn new(client: Client) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self { client, watches: BTreeMap::new(), tasks: JoinSet::new(), tell, told }
    }

    /// Watches what these Apps name, and nothing else.
    pub fn follow(&mut self, apps: &[App]) {
        while self.tasks.try_join_next().is_some() {}
        let wished: BTreeSet<Place> = apps.iter().flat_map(names).collect();
        self.watches.retain(|place, (task, _)| {
            let stays = wished.contains(place);
            if !stays {
                task.abort();
            }
            stays
        });
        for place in wished {
            if !self.watches.contains_key(&place) {
                let task = self.tasks.spawn(watch(self.client.clone(), place.clone(), self.tell.clone()));
                self.watches.insert(place, (task, 0));
            }
        }
    }

    /// Waits until one of them has changed.
    pub async fn changed(&mut self) {
        // We hold a sender ourselves, so there is always another one to come.
        let Some(place) = self.told.recv().await else { return };
        if let Some((_, changes)) = self.watches.get_mut(&place) {
            *changes += 1;
        }
    }

    /// A number that rises with every change of what `app` names.
    pub fn changes(&self, app: &App) -> u64 {
        names(app).iter().filter_map(|place| self.watches.get(place)).map(|(_, changes)| changes).sum()
    }
}

async fn watch(client: Client, place: Place, tell: mpsc::UnboundedSender<Place>) {
    let api = Api::<KubeSecret>::namespaced(client, &place.0);
    let mut seen = watching::object(api, &place.1);
    // What its App's worker read before we looked may be older than what we see first: that counts too.
    let mut last = None;
    while let Some(seen) = seen.next().await {
        match seen {
            Ok(seen) => {
                let version = seen.and_then(|secret| secret.resource_version());
                if last.replace(version.clone()) != Some(version) && tell.send(place.clone()).is_err() {
                    return;
                }
            }
            // Its App's worker says what it can't read.
            Err(error) => {
                debug!(secret = %place.1, error = %Chain(&error), "watch interrupted, it goes on by itself")
            }
        }
    }
}
