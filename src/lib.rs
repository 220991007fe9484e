//! CocoaSyncer Operator: one name resolves, per ISP line, to the site on that line, and moves when a site dies.
//!
//! Reading order is bottom up, and a module names only those above it in this list (`tests/it/tidy.rs` holds that).
//! ARCHITECTURE.md says what each is for and what it must never do.

pub mod api;
pub mod domain;
pub mod telemetry;
pub mod pki;
pub mod watching;
pub mod catalog;
pub mod wire;
pub mod providers;
pub mod runtimes;
pub mod peers;
pub mod dns;
pub mod controlplane;
pub mod apiserver;
pub mod controllers;
pub mod http;
pub mod config;
pub mod process;
pub mod assembly;
pub mod cli;
