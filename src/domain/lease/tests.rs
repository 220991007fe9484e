//! The election by examples, and its law over generated worlds: delayed and lost messages, pauses, restarts, clocks that
//! run at different speeds.

use proptest::prelude::*;

use super::*;

const LEASE: Timing = Timing::of(Duration::from_secs(12));

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn record(holder: &str, version: &str) -> Option<Record> {
    let holder = (!holder.is_empty()).then(|| holder.to_owned());
    Some(Record { holder, lasts: Some(LEASE.lease()), transitions: 3, version: version.to_owned() })
}

fn bid(election: &Election, now: Duration) -> Bid {
    match election.next(now) {
        Step::Write(bid) => bid,
        other => panic!("{other:?}"),
    }
}

/// One that has taken a lease nobody held, at 1 s.
fn active() -> Election {
    let mut election = Election::new("a", LEASE);
    assert_eq!(election.next(at(1000)), Step::Read);
    election.read(at(1000), at(1000), None);
    let first = bid(&election, at(1000));
    assert_eq!((first.from.as_deref(), first.transitions), (None, 0));
    election.won(&first, at(1100), record("a", "1").unwrap());
    election
}

#[test]
fn a_free_lease_is_taken_and_renewed_and_the_term_counts_from_the_sending() {
    let mut election = active();
    assert_eq!(election.term(at(10_999)), Some(Term { number: 1, until: at(11_000) }));
    assert_eq!(election.term(at(11_000)), None);
    assert_eq!(election.next(at(1200)), Step::Wait(at(9000)));
    let renewal = bid(&election, at(9000));
    assert!(!renewal.changes_hands);
    election.won(&renewal, at(10_900), record("a", "2").unwrap());
    assert_eq!(election.term(at(18_999)), Some(Term { number: 1, until: at(19_000) }));
}

#[test]
fn a_term_that_ran_out_is_followed_by_another_one() {
    let mut election = active();
    let late = bid(&election, at(9000));
    election.failed(at(10_500), Failure::Unknown);
    assert_eq!(election.next(at(10_500)), Step::Wait(at(11_000)));
    assert_eq!(election.next(at(11_000)), Step::Read, "whether it was carried out is not known");
    election.read(at(11_000), at(11_001), record("a", "2"));
    let again = bid(&election, at(11_001));
    assert_eq!(again.from.as_deref(), Some("2"));
    election.won(&again, at(11_002), record("a", "3").unwrap());
    assert_eq!(election.term(at(11_002)).map(|term| term.number), Some(2));
    // An answer that comes after what it gives has passed gives nothing.
    election.won(&late, at(20_000), record("a", "2").unwrap());
    assert_eq!(election.term(at(20_000)), None);
}

#[test]
fn another_ones_lease_is_waited_for_from_the_moment_it_was_seen_and_looked_at_once_more() {
    let mut election = Election::new("b", LEASE);
    election.read(at(0), at(100), record("a", "7"));
    assert_eq!(election.next(at(100)), Step::Wait(at(12_100)));
    election.heard(at(3000), record("a", "8"));
    election.heard(at(5000), record("a", "8"));
    assert_eq!(election.next(at(5000)), Step::Wait(at(15_000)));
    assert_eq!(election.next(at(15_000)), Step::Read);
    election.read(at(15_000), at(15_010), record("a", "8"));
    let bid = bid(&election, at(15_010));
    assert_eq!((bid.from.as_deref(), bid.transitions, bid.changes_hands), (Some("8"), 4, true));
    election.failed(at(15_020), Failure::Conflict);
    assert_eq!(election.next(at(15_020)), Step::Read);
}

#[test]
fn a_released_lease_is_taken_at_once_and_a_deleted_one_is_not() {
    let mut election = Election::new("b", LEASE);
    election.read(at(0), at(0), record("a", "7"));
    election.heard(at(1000), None);
    assert_eq!(election.next(at(1000)), Step::Wait(at(12_000)));
    election.heard(at(2000), record("", "9"));
    assert_eq!(bid(&election, at(2000)).from.as_deref(), Some("9"));
}

