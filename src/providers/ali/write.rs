//! From what stands to what should stand, as the fewest calls: pure. A record that carries no mark of ours is marked
//! before anything else is done to it, and only a marked one is ever deleted.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::domain::dns_plan::{Found, Owner, Row, Standing};
use crate::domain::records::{RecordSet, Values};

/// One call, or what belongs to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Puts our mark on a record.
    Mark {
        /// RecordId.
        id: String,
    },
    /// Takes external-dns' marks of this name and type away.
    Release,
    /// Gives a record another value, and the set's TTL.
    Update {
        /// RecordId.
        id: String,
        /// The value.
        value: IpAddr,
    },
    /// Gives a record the set's TTL.
    Retime {
        /// RecordId.
        id: String,
        /// The value that it has.
        value: IpAddr,
    },
    /// Adds a record and marks it.
    Add {
        /// The value.
        value: IpAddr,
    },
    /// Deletes a record.
    Delete {
        /// RecordId.
        id: String,
    },
    /// Makes the weights of the set count.
    Balance,
    /// Gives a record a weight.
    Weigh {
        /// RecordId.
        id: String,
        /// From 1 to 100.
        weight: u8,
    },
}

/// What of others' a change takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adopt {
    /// Nothing.
    No,
    /// Records without our mark.
    Records,
    /// Those, and the marks of external-dns.
    ExternalDns,
}

impl Adopt {
    /// What a change of this set takes over.
    pub fn of(from: Option<&Found>) -> Self {
        match from.map(|from| &from.owner) {
            None | Some(Owner::Ours) => Adopt::No,
            Some(Owner::Foreign(whose)) if whose.starts_with("external-dns") => Adopt::ExternalDns,
            Some(Owner::Unmarked | Owner::Foreign(_)) => Adopt::Records,
        }
    }
}

/// The calls from `from` to `to`, in their order. Each old record that goes takes a new value where there is one, so that
/// a set of one value moves with one call, and no asker finds nothing in between.
pub(super) fn steps(from: Option<&Found>, to: Option<&RecordSet>, adopt: Adopt) -> Vec<Step> {
    let rows: &[Row] = from.map(|from| &*from.rows).unwrap_or_default();
    let Some(to) = to else {
        return rows.iter().filter(|row| row.marked).map(|row| Step::Delete { id: row.id.clone() }).collect();
    };
    let timed = from.is_some_and(|from| from.set.ttl == to.ttl);
    let mut missing: BTreeSet<IpAddr> = BTreeSet::clone(&to.values);
    let (mut stay, mut spare) = (Vec::new(), Vec::new());
    for row in rows {
        if missing.remove(&row.value) {
            stay.push(row);
        } else if row.marked || adopt != Adopt::No {
            spare.push(row);
        }
    }
    let unmarked = stay.iter().chain(&spare).filter(|row| !row.marked);
    let mut steps: Vec<Step> = unmarked.map(|row| Step::Mark { id: row.id.clone() }).collect();
    let release = (adopt == Adopt::ExternalDns).then_some(Step::Release);
    let (first, last) = if rows.is_empty() { (None, release) } else { (release, None) };
    steps.extend(first);
    let retimed = stay.iter().filter(|_| !timed);
    steps.extend(retimed.map(|row| Step::Retime { id: row.id.clone(), value: row.value }));
    let missing: Vec<IpAddr> = missing.into_iter().collect();
    let moved = spare.len().min(missing.len());
    let pairs = spare.iter().zip(&missing);
    steps.extend(pairs.map(|(row, value)| Step::Update { id: row.id.clone(), value: *value }));
    steps.extend(missing[moved..].iter().map(|value| Step::Add { value: *value }));
    steps.extend(spare[moved..].iter().map(|row| Step::Delete { id: row.id.clone() }));
    steps.extend(last);
    steps
}

/// The calls that give `rows`, which say what they should by now, the weights of `to`. Without any, weights that somebody
/// gave them at the provider stay.
pub(super) fn weighing(rows: &[Row], to: &RecordSet) -> Vec<Step> {
    let of_set: Vec<(&Row, u8)> = rows
        .iter()
        .filter(|row| row.marked)
        .filter_map(|row| Some((row, to.weights.of(&row.value)?)))
        .collect();
    // The switch is the set's, so one row that is known to be weighed speaks for all.
    let off = !of_set.is_empty() && !of_set.iter().any(|(row, _)| row.weighed);
    let differ = of_set.into_iter().filter(|(row, weight)| row.weight != *weight);
    let weigh = differ.map(|(row, weight)| Step::Weigh { id: row.id.clone(), weight });
    off.then_some(Step::Balance).into_iter().chain(weigh).collect()
}

