//! Knot DNS with one key.

use std::fs;
use std::process::Command;

use super::{NameServer, is_installed, secret};

const PROGRAM: &str = "/usr/sbin/knotd";

/// Starts it; none where it is not installed.
pub async fn server() -> Option<NameServer> {
    if !is_installed(PROGRAM, "--version") {
        return None;
    }
    let (home, at) = NameServer::place();
    let folder = home.path().display();
    let key = |name| format!("- id: {name}\n    algorithm: hmac-sha256\n    secret: {}", secret(name));
    let zone = |name| format!("- domain: {name}\n    file: {folder}/{name}.zone\n    acl: all");
    let config = format!(
        "server:\n    rundir: {folder}\n    listen: {}@{}\n\
         log:\n  - target: stderr\n    any: info\n\
         database:\n    storage: {folder}\n\
         key:\n  {}\n  {}\n\
         acl:\n  - id: all\n    key: k-default\n    action: [transfer, update]\n\
         zone:\n  {}\n  {}\n",
        at.ip(),
        at.port(),
        key("k-default"),
        key("k-idle"),
        zone("example.com"),
        zone("sub.example.com"),
    );
    fs::write(home.path().join("knot.conf"), config).unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("-c").arg(home.path().join("knot.conf"));
    Some(NameServer::start(command, home, at, "server started").await)
}
