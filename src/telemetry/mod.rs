//! Metrics, logs and error texts as values: they are created by `assembly`, handed down, and registered nowhere globally.

pub mod chain;
pub mod said;
pub mod metrics;
pub mod dns;
pub mod round;
pub mod tracing;
pub mod troubles;
