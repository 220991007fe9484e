//! The demo's three sites: their ports, files and processes. What they should answer is the demo's business.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child, Command};

use crate::api::vocab::Line;
use crate::cli::error::CliError;
use crate::dns::ask::ask;

/// The names that are asked for.
pub const NAMES: [&str; 2] = ["test.example.com", "test2.example.com"];
const SECRET: &str = "only-for-the-demo";
const TABLE: &str = include_str!("../../../manifests/examples/lines.txt");

/// One site.
pub struct Site {
    /// Its name.
    pub name: &'static str,
    /// Its public address.
    pub public: String,
    dns: SocketAddr,
    api: u16,
    dir: PathBuf,
    child: Option<Child>,
}

/// An address on each line of the examples' table.
fn on_line(line: Line) -> &'static str {
    match line {
        Line::Default => "203.0.113.0/24",
        Line::CT => "192.0.2.0/26",
        Line::CU => "192.0.2.64/26",
        Line::CMCC => "192.0.2.128/26",
        Line::CNEdu => "192.0.2.192/26",
        Line::OverSea => "198.51.100.0/24",
    }
}

/// What `site` answers for `name` to somebody on `line`: one address.
pub async fn answers(site: &Site, name: &str, line: Line) -> Option<String> {
    let subnet = on_line(line).parse().ok();
    let reply = ask(site.dns, name, "A", subnet, Duration::from_millis(500)).await.ok()?;
    reply.values("A").pop()
}

/// Three sites with free ports and their files in `dir`.
pub fn prepare(dir: &Path) -> Result<Vec<Site>, CliError> {
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let mut sites = Vec::new();
    for (name, public) in [("a", "203.0.113.1"), ("b", "203.0.113.2"), ("c", "203.0.113.3")] {
        let (dns, api) = (free_dns()?, free_tcp()?);
        let dir = dir.join(name);
        fs::create_dir_all(dir.join("manifests")).with_context(|| format!("make {}", dir.display()))?;
        sites.push(Site { name, public: public.into(), dns, api, dir, child: None });
    }
    let table = dir.join("lines.txt");
    fs::write(&table, TABLE).with_context(|| format!("write {}", table.display()))?;
    fs::write(dir.join("secret"), SECRET).context("write the demo's secret")?;
    let manifest = sites[0].dir.join("manifests/cluster.yaml");
    fs::write(&manifest, cluster(&sites)).with_context(|| format!("write {}", manifest.display()))?;
    Ok(sites)
}

fn cluster(sites: &[Site]) -> String {
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: demo, namespace: cocoasyncer-system}}\nstringData: {{cocoaSecret: {SECRET}}}\n"
    );
    let mode = |name| if name == "a" { "leader" } else { "follower" };
    let lines = |name| match name {
        "a" => "[default, CT, OverSea]",
        "b" => "[CU, CMCC]",
        _ => "[CNEdu]",
    };
    let addresses = |site: &Site| {
        if site.name == "a" { format!(", addresses: {{fixed: [{}]}}", site.public) } else { String::new() }
    };
    let node = |site: &Site| {
        let (name, api) = (site.name, site.api);
        format!(
            "apiVersion: cocoasyncer.io/v1alpha1\nkind: CocoaNode\nmetadata: {{name: {name}}}\nspec: {{nodeName: {name}, nodeCode: {name}, nodeAddress: 'http://127.0.0.1:{api}', workMode: {}, isps: {}, secretRef: {{name: demo}}{}}}\n",
            mode(name),
            lines(name),
            addresses(site),
        )
    };
    let service = |name: &&str| {
        let record = name.split('.').next().unwrap_or(name);
        format!(
            "apiVersion: cocoasyncer.io/v1alpha1\nkind: ManagedService\nmetadata: {{name: {record}}}\nspec: {{serviceName: {record}, domain: example.com, record: {record}}}\n"
        )
    };
    let all = std::iter::once(secret).chain(sites.iter().map(node)).chain(NAMES.iter().map(service));
    all.collect::<Vec<_>>().join("---\n")
}

/// A port that is free for UDP and TCP now; whoever takes it meanwhile makes the site's start fail, and says so.
fn free_dns() -> Result<SocketAddr, CliError> {
    for _ in 0..64 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
        let at = udp.local_addr().context("find a free port")?;
        if TcpListener::bind(at).is_ok() {
            return Ok(at);
        }
    }
    Err(CliError::failed("no port is free for both UDP and TCP"))
}

fn free_tcp() -> Result<u16, CliError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

impl Site {
    /// Starts the site's process; its log is appended to `log` in its folder.
    pub fn start(&mut self) -> Result<(), CliError> {
        let parent = self.dir.parent().unwrap_or(&self.dir);
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir.join("log"));
        let log = log.with_context(|| format!("open the log in {}", self.dir.display()))?;
        let program = std::env::current_exe().context("find this program")?;
        let mut command = Command::new(program);
        command
            .args([
                "standalone",
                "--node",
                self.name,
                "--node-code",
                self.name,
                "--plane-listen",
                "127.0.0.1:0",
            ])
            .args([
                "--ops-listen",
                "127.0.0.1:0",
                "--work-mode",
                if self.name == "a" { "leader" } else { "follower" },
            ])
            .args(["--public-address", &self.public, "--dns-listen", &self.dns.to_string()])
            .args(["--api-listen", &format!("127.0.0.1:{}", self.api)])
            .arg("--data-dir")
            .arg(self.dir.join("data"))
            .arg("--secret-file")
            .arg(parent.join("secret"))
            .arg("--line-table")
            .arg(parent.join("lines.txt"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        if self.name == "a" {
            command.arg("--manifests").arg(self.dir.join("manifests"));
        }
        self.child = Some(command.spawn().with_context(|| format!("start site {}", self.name))?);
        Ok(())
    }

    /// Kills the process as a power cut would.
    pub async fn kill(&mut self) -> Result<(), CliError> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.with_context(|| format!("kill site {}", self.name))?;
        }
        Ok(())
    }

    /// Fails where a site that should run has ended by itself.
    pub fn must_run(&mut self) -> Result<(), CliError> {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        match ended {
            Some(status) => Err(CliError::failed(format!("site {} ended by itself: {status}", self.name))),
            None => Ok(()),
        }
    }
}
