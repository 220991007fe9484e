//! What is wrong in the process's surroundings though it works on: each trouble once in the log when it comes and when it
//! is over, all of them on `/readyz` while they last. What to do about one stands in its words.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{info, warn};

/// The troubles of a process, by a name each. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Troubles(Arc<Mutex<BTreeMap<String, String>>>);

impl Troubles {
    /// What is wrong now, in words, in the order of names.
    pub fn words(&self) -> Vec<String> {
        self.with(|all| all.values().cloned().collect())
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.with(|all| all.is_empty())
    }

    /// Something is wrong. Its words may change while it lasts; the log tells it once.
    pub fn comes(&self, name: String, words: String) {
        if self.with(|all| all.insert(name, words.clone())).is_none() {
            warn!("{words}");
        }
    }

    /// It is over, if it was there.
    pub fn over(&self, name: &str) {
        if let Some(words) = self.with(|all| all.remove(name)) {
            info!("over: {words}");
        }
    }

    /// Of all whose names begin with `area`, these are left.
    pub fn are(&self, area: &str, now: BTreeMap<String, String>) {
        let of_area = |name: &&String| name.starts_with(area) && !now.contains_key(*name);
        let gone: Vec<String> = self.with(|all| all.keys().filter(of_area).cloned().collect());
        gone.iter().for_each(|name| self.over(name));
        now.into_iter().for_each(|(name, words)| self.comes(name, words));
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_is_what_it_was_said_to_be_last_and_others_stay() {
        let troubles = Troubles::default();
        troubles.comes("rights a".into(), "a".into());
        let of = |names: &[&str]| {
            names.iter().map(|name| (format!("secret {name}"), (*name).to_owned())).collect()
        };
        troubles.are("secret ", of(&["b", "c"]));
        troubles.are("secret ", of(&["c"]));
        assert_eq!(troubles.words(), ["a", "c"]);
        troubles.over("rights a");
        troubles.are("secret ", of(&[]));
        assert!(troubles.is_empty());
    }
}
