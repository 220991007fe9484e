//! What is true of nodes, lines and records, as pure functions of values.
//!
//! The rules of this folder: no I/O, no clock (`now` is an argument), no randomness, no logging, no Kubernetes client;
//! ordered collections only, so that the same input gives the same output, in the same order, on every node.

pub mod addresses;
pub mod cluster;
pub mod dns_plan;
#[cfg(test)]
mod laws;
pub mod line_table;
pub mod lines;
pub mod liveness;
pub mod names;
pub mod records;
pub mod retry;
pub mod secret;
pub mod view;
pub mod zone;