/// What `rows` are after a step; `id` is the new record's.
pub(super) fn taken(rows: &mut Vec<Row>, step: &Step, id: Option<String>) {
    let mut row = |wanted: &str, edit: &dyn Fn(&mut Row)| {
        rows.iter_mut().filter(|row| row.id == wanted).for_each(edit);
    };
    match step {
        Step::Mark { id } => row(id, &|row| row.marked = true),
        Step::Update { id, value } => row(id, &|row| row.value = *value),
        Step::Add { value } => {
            // The vendor gives each new record the weight 1.
            let (weight, weighed) = (1, rows.iter().any(|row| row.weighed));
            rows.extend(id.map(|id| Row { id, value: *value, marked: true, weight, weighed }));
        }
        Step::Delete { id } => rows.retain(|row| row.id != *id),
        Step::Balance => rows.iter_mut().for_each(|row| row.weighed = true),
        Step::Weigh { id, weight } => row(id, &|row| row.weight = *weight),
        Step::Release | Step::Retime { .. } => {}
    }
}

/// What stands there when all is done.
pub(super) fn outcome(from: Option<&Found>, rows: Vec<Row>, to: Option<&RecordSet>) -> Option<Found> {
    let ours: BTreeSet<IpAddr> = rows.iter().filter(|row| row.marked).map(|row| row.value).collect();
    let strangers = from.map(|from| from.beside.clone()).unwrap_or_default();
    let unmarked = rows.iter().filter(|row| !row.marked).map(|row| row.value);
    let beside: Values =
        strangers.iter().copied().chain(unmarked).filter(|value| !ours.contains(value)).collect();
    let (set, owner, beside) = match to {
        Some(to) => (to.clone(), Owner::Ours, beside),
        None if beside.is_empty() => return None,
        None => {
            let ttl = from.map_or(0, |from| from.set.ttl);
            (RecordSet::of(beside, ttl), Owner::Unmarked, Values::default())
        }
    };
    Some(Found { set, owner, beside, standing: Standing::Live, rows: rows.into() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn row(id: &str) -> Row {
        let (id, marked) = id.strip_suffix('!').map_or((id, false), |id| (id, true));
        Row { id: id.into(), value: value(id.as_bytes()[0]), marked, weight: 1, weighed: false }
    }

    fn value(letter: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, letter])
    }

    fn set(text: &str) -> RecordSet {
        let (letters, ttl) = text.split_once('/').unwrap();
        RecordSet::of(letters.bytes().map(value).collect(), ttl.parse().unwrap())
    }

    /// Rows are their values, a letter each; `!` behind one says that it is marked.
    fn from(rows: &[&str], ttl: u32, owner: Owner) -> Found {
        let rows: Vec<Row> = rows.iter().map(|id| row(id)).collect();
        let ours = owner == Owner::Ours;
        let of_it = rows.iter().filter(|row| row.marked || !ours).map(|row| row.value);
        let set = RecordSet::of(of_it.collect(), ttl);
        let beside = rows.iter().filter(|row| ours && !row.marked).map(|row| row.value).collect();
        Found { set, owner, beside, standing: Standing::Live, rows: rows.into() }
    }

    fn shown(steps: &[Step]) -> String {
        let letter = |value: &IpAddr| match value {
            IpAddr::V4(value) => char::from(value.octets()[3]),
            IpAddr::V6(_) => '?',
        };
        let step = |step: &Step| match step {
            Step::Mark { id } => format!("mark {id}"),
            Step::Release => "release".into(),
            Step::Update { id, value } => format!("{id}->{}", letter(value)),
            Step::Retime { id, .. } => format!("ttl {id}"),
            Step::Add { value } => format!("add {}", letter(value)),
            Step::Delete { id } => format!("delete {id}"),
            Step::Balance => "balance".into(),
            Step::Weigh { id, weight } => format!("{id}*{weight}"),
        };
        steps.iter().map(step).collect::<Vec<_>>().join(", ")
    }

    /// The steps, and that what is left is what was wished for.
    #[track_caller]
    fn check(before: Option<&Found>, to: Option<&str>, expect: &str) {
        let to = to.map(set);
        let steps = steps(before, to.as_ref(), Adopt::of(before));
        assert_eq!(shown(&steps), expect);
        let mut rows: Vec<Row> = before.map(|found| found.rows.to_vec()).unwrap_or_default();
        for step in &steps {
            if let Step::Delete { id } = step {
                assert!(
                    rows.iter().any(|row| row.id == *id && row.marked),
                    "an unmarked record is never deleted"
                );
            }
            taken(&mut rows, step, Some("new".into()));
        }
        let ours: BTreeSet<IpAddr> = rows.iter().filter(|row| row.marked).map(|row| row.value).collect();
        assert_eq!(ours, to.as_ref().map(|to| BTreeSet::clone(&to.values)).unwrap_or_default());
        let after = outcome(before, rows, to.as_ref());
        assert_eq!(after.as_ref().filter(|after| after.is_ours()).map(|after| &after.set), to.as_ref());
    }

    #[test]
    fn a_change_is_the_fewest_calls() {
        let ours = |rows: &[&str]| from(rows, 60, Owner::Ours);
        check(None, Some("ab/60"), "add a, add b");
        check(Some(&ours(&["a!"])), Some("b/60"), "a->b");
        check(Some(&ours(&["a!", "b!"])), Some("bc/60"), "a->c");
        check(Some(&ours(&["a!"])), Some("abc/60"), "add b, add c");
        check(Some(&ours(&["a!", "b!", "c!"])), Some("d/60"), "a->d, delete b, delete c");
        check(Some(&ours(&["a!", "b!"])), Some("ab/600"), "ttl a, ttl b");
        check(Some(&ours(&["a!", "b!"])), Some("ac/600"), "ttl a, b->c");
        check(Some(&ours(&["a!"])), Some("a/60"), "");
        check(Some(&ours(&["a!", "b!"])), None, "delete a, delete b");
    }

    #[test]
    fn records_of_others_beside_ours_are_left_alone() {
        let mixed = from(&["a!", "x"], 60, Owner::Ours);
        check(Some(&mixed), Some("b/60"), "a->b");
        check(Some(&mixed), None, "delete a");
        let left = outcome(Some(&mixed), vec![row("x")], None).unwrap();
        assert_eq!((left.owner, left.set.values), (Owner::Unmarked, [value(b'x')].into()));
        check(Some(&from(&["x"], 60, Owner::Unmarked)), None, "");
    }

    #[test]
    fn a_half_is_marked_and_nothing_else() {
        check(Some(&from(&["a"], 60, Owner::Unmarked)), Some("a/60"), "mark a");
        check(Some(&from(&["a!", "b"], 60, Owner::Ours)), Some("ab/60"), "mark b");
    }

    #[test]
    fn what_is_taken_over_is_marked_before_anything_else() {
        let external = || Owner::Foreign("external-dns \"prod\"".into());
        check(Some(&from(&["a"], 60, Owner::Unmarked)), Some("b/60"), "mark a, a->b");
        check(
            Some(&from(&["a", "b"], 60, Owner::Foreign("CocoaSyncer \"x\"".into()))),
            Some("b/60"),
            "mark b, mark a, delete a",
        );
        check(Some(&from(&["a"], 60, external())), Some("b/60"), "mark a, release, a->b");
        check(Some(&from(&[], 0, external())), Some("b/60"), "add b, release");
    }

    #[test]
    fn weights_are_switched_on_once_and_given_where_they_differ() {
        /// Rows and wished weights, a letter and a number each; `on` says that weights count.
        #[track_caller]
        fn check(rows: &[(&str, u8)], on: bool, wished: &[(u8, u8)], expect: &str) {
            let weighed = |(id, weight): &(&str, u8)| Row { weight: *weight, weighed: on, ..row(id) };
            let mut rows: Vec<Row> = rows.iter().map(weighed).collect();
            let weights: BTreeMap<IpAddr, u8> = wished.iter().map(|(of, w)| (value(*of), *w)).collect();
            let to = RecordSet { weights: weights.clone().into(), ..set("ab/60") };
            let steps = weighing(&rows, &to);
            assert_eq!(shown(&steps), expect);
            steps.iter().for_each(|step| taken(&mut rows, step, None));
            assert!(weighing(&rows, &to).is_empty(), "done is done");
            let marked = rows.iter().filter(|row| row.marked);
            assert!(weights.is_empty() || marked.clone().all(|row| row.weight == weights[&row.value]));
        }
        let both = &[(b'a', 3), (b'b', 1)];
        check(&[("a!", 1), ("b!", 1)], false, both, "balance, a*3");
        check(&[("a!", 1), ("b!", 1)], true, both, "a*3");
        check(&[("a!", 3), ("b!", 1)], true, both, "");
        check(&[("a!", 3), ("b!", 1)], false, both, "balance");
        check(&[("a!", 1), ("b!", 3)], true, both, "a*3, b*1");
        check(&[("a!", 1), ("b!", 1)], false, &[(b'a', 1), (b'b', 1)], "balance");
        check(&[("a!", 42), ("b!", 7)], true, &[], "");
        check(&[("a!", 1), ("b!", 1), ("x", 9)], true, both, "a*3");
    }

    #[test]
    fn a_new_record_has_the_vendors_weight_and_its_sets_switch() {
        for on in [false, true] {
            let mut rows = vec![Row { weight: 3, weighed: on, ..row("a!") }];
            taken(&mut rows, &Step::Add { value: value(b'b') }, Some("b".into()));
            assert_eq!((rows[1].weight, rows[1].weighed), (1, on));
        }
    }
}
