//! What a pod's status says of one of its containers.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use kube::ResourceExt;
use serde_json::Value;

use crate::domain::app::kubernetes::WORKLOAD_LABEL;
use crate::domain::app::kubernetes::pod::digest_annotation;
use crate::domain::app::observed::{Container, State, Wellness};
use crate::domain::app::workload::{Health, Service};

/// Reasons of waiting that pass by themselves.
const PASSING: &[&str] = &["ContainerCreating", "PodInitializing"];

/// The container `name` of `pod`; `ends` says that it belongs to a Job.
pub(super) fn container(pod: &Pod, name: &str, service: Option<&Service>, ends: bool) -> Container {
    let status = pod.status.clone().unwrap_or_default();
    let all = status.container_statuses.as_deref().unwrap_or_default();
    let own = all.iter().find(|status| status.name == name);
    let image = pod.spec.iter().flat_map(|spec| &spec.containers).find(|container| container.name == name);
    let mut container = Container {
        id: pod.name_any(),
        digest: pod.annotations().get(&digest_annotation(name)).cloned().unwrap_or_default(),
        image: image.and_then(|container| container.image.clone()).unwrap_or_default(),
        state: State::Pending,
        health: None,
        restarts: own.map(|own| u32::try_from(own.restart_count).unwrap_or_default()).unwrap_or_default(),
        exit: None,
        started: None,
        ended: None,
        address: status.pod_ip.as_deref().and_then(|ip| ip.parse().ok()),
        trouble: unplaced(pod).or_else(|| unprepared(pod)),
    };
    if let Some(own) = own {
        running(pod, own, service, ends, &mut container);
    }
    if status.phase.as_deref() == Some("Failed") && !matches!(container.state, State::Exited) {
        container.state = State::Dead;
        let why = [status.reason, status.message].into_iter().flatten().collect::<Vec<_>>().join(": ");
        container.trouble = Some(why).filter(|why| !why.is_empty());
    }
    if is_ending(pod) && !matches!(container.state, State::Exited | State::Dead) {
        (container.state, container.health, container.trouble) = (State::Ending, None, None);
    }
    container
}

/// A group's pod; of several the one that was made last, and one that is ending only where there is no other.
pub(super) fn newest<'a>(found: &'a [Pod], group: &str) -> Option<&'a Pod> {
    let of_group = |pod: &&Pod| pod.labels().get(WORKLOAD_LABEL).is_some_and(|name| name == group);
    let rank = |pod: &&Pod| (!is_ending(pod), pod.metadata.creation_timestamp.clone(), pod.name_any());
    found.iter().filter(of_group).max_by_key(rank)
}

/// Whether a pod was told to end. Until it is gone its containers may run, and its conditions may call it ready.
pub(super) fn is_ending(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

fn running(pod: &Pod, own: &ContainerStatus, service: Option<&Service>, ends: bool, into: &mut Container) {
    let state = own.state.clone().unwrap_or_default();
    let last = own.last_state.clone().unwrap_or_default().terminated;
    if let Some(ended) = state.terminated.as_ref().or(last.as_ref()) {
        into.exit = Some(i64::from(ended.exit_code));
        into.ended = ended.finished_at.as_ref().map(|time| time.0);
        into.started = ended.started_at.as_ref().map(|time| time.0);
    }
    if let Some(running) = state.running {
        into.state = State::Running;
        into.trouble = None;
        into.started = running.started_at.as_ref().map(|time| time.0);
        if service.is_some_and(|service| service.health == Health::Checked) {
            into.health = Some(health(pod, own, into));
        }
    } else if let Some(ended) = state.terminated {
        into.state = if ends { State::Exited } else { State::Restarting };
        into.trouble = said(ended.reason.filter(|reason| reason != "Completed"), ended.message);
    } else if let Some(waiting) = state.waiting {
        let reason = waiting.reason.unwrap_or_default();
        if reason == "CrashLoopBackOff" {
            into.state = State::Restarting;
            let ended = last.unwrap_or_default();
            into.trouble = said(ended.reason.filter(|reason| reason != "Completed"), ended.message);
        } else if !reason.is_empty() && !PASSING.contains(&reason.as_str()) {
            into.trouble = said(Some(reason), waiting.message);
        }
    }
}

/// What the check says. A container that was never ready since its start is still starting.
fn health(pod: &Pod, own: &ContainerStatus, container: &Container) -> Wellness {
    if own.ready {
        return Wellness::Healthy;
    }
    let lost = condition(pod, "ContainersReady").and_then(|condition| condition.last_transition_time.clone());
    match (own.started, lost, container.started) {
        (Some(true), Some(lost), Some(started)) if started < lost.0 => Wellness::Unhealthy,
        _ => Wellness::Starting,
    }
}

/// Why no node takes the pod.
fn unplaced(pod: &Pod) -> Option<String> {
    let placed = condition(pod, "PodScheduled").filter(|condition| condition.status == "False")?;
    let message = placed.message.clone().unwrap_or_default();
    // Claims are bound while pods wait; a moment later they are.
    if message.contains("unbound immediate PersistentVolumeClaims") {
        return None;
    }
    said(placed.reason.clone(), Some(message))
}

/// What keeps what comes before the containers from its end.
fn unprepared(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    status.init_container_statuses.iter().flatten().find_map(|init| {
        let state = init.state.as_ref()?;
        let waiting = state.waiting.as_ref();
        let waiting = waiting.filter(|w| w.reason.as_deref().is_some_and(|r| !PASSING.contains(&r)));
        let words = waiting.and_then(|waiting| said(waiting.reason.clone(), waiting.message.clone()))?;
        Some(format!("copying its files into the volume: {words}"))
    })
}

/// What a workload without a pod says; none: nothing yet.
pub(super) fn without(workload: &Value, name: &str) -> Option<Container> {
    let conditions = workload["status"]["conditions"].as_array()?;
    let holds = |kind: &str| {
        let found = conditions.iter().find(|c| c["type"] == kind && c["status"] == "True")?;
        let part = |key: &str| found[key].as_str().map(str::to_owned);
        Some(said(part("reason"), part("message")))
    };
    let (state, exit, trouble) = match (holds("Complete"), holds("Failed"), holds("ReplicaFailure")) {
        (Some(_), _, _) => (State::Exited, Some(0), None),
        (_, Some(words), _) => (State::Exited, Some(1), words),
        (_, _, Some(words)) => (State::Pending, None, words),
        _ => return None,
    };
    let template = &workload["spec"]["template"];
    let digest = &template["metadata"]["annotations"][digest_annotation(name)];
    let containers = template["spec"]["containers"].as_array();
    let image = containers.into_iter().flatten().find(|c| c["name"] == name).map(|c| &c["image"]);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Container {
        id: text(workload.pointer("/metadata/name")),
        digest: text(Some(digest)),
        image: text(image),
        state,
        health: None,
        restarts: 0,
        exit,
        started: None,
        ended: None,
        address: None,
        trouble,
    })
}

