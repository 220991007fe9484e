//! Services as this process has written them last, where no snapshot shows that yet: a turn that began from an older
//! snapshot would write the same again with other times, or on a version that is gone. It writes nothing itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::DeserializeGuard;

use crate::api::service::ManagedService;
use crate::controllers::snapshot::Managed;
use crate::domain::names::ObjectId;
use crate::domain::records::{Service, id_of};

/// The objects as the API server answered them. Empty at rest.
#[derive(Debug, Default)]
pub struct Written(BTreeMap<ObjectId, Arc<DeserializeGuard<ManagedService>>>);

impl Written {
    /// The API server has taken what was written, and answered with the whole object.
    pub fn note(&mut self, object: ManagedService) {
        self.0.insert(id_of(&object), Arc::new(DeserializeGuard(Ok(object))));
    }

    /// A service as it was seen or, if that is newer, written.
    pub fn latest<'a>(&'a self, managed: &'a Managed) -> Option<&'a ManagedService> {
        let seen = managed.object()?;
        let written = self.0.get(&managed.service.id).and_then(|written| written.0.as_ref().ok());
        Some(written.filter(|written| version(seen) < version(written)).unwrap_or(seen))
    }

    /// The services with what was written since they were seen; forgets what they show.
    pub fn over(&mut self, services: Arc<Vec<Managed>>) -> Arc<Vec<Managed>> {
        if self.0.is_empty() {
            return services;
        }
        let mut left = BTreeMap::new();
        let over = services.iter().map(|managed| {
            let written = self.0.remove(&managed.service.id);
            let newer = written.and_then(|object| {
                let written = object.0.as_ref().ok()?;
                let newer = version(managed.object()?) < version(written);
                newer.then(|| Service::parse(written).ok()).flatten().map(|service| (service, object))
            });
            let Some((service, object)) = newer else { return managed.clone() };
            left.insert(managed.service.id.clone(), object.clone());
            Managed { service: Arc::new(service), object }
        });
        let over = over.collect();
        self.0 = left;
        Arc::new(over)
    }
}

/// Versions of one kind can be compared as numbers (Kubernetes API conventions, resource version comparison).
fn version(object: &ManagedService) -> Option<u64> {
    object.metadata.resource_version.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::service::ManagedServiceStatus;

    use super::*;

    fn object(version: &str) -> ManagedService {
        serde_json::from_value(json!({
            "metadata": { "name": "a", "namespace": "b", "resourceVersion": version },
            "spec": { "serviceName": "a", "domain": "example.com", "record": "a", "platformProvider": "Local" },
        }))
        .unwrap()
    }

    fn managed(version: &str) -> Managed {
        let object = object(version);
        let service = Arc::new(Service::parse(&object).unwrap());
        Managed { service, object: Arc::new(DeserializeGuard(Ok(object))) }
    }

    fn shown(written: &mut Written, version: &str) -> Option<String> {
        let over = written.over(Arc::new(vec![managed(version)]));
        over[0].object().unwrap().status.as_ref().map(|status| status.fqdn.clone())
    }

    #[test]
    fn what_was_written_is_seen_until_the_object_shows_it_or_something_newer() {
        for last in ["12", "10"] {
            let mut written = Written::default();
            let status = ManagedServiceStatus { fqdn: "a.example.com".into(), ..Default::default() };
            written.note(ManagedService { status: Some(status), ..object("10") });
            assert!(written.latest(&managed("9")).unwrap().status.is_some(), "in the same turn");
            assert!(written.latest(&managed("11")).unwrap().status.is_none());
            assert_eq!(shown(&mut written, "9").as_deref(), Some("a.example.com"), "the turn right after");
            assert_eq!(shown(&mut written, "8").as_deref(), Some("a.example.com"), "and the next");
            assert_eq!(shown(&mut written, last), None, "the object says it itself");
            assert_eq!(shown(&mut written, "9"), None, "and it is forgotten");
        }
    }

    #[test]
    fn a_service_that_went_is_forgotten() {
        let mut written = Written::default();
        written.note(object("10"));
        assert!(written.over(Arc::default()).is_empty());
        assert!(written.0.is_empty());
    }
}
