//! One binary for all tests that need more than one module: architecture, generated files, whole-product scenarios,
//! the behaviour of the control plane, and whole processes.

#![allow(clippy::unwrap_used, reason = "a test that can't go on must fail where it stands")]

mod support;
mod ali_fake;
mod ali;
mod tidy;
mod fresh;
mod scenarios;
mod scope;
mod shared_zone;
mod replicas;
mod manifests;
mod contract;
mod conformance;
mod process;
mod process_apps;
mod rfc2136;
mod book;
mod catalog;
mod apps;
mod library;
mod app_api;
mod docker;
mod image;
mod kubernetes;
mod helm;
mod admission;
mod policies;
mod plugin;
mod observe;