/// Why a pod is not ready; none: it is.
pub(super) fn not_ready(pod: &Pod) -> Option<String> {
    if is_ending(pod) {
        return Some("its pod is ending".into());
    }
    match condition(pod, "Ready") {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => {
            Some(said(ready.reason.clone(), ready.message.clone()).unwrap_or_else(|| "not ready".into()))
        }
        None => Some("its pod has no state yet".into()),
    }
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let status = pod.status.as_ref()?;
    status.conditions.as_deref().unwrap_or_default().iter().find(|condition| condition.type_ == kind)
}

fn said(reason: Option<String>, message: Option<String>) -> Option<String> {
    let parts: Vec<String> =
        [reason, message].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(": "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A pod of the group `web` that runs and is ready.
    fn pod(name: &str, made: &str, gone: Option<&str>) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": name, "creationTimestamp": made, "deletionTimestamp": gone,
                "labels": { WORKLOAD_LABEL: "web" }, "annotations": { digest_annotation("web"): name } },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }],
                "containerStatuses": [{ "name": "web", "image": "", "imageID": "", "ready": true,
                    "restartCount": 0, "state": { "running": { "startedAt": made } } }] },
        }))
        .unwrap()
    }

    const EARLY: &str = "2026-01-01T00:00:00Z";
    const LATE: &str = "2026-01-01T00:01:00Z";

    #[test]
    fn a_pod_that_is_ending_neither_runs_nor_answers_however_ready_it_says_it_is() {
        let checked = Service { health: Health::Checked, ..Service::default() };
        let stands = pod("a", EARLY, None);
        let seen = container(&stands, "web", Some(&checked), false);
        assert_eq!(
            (seen.state, seen.health, not_ready(&stands)),
            (State::Running, Some(Wellness::Healthy), None)
        );
        let goes = pod("a", EARLY, Some(LATE));
        let seen = container(&goes, "web", Some(&checked), false);
        assert_eq!((seen.state, seen.health), (State::Ending, None));
        assert!(not_ready(&goes).is_some());
    }

    #[test]
    fn a_group_s_pod_is_the_last_made_and_an_ending_one_only_where_there_is_no_other() {
        let name = |pods: &[Pod]| newest(pods, "web").map(|pod| pod.name_any());
        let (old, new) = (pod("old", EARLY, None), pod("new", LATE, None));
        assert_eq!(name(&[old.clone(), new.clone()]).as_deref(), Some("new"));
        let going = pod("new", LATE, Some(LATE));
        assert_eq!(name(&[old, going.clone()]).as_deref(), Some("old"), "a change that was taken back");
        assert_eq!(name(&[going]).as_deref(), Some("new"));
        assert_eq!(name(&[]), None);
    }
}
