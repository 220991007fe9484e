//! The laws of planning over generated worlds: fixpoint, no trespass, restart-blindness, agreement. Tests only.

mod sharing;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use crate::api::vocab::{Family, Line, NetworkType, PlatformProvider};
use crate::domain::cluster::{Cluster, Member};
use crate::domain::dns_plan::{Change, DnsPlan, Found, FoundZone, Held, Limits, Owner, Row, Standing, plan};
use crate::domain::lines::Why;
use crate::domain::names::{DnsName, ObjectId};
use crate::domain::records::{Cause, Last, RecordKey, RecordSet, Service, Values, Wish, ZoneId, wish};

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn address(node: usize) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, node as u8 + 1).into()
}

fn member(index: usize, lines: &[Line], lives: bool) -> Member {
    Member {
        name: format!("n{index}"),
        lines: lines.iter().copied().collect(),
        network: NetworkType::IPV4,
        preference: 50,
        addresses: [(Family::V4, [address(index)].into())].into(),
        lives,
        drained: false,
        pinned: BTreeSet::new(),
    }
}

fn cluster(members: Vec<Member>) -> Cluster {
    let members = members.into_iter().map(|member| (member.name.clone(), member)).collect();
    Cluster { members, refused: BTreeMap::new() }
}

fn zone() -> DnsName {
    DnsName::parse("example.com", "").unwrap()
}

fn service(index: usize) -> Service {
    Service {
        id: ObjectId { namespace: "default".into(), name: format!("s{index}") },
        created: Some(at(index as i64)),
        zone: ZoneId { provider: PlatformProvider::Local, account: None, zone: zone() },
        name: zone().child(&format!("s{index}"), "").unwrap(),
        ttl: 60,
        nodes: BTreeSet::new(),
        weights: BTreeMap::new(),
        deleting: false,
        retain: false,
        release: None,
        adopt: false,
        last: BTreeMap::new(),
        begun: BTreeMap::new(),
    }
}

/// A model of a provider: does what a plan says.
fn apply(found: &FoundZone, plan: &DnsPlan) -> FoundZone {
    let mut next = found.clone();
    for Change { key, to, .. } in &plan.changes {
        match to {
            Some(set) => drop(next.insert(key.clone(), Found::ours(set.clone()))),
            None => drop(next.remove(key)),
        }
    }
    next
}

/// A model of the report: the services remember what stands there.
fn remember(services: &mut [Service], wish: &Wish, standing: &FoundZone) {
    for service in services {
        service.last = standing
            .iter()
            .filter(|(key, found)| key.name == service.name && found.owner == Owner::Ours)
            .map(|(key, found)| {
                let wanted = wish.wanted.get(key).map(|wanted| wanted.node.clone());
                let before = service.last.get(&(key.line, key.family)).map(|last| last.node.clone());
                let taken_over = wish.wanted.get(key).is_some_and(|wanted| wanted.why != Why::Own);
                let node = wanted.or(before).unwrap_or_default();
                let (values, ttl) = (found.set.values.clone(), found.set.ttl);
                let as_wished = wish.wanted.get(key).filter(|wanted| found.set.is_as(&wanted.set));
                let before = service.last.get(&(key.line, key.family)).map(|last| last.sharers.clone());
                let sharers = as_wished.map(|wanted| wanted.sharers.clone()).or(before).unwrap_or_default();
                ((key.line, key.family), Last { node, values, ttl, since: at(0), taken_over, sharers })
            })
            .collect();
    }
}

fn settle(services: &mut [Service], cluster: &Cluster, found: FoundZone) -> (FoundZone, DnsPlan) {
    let wish = wish(&*services, cluster);
    let plan = plan(&wish, &found);
    let standing = apply(&found, &plan);
    remember(services, &wish, &standing);
    (standing, plan)
}

fn three() -> Cluster {
    use Line::{CMCC, CNEdu, CT, CU, Default, OverSea};
    cluster(vec![
        member(0, &[Default, CT, OverSea], true),
        member(1, &[CU, CMCC, CNEdu], true),
        member(2, &[], true),
    ])
}

fn lose(cluster: &Cluster, node: &str) -> Cluster {
    let mut next = cluster.clone();
    next.members.get_mut(node).unwrap().lives = false;
    next
}

