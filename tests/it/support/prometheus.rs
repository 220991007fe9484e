//! Prometheus and promtool as Debian packages them: rules and metrics checked, and a server of a test's own that scrapes an
//! operator, on a port that the system chose, killed when dropped.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::{http, wait};
use crate::support::ran::{Ran, run};

/// The folder that both programs lie in.
pub struct Tools(PathBuf);

/// Both programs; none where they are not to be had, which is said.
#[allow(clippy::print_stderr, reason = "a skip is loud")]
pub fn tools() -> Option<Tools> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/prometheus.sh");
    let ran = Command::new(script).output().unwrap();
    if !ran.status.success() {
        let why = String::from_utf8_lossy(&ran.stderr);
        assert!(std::env::var_os("CI").is_none(), "no Prometheus: {why}");
        eprintln!("skipped: no Prometheus, so neither metrics nor alerts were checked: {why}");
        return None;
    }
    Some(Tools(String::from_utf8_lossy(&ran.stdout).trim().into()))
}

impl Tools {
    /// Runs promtool to its end.
    pub async fn promtool(&self, words: &[&str], input: &str) -> Ran {
        let mut command = Command::new(self.0.join("promtool"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(words);
        run(command, input).await
    }

    /// A server that scrapes `target` every second and knows the chart's rules.
    pub async fn scrape(&self, target: SocketAddr) -> Prometheus {
        let home = tempfile::tempdir().unwrap();
        let (log, config) = (home.path().join("log"), home.path().join("prometheus.yml"));
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/cocoasyncer/files/rules.yaml");
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [{}]\nscrape_configs:\n\
             - job_name: cocoasyncer\n  static_configs: [{{ targets: [\"{target}\"] }}]\n",
            rules.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(self.0.join("prometheus"));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", home.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap());
        let child = command.spawn().unwrap();
        // Where it listens, it says in its log only.
        let at = wait("Prometheus tells where it listens", || async {
            let said = fs::read_to_string(&log).ok()?;
            let line = said.lines().find(|line| line.contains("msg=\"Listening on\""))?;
            line.split_once("address=")?.1.trim().parse().ok()
        })
        .await;
        Prometheus { at, child, _home: home }
    }
}

/// A running server.
pub struct Prometheus {
    at: SocketAddr,
    child: Child,
    _home: TempDir,
}

impl Prometheus {
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let request = http().get(format!("http://{}/api/v1/{path}", self.at)).query(query);
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The values of an expression now; or why it can't be evaluated.
    pub async fn query(&self, expression: &str) -> Result<Vec<f64>, String> {
        let answer = self.get("query", &[("query", expression)]).await;
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        let samples = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        Ok(samples.iter().filter_map(|sample| sample["value"][1].as_str()?.parse().ok()).collect())
    }

    /// All rules, with what became of their last evaluation.
    pub async fn rules(&self) -> Vec<Value> {
        let answer = self.get("rules", &[]).await;
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect()
    }

    /// Values that a label has.
    pub async fn label_values(&self, label: &str, of: &str) -> Vec<Value> {
        let answer = self.get(&format!("label/{label}/values"), &[("match[]", of)]).await;
        answer["data"].as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
