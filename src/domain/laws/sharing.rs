//! Lines that several owners share by weight, over what happens to them: who answers, why it changes, what is held.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{address, apply, cluster, lose, member, service, settle};
use crate::api::vocab::{Family, Line};
use crate::domain::causes::put_right;
use crate::domain::cluster::{Cluster, Member};
use crate::domain::dns_plan::{DnsPlan, FoundZone, Limits, plan};
use crate::domain::records::{Cause, RecordKey, Service, wish};

/// n0 and n1 own the default line together, n2 CT; `s0` is shared 3:1, `s1` is not.
fn sharing() -> (Cluster, Vec<Service>) {
    let nodes =
        [member(0, &[Line::Default], true), member(1, &[Line::Default], true), member(2, &[Line::CT], true)];
    let mut services = vec![service(0), service(1)];
    services[0].weights = [("n0".to_owned(), 3), ("n1".to_owned(), 1)].into();
    (cluster(nodes.into()), services)
}

/// What a change of the cluster or the services leads to, a line each.
fn told(services: &mut [Service], cluster: &Cluster, standing: &mut FoundZone) -> Vec<String> {
    let (after, plan) = settle(services, cluster, standing.clone());
    *standing = after;
    plan.changes.iter().map(ToString::to_string).collect()
}

#[test]
fn owners_with_weights_share_their_line_and_others_do_not() {
    let (whole, mut services) = sharing();
    let mut standing = FoundZone::new();
    let first = told(&mut services, &whole, &mut standing);
    assert_eq!(
        first,
        [
            "+ s0.example.com A [default] 203.0.113.1,203.0.113.2 (ttl 60, weights 3:1): new",
            "+ s1.example.com A [default] 203.0.113.1 (ttl 60): new",
            "+ s0.example.com A [CT] 203.0.113.3 (ttl 60): new",
            "+ s1.example.com A [CT] 203.0.113.3 (ttl 60): new",
        ]
    );
    assert!(told(&mut services, &whole, &mut standing).is_empty(), "a fixpoint");
}

#[test]
fn a_sharer_that_is_lost_drained_or_moved_is_never_held_and_an_edit_of_weights_is() {
    let change = |of: &dyn Fn(&mut Cluster)| {
        let mut cluster = sharing().0;
        of(&mut cluster);
        cluster
    };
    let whole = sharing().0;
    let member = |cluster: &mut Cluster, name: &str, of: &dyn Fn(&mut Member)| {
        of(cluster.members.get_mut(name).unwrap());
    };
    let lost = |name: &'static str| change(&|c| member(c, name, &|m| m.lives = false));
    let neither = change(&|c| ["n0", "n1"].iter().for_each(|name| member(c, name, &|m| m.lives = false)));
    let drained = change(&|c| member(c, "n1", &|m| m.drained = true));
    let pinned = change(&|c| member(c, "n1", &|m| m.pinned = [Line::Default].into()));
    let homeless = change(&|c| member(c, "n1", &|m| m.addresses.clear()));
    let moved = change(&|c| member(c, "n1", &|m| m.addresses = [(Family::V4, [address(77)].into())].into()));
    let (_, mut services) = sharing();
    services.truncate(1);
    let mut standing = FoundZone::new();
    let mut step = |cluster: &Cluster, expect: &str| {
        let lines = told(&mut services, cluster, &mut standing);
        let of_default: Vec<&str> = lines.iter().filter_map(|line| line.split("[default] ").nth(1)).collect();
        assert_eq!(of_default.join("; "), expect);
        assert!(told(&mut services, cluster, &mut standing).is_empty(), "a fixpoint");
    };
    let both = "203.0.113.1,203.0.113.2 (ttl 60, weights 3:1)";
    let (one, two) = ("203.0.113.1 (ttl 60)", "203.0.113.2 (ttl 60)");
    let comes = |from: &str| format!("{from} -> {both}: its owner is back");
    step(&whole, &format!("{both}: new"));
    step(&lost("n1"), &format!("{both} -> {one}: its node is lost"));
    step(&whole, &comes(one));
    step(&lost("n0"), &format!("{both} -> {two}: its node is lost"));
    step(&whole, &comes(two));
    step(&homeless, &format!("{both} -> {one}: its node is lost"));
    step(&whole, &comes(one));
    step(&drained, &format!("{both} -> {one}: drained or pinned"));
    step(&whole, &comes(one));
    step(&pinned, &format!("{both} -> {two}: drained or pinned"));
    step(&whole, &comes(two));
    step(&moved, &format!("{both} -> 203.0.113.1,203.0.113.78 (ttl 60, weights 3:1): new address"));
    step(&whole, &format!("203.0.113.1,203.0.113.78 (ttl 60, weights 3:1) -> {both}: new address"));
    step(&neither, &format!("{both} -> 203.0.113.3 (ttl 60): its node is lost"));
    step(&lost("n1"), &format!("203.0.113.3 (ttl 60) -> {one}: its owner is back"));
    step(&whole, &comes(one));
}

