//! The places that the suite runs at, a bench each.

pub mod ali;
pub mod local;
pub mod memory;
mod proxy;
pub mod rfc2136;
