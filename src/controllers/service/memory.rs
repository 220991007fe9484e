//! What a worker remembers of its zone between two turns. All of it can be lost without harm: it saves calls and
//! quarrels, and decides nothing that the next listing would not.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::controllers::service::sync::Failed;
use crate::domain::dns_plan::{Change, Found, FoundZone, Owner};
use crate::domain::lines::Why;
use crate::domain::names::DnsName;
use crate::domain::records::{RecordKey, RecordSet, Values, Wish};
use crate::domain::retry::{Class, retry_in};

/// A listing that shows what stood before a write of ours is believed only when it is older than this.
const STALE: Duration = Duration::from_secs(30);
/// What only a person can mend is tried again after this long, then ever more rarely: the mending may happen where we
/// can't see it, as with an edition that is bought.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// A line is left to a lost node that goes on writing it. It may have died since, which nothing tells: the line is taken
/// once more after this long, then ever more rarely.
const QUARREL: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(21600));

/// Notes of a zone.
#[derive(Default)]
pub struct Notes {
    /// Writes that no listing has confirmed yet.
    recent: BTreeMap<RecordKey, Write>,
    /// Records that were refused, and when to try again.
    resting: BTreeMap<RecordKey, Resting>,
    /// Lines of lost nodes.
    taken: BTreeMap<RecordKey, Taken>,
    contended: BTreeMap<RecordKey, Quarrel>,
    /// Creations that have begun and don't carry our mark yet.
    pub begun: BTreeMap<RecordKey, Values>,
    open: Open,
}

struct Taken {
    /// What stood there.
    before: Values,
    /// What we put there.
    put: Values,
    /// Whether the line is our node's as well, one of several owners.
    own: bool,
}

struct Write {
    before: Option<Found>,
    after: Option<Found>,
    at: Instant,
}

struct Quarrel {
    until: Instant,
    times: u32,
    /// Whether the line was taken once more since.
    again: bool,
}

impl Quarrel {
    fn after(times: u32) -> Self {
        let left = QUARREL.0.saturating_mul(2u32.saturating_pow(times.min(16))).min(QUARREL.1);
        Self { until: Instant::now() + left, times, again: false }
    }
}

struct Resting {
    to: Option<RecordSet>,
    failed: Failed,
    failures: u32,
    until: Instant,
}

impl Notes {
    /// Notes a change that was made.
    pub fn made(&mut self, change: &Change, after: Option<&Found>, wish: &Wish) {
        self.resting.remove(&change.key);
        if after.is_some_and(Found::is_ours) {
            self.begun.remove(&change.key);
        }
        let before = change.from.clone();
        let wanted = wish.wanted.get(&change.key);
        let own = wanted.is_some_and(|wanted| wanted.why == Why::Own);
        // Once it is done the status no longer tells that the line was somebody else's: taking it again is known by this.
        let again = |taken: &Taken| after.is_some_and(|after| after.set.values == taken.put);
        let again = self.taken.get(&change.key).is_some_and(again);
        let stands_in = wanted.is_some_and(|wanted| !own || wanted.succeeds || again);
        match (&before, after) {
            (Some(before), Some(after)) if stands_in && before.set.values != after.set.values => {
                let (before, put) = (before.set.values.clone(), after.set.values.clone());
                self.taken.insert(change.key.clone(), Taken { before, put, own });
                self.contended.entry(change.key.clone()).and_modify(|quarrel| quarrel.again = true);
            }
            _ => drop(self.taken.remove(&change.key)),
        }
        let write = Write { before, after: after.cloned(), at: Instant::now() };
        self.recent.insert(change.key.clone(), write);
    }

    /// Notes a change that was refused. The same change rests; another one of the same record does not.
    pub fn refused(&mut self, change: &Change, failed: Failed) {
        let before = self.resting.get(&change.key).filter(|resting| resting.to == change.to);
        let failures = before.map_or(0, |resting| resting.failures);
        let until = Instant::now() + wait(failed.class, failures);
        let resting = Resting { to: change.to.clone(), failed, failures: failures.saturating_add(1), until };
        self.resting.insert(change.key.clone(), resting);
    }

    /// Why this change is not tried now, if it rests.
    pub fn rests(&self, change: &Change) -> Option<&Failed> {
        let resting = self.resting.get(&change.key)?;
        (resting.to == change.to && Instant::now() < resting.until).then_some(&resting.failed)
    }

    /// When the first of those that rest may be tried again; of those that still rest `after` a moment, where one is given.
    pub fn next_try(&self, after: Option<Instant>) -> Option<Instant> {
        let all = self.resting.values().map(|resting| resting.until);
        all.filter(|until| after.is_none_or(|after| after < *until)).min()
    }