#[test]
fn a_failover_of_a_whole_zone_is_never_held_and_comes_back() {
    let mut services: Vec<Service> = (0..20).map(service).collect();
    let (standing, first) = settle(&mut services, &three(), FoundZone::new());
    assert_eq!(first.changes.len(), 120);
    assert_eq!(first.changes[0].key.line, Line::Default, "default lines first");
    let (standing, lost) = settle(&mut services, &lose(&three(), "n1"), standing);
    assert_eq!(lost.changes.len(), 60);
    assert!(lost.changes.iter().all(|change| change.cause == Cause::Loss), "{:?}", lost.changes[0]);
    let (_, back) = settle(&mut services, &three(), standing);
    assert_eq!(back.changes.len(), 60);
    assert!(back.changes.iter().all(|change| change.cause == Cause::Return));
}

#[test]
fn a_new_address_is_never_held_but_an_edit_of_a_third_is_until_released() {
    let mut services: Vec<Service> = (0..20).map(service).collect();
    let (standing, _) = settle(&mut services, &three(), FoundZone::new());
    let mut moved = three();
    moved.members.get_mut("n0").unwrap().addresses = [(Family::V4, [address(77)].into())].into();
    let (standing, plan) = settle(&mut services, &moved, standing);
    assert_eq!((plan.changes.len(), plan.held.len()), (60, 0));

    services[0].ttl = 5;
    let (standing, plan) = settle(&mut services, &moved, standing);
    assert_eq!((plan.changes.len(), plan.held.len()), (6, 0), "6 of 120 is no mass");

    services.iter_mut().for_each(|service| service.ttl = 7);
    let (standing, plan) = settle(&mut services, &moved, standing);
    assert_eq!((plan.changes.len(), plan.held.len()), (0, 120));
    let digest = plan.digest.unwrap();
    services[3].release = Some("someother".into());
    let (standing, plan) = settle(&mut services, &moved, standing);
    assert_eq!(plan.changes.len(), 0, "another plan's release releases nothing");
    services[3].release = Some(digest);
    let (_, plan) = settle(&mut services, &moved, standing);
    assert_eq!((plan.changes.len(), plan.held.len()), (120, 0));
}

#[test]
fn an_empty_source_deletes_nothing() {
    let mut services: Vec<Service> = (0..5).map(service).collect();
    let (standing, _) = settle(&mut services, &three(), FoundZone::new());
    let (after, plan) = settle(&mut services.clone(), &cluster(vec![]), standing.clone());
    assert!(plan.changes.is_empty() && after == standing, "no node at all: everything stays");
    let (after, plan) = settle(&mut [], &three(), standing.clone());
    assert!(plan.changes.is_empty() && after == standing, "no service at all: ours are orphans, and stay");
    assert!(plan.held.iter().all(|held| matches!(held, Held::Orphan { .. })));
    let dead = lose(&lose(&lose(&three(), "n0"), "n1"), "n2");
    let (after, plan) = settle(&mut services, &dead, standing.clone());
    assert!(plan.changes.is_empty() && after == standing, "nobody lives: the last records stay");
    assert!(plan.held.iter().all(|held| matches!(held, Held::NobodyLives { .. })));
}

#[test]
fn deleting_removes_retaining_leaves_and_many_at_once_are_held() {
    let mut services: Vec<Service> = (0..20).map(service).collect();
    let (standing, _) = settle(&mut services, &three(), FoundZone::new());
    services[0].deleting = true;
    services[1].deleting = true;
    services[1].retain = true;
    let (standing, plan) = settle(&mut services, &three(), standing);
    assert_eq!(plan.changes.len(), 6);
    assert!(plan.changes.iter().all(|change| change.to.is_none() && change.cause == Cause::Deleted));
    services.iter_mut().skip(2).take(8).for_each(|service| service.deleting = true);
    let (_, plan) = settle(&mut services, &three(), standing);
    assert_eq!((plan.changes.len(), plan.held.len()), (0, 48));
}

#[test]
fn what_the_leader_deletes_its_guard_has_judged() {
    let mut services: Vec<Service> = (0..3).map(service).collect();
    let (standing, _) = settle(&mut services, &three(), FoundZone::new());
    services[0].deleting = true;
    let (standing, plan) = settle(&mut services, &three(), standing);
    assert_eq!((plan.changes.len(), plan.held.len()), (0, 6), "by hand: 6 of 18 is a mass");
    services[0].release = Some(crate::api::RELEASED_BY_LEADER.into());
    services[1].ttl = 5;
    let (_, plan) = settle(&mut services, &three(), standing);
    assert_eq!(
        (plan.changes.len(), plan.held.len()),
        (6, 6),
        "only the deletion is judged, an edit beside it is not"
    );
}

