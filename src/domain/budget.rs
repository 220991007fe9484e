//! What the operator asks of an API server while nothing happens. Whoever calls it by the clock has its pace here, so that
//! one sum holds them all together; only the lease of the replicas has its own (`domain::lease`), which comes on top.

use std::time::Duration;

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
    fn what_goes_by_the_clock_is_a_call_in_half_a_minute() {
        let sum = WATCHES * per_hour(WATCH_RENEWED) + per_hour(POLL) + per_hour(WATCH_DOG);
        assert!(sum <= per_hour(Duration::from_secs(27)), "{sum}");
    }
}
