//! Causes put right by what this process itself wished last: a status that lags behind would call our own change of a
//! moment ago somebody else's, and a return or a failover could be held for it.

use jiff::Timestamp;

use crate::domain::cluster::Cluster;
use crate::domain::lines::{Holder, Why};
use crate::domain::records::{Cause, Last, Wish, moved};
use crate::domain::sharing::Sharing;

/// Corrects the causes in `wish` by the wish before it. What the statuses know better stays.
pub fn put_right(wish: &mut Wish, before: &Wish, cluster: &Cluster) {
    for (key, wanted) in &mut wish.wanted {
        // An edit may be one of a service whose status was not written yet.
        let doubtful = matches!(wanted.cause, Cause::Drift | Cause::Edit);
        // Where each node writes its own, what is ours now may have been another's.
        let was = before.wanted.get(key).or_else(|| before.others.get(key));
        let holder = was.filter(|was| was.node != wanted.node);
        let holder = holder.and_then(|was| cluster.members.get(&was.node));
        wanted.succeeds |= holder.is_some_and(|member| !member.can_answer(key.family));
        let Some(was) = was.filter(|_| doubtful) else { continue };
        let last = Last {
            node: was.node.clone(),
            values: was.set.values.clone(),
            ttl: was.set.ttl,
            since: Timestamp::UNIX_EPOCH,
            taken_over: was.why != Why::Own,
            sharers: was.sharers.clone(),
        };
        let at = (key.line, key.family);
        let sharing = Sharing { cluster, at, sharers: wanted.sharers.clone() };
        if sharing.concerns(&last) {
            let cause = sharing.cause(&last, &wanted.set);
            // Who comes back to a share that is being held as an edit brings that edit along: it stays held.
            let better = was.set.values != wanted.set.values
                && (wanted.cause == Cause::Drift || matches!(cause, Cause::Loss | Cause::Drain));
            wanted.cause = if better { cause } else { wanted.cause };
            continue;
        }
        if was.node == wanted.node {
            continue;
        }
        let holder = Holder { node: wanted.node.clone(), why: wanted.why };
        wanted.cause = moved(&last, &holder, cluster, at);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::IpAddr;

    use super::*;
    use crate::api::vocab::{Family, Line, NetworkType, PlatformProvider};
    use crate::domain::cluster::Member;
    use crate::domain::names::{DnsName, ObjectId};
    use crate::domain::records::{RecordKey, Service, ZoneId, wish};
    use crate::domain::sharing::Weights;

    fn cluster(drained: bool, lives: bool) -> Cluster {
        let member = |name: &str, lines: &[Line], last: u8| Member {
            name: name.into(),
            lines: lines.iter().copied().collect(),
            network: NetworkType::IPV4,
            preference: 50,
            addresses: [(Family::V4, [IpAddr::from([203, 0, 113, last])].into())].into(),
            lives: true,
            drained: false,
            pinned: BTreeSet::new(),
        };
        let b = Member { drained, lives, ..member("b", &[Line::CU], 2) };
        let members = [("a".to_owned(), member("a", &[Line::Default], 1)), ("b".to_owned(), b)].into();
        Cluster { members, refused: BTreeMap::new() }
    }

    /// The cause for the line CU of a service whose status still says what stood before both wishes.
    fn cause(before: &Cluster, now: &Cluster, status: Option<&str>) -> Cause {
        let (service, name) = service(now, status);
        let earlier = wish([&service], before);
        let mut later = wish([&service], now);
        put_right(&mut later, &earlier, now);
        later.wanted[&RecordKey { name, line: Line::CU, family: Family::V4 }].cause
    }

    fn service(now: &Cluster, status: Option<&str>) -> (Service, DnsName) {
        let zone = DnsName::parse("example.com", "").unwrap();
        let name = zone.child("www", "").unwrap();
        let at = (Line::CU, Family::V4);
        let last = status.map(|node| Last {
            node: node.into(),
            values: now.members[node].addresses[&Family::V4].clone().into(),
            ttl: 60,
            since: Timestamp::UNIX_EPOCH,
            taken_over: node != "b",
            sharers: Weights::default(),
        });
        let service = Service {
            id: ObjectId { namespace: "default".into(), name: "www".into() },
            created: None,
            zone: ZoneId { provider: PlatformProvider::Local, account: None, zone },
            name: name.clone(),
            ttl: 60,
            nodes: BTreeSet::new(),
            weights: BTreeMap::new(),
            deleting: false,
            retain: false,
            release: None,
            adopt: false,
            last: last.map(|last| (at, last)).into_iter().collect(),
            begun: BTreeMap::new(),
        };
        (service, name)
    }

    #[test]
    fn a_status_that_lags_behind_makes_nobody_else_of_us() {
        let (whole, drained, lost) = (cluster(false, true), cluster(true, true), cluster(false, false));
        assert_eq!(
            cause(&drained, &whole, Some("b")),
            Cause::Return,
            "undrained before the status was written"
        );
        assert_eq!(cause(&lost, &whole, Some("b")), Cause::Return, "back before the status was written");
        assert_eq!(cause(&whole, &lost, None), Cause::Loss, "lost before the first status was written");
        assert_eq!(
            cause(&whole, &drained, None),
            Cause::Drain,
            "drained before the first status was written"
        );
        assert_eq!(cause(&whole, &lost, Some("a")), Cause::Loss, "lost again before the status was written");
    }

    #[test]
    fn a_line_that_another_node_wrote_is_lost_with_it_before_any_status_says_so() {
        let (whole, lost) = (cluster(false, true), cluster(false, false));
        let check = |leave: bool| {
            let (service, name) = service(&whole, None);
            let mut earlier = wish([&service], &whole);
            if leave {
                earlier.leave_to_others("a");
            }
            let mut later = wish([&service], &lost);
            put_right(&mut later, &earlier, &lost);
            later.wanted[&RecordKey { name, line: Line::CU, family: Family::V4 }].cause
        };
        assert_eq!((check(false), check(true)), (Cause::Loss, Cause::Loss));
    }

    #[test]
    fn what_the_status_knows_stays() {
        let (whole, lost) = (cluster(false, true), cluster(false, false));
        assert_eq!(
            cause(&whole, &whole, Some("b")),
            Cause::Drift,
            "nothing moved: then it was somebody else"
        );
        assert_eq!(cause(&whole, &whole, None), Cause::Edit, "a new service is an edit");
        assert_eq!(cause(&lost, &lost, Some("b")), Cause::Loss);
    }
}
