//! Name servers that take dynamic updates, as they are installed: each in a folder of its own, on a free port of a
//! loopback address, with throw-away zones, killed when dropped. Where one is not installed the test says so and ends.

pub mod bind;
pub mod knot;
pub mod pdns;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::SystemTime;

use cocoasyncer::api::vocab::Line;
use cocoasyncer::domain::marks::OwnerId;
use cocoasyncer::domain::secret::Secret;
use cocoasyncer::providers::local::Clock;
use cocoasyncer::providers::rfc2136::Rfc2136Provider;
use cocoasyncer::providers::rfc2136::account::Account;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::support::process::wait;

/// The zone that every server has; below it lies another, `sub`.
pub const ZONE: &str = "example.com";
/// Secret of a line's key, which is called `k-<line>`; and of `k-idle`, which may do nothing.
pub const SECRETS: [(&str, &str); 7] = [
    ("k-default", "ZGVmYXVsdC1zZWNyZXQtZGVmYXVsdC1zZWNyZXQtMDE="),
    ("k-ct", "Y3Qtc2VjcmV0LWN0LXNlY3JldC1jdC1zZWNyZXQtMDI="),
    ("k-cu", "Y3Utc2VjcmV0LWN1LXNlY3JldC1jdS1zZWNyZXQtMDM="),
    ("k-cmcc", "Y21jYy1zZWNyZXQtY21jYy1zZWNyZXQtY21jYy0wNA=="),
    ("k-cnedu", "Y25lZHUtc2VjcmV0LWNuZWR1LXNlY3JldC1jbmUtMDU="),
    ("k-oversea", "b3ZlcnNlYS1zZWNyZXQtb3ZlcnNlYS1zZWNyZXQtMDY="),
    ("k-idle", "aWRsZS1zZWNyZXQtaWRsZS1zZWNyZXQtaWRsZS1zMDc="),
];

/// What stands in [`ZONE`] from the start, and is nobody's of ours.
pub const FOREIGN: &str = "\
$TTL 3600
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
@ TXT \"v=spf1 -all\"
ns1 A 192.0.2.53
mail A 192.0.2.25
alias CNAME mail
old A 192.0.2.7
old TXT \"heritage=external-dns,external-dns/owner=prod,external-dns/resource=ingress/default/old\"
new A 192.0.2.8
a-new TXT \"heritage=external-dns,external-dns/owner=prod,external-dns/resource=ingress/default/new\"
";

/// The zone below.
pub const FOREIGN_BELOW: &str =
    "$TTL 3600\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.54\n";

/// The settings that the provider's document shows in the block called `what`.
fn documented(what: &str) -> String {
    let text = include_str!("../../../../docs/providers/rfc2136.md");
    let (_, rest) = text.split_once(&format!("```{what}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// The secret of a key.
pub fn secret(key: &str) -> &'static str {
    SECRETS.iter().find(|(name, _)| *name == key).unwrap().1
}

/// A running name server.
pub struct NameServer {
    /// Where it answers.
    pub at: SocketAddr,
    /// The lines it tells apart.
    pub lines: Vec<Line>,
    home: TempDir,
    child: Child,
}

impl NameServer {
    /// A free place for a server, with zone files in it.
    fn place() -> (TempDir, SocketAddr) {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("example.com.zone"), FOREIGN).unwrap();
        fs::write(home.path().join("sub.example.com.zone"), FOREIGN_BELOW).unwrap();
        (home, free())
    }

    async fn start(mut command: Command, home: TempDir, at: SocketAddr, ready: &'static str) -> Self {
        let log = File::create(home.path().join("log")).unwrap();
        command.current_dir(home.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let mut server = Self { at, lines: vec![Line::Default], home, child };
        let path = server.home.path().join("log");
        wait("the name server is ready", || {
            assert!(server.child.try_wait().unwrap().is_none(), "it ended:\n{}", read(&path));
            let is_ready = read(&path).contains(ready);
            async move { is_ready.then_some(()) }
        })
        .await;
        server
    }

    /// An account's Secret for it, with the key of each line.
    pub fn account(&self) -> BTreeMap<String, Secret> {
        let mut data = BTreeMap::from([("server".to_owned(), Secret::new(self.at.to_string()))]);
        for line in &self.lines {
            let key = format!("k-{}", line.as_str().to_lowercase());
            let end = if *line == Line::Default { String::new() } else { format!(".{line}") };
            data.insert(format!("accessSecret{end}"), Secret::new(secret(&key)));
            data.insert(format!("accessKey{end}"), Secret::new(key));
        }
        data
    }

    /// A provider for it.
    pub fn provider(&self) -> Rfc2136Provider {
        provider(&self.account())
    }

    /// A provider for it with some other settings.
    pub fn provider_with(&self, other: &[(&str, &str)]) -> Rfc2136Provider {
        let mut data = self.account();
        data.extend(other.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value))));
        provider(&data)
    }
}

#[allow(clippy::print_stderr, reason = "shown where a test fails")]
impl Drop for NameServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("log of the name server:\n{}", read(&self.home.path().join("log")));
        }
    }
}

/// A port of 127.0.0.1, where all of them listen (BIND only on addresses that an interface names). It lies below those
/// that the system gives to whoever asks, so that nobody is given it before the server has it.
fn free() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).unwrap();
    let ports = (0..1_000).map(|_| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000);
    let mut at = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    at.find(|at| TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()).unwrap()
}

fn read(path: &PathBuf) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// A provider for an account, with this machine's clock.
pub fn provider(data: &BTreeMap<String, Secret>) -> Rfc2136Provider {
    provider_at(data, 0)
}

/// A provider whose clock is ahead.
pub fn provider_at(data: &BTreeMap<String, Secret>, ahead: u64) -> Rfc2136Provider {
    let now = move || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + ahead;
    let clock: Clock = Arc::new(now);
    let me = OwnerId::parse("it", "").unwrap();
    Rfc2136Provider::new(Account::parse(data).unwrap(), me, clock, Default::default())
}

/// Runs `nsupdate` with the default line's key.
pub async fn nsupdate(server: &NameServer, script: &str) {
    let mut command = tokio::process::Command::new("nsupdate");
    command.arg("-v").args(["-y", &format!("hmac-sha256:k-default:{}", secret("k-default"))]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let script = format!("server {} {}\nzone {ZONE}\n{script}", server.at.ip(), server.at.port());
    child.stdin.take().unwrap().write_all(script.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Whether a program is there; says loudly where it is not.
fn is_installed(program: &str, flag: &str) -> bool {
    let there = Command::new(program).arg(flag).output().is_ok();
    if !there {
        skipped(program);
    }
    there
}

#[allow(clippy::print_stderr, reason = "a skip is loud")]
fn skipped(what: &str) {
    eprintln!("SKIPPED: {what} is not installed (.ci/run says which packages the tests need)");
}
