//! Who lives: watchdog readings in, a judgement with hysteresis out.
//!
//! A node is lost after several missed beats in a row and back after several good ones and a hold-down, so that a
//! lossy link moves nothing. A peer of the old kind feeds its watchdog every 30 s only and is judged by its age.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::node::Liveness;

/// What one round of asking a peer gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// A peer of our kind answered in time; `watch_dog` is its own clock's word.
    Beat {
        /// When the peer last fed its watchdog, by its own clock.
        watch_dog: Timestamp,
    },
    /// A peer of the old kind answered.
    Legacy {
        /// When the peer last fed its watchdog, by its own clock.
        watch_dog: Timestamp,
    },
    /// No answer in time, or none that can be trusted.
    Miss,
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Not heard of yet.
    Unseen,
    /// It lives.
    Alive,
    /// It missed too much.
    Lost,
    /// It answers again, and has yet to prove that it stays.
    Returning,
}

/// All that is remembered of a node between two beats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// Where it stands.
    pub life: Life,
    /// Since when.
    pub since: Timestamp,
    /// Misses in a row.
    pub misses: u32,
    /// Good beats in a row.
    pub beats: u32,
    /// The watchdog as last read.
    pub watch_dog: Option<Timestamp>,
    /// Whether the peer was last seen to be of the old kind.
    pub legacy: bool,
}

impl Pulse {
    /// A node of which nothing is known.
    pub fn unseen(now: Timestamp) -> Self {
        Self { life: Life::Unseen, since: now, misses: 0, beats: 0, watch_dog: None, legacy: false }
    }

    /// A node as it was reported before this process started: alive until it misses beats, lost until it earns its
    /// lines back. So a restart moves nothing.
    pub fn resumed(status_code: Option<i32>, watch_dog: Option<Timestamp>, now: Timestamp) -> Self {
        let life = match status_code {
            Some(200) => Life::Alive,
            Some(_) => Life::Lost,
            None => Life::Unseen,
        };
        Self { life, watch_dog, ..Self::unseen(now) }
    }

    /// This process itself.
    pub fn own(since: Timestamp, now: Timestamp) -> Self {
        Self { life: Life::Alive, watch_dog: Some(now), ..Self::unseen(since) }
    }

    /// Whether lines may be given to the node.
    pub fn lives(&self) -> bool {
        self.life == Life::Alive
    }

    /// The status code of the v1 API: 200 or 504.
    pub fn status_code(&self) -> i32 {
        if self.lives() { 200 } else { 504 }
    }

    /// The pulse after one more reading.
    pub fn step(&self, reading: Reading, settings: &Liveness, now: Timestamp) -> Pulse {
        match reading {
            Reading::Beat { watch_dog } => {
                // A dog that stands still is a program that hangs while its HTTP server still answers.
                let fed = self.legacy || self.watch_dog.is_none_or(|before| before != watch_dog);
                let next = Pulse { watch_dog: Some(watch_dog), legacy: false, ..*self };
                if fed { next.beat(settings, now) } else { next.miss(settings, now) }
            }
            Reading::Legacy { watch_dog } => {
                Pulse { watch_dog: Some(watch_dog), legacy: true, ..*self }.aged(settings, now)
            }
            Reading::Miss if self.legacy => self.aged(settings, now),
            Reading::Miss => self.miss(settings, now),
        }
    }

    fn beat(self, settings: &Liveness, now: Timestamp) -> Pulse {
        let beats = self.beats.saturating_add(1);
        match self.life {
            Life::Alive => Pulse { misses: 0, beats, ..self },
            Life::Unseen => Pulse { misses: 0, beats, ..self.turned(Life::Alive, now) },
            Life::Lost => {
                Pulse { misses: 0, beats: 1, ..self.turned(Life::Returning, now) }.proven(settings, now)
            }
            Life::Returning => Pulse { misses: 0, beats, ..self }.proven(settings, now),
        }
    }

    fn proven(self, settings: &Liveness, now: Timestamp) -> Pulse {
        let held = Duration::from_secs(settings.hold_down_seconds.into()) <= elapsed(self.since, now);
        if held && settings.back_after_beats <= self.beats { self.turned(Life::Alive, now) } else { self }
    }

