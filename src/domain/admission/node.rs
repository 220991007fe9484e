//! What is to be said of a CocoaNode.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::api::node::{AddressSource, CocoaNode};
use crate::domain::addresses::parse;
use crate::domain::admission::Verdict;
use crate::domain::cluster::{claim_code, is_drained, pinned};

/// Judges `node` among the `others`, none of which has its name; `me` is the node that is asked.
pub fn judge(node: &CocoaNode, others: &[&CocoaNode], me: &str, now: Timestamp) -> Verdict {
    let mut verdict = Verdict::default();
    let mut codes = BTreeMap::new();
    for other in others {
        // Of two that have one code already, either keeps it from a third.
        let _ = claim_code(&mut codes, other);
    }
    verdict.check(claim_code(&mut codes, node));
    let spec = &node.spec;
    let own = node.metadata.name.as_deref() == Some(me);
    if let Some(AddressSource { fixed, echo, allow_private, .. }) = &spec.addresses {
        if let Some(texts) = fixed {
            verdict.check(parse(texts, spec.network_type, *allow_private, "spec.addresses.fixed"));
        }
        if echo.is_some() && !own {
            let why = "only the node itself can ask who it is: leave spec.addresses out, and it tells its addresses to its peers";
            verdict.warn("spec.addresses.echo", why);
        }
    }
    if let Some(other) = others.iter().find(|other| other.spec.node_address == spec.node_address) {
        let name = other.metadata.name.as_deref().unwrap_or_default();
        let why = format!("node {name} has this nodeAddress too: whoever answers there is only one of them");
        verdict.warn("spec.nodeAddress", why);
    }
    if spec.secret_ref.is_none() && !own {
        verdict
            .warn("spec.secretRef", "without it the node can't be asked whether it lives: name its Secret");
    }
    if is_drained(node, now) && !pinned(node, now).is_empty() {
        let why = "the node is drained: a pin gives it lines that it is to hand over; undrain it, or take the pin out";
        verdict.warn("spec.pin", why);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(name: &str, spec: Value) -> CocoaNode {
        let mut all = json!({"nodeName": name, "nodeCode": name, "nodeAddress": format!("http://{name}"),
            "secretRef": {"name": name}});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let object = json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "CocoaNode",
            "metadata": {"name": name}, "spec": all});
        serde_json::from_value(object).unwrap()
    }

    fn said(node: &CocoaNode, others: &[&CocoaNode]) -> (Vec<String>, Vec<String>) {
        let verdict = judge(node, others, "me", Timestamp::from_second(1000).unwrap());
        let words = |all: Vec<_>| all.iter().map(ToString::to_string).collect();
        (words(verdict.refused), words(verdict.warnings))
    }

    #[track_caller]
    fn check(spec: Value, refused: &[&str], warned: &[&str]) {
        let other = node("other", json!({}));
        let (refusals, warnings) = said(&node("fresh", spec), &[&other]);
        for (all, parts) in [(refusals, refused), (warnings, warned)] {
            assert_eq!(all.len(), parts.len(), "{all:?}");
            assert!(all.iter().zip(parts).all(|(words, part)| words.contains(part)), "{all:?}");
        }
    }

    #[test]
    fn what_can_never_be_right_is_refused_and_what_may_become_so_is_a_warning() {
        check(json!({}), &[], &[]);
        check(json!({"nodeCode": "other"}), &["spec.nodeCode: node other has this nodeCode already"], &[]);
        check(json!({"addresses": {"fixed": ["300.1.1.1"]}}), &["spec.addresses.fixed[0]"], &[]);
        check(json!({"addresses": {"fixed": ["10.0.0.1"]}}), &["allowPrivate"], &[]);
        check(json!({"addresses": {"fixed": ["10.0.0.1"], "allowPrivate": true}}), &[], &[]);
        check(json!({"addresses": {"fixed": ["2001:db8::1"]}}), &["spec.networkType is IPV4"], &[]);
        let echo = json!({"services": ["https://ip.example.com"]});
        check(json!({"addresses": {"echo": echo}}), &[], &["spec.addresses.echo"]);
        check(json!({"nodeAddress": "http://other"}), &[], &["node other has this nodeAddress too"]);
        check(json!({"secretRef": null}), &[], &["spec.secretRef"]);
        check(json!({"drain": {}, "pin": {"lines": ["CT"]}}), &[], &["spec.pin"]);
        let over = json!({"drain": {"until": "1970-01-01T00:00:01Z"}, "pin": {"lines": ["CT"]}});
        check(over, &[], &[]);
    }

    #[test]
    fn a_node_may_ask_who_it_is_itself() {
        let spec =
            json!({"secretRef": null, "addresses": {"echo": {"services": ["https://ip.example.com"]}}});
        assert_eq!(said(&node("me", spec), &[]), (vec![], vec![]));
    }

    #[test]
    fn an_edit_answers_only_for_what_it_adds() {
        let other = node("other", json!({}));
        let now = Timestamp::UNIX_EPOCH;
        let before = judge(&node("a", json!({"nodeCode": "other"})), &[&other], "me", now);
        let drained = json!({"nodeCode": "other", "drain": {}});
        let after = judge(&node("a", drained), &[&other], "me", now);
        assert_eq!(after.clone().beyond(&before), Verdict::default());
        assert!(!after.beyond(&Verdict::default()).refused.is_empty());
    }
}
