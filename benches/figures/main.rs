//! `make bench`: every figure that the project promises, measured now, on this machine, beside a baseline of the same
//! run. It prints and judges; it never fails a build, for a busy machine is nobody's bug.
//!
//! `cargo bench --bench figures -- dns http` measures only the areas that are named.

mod app_list;
mod apps;
mod baseline;
mod catalog;
mod cluster;
mod death;
mod dns;
mod http;
mod load;
mod measure;
mod objects;
mod planning;
mod plane;
mod providers;
mod report;
mod rest;
mod restart;
mod resync;
mod sites;
#[allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "the tests' worlds, of which a part is used here"
)]
#[path = "../../tests/it/support/mod.rs"]
mod support;

use std::process::ExitCode;

use crate::report::{Figure, Report};

type Area = fn() -> anyhow::Result<Vec<Figure>>;

/// In the order of the table; quick ones first, so that a mistake shows early.
const AREAS: [(&str, Area); 14] = [
    ("planning", planning::run),
    ("catalog", catalog::run),
    ("resync", resync::run),
    ("plane", plane::run),
    ("http", http::run),
    ("app-list", app_list::run),
    ("dns", dns::run),
    ("death", death::run),
    ("restart", restart::run),
    ("cluster", cluster::run),
    ("changes", cluster::run_changes),
    ("app-install", apps::install::run),
    ("app-rest", apps::rest::run),
    ("providers", providers::run),
];

fn main() -> ExitCode {
    // The HTTP clients panic without a provider; there is no other to be in the way.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if std::env::args().any(|word| word == providers::fake::FLAG) {
        // Whoever gave orders has gone.
        let _ = providers::fake::serve();
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut report = Report::default();
    for (name, area) in AREAS {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        report.say(&format!("{name}: measuring"));
        match area() {
            Ok(figures) => report.add(name, figures),
            Err(error) => report.broken(name, &error),
        }
    }
    report.table();
    ExitCode::SUCCESS
}
