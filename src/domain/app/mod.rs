//! Catalogue templates: from the files of a folder to one workload, and what stands in its way on either backend.
//!
//! The pipeline, each step a file: `.env` by compose's rules, YAML with merge keys, variables put into scalars (never into
//! text: a password can't become structure), a lenient model that knows every compose key, and a verdict.

pub mod finding;
pub mod interpolate;
pub mod env_file;
pub mod yaml;
pub mod metadata;
pub mod workload;
pub mod compose;
pub mod verdict;
pub mod template;
#[cfg(test)]
mod laws;
