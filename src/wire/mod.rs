//! JSON of the published v1 API and of the App API: its spelling, how it is read and how it is written. No I/O and no
//! clock.
//!
//! Reading is tolerant (unknown fields are passed over, a missing or null list is empty) and bounded; writing is exact.

pub mod read;
pub mod cluster;
pub mod render;
pub mod import;
pub mod legacy_config;
pub mod app;
pub mod admission;
