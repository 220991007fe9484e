//! PowerDNS over SQLite, with one key.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use super::{NameServer, is_installed, secret, skipped};

const PROGRAM: &str = "/usr/sbin/pdns_server";
const SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";

/// Starts it; none where it is not installed.
pub async fn server() -> Option<NameServer> {
    if !is_installed(PROGRAM, "--version") || !is_installed("sqlite3", "--version") {
        return None;
    }
    let Ok(schema) = File::open(SCHEMA) else {
        skipped(SCHEMA);
        return None;
    };
    let (home, at) = NameServer::place();
    let folder = home.path();
    let config = format!(
        "launch=gsqlite3\ngsqlite3-database={0}/zones.sqlite\ngsqlite3-pragma-synchronous=0\n\
         local-address={1}\nlocal-port={2}\nsocket-dir={0}\ndaemon=no\nguardian=no\n\
         dnsupdate=yes\nallow-dnsupdate-from={1}\nallow-axfr-ips=\nzone-cache-refresh-interval=0\n",
        folder.display(),
        at.ip(),
        at.port()
    );
    fs::write(folder.join("pdns.conf"), config).unwrap();
    let made = Command::new("sqlite3").arg(folder.join("zones.sqlite")).stdin(schema).status().unwrap();
    assert!(made.success());
    for key in ["k-default", "k-idle"] {
        tool(folder, &["import-tsig-key", key, "hmac-sha256", secret(key)]);
    }
    for zone in ["example.com", "sub.example.com"] {
        tool(folder, &["load-zone", zone, &format!("{zone}.zone")]);
        for right in ["TSIG-ALLOW-AXFR", "TSIG-ALLOW-DNSUPDATE"] {
            tool(folder, &["set-meta", zone, right, "k-default"]);
        }
    }
    let mut command = Command::new(PROGRAM);
    command.arg(format!("--config-dir={}", folder.display()));
    Some(NameServer::start(command, home, at, "ready to distribute questions").await)
}

fn tool(folder: &Path, args: &[&str]) {
    let mut command = Command::new("pdnsutil");
    command.arg(format!("--config-dir={}", folder.display())).args(args).current_dir(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
