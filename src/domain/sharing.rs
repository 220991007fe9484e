//! Lines that several of their owners answer for at once, each in its weight's proportion (`spec.weights`): who, with
//! which addresses, and why such a set changes. Who would answer alone is decided in `lines`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::api::vocab::{Family, Line};
use crate::domain::cluster::{Cluster, Member};
use crate::domain::lines::{Holder, Why};
use crate::domain::records::{Cause, Last, RecordSet, Service, Values};

/// The largest weight; providers weigh in whole numbers from 1 to here (Alidns: UpdateDNSSLBWeight).
pub const HEAVIEST: u8 = 100;

/// Weights of nodes or addresses; most sets have none, which costs nothing to keep, copy or compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights<K>(Option<Arc<BTreeMap<K, u8>>>);

impl<K> Default for Weights<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Ord> From<BTreeMap<K, u8>> for Weights<K> {
    fn from(all: BTreeMap<K, u8>) -> Self {
        Self((!all.is_empty()).then(|| Arc::new(all)))
    }
}

impl<K> Weights<K> {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, u8)> {
        self.0.iter().flat_map(|all| all.iter()).map(|(of, weight)| (of, *weight))
    }
}

impl<K: Ord + Clone> Weights<K> {
    /// A copy of all of them.
    pub fn to_map(&self) -> BTreeMap<K, u8> {
        self.0.as_deref().cloned().unwrap_or_default()
    }
}

impl<K: Ord> Weights<K> {
    /// The weight of one; none where it has none.
    pub fn of(&self, key: &K) -> Option<u8> {
        self.0.as_ref()?.get(key).copied()
    }
}

/// One line in one family, and the owners that are to share it.
pub(super) struct Sharing<'a> {
    pub cluster: &'a Cluster,
    pub at: (Line, Family),
    /// Its owners that have a weight, whether they can answer or not; none unless they are several.
    pub sharers: Weights<String>,
}

impl<'a> Sharing<'a> {
    /// The sharing of a line that a service wishes for.
    pub fn of(service: &Service, cluster: &'a Cluster, at: (Line, Family)) -> Self {
        let serves = |name: &String| service.nodes.is_empty() || service.nodes.contains(name);
        let owns = |name: &String| cluster.members.get(name).is_some_and(|member| member.claims(at.0, at.1));
        let named = service.weights.iter().filter(|(name, _)| serves(name) && owns(name));
        let sharers: BTreeMap<String, u8> = named.map(|(name, weight)| (name.clone(), *weight)).collect();
        let sharers = if sharers.len() < 2 { Weights::default() } else { sharers.into() };
        Self { cluster, at, sharers }
    }

    /// What all sharers that can answer say together; none where `holder` answers alone: it is no owner with a weight,
    /// or somebody pinned the line to it.
    pub fn answer(&self, holder: &Holder) -> Option<(Values, Weights<IpAddr>)> {
        self.sharers.of(&holder.node)?;
        let pinned = self.member(&holder.node)?.pinned.contains(&self.at.0);
        if pinned || holder.why != Why::Own {
            return None;
        }
        let answering = self.sharers.iter().filter_map(|(name, weight)| {
            let member = self.member(name).filter(|member| self.is_able(member) && !member.drained)?;
            Some((member.addresses.get(&self.at.1)?, weight))
        });
        Some(proportions(&answering.collect::<Vec<_>>()))
    }

    /// Whether weights play a part, now or when `last` was written.
    pub fn concerns(&self, last: &Last) -> bool {
        !self.sharers.is_empty() || !last.sharers.is_empty()
    }

