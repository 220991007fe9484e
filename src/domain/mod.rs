//! What is true of nodes, lines and records, as pure functions of values.
//!
//! The rules of this folder: no I/O, no clock (`now` is an argument), no randomness, no logging, no Kubernetes client;
//! ordered collections only, so that the same input gives the same output, in the same order, on every node.

pub mod names;
pub mod secret;
pub mod retry;
pub mod budget;
pub mod scope;
pub mod addresses;
pub mod liveness;
pub mod lease;
pub mod cluster;
pub mod lines;
pub mod records;
pub mod sharing;
pub mod causes;
pub mod dns_plan;
pub mod marks;
pub mod line_table;
pub mod zone;
pub mod view;
pub mod app;
pub mod admission;
#[cfg(test)]
mod laws;
