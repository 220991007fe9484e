//! Which of several replicas may write. They share one lease in a store that takes a change only of the version it was
//! made from, and nothing else: no clock is compared with another one's. It must not read a clock itself: `now` is the
//! time since some moment of this process's own, by a clock that never jumps.
//!
//! Why no two hold a term at one time: a holder's term is counted from the moment at which it *sent* the change that
//! was taken, and ends before the lease does. Another replica counts the whole lease from the moment at which it *saw*
//! the last change, which is later, and its own change is refused if there was a newer one that it has not seen.

use std::time::Duration;

/// The lease as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; none: it was released.
    pub holder: Option<String>,
    /// How long its holder may be silent; none: not told.
    pub lasts: Option<Duration>,
    /// How often the holder changed.
    pub transitions: u32,
    /// Which version of the object this is: any change of it makes another one.
    pub version: String,
}

/// However long a lease lasts, what failed is tried again after this long.
const MOST_PATIENT: Duration = Duration::from_secs(2);

/// How long things take; all follow from how long the lease lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing(Duration);

impl Timing {
    /// Of a lease that lasts so long.
    pub const fn of(lease: Duration) -> Self {
        Self(lease)
    }

    /// How long the lease lasts without a change of it: others may take it over then.
    pub fn lease(self) -> Duration {
        self.0
    }

    /// How long a holder may write after it sent its last change: five sixths. The sixth between is for clocks that run
    /// at different speeds and for writes that are still on their way.
    pub fn term(self) -> Duration {
        self.0 * 5 / 6
    }

    /// How often the holder renews: after two thirds, so that a renewal may fail and be tried again. More often would
    /// cost more calls than everything else together ([`crate::domain::budget`]).
    pub fn renew(self) -> Duration {
        self.0 * 2 / 3
    }

    /// How soon what failed is tried again.
    pub fn retry(self) -> Duration {
        (self.0 / 24).min(MOST_PATIENT)
    }
}

/// The time in which one replica may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Counts the terms of this process, from 1. A term that is renewed in time stays the same.
    pub number: u64,
    /// When it is over, unless it is renewed.
    pub until: Duration,
}

impl Term {
    /// Whether it still lasts.
    pub fn lasts(&self, now: Duration) -> bool {
        now < self.until
    }
}

/// A change of the lease to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bid {
    /// The version that it is made from; none: the lease is created.
    pub from: Option<String>,
    /// Who holds it then; none: it is released.
    pub holder: Option<String>,
    /// How often the holder will have changed.
    pub transitions: u32,
    /// Whether the holder changes.
    pub changes_hands: bool,
    sent: Duration,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing before this moment, unless something is heard.
    Wait(Duration),
    /// Read the lease and tell with [`Election::read`].
    Read,
    /// Try this change and tell with [`Election::won`] or [`Election::failed`].
    Write(Bid),
}

/// What was last seen in the store.
#[derive(Debug, Clone)]
struct Seen {
    record: Option<Record>,
    /// When it was last seen so.
    at: Duration,
}

/// One replica's part in the election.
#[derive(Debug, Clone)]
pub struct Election {
    me: String,
    timing: Timing,
    /// None: it must be read before anything is changed.
    seen: Option<Seen>,
    /// The version last known of another holder's lease, and until when that one may write by it.
    theirs: Option<(String, Duration)>,
    term: Option<Term>,
    terms: u64,
    /// When this replica last sent a change that was taken.
    sent: Duration,
    /// When this replica last gave the lease back.
    released: Option<Duration>,
    retry: Duration,
}

impl Election {
    /// A replica that has seen nothing. No other one may call itself `me`, now or later, but one that follows it when
    /// it has certainly ended.
    pub fn new(me: impl Into<String>, timing: Timing) -> Self {
        let zero = Duration::ZERO;
        let (seen, theirs, term) = (None, None, None);
        Self { me: me.into(), timing, seen, theirs, term, terms: 0, sent: zero, released: None, retry: zero }
    }

    /// The term, while it lasts.
    pub fn term(&self, now: Duration) -> Option<Term> {
        self.term.filter(|term| term.lasts(now))
    }

    /// How many terms this replica has had.
    pub fn terms(&self) -> u64 {
        self.terms
    }