#[test]
fn ones_own_lease_from_before_a_restart_is_taken_at_once() {
    let mut election = Election::new("a", LEASE);
    election.read(at(0), at(0), record("a", "7"));
    let bid = bid(&election, at(0));
    assert!(!bid.changes_hands);
    assert_eq!(bid.transitions, 3);
}

#[test]
fn a_release_ends_the_term_first_and_tells_only_what_is_ours() {
    let mut election = active();
    let bid = election.release(at(2000)).unwrap();
    assert_eq!((bid.holder.as_deref(), bid.from.as_deref()), (None, Some("1")));
    assert_eq!(election.term(at(2000)), None);
    let mut late = active();
    let renewal = super::tests::bid(&late, at(9000));
    late.release(at(9100));
    late.won(&renewal, at(9200), record("a", "2").unwrap());
    assert_eq!(late.term(at(9200)), None, "an answer from before brings it back");
    let mut other = Election::new("b", LEASE);
    assert_eq!(other.release(at(0)), None);
    other.read(at(0), at(0), record("a", "1"));
    assert_eq!(other.release(at(0)), None);
}

#[test]
fn whoever_finds_another_holder_stops_at_once_but_not_for_old_news() {
    let mut election = active();
    election.heard(at(1500), record("z", "0"));
    assert!(election.term(at(1500)).is_some(), "the news may be older than the term");
    assert_eq!(election.next(at(1500)), Step::Read);
    election.read(at(1500), at(1600), record("z", "9"));
    assert_eq!(election.term(at(1600)), None);
}

/// Small and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

enum Call {
    Read,
    Write(Bid),
}

/// A message on its way: it reaches the store, and its answer the replica, or not.
struct Flight {
    call: Call,
    reaches: u64,
    answers: Option<u64>,
    done: Option<Result<Option<Record>, Failure>>,
    from: (usize, u64),
    asked: Duration,
    given_up: u64,
}

struct Replica {
    election: Election,
    life: u64,
    paused: u64,
    busy: bool,
    /// Its clock: an offset, and a speed in per cent.
    clock: (u64, u64),
}

impl Replica {
    fn now(&self, time: u64) -> Duration {
        at(self.clock.0 + time * self.clock.1 / 100)
    }
}

#[derive(Default)]
struct Store {
    version: u64,
    record: Option<Record>,
}

impl Store {
    fn take(&mut self, call: &Call) -> Result<Option<Record>, Failure> {
        let Call::Write(bid) = call else { return Ok(self.record.clone()) };
        if bid.from != self.record.as_ref().map(|record| record.version.clone()) {
            return Err(Failure::Conflict);
        }
        self.version += 1;
        self.record = Some(Record {
            holder: bid.holder.clone(),
            lasts: Some(LEASE.lease()),
            transitions: bid.transitions,
            version: self.version.to_string(),
        });
        Ok(self.record.clone())
    }
}

struct World {
    dice: Dice,
    store: Store,
    replicas: Vec<Replica>,
    flights: Vec<Flight>,
    /// In per cent of the messages.
    trouble: u64,
}

const TICK: u64 = 50;

impl World {
    fn new(seed: u64, trouble: u64) -> Self {
        let mut dice = Dice(seed | 1);
        let replica = |index: usize| Replica {
            election: Election::new(format!("{index}-0"), LEASE),
            life: 0,
            paused: 0,
            busy: false,
            clock: (dice.roll(1_000_000), 92 + dice.roll(17)),
        };
        let replicas = (0..3).map(replica).collect();
        Self { dice, store: Store::default(), replicas, flights: Vec::new(), trouble }
    }