#[test]
fn a_foreign_record_is_reported_and_taken_only_when_asked() {
    let mut services = vec![service(0)];
    let name = services[0].name.clone();
    let key = RecordKey { name, line: Line::CT, family: Family::V4 };
    let set = RecordSet::of([address(200)].into(), 600);
    let foreign = Found::of(set, Owner::Foreign("by hand".into()));
    let found: FoundZone = [(key.clone(), foreign.clone())].into();
    let (standing, plan) = settle(&mut services, &three(), found);
    assert_eq!(standing[&key], foreign);
    assert_eq!(plan.changes.len(), 5, "the other lines go on");
    services[0].adopt = true;
    let (standing, _) = settle(&mut services, &three(), standing);
    assert_eq!(standing[&key].owner, Owner::Ours);
}

#[test]
fn a_half_of_ours_is_mended_and_a_stranger_beside_ours_is_left_alone() {
    let mut services = vec![service(0)];
    let (standing, _) = settle(&mut services, &three(), FoundZone::new());
    let at = RecordKey { name: services[0].name.clone(), line: Line::CT, family: Family::V4 };
    let with = |change: &dyn Fn(&mut Found)| {
        let mut standing = standing.clone();
        change(standing.get_mut(&at).unwrap());
        standing
    };
    // The mark is gone, but the status knows that it was us who put that there.
    let (after, plan) = settle(&mut services.clone(), &three(), with(&|found| found.owner = Owner::Unmarked));
    assert_eq!((plan.changes.len(), &after), (1, &standing));
    assert_eq!(plan.changes[0].to_string(), "~ s0.example.com A [CT] 203.0.113.1 (ttl 60): marked as ours");
    // So it is with a creation that was noted before the process died, and not with anything else.
    let mut fresh = vec![service(0)];
    let unmarked = with(&|found| found.owner = Owner::Unmarked);
    let (after, plan) = settle(&mut fresh.clone(), &three(), unmarked.clone());
    assert_eq!((&after, plan.held.len()), (&unmarked, 1), "without a note it is somebody else's");
    fresh[0].begun = [((at.line, at.family), unmarked[&at].set.values.clone())].into();
    assert_eq!(settle(&mut fresh, &three(), unmarked).0, standing);
    // A mark without its record is mended by putting the record back.
    let empty = with(&|found| found.set.values = Values::default());
    assert_eq!(settle(&mut services.clone(), &three(), empty).0, standing);
    // Somebody's value beside ours is told and stays.
    let beside = with(&|found| found.beside = [address(77)].into());
    let (after, plan) = settle(&mut services, &three(), beside.clone());
    assert_eq!((&after, plan.changes.len()), (&beside, 0));
    assert!(matches!(plan.held[..], [Held::Foreign { .. }]));
    // With leave it is taken over where it is nobody's, and told all the same where it is another's.
    services[0].adopt = true;
    let (_, plan) = settle(&mut services.clone(), &three(), beside.clone());
    assert!(
        matches!(plan.held[..], [Held::Foreign { .. }]) && plan.changes.is_empty(),
        "it has no row of its own"
    );
    let mut rows = beside;
    let row = |value, marked| Row { id: "1".into(), value, marked, weight: 1, weighed: false };
    rows.get_mut(&at).unwrap().rows = [row(address(1), true), row(address(77), false)].into();
    let (after, plan) = settle(&mut services, &three(), rows);
    assert_eq!((plan.held.len(), plan.changes.len(), &after), (0, 1, &standing));
}

