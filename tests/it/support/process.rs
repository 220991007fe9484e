//! Real processes: `cocoasyncer standalone` in a folder of its own, on ports that the system chose, killed when dropped;
//! its log is shown where a test fails. And the ways to talk to it: TLS by kubeconfig, HTTP, DNS, the command line.

use std::fs;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use cocoasyncer::api::node::CocoaNode;
use cocoasyncer::api::service::ManagedService;
use cocoasyncer::dns::ask::{Reply, ask};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::ran::{Ran, run};

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
    /// The log filter at its next start.
    pub log_filter: String,
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
            log_filter: "info".to_owned(),
            child: None,
        }
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
        self.data().join("kubeconfig")
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
        command
            .args(["standalone", "--node", &self.name, "--log", &self.log_filter])
            .arg("--data-dir")
            .arg(self.data());
        for (flag, at) in [("--plane", plane), ("--api", api), ("--ops", ops), ("--dns", dns)] {
            command.arg(format!("{flag}-listen")).arg(at.to_string());
        }
        command.args(&self.flags);
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
        let child = self.command().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let pid = child.id();
        self.child = Some(child);
        let file = self.data().join("listening.json");
        let told = wait("the site tells where it listens", || {
            assert!(self.running(), "{} ended by itself", self.name);
            let told: Option<Value> =
                fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok());
            async move { told.filter(|told| told["pid"] == pid) }
        })
        .await;
        let at = |value: &Value| value.as_str().unwrap().parse().unwrap();
        self.at = At {
            plane: at(&told["plane"]),
            api: at(&told["api"]),
            ops: at(&told["ops"]),
            dns: at(&told["dns"][0]),
        };
    }

    fn running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
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

    /// A client over TLS, by the kubeconfig.
    pub async fn client(&self) -> Client {
        let file = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }

    pub async fn services(&self) -> Api<ManagedService> {
        Api::namespaced(self.client().await, "default")
    }

    pub async fn nodes(&self) -> Api<CocoaNode> {
        Api::all(self.client().await)
    }

    /// Runs a command of the command line.
    pub async fn cli(&self, words: &[&str]) -> Ran {
        self.cli_with(words, "").await
    }

    /// The same with `input` on its standard input.
    pub async fn cli_with(&self, words: &[&str], input: &str) -> Ran {
        let mut command = self.program();
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(words);
        run(command, input).await
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Waits until its log holds all `parts` in one line.
    pub async fn says(&self, parts: &[&str]) {
        wait(&format!("{} says {parts:?}", self.name), || async {
            self.log().lines().any(|line| parts.iter().all(|part| line.contains(part))).then_some(())
        })
        .await;
    }

    /// GET; `None` where nobody answers.
    pub async fn get(&self, at: SocketAddr, path: &str) -> Option<(u16, String)> {
        let answer = http().get(format!("http://{at}{path}")).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// POST of a body to the v1 API.
    pub async fn post(&self, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request = http().post(format!("http://{}{path}", self.at.api)).header("content-type", kind);
        let answer = request.body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    /// A call of the v1 API: its statusCode and the whole answer.
    pub async fn call(&self, route: &str, body: &Value) -> (i64, Value) {
        let (_, answer) = self.post(&format!("/v1/{route}"), "application/json", body.to_string()).await;
        (answer["statusCode"].as_i64().unwrap_or_default(), answer)
    }

    /// Asks its DNS server; `None` where nobody answers.
    pub async fn ask(&self, name: &str, kind: &str, subnet: Option<&str>) -> Option<Reply> {
        let subnet = subnet.map(|subnet| subnet.parse().unwrap());
        ask(self.at.dns, name, kind, subnet, Duration::from_secs(5)).await.ok()
    }

    /// The one A record of a name for somebody in `subnet`.
    pub async fn a(&self, name: &str, subnet: &str) -> Option<String> {
        self.ask(name, "A", Some(subnet)).await?.values("A").pop()
    }

    /// Waits until the A record of a name for somebody in `subnet` is `address`.
    pub async fn answers(&self, name: &str, subnet: &str, address: &str) {
        wait(&format!("{} answers {address} for {name} from {subnet}", self.name), || async {
            (self.a(name, subnet).await.as_deref() == Some(address)).then_some(())
        })
        .await;
    }

    /// Applies objects as they stand in a manifest.
    pub async fn apply(&self, object: Value) -> Result<(), kube::Error> {
        use kube::core::{DynamicObject, GroupVersionKind, TypeMeta};
        let types: TypeMeta = serde_json::from_value(object.clone()).unwrap();
        let kind = GroupVersionKind::try_from(&types).unwrap();
        let resource = kube::core::ApiResource::from_gvk(&kind);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client().await, namespace, &resource),
            None => Api::all_with(self.client().await, &resource),
        };
        api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.map(drop)
    }

    /// The secret of its own node, as stored.
    pub async fn secret(&self) -> String {
        let secrets: Api<Secret> = Api::namespaced(self.client().await, "cocoasyncer-system");
        let data = secrets.get(&self.name).await.unwrap().data.unwrap();
        String::from_utf8(data["cocoaSecret"].0.clone()).unwrap()
    }

    /// The reason of a service's condition `kind`.
    pub async fn reason(&self, service: &str, kind: &str) -> Option<(String, String)> {
        let status = self.services().await.get(service).await.ok()?.status?;
        let found = status.conditions.into_iter().find(|condition| condition.type_ == kind)?;
        Some((found.reason, found.message))
    }

    /// Waits until a service's condition `kind` has this reason; returns the message.
    pub async fn becomes(&self, service: &str, kind: &str, reason: &str) -> String {
        wait(&format!("{service} has {kind} {reason}"), || async {
            self.reason(service, kind).await.filter(|found| found.0 == reason).map(|found| found.1)
        })
        .await
    }

    /// A sample of the metrics at the operations port.
    pub async fn metric(&self, sample: &str) -> Option<f64> {
        let (_, text) = self.get(self.at.ops, "/metrics").await?;
        text.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
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
