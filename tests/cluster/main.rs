//! The operator as it runs in a cluster: whole processes behind a ServiceAccount's rights, and all that can go wrong
//! between them and the API server. The embedded plane stands in for the cluster; with `COCOA_TEST_KUBECONFIG` set, the
//! cluster that it names is used.
//!
//! A binary of its own, because its tests wait more than they work: many run at once.

#![allow(clippy::unwrap_used, reason = "a test that can't go on must fail where it stands")]

#[allow(dead_code, reason = "shared with `tests/it`; each binary uses a part")]
#[path = "../it/support/mod.rs"]
mod support;

mod clock;
mod definitions;
mod handover;
mod pod_security;
mod proxy;
mod recovery;
mod restricted;
mod terms;
mod used;
mod watching;
mod weather;
mod world;
