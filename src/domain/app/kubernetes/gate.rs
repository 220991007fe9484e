//! Who has to wait. A cluster starts everything at once and lets crash what comes too early; such crashes would count
//! against the application, and a migration must have ended before what needs it. So a workload stands with no pods
//! (a Job suspended) until what it waits for has come. Who runs once is never held again: an ill database takes nobody
//! down with it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::app::instance::Instance;
use crate::domain::app::kubernetes::{Group, members};
use crate::domain::app::observed::{Observed, State, Wellness};
use crate::domain::app::plan::Waiting;
use crate::domain::app::workload::{Until, Wait};

/// The groups that must not start yet, by name, with what holds each.
pub fn held(instance: &Instance, groups: &[Group], seen: &Observed) -> BTreeMap<String, Waiting> {
    let mut held = BTreeMap::new();
    for group in groups.iter().filter(|_| instance.wanted.running) {
        let there = |service: &str| seen.services.get(service).is_some_and(|c| c.state != State::Ending);
        if group.services.iter().any(|(service, _)| there(service)) {
            continue;
        }
        let own = |wait: &&Wait| group.services.iter().any(|(service, _)| *service == wait.on);
        let waits = members(instance, group).into_iter().flat_map(|service| {
            service.waits.iter().filter(|wait| !own(wait)).map(|wait| (service.name.clone(), wait))
        });
        if let Some((service, wait)) = waits.into_iter().find(|(_, wait)| !met(instance, wait, seen)) {
            held.insert(group.name.clone(), Waiting { service, on: wait.on.clone(), until: wait.until });
        }
    }
    held
}

fn met(instance: &Instance, wait: &Wait, seen: &Observed) -> bool {
    let Some(service) = instance.workload.service(&wait.on) else { return true };
    let Some(container) = seen.services.get(&wait.on) else { return false };
    let done = container.state == State::Exited && container.exit == Some(0);
    let running = container.state == State::Running;
    match wait.until {
        Until::Started => running || (done && service.is_one_shot(&instance.workload)),
        Until::Healthy => running && matches!(container.health, None | Some(Wellness::Healthy)),
        Until::Completed => done,
    }
}

/// Takes a held workload's pods away.
pub fn hold(object: &mut Value) {
    match object["kind"].as_str() {
        Some("Deployment") => object["spec"]["replicas"] = Value::from(0),
        Some("Job") => object["spec"]["suspend"] = Value::from(true),
        _ => {}
    }
}
