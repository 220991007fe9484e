//! What is to be said of a ManagedService.

use std::collections::BTreeMap;

use crate::domain::admission::Verdict;
use crate::domain::cluster::Cluster;
use crate::domain::names::ObjectId;
use crate::domain::records::{Obstacle, Service, ZoneId, claim_name, obstacle};

/// Judges `service`, whose records go to `place`, among the `others` with their places; none of them has its id.
pub fn judge<'a>(
    service: &Service,
    place: &ZoneId,
    others: impl IntoIterator<Item = (&'a Service, &'a ZoneId)>,
    cluster: &Cluster,
) -> Verdict {
    let mut verdict = Verdict::default();
    let mut elsewhere: Option<(&ObjectId, &ZoneId)> = None;
    let mut names = BTreeMap::new();
    let mut namesakes: Vec<_> = others.into_iter().filter(|(other, _)| other.name == service.name).collect();
    namesakes.sort_by_key(|(other, _)| (other.created, other.id.clone()));
    for (other, at) in namesakes {
        if at.is_beside(place) && other.deleting {
            let why = format!(
                "{} is {}'s until that is deleted: this service is served from then on",
                other.name, other.id
            );
            verdict.warn("spec.record", why);
        } else if at.is_beside(place) {
            // Of two that have the name already, either keeps it from a third.
            let _ = claim_name(&mut names, other);
        } else {
            elsewhere = Some((&other.id, at));
        }
    }
    verdict.check(claim_name(&mut names, service));
    if let Some((other, at)) = elsewhere {
        let why = format!(
            "{} is managed by {other} too, in another account or at another platform ({}): who asks gets the answer of one of them",
            service.name, at.provider
        );
        verdict.warn("spec.record", why);
    }
    match obstacle(service, cluster) {
        Some(Obstacle::Contradiction(error)) => verdict.refused.push(error),
        // A node may come later, in the same breath even.
        Some(Obstacle::Missing(error)) => verdict.warnings.push(error),
        None => {}
    }
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::service::ManagedService;

    fn object(name: &str, spec: Value) -> ManagedService {
        let mut all = json!({"serviceName": name, "domain": "example.com", "record": name});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let object = json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "ManagedService",
            "metadata": {"name": name, "namespace": "default"}, "spec": all});
        serde_json::from_value(object).unwrap()
    }

    fn cluster() -> Cluster {
        let node = |name: &str, isps: Value| {
            serde_json::from_value(json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "CocoaNode",
                "metadata": {"name": name},
                "spec": {"nodeName": name, "nodeCode": name, "nodeAddress": "http://x", "isps": isps}}))
            .unwrap()
        };
        let nodes = [node("sh", json!(["default", "CT"])), node("bj", json!(["CU"]))];
        Cluster::of(&nodes, &BTreeMap::new(), jiff::Timestamp::UNIX_EPOCH)
    }

    #[track_caller]
    fn check(spec: Value, refused: &[&str], warned: &[&str]) {
        let parse = |object| Service::parse(&object).unwrap();
        let going = Service { deleting: true, ..parse(object("going", json!({}))) };
        let ali = parse(object("ali", json!({"platformProvider": "Ali"})));
        let others = [parse(object("www", json!({}))), ali, going];
        let fresh = parse(object("fresh", spec));
        let others = others.iter().map(|other| (other, &other.zone));
        let verdict = judge(&fresh, &fresh.zone, others, &cluster());
        for (all, parts) in [(verdict.refused, refused), (verdict.warnings, warned)] {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            assert_eq!(all.len(), parts.len(), "{all:?}");
            assert!(all.iter().zip(parts).all(|(words, part)| words.contains(part)), "{all:?}");
        }
    }

    #[test]
    fn what_can_never_be_right_is_refused_and_what_may_become_so_is_a_warning() {
        check(json!({}), &[], &[]);
        let taken = "spec.record: www.example.com is managed by default/www already";
        check(json!({"record": "www"}), &[taken], &[]);
        check(json!({"record": "WWW"}), &[taken], &[]);
        check(json!({"domain": "www.example.com", "record": "@"}), &[taken], &[]);
        check(
            json!({"record": "going"}),
            &[],
            &["going.example.com is default/going's until that is deleted"],
        );
        check(json!({"record": "ali"}), &[], &["another platform (Ali)"]);
        check(json!({"nodes": ["sh"], "weights": {"bj": 1}}), &["not among spec.nodes"], &[]);
        check(json!({"nodes": ["sh", "gz"]}), &[], &["no CocoaNode \"gz\""]);
        check(json!({"weights": {"gz": 1}}), &[], &["no CocoaNode \"gz\""]);
        check(json!({"nodes": ["bj"]}), &[], &["no serving node has the line default"]);
    }
}
