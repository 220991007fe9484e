//! A real Docker engine: one that runs already, else one that `tests/tools/engine.sh` starts. Each test has applications of
//! its own names, and what carries those names is gone when the test ends, however it ends.

pub mod own;
pub mod troubles;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use cocoasyncer::api::APP_LABEL;
use cocoasyncer::catalog::builtin;
use cocoasyncer::domain::app::fill::{self, Order};
use cocoasyncer::domain::app::instance::{AppKey, Choices, File, Files, Instance, Wanted};
use cocoasyncer::domain::app::observed::{Observed, Probe};
use cocoasyncer::domain::app::plan::{Step, plan};
use cocoasyncer::domain::app::registry::Credentials;
use cocoasyncer::domain::app::template::{Entry, Template};
use cocoasyncer::domain::app::verdict::Backend;
use cocoasyncer::domain::secret::Secret;
use cocoasyncer::runtimes::docker::DockerRuntime;
use cocoasyncer::runtimes::{Aid, Progress, Runtime, RuntimeError};

/// How long an application may take until it answers.
const PATIENCE: Duration = Duration::from_secs(120);
/// A password as an install makes them.
pub const PASSWORD: &str = "a1B2c3D4e5F6g7H8";
/// An image of a shell and small tools.
pub const TINY: &str = "cocoasyncer-test/tiny:1";

/// An engine and a folder for files.
pub struct Lab {
    /// What is tested.
    pub runtime: DockerRuntime,
    /// The same engine, for a look of one's own.
    pub docker: Docker,
    /// The folder of the applications' files.
    pub apps: tempfile::TempDir,
    socket: String,
    /// Where a site finds it; none: at its own socket.
    way: Option<String>,
    names: Mutex<BTreeSet<String>>,
    images: Mutex<BTreeSet<String>>,
}

/// The engine with these images in it; none where there is no engine.
pub async fn lab(images: &[&str]) -> Option<Lab> {
    Some(Lab::at(&engine()?, images).await)
}

/// Where an engine answers; none where there is none and none can be had, which is said.
#[allow(clippy::print_stderr, reason = "a skip is loud")]
pub fn engine() -> Option<String> {
    match tool("engine.sh", &[], None) {
        Ok(socket) => Some(socket),
        Err(why) => {
            let must = std::env::var_os("CI").is_some() || std::env::var_os("COCOA_REQUIRE_DOCKER").is_some();
            assert!(!must, "no Docker engine: {why}");
            eprintln!("skipped: no Docker engine, so nothing was run on one: {why}");
            None
        }
    }
}

async fn connect(socket: &str) -> Docker {
    let docker = Docker::connect_with_unix(socket, 60, API_DEFAULT_VERSION).unwrap();
    docker.negotiate_version().await.unwrap()
}

fn tool(name: &str, arguments: &[&str], engine: Option<&str>) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(name);
    let mut command = Command::new(path);
    command.args(arguments).envs(engine.map(|engine| ("DOCKER_HOST", engine)));
    let ran = command.output().map_err(|error| error.to_string())?;
    match ran.status.success() {
        true => Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&ran.stderr).into_owned()),
    }
}

/// A port that nobody has, and no other test gets.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        if GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// A template's folder as it is listed: the files and the folders above them.
fn entries(files: &BTreeMap<String, File>) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    for (path, file) in files {
        entries.insert(path.clone(), Entry::File(file.bytes.len() as u64));
        let above = Path::new(path).ancestors().skip(1).map(|path| path.to_string_lossy().into_owned());
        entries.extend(above.filter(|path| !path.is_empty()).map(|path| (path, Entry::Folder)));
    }
    entries
}

/// What an install has beside its template.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    pub version: &'a str,
    pub uid: &'a str,
    pub running: bool,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self { version: "1", uid: "uid-1", running: true }
    }
}

impl Lab {
    /// The engine behind a socket (`unix:///...`), with these images in it.
    pub async fn at(socket: &str, images: &[&str]) -> Self {
        tool("images.sh", &[&["tiny"], images].concat(), Some(socket)).unwrap();
        let apps = tempfile::tempdir().unwrap();
        let runtime = DockerRuntime::new(socket, apps.path()).unwrap();
        let docker = connect(socket).await;
        let (names, images) = (Mutex::default(), Mutex::default());
        Self { runtime, docker, apps, socket: socket.to_owned(), way: None, names, images }
    }

