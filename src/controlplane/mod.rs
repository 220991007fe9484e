//! The embedded Kubernetes-compatible API: what `standalone` serves when there is no cluster.

pub mod cause;
pub mod fields;
pub mod openapi;
pub mod patch;
pub mod schema;
