//! A service's conditions after a turn, in words a person understands.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{ByName, MESSAGE, invalid};
use crate::api::condition::{condition, reasons, types};
use crate::api::{ADOPT_ANNOTATION, RELEASE_ANNOTATION};
use crate::controllers::accounts::reason;
use crate::controllers::service::sync::Done;
use crate::controllers::shared::report::cut;
use crate::domain::dns_plan::Held;
use crate::domain::names::ObjectId;
use crate::domain::records::{Service, Wish};
use crate::telemetry::chain::Chain;

/// All conditions of a service, before they are merged with those that stood there.
pub fn conditions(service: &Service, wish: &Wish, done: &Done, by_name: &ByName<'_>) -> Vec<Condition> {
    if let Some(error) = wish.refused.get(&service.id) {
        return invalid(error);
    }
    let name = service.name.as_str();
    let held = by_name.held.get(name).map(Vec::as_slice).unwrap_or_default();
    let valid = condition(types::VALID, true, reasons::AS_WISHED, "");
    let failed = by_name.failed.get(name);
    let ready = match (&done.trouble, failed) {
        (Some(trouble), _) => {
            condition(types::READY, false, reason(trouble.kind), cut(Chain(trouble).to_string(), MESSAGE))
        }
        (None, Some(failed)) => {
            let words: Vec<String> =
                failed.iter().map(|(key, failed)| format!("{key}: {}", failed.what)).collect();
            let worst =
                failed.iter().map(|(_, failed)| failed.kind).min().map_or(reasons::PROVIDER_FAILED, reason);
            condition(types::READY, false, worst, cut(words.join("; "), MESSAGE))
        }
        (None, None) if service.deleting && !held.iter().any(|held| held.mass_change().is_some()) => {
            condition(types::READY, false, reasons::DELETING, "its records are being removed")
        }
        (None, None) => ready(held, &released_by(service, done), &as_fitted(service, wish)),
    };
    vec![valid, ready, held_condition(held, &released_by(service, done))]
}

/// What differs from the spec without being wrong: the provider's own limits.
fn as_fitted(service: &Service, wish: &Wish) -> String {
    let floor = wish.ttl_floor.filter(|floor| service.ttl < *floor);
    let ttl = floor.map(|floor| format!("the zone takes no TTL under {floor} s: the records have that"));
    let lines: Vec<&str> = wish.untold.iter().map(|line| line.as_str()).collect();
    let lines = (!lines.is_empty()).then(|| {
        format!("the provider can't tell {} apart: they get the answer of default", lines.join(", "))
    });
    let weights = (wish.unweighed && !service.weights.is_empty()).then(|| {
        "the provider can't weigh: all addresses are in each answer and resolvers pick, so all get equal shares"
            .to_owned()
    });
    ttl.into_iter().chain(lines).chain(weights).collect::<Vec<_>>().join("; ")
}

fn ready(held: &[&Held], release: &str, fitted: &str) -> Condition {
    let of = |reason: &str| held.iter().find(|held| held.reason() == reason);
    // The first that holds is the one to mend first.
    let bad = [
        ("foreign", reasons::FOREIGN_RECORDS),
        ("mass_change", reasons::MASS_CHANGE),
        ("locked", reasons::RECORD_LOCKED),
        ("paused", reasons::RECORD_PAUSED),
        ("nobody_lives", reasons::NO_LIVING_NODE),
        ("contended", reasons::CONTENDED),
        ("awaited", reasons::AWAITING_NODE),
    ];
    let Some((held, reason)) = bad.into_iter().find_map(|(name, reason)| Some((of(name)?, reason))) else {
        return condition(types::READY, true, reasons::AS_WISHED, fitted);
    };
    let message = match held {
        Held::Foreign { .. } => format!(
            "records of somebody else stand under this name; to take them over: the annotation {ADOPT_ANNOTATION}=true"
        ),
        Held::MassChange { .. } => release.to_owned(),
        Held::NobodyLives { .. } => {
            "nobody living can answer for some line: the last records stay".to_owned()
        }
        held => held.to_string(),
    };
    condition(types::READY, false, reason, message)
}

fn held_condition(held: &[&Held], release: &str) -> Condition {
    // To wait for another node is not to hold back.
    let held: Vec<&&Held> = held.iter().filter(|held| !matches!(held, Held::Awaited { .. })).collect();
    let reason = match held.first() {
        None => return condition(types::RECORDS_HELD, false, reasons::NOTHING_HELD, ""),
        Some(_) if held.iter().any(|held| matches!(held, Held::MassChange { .. })) => reasons::MASS_CHANGE,
        Some(Held::Foreign { .. }) => reasons::FOREIGN_RECORDS,
        Some(Held::Paused { .. }) => reasons::RECORD_PAUSED,
        Some(Held::Locked { .. }) => reasons::RECORD_LOCKED,
        Some(Held::Contended { .. }) => reasons::CONTENDED,
        Some(_) => reasons::NO_LIVING_NODE,
    };
    let mut words: Vec<String> = held.iter().map(ToString::to_string).collect();
    if reason == reasons::MASS_CHANGE {
        words.insert(0, release.to_owned());
    }
    condition(types::RECORDS_HELD, true, reason, cut(words.join("; "), MESSAGE))
}

/// What a person has to type, whole: the object stands in it, and an older release is overwritten.
fn released_by(service: &Service, done: &Done) -> String {
    let digest = done.digest.as_deref().unwrap_or_default();
    let ObjectId { namespace, name } = &service.id;
    format!(
        "more than 30 % of the zone would go or change; if that is meant: kubectl annotate --overwrite -n {namespace} mservice {name} {RELEASE_ANNOTATION}={digest}"
    )
}
