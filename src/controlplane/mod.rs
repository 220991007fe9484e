//! The embedded Kubernetes-compatible API: what `standalone` serves when there is no cluster.

pub mod cause;
pub mod schema;
pub mod patch;
pub mod fields;
pub mod openapi;
