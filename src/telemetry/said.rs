//! What was said of a failure already: one that stays is told once, one that changes is told again, and so is its end. What
//! makes a failure another one is its caller's to say, for its words may hold a time or a request's number.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So many things that fail at once are remembered; whoever fails beyond that is told every time.
const MOST: usize = 4096;

/// What was said of each thing. Clones are one memory.
#[derive(Debug, Clone)]
pub struct Said<K>(Arc<Mutex<BTreeMap<K, String>>>);

impl<K> Default for Said<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Ord> Said<K> {
    /// `about` fails as `what` names it; whether that is news.
    pub fn fails(&self, about: K, what: &str) -> bool {
        self.with(|said| {
            if said.get(&about).is_some_and(|before| before == what) {
                return false;
            }
            if said.len() < MOST || said.contains_key(&about) {
                said.insert(about, what.to_owned());
            }
            true
        })
    }

    /// `about` is well; whether it was said to fail.
    pub fn is_well<Q: Ord + ?Sized>(&self, about: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.with(|said| said.remove(about).is_some())
    }

    /// Whether `about` was said to fail, and is not well since.
    pub fn is_failing<Q: Ord + ?Sized>(&self, about: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.with(|said| said.contains_key(about))
    }

    /// Whether nothing fails.
    pub fn is_empty(&self) -> bool {
        self.with(|said| said.is_empty())
    }

    /// Forgets all but those that `fail` still.
    pub fn keep(&self, mut fail: impl FnMut(&K) -> bool) {
        self.with(|said| said.retain(|about, _| fail(about)));
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<K, String>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_until_it_changes_or_ends() {
        let said = Said::default();
        assert!(said.fails("zone", "unreachable"));
        assert!(!said.fails("zone", "unreachable"));
        assert!(said.fails("other", "unreachable"), "another thing");
        assert!(said.fails("zone", "credentials"), "another failure");
        assert!(said.is_failing("zone") && !said.is_failing("node"));
        assert!(said.is_well("zone"));
        assert!(!said.is_well("zone"), "its end is told once too");
        assert!(said.fails("zone", "credentials"));
        said.keep(|about| *about == "zone");
        assert!(!said.fails("zone", "credentials") && said.fails("other", "unreachable"));
    }

    #[test]
    fn however_much_fails_no_more_is_remembered() {
        let said = Said::default();
        (0..2 * MOST).for_each(|number| assert!(said.fails(number, "x")));
        assert!(!said.fails(0, "x") && said.fails(2 * MOST - 1, "x"));
        assert_eq!(said.with(|said| said.len()), MOST);
    }
}
