//! Services of a push: matched by name and zone, checked field by field, written where they differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::names::{free, is_namespace, is_object_name, object_name};
use super::{Existing, ServiceWrite, differs, marked};
use crate::api::service::{ManagedService, ManagedServiceSpec};
use crate::api::vocab::{DeletionPolicy, PlatformProvider};
use crate::api::{ADOPT_ANNOTATION, RELEASE_ANNOTATION};
use crate::domain::names::{DnsName, FieldError, ObjectId};
use crate::wire::cluster::{CocoaBasic, Service};

/// What becomes of the services.
pub(super) struct Services {
    /// Services that differ.
    pub writes: Vec<ServiceWrite>,
    /// The leader's services that the push no longer has.
    pub removed: Vec<ObjectId>,
}

/// Zone and full name: both can't change under an object.
type Key = (DnsName, DnsName);

/// A service whose fields have been read.
struct Checked {
    key: Key,
    told: Option<ObjectId>,
    provider: PlatformProvider,
    service_name: String,
    written: (String, String),
    spec: Option<ManagedServiceSpec>,
    release: String,
    adopt: Option<bool>,
}

/// Plans all services of a push; `nodes` are the leader's names of nodes and ours.
pub(super) fn plan(
    push: &CocoaBasic,
    existing: &Existing<'_>,
    nodes: &BTreeMap<String, String>,
) -> Result<Services, FieldError> {
    let mut by_key: BTreeMap<Key, Vec<&ManagedService>> = BTreeMap::new();
    for service in existing.services {
        if let Ok(key) = key(&service.spec.domain, &service.spec.record, "spec") {
            by_key.entry(key).or_default().push(service);
        }
    }
    let mut taken: BTreeSet<ObjectId> = existing.services.iter().map(id_of).collect();
    let mut kept: BTreeSet<ObjectId> = BTreeSet::new();
    let mut seen: BTreeSet<(Key, PlatformProvider, Option<ObjectId>)> = BTreeSet::new();
    let mut writes = Vec::new();
    for (index, service) in push.cocoa_managed_service.iter().enumerate() {
        let checked = checked(service, &format!("cocoaBasic.cocoaManagedService[{index}]"))?;
        if !seen.insert((checked.key.clone(), checked.provider, checked.told.clone())) {
            continue;
        }
        let here = by_key.get(&checked.key).map(Vec::as_slice).unwrap_or_default();
        let found = matching(&checked, here, &kept);
        let id = match found {
            Some(found) => id_of(found),
            None => name(&checked, &taken),
        };
        taken.insert(id.clone());
        kept.insert(id.clone());
        let release = checked.release.clone();
        let here = found.is_some_and(adopts);
        let same = checked.adopt.is_none_or(|adopt| adopt == here);
        // A word against it is needed only where somebody here said it.
        let adopt = checked.adopt.filter(|adopt| *adopt || here);
        let spec = wished(checked, found.map(|found| &found.spec), nodes);
        let stands = found.is_some_and(|found| {
            let differs = differs(&plain(&spec), &plain(&found.spec), &found.metadata);
            marked(found.metadata.labels.as_ref()) && !differs && same && is_released(found, &release)
        });
        if !stands {
            writes.push(ServiceWrite { id, spec, release, adopt });
        }
    }
    let gone = existing.services.iter().filter(|service| marked(service.metadata.labels.as_ref()));
    let removed = gone.map(id_of).filter(|id| !kept.contains(id)).collect();
    Ok(Services { writes, removed })
}

/// Whether the object carries the release already; one that was released here needs none.
fn is_released(object: &ManagedService, release: &str) -> bool {
    let here = object.metadata.annotations.as_ref().and_then(|all| all.get(RELEASE_ANNOTATION));
    release.is_empty() || here.is_some_and(|here| here == release)
}

fn adopts(object: &ManagedService) -> bool {
    let annotations = object.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(ADOPT_ANNOTATION)).is_some_and(|value| value == "true")
}

