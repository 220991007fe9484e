//! What every loop needs: the context, and how statuses and events are written, and keyed tasks.

pub mod chance;
pub mod context;
pub mod keyed;
pub mod report;
