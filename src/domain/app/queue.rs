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

/// The order in which `waiting` come, while those in `working` have their turn.
pub fn order(waiting: &[Ticket], working: &[AppKey]) -> Vec<AppKey> {
    let mut tickets: Vec<&Ticket> = waiting.iter().collect();
    tickets.sort_by(|a, b| (a.since, &a.key).cmp(&(b.since, &b.key)));
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    for key in working {
        *turns.entry(&key.namespace).or_default() += 1;
    }
    let mut ranked: Vec<(usize, &Ticket)> = Vec::new();
    for ticket in tickets {
        let turn = turns.entry(&ticket.key.namespace).or_default();
        ranked.push((*turn, ticket));
        *turn += 1;
    }
    ranked.sort_by(|(a, x), (b, y)| (a, x.since, &x.key).cmp(&(b, y.since, &y.key)));
    ranked.into_iter().map(|(_, ticket)| ticket.key.clone()).collect()
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
        let order: Vec<String> = order(&waiting, &working).iter().map(AppKey::to_string).collect();
        assert_eq!(order, expect);
    }

    #[test]
    fn first_come_first_served_in_turns_between_namespaces() {
        check(&[("a/2", 2), ("a/1", 1)], &[], &["a/1", "a/2"]);
        check(&[("a/1", 1), ("a/2", 2), ("b/1", 9)], &[], &["a/1", "b/1", "a/2"]);
        check(&[("a/1", 1), ("b/1", 9)], &["a/0"], &["b/1", "a/1"]);
        check(&[("a/b", 1), ("a/a", 1)], &[], &["a/a", "a/b"]);
    }
}
