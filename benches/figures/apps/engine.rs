//! Engines to measure with: one that runs already, one of our own with room for a hundred networks, and a proxy before
//! one that counts what it is asked.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Runs one of the tests' tools; what it prints.
pub fn tool(name: &str, arguments: &[&str], host: Option<&str>) -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(name);
    let mut command = Command::new(path);
    command.args(arguments);
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    let ran = command.output().with_context(|| format!("run {name}"))?;
    ensure!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr).trim());
    Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
}

/// An engine of our own: a usual one has addresses for some thirty networks, and every application has one.
pub struct Engine {
    dir: TempDir,
    child: Child,
}

impl Engine {
    /// Starts it, and waits until it answers.
    pub fn start(base: &Path) -> anyhow::Result<Self> {
        // A socket's path is short.
        let dir = tempfile::Builder::new().prefix("fig").tempdir_in(base)?;
        let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        std::fs::write(at("none.json"), "{}")?;
        let log = std::fs::File::create(at("log"))?;
        let mut command = Command::new("dockerd");
        command.args(["--config-file", &at("none.json"), "-H", &format!("unix://{}", at("s"))]);
        command.args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")]);
        // Another engine's packet filters are not ours to write.
        command.args(["--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        command.args(["--default-address-pool", "base=10.231.0.0/16,size=24"]);
        // An interrupt of the bench is not its own: it is ended in order.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().context("start dockerd, which an engine of our own needs")?;
        let mut engine = Self { dir, child };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !engine.answers() {
            let ended = engine.child.try_wait()?;
            let log = || std::fs::read_to_string(engine.dir.path().join("log")).unwrap_or_default();
            ensure!(ended.is_none(), "dockerd ended: {}", log().lines().last().unwrap_or_default());
            ensure!(Instant::now() < deadline, "dockerd does not answer within 60 s");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(engine)
    }

    /// Where it listens.
    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("s").display())
    }

    fn answers(&self) -> bool {
        let asked = Command::new("docker").args(["-H", &self.host(), "version"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It stops its containers and takes its mounts away; nobody is left to hear of a failure.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(90);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls by what they ask for, without names.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<String, u64>>>);

impl Calls {
    fn note(&self, what: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many.
    pub fn sum(&self) -> u64 {
        self.all().values().sum()
    }
}

/// A proxy before `engine`, which counts; it listens at what is returned.
pub fn counting(engine: &str, dir: &Path) -> anyhow::Result<(PathBuf, Calls)> {
    let (at, calls) = (dir.join("counting"), Calls::default());
    let listener = UnixListener::bind(&at)?;
    let (engine, counted) = (engine.trim_start_matches("unix://").to_owned(), calls.clone());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, engine.clone(), counted.clone()));
        }
    });
    Ok((at, calls))
}

async fn pass(client: UnixStream, engine: String, calls: Calls) -> std::io::Result<()> {
    let engine = UnixStream::connect(engine).await?;
    let (mut from, mut back) = client.into_split();
    let (mut answers, mut to) = engine.into_split();
    let asks = async {
        let mut piece = vec![0; 16 << 10];
        loop {
            let read = from.read(&mut piece).await?;
            let Some(piece) = piece.get(..read).filter(|piece| !piece.is_empty()) else { break };
            if let Some(what) = request(piece) {
                calls.note(what);
            }
            to.write_all(piece).await?;
        }
        to.shutdown().await
    };
    let (asked, _) = tokio::join!(asks, tokio::io::copy(&mut answers, &mut back));
    asked
}

/// What a piece asks for that begins a request: who asks waits for the answer before the next one.
fn request(piece: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(piece);
    let mut words = text.lines().next()?.split(' ');
    let (method, path, version) = (words.next()?, words.next()?, words.next()?);
    if !version.starts_with("HTTP/1") {
        return None;
    }
    let path = path.split('?').next()?;
    let steps: Vec<&str> =
        path.split('/').filter(|step| !step.is_empty() && !step.starts_with("v1.")).collect();
    let (first, last) = (steps.first()?, steps.get(1..).and_then(<[&str]>::last));
    let last = last.filter(|last| ["json", "create", "start", "stop", "events", "connect"].contains(last));
    Some(format!("{method} {first}{}", last.map(|last| format!(" {last}")).unwrap_or_default()))
}
