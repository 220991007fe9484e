//! Chance, where many must not do the same at the same moment. It decides nothing but when.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

/// A number from 0 to 1; a system without random numbers gives the middle.
pub fn chance() -> f64 {
    let mut octet = [0u8];
    match SystemRandom::new().fill(&mut octet) {
        Ok(()) => f64::from(octet[0]) / 255.0,
        Err(_) => 0.5,
    }
}

/// `time`, give or take a tenth of it.
pub fn about(time: Duration) -> Duration {
    time.mul_f64(0.9 + 0.2 * chance())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_differ_by_a_tenth_at_most() {
        let minute = Duration::from_secs(60);
        let all: Vec<Duration> = (0..100).map(|_| about(minute)).collect();
        assert!(all.iter().all(|t| Duration::from_secs(54) <= *t && *t <= Duration::from_secs(66)));
        assert!(all.iter().any(|t| *t != all[0]));
    }
}
