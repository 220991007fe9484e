//! Looking: the App's objects and pods, once each, and what they come to.

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, LogParams};
use serde_json::Value;

use crate::domain::app::instance::Instance;
use crate::domain::app::kubernetes::gate::{held, hold};
use crate::domain::app::kubernetes::{Group, Rendered, VOLUME_ANNOTATION};
use crate::domain::app::observed::{Container, Observed, Probe, State};
use crate::runtimes::RuntimeError;
use crate::runtimes::kubernetes::KubernetesRuntime;
use crate::runtimes::kubernetes::failure::plainly;
use crate::runtimes::kubernetes::objects::{
    CLAIM, DEPLOYMENT, JOB, KINDS, ObjectKind, ROUTE, SERVICE, Whose, document, of_app, text, whose,
};
use crate::runtimes::kubernetes::pods;

/// What stands of an App, and what should.
pub(super) struct Scene {
    /// Its objects by kind.
    objects: Vec<(ObjectKind, DynamicObject)>,
    /// What is applied, with what has to wait held.
    pub(super) wanted: Vec<Value>,
    /// Names of foreign Services that would take its parts' names.
    pub(super) taken: Vec<String>,
}

impl Scene {
    /// The object of ours that stands under a wanted one's name.
    pub(super) fn live(&self, wanted: &Value) -> Option<&DynamicObject> {
        let (kind, name) = (text(wanted, "/kind"), text(wanted, "/metadata/name"));
        self.objects.iter().find(|(k, o)| k.2 == kind && o.name_any() == name).map(|(_, object)| object)
    }

    /// Objects of ours that are rendered no more. Claims stay: an older version may want its data back.
    pub(super) fn strays(&self) -> impl Iterator<Item = (ObjectKind, &DynamicObject)> {
        let wanted = |kind: &ObjectKind, object: &DynamicObject| {
            let name = object.name_any();
            self.wanted.iter().any(|w| text(w, "/kind") == kind.2 && text(w, "/metadata/name") == name)
        };
        let strays =
            self.objects.iter().filter(move |(kind, object)| *kind != CLAIM && !wanted(kind, object));
        strays.map(|(kind, object)| (*kind, object))
    }
}

impl KubernetesRuntime {
    /// Looks at everything of the App.
    pub(super) async fn look(
        &self,
        instance: &Instance,
        rendered: &Rendered,
    ) -> Result<(Observed, Scene), RuntimeError> {
        let namespace = instance.key.namespace.as_str();
        let labels = of_app(&instance.uid);
        let kinds = KINDS.iter().filter(|kind| **kind != ROUTE || self.options.gateway.is_some());
        let lists = kinds.map(|kind| async {
            let list = kind.list(&self.client, namespace, &labels).await?;
            let ours = list.into_iter().filter(|o| whose(o, &instance.key, &instance.uid) == Whose::Ours);
            Ok::<_, RuntimeError>(ours.map(|object| (*kind, object)).collect::<Vec<_>>())
        });
        let (lists, found, taken) = tokio::try_join!(
            try_join_all(lists),
            self.pods(namespace, &labels),
            self.takers(instance, rendered),
        )?;
        let objects: Vec<(ObjectKind, DynamicObject)> = lists.into_iter().flatten().collect();
        let mut seen = Observed::default();
        for group in &rendered.groups {
            self.group(instance, group, &found, &objects, &mut seen).await;
        }
        let claims = objects.iter().filter(|(kind, _)| *kind == CLAIM);
        seen.volumes = claims.filter_map(|(_, o)| o.annotations().get(VOLUME_ANNOTATION).cloned()).collect();
        let held = held(instance, &rendered.groups, &seen);
        let mut wanted = rendered.objects.clone();
        for object in &mut wanted {
            if held.contains_key(text(object, "/metadata/name")) {
                hold(object);
            }
        }
        let scene = Scene { objects, wanted, taken };
        let wished = |wanted: &Value| scene.live(wanted).is_some_and(|live| self.as_wished(wanted, live));
        seen.applied =
            scene.taken.is_empty() && scene.wanted.iter().all(wished) && scene.strays().next().is_none();
        Ok((seen, scene))
    }

    async fn pods(&self, namespace: &str, labels: &str) -> Result<Vec<Pod>, RuntimeError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        Ok(api.list(&ListParams::default().labels(labels)).await.map_err(plainly("list pods"))?.items)
    }

    /// Foreign Services under names that the App's parts call each other by: search domains find these first.
    async fn takers(&self, instance: &Instance, rendered: &Rendered) -> Result<Vec<String>, RuntimeError> {
        if rendered.bare.is_empty() || self.options.dns_server.is_some() {
            return Ok(Vec::new());
        }
        let api = SERVICE.api(&self.client, &instance.key.namespace);
        let all = api.list_metadata(&ListParams::default()).await.map_err(plainly("list services"))?;
        let names = all.items.iter().map(ResourceExt::name_any);
        Ok(names.filter(|name| rendered.bare.contains(name)).collect())
    }

    /// What a group's services do.
    async fn group(
        &self,
        instance: &Instance,
        group: &Group,
        found: &[Pod],
        objects: &[(ObjectKind, DynamicObject)],
        seen: &mut Observed,
    ) {
        let pod = pods::newest(found, &group.name);
        let kind = if group.job { JOB } else { DEPLOYMENT };
        let workload = objects.iter().find(|(k, o)| *k == kind && o.name_any() == group.name);
        let workload = workload.map(|(_, object)| document(object)).unwrap_or_default();
        for (service, name) in &group.services {
            let container = match pod {
                Some(pod) => {
                    let mut container =
                        pods::container(pod, name, instance.workload.service(service), group.job);
                    if container.state == State::Restarting {
                        self.last_words(pod, name, &mut container).await;
                    }
                    Some(container)
                }
                None => pods::without(&workload, name),
            };
            if let Some(mut container) = container {
                container.trouble = container.trouble.map(|trouble| instance.masked(&trouble));
                seen.services.insert(service.clone(), container);
            }
        }
    }

    /// The last line that a container wrote before it died.
    async fn last_words(&self, pod: &Pod, name: &str, container: &mut Container) {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        let params = LogParams {
            container: Some(name.to_owned()),
            previous: true,
            tail_lines: Some(1),
            ..LogParams::default()
        };
        // Without its words the status still says how it ended.
        let Ok(text) = api.logs(&pod.name_any(), &params).await else { return };
        let Some(line) = text.lines().map(str::trim).rfind(|line| !line.is_empty()) else { return };
        let line: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
        container.trouble = Some(line);
    }

    /// Whether the serving pod says that it is ready: the cluster probes it, from where it can be reached.
    pub(super) async fn answers(&self, instance: &Instance) -> Probe {
        let Some(serving) = &instance.serving else { return Probe::Nobody };
        let rendered = crate::domain::app::kubernetes::render(instance, &self.options);
        let serves = |group: &&Group| group.services.iter().any(|(name, _)| *name == serving.service);
        let Some(group) = rendered.groups.iter().find(serves) else { return Probe::Nobody };
        let found = match self.pods(&instance.key.namespace, &of_app(&instance.uid)).await {
            Ok(found) => found,
            Err(error) => return Probe::Silent(error.what),
        };
        match pods::newest(&found, &group.name) {
            Some(pod) => match pods::not_ready(pod) {
                None => Probe::Answers,
                Some(why) => Probe::Silent(instance.masked(&why)),
            },
            None => Probe::Silent(format!("{} has no pod", serving.service)),
        }
    }
}