    fn tick(&mut self, time: u64) {
        for flight in self.flights.iter_mut().filter(|flight| flight.reaches <= time && flight.done.is_none())
        {
            flight.done = Some(self.store.take(&flight.call));
        }
        for index in 0..self.replicas.len() {
            self.mishap(index, time);
            if self.replicas[index].paused <= time {
                self.answers(index, time);
                self.act(index, time);
            }
        }
        let lives: Vec<u64> = self.replicas.iter().map(|replica| replica.life).collect();
        let awaited = |flight: &Flight| flight.given_up != 0 && lives[flight.from.0] == flight.from.1;
        self.flights.retain(|flight| flight.done.is_none() || awaited(flight));
    }

    fn mishap(&mut self, index: usize, time: u64) {
        if self.dice.roll(20_000) < self.trouble {
            self.replicas[index].paused = time + self.dice.roll(15_000);
        }
        let replica = &mut self.replicas[index];
        if self.dice.roll(40_000) < self.trouble {
            replica.life += 1;
            replica.election = Election::new(format!("{index}-{}", replica.life), LEASE);
            replica.busy = false;
        }
        let now = replica.now(time);
        if self.dice.roll(40_000) < self.trouble
            && let Some(bid) = replica.election.release(now)
        {
            self.send(index, time, Call::Write(bid));
        }
        if self.dice.roll(10) == 0 {
            self.replicas[index].election.heard(now, self.store.record.clone());
        }
    }

    fn send(&mut self, index: usize, time: u64, call: Call) {
        let slow = self.dice.roll(100) < self.trouble;
        let reaches = time + self.dice.roll(if slow { 20_000 } else { 80 });
        let lost = self.dice.roll(100) < self.trouble;
        let answers = (!lost).then(|| reaches + self.dice.roll(if slow { 8000 } else { 80 }));
        let replica = &mut self.replicas[index];
        replica.busy = true;
        self.flights.push(Flight {
            call,
            reaches,
            answers,
            done: None,
            from: (index, replica.life),
            asked: replica.now(time),
            given_up: time + 1500,
        });
    }

    fn answers(&mut self, index: usize, time: u64) {
        let replica = &mut self.replicas[index];
        let mine = |flight: &Flight| flight.from == (index, replica.life) && flight.given_up != 0;
        let Some(flight) = self.flights.iter_mut().find(|flight| mine(flight)) else { return };
        let now = replica.now(time);
        let answered = flight.answers.is_some_and(|answers| answers <= time) && flight.done.is_some();
        if !answered && time < flight.given_up {
            return;
        }
        match (answered.then(|| flight.done.clone()).flatten(), &flight.call) {
            (None, _) => replica.election.failed(now, Failure::Unknown),
            (Some(Err(failure)), _) => replica.election.failed(now, failure),
            (Some(Ok(record)), Call::Read) => replica.election.read(flight.asked, now, record),
            (Some(Ok(record)), Call::Write(bid)) => replica.election.won(bid, now, record.unwrap()),
        }
        // It may reach the store all the same.
        flight.given_up = 0;
        replica.busy = false;
    }

    fn act(&mut self, index: usize, time: u64) {
        let replica = &self.replicas[index];
        if replica.busy {
            return;
        }
        match replica.election.next(replica.now(time)) {
            Step::Wait(_) => {}
            Step::Read => self.send(index, time, Call::Read),
            Step::Write(bid) => self.send(index, time, Call::Write(bid)),
        }
    }

    fn active(&self, time: u64) -> usize {
        let holds = |replica: &&Replica| replica.election.term(replica.now(time)).is_some();
        self.replicas.iter().filter(holds).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_two_replicas_hold_a_term_at_one_time_and_one_does_when_trouble_ends(
        seed in any::<u64>(), trouble in 0u64..60,
    ) {
        let mut world = World::new(seed, trouble);
        let mut time = 0;
        while time < 180_000 {
            world.tick(time);
            prop_assert!(world.active(time) <= 1, "at {time} ms");
            time += TICK;
        }
        world.trouble = 0;
        // What is still on its way, and one whole lease.
        while time < 225_000 {
            world.tick(time);
            prop_assert!(world.active(time) <= 1, "at {time} ms");
            time += TICK;
        }
        prop_assert_eq!(world.active(time - TICK), 1);
    }
}
