//! What was asked for, by whom, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::asked::Asked;

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it came.
    pub began: Instant,
    /// When it was answered.
    pub at: Instant,
    /// The user.
    pub who: String,
    pub asked: Asked,
    /// The answer's status; 0 where none came.
    pub code: u16,
    /// Whether the fault was ours.
    pub injected: bool,
}

/// All calls, in the order of their ends; of a stream, of its beginning.
#[derive(Default)]
pub struct Ledger(Mutex<Vec<Call>>);

impl Ledger {
    pub fn note(&self, call: Call) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the calls.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How many calls of each verb and resource (`list secrets`).
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.calls() {
            *counts.entry(format!("{} {}", call.asked.verb, call.asked.resource)).or_default() += 1;
        }
        counts
    }

    /// How many calls of a verb and a resource.
    pub fn count(&self, verb: &str, resource: &str) -> usize {
        self.calls().iter().filter(|call| call.asked.verb == verb && call.asked.resource == resource).count()
    }

    /// What was used and granted.
    pub fn used(&self) -> BTreeSet<Asked> {
        let granted = |call: &Call| !matches!(call.code, 401 | 403);
        self.calls().into_iter().filter(granted).map(|call| call.asked).collect()
    }

    /// What was refused for want of a right, in words.
    pub fn refusals(&self) -> BTreeSet<String> {
        let refused = |call: &Call| call.code == 403 && !call.injected;
        self.calls().iter().filter(|call| refused(call)).map(|call| call.asked.to_string()).collect()
    }
}
