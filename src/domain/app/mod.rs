//! Catalogue templates: from the files of a folder to one workload, what stands in its way on either backend, and what has
//! to be done so that it runs.
//!
//! The pipeline, each step a file: `.env` by compose's rules, YAML with merge keys, variables put into scalars (never into
//! text: a password can't become structure), a lenient model that knows every compose key, a verdict, an instance with
//! the install's choices, and a plan of steps.

pub mod finding;
pub mod interpolate;
pub mod env_file;
pub mod yaml;
pub mod metadata;
pub mod workload;
pub mod compose;
pub mod verdict;
pub mod template;
pub mod registry;
pub mod instance;
pub mod fill;
pub mod acceptance;
pub mod render;
pub mod observed;
pub mod plan;
pub mod phase;
pub mod queue;
pub mod view;
pub mod kubernetes;
#[cfg(test)]
mod laws;