    /// The same, but a site asks it at `address`.
    pub fn asked_at(mut self, address: String) -> Self {
        self.way = Some(address);
        self
    }

    /// An image that goes with this lab, should it be there then.
    pub fn forgets(&self, image: &str) {
        self.images.lock().unwrap().insert(image.to_owned());
    }

    /// A name for an application that no other test has; what carries it goes with this lab.
    pub fn name(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        self.names.lock().unwrap().insert(name.clone());
        name
    }

    /// A built-in template under a name.
    pub fn built_in(&self, template: &str, name: &str, setting: Setting<'_>) -> Instance {
        let found = builtin::templates().into_iter().find(|known| known.name == template).unwrap();
        self.fill(&found, builtin::files(template), name, setting)
    }

    /// A compose document, and files beside it, under a name.
    pub fn composed(
        &self,
        compose: &str,
        files: &[(&str, &str, u32)],
        name: &str,
        setting: Setting<'_>,
    ) -> Instance {
        let variables = r#"{"name":"made","trademark":"Made","release":true,"edition":[{"dist":"community","version":["1","2"]}]}"#;
        let env = "W9_REPO=x\nW9_DIST=community\nW9_VERSION=1\nW9_ID=made\nW9_NETWORK=cocoasyncer-tests\n";
        let file = |(path, text, mode): &(&str, &str, u32)| {
            let bytes: Arc<[u8]> = text.as_bytes().into();
            ((*path).to_owned(), File { bytes, mode: *mode })
        };
        let files: BTreeMap<_, _> = files.iter().map(file).collect();
        let template = Template {
            name: "made".into(),
            compose: Some(compose.as_bytes().to_vec()),
            env: Some(env.as_bytes().to_vec()),
            metadata: Some(variables.as_bytes().to_vec()),
            entries: entries(&files),
            troubles: Vec::new(),
        };
        self.fill(&template, files, name, setting)
    }

    fn fill(&self, template: &Template, files: Files, name: &str, setting: Setting<'_>) -> Instance {
        static PORTS: Mutex<BTreeMap<(String, String), u16>> = Mutex::new(BTreeMap::new());
        let key = AppKey { namespace: "default".into(), name: name.into() };
        let wanted = fill::wanted_ports(template, &BTreeMap::new());
        let mut known = PORTS.lock().unwrap();
        let ports = wanted.into_iter().map(|port| {
            let number = *known.entry((name.to_owned(), port.key.clone())).or_insert_with(free_port);
            (port.key, number)
        });
        let choices =
            Choices { password: Secret::new(PASSWORD), code: "abc123".into(), ports: ports.collect() };
        let order = Order {
            key: &key,
            uid: setting.uid,
            version: setting.version,
            variables: &BTreeMap::new(),
            secret_variables: &BTreeMap::new(),
            choices: &choices,
            pull_secret: None,
            domain: None,
            host: Some("127.0.0.1"),
            resources: None,
            allowed: &BTreeSet::new(),
            wanted: Wanted { running: setting.running, restarted: None },
            backend: Backend::Docker,
        };
        fill::instantiate(template, Arc::new(files), &order).unwrap()
    }

    /// Where a site finds the engine: `unix:///...`.
    pub fn address(&self) -> &str {
        self.way.as_deref().unwrap_or(&self.socket)
    }

    /// Where the engine listens: a path.
    pub fn socket(&self) -> &str {
        self.socket.trim_start_matches("unix://")
    }

    /// Takes one step.
    pub async fn step(&self, instance: &Instance, step: &Step) -> Result<(), RuntimeError> {
        let credentials = Credentials::default();
        let aid = Aid { credentials: &credentials, progress: &|_: Progress| {} };
        self.runtime.step(instance, step, aid).await
    }

    /// One turn: looks, plans and takes all steps; those that were taken.
    pub async fn turn(&self, instance: &Instance) -> Vec<Step> {
        let seen = self.runtime.observe(instance).await.unwrap();
        let planned = plan(instance, &seen, &BTreeSet::new(), Backend::Docker);
        for step in &planned.steps {
            self.step(instance, step).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        }
        planned.steps
    }