    fn miss(self, settings: &Liveness, now: Timestamp) -> Pulse {
        let next = Pulse { misses: self.misses.saturating_add(1), beats: 0, ..self };
        match self.life {
            Life::Alive | Life::Unseen if settings.lost_after_misses <= next.misses => {
                next.turned(Life::Lost, now)
            }
            Life::Returning => next.turned(Life::Lost, now),
            Life::Alive | Life::Unseen | Life::Lost => next,
        }
    }

    fn aged(self, settings: &Liveness, now: Timestamp) -> Pulse {
        let limit = Duration::from_secs(u64::from(settings.timeout_minutes) * 60);
        let fresh = self.watch_dog.is_some_and(|dog| elapsed(dog, now) <= limit);
        match (fresh, self.life) {
            (true, Life::Alive) | (false, Life::Lost) => self,
            (true, _) => self.turned(Life::Alive, now),
            (false, _) => self.turned(Life::Lost, now),
        }
    }

    fn turned(self, life: Life, now: Timestamp) -> Pulse {
        Pulse { life, since: now, ..self }
    }
}

/// Time from `then` to `now`, zero where the clock went backwards.
pub fn elapsed(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    /// Plays one character a beat: `b` good, `.` missed, `s` answered with a dog that stands still.
    fn play(mut pulse: Pulse, trace: &str) -> Vec<Life> {
        let settings = Liveness::default();
        let mut lives = Vec::new();
        for (index, beat) in trace.chars().enumerate() {
            let now = at(2 * index as i64);
            let reading = match beat {
                'b' => Reading::Beat { watch_dog: now },
                's' => Reading::Beat { watch_dog: pulse.watch_dog.unwrap_or(at(-9)) },
                _ => Reading::Miss,
            };
            pulse = pulse.step(reading, &settings, now);
            lives.push(pulse.life);
        }
        lives
    }

    #[test]
    fn three_misses_in_a_row_lose_a_node_and_two_do_not() {
        assert_eq!(play(Pulse::unseen(at(0)), "bb..b").last(), Some(&Life::Alive));
        assert_eq!(play(Pulse::unseen(at(0)), "bb...").last(), Some(&Life::Lost));
        assert_eq!(play(Pulse::unseen(at(0)), "bbsss").last(), Some(&Life::Lost), "a hung peer is lost too");
    }

    #[test]
    fn a_lossy_link_moves_nothing() {
        let trace = "bbbbbbbbb.".repeat(100);
        assert!(play(Pulse::unseen(at(0)), &trace).iter().all(|life| *life == Life::Alive));
        let worse = "bb..".repeat(100);
        assert!(play(Pulse::unseen(at(0)), &worse).iter().all(|life| *life == Life::Alive));
    }

    #[test]
    fn a_lost_node_needs_beats_and_time_to_return() {
        let lives = play(Pulse::resumed(Some(504), None, at(0)), "bbbbbbbbb");
        assert_eq!(lives[4], Life::Returning, "five beats, but only 8 s");
        assert_eq!(lives[7], Life::Returning, "14 s");
        assert_eq!(lives[8], Life::Alive, "16 s and nine beats");
        let shaky = play(Pulse::resumed(Some(504), None, at(0)), "bbbbbbb.bbbbbbbb");
        assert_eq!(shaky.last(), Some(&Life::Returning), "a miss starts the hold-down anew");
    }

    #[test]
    fn a_restart_moves_nothing() {
        assert!(Pulse::resumed(Some(200), None, at(0)).lives());
        assert!(!Pulse::resumed(Some(504), None, at(0)).lives());
        assert_eq!(Pulse::resumed(None, None, at(0)).life, Life::Unseen);
    }

    #[test]
    fn a_legacy_peer_is_judged_by_its_watchdogs_age() {
        let settings = Liveness::default();
        let seen = Pulse::unseen(at(0)).step(Reading::Legacy { watch_dog: at(0) }, &settings, at(20));
        assert!(seen.lives());
        let silent = (0..20).fold(seen, |p, i| p.step(Reading::Miss, &settings, at(30 + 2 * i)));
        assert!(silent.lives(), "it feeds every 30 s only: misses do not count");
        assert!(silent.step(Reading::Miss, &settings, at(600)).lives());
        assert!(!silent.step(Reading::Miss, &settings, at(601)).lives());
    }
}
