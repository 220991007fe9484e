//! How fast an API server is called: a bucket of tokens that fills at a steady rate, and a rest where the server asks for
//! one. Whoever comes waits for as long as those before it have spent; nobody is refused.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Calls that may be made at once after a pause, as a part of a second's.
const BURST: f64 = 2.0;

/// A pace.
pub struct Pace {
    rate: f64,
    state: Mutex<State>,
}

struct State {
    /// Below zero: calls wait for tokens that are still to come.
    tokens: f64,
    at: Instant,
    rests_until: Instant,
}

impl Pace {
    /// `rate` calls a second in the long run, twice as many at once after a pause.
    pub fn new(rate: f64) -> Self {
        let now = Instant::now();
        Self { rate, state: Mutex::new(State { tokens: rate * BURST, at: now, rests_until: now }) }
    }

    /// Waits for its turn.
    pub async fn turn(&self) {
        let at = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let gained = now.duration_since(state.at).as_secs_f64() * self.rate;
            state.tokens = (state.tokens + gained).min(self.rate * BURST) - 1.0;
            state.at = now;
            let owed = Duration::from_secs_f64((-state.tokens).max(0.0) / self.rate);
            (now + owed).max(state.rests_until)
        };
        if Instant::now() < at {
            sleep_until(at).await;
        }
    }

    /// Lets nobody call for as long.
    pub fn rest(&self, time: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rests_until = state.rests_until.max(Instant::now() + time);
        // Those who waited come one after the other, and not all at once.
        state.tokens = state.tokens.min(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_then_calls_come_at_the_rate() {
        let (pace, start) = (Pace::new(10.0), Instant::now());
        for _ in 0..20 {
            pace.turn().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..10 {
            pace.turn().await;
        }
        assert!((0.99..1.02).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_holds_everybody() {
        let (pace, start) = (Pace::new(10.0), Instant::now());
        pace.rest(Duration::from_secs(3));
        pace.turn().await;
        assert!(Duration::from_secs(3) <= start.elapsed());
    }
}
