//! What a worker remembers of its zone between two turns. All of it can be lost without harm: it saves calls and
//! quarrels, and decides nothing that the next listing would not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::controllers::service::sync::Failed;
use crate::domain::dns_plan::{Change, Found, FoundZone};
use crate::domain::lines::Why;
use crate::domain::names::DnsName;
use crate::domain::records::{RecordKey, RecordSet, Values, Wish};
use crate::domain::retry::{Class, retry_in};

/// A listing that shows what stood before a write of ours is believed only when it is older than this.
const STALE: Duration = Duration::from_secs(30);
/// What only a person can mend is tried again after this long, then ever more rarely: the mending may happen where we
/// can't see it, as with an edition that is bought.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// Notes of a zone.
#[derive(Default)]
pub struct Notes {
    /// Writes that no listing has confirmed yet.
    recent: BTreeMap<RecordKey, Write>,
    /// Records that were refused, and when to try again.
    resting: BTreeMap<RecordKey, Resting>,
    /// Lines of lost nodes.
    taken: BTreeMap<RecordKey, Taken>,
    contended: BTreeSet<RecordKey>,
    /// Creations that have begun and don't carry our mark yet.
    pub begun: BTreeMap<RecordKey, Values>,
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
    before: Option<RecordSet>,
    after: Option<Found>,
    at: Instant,
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
        let before = change.from.as_ref().map(|from| from.set.clone());
        let wanted = wish.wanted.get(&change.key);
        let own = wanted.is_some_and(|wanted| wanted.why == Why::Own);
        let stands_in = wanted.is_some_and(|wanted| !own || wanted.succeeds);
        match (&before, after) {
            (Some(before), Some(after)) if stands_in && before.values != after.set.values => {
                let taken = Taken { before: before.values.clone(), put: after.set.values.clone(), own };
                self.taken.insert(change.key.clone(), taken);
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

    /// When the first of those that rest may be tried again.
    pub fn next_try(&self) -> Option<Instant> {
        self.resting.values().map(|resting| resting.until).min()
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
        self.recent.retain(|key, write| {
            let shown = found.get(key).map(|found| &found.set);
            let is_stale = shown == write.before.as_ref() && write.at.elapsed() < STALE;
            if !is_stale || shown == write.after.as_ref().map(|after| &after.set) {
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
                None => wish.others.contains_key(key),
            };
            let quarrel = standing.set.values == *before;
            stands_in && (standing.set.values == *put || quarrel)
        });
        for (key, Taken { before, put, .. }) in &self.taken {
            let values = found.get(key).map(|found| &found.set.values);
            if values == Some(before) && wish.wanted.contains_key(key) {
                self.contended.insert(key.clone());
            }
            let back = wish.others.remove(key).filter(|_| values == Some(put));
            wish.wanted.extend(back.map(|wanted| (key.clone(), wanted)));
        }
        self.contended.retain(|key| self.taken.contains_key(key) && wish.wanted.contains_key(key));
        wish.contended.clone_from(&self.contended);
    }
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
    async fn a_refused_change_rests_ever_longer_and_another_of_the_record_does_not() {
        let mut notes = Notes::default();
        let bad = change("a", None, Some(1));
        for expect in [60, 120, 240] {
            notes.refused(&bad, failed(Class::User));
            let rest = notes.next_try().unwrap() - Instant::now();
            assert_eq!(rest.as_secs(), expect);
            assert!(notes.rests(&bad).is_some());
            assert!(notes.rests(&change("a", None, Some(2))).is_none());
            assert!(notes.rests(&change("b", None, Some(1))).is_none());
            tokio::time::advance(rest).await;
            assert!(notes.rests(&bad).is_none());
        }
        notes.refused(&bad, failed(Class::User));
        notes.wake(|_| true);
        assert!(notes.rests(&bad).is_none(), "other keys");
        notes.refused(&bad, failed(Class::Transient));
        notes.keep_resting(&[]);
        assert_eq!(notes.next_try(), None, "nobody wishes for it any more");
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
}