#[test]
fn what_somebody_paused_or_locked_is_told_and_left() {
    let mut services = vec![service(0)];
    let (standing, _) = settle(&mut services, &three(), FoundZone::new());
    let at = RecordKey { name: services[0].name.clone(), line: Line::CT, family: Family::V4 };
    let with = |how: Standing| {
        let mut standing = standing.clone();
        standing.get_mut(&at).unwrap().standing = how;
        standing
    };
    let reasons = |services: &mut [Service], cluster: &Cluster, how: Standing| {
        let (_, plan) = settle(services, cluster, with(how));
        let touched = plan.changes.iter().any(|change| change.key == at);
        (touched, plan.held.iter().map(Held::reason).collect::<Vec<_>>())
    };
    let lost = lose(&three(), "n0");
    assert_eq!(reasons(&mut services.clone(), &three(), Standing::Paused), (false, vec!["paused"]));
    assert_eq!(reasons(&mut services.clone(), &lost, Standing::Paused), (false, vec!["paused"]));
    assert_eq!(
        reasons(&mut services.clone(), &three(), Standing::Locked),
        (false, vec![]),
        "it says what it should"
    );
    assert_eq!(reasons(&mut services.clone(), &lost, Standing::Locked), (false, vec!["locked"]));
    services[0].deleting = true;
    assert_eq!(reasons(&mut services.clone(), &three(), Standing::Locked), (false, vec!["locked"]));
    assert_eq!(
        reasons(&mut services, &three(), Standing::Paused),
        (true, vec![]),
        "it goes with its service"
    );
}

#[test]
fn in_a_shared_place_each_node_writes_its_own_lines_and_those_of_the_lost() {
    let services = vec![service(0)];
    let writes = |cluster: &Cluster, me: &str, standing: &FoundZone| {
        let mut wish = wish(&services, cluster);
        wish.leave_to_others(me);
        plan(&wish, standing)
    };
    let mut standing = FoundZone::new();
    for node in ["n0", "n1", "n2"] {
        let plan = writes(&three(), node, &standing);
        assert!(plan.held.iter().all(|held| held.reason() == "awaited"));
        standing = apply(&standing, &plan);
    }
    assert_eq!(standing.len(), 6);
    for node in ["n0", "n1", "n2"] {
        let plan = writes(&three(), node, &standing);
        assert!(plan.changes.is_empty() && plan.held.is_empty(), "{node}: {plan:?}");
    }
    let lost = lose(&three(), "n1");
    let moved: Vec<usize> =
        ["n0", "n2"].iter().map(|node| writes(&lost, node, &standing).changes.len()).collect();
    assert_eq!(moved.iter().sum::<usize>(), 3, "the lost node's lines, each once");
}

#[test]
fn in_a_shared_place_a_follower_clears_away_deleted_services_only() {
    let mut services = vec![service(0)];
    let (standing, _) = settle(&mut services, &three(), FoundZone::new());
    // The follower has not heard that the line was added, or has heard that it is gone: it can't tell.
    let mut fewer = three();
    fewer.members.get_mut("n0").unwrap().lines.remove(&Line::OverSea);
    let planned =
        |services: &[Service], follows: bool| plan(&Wish { follows, ..wish(services, &fewer) }, &standing);
    let (leads, follows) = (planned(&services, false), planned(&services, true));
    assert_eq!((leads.changes.len(), leads.held.len()), (1, 0));
    assert_eq!((follows.changes.len(), follows.held.len()), (0, 1));
    services[0].deleting = true;
    assert_eq!(planned(&services, true).changes.len(), 6);
}

#[test]
fn a_wish_is_fitted_to_what_the_zone_takes() {
    let services = vec![service(0)];
    let mut wish = wish(&services, &three());
    wish.fit(&Limits { lines: [Line::Default, Line::CT].into(), ttl_floor: 600, weights: false });
    assert_eq!(wish.wanted.keys().map(|key| key.line).collect::<Vec<_>>(), [Line::Default, Line::CT]);
    assert!(wish.wanted.values().all(|wanted| wanted.set.ttl == 600));
    assert_eq!(wish.ttl_floor, Some(600));
    assert_eq!(wish.untold, [Line::CU, Line::CMCC, Line::CNEdu, Line::OverSea].into());
}

#[test]
fn two_services_for_one_name_are_one_service_and_one_refusal() {
    let (first, mut second) = (service(0), service(1));
    second.name = first.name.clone();
    let wish = wish(&[second.clone(), first.clone()], &three());
    assert_eq!(wish.names[&first.name], first.id, "the older one");
    assert_eq!(wish.refused[&second.id].field, "spec.record");
}

