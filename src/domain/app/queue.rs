//! Who installs next: first come, first served, in turns between namespaces, so that a namespace with a hundred installs
//! holds up nobody else's first.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::app::instance::AppKey;

/// An App that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Who.
    pub key: AppKey,
    /// Since when.
    pub since: Timestamp,
}

/// The order in which `waiting` come, while those in `working` have their turn. `last` numbers the turns that namespaces
/// had: of two namespaces the one comes first whose last turn is longer ago, and of those without any the older ticket.
pub fn order(waiting: &[Ticket], working: &[AppKey], last: &BTreeMap<String, u64>) -> Vec<AppKey> {
    let mut tickets: Vec<&Ticket> = waiting.iter().collect();
    tickets.sort_by(|a, b| (a.since, &a.key).cmp(&(b.since, &b.key)));
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    for key in working {
        *turns.entry(&key.namespace).or_default() += 1;
    }
    let mut ranked: Vec<(usize, u64, &Ticket)> = Vec::new();
    for ticket in tickets {
        let turn = turns.entry(&ticket.key.namespace).or_default();
        let ago = last.get(&ticket.key.namespace).copied().unwrap_or_default();
        ranked.push((*turn, ago, ticket));
        *turn += 1;
    }
    ranked.sort_by(|(a, m, x), (b, n, y)| (a, m, x.since, &x.key).cmp(&(b, n, y.since, &y.key)));
    ranked.into_iter().map(|(_, _, ticket)| ticket.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(key: &str, second: i64) -> Ticket {
        let (namespace, name) = key.split_once('/').unwrap();
        let key = AppKey { namespace: namespace.into(), name: name.into() };
        Ticket { key, since: Timestamp::from_second(second).unwrap() }
    }

    #[track_caller]
    fn check(waiting: &[(&str, i64)], working: &[&str], expect: &[&str]) {
        let waiting: Vec<Ticket> = waiting.iter().map(|(key, second)| ticket(key, *second)).collect();
        let working: Vec<AppKey> = working.iter().map(|key| ticket(key, 0).key).collect();
        let order: Vec<String> =
            order(&waiting, &working, &BTreeMap::new()).iter().map(AppKey::to_string).collect();
        assert_eq!(order, expect);
    }

    #[test]
    fn first_come_first_served_in_turns_between_namespaces() {
        check(&[("a/2", 2), ("a/1", 1)], &[], &["a/1", "a/2"]);
        check(&[("a/1", 1), ("a/2", 2), ("b/1", 9)], &[], &["a/1", "b/1", "a/2"]);
        check(&[("a/1", 1), ("b/1", 9)], &["a/0"], &["b/1", "a/1"]);
        check(&[("a/b", 1), ("a/a", 1)], &[], &["a/a", "a/b"]);
    }

    #[test]
    fn nobody_waits_for_a_namespace_with_a_hundred_installs() {
        let mut waiting: Vec<Ticket> = (0..100).map(|n| ticket(&format!("a/{n}"), n)).collect();
        waiting.push(ticket("b/1", 1000));
        let (mut last, mut came) = (BTreeMap::new(), Vec::new());
        for turn in 1..=4 {
            let next = order(&waiting, &[], &last).remove(0);
            waiting.retain(|ticket| ticket.key != next);
            last.insert(next.namespace.clone(), turn);
            came.push(next.to_string());
        }
        assert_eq!(came, ["a/0", "b/1", "a/1", "a/2"]);
    }
}