    /// Those that rest and are `meant` may be tried again: somebody has mended something.
    pub fn wake(&mut self, meant: impl Fn(&DnsName) -> bool) {
        self.resting.retain(|key, _| !meant(&key.name));
    }

    /// Forgets who rests among records that `wish` and `found` no longer set against each other.
    pub fn keep_resting(&mut self, planned: &[Change]) {
        let planned: BTreeMap<&RecordKey, &Change> =
            planned.iter().map(|change| (&change.key, change)).collect();
        self.resting.retain(|key, resting| planned.get(key).is_some_and(|change| change.to == resting.to));
    }

    /// Puts our own writes into a listing that doesn't show them yet. One that shows neither what stood before nor what
    /// we wrote tells of somebody else's change, and is believed.
    pub fn amend(&mut self, found: &mut FoundZone) {
        fn says(found: &Found) -> (&RecordSet, &Owner) {
            (&found.set, &found.owner)
        }
        self.recent.retain(|key, write| {
            let shown = found.get(key).map(says);
            let is_stale = shown == write.before.as_ref().map(says) && write.at.elapsed() < STALE;
            if !is_stale || shown == write.after.as_ref().map(says) {
                return false;
            }
            match &write.after {
                Some(after) => drop(found.insert(key.clone(), after.clone())),
                None => drop(found.remove(key)),
            }
            true
        });
    }

    /// Adds to a wish what only this worker knows: which lost nodes go on writing their records, and which records it
    /// has to hand back, for who is back would not look for a while.
    pub fn look_round(&mut self, wish: &mut Wish, found: &FoundZone) {
        self.taken.retain(|key, Taken { before, put, own }| {
            let Some(standing) = found.get(key).filter(|found| found.is_ours()) else { return false };
            let stands_in = match wish.wanted.get(key) {
                Some(wanted) if *own || wanted.why != Why::Own => wanted.set.values == *put,
                Some(_) => false,
                // What its own node wrote again is back in its hands.
                None => wish.others.contains_key(key) && standing.set.values == *put,
            };
            let quarrel = standing.set.values == *before;
            stands_in && (standing.set.values == *put || quarrel)
        });
        for (key, Taken { before, put, .. }) in &self.taken {
            let values = found.get(key).map(|found| &found.set.values);
            if values == Some(before) && wish.wanted.contains_key(key) {
                let quarrel = self.contended.entry(key.clone()).or_insert_with(|| Quarrel::after(0));
                if quarrel.again {
                    *quarrel = Quarrel::after(quarrel.times.saturating_add(1));
                }
            }
            if values == Some(put)
                && let Some(back) = wish.others.remove(key)
            {
                wish.wanted.insert(key.clone(), back);
            }
        }
        self.contended.retain(|key, _| self.taken.contains_key(key) && wish.wanted.contains_key(key));
        let now = Instant::now();
        let left = self.contended.iter().filter(|(_, quarrel)| now < quarrel.until);
        wish.contended = left.map(|(key, _)| key.clone()).collect();
    }
}

impl Notes {
    /// How long to wait, where `wait` would do: not for the next look, where the API server took not all that is to be
    /// written there, but has yet to take that of so many services. As long as they get fewer it is soon tried again.
    pub fn unless_open(&mut self, services: usize, wait: Duration) -> Duration {
        if services == 0 {
            self.open = Open::default();
            return wait;
        }
        let Open { services: before, turns } = self.open;
        let turns = if services < before { 1 } else { turns.saturating_add(1) };
        self.open = Open { services, turns };
        wait.min(turn_wait(Class::Transient, turns))
    }
}

/// The services of which the API server has yet to take a status or a finalizer.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    services: usize,
    /// Turns in a row in which they got no fewer.
    turns: u32,
}

fn wait(class: Class, failures: u32) -> Duration {
    retry_in(class, failures, 1.0)
        .unwrap_or_else(|| PATIENCE.0.saturating_mul(2u32.saturating_pow(failures.min(16))).min(PATIENCE.1))
}

