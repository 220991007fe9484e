//! Logs and metrics.

pub mod dns;
pub mod chain;
pub mod tracing;
