//! The chart by a real Helm: what each value changes, what is refused, that the objects are valid and hardened, and a
//! release's life. The API server is the embedded plane; where Helm waits for what a cluster's controllers do,
//! [`cluster`] plays them.

mod cluster;
mod life;
mod manifests;
mod objects;
mod refusals;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use cocoasyncer::controlplane::ControlPlane;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::pinned_kind;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The release's namespace.
const NAMESPACE: &str = "cocoasyncer-system";
/// How long one order may take on a busy machine.
const LONG: Duration = Duration::from_secs(300);

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of these tests.
fn table(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("tests/it/helm").join(name)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// The documents of a manifest.
fn documents(manifest: &str) -> Vec<Value> {
    let parts = manifest.split("\n---\n").map(|part| part.trim_start_matches("---\n"));
    let read =
        |part: &str| serde_saphyr::from_str::<Value>(part).unwrap_or_else(|err| panic!("{err}: {part}"));
    parts.map(read).filter(|document| !document.is_null()).collect()
}

/// A Python that has Helm; found, or made, once.
fn python() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let output = std::process::Command::new(root().join("tests/tools/helm.sh")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}

/// A Helm, and an API server of its own.
struct Helm {
    client: Client,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _child: Child,
    _home: TempDir,
    _plane: ControlPlane,
}

impl Helm {
    /// With a plane that has the release's namespace and nothing else.
    async fn new() -> Self {
        Self::beside(&[]).await
    }

    /// With a plane that has these objects too.
    async fn beside(others: &[Value]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let home = tempfile::tempdir().unwrap();
        let plane = ControlPlane::in_memory().await.unwrap();
        let bound = plane.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let kubeconfig = home.path().join("kubeconfig");
        bound.write_kubeconfig(&kubeconfig).unwrap();
        tokio::spawn(bound.serve(std::future::pending()));
        let client = plane.client();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        apply(&client, &namespace).await;
        for other in others {
            apply(&client, other).await;
        }
        let mut command = Command::new(python());
        command.arg(root().join("tests/tools/helm.py")).arg(&kubeconfig).arg(NAMESPACE);
        command.arg(root().join("charts/cocoasyncer")).env("HOME", home.path()).env_remove("KUBECONFIG");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let output = BufReader::new(output).lines();
        Self { client, input, output, _child: child, _home: home, _plane: plane }
    }

    /// Gives an order; answers what came of it.
    async fn ask(&mut self, order: Value) -> Value {
        self.input.write_all(format!("{order}\n").as_bytes()).await.unwrap();
        let line = tokio::time::timeout(LONG, self.output.next_line()).await.expect("Helm answers in time");
        serde_json::from_str(&line.unwrap().expect("Helm lives")).unwrap()
    }

    /// Gives an order that must succeed.
    async fn done(&mut self, order: Value) -> Value {
        let said = self.ask(order.clone()).await;
        assert!(said.get("error").is_none(), "{order}: {said}");
        said
    }

    /// Gives an order that must fail; answers why.
    async fn refused(&mut self, order: Value) -> String {
        let said = self.ask(order.clone()).await;
        said["error"].as_str().unwrap_or_else(|| panic!("{order} was not refused")).to_owned()
    }

    /// The chart's objects and its test's, installed with these values and removed again.
    async fn render(&mut self, values: &Value) -> Objects {
        Objects::of(&self.done(json!({"do": "render", "values": values})).await)
    }
}

/// A release's objects.
struct Objects(Vec<Value>);

impl Objects {
    fn of(release: &Value) -> Self {
        let mut all = documents(release["manifest"].as_str().unwrap());
        let hooks = release["hooks"].as_array().into_iter().flatten();
        all.extend(hooks.flat_map(|hook| documents(hook.as_str().unwrap())));
        Self(all)
    }

    /// `Kind/name`, or `Kind/namespace/name` for one beside the release's namespace.
    fn get(&self, named: &str) -> Option<&Value> {
        let parts: Vec<&str> = named.split('/').collect();
        let (kind, name) = (parts[0], parts[parts.len() - 1]);
        let namespace = if parts.len() == 3 { parts[1] } else { NAMESPACE };
        let is = |object: &&Value| {
            let meta = &object["metadata"];
            let there = meta["namespace"].as_str().unwrap_or(namespace) == namespace;
            object["kind"] == kind && meta["name"] == name && there
        };
        self.0.iter().find(is)
    }

    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// The operator's environment.
    fn env(&self) -> BTreeMap<String, String> {
        let deployment = self.of_kind("Deployment").next().unwrap();
        let list = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        list.iter().map(|one| (text(&one["name"]), text(&one["value"]))).collect()
    }
}

/// Applies an object of any kind.
async fn apply(client: &Client, object: &Value) {
    let (group, version) = match object["apiVersion"].as_str().unwrap().split_once('/') {
        Some((group, version)) => (group, version),
        None => ("", "v1"),
    };
    let kind = GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap());
    let (resource, _) = pinned_kind(client, &kind).await.unwrap();
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object["metadata"]["name"].as_str().unwrap();
    api.patch(name, &PatchParams::apply("test"), &Patch::Apply(object)).await.unwrap();
}

/// What a cluster with the Prometheus operator and the Gateway API has.
fn others() -> Vec<Value> {
    documents(&std::fs::read_to_string(root().join("tests/it/helm/others.yaml")).unwrap())
}
