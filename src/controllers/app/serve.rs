//! `spec.domain`: a ManagedService that the App owns, so that the application has a name that follows sites and lines. It
//! goes with the App (its owner), or when the domain changes. A name that somebody else serves is left alone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tracing::{info, warn};

use crate::api::app::App;
use crate::api::condition::reasons;
use crate::api::service::{ManagedService, ManagedServiceSpec};
use crate::controllers::app::choices::{gone_is_fine, in_time, secret_name};
use crate::controllers::app::worker::Worker;
use crate::domain::names::DnsName;
use crate::telemetry::chain::Chain;

/// Makes the service of an App's domain what the App says; what is in the way becomes a note.
pub async fn follow(worker: &mut Worker, app: &App) {
    worker.unserved = false;
    let wanted = app.spec.domain.as_deref().map(|domain| DnsName::parse(domain, "spec.domain")).transpose();
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(error) => {
            worker.notes.push((reasons::INVALID, error.to_string()));
            None
        }
    };
    let all: Vec<ManagedService> =
        worker.ctx.base.stores.services().iter().filter_map(|one| one.0.as_ref().ok().cloned()).collect();
    let (mine, others): (Vec<ManagedService>, Vec<ManagedService>) =
        all.into_iter().partition(|service| owned_by(service, app));
    let (right, wrong): (Vec<_>, Vec<_>) =
        mine.into_iter().partition(|service| wanted.is_some() && name_of(service) == wanted);
    for service in wrong.iter().filter(|service| service.metadata.deletion_timestamp.is_none()) {
        remove(worker, service).await;
    }
    let Some(wanted) = wanted else {
        worker.reporter.draft.domain = None;
        return;
    };
    if right.iter().any(|service| service.metadata.deletion_timestamp.is_none()) {
        worker.reporter.draft.domain = Some(wanted.as_str().to_owned());
        return;
    }
    worker.reporter.draft.domain = None;
    let taken = others.iter().find(|service| name_of(service).as_ref() == Some(&wanted));
    let made = match taken {
        Some(other) => Err(format!("ManagedService {} serves it already", id(other))),
        None => create(worker, app, &wanted, &others).await,
    };
    match made {
        Ok(()) => worker.reporter.draft.domain = Some(wanted.as_str().to_owned()),
        Err(why) => {
            worker.unserved = true;
            worker.notes.insert(0, (reasons::NAME_TAKEN, format!("spec.domain: {wanted}: {why}")));
        }
    }
}

fn id(service: &ManagedService) -> String {
    format!("{}/{}", service.namespace().unwrap_or_default(), service.name_any())
}

fn owned_by(service: &ManagedService, app: &App) -> bool {
    let same = service.namespace() == app.namespace();
    same && service.owner_references().iter().any(|owner| Some(&owner.uid) == app.metadata.uid.as_ref())
}

fn name_of(service: &ManagedService) -> Option<DnsName> {
    DnsName::parse(&service.spec.domain, "").ok()?.child(&service.spec.record, "").ok()
}

async fn remove(worker: &Worker, service: &ManagedService) {
    let namespace = service.namespace().unwrap_or_default();
    let api = Api::<ManagedService>::namespaced(worker.ctx.base.client.clone(), &namespace);
    let (name, params) = (service.name_any(), DeleteParams::default());
    match gone_is_fine(in_time(api.delete(&name, &params)).await.map(|_| ())) {
        Ok(()) => info!(app = %worker.key, service = %id(service), "its name is served no more"),
        Err(error) => {
            warn!(app = %worker.key, error = %Chain(&error), "the service of its domain is not removed")
        }
    }
}

/// The zone that a name lies in: the longest of those that services or the settings name; else its last two labels.
fn zone_of(name: &DnsName, known: impl Iterator<Item = DnsName>) -> Option<DnsName> {
    let best = known.filter(|zone| name.is_within(zone)).max_by_key(|zone| zone.as_str().len());
    best.or_else(|| {
        let labels: Vec<&str> = name.as_str().split('.').collect();
        let last = labels.get(labels.len().checked_sub(2)?..)?;
        DnsName::parse(&last.join("."), "").ok()
    })
}

async fn create(worker: &Worker, app: &App, name: &DnsName, others: &[ManagedService]) -> Result<(), String> {
    let settings = worker.ctx.settings.zones.iter().map(String::as_str);
    let known = settings.chain(others.iter().map(|service| service.spec.domain.as_str()));
    let zone = zone_of(name, known.filter_map(|zone| DnsName::parse(zone, "").ok()));
    let zone = zone.ok_or("it lies in no zone")?;
    let record = name.relative_to(&zone).unwrap_or("@");
    let in_zone =
        |service: &&ManagedService| DnsName::parse(&service.spec.domain, "").is_ok_and(|d| d == zone);
    let beside = others.iter().filter(in_zone);
    // A neighbour knows the platform; its account's Secret is its namespace's.
    let model = beside.min_by_key(|service| (service.namespace() != app.namespace(), service.name_any()));
    let mut spec = json!({ "serviceName": app.name_any(), "domain": zone.as_str(), "record": record });
    if let Some(model) = model {
        spec["platformProvider"] = json!(model.spec.platform_provider);
        if let Some(account) =
            model.spec.account_ref.as_ref().filter(|_| model.namespace() == app.namespace())
        {
            spec["accountRef"] = json!(account);
        }
    }
    let spec: ManagedServiceSpec = serde_json::from_value(spec).map_err(|error| error.to_string())?;
    let mut service = ManagedService::new(&secret_name(&app.name_any()), spec);
    service.metadata = ObjectMeta {
        namespace: app.namespace(),
        owner_references: Some(app.controller_owner_ref(&()).into_iter().collect::<Vec<OwnerReference>>()),
        ..service.metadata
    };
    let namespace = app.namespace().unwrap_or_default();
    let api = Api::<ManagedService>::namespaced(worker.ctx.base.client.clone(), &namespace);
    let params = PostParams { field_manager: Some("cocoasyncer/app".into()), ..PostParams::default() };
    match in_time(api.create(&params, &service)).await {
        Ok(_) => {
            info!(app = %worker.key, name = %name, "its name is served");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let there = in_time(api.get(&service.name_any())).await.map_err(|error| error.to_string())?;
            let gone = there.metadata.deletion_timestamp.is_some();
            match owned_by(&there, app) {
                true if !gone && name_of(&there).as_ref() == Some(name) => Ok(()),
                true => Err("the service of the domain before it is still being removed".to_owned()),
                false => Err(format!("ManagedService {} is somebody else's", id(&there))),
            }
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_known_zone_holds_a_name() {
        let name = |text: &str| DnsName::parse(text, "").unwrap();
        let zone = |text: &str, known: &[&str]| {
            zone_of(&name(text), known.iter().map(|zone| name(zone))).map(|zone| zone.to_string())
        };
        assert_eq!(zone("a.b.example.com", &["example.com", "b.example.com"]).unwrap(), "b.example.com");
        assert_eq!(zone("a.b.example.com", &["other.com"]).unwrap(), "example.com");
        assert_eq!(zone("example.com", &[]).unwrap(), "example.com");
        assert_eq!(zone("notexample.com", &["example.com"]).unwrap(), "notexample.com");
    }
}
