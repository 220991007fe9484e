//! One binary for all tests that need more than one module: architecture, generated files, whole-product scenarios,
//! and the behaviour of the control plane.

mod conformance;
mod fresh;
mod scenarios;
mod support;
mod tidy;
