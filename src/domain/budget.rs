//! What the operator may ask of an API server while nothing happens, and the paces that keep to it. Whoever calls the API
//! server by the clock has its pace here, so that one sum holds them all together.

use std::time::Duration;

/// Calls an hour of one process at rest, at most: all verbs, renewed watches and the lease's renewals included.
pub const CALLS_PER_HOUR: u64 = 600;

/// How long the active replica may be silent before another one takes over, unless told otherwise: with what taking over
/// costs that stays under 15 s. Its renewal ([`crate::domain::lease::Timing`]) is one call; standbys watch it and poll
/// nothing.
pub const LEASE: Duration = Duration::from_secs(12);

/// An API server's watch is opened anew after this long (kube asks for it): one call each.
pub const WATCH_RENEWED: Duration = Duration::from_secs(290);

/// How often objects that may only be got are got again, where watching them would need more rights.
pub const POLL: Duration = Duration::from_secs(300);
/// A watchdog in a CocoaNode's status that only counts on is written at this pace, for this process's own node alone: what
/// others say of theirs is judged from beats, not from statuses.
pub const WATCH_DOG: Duration = Duration::from_secs(300);

/// How many calls an hour `one` call every `pace` makes.
pub const fn per_hour(pace: Duration) -> u64 {
    3_600_000 / pace.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lease::Timing;

    /// Nodes, services, Apps; accounts, line tables, templates and nodes' Secrets, each in a cluster-wide watch or in the
    /// one namespace; the owner id, the lease.
    const WATCHES: u64 = 9;

    #[test]
    fn everything_that_goes_by_the_clock_fits_the_budget() {
        let sum = per_hour(Timing::of(LEASE).renew())
            + WATCHES * per_hour(WATCH_RENEWED)
            + per_hour(POLL)
            + per_hour(WATCH_DOG);
        assert!(sum + 10 < CALLS_PER_HOUR, "{sum}");
    }

    #[test]
    fn a_dead_replica_is_followed_in_under_15_s() {
        assert!(LEASE + Duration::from_secs(2) < Duration::from_secs(15));
    }
}
