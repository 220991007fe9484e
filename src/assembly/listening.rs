//! Where the process listens, ports as bound: told in the log and, where the plane lies inside, in a file of the data
//! directory, so that scripts that asked for port 0 find what they got.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;
use tracing::info;

use crate::config::FirstNode;

/// The file's name in the data directory. It is there while the process runs; after a crash its `pid` is nobody's.
pub const FILE: &str = "listening.json";

/// All addresses of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The control plane; none: it lies in a cluster.
    pub plane: Option<SocketAddr>,
    /// The v1 API.
    pub api: SocketAddr,
    /// Health, readiness and metrics.
    pub ops: SocketAddr,
    /// DNS.
    pub dns: Vec<SocketAddr>,
    /// The webhook; none: it is off.
    pub webhook: Option<SocketAddr>,
}

impl Listening {
    /// Tells them in the log.
    pub fn tell(&self) {
        let dns: Vec<String> = self.dns.iter().map(ToString::to_string).collect();
        info!(api = %self.api, ops = %self.ops, dns = %dns.join(","), "listening");
        if let Some(address) = self.webhook {
            info!(%address, "the webhook listens");
        }
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        // Where the plane lies inside there is no webhook.
        let Self { plane, api, ops, dns, webhook: _ } = self;
        let all = json!({"pid": std::process::id(), "plane": plane, "api": api, "ops": ops, "dns": dns});
        let fresh = dir.join(format!("{FILE}.new"));
        fs::write(&fresh, format!("{all}\n"))?;
        fs::rename(fresh, dir.join(FILE))
    }

    /// Removes the file: nobody listens there any more.
    pub fn forget(&self, dir: &Path) {
        // One that stays does no harm: its pid is nobody's.
        let _ = fs::remove_file(dir.join(FILE));
    }

    /// Puts the port that the system chose into the address that peers are told.
    pub fn complete(&self, node: &mut FirstNode) {
        if let Some(base) = node.address.strip_suffix(":0") {
            node.address = format!("{base}:{}", self.api.port());
        }
    }
}
