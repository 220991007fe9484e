//! Who answers for which line: each claimed line goes to exactly one node, by a succession that every node computes
//! alike from the specs and the same judgement of who lives.
//!
//! The succession of a line is fixed by the specs alone: whoever it is pinned to, then its owners, then the others by
//! preference; among equals the ring of names, begun after the owner and one step further for each of the owner's
//! lines, so that the lines of a lost node spread. History plays no part: a loss or a return moves only the lines that
//! it must.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::api::vocab::{Family, Line};
use crate::domain::cluster::Member;

/// Why a node answers for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The line is its own.
    Own,
    /// Somebody pinned it there, though it is not its own.
    Pinned,
    /// Its owners can't answer.
    TakenOver,
    /// The node is drained, but nobody else can answer.
    LastResort,
}

/// A node that answers for a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Object name of the node.
    pub node: String,
    /// Why it.
    pub why: Why,
}

/// Every claimed line and family, and who answers; `None` where nobody can.
pub type Assignment = BTreeMap<(Line, Family), Option<Holder>>;

/// Assigns every line that a member claims (or has pinned) to one member that can answer.
pub fn assign(members: &[&Member]) -> Assignment {
    let mut all = Assignment::new();
    for line in Line::ALL {
        for family in Family::ALL {
            let pinned = |m: &&&Member| m.pinned.contains(&line) && m.network.has(family);
            if members.iter().any(|m| m.claims(line, family)) || members.iter().any(|m| pinned(&m)) {
                all.insert((line, family), holder(members, line, family));
            }
        }
    }
    all
}

fn holder(members: &[&Member], line: Line, family: Family) -> Option<Holder> {
    let order = succession(members, line, family);
    let able = |drained: bool| {
        order.iter().find(move |member| member.can_answer(family) && member.drained == drained)
    };
    let (member, last_resort) = match able(false) {
        Some(member) => (member, false),
        None => (able(true)?, true),
    };
    let why = match () {
        () if last_resort => Why::LastResort,
        () if member.claims(line, family) => Why::Own,
        () if member.pinned.contains(&line) => Why::Pinned,
        () => Why::TakenOver,
    };
    Some(Holder { node: member.name.clone(), why })
}

/// All members in the order in which they answer for `line`, whether they live or not.
pub fn succession<'a>(members: &[&'a Member], line: Line, family: Family) -> Vec<&'a Member> {
    let mut ring: Vec<&Member> = members.to_vec();
    ring.sort_by(|a, b| a.name.cmp(&b.name));
    let mut order = ring.clone();
    let owner =
        ring.iter().filter(|m| m.claims(line, family)).min_by_key(|m| (Reverse(m.preference), &m.name));
    let start = owner.map(|owner| ring_start(owner, line));
    let place = |member: &Member| match &start {
        None => 0,
        Some((after, step)) => {
            let peers: Vec<&&Member> = ring
                .iter()
                .filter(|m| m.preference == member.preference && !m.claims(line, family))
                .collect();
            let first = peers.iter().filter(|m| m.name <= *after).count() + step;
            let own = peers.iter().position(|m| m.name == member.name).unwrap_or(0);
            if peers.is_empty() { 0 } else { (own + peers.len() - first % peers.len()) % peers.len() }
        }
    };
    let rank = |m: &&'a Member| {
        let tier = match () {
            () if m.pinned.contains(&line) => 0,
            () if m.claims(line, family) => 1,
            () => 2,
        };
        let place = if tier == 2 { place(m) } else { 0 };
        (tier, Reverse(m.preference), place, m.name.clone())
    };
    order.sort_by_cached_key(rank);
    order
}

