//! What the operator may ask of an API server while nothing happens, and the paces that keep to it. Whoever calls the API
//! server by the clock has its pace here, so that one sum holds them all together.

use std::time::Duration;

/// Calls an hour of one process at rest, at most: all verbs, renewed watches and the lease's renewals included.
pub const CALLS_PER_HOUR: u64 = 600;

/// Pace at which the active replica renews its lease. One call each: a replacement of what it wrote last, read before only
/// after a conflict.
pub const LEASE_RENEW: Duration = Duration::from_secs(8);
/// The lease's term as it stands in the object, in whole seconds. A standby takes over when it has seen no renewal for as
/// long: with what taking over costs that stays under 15 s. It watches the one object and polls nothing.
pub const LEASE_DURATION: Duration = Duration::from_secs(12);
/// The active replica ceases to write this long after it *began* the last renewal that succeeded: before anybody else may
/// begin.
pub const LEASE_FENCED: Duration = Duration::from_millis(10_500);
/// Pause after a renewal that failed: between [`LEASE_RENEW`] and [`LEASE_FENCED`] there is room for two.
pub const LEASE_RETRY: Duration = Duration::from_secs(1);

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

    /// Nodes, services, Apps; accounts, line tables, templates and nodes' Secrets, each in a cluster-wide watch or in the
    /// one namespace; the owner id, the lease.
    const WATCHES: u64 = 9;

    #[test]
    fn everything_that_goes_by_the_clock_fits_the_budget() {
        let sum =
            per_hour(LEASE_RENEW) + WATCHES * per_hour(WATCH_RENEWED) + per_hour(POLL) + per_hour(WATCH_DOG);
        assert!(sum + 10 < CALLS_PER_HOUR, "{sum}");
    }

    #[test]
    fn a_lease_is_let_go_before_another_takes_it_and_leaves_room_for_failures() {
        assert!(LEASE_FENCED + Duration::from_secs(1) < LEASE_DURATION);
        assert!(LEASE_RENEW + 2 * LEASE_RETRY <= LEASE_FENCED);
        assert!(LEASE_DURATION + Duration::from_secs(2) < Duration::from_secs(15));
    }
}
