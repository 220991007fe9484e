//! What the webhook answers, from the caches alone: no call is made for it. What is right is judged by
//! `domain::admission`; here only stands what it is judged by.

pub mod certificates;
pub mod rotation;

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use crate::api::GROUP;
use crate::api::app::{App, RuntimeKind};
use crate::api::condition::reasons;
use crate::api::node::CocoaNode;
use crate::api::service::ManagedService;
use crate::catalog::library::Library;
use crate::controllers::accounts::{Place, Unplaced};
use crate::controllers::shared::context::Context;
use crate::controllers::snapshot::Snapshot;
use crate::domain::admission::app::{Ground, Offered};
use crate::domain::admission::{Verdict, app, node, service};
use crate::domain::app::finding::Right;
use crate::domain::app::verdict::Backend;
use crate::domain::names::FieldError;
use crate::domain::records::{Service, id_of};
use crate::wire::admission::Question;

/// What Apps are judged by.
#[derive(Clone)]
pub struct Rules {
    /// The catalogue.
    pub library: Library,
    /// Rights that the operator allows.
    pub policy: BTreeSet<Right>,
    /// Whether there is a Docker engine.
    pub docker: bool,
    /// Whether there is a cluster that runs Apps.
    pub kubernetes: bool,
}

/// Judges objects before they are stored.
#[derive(Clone)]
pub struct Judge {
    /// The caches and the clock.
    pub ctx: Context,
    /// What services are judged by.
    pub snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    /// What Apps are judged by.
    pub rules: Rules,
}

impl Judge {
    /// Judges what is asked about. Templates are read from disk for it: not for a thread that others wait for.
    pub fn judge(&self, question: &Question) -> Verdict {
        if question.kind.group != GROUP || question.operation == "DELETE" {
            return Verdict::default();
        }
        match question.kind.kind.as_str() {
            "CocoaNode" => compare(question, |node: &CocoaNode| self.node(node)),
            "ManagedService" => compare(question, |service: &ManagedService| self.service(service)),
            "App" => compare(question, |app: &App| self.app(app)),
            _ => Verdict::default(),
        }
    }

    fn node(&self, object: &CocoaNode) -> Verdict {
        let nodes = self.ctx.stores.nodes();
        let others: Vec<&CocoaNode> =
            nodes.iter().filter(|other| other.metadata.name != object.metadata.name).collect();
        node::judge(object, &others, &self.ctx.me, self.ctx.now())
    }

    /// What is said of an object in a namespace that is not served; none: it is.
    fn outside(&self, namespace: Option<&str>) -> Option<Verdict> {
        let scope = self.ctx.scope();
        if scope.covers(namespace.unwrap_or_default()) {
            return None;
        }
        let mut verdict = Verdict::default();
        let words = scope.refusal();
        let (field, why) = words.split_once(": ").unwrap_or(("metadata.namespace", &words));
        verdict.warn(field, why);
        Some(verdict)
    }

    fn service(&self, object: &ManagedService) -> Verdict {
        if let Some(outside) = self.outside(object.metadata.namespace.as_deref()) {
            return outside;
        }
        let service = match Service::parse(object) {
            Ok(service) => service,
            Err(error) => return Verdict::refusal(error),
        };
        let Some(snapshot) = self.snapshots.borrow().clone() else { return too_early() };
        let place = snapshot.directory.place(&service);
        let at = match &place {
            Place::At(zone) => zone.clone(),
            Place::NotYet | Place::Nowhere(_) => service.zone.clone(),
        };
        let id = id_of(object);
        let placed =
            snapshot.zones.iter().flat_map(|(zone, all)| all.iter().map(move |one| (&*one.service, zone)));
        let unplaced = snapshot.unplaced.values().map(|(one, _)| (&*one.service, &one.service.zone));
        let others = placed.chain(unplaced).filter(|(other, _)| other.id != id);
        let mut verdict = service::judge(&service, &at, others, &snapshot.cluster);
        if let Place::Nowhere(why) = place {
            // All accounts there are have said that they lack the zone: that is an error in the name, or the zone is
            // to be made first. An account that is missing or broken may come right in the same breath.
            match why.reason {
                reasons::ZONE_UNKNOWN => verdict.refused.push(field(why)),
                _ => verdict.warnings.push(field(why)),
            }
        }
        verdict
    }

    fn app(&self, object: &App) -> Verdict {
        if let Some(outside) = self.outside(object.metadata.namespace.as_deref()) {
            return outside;
        }
        let Rules { library, policy, docker, kubernetes } = &self.rules;
        let apps = self.ctx.stores.apps();
        let mine = |other: &App| {
            (&other.metadata.namespace, &other.metadata.name)
                == (&object.metadata.namespace, &object.metadata.name)
        };
        let others: Vec<App> = apps.into_iter().filter(|other| !mine(other)).collect();
        let offer = library.get(&object.spec.app_name);
        let files = offer.as_ref().map(|offer| offer.files()).transpose();
        let Ok(files) = files else {
            let mut verdict = Verdict::default();
            verdict.warn(
                "spec.appName",
                "its template's files can't be read now: what is in them was not checked",
            );
            return verdict;
        };
        let offered = offer.as_ref().zip(files).map(|(offer, files)| Offered {
            template: &offer.template,
            files: Arc::new(files),
            versions: offer.versions(),
        });
        let chosen = object.status.as_ref().and_then(|status| status.runtime);
        let kind = match object.spec.runtime {
            RuntimeKind::Auto => chosen.unwrap_or_default(),
            kind => kind,
        };
        let backend = match kind {
            RuntimeKind::Docker => docker.then_some(Backend::Docker),
            RuntimeKind::Kubernetes => kubernetes.then_some(Backend::Kubernetes),
            RuntimeKind::Auto => {
                kubernetes.then_some(Backend::Kubernetes).or(docker.then_some(Backend::Docker))
            }
        };
        app::judge(object, &Ground { others: &others, offered, policy, backend })
    }
}

/// What the new object adds to what was so of the old one.
fn compare<K>(question: &Question, judge: impl Fn(&K) -> Verdict) -> Verdict
where
    K: Resource + DeserializeOwned,
{
    let read = |value: &Value| serde_json::from_value::<K>(value.clone());
    let fresh = match read(&question.object) {
        Ok(fresh) => fresh,
        // The API server has its schema already; of a later release's object we may know less than it does.
        Err(error) => {
            let mut verdict = Verdict::default();
            verdict.warn("object", format!("this operator can't read it, so it was not checked: {error}"));
            return verdict;
        }
    };
    // What goes must not be held up.
    if fresh.meta().deletion_timestamp.is_some() {
        return Verdict::default();
    }
    let before = read(&question.old_object).map(|old| judge(&old)).unwrap_or_default();
    judge(&fresh).beyond(&before)
}

fn too_early() -> Verdict {
    let mut verdict = Verdict::default();
    verdict
        .warn("metadata", "the operator has just started, so this was not checked: see the condition Valid");
    verdict
}

fn field(Unplaced { message, .. }: Unplaced) -> FieldError {
    match message.split_once(": ") {
        Some((field, why)) if field.starts_with("spec.") => FieldError::new(field, why),
        _ => FieldError::new("spec.platformProvider", message),
    }
}