    /// Why the set that is to be `set` changes. Who shares by the specs is compared with who did, so that an edit is told
    /// from a sharer's loss or return; a loss counts even where an edit is being held.
    pub fn cause(&self, last: &Last, set: &RecordSet) -> Cause {
        let gone: Vec<&IpAddr> = last.values.iter().filter(|value| !set.values.contains(*value)).collect();
        let has = |member: &Member, value: &IpAddr| {
            member.addresses.get(&self.at.1).is_some_and(|all| all.contains(value))
        };
        let able = || self.cluster.members.values().filter(|member| self.is_able(member));
        let dead = gone.iter().any(|value| !able().any(|member| has(member, value)));
        let drained = gone.iter().any(|value| able().any(|member| member.drained && has(member, value)));
        let all_able =
            || self.sharers.iter().all(|(name, _)| self.member(name).is_some_and(|m| self.is_able(m)));
        match () {
            () if dead && !self.sharers.is_empty() && all_able() => Cause::Address,
            () if dead => Cause::Loss,
            () if drained => Cause::Drain,
            () if last.sharers != self.sharers => Cause::Edit,
            () if last.values == set.values && last.ttl != set.ttl => Cause::Edit,
            () if last.values == set.values => Cause::Drift,
            () if gone.is_empty() || last.taken_over => Cause::Return,
            // Everybody could go on: somebody pinned the line, or no longer does.
            () => Cause::Drain,
        }
    }

    fn member(&self, name: &str) -> Option<&'a Member> {
        self.cluster.members.get(name)
    }

    fn is_able(&self, member: &Member) -> bool {
        member.can_answer(self.at.1)
    }
}

/// Addresses in the proportion of their nodes' weights: a node with several divides its share among them, so that all
/// are made larger by the same factor, and smaller again where that is more than providers take.
fn proportions(nodes: &[(&BTreeSet<IpAddr>, u8)]) -> (Values, Weights<IpAddr>) {
    let common =
        nodes.iter().map(|(all, _)| all.len() as u64).fold(1, |a, b| (a / gcd(a, b) * b).min(1 << 32));
    let mut shares: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for (addresses, weight) in nodes {
        for address in *addresses {
            *shares.entry(*address).or_default() += u64::from(*weight) * common / addresses.len() as u64;
        }
    }
    let most = u64::from(HEAVIEST);
    let largest = shares.values().copied().max().unwrap_or(1).max(1);
    let fitted = |share: u64| if largest <= most { share } else { (share * most / largest).max(1) };
    let values: Values = shares.keys().copied().collect();
    if shares.len() < 2 {
        return (values, Weights::default());
    }
    let weights = shares.into_iter().map(|(address, share)| (address, fitted(share).min(most) as u8));
    (values, weights.collect::<BTreeMap<_, _>>().into())
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_keep_their_proportion_however_many_addresses_they_have() {
        #[track_caller]
        fn check(nodes: &[(&[u8], u8)], expect: &[(u8, u8)]) {
            let address = |last: &u8| IpAddr::from([203, 0, 113, *last]);
            let sets: Vec<(BTreeSet<IpAddr>, u8)> =
                nodes.iter().map(|(all, weight)| (all.iter().map(address).collect(), *weight)).collect();
            let sets: Vec<(&BTreeSet<IpAddr>, u8)> =
                sets.iter().map(|(all, weight)| (all, *weight)).collect();
            let (values, weights) = proportions(&sets);
            let expect: BTreeMap<IpAddr, u8> = expect.iter().map(|(last, w)| (address(last), *w)).collect();
            assert_eq!(weights.to_map(), expect);
            assert!(weights.is_empty() || values.iter().eq(expect.keys()));
        }
        check(&[(&[1], 3), (&[2], 1)], &[(1, 3), (2, 1)]);
        check(&[(&[1], 30), (&[2], 30)], &[(1, 30), (2, 30)]);
        check(&[(&[1, 2], 3), (&[3], 1)], &[(1, 3), (2, 3), (3, 2)]);
        check(&[(&[1, 2], 100), (&[3, 4, 5], 1)], &[(1, 100), (2, 100), (3, 1), (4, 1), (5, 1)]);
        check(&[(&[1, 2], 1), (&[3], 100)], &[(1, 1), (2, 1), (3, 100)]);
        check(&[(&[1], 2), (&[1, 2], 2)], &[(1, 6), (2, 2)]);
        check(&[(&[1], 3)], &[]);
    }
}
