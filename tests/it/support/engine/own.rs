//! A Docker engine of a test's own, to be ended, started, starved: nobody else's runs on it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::apps::PATIENCE;
use crate::support::process::{wait, wait_within};

fn mount(words: &[&str], home: &TempDir) -> Result<(), String> {
    let ran = Command::new("mount").args(words).arg(home.path().join("data")).output().unwrap();
    let said = || format!("mount {words:?}: {}", String::from_utf8_lossy(&ran.stderr));
    if ran.status.success() { Ok(()) } else { Err(said()) }
}

/// An engine with its own containers' supervisor, folders and networks.
pub struct Engine {
    home: TempDir,
    /// Where it answers: `unix:///...`.
    pub socket: String,
    pool: &'static str,
    child: Option<Child>,
}

impl Engine {
    /// One that runs, with these addresses for networks (`base=NET,size=BITS`).
    pub async fn start(pool: &'static str) -> Self {
        Self::over(tempfile::tempdir().unwrap(), pool).await
    }

    /// One whose disk is a piece of memory, so that it can be full: see [`Engine::leaves`].
    pub async fn on_small_disk(pool: &'static str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("data")).unwrap();
        mount(&["-t", "tmpfs", "-o", "size=4g", "cocoasyncer-tests"], &home).unwrap();
        Self::over(home, pool).await
    }

    async fn over(home: TempDir, pool: &'static str) -> Self {
        assert!(Path::new("/usr/sbin/dockerd").exists(), "an engine of the test's own needs dockerd");
        let socket = format!("unix://{}/d.sock", home.path().display());
        let mut engine = Self { home, socket, pool, child: None };
        engine.again().await;
        engine
    }

    /// Leaves its small disk so many KiB beside what is in use.
    pub async fn leaves(&self, kib: u64) {
        wait("its disk is as small as it shall be", || async {
            let stat = rustix::fs::statvfs(self.home.path().join("data")).unwrap();
            let size = ((stat.f_blocks - stat.f_bfree) * stat.f_frsize).div_ceil(1024) + kib;
            // What the engine wrote since the look may be more than that: then it is looked again.
            mount(&["-o", &format!("remount,size={size}k")], &self.home).ok()
        })
        .await;
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    /// Starts it, on what was there before.
    pub async fn again(&mut self) {
        std::fs::write(self.path("empty.json"), "{}").unwrap();
        let _ = std::fs::remove_file(self.path("d.pid"));
        // A killed engine leaves its containers' supervisor behind, and a new one may wait for it in vain.
        let left = std::fs::read_to_string(self.path("exec/containerd/containerd.pid")).ok();
        if let Some(pid) = left.and_then(|text| Pid::from_raw(text.trim().parse().ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
            let _ = std::fs::remove_dir_all(self.path("exec/containerd"));
        }
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new("dockerd");
        let own = [
            ("--config-file", "empty.json"),
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "d.pid"),
        ];
        for (flag, name) in own {
            command.arg(flag).arg(self.path(name));
        }
        // Of the host's network it touches only bridges of its own, and no filters: another engine has those.
        command.args([
            "--bridge",
            "none",
            "--iptables=false",
            "--ip6tables=false",
            "--storage-driver",
            "vfs",
        ]);
        command.args(["--default-address-pool", self.pool, "--shutdown-timeout", "5"]);
        command.args(["-H", &self.socket]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        wait("the engine answers", || async {
            let asked = Command::new("docker").args(["-H", &self.socket, "version"]).output().unwrap();
            asked.status.success().then_some(())
        })
        .await;
    }

    /// Ends it.
    pub async fn ends(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else { return };
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut ended = || child.try_wait().unwrap();
        wait_within("the engine ends", PATIENCE, || std::future::ready(ended())).await;
    }
}

#[allow(clippy::print_stderr, reason = "the harness shows what a failed test says there")]
impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the engine's log ---\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
        // Orderly, that its containers' supervisor ends too.
        if let Some(mut child) = self.child.take() {
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            let _ = child.wait();
        }
        let _ = Command::new("umount")
            .arg("-R")
            .arg(self.home.path().join("data"))
            .stderr(Stdio::null())
            .status();
    }
}
