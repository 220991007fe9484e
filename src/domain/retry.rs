//! Who can mend a failure, and when to try again.

use std::time::Duration;

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The object is wrong: wait for an edit.
    User,
    /// The world is: try again, ever more slowly.
    Transient,
    /// We are: try again rarely, and say so loudly.
    Bug,
}

/// How long to wait after the `failures`-th failure in a row; `jitter` is in 0..1. `None`: only an edit helps.
pub fn retry_in(class: Class, failures: u32, jitter: f64) -> Option<Duration> {
    let (first, most) = match class {
        Class::User => return None,
        Class::Transient => (Duration::from_secs(1), Duration::from_secs(300)),
        Class::Bug => (Duration::from_secs(30), Duration::from_secs(1800)),
    };
    let full = first.saturating_mul(2u32.saturating_pow(failures.min(16))).min(most);
    Some(full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_users_are_not_hurried() {
        assert_eq!(retry_in(Class::User, 3, 0.5), None);
        assert_eq!(retry_in(Class::Transient, 0, 1.0), Some(Duration::from_secs(1)));
        assert_eq!(retry_in(Class::Transient, 40, 1.0), Some(Duration::from_secs(300)));
        assert_eq!(retry_in(Class::Bug, 0, 0.0), Some(Duration::from_secs(15)));
    }
}