fn worlds() -> impl Strategy<Value = (Vec<Member>, Vec<Service>)> {
    let node =
        (prop::collection::btree_set(0usize..6, 0..4), prop::bool::weighted(0.7), prop::bool::weighted(0.1));
    let nodes = prop::collection::vec(node, 1..6);
    let services =
        prop::collection::vec((any::<bool>(), prop::bool::weighted(0.1), 1u32..4, 0usize..5), 1..8);
    (nodes, services).prop_map(|(nodes, services)| {
        let node = |(index, (lines, lives, drained)): (usize, (BTreeSet<usize>, bool, bool))| {
            let mut lines: Vec<Line> = lines.into_iter().map(|i| Line::ALL[i]).collect();
            lines.extend((index == 0).then_some(Line::Default));
            Member { drained, ..member(index, &lines, lives) }
        };
        let count = nodes.len();
        let make = |(index, (retain, deleting, ttl, shares)): (usize, (bool, bool, u32, usize))| Service {
            weights: (0..shares.min(count)).map(|node| (format!("n{node}"), node as u8 + 1)).collect(),
            retain,
            deleting,
            ttl,
            ..service(index)
        };
        (
            nodes.into_iter().enumerate().map(node).collect(),
            services.into_iter().enumerate().map(make).collect(),
        )
    })
}

/// Records that somebody else has in the zone, some under our names.
fn foreigners() -> impl Strategy<Value = FoundZone> {
    prop::collection::vec((0usize..12, 0usize..6), 0..8).prop_map(|all| {
        let one = |(name, line): (usize, usize)| {
            let name = zone().child(&format!("s{name}"), "").unwrap();
            let key = RecordKey { name, line: Line::ALL[line], family: Family::V4 };
            let set = RecordSet::of([address(100 + line)].into(), 600);
            (key, Found::of(set, Owner::Unmarked))
        };
        all.into_iter().map(one).collect()
    })
}

proptest! {
    #[test]
    fn applying_a_plan_leaves_nothing_to_do((nodes, mut services) in worlds(), foreign in foreigners()) {
        let cluster = cluster(nodes);
        let (standing, _) = settle(&mut services, &cluster, foreign);
        let (after, again) = settle(&mut services, &cluster, standing.clone());
        prop_assert!(again.changes.is_empty(), "{:?}", again.changes);
        prop_assert_eq!(after, standing);
    }

    #[test]
    fn nothing_that_is_not_ours_is_touched((nodes, mut services) in worlds(), foreign in foreigners()) {
        let cluster = cluster(nodes);
        let (standing, plan) = settle(&mut services, &cluster, foreign.clone());
        for (key, record) in &foreign {
            prop_assert_eq!(standing.get(key), Some(record));
        }
        let names: BTreeSet<&DnsName> = services.iter().map(|service| &service.name).collect();
        prop_assert!(plan.changes.iter().all(|change| names.contains(&change.key.name)));
    }

    #[test]
    fn what_a_restart_forgets_plays_no_part((nodes, mut services) in worlds(), victim in 0usize..6) {
        let before = cluster(nodes.clone());
        let (standing, _) = settle(&mut services, &before, FoundZone::new());
        let mut nodes = nodes;
        let victim = victim % nodes.len();
        nodes[victim].lives = !nodes[victim].lives;
        let after = cluster(nodes);
        // A process that never stopped plans from what it applied; one that restarted from statuses alone. They tell no
        // weights in effect: only providers without any are told from them what stood.
        let mut fitted = wish(&services, &after);
        fitted.fit(&Limits::default());
        let mut standing = standing;
        standing.values_mut().for_each(|found| found.set.weights = Default::default());
        let from_memory = plan(&fitted, &standing);
        let reported = services.iter().flat_map(|service| {
            service.last.iter().map(|(&(line, family), last)| {
                let key = RecordKey { name: service.name.clone(), line, family };
                let set = RecordSet::of(last.values.clone(), last.ttl);
                (key, Found::ours(set))
            })
        });
        let from_statuses = plan(&fitted, &reported.collect());
        prop_assert_eq!(from_memory, from_statuses);
    }

    #[test]
    fn every_node_plans_the_same_whatever_the_order_of_its_lists((nodes, services) in worlds(), turn in 0usize..8) {
        let mut rotated = services.clone();
        let turn = turn % rotated.len();
        rotated.rotate_left(turn);
        let cluster = cluster(nodes);
        prop_assert_eq!(wish(&services, &cluster), wish(&rotated, &cluster));
    }
}
