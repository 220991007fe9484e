//! What is to be said of an object before it is stored: what would never be right is refused, what may become right is a
//! warning. The checks themselves are those that the loops make conditions of; here they are only asked earlier.

pub mod app;
pub mod node;
pub mod service;

use crate::domain::names::FieldError;

/// What is to be said of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why it can't be stored; empty: it can.
    pub refused: Vec<FieldError>,
    /// What its owner should know. It is stored all the same.
    pub warnings: Vec<FieldError>,
}

impl Verdict {
    /// A refusal for one reason.
    pub fn refusal(error: FieldError) -> Self {
        Self { refused: vec![error], warnings: Vec::new() }
    }

    /// Refuses for what a check found, if it found anything.
    pub fn check<T>(&mut self, found: Result<T, FieldError>) {
        self.refused.extend(found.err());
    }

    /// Warns of it.
    pub fn warn(&mut self, field: &str, why: impl Into<String>) {
        self.warnings.push(FieldError::new(field, why));
    }

    /// What an edit adds to what was so before. An object that is wrong already can be edited in other ways: to refuse
    /// that would lock its owner out of mending it step by step.
    pub fn beyond(mut self, before: &Verdict) -> Self {
        self.refused.retain(|error| !before.refused.contains(error));
        self.warnings.retain(|error| !before.warnings.contains(error));
        self
    }
}