/// After whose name the ring begins for a line of `owner`, and how many steps further.
fn ring_start(owner: &Member, line: Line) -> (String, usize) {
    let own: &BTreeSet<Line> = &owner.lines;
    (owner.name.clone(), own.iter().position(|l| *l == line).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::vocab::NetworkType;

    fn member(name: &str, lines: &[Line]) -> Member {
        let address = format!("203.0.113.{}", name.len() + name.as_bytes()[0] as usize % 100);
        Member {
            name: name.into(),
            lines: lines.iter().copied().collect(),
            network: NetworkType::IPV4,
            preference: 50,
            addresses: [(Family::V4, [address.parse().unwrap()].into())].into(),
            lives: true,
            drained: false,
            pinned: BTreeSet::new(),
        }
    }

    fn who(members: &[Member]) -> String {
        let refs: Vec<&Member> = members.iter().collect();
        let name = |h: Option<Holder>| h.map_or("-".to_owned(), |h| h.node);
        assign(&refs)
            .into_iter()
            .map(|((line, _), h)| format!("{line}={}", name(h)))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_lost_nodes_lines_spread_over_the_living_and_return() {
        use Line::*;
        let mut nodes = [member("a", &[Default]), member("b", &[CT, CU]), member("c", &[CMCC])];
        assert_eq!(who(&nodes), "default=a CT=b CU=b CMCC=c");
        nodes[1].lives = false;
        assert_eq!(who(&nodes), "default=a CT=c CU=a CMCC=c");
        nodes[2].lives = false;
        assert_eq!(who(&nodes), "default=a CT=a CU=a CMCC=a");
        nodes[1].lives = true;
        assert_eq!(who(&nodes), "default=a CT=b CU=b CMCC=a");
        nodes.iter_mut().for_each(|n| n.lives = false);
        assert_eq!(who(&nodes), "default=- CT=- CU=- CMCC=-");
    }

    #[test]
    fn preference_comes_before_spread_and_a_drained_node_is_the_last_resort() {
        use Line::*;
        let mut nodes = [member("a", &[Default]), member("b", &[CT, CU]), member("c", &[])];
        nodes[2].preference = 90;
        nodes[1].drained = true;
        assert_eq!(who(&nodes), "default=a CT=c CU=c");
        nodes[0].lives = false;
        nodes[2].lives = false;
        assert_eq!(who(&nodes), "default=b CT=b CU=b", "drained, but nobody else lives");
    }

    #[test]
    fn a_pin_beats_ownership_while_the_node_lives() {
        use Line::*;
        let mut nodes = [member("a", &[Default]), member("b", &[CT])];
        nodes[0].pinned = [CT].into();
        assert_eq!(who(&nodes), "default=a CT=a");
        nodes[0].lives = false;
        assert_eq!(who(&nodes), "default=b CT=b");
    }

    #[test]
    fn families_live_and_die_apart() {
        let mut both = member("a", &[Line::Default]);
        both.network = NetworkType::Both;
        let mut other = member("b", &[]);
        other.network = NetworkType::Both;
        other.addresses.insert(Family::V6, ["2001:db8::b".parse().unwrap()].into());
        let refs = [&both, &other];
        let all = assign(&refs);
        assert_eq!(all[&(Line::Default, Family::V4)].as_ref().unwrap().node, "a");
        assert_eq!(all[&(Line::Default, Family::V6)].as_ref().unwrap().node, "b", "a's IPv6 is not known");
    }

    fn worlds() -> impl Strategy<Value = Vec<Member>> {
        let one =
            (prop::collection::btree_set(0usize..6, 0..4), 0..3i32, any::<bool>(), prop::bool::weighted(0.1));
        prop::collection::vec(one, 1..7).prop_map(|specs| {
            let node = |(index, (lines, preference, lives, drained)): (
                usize,
                (BTreeSet<usize>, i32, bool, bool),
            )| {
                let lines: Vec<Line> = lines.into_iter().map(|i| Line::ALL[i]).collect();
                Member { preference, lives, drained, ..member(&format!("n{index}"), &lines) }
            };
            specs.into_iter().enumerate().map(node).collect()
        })
    }

    proptest! {
        #[test]
        fn every_claimed_line_has_exactly_one_living_holder_whatever_the_order(mut world in worlds(), seed in 0usize..7) {
            let refs: Vec<&Member> = world.iter().collect();
            let first = assign(&refs);
            let anyone = world.iter().any(|m| m.lives);
            for ((line, family), holder) in &first {
                prop_assert_eq!(holder.is_some(), anyone, "{} {:?}", line, family);
            }
            let shift = seed % world.len();
            world.rotate_left(shift);
            let refs: Vec<&Member> = world.iter().collect();
            prop_assert_eq!(first, assign(&refs), "all nodes agree");
        }

        #[test]
        fn a_loss_moves_only_the_lines_of_the_lost(world in worlds(), victim in 0usize..7) {
            let refs: Vec<&Member> = world.iter().collect();
            let before = assign(&refs);
            let mut after = world.clone();
            let victim = victim % after.len();
            after[victim].lives = false;
            let refs: Vec<&Member> = after.iter().collect();
            for (key, holder) in assign(&refs) {
                let held_by_victim = before[&key].as_ref().is_some_and(|h| h.node == world[victim].name);
                let same_node = holder.as_ref().map(|h| &h.node) == before[&key].as_ref().map(|h| &h.node);
                prop_assert!(same_node || held_by_victim, "{:?} moved without need", key);
            }
        }
    }
}
