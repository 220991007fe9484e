//! The pace of one account: the provider's published quotas, shared by all its zones, failover ahead of the rest. It
//! slows down when the provider says so and recovers by itself; it decides about no call but when.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Share of a quota that is used: clocks and networks bunch calls up.
const SHARE: f64 = 0.95;
/// Calls that may follow each other at once after a pause; with [`SHARE`] still within a quota of 60 a second.
const BURST: u32 = 2;
/// Most that an account is slowed down.
const SLOWEST: f64 = 64.0;
/// A throttled account is left alone for so long.
const REST: Duration = Duration::from_millis(500);
/// What a good call takes back of a slowdown.
const EASE: f64 = 0.97;

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A failover.
    Failover,
    /// Everything else.
    Rest,
}

/// The pace of one account's calls, by call.
pub struct Limiter {
    /// Calls a second, by name.
    quotas: &'static [(&'static str, u32)],
    /// Calls a second of what has no published quota.
    default: u32,
    state: Mutex<State>,
}

struct State {
    buckets: BTreeMap<&'static str, Bucket>,
    /// How many times slower than the quota.
    slower: f64,
    /// Nothing before that.
    resting: Instant,
}

#[derive(Default)]
struct Bucket {
    /// When the next call would be on the beat.
    next: Option<Instant>,
    /// Failovers that wait.
    urgent: usize,
}

impl Limiter {
    /// A limiter with these quotas, in calls a second.
    pub fn new(quotas: &'static [(&'static str, u32)], default: u32) -> Self {
        let state = State { buckets: BTreeMap::new(), slower: 1.0, resting: Instant::now() };
        Self { quotas, default, state: Mutex::new(state) }
    }

    /// Waits until `call` may be made; returns how long that was.
    pub async fn acquire(&self, call: &'static str, urgency: Urgency) -> Duration {
        let began = Instant::now();
        let mut waiting = None;
        loop {
            let now = Instant::now();
            let Err(until) = self.take(call, urgency, now) else {
                return now - began;
            };
            if urgency == Urgency::Failover && waiting.is_none() {
                waiting = Some(Waiting::new(self, call));
            }
            sleep_until(until).await;
        }
    }

    /// The provider said that it was too much: every call of the account is slower from now on.
    pub fn throttled(&self) {
        let mut state = self.lock();
        state.slower = (state.slower * 2.0).min(SLOWEST);
        state.resting = Instant::now() + REST.mul_f64(state.slower.sqrt());
    }

    /// A call went through.
    pub fn eased(&self) {
        let mut state = self.lock();
        state.slower = (state.slower * EASE).max(1.0);
    }

    /// How many times slower than its quota the account is now; 1 where nothing is wrong.
    pub fn slower(&self) -> f64 {
        self.lock().slower
    }

    fn take(&self, call: &'static str, urgency: Urgency, now: Instant) -> Result<(), Instant> {
        let quota =
            self.quotas.iter().find(|(name, _)| *name == call).map_or(self.default, |(_, quota)| *quota);
        let mut state = self.lock();
        let beat = Duration::from_secs_f64(state.slower / (f64::from(quota.max(1)) * SHARE));
        let resting = state.resting;
        let bucket = state.buckets.entry(call).or_default();
        let next = bucket.next.unwrap_or(now);
        // A pause earns a few calls at once, not more.
        let due = next.checked_sub(beat * (BURST - 1)).unwrap_or(next).max(resting);
        if now < due {
            return Err(due);
        }
        if urgency == Urgency::Rest && 0 < bucket.urgent {
            return Err(now + beat);
        }
        bucket.next = Some(next.max(now) + beat);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A failover that waits; counted until it is served or given up.
struct Waiting<'a> {
    limiter: &'a Limiter,
    call: &'static str,
}

impl<'a> Waiting<'a> {
    fn new(limiter: &'a Limiter, call: &'static str) -> Self {
        limiter.lock().buckets.entry(call).or_default().urgent += 1;
        Self { limiter, call }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        let bucket = state.buckets.entry(self.call).or_default();
        bucket.urgent = bucket.urgent.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const QUOTAS: &[(&str, u32)] = &[("write", 60)];

    async fn calls(limiter: &Limiter, count: usize, urgency: Urgency) -> Vec<Instant> {
        let mut times = Vec::new();
        for _ in 0..count {
            limiter.acquire("write", urgency).await;
            limiter.eased();
            times.push(Instant::now());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_than_the_quota_and_nearly_all_of_it_is_used() {
        let limiter = Limiter::new(QUOTAS, 10);
        let began = Instant::now();
        let times = calls(&limiter, 1000, Urgency::Rest).await;
        for (index, time) in times.iter().enumerate() {
            let within =
                times[index..].iter().filter(|later| **later - *time < Duration::from_secs(1)).count();
            assert!(within <= 60, "{within} calls in a second");
        }
        assert!(began.elapsed() < Duration::from_secs_f64(1.1 * 1000.0 / 60.0), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failover_goes_ahead_of_repair() {
        let limiter = Arc::new(Limiter::new(QUOTAS, 10));
        let repair = tokio::spawn({
            let limiter = limiter.clone();
            async move { calls(&limiter, 600, Urgency::Rest).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        calls(&limiter, 60, Urgency::Failover).await;
        assert!(began.elapsed() < Duration::from_millis(1200), "{:?}", began.elapsed());
        let times = repair.await.unwrap();
        assert_eq!(times.len(), 600, "repair goes on afterwards");
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_account_slows_only_itself_and_recovers() {
        let (slow, other) = (Limiter::new(QUOTAS, 10), Limiter::new(QUOTAS, 10));
        for _ in 0..3 {
            slow.throttled();
        }
        let began = Instant::now();
        calls(&other, 60, Urgency::Rest).await;
        assert!(began.elapsed() < Duration::from_millis(1200));
        let began = Instant::now();
        calls(&slow, 10, Urgency::Rest).await;
        assert!(Duration::from_secs(1) < began.elapsed(), "{:?}", began.elapsed());
        calls(&slow, 200, Urgency::Rest).await;
        assert!((slow.slower() - 1.0).abs() < f64::EPSILON, "it has recovered");
    }
}