fn checked(service: &Service, at: &str) -> Result<Checked, FieldError> {
    let refuse = |name: &str, why: String| FieldError::new(format!("{at}.{name}"), why);
    if service.service_name.is_empty() || 128 < service.service_name.chars().count() {
        return Err(refuse("serviceName", "must have 1 to 128 characters".into()));
    }
    let provider = service
        .platform_provider
        .parse()
        .map_err(|err: crate::api::vocab::UnknownProvider| refuse("platformProvider", err.to_string()))?;
    let key = key(&service.domain, &service.record, at)?;
    let release = service.operator.as_ref().map(|operator| operator.release.clone()).unwrap_or_default();
    if 64 < release.len() || !release.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(refuse("operator.release", "must be a plan's digest".into()));
    }
    let adopt = service.operator.as_ref().map(|operator| operator.adopt);
    let (told, spec) = match &service.operator {
        None => (None, None),
        Some(operator) => {
            if !is_namespace(&operator.namespace) {
                return Err(refuse("operator.namespace", "must be a namespace's name".into()));
            }
            if !is_object_name(&operator.name) {
                return Err(refuse("operator.name", "must be an object's name".into()));
            }
            let id = ObjectId { namespace: operator.namespace.clone(), name: operator.name.clone() };
            (Some(id), operator.spec(&format!("{at}.operator"))?)
        }
    };
    if let Some(spec) = &spec {
        if spec.ttl < 1 || 86_400 < spec.ttl {
            return Err(refuse("operator.spec.ttl", "must be from 1 to 86400".into()));
        }
        if 64 < spec.nodes.len() {
            return Err(refuse("operator.spec.nodes", "must have at most 64 items".into()));
        }
    }
    let written = (service.domain.clone(), service.record.clone());
    let service_name = service.service_name.clone();
    Ok(Checked { key, told, provider, service_name, written, spec, release, adopt })
}

fn key(domain: &str, record: &str, at: &str) -> Result<Key, FieldError> {
    let field = format!("{at}.domain");
    let zone = DnsName::parse(domain, &field)?;
    if domain.ends_with('.') || domain.starts_with('*') || !domain.contains('.') {
        let why = "must be a zone's name without a trailing dot, e.g. example.com";
        return Err(FieldError::new(field, why));
    }
    let name = zone.child(record, &format!("{at}.record"))?;
    Ok((zone, name))
}

/// The object that this service is already: the one of its told name, else one of the same platform, else any.
fn matching<'a>(
    checked: &Checked,
    here: &[&'a ManagedService],
    kept: &BTreeSet<ObjectId>,
) -> Option<&'a ManagedService> {
    let rank = |service: &ManagedService| {
        (
            checked.told.as_ref() != Some(&id_of(service)),
            service.spec.platform_provider != checked.provider,
            !marked(service.metadata.labels.as_ref()),
            id_of(service),
        )
    };
    here.iter().copied().filter(|service| !kept.contains(&id_of(service))).min_by_key(|service| rank(service))
}

fn name(checked: &Checked, taken: &BTreeSet<ObjectId>) -> ObjectId {
    let (namespace, wanted) = match &checked.told {
        Some(told) => (told.namespace.clone(), told.name.clone()),
        None => {
            let text = checked.key.1.as_str();
            let text = match text.strip_prefix("*.") {
                Some(rest) => format!("wildcard.{rest}"),
                None => text.to_owned(),
            };
            ("default".to_owned(), object_name(&text, "service"))
        }
    };
    free(&wanted, taken, |name| ObjectId { namespace: namespace.clone(), name })
}

fn wished(
    checked: Checked,
    found: Option<&ManagedServiceSpec>,
    nodes: &BTreeMap<String, String>,
) -> ManagedServiceSpec {
    // An object's domain and record can't change, not even in how they are written.
    let (domain, record) = match found {
        Some(found) => (found.domain.clone(), found.record.clone()),
        None => checked.written,
    };
    let told = checked.spec.map(|spec| {
        let here = |name: String| nodes.get(&name).cloned().unwrap_or(name);
        ManagedServiceSpec { nodes: spec.nodes.into_iter().map(here).collect(), ..spec }
    });
    // What the old wire cannot say survives its push.
    let base = told.as_ref().or(found);
    ManagedServiceSpec {
        service_name: checked.service_name,
        domain,
        record,
        platform_provider: checked.provider,
        account_ref: base.and_then(|spec| spec.account_ref.clone()),
        ttl: base.map_or(60, |spec| spec.ttl),
        nodes: base.map(|spec| spec.nodes.clone()).unwrap_or_default(),
        deletion_policy: base.map_or(DeletionPolicy::Delete, |spec| spec.deletion_policy),
    }
}

fn plain(spec: &ManagedServiceSpec) -> Value {
    serde_json::to_value(spec).expect("a spec is plain data")
}

fn id_of(service: &ManagedService) -> ObjectId {
    ObjectId {
        namespace: service.metadata.namespace.clone().unwrap_or_default(),
        name: service.metadata.name.clone().unwrap_or_default(),
    }
}
