//! Statuses that were written and that no snapshot shows yet: a turn that began from an older snapshot would take them for
//! unwritten, and write them again with other times. It writes nothing itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::DeserializeGuard;

use crate::api::service::{ManagedService, ManagedServiceStatus};
use crate::controllers::snapshot::Managed;
use crate::domain::names::ObjectId;
use crate::domain::records::Service;

/// The statuses, each with the version that it made of its object. Empty at rest.
#[derive(Debug, Default)]
pub struct Written(BTreeMap<ObjectId, (u64, ManagedServiceStatus)>);

impl Written {
    /// A status was written.
    pub fn note(&mut self, id: ObjectId, version: u64, status: ManagedServiceStatus) {
        self.0.insert(id, (version, status));
    }

    /// The services with what was written since they were seen; forgets what they show. Versions of one kind can be
    /// compared as numbers (Kubernetes API conventions, resource version comparison).
    pub fn over(&mut self, services: Arc<Vec<Managed>>) -> Arc<Vec<Managed>> {
        if self.0.is_empty() {
            return services;
        }
        let mut left = BTreeMap::new();
        let over = services.iter().map(|managed| {
            let id = &managed.service.id;
            let older = |object: &ManagedService, version| seen(object).is_some_and(|seen| seen < version);
            let written = self.0.remove(id);
            let (object, (version, status)) = match (managed.object(), written) {
                (Some(object), Some(written)) if older(object, written.0) => (object, written),
                _ => return managed.clone(),
            };
            let object = ManagedService { status: Some(status.clone()), ..object.clone() };
            left.insert(id.clone(), (version, status));
            match Service::parse(&object) {
                Ok(service) => {
                    Managed { service: Arc::new(service), object: Arc::new(DeserializeGuard(Ok(object))) }
                }
                Err(_) => managed.clone(),
            }
        });
        let over = over.collect();
        self.0 = left;
        Arc::new(over)
    }
}

fn seen(object: &ManagedService) -> Option<u64> {
    object.metadata.resource_version.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn managed(version: &str) -> Managed {
        let object: ManagedService = serde_json::from_value(json!({
            "metadata": { "name": "a", "namespace": "b", "resourceVersion": version },
            "spec": { "serviceName": "a", "domain": "example.com", "record": "a", "platformProvider": "Local" },
        }))
        .unwrap();
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
            written.note(managed("9").service.id.clone(), 10, status);
            assert_eq!(shown(&mut written, "9").as_deref(), Some("a.example.com"), "the turn right after");
            assert_eq!(shown(&mut written, "8").as_deref(), Some("a.example.com"), "and the next");
            assert_eq!(shown(&mut written, last), None, "the object says it itself");
            assert_eq!(shown(&mut written, "9"), None, "and it is forgotten");
        }
    }

    #[test]
    fn a_service_that_went_is_forgotten() {
        let mut written = Written::default();
        written.note(managed("9").service.id.clone(), 10, ManagedServiceStatus::default());
        assert!(written.over(Arc::default()).is_empty());
        assert!(written.0.is_empty());
    }
}
