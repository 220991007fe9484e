//! The same API through `kubectl`, run as people run it: a binary, a kubeconfig, TLS. Outputs are compared by what
//! they say, not byte by byte, so that any kubectl from 1.28 on may be the one that speaks.

mod ask;
mod edit;
mod life;
mod ours;
mod show;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Env, conform};

/// Where the binary is; found, or fetched, once.
pub fn binary() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/kubectl.sh");
        let output = std::process::Command::new(&script).output().expect("tests/tools/kubectl.sh runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}

/// A kubectl with a home of its own, speaking to the place of one test.
pub struct Kubectl {
    home: TempDir,
    kubeconfig: PathBuf,
    ns: String,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Kubectl {
    pub async fn new(env: &Env) -> Kubectl {
        let home = tempfile::tempdir().unwrap();
        let kubeconfig = match (&env.kubeconfig, &env.plane) {
            (Some(path), _) => PathBuf::from(path),
            (None, Some(plane)) => {
                let bound = plane.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
                let file = home.path().join("kubeconfig");
                bound.write_kubeconfig(&file).unwrap();
                tokio::spawn(bound.serve(std::future::pending()));
                file
            }
            (None, None) => unreachable!("a test has a plane or a cluster"),
        };
        Kubectl { home, kubeconfig, ns: env.ns.clone() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).arg("--namespace").arg(&self.ns).arg("--kubeconfig").arg(&self.kubeconfig);
        command.env("HOME", self.home.path()).env_remove("KUBECONFIG").current_dir(self.home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn finish(mut command: Command, input: Option<&str>) -> Said {
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().expect("kubectl starts");
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            pipe.write_all(input.as_bytes()).await.unwrap();
        }
        let output = tokio::time::timeout(Duration::from_secs(90), child.wait_with_output());
        let output = output.await.expect("kubectl ends in time").unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Runs it, whatever comes.
    pub async fn run(&self, args: &[&str]) -> Said {
        Self::finish(self.command(args), None).await
    }

    /// Runs it; it must succeed. Gives its output.
    #[track_caller]
    pub fn ok<'a>(&'a self, args: &'a [&'a str]) -> impl Future<Output = String> + 'a {
        let at = std::panic::Location::caller();
        async move {
            let said = self.run(args).await;
            assert_eq!(said.code, 0, "{at}: kubectl {args:?}\n{}{}", said.out, said.err);
            said.out
        }
    }

    /// Runs it with something to read; it must succeed.
    #[track_caller]
    pub fn feed<'a>(&'a self, args: &'a [&'a str], input: &'a str) -> impl Future<Output = String> + 'a {
        let at = std::panic::Location::caller();
        async move {
            let said = Self::finish(self.command(args), Some(input)).await;
            assert_eq!(said.code, 0, "{at}: kubectl {args:?}\n{}{}", said.out, said.err);
            said.out
        }
    }

    /// Runs it with something to read, whatever comes.
    pub async fn try_feed(&self, args: &[&str], input: &str) -> Said {
        Self::finish(self.command(args), Some(input)).await
    }

    /// Runs it with an editor.
    pub async fn with_editor(&self, args: &[&str], editor: &str) -> Said {
        let mut command = self.command(args);
        command.env("KUBE_EDITOR", editor);
        Self::finish(command, None).await
    }

    /// Starts it and leaves it running, for watches.
    pub fn start(&self, args: &[&str]) -> tokio::process::Child {
        self.command(args).spawn().expect("kubectl starts")
    }

    /// An object as JSON.
    pub async fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        let out = self.ok(&args).await;
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// A file beside the kubeconfig.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    }
}

/// The rows of a table, cut at two spaces or more.
fn rows(table: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(str::to_owned).collect()
    };
    table.lines().map(cells).collect()
}

/// A thing as YAML.
fn thing(env: &Env, name: &str, spec: &str) -> String {
    format!("apiVersion: {}/v1\nkind: Thing\nmetadata:\n  name: {name}\nspec: {spec}\n", env.group)
}
