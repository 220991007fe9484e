//! The architecture as a test: which folder may name which, what the pure ones may not name at all, and that every file
//! says what it is for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module of the crate may name, itself apart. Only downwards.
const LAYERS: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("domain", &["api"]),
    ("telemetry", &["api", "domain"]),
    ("pki", &[]),
    ("watching", &["telemetry"]),
    ("catalog", &["domain", "telemetry"]),
    ("wire", &["api", "domain"]),
    ("providers", &["api", "domain", "telemetry"]),
    ("runtimes", &["api", "domain", "telemetry", "watching"]),
    ("peers", &["domain", "telemetry", "wire"]),
    ("dns", &["domain", "telemetry"]),
    ("controlplane", &["api", "domain", "telemetry", "pki"]),
    ("apiserver", &["api", "telemetry"]),
    (
        "controllers",
        &[
            "api",
            "domain",
            "telemetry",
            "pki",
            "watching",
            "catalog",
            "providers",
            "runtimes",
            "peers",
            "wire",
        ],
    ),
    ("http", &["api", "domain", "telemetry", "catalog", "wire"]),
    ("config", &["api", "domain"]),
    ("process", &["telemetry"]),
    (
        "assembly",
        &[
            "api",
            "domain",
            "telemetry",
            "pki",
            "catalog",
            "wire",
            "providers",
            "runtimes",
            "peers",
            "dns",
            "controlplane",
            "apiserver",
            "controllers",
            "http",
            "config",
            "process",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "domain",
            "telemetry",
            "watching",
            "catalog",
            "wire",
            "peers",
            "dns",
            "config",
            "process",
            "assembly",
        ],
    ),
];

/// What a pure module may not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("api", &["tokio", "kube::Client", "kube::runtime", "now()"]),
    (
        "domain",
        &[
            "tokio",
            "kube::",
            "axum",
            "bollard",
            "hickory",
            "reqwest",
            "tracing",
            "now()",
            "std::env",
            "std::fs",
            "std::net::Tcp",
            "std::net::Udp",
            "HashMap",
            "HashSet",
            "SystemRandom",
        ],
    ),
];

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, into),
            false if path.extension().is_some_and(|end| end == "rs") => into.push(path),
            false => {}
        }
    }
}

fn all() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let relative =
        |path: PathBuf| (path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
    paths.into_iter().map(relative).collect()
}

fn module(path: &Path) -> String {
    path.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The code without comments, string contents and inline test modules.
fn code(text: &str) -> String {
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let line = |line: &str| {
        let line = line.trim_start();
        if line.starts_with("//") {
            String::new()
        } else {
            line.split(" // ").next().unwrap_or(line).to_owned()
        }
    };
    text[..tests].lines().map(line).collect::<Vec<_>>().join("\n")
}

fn violations(path: &Path, text: &str) -> Vec<String> {
    let module = module(path);
    let code = code(text);
    let mut found = Vec::new();
    if let Some((_, may)) = LAYERS.iter().find(|(name, _)| *name == module) {
        for (other, _) in LAYERS {
            let names_it =
                code.contains(&format!("crate::{other}::")) || code.contains(&format!("crate::{other};"));
            if *other != module && !may.contains(other) && names_it {
                found.push(format!("{}: {module} may not name {other}", path.display()));
            }
        }
        if code.contains("crate::{") || code.contains("super::super::super") {
            found.push(format!("{}: name modules one by one, as crate::…", path.display()));
        }
    }
    for (_, words) in FORBIDDEN.iter().filter(|(name, _)| *name == module) {
        let named = words.iter().filter(|word| code.contains(*word) && !path.ends_with("laws.rs"));
        found.extend(named.map(|word| format!("{}: {module} may not name {word}", path.display())));
    }
    found
}

#[test]
fn dependencies_point_downwards_and_the_domain_is_pure() {
    let mut found = Vec::new();
    for (path, text) in all() {
        // CRDs are made from types by kube's derive; the client is what api may not name.
        let text = text.replace("use kube::{CustomResource, KubeSchema};", "").replace("kube::Resource", "");
        found.extend(violations(&path, &text));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_rules_catch_what_they_are_for() {
    let bad = "//! x\nuse crate::providers::DnsProvider;\nfn f() { let t = Timestamp::now(); }\n";
    let found = violations(Path::new("domain/x.rs"), bad);
    assert_eq!(found.len(), 2, "{found:?}");
    let fine =
        "//! x\n// crate::providers::DnsProvider\n#[cfg(test)]\nmod tests {\n use crate::providers::X;\n}\n";
    assert!(violations(Path::new("domain/x.rs"), fine).is_empty());
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    let mut found = Vec::new();
    for (path, text) in all() {
        if !text.starts_with("//! ") {
            found.push(format!("{}: does not open with //!", path.display()));
        }
        let lines = text.lines().count();
        if 600 < lines {
            found.push(format!("{}: {lines} lines, the budget is 350 and never over 600", path.display()));
        }
        if text.contains("To be written.") {
            found.push(format!("{}: is not written", path.display()));
        }
        if code(&text).contains("pub use ") {
            found.push(format!("{}: re-exports hide where a thing lives", path.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The places that may read a secret's text: who sends it, who stores it, who digests it.
const MAY_EXPOSE: &[&str] = &[
    "domain/secret.rs",
    "domain/app/instance.rs", // takes its secrets out of texts
    "domain/app/fill.rs",     // puts them into the template's variables
    "domain/app/fill/",       // the same
    "runtimes/",              // hands them to the engine, the cluster and its registries
    "wire/",
    // A cloud's calls are signed with the account's key, and its words are searched for it before they are repeated.
    "providers/ali/",
    "peers.rs",
    "peers/answers.rs",
    "providers/rfc2136/account.rs", // makes keys of them
    "controllers/app/choices.rs",   // stores it in its Secret
    "controllers/generation.rs",
    "controllers/node/own.rs",
    "http/push.rs",
    "http/snapshot.rs",
    "cli/",
];

#[test]
fn a_secret_is_exposed_only_where_it_must_be_sent_or_stored() {
    for (path, text) in all() {
        let path = path.to_string_lossy().into_owned();
        let may = MAY_EXPOSE.iter().any(|place| path.starts_with(place));
        assert!(may || !code(&text).contains(".expose()"), "{path}: exposes a secret");
    }
}
