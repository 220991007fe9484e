//! To be written.

pub mod legacy_config;
