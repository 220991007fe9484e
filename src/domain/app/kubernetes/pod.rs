//! Which services share a pod, and what makes that pod: a Deployment, or a Job for what ends by itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::api::DIGEST_LABEL;
use crate::domain::app::instance::Instance;
use crate::domain::app::kubernetes::names::{Names, label};
use crate::domain::app::kubernetes::network::Net;
use crate::domain::app::kubernetes::volumes::{Shelf, kept};
use crate::domain::app::kubernetes::{
    CONFIG_ANNOTATION, Draft, Group, Level, RESTARTED_ANNOTATION, SERVICES_ANNOTATION, TOGETHER_LABEL,
    WORKLOAD_LABEL, container, hash, members, network, security,
};
use crate::domain::app::plan::in_order;
use crate::domain::app::workload::{Restart, Service};

/// Longest name of a container; it stands in an annotation's name too.
const CONTAINER: usize = 48;

/// The groups of services that share a network, each after those that it waits for.
pub(crate) fn groups(instance: &Instance, names: &Names) -> Vec<Group> {
    let workload = &instance.workload;
    let leader = |service: &Service| {
        let mut leader = service.name.clone();
        // No longer than there are services: a circle is refused elsewhere.
        for _ in &workload.services {
            match workload.service(&leader).and_then(|at| at.joins.clone()) {
                Some(on) if workload.service(&on).is_some() => leader = on,
                _ => break,
            }
        }
        leader
    };
    let mut groups: Vec<(String, Group)> = Vec::new();
    for service in in_order(workload) {
        let leader = leader(service);
        let member = (service.name.clone(), label(&service.name, CONTAINER));
        match groups.iter_mut().find(|(known, _)| *known == leader) {
            Some((_, group)) => group.services.push(member),
            None => {
                let name = names.base(&leader);
                groups.push((leader, Group { name, job: false, services: vec![member] }));
            }
        }
    }
    for (leader, group) in &mut groups {
        group.services.sort_by_key(|(service, _)| service != leader);
        group.job = members(instance, group).iter().all(|service| service.is_one_shot(workload));
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Which groups must run on one node since they share volumes: by group, the name of its set. Sets that share a member
/// are one, for a pod can't be near two nodes.
pub(crate) fn together(instance: &Instance, groups: &[Group]) -> BTreeMap<String, String> {
    let mut users: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (n, group) in groups.iter().enumerate() {
        for mount in members(instance, group).iter().flat_map(|service| &service.mounts) {
            if let Some(volume) = kept(instance, mount) {
                users.entry(volume).or_default().insert(n);
            }
        }
    }
    let mut set: Vec<usize> = (0..groups.len()).collect();
    for users in users.values().filter(|users| 1 < users.len()) {
        let least = users.iter().map(|n| set[*n]).min().unwrap_or_default();
        let merged: BTreeSet<usize> = users.iter().map(|n| set[*n]).collect();
        set.iter_mut().filter(|of| merged.contains(of)).for_each(|of| *of = least);
    }
    let shared = |n: &usize| 1 < set.iter().filter(|of| **of == set[*n]).count();
    let named =
        (0..groups.len()).filter(shared).map(|n| (groups[n].name.clone(), groups[set[n]].name.clone()));
    named.collect()
}

/// The Deployment or Job of a group, and the level that its pod passes. What the pod reads is applied before it.
pub(crate) fn workload(
    draft: &mut Draft<'_>,
    group: &Group,
    net: &Net,
    together: Option<&str>,
) -> (Value, Level) {
    let instance = draft.instance;
    let services = members(instance, group);
    let level = services.iter().map(|service| security::level(service)).max().unwrap_or_default();
    let mut shelf = Shelf::default();
    let mut containers = Vec::new();
    for (service, (_, name)) in services.iter().zip(&group.services) {
        containers.push(container::container(draft, service, name, level, &mut shelf));
        if !group.job && service.is_one_shot(&instance.workload) {
            let words = "it shares the pod of what runs on, so it is run again whenever it has ended";
            draft.degrade(format!("{}.network_mode", service.name), words);
        }
    }
    let context = security::pod(draft, &services, shelf.stays);
    let mut spec = json!({
        "containers": containers,
        // Variables of the namespace's Services would be taken for the application's own.
        "enableServiceLinks": false,
        "automountServiceAccountToken": false,
        "subdomain": draft.names.subdomain(),
        "restartPolicy": if group.job { "Never" } else { "Always" },
    });
    if let Some(hostname) = net.hostnames.get(&group.name) {
        spec["hostname"] = Value::from(hostname.as_str());
    }
    if let Some(leader) = services.first() {
        network::resolver(draft, leader, &mut spec);
    }
    prepared(&mut shelf, &containers_contexts(&spec), &mut spec);
    if context.as_object().is_some_and(|map| !map.is_empty()) {
        spec["securityContext"] = context;
    }
    if let Some(grace) = services.iter().filter_map(|service| service.stop_grace).max() {
        spec["terminationGracePeriodSeconds"] = Value::from(grace.as_secs());
    }
    let secrets: BTreeSet<&String> = draft.options.pull_secrets.iter().chain(&instance.pull_secret).collect();
    if !secrets.is_empty() {
        spec["imagePullSecrets"] = secrets.into_iter().map(|name| json!({ "name": name })).collect();
    }
    let recreate = shelf.stays;
    let template = template(draft, group, together, &shelf, spec);
    draft.objects.extend(shelf.objects);
    (made(draft, group, &services, recreate, template), level)
}

fn containers_contexts(spec: &Value) -> Value {
    spec["containers"][0]["securityContext"].clone()
}

/// Volumes, and what fills them before the containers start, under the same rights.
fn prepared(shelf: &mut Shelf, context: &Value, spec: &mut Value) {
    if !shelf.volumes.is_empty() {
        spec["volumes"] = Value::Array(shelf.volumes.clone());
    }
    for before in &mut shelf.before {
        before["securityContext"] = context.clone();
    }
    if !shelf.before.is_empty() {
        spec["initContainers"] = Value::Array(shelf.before.clone());
    }
}

fn template(draft: &Draft<'_>, group: &Group, together: Option<&str>, shelf: &Shelf, spec: Value) -> Value {
    let mut spec = spec;
    let mut labels = draft.labels();
    labels[WORKLOAD_LABEL] = Value::from(group.name.as_str());
    if let Some(set) = together {
        labels[TOGETHER_LABEL] = Value::from(set);
        let near = json!({ crate::api::APP_UID_LABEL: draft.instance.uid, TOGETHER_LABEL: set });
        spec["affinity"] = json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
            { "labelSelector": { "matchLabels": near }, "topologyKey": "kubernetes.io/hostname" },
        ] } });
    }
    let mut annotations = Map::new();
    let listed: Vec<String> =
        group.services.iter().map(|(service, name)| format!("{name}={service}")).collect();
    annotations.insert(SERVICES_ANNOTATION.into(), Value::from(listed.join(",")));
    for (service, name) in &group.services {
        let digest = draft.instance.digests.get(service).cloned().unwrap_or_default();
        annotations.insert(digest_annotation(name), Value::from(digest));
    }
    if !shelf.objects.is_empty() {
        let read = Value::Array(shelf.objects.clone()).to_string();
        annotations.insert(CONFIG_ANNOTATION.into(), Value::from(hash(read.as_bytes(), 32)));
    }
    if let Some(at) = draft.instance.wanted.restarted.filter(|_| !group.job) {
        annotations.insert(RESTARTED_ANNOTATION.into(), Value::from(at.to_string()));
    }
    json!({ "metadata": { "labels": labels, "annotations": annotations }, "spec": spec })
}

