//! The node loop: feed the own watchdog, read the peers', find addresses, report.

pub mod addresses;
pub mod beats;
pub mod own;
pub mod report;
pub mod secrets;
