//! A limit on answers by UDP, so that nobody can have us flood a victim whose address he writes into his packets.
//! One bucket of tokens per network, in a table of fixed size: a flood of invented sources costs no memory.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many answers a network gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// Answers a second for each IPv4 /24 and IPv6 /56; 0 switches the limit off. A resolver that keeps what it is
    /// told stays far below, and one above is sent to TCP, which has no such limit.
    pub per_second: u32,
    /// Answers that may come at once after a quiet time.
    pub burst: u32,
    /// One of so many queries above the limit gets a truncated answer, so that a true resolver comes by TCP; the
    /// others get none. 1 truncates all, 0 drops all.
    pub slip: u32,
    /// Whether this machine itself is limited too.
    pub limit_loopback: bool,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self { per_second: 200, burst: 400, slip: 2, limit_loopback: false }
    }
}

/// What becomes of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Answer,
    /// It gets a truncated answer.
    Slip,
    /// It gets none.
    Drop,
}

/// Buckets of a set; a network's bucket is one of these.
const WAYS: usize = 4;
/// Sets: 32,768 networks at a time in less than 2 MiB.
const SETS: usize = 8192;

/// The limiter.
pub struct Limiter {
    settings: LimitSettings,
    hash: RandomState,
    sets: Vec<Mutex<[Bucket; WAYS]>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// The network's hash, never 0 for a bucket in use.
    tag: u64,
    /// Thousandths of tokens.
    tokens: u64,
    /// Milliseconds, when it was last filled.
    at: u64,
    /// Queries above the limit since the last slip.
    over: u32,
}

impl Limiter {
    /// A limiter with every bucket full.
    pub fn new(settings: LimitSettings) -> Self {
        Self { settings, hash: RandomState::new(), sets: (0..SETS).map(|_| Mutex::default()).collect() }
    }

    /// Takes a token of the asker's network; `now` is the time since any fixed moment.
    pub fn judge(&self, peer: IpAddr, now: Duration) -> Verdict {
        let peer = peer.to_canonical();
        if self.settings.per_second == 0 || (peer.is_loopback() && !self.settings.limit_loopback) {
            return Verdict::Answer;
        }
        // The hash is seeded afresh in every process, so that nobody can choose networks that share a set.
        let tag = self.hash.hash_one(network(peer)).max(1);
        let set = usize::try_from(tag % SETS as u64).unwrap_or_default();
        let Some(set) = self.sets.get(set) else { return Verdict::Answer };
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let burst = u64::from(self.settings.burst.max(1)) * 1000;
        let at = set.iter().position(|bucket| bucket.tag == tag).unwrap_or_else(|| {
            let oldest = (0..WAYS).min_by_key(|at| set[*at].at).unwrap_or_default();
            set[oldest] = Bucket { tag, tokens: burst, at: now, over: 0 };
            oldest
        });
        self.take(&mut set[at], now, burst)
    }

    fn take(&self, bucket: &mut Bucket, now: u64, burst: u64) -> Verdict {
        let fresh = now.saturating_sub(bucket.at).saturating_mul(u64::from(self.settings.per_second));
        bucket.tokens = bucket.tokens.saturating_add(fresh).min(burst);
        bucket.at = bucket.at.max(now);
        if 1000 <= bucket.tokens {
            bucket.tokens -= 1000;
            bucket.over = 0;
            return Verdict::Answer;
        }
        bucket.over = bucket.over.wrapping_add(1);
        match bucket.over.checked_rem(self.settings.slip) {
            Some(0) => Verdict::Slip,
            _ => Verdict::Drop,
        }
    }
}

/// What shares a bucket: an IPv4 /24 or an IPv6 /56, the usual size of a site.
pub fn network(peer: IpAddr) -> u128 {
    match peer {
        IpAddr::V4(addr) => u128::from(addr.to_bits() >> 8) | 1 << 127,
        IpAddr::V6(addr) => addr.to_bits() >> 72,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: LimitSettings =
        LimitSettings { per_second: 10, burst: 20, slip: 3, limit_loopback: false };

    fn answered(limiter: &Limiter, peer: &str, now: u64, queries: usize) -> usize {
        let (peer, now) = (peer.parse().unwrap(), Duration::from_millis(now));
        (0..queries).filter(|_| limiter.judge(peer, now) == Verdict::Answer).count()
    }

    #[test]
    fn a_network_gets_its_burst_and_then_its_rate() {
        let limiter = Limiter::new(SETTINGS);
        assert_eq!(answered(&limiter, "192.0.2.1", 0, 100), 20);
        assert_eq!(answered(&limiter, "192.0.2.200", 0, 100), 0, "the /24 shares a bucket");
        assert_eq!(answered(&limiter, "::ffff:192.0.2.3", 0, 100), 0, "however it is written");
        assert_eq!(answered(&limiter, "192.0.3.1", 0, 100), 20, "the next one has its own");
        assert_eq!(answered(&limiter, "192.0.2.1", 500, 100), 5);
        assert_eq!(answered(&limiter, "192.0.2.1", 3_600_000, 100), 20, "never more than the burst");
        assert_eq!(answered(&limiter, "2001:db8::1", 0, 100), 20);
        assert_eq!(answered(&limiter, "2001:db8:0:ff::1", 0, 100), 0, "a /56");
        assert_eq!(answered(&limiter, "2001:db8:0:100::1", 0, 100), 20);
        assert_eq!(answered(&limiter, "127.0.0.1", 0, 100), 100, "this machine can't be a victim of itself");
    }

    #[test]
    fn one_in_so_many_slips() {
        let limiter = Limiter::new(SETTINGS);
        let peer = "192.0.2.1".parse().unwrap();
        let verdicts: Vec<Verdict> = (0..26).map(|_| limiter.judge(peer, Duration::ZERO)).collect();
        use Verdict::*;
        assert_eq!(verdicts[20..], [Drop, Drop, Slip, Drop, Drop, Slip]);
        for (slip, expect) in [(0, Drop), (1, Slip)] {
            let limiter = Limiter::new(LimitSettings { slip, burst: 1, ..SETTINGS });
            assert_eq!(limiter.judge(peer, Duration::ZERO), Answer);
            assert_eq!(limiter.judge(peer, Duration::ZERO), expect);
        }
    }

    #[test]
    fn a_flood_of_invented_sources_does_not_lift_the_limit_on_a_steady_one() {
        let limiter = Limiter::new(SETTINGS);
        let mut got = 0;
        for round in 0..1000u32 {
            got += answered(&limiter, "192.0.2.1", u64::from(round), 1);
            for other in 0..200u32 {
                let peer = std::net::Ipv4Addr::from_bits(0x0a00_0000 + ((round * 200 + other) << 8));
                limiter.judge(peer.into(), Duration::from_millis(u64::from(round)));
            }
        }
        assert!(got <= 20 + 10, "{got} answers in a second");
    }
}
