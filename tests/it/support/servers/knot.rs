//! Knot DNS with one key.

use std::fs;
use std::process::Command;

use super::{NameServer, documented, is_installed, secret};

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

/// Starts it with the settings that the documents show, on a loopback address and in a folder of its own.
pub async fn as_documented() -> Option<NameServer> {
    if !is_installed(PROGRAM, "--version") {
        return None;
    }
    let (home, at) = NameServer::place();
    let folder = home.path().display().to_string();
    let config = documented("knot.conf")
        .replace("server:\n", &format!("database:\n    storage: {folder}\nserver:\n    rundir: {folder}\n"))
        .replace("[ 0.0.0.0@53, ::@53 ]", &format!("{}@{}", at.ip(), at.port()))
        .replace("REPLACE-WITH-THE-SECRET", secret("k-default"))
        .replace("/var/lib/knot", &folder);
    let config = format!("log:\n  - target: stderr\n    any: info\n{config}");
    fs::write(home.path().join("knot.conf"), config).unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("-c").arg(home.path().join("knot.conf"));
    Some(NameServer::start(command, home, at, "server started").await)
}