/// The annotation with the digest of what a container was made from.
pub fn digest_annotation(container: &str) -> String {
    format!("{DIGEST_LABEL}-{container}")
}

fn made(draft: &Draft<'_>, group: &Group, services: &[&Service], recreate: bool, template: Value) -> Value {
    let mut own = json!({ "metadata": { "labels": { WORKLOAD_LABEL: group.name } } });
    let running = draft.instance.wanted.running;
    if group.job {
        // What compose starts once is not tried for ever; the sixth failure is a cluster's own bound.
        let tries = services.iter().map(|service| match service.restart {
            Restart::No => 0,
            Restart::OnFailure(most) => most.unwrap_or(6),
            _ => 3,
        });
        own["spec"] = json!({
            "backoffLimit": tries.max().unwrap_or(0), "suspend": !running, "template": template,
        });
        return draft.object("batch/v1", "Job", &group.name, own);
    }
    let strategy = match recreate {
        true => json!({ "type": "Recreate" }),
        false => json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } }),
    };
    own["spec"] = json!({
        "replicas": u8::from(running), "revisionHistoryLimit": 2, "strategy": strategy,
        "selector": { "matchLabels": draft.selector(&group.name) }, "template": template,
    });
    draft.object("apps/v1", "Deployment", &group.name, own)
}