    /// Who holds the lease, as last seen.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.record.as_ref()?.holder.as_deref()
    }

    /// What to do now.
    pub fn next(&self, now: Duration) -> Step {
        if now < self.retry {
            return Step::Wait(self.retry);
        }
        let Some(seen) = &self.seen else { return Step::Read };
        let mine = self.holder() == Some(self.me.as_str());
        if mine && self.term(now).is_some() {
            let due = self.sent + self.timing.renew();
            return if now < due { Step::Wait(due) } else { Step::Write(self.bid(now)) };
        }
        match &self.theirs {
            Some((_, until)) if now < *until => Step::Wait(*until),
            // A watch may have been silent for long: what is taken over is looked at once more.
            Some((_, until)) if seen.at < *until => Step::Read,
            _ => Step::Write(self.bid(now)),
        }
    }

    /// A watch told how the lease stands, or stood a moment ago.
    pub fn heard(&mut self, now: Duration, record: Option<Record>) {
        if self.term(now).is_none() {
            return self.read(now, now, record);
        }
        let mine = record.as_ref().and_then(|record| record.holder.as_ref()) == Some(&self.me);
        if !mine {
            // It may tell of what was before this term: looking ends no term, believing would.
            self.seen = None;
        }
    }

    /// The lease was read; `asked` is when the question was sent.
    pub fn read(&mut self, asked: Duration, now: Duration, record: Option<Record>) {
        match record.as_ref().and_then(|record| Some((record, record.holder.as_deref()?))) {
            Some((_, holder)) if holder == self.me => self.theirs = None,
            Some((record, _)) => {
                // Somebody else holds it: whatever this replica believed is over.
                self.term = None;
                let lasts = record.lasts.unwrap_or(self.timing.lease());
                if self.theirs.as_ref().is_none_or(|(version, _)| *version != record.version) {
                    self.theirs = Some((record.version.clone(), now + lasts));
                }
            }
            None if record.is_some() => {
                // Released, by its holder: that one had stopped before.
                self.term = None;
                self.theirs = None;
            }
            // A lease that somebody deleted may have a holder that has not heard of it.
            None => {}
        }
        self.seen = Some(Seen { record, at: asked });
    }

    /// The change was taken, and the lease now stands so.
    pub fn won(&mut self, bid: &Bid, now: Duration, record: Record) {
        let mine = bid.holder.as_ref() == Some(&self.me);
        self.seen = Some(Seen { record: Some(record), at: bid.sent });
        (self.theirs, self.sent) = (None, bid.sent);
        let until = bid.sent + self.timing.term();
        let number = match self.term(now) {
            Some(term) => term.number,
            None => self.terms + 1,
        };
        // An answer that comes after the lease was given back must not bring the term back.
        let kept = self.released.is_none_or(|released| released < bid.sent);
        self.term = Some(Term { number, until }).filter(|term| mine && kept && term.lasts(now));
        if let Some(term) = self.term {
            self.terms = term.number;
        }
    }

    /// A call failed, was refused, or was not answered in time: whether it was carried out is not known. `conflict`:
    /// somebody was faster, so there is something new to be read at once.
    pub fn failed(&mut self, now: Duration, why: Failure) {
        self.seen = None;
        self.retry = match why {
            Failure::Conflict => now,
            Failure::Unknown => now + self.timing.retry(),
        };
    }

    /// Ends the term at once; then the change that tells the others, if there is something to tell.
    pub fn release(&mut self, now: Duration) -> Option<Bid> {
        self.term = None;
        self.released = Some(now);
        let record = self.seen.as_ref()?.record.as_ref()?;
        let mine = record.holder.as_deref() == Some(self.me.as_str());
        mine.then(|| Bid { holder: None, changes_hands: true, ..self.bid(now) })
    }

    fn bid(&self, now: Duration) -> Bid {
        let record = self.seen.as_ref().and_then(|seen| seen.record.as_ref());
        let changes_hands = record.is_some_and(|record| record.holder.as_deref() != Some(self.me.as_str()));
        let before = record.map_or(0, |record| record.transitions);
        Bid {
            from: record.map(|record| record.version.clone()),
            holder: Some(self.me.clone()),
            transitions: before.saturating_add(u32::from(changes_hands)),
            changes_hands,
            sent: now,
        }
    }
}

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The lease is not in the version that was changed, or there is one already.
    Conflict,
    /// Anything else.
    Unknown,
}

#[cfg(test)]
mod tests;
