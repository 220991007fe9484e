//! Logs and metrics.

pub mod dns;
