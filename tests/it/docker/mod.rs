//! The Docker runtime on a real engine: what plan and steps come to, and what they leave alone.

mod clear;
mod files;
mod life;
mod pulls;
mod registry;
mod safety;
mod volumes;
