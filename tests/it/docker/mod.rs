//! The Docker runtime on a real engine: what plan and steps come to, and what they leave alone.

mod clear;
mod events;
mod files;
mod life;
mod pulls;
pub mod registry;
mod safety;
mod volumes;