/// How long to wait after the `failures`-th turn in a row in which the zone as a whole could not be worked on.
pub fn turn_wait(class: Class, failures: u32) -> Duration {
    wait(class, failures.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::vocab::{Family, Line};
    use crate::domain::names::ObjectId;
    use crate::domain::records::{Cause, Wanted};
    use crate::providers::Kind;

    fn key(name: &str) -> RecordKey {
        let name = DnsName::parse(&format!("{name}.example.com"), "").unwrap();
        RecordKey { name, line: Line::CT, family: Family::V4 }
    }

    fn set(last: u8) -> RecordSet {
        RecordSet::of([std::net::IpAddr::from([203, 0, 113, last])].into(), 60)
    }

    fn change(name: &str, from: Option<u8>, to: Option<u8>) -> Change {
        Change {
            key: key(name),
            from: from.map(|last| Found::ours(set(last))),
            to: to.map(set),
            service: ObjectId { namespace: "default".into(), name: name.into() },
            cause: Cause::Loss,
        }
    }

    fn wish(name: &str, last: u8, why: Why) -> Wish {
        let service = ObjectId { namespace: "default".into(), name: name.into() }.into();
        let (node, put) = ("n1".to_owned(), Default::default());
        let (cause, sharers) = (Cause::Loss, Default::default());
        let wanted = Wanted { set: set(last), node, why, sharers, service, succeeds: false, cause, put };
        Wish { wanted: [(key(name), wanted)].into(), ..Wish::default() }
    }

    fn failed(class: Class) -> Failed {
        Failed { what: "no".into(), class, kind: Kind::Other }
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_older_than_our_write_is_amended_until_it_catches_up() {
        let mut notes = Notes::default();
        let old: FoundZone = [(key("a"), Found::ours(set(1)))].into();
        let made = change("a", Some(1), Some(2));
        notes.made(&made, Some(&Found::ours(set(2))), &Wish::default());
        let amended = |notes: &mut Notes, shown: &FoundZone| {
            let mut found = shown.clone();
            notes.amend(&mut found);
            found.get(&key("a")).map(|found| found.set.clone())
        };
        assert_eq!(amended(&mut notes, &old), Some(set(2)), "the listing is stale");
        assert_eq!(amended(&mut notes, &old), Some(set(2)), "and may be so again");
        let third: FoundZone = [(key("a"), Found::ours(set(9)))].into();
        assert_eq!(
            amended(&mut notes, &third),
            Some(set(9)),
            "neither before nor after: somebody else's doing"
        );
        assert_eq!(amended(&mut notes, &old), Some(set(1)), "what was confirmed is not amended again");
        notes.made(&change("a", None, Some(2)), Some(&Found::ours(set(2))), &Wish::default());
        assert_eq!(amended(&mut notes, &FoundZone::new()), Some(set(2)), "a creation that isn't shown yet");
        notes.made(&change("a", Some(2), None), None, &Wish::default());
        let still: FoundZone = [(key("a"), Found::ours(set(2)))].into();
        assert_eq!(amended(&mut notes, &still), None, "a deletion that isn't shown yet");
        tokio::time::advance(STALE).await;
        assert_eq!(amended(&mut notes, &still), Some(set(2)), "in the end the listing is believed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_that_does_not_show_our_mark_yet_is_amended() {
        let mut notes = Notes::default();
        let unmarked = Found::of(set(1), Owner::Unmarked);
        let marked = Change { from: Some(unmarked.clone()), ..change("a", None, Some(1)) };
        notes.made(&marked, Some(&Found::ours(set(1))), &Wish::default());
        let mut found: FoundZone = [(key("a"), unmarked)].into();
        notes.amend(&mut found);
        assert!(found[&key("a")].is_ours());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_change_rests_ever_longer_and_another_of_the_record_does_not() {
        let mut notes = Notes::default();
        let bad = change("a", None, Some(1));
        for expect in [60, 120, 240] {
            notes.refused(&bad, failed(Class::User));
            let rest = notes.next_try(None).unwrap() - Instant::now();
            assert_eq!(rest.as_secs(), expect);
            assert!(notes.rests(&bad).is_some());
            assert!(notes.rests(&change("a", None, Some(2))).is_none());
            assert!(notes.rests(&change("b", None, Some(1))).is_none());
            tokio::time::advance(rest).await;
            assert!(notes.rests(&bad).is_none());
            assert!(notes.next_try(None).is_some() && notes.next_try(Some(Instant::now())).is_none());
        }
        notes.refused(&bad, failed(Class::User));
        notes.wake(|_| true);
        assert!(notes.rests(&bad).is_none(), "other keys");
        notes.refused(&bad, failed(Class::Transient));
        notes.keep_resting(&[]);
        assert_eq!(notes.next_try(None), None, "nobody wishes for it any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_node_that_writes_on_is_left_its_line() {
        let mut notes = Notes::default();
        let taken = wish("a", 2, Why::TakenOver);
        notes.made(&change("a", Some(1), Some(2)), Some(&Found::ours(set(2))), &taken);
        let standing = |last: u8| -> FoundZone { [(key("a"), Found::ours(set(last)))].into() };
        let mut contended = |wish: &Wish, standing: &FoundZone| {
            let mut wish = wish.clone();
            notes.look_round(&mut wish, standing);
            wish.contended.contains(&key("a"))
        };
        assert!(!contended(&taken, &standing(2)));
        assert!(contended(&taken, &standing(1)));
        assert!(contended(&taken, &standing(2)), "and it stays so while it is lost");
        assert!(!contended(&wish("a", 1, Why::Own), &standing(1)), "until it is back");
        assert!(!contended(&taken, &standing(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn so_is_a_lost_owner_its_share_by_another_owner() {
        let standing = |last: u8| -> FoundZone { [(key("a"), Found::ours(set(last)))].into() };
        for (succeeds, contended) in [(true, true), (false, false)] {
            let mut notes = Notes::default();
            let mut taken = wish("a", 2, Why::Own);
            taken.wanted.values_mut().for_each(|wanted| wanted.succeeds = succeeds);
            notes.made(&change("a", Some(1), Some(2)), Some(&Found::ours(set(2))), &taken);
            // By now the status says that we answer.
            let mut later = wish("a", 2, Why::Own);
            notes.look_round(&mut later, &standing(1));
            assert_eq!(
                later.contended.contains(&key("a")),
                contended,
                "else it is put right as anybody's change"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_left_to_a_lost_node_is_tried_again_ever_more_rarely() {
        let mut notes = Notes::default();
        let taken = wish("a", 2, Why::TakenOver);
        let take = |notes: &mut Notes| {
            notes.made(&change("a", Some(1), Some(2)), Some(&Found::ours(set(2))), &taken);
        };
        let contended = |notes: &mut Notes, last: u8| {
            let mut wish = taken.clone();
            notes.look_round(&mut wish, &[(key("a"), Found::ours(set(last)))].into());
            !wish.contended.is_empty()
        };
        take(&mut notes);
        for left in [600, 1200, 2400] {
            assert!(contended(&mut notes, 1), "it was written back");
            tokio::time::advance(Duration::from_secs(left - 1)).await;
            assert!(contended(&mut notes, 1));
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!contended(&mut notes, 1), "after {left} s");
            take(&mut notes);
            assert!(!contended(&mut notes, 2), "and if nobody writes it back it is ours");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_handed_back_by_who_took_it() {
        let mut notes = Notes::default();
        let taken = wish("a", 2, Why::TakenOver);
        notes.made(&change("a", Some(1), Some(2)), Some(&Found::ours(set(2))), &taken);
        let standing: FoundZone = [(key("a"), Found::ours(set(2)))].into();
        let mut back = Wish { others: wish("a", 1, Why::Own).wanted, ..Wish::default() };
        notes.look_round(&mut back, &standing);
        assert!(back.wanted.contains_key(&key("a")) && back.others.is_empty());
        notes.made(&change("a", Some(2), Some(1)), Some(&Found::ours(set(1))), &back);
        let mut after = Wish { others: wish("a", 1, Why::Own).wanted, ..Wish::default() };
        notes.look_round(&mut after, &[(key("a"), Found::ours(set(1)))].into());
        assert!(after.wanted.is_empty(), "and then it is the other's again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_its_own_node_has_written_again_is_left_to_it() {
        let mut notes = Notes::default();
        let taken = wish("a", 2, Why::TakenOver);
        notes.made(&change("a", Some(1), Some(2)), Some(&Found::ours(set(2))), &taken);
        let standing: FoundZone = [(key("a"), Found::ours(set(1)))].into();
        notes.look_round(&mut taken.clone(), &standing);
        let mut back = Wish { others: wish("a", 1, Why::Own).wanted, ..Wish::default() };
        back.names.insert(key("a").name, ObjectId { namespace: "default".into(), name: "a".into() });
        notes.look_round(&mut back, &standing);
        let plan = crate::domain::dns_plan::plan(&back, &standing);
        assert!(plan.changes.is_empty() && plan.held.is_empty(), "{plan:?}");
    }

    #[test]
    fn what_the_api_server_takes_bit_by_bit_is_not_put_off() {
        let mut notes = Notes::default();
        let waits =
            [5, 5, 5, 2, 2, 0, 1].map(|open| notes.unless_open(open, Duration::from_secs(60)).as_secs());
        assert_eq!(waits, [1, 2, 4, 1, 2, 60, 1]);
    }
}
