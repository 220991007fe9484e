//! The engine stopped, killed and started under us: the status says so, and everything comes back by itself.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::support::apps::{Host, shows};
use crate::support::engine::{Lab, free_port, lab};
use crate::support::process::{wait, wait_within};

/// An engine of the test's own: with its own containers' supervisor, folders and networks.
struct Engine {
    home: TempDir,
    socket: String,
    child: Option<Child>,
}

impl Engine {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let socket = format!("unix://{}/d.sock", home.path().display());
        let mut engine = Self { home, socket, child: None };
        engine.again().await;
        engine
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    async fn again(&mut self) {
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
        command.args(["--default-address-pool", "base=10.211.0.0/16,size=24", "--shutdown-timeout", "5"]);
        command.args(["-H", &self.socket]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        wait("the engine answers", || async {
            let asked = Command::new("docker").args(["-H", &self.socket, "version"]).output().unwrap();
            asked.status.success().then_some(())
        })
        .await;
    }

    async fn ends(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else { return };
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut ended = || child.try_wait().unwrap();
        wait_within("the engine ends", crate::support::apps::PATIENCE, || std::future::ready(ended())).await;
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

async fn says(host: &Host, name: &str, reason: &str) {
    host.wait(&format!("its status says {reason}"), async || {
        host.condition(name, "Ready").await.filter(|found| found.0 == reason)
    })
    .await;
    assert_eq!(host.status(name).await.as_deref(), Some("error"));
}

#[tokio::test]
async fn an_engine_that_goes_and_comes_is_told_and_everything_runs_again() {
    // Where no engine can run, none of the test's own can either.
    let Some(known) = lab(&[]).await else { return };
    drop(known);
    assert!(Path::new("/usr/sbin/dockerd").exists(), "an engine of the test's own needs dockerd");
    let mut engine = Engine::start().await;
    let lab = Lab::at(&engine.socket, &[]).await;
    let (name, still) = (&lab.name(), &lab.name());
    let mut host = Host::start(lab, &[], &[]).await;
    let variables = json!({ "W9_HTTP_PORT_SET": free_port().to_string() });
    host.apply(name, json!({ "appName": "pair", "appVersion": "1", "variables": variables })).await;
    host.runs(name).await;
    host.install("pair", "1", still).await;
    host.runs(still).await;
    host.operate("AppStop", still).await;
    host.becomes(still, "stopped").await;
    let chosen = host.chosen(name).await;
    host.shell(name, "echo kept > /data/page").await;
    for (round, signal) in [Signal::TERM, Signal::KILL].into_iter().enumerate() {
        engine.ends(signal).await;
        says(&host, name, "RuntimeUnreachable").await;
        if round == 1 {
            // Without an engine we start all the same, and say so.
            host.falls().await;
            says(&host, name, "RuntimeUnreachable").await;
        }
        engine.again().await;
        host.runs(name).await;
        shows(chosen.1, "/page", "kept").await;
        assert_eq!(host.chosen(name).await, chosen);
        host.becomes(still, "stopped").await;
    }
    for name in [name, still] {
        host.uninstalls(name, &[]).await;
        host.left_nothing(name).await;
    }
    drop(host);
    engine.ends(Signal::TERM).await;
}