#[test]
fn a_mass_edit_of_weights_is_held_and_a_loss_goes_through_it() {
    let (whole, _) = sharing();
    let mut services: Vec<Service> = (0..10).map(service).collect();
    let weights = |services: &mut [Service], weights: &[(&str, u8)]| {
        let weights: BTreeMap<String, u8> =
            weights.iter().map(|(name, w)| ((*name).to_owned(), *w)).collect();
        services.iter_mut().for_each(|service| service.weights.clone_from(&weights));
    };
    let (standing, _) = settle(&mut services, &whole, FoundZone::new());
    weights(&mut services, &[("n0", 3), ("n1", 1)]);
    let (standing, first) = settle(&mut services, &whole, standing);
    assert_eq!((first.changes.len(), first.held.len()), (0, 10), "who shares is an edit");
    services[0].release = first.digest.clone();
    let (standing, plan) = settle(&mut services, &whole, standing);
    assert_eq!((plan.changes.len(), plan.held.len()), (10, 0));
    weights(&mut services, &[("n0", 1), ("n1", 1)]);
    let (standing, second) = settle(&mut services, &whole, standing);
    assert_eq!((second.changes.len(), second.held.len()), (0, 10), "and so is in which proportion");
    assert_ne!(first.digest, second.digest, "each is released by itself");
    let (_, plan) = settle(&mut services, &lose(&whole, "n1"), standing);
    assert_eq!((plan.changes.len(), plan.held.len()), (10, 0));
    assert!(plan.changes.iter().all(|change| change.cause == Cause::Loss));
}

#[test]
fn what_a_sharer_does_before_the_status_is_written_is_nobody_elses_doing() {
    let (whole, mut services) = sharing();
    let lost = lose(&whole, "n1");
    let cause = |services: &[Service], before: &Cluster, now: &Cluster| {
        let mut later = wish(services, now);
        put_right(&mut later, &wish(services, before), now);
        let key = RecordKey { name: services[0].name.clone(), line: Line::Default, family: Family::V4 };
        later.wanted[&key].cause
    };
    assert_eq!(cause(&services, &whole, &lost), Cause::Loss, "before the first status was written");
    settle(&mut services, &whole, FoundZone::new());
    assert_eq!(cause(&services, &lost, &whole), Cause::Return, "back before the loss was written");
    assert_eq!(cause(&services, &whole, &whole), Cause::Drift);
}

#[test]
fn where_the_provider_cannot_weigh_all_get_equal_shares_and_weights_by_hand_stay_where_none_are_wished_for() {
    let (whole, services) = sharing();
    let mut fitted = wish(&services, &whole);
    fitted.fit(&Limits::default());
    let shown = |plan: DnsPlan| plan.changes.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        shown(plan(&fitted, &FoundZone::new()))[0],
        "+ s0.example.com A [default] 203.0.113.1,203.0.113.2 (ttl 60): new"
    );
    assert!(fitted.unweighed);
    let mut able = wish(&services, &whole);
    able.fit(&Limits { weights: true, ..Limits::default() });
    assert!(!able.unweighed);
    let by_hand: BTreeMap<IpAddr, u8> = [(address(0), 9), (address(1), 9)].into();
    let mut standing = apply(&FoundZone::new(), &plan(&able, &FoundZone::new()));
    standing.values_mut().filter(|found| 1 < found.set.values.len()).for_each(|found| {
        found.set.weights = by_hand.clone().into();
    });
    assert!(shown(plan(&fitted, &standing)).is_empty());
    assert_eq!(shown(plan(&able, &standing)).len(), 1);
}

#[test]
fn weights_of_nodes_that_do_not_serve_are_refused() {
    #[track_caller]
    fn check(nodes: &[&str], weight: &str, words: &str) {
        let (whole, mut services) = sharing();
        services[0].nodes = nodes.iter().map(|name| (*name).to_owned()).collect();
        services[0].weights = [(weight.to_owned(), 1)].into();
        let wish = wish(&services, &whole);
        let refusal = &wish.refused[&services[0].id];
        assert_eq!(refusal.field, "spec.weights");
        assert!(refusal.why.contains(words), "{refusal}");
        assert!(wish.frozen.contains(&services[0].name));
    }
    check(&[], "n9", "no CocoaNode");
    check(&["n0", "n1"], "n2", "not among spec.nodes");
}
