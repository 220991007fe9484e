//! How an application's things are called on the engine and what they carry: compose's own names and labels, so that its
//! tools see the application, and ours, by which we know what is the App's. Pure.

use std::collections::HashMap;

use crate::api::{APP_LABEL, APP_NAMESPACE_LABEL, APP_UID_LABEL, DIGEST_LABEL};
use crate::domain::app::instance::{AppKey, Instance};
use crate::domain::app::workload::{Service, Until, Workload};

/// Labels as the engine's API takes them.
pub type Labels = HashMap<String, String>;

/// Label on a container: the service that it runs, as compose has it.
pub const SERVICE_LABEL: &str = "com.docker.compose.service";
/// Label on a volume: how the template calls it, as compose has it.
pub const VOLUME_LABEL: &str = "com.docker.compose.volume";
/// Label on a copy of a volume: under which label it was laid aside.
pub const SNAPSHOT_LABEL: &str = "cocoasyncer.io/snapshot";
/// Label on the network that the host's applications share; it is no application's.
pub const SHARED_LABEL: &str = "cocoasyncer.io/shared-network";
/// The rendered document's name, as compose looks for it.
pub const COMPOSE_FILE: &str = "docker-compose.yml";

/// The application's own network.
pub fn network(app: &str) -> String {
    format!("{app}_default")
}

/// A volume of the application by the template's name for it.
pub fn volume(workload: &Workload, app: &str, name: &str) -> String {
    match workload.volumes.get(name) {
        Some(volume) if volume.external || volume.called.is_some() => {
            volume.called.clone().unwrap_or_else(|| name.to_owned())
        }
        _ => format!("{app}_{name}"),
    }
}

/// A copy of a volume.
pub fn snapshot(app: &str, name: &str, label: &str) -> String {
    format!("{app}_{name}-{label}")
}

/// A service's container.
pub fn container(app: &str, service: &Service) -> String {
    service.container.clone().unwrap_or_else(|| format!("{app}-{}-1", service.name))
}

/// What everything of the App carries.
pub fn owned(key: &AppKey, uid: &str) -> Labels {
    [
        (APP_LABEL.to_owned(), key.name.clone()),
        (APP_NAMESPACE_LABEL.to_owned(), key.namespace.clone()),
        (APP_UID_LABEL.to_owned(), uid.to_owned()),
    ]
    .into()
}

/// Whose a thing with `labels` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This App's.
    Ours,
    /// An App's that had this name in this namespace before: what was kept of it.
    Former,
    /// Somebody else's.
    Foreign,
}

/// Reads the marks.
pub fn whose(labels: Option<&Labels>, key: &AppKey, uid: &str) -> Whose {
    let is = |label: &str, value: &str| {
        labels.and_then(|labels| labels.get(label)).is_some_and(|found| found == value)
    };
    match is(APP_LABEL, &key.name) && is(APP_NAMESPACE_LABEL, &key.namespace) {
        true if is(APP_UID_LABEL, uid) => Whose::Ours,
        true => Whose::Former,
        false => Whose::Foreign,
    }
}

/// What the application's network carries.
pub fn of_network(instance: &Instance) -> Labels {
    let mut labels = project(instance);
    labels.insert("com.docker.compose.network".into(), "default".into());
    labels
}

/// What a volume carries.
pub fn of_volume(instance: &Instance, name: &str) -> Labels {
    let mut labels = project(instance);
    labels.insert(VOLUME_LABEL.into(), name.into());
    labels
}

/// What a copy of a volume carries: compose shall not take it for one of its own.
pub fn of_snapshot(instance: &Instance, name: &str, label: &str) -> Labels {
    let mut labels = owned(&instance.key, &instance.uid);
    labels.insert(SNAPSHOT_LABEL.into(), format!("{name}-{label}"));
    labels
}

/// What a service's container carries: the template's labels, with compose's and ours over them. `folder` is where the
/// rendered files lie.
pub fn of_container(instance: &Instance, service: &Service, folder: &str) -> Labels {
    let mut labels: Labels = service.labels.clone().into_iter().collect();
    labels.extend(project(instance));
    let digest = instance.digests.get(&service.name).cloned().unwrap_or_default();
    let waits = service.waits.iter().map(|wait| {
        let until = match wait.until {
            Until::Started => "service_started",
            Until::Healthy => "service_healthy",
            Until::Completed => "service_completed_successfully",
        };
        format!("{}:{until}:false", wait.on)
    });
    labels.extend([
        (SERVICE_LABEL.to_owned(), service.name.clone()),
        ("com.docker.compose.container-number".to_owned(), "1".to_owned()),
        ("com.docker.compose.oneoff".to_owned(), "False".to_owned()),
        ("com.docker.compose.config-hash".to_owned(), digest.clone()),
        ("com.docker.compose.project.working_dir".to_owned(), folder.to_owned()),
        ("com.docker.compose.project.config_files".to_owned(), format!("{folder}/{COMPOSE_FILE}")),
        ("com.docker.compose.depends_on".to_owned(), waits.collect::<Vec<_>>().join(",")),
        (DIGEST_LABEL.to_owned(), digest),
    ]);
    labels
}

fn project(instance: &Instance) -> Labels {
    let mut labels = owned(&instance.key, &instance.uid);
    labels.insert("com.docker.compose.project".into(), instance.key.name.clone());
    labels.insert("com.docker.compose.version".into(), env!("CARGO_PKG_VERSION").into());
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::app::workload::Volume;

    fn key() -> AppKey {
        AppKey { namespace: "default".into(), name: "blog".into() }
    }

    #[test]
    fn names_are_those_of_compose() {
        let mut workload = Workload::default();
        workload.volumes.insert("data".into(), Volume::default());
        workload.volumes.insert("named".into(), Volume { called: Some("its".into()), ..Volume::default() });
        workload.volumes.insert("else".into(), Volume { external: true, ..Volume::default() });
        assert_eq!(network("blog"), "blog_default");
        for (name, called) in [("data", "blog_data"), ("named", "its"), ("else", "else")] {
            assert_eq!(volume(&workload, "blog", name), called);
        }
        let mut service = Service { name: "db".into(), ..Service::default() };
        assert_eq!(container("blog", &service), "blog-db-1");
        service.container = Some("blog-mariadb".into());
        assert_eq!(container("blog", &service), "blog-mariadb");
    }

    #[test]
    fn a_thing_is_ours_by_name_namespace_and_uid() {
        let mut labels = owned(&key(), "u1");
        assert_eq!(whose(Some(&labels), &key(), "u1"), Whose::Ours);
        assert_eq!(whose(Some(&labels), &key(), "u2"), Whose::Former);
        labels.insert(APP_NAMESPACE_LABEL.into(), "other".into());
        assert_eq!(whose(Some(&labels), &key(), "u1"), Whose::Foreign);
        assert_eq!(whose(None, &key(), "u1"), Whose::Foreign);
    }
}