    /// Turns until nothing is left to do; the last look.
    pub async fn settles(&self, instance: &Instance) -> Observed {
        self.wait("everything stands", async || {
            self.turn(instance).await;
            let seen = self.runtime.observe(instance).await.unwrap();
            plan(instance, &seen, &BTreeSet::new(), Backend::Docker).is_done().then_some(seen)
        })
        .await
    }

    /// Turns until it answers.
    pub async fn answers(&self, instance: &Instance) -> Observed {
        self.wait("it answers", async || {
            let seen = self.settles(instance).await;
            (self.runtime.probe(instance, &seen).await == Probe::Answers).then_some(seen)
        })
        .await
    }

    /// Asks until `is_so` gives something.
    pub async fn wait<T>(&self, what: &str, mut is_so: impl AsyncFnMut() -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = is_so().await {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Runs a command in a container; its output.
    pub async fn exec(&self, container: &str, command: &[&str]) -> String {
        use bollard::exec::StartExecResults;
        use bollard::models::ExecConfig;
        use futures::StreamExt;
        let config = ExecConfig {
            cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let made = self.docker.create_exec(container, config).await.unwrap();
        let StartExecResults::Attached { mut output, .. } =
            self.docker.start_exec(&made.id, None::<bollard::exec::StartExecOptions>).await.unwrap()
        else {
            panic!("a detached exec");
        };
        let mut text = String::new();
        while let Some(Ok(piece)) = output.next().await {
            text += &piece.to_string();
        }
        text
    }

    /// What carries an application's name: containers, volumes and networks.
    pub async fn things(&self, name: &str) -> Vec<String> {
        things(&self.docker, name).await.into_iter().map(|(kind, name)| format!("{kind} {name}")).collect()
    }
}

async fn things(docker: &Docker, app: &str) -> Vec<(&'static str, String)> {
    let filter: HashMap<String, Vec<String>> = [("label".into(), vec![format!("{APP_LABEL}={app}")])].into();
    let containers = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
    let containers = docker.list_containers(Some(containers)).await.unwrap();
    let name = |names: Option<Vec<String>>| names.into_iter().flatten().next().unwrap();
    let mut all: Vec<_> = containers
        .into_iter()
        .map(|it| ("container", name(it.names).trim_start_matches('/').to_owned()))
        .collect();
    let volumes = ListVolumesOptionsBuilder::new().filters(&filter).build();
    let volumes = docker.list_volumes(Some(volumes)).await.unwrap().volumes.unwrap_or_default();
    all.extend(volumes.into_iter().map(|volume| ("volume", volume.name)));
    let networks = ListNetworksOptionsBuilder::new().filters(&filter).build();
    let networks = docker.list_networks(Some(networks)).await.unwrap();
    all.extend(networks.into_iter().map(|network| ("network", network.name.unwrap())));
    all.sort();
    all
}

impl Drop for Lab {
    fn drop(&mut self) {
        let (socket, names) = (self.socket.clone(), self.names.lock().unwrap().clone());
        let images = self.images.lock().unwrap().clone();
        // The test's own runtime can't be waited for from within.
        let clearing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                // An engine that the test stopped took everything with it.
                let Ok(docker) = Docker::connect_with_unix(&socket, 60, API_DEFAULT_VERSION) else { return };
                let Ok(docker) = docker.negotiate_version().await else { return };
                for app in names {
                    // Containers come first in the order of the alphabet, and hold the others.
                    for (kind, name) in things(&docker, &app).await {
                        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
                        let _ = match kind {
                            "container" => docker.remove_container(&name, Some(force)).await,
                            "volume" => docker.remove_volume(&name, None::<RemoveVolumeOptions>).await,
                            _ => docker.remove_network(&name).await,
                        };
                    }
                }
                for image in images {
                    let force = RemoveImageOptionsBuilder::new().force(true).build();
                    let _ = docker.remove_image(&image, Some(force), None).await;
                }
            });
        });
        let _ = clearing.join();
    }
}
