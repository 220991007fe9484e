//! Real processes: `cocoasyncer standalone`, or `run` with a cluster, in a folder of its own, on ports that the system
//! chose, killed when dropped; its log is shown where a test fails. And the ways to talk to it: TLS by kubeconfig, HTTP,
//! DNS, the command line.

use std::fs;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::ran::{Ran, run};

mod talk;

/// The binary under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_cocoasyncer");
/// The examples' line table.
pub const LINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/examples/lines.txt");
/// How long whatever must come may take, on a machine that is busy.
pub const LONG: Duration = Duration::from_secs(45);

/// Waits until `is_so` gives something.
pub async fn wait<T, F: Future<Output = Option<T>>>(what: &str, is_so: impl FnMut() -> F) -> T {
    wait_within(what, LONG, is_so).await
}

/// Waits at most `within` until `is_so` gives something.
pub async fn wait_within<T, F: Future<Output = Option<T>>>(
    what: &str,
    within: Duration,
    mut is_so: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = is_so().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain until {what}", within.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A loopback address that no other site of this run has, so that a port that is free stays free across a restart.
/// Where the system knows 127.0.0.1 only, that one.
pub fn own_ip() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, high | 16, low, NEXT.fetch_add(1, Ordering::Relaxed));
    match TcpListener::bind((ip, 0)) {
        Ok(_) => ip.into(),
        Err(_) => Ipv4Addr::LOCALHOST.into(),
    }
}

/// Where a site listens.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Nothing listens there where the plane is a cluster's.
    pub plane: SocketAddr,
    pub api: SocketAddr,
    pub ops: SocketAddr,
    pub dns: SocketAddr,
}

/// One site.
pub struct Site {
    pub name: String,
    /// Its folder; `data` in it is the data directory.
    pub home: TempDir,
    pub at: At,
    /// Flags beside those of [`Site::command`].
    pub flags: Vec<String>,
    /// Its environment at its next start, beside HOME.
    pub environment: Vec<(String, String)>,
    /// The log filter at its next start.
    pub log_filter: String,
    /// The kubeconfig of the cluster that it works with; none: its plane is inside.
    pub cluster: Option<PathBuf>,
    child: Option<Child>,
}

impl Site {
    /// A site that does not run yet.
    pub fn new(name: &str, flags: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let any = SocketAddr::new(own_ip(), 0);
        Self {
            name: name.to_owned(),
            home: tempfile::tempdir().unwrap(),
            at: At { plane: any, api: any, ops: any, dns: any },
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            environment: Vec::new(),
            log_filter: "info".to_owned(),
            cluster: None,
            child: None,
        }
    }

    /// One that works with a cluster and does not run yet, with the examples' line table.
    #[allow(dead_code, reason = "the tests of a cluster are a binary of their own")]
    pub fn in_cluster(name: &str, kubeconfig: &str, flags: &[&str]) -> Self {
        let mut site = Self::new(name, &[&["--line-table", LINES][..], flags].concat());
        site.cluster = Some(site.write("kubeconfig", kubeconfig).into());
        site
    }

    /// A leader that runs and is ready, with the examples' line table, the lines `default` and CT, at 203.0.113.1.
    pub async fn leader(name: &str, flags: &[&str]) -> Self {
        let all = ["--lines", "default,CT", "--public-address", "203.0.113.1", "--line-table", LINES];
        let mut site = Self::new(name, &[&all[..], flags].concat());
        site.start().await;
        site
    }

    /// A follower that runs and is ready, with the examples' line table.
    pub async fn follower(name: &str, lines: &str, address: &str, flags: &[&str]) -> Self {
        let all = ["--work-mode", "follower", "--lines", lines, "--public-address", address];
        let mut site = Self::new(name, &[&all[..], &["--line-table", LINES], flags].concat());
        site.start().await;
        site
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.cluster.clone().unwrap_or_else(|| self.data().join("kubeconfig"))
    }

    /// A file in its folder.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// The program with an environment of its own.
    pub fn program(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("HOME", self.home.path());
        command.current_dir(self.home.path());
        command
    }

    /// What starts it.
    pub fn command(&self) -> Command {
        let At { plane, api, ops, dns } = self.at;
        let mut command = self.program();
        match &self.cluster {
            None => command.args(["standalone", "--plane-listen"]).arg(plane.to_string()),
            Some(kubeconfig) => command.args(["run", "--kubeconfig"]).arg(kubeconfig),
        };
        command.args(["--node", &self.name, "--log", &self.log_filter, "--data-dir"]).arg(self.data());
        for (flag, at) in [("--api", api), ("--ops", ops), ("--dns", dns)] {
            command.arg(format!("{flag}-listen")).arg(at.to_string());
        }
        command.args(&self.flags).envs(self.environment.iter().cloned());
        command
    }

    /// Starts it and waits until it is ready. Its ports are its own from then on.
    pub async fn start(&mut self) {
        self.spawn().await;
        wait("the site is ready", || async {
            let (status, _) = self.get(self.at.ops, "/readyz").await?;
            (status == 200).then_some(())
        })
        .await;
    }

    /// Starts it and waits until it listens.
    pub async fn spawn(&mut self) {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.home.path().join("log")).unwrap();
        let before = usize::try_from(log.metadata().unwrap().len()).unwrap();
        let child = self.command().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let pid = child.id();
        self.child = Some(child);
        self.at = wait("the site tells where it listens", || {
            assert!(self.running(), "{} ended by itself", self.name);
            let told = if self.cluster.is_some() { self.logged(before) } else { self.listed(pid) };
            std::future::ready(told)
        })
        .await;
    }

    /// Where it listens, by its data directory.
    fn listed(&self, pid: u32) -> Option<At> {
        let text = fs::read_to_string(self.data().join("listening.json")).ok()?;
        let told: Value = serde_json::from_str(&text).ok()?;
        let at = |value: &Value| value.as_str().unwrap().parse().unwrap();
        (told["pid"] == pid).then(|| At {
            plane: at(&told["plane"]),
            api: at(&told["api"]),
            ops: at(&told["ops"]),
            dns: at(&told["dns"][0]),
        })
    }

    /// The same by its log: in a cluster there is no data directory. `before` bytes are of earlier runs.
    fn logged(&self, before: usize) -> Option<At> {
        let log = self.log();
        let line = log.get(before..)?.split_inclusive('\n').find(|line| line.contains(" listening "))?;
        let at = |key: &str| {
            let (_, rest) = line.split_once(&format!(" {key}="))?;
            rest.split([' ', ',', '\n']).next()?.parse().ok()
        };
        Some(At { plane: self.at.plane, api: at("api")?, ops: at("ops")?, dns: at("dns")? })
    }

    /// Whether it has not ended by itself.
    pub fn running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// The number of its process, which was started.
    #[allow(dead_code, reason = "the tests of a cluster are a binary of their own")]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// SIGKILL, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and how it ended.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut ended = || child.try_wait().unwrap();
        wait("the site stops", || std::future::ready(ended())).await
    }

    /// Starts it where it must refuse to start.
    pub async fn refuses(&self) -> Ran {
        run(self.command(), "").await
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

#[allow(clippy::print_stderr, reason = "the harness shows what a failed test says there")]
impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(60);
            eprintln!("--- log of {} ---\n{}", self.name, lines[last..].join("\n"));
        }
    }
}

/// A client of HTTP that keeps no connection: a site that was killed must not be remembered.
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(20));
    client.build().unwrap()
}
