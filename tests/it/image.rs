//! The image, on a real engine: small, bare, without rights, and it answers. And the list of what it is made of.
//! `COCOA_TEST_IMAGE` names the image, as `make image` prints it (`make image-test` does both); without it the tests of it
//! say that they skip. One of the profile dev is tested in all but its size.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cocoasyncer::dns::ask::ask;
use serde_json::Value;

use crate::support::engine::engine;
use crate::support::process::{http, wait};
use crate::support::ran::{Ran, run};

/// The promise: 25 MiB.
const MOST: u64 = 25 << 20;
/// What `--user` says, and what the image says by itself.
const USER: &str = "65532:65532";

/// The image under test and where it lies.
struct Image {
    name: String,
    engine: String,
}

/// The image; none where there is none to be tested, which is said.
#[allow(clippy::print_stderr, reason = "a skip is loud")]
#[expect(clippy::disallowed_methods, reason = "tests have no command line of their own")]
fn image() -> Option<Image> {
    let engine = engine()?;
    match std::env::var("COCOA_TEST_IMAGE") {
        Ok(name) => Some(Image { name, engine }),
        Err(_) => {
            eprintln!("skipped: the image was not tested: COCOA_TEST_IMAGE=$(make -s image)");
            None
        }
    }
}

impl Image {
    async fn docker(&self, words: &[&str]) -> Ran {
        self.docker_with(words, "").await
    }

    async fn docker_with(&self, words: &[&str], input: &str) -> Ran {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", &self.engine).args(words);
        run(command, input).await
    }

    /// A container that runs with nothing that a container can do without, gone when the value is.
    async fn start(&self, name: &str, network: &str) -> Running<'_> {
        let name = format!("{name}-{}", std::process::id());
        let volume = format!("{name}-data");
        let words = format!(
            "run -d --name {name} --network {network} --read-only --user {USER} --cap-drop ALL \
             --security-opt no-new-privileges -v {volume}:/data {} standalone --node a --lines default \
             --public-address 203.0.113.1 --api-listen 0.0.0.0:44443 --ops-listen 0.0.0.0:44480 \
             --dns-listen 0.0.0.0:1053",
            self.name
        );
        let words: Vec<&str> = words.split(' ').collect();
        let mut running = Running { image: self, name: name.clone(), volume, ip: [0, 0, 0, 0].into() };
        self.docker(&words).await.done();
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let ip = self.docker(&["inspect", "-f", format, &name]).await.done();
        running.ip = ip.trim().parse().unwrap();
        running.ready().await
    }
}

struct Running<'a> {
    image: &'a Image,
    name: String,
    volume: String,
    ip: IpAddr,
}

impl Running<'_> {
    async fn get(&self, port: u16, path: &str) -> Option<(u16, String)> {
        let answer =
            http().get(format!("http://{}{path}", SocketAddr::new(self.ip, port))).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    async fn ready(self) -> Self {
        wait("the container is ready", || async {
            (self.get(44480, "/readyz").await?.0 == 200).then_some(())
        })
        .await;
        self
    }

    /// The program once more in the container, as `docker exec` starts it.
    async fn exec(&self, words: &[&str], input: &str) -> Ran {
        let all = [&["exec", "-i", &self.name, "/cocoasyncer"], words].concat();
        self.image.docker_with(&all, input).await
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let docker = |words: &[&str]| {
            // A container that was never made can't be removed, and nothing else can be done about one that stays.
            let _ = Command::new("docker").env("DOCKER_HOST", &self.image.engine).args(words).output();
        };
        docker(&["rm", "-f", &self.name]);
        docker(&["volume", "rm", "-f", &self.volume]);
    }
}

#[tokio::test]
#[allow(clippy::print_stderr, reason = "a skip is loud")]
async fn it_is_small_and_holds_the_program_and_the_roots_alone() {
    let Some(image) = image() else { return };
    let seen = &image.docker(&["image", "inspect", &image.name]).await.json()[0];
    let config = &seen["Config"];
    let size = seen["Size"].as_u64().unwrap();
    match config["Labels"]["io.cocoasyncer.profile"].as_str() {
        Some("dev") => eprintln!("skipped: the image's size was not tested: it is of the profile dev"),
        _ => assert!(size <= MOST, "{size} octets are more than {MOST}"),
    }
    assert_eq!((config["User"].as_str(), &config["Cmd"]), (Some(USER), &Value::Null));
    assert_eq!(config["Entrypoint"], serde_json::json!(["/cocoasyncer"]));
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str();
    assert_eq!(label("version"), Some(env!("CARGO_PKG_VERSION")));
    for name in ["title", "description", "licenses", "vendor", "revision", "created"] {
        assert!(label(name).is_some_and(|text| !text.is_empty()), "no label {name}");
    }
    let made = image.docker(&["create", &image.name]).await.done();
    let made = made.trim();
    let command = format!("docker export {made} | tar -t");
    let mut shell = Command::new("bash");
    shell.env("DOCKER_HOST", &image.engine).args(["-o", "pipefail", "-c", &command]);
    let list = run(shell, "").await.done();
    image.docker(&["rm", made]).await.done();
    // What an engine puts into every container.
    let engine = ["etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", ".dockerenv"];
    let outside = |file: &&str| !file.ends_with('/') && !engine.contains(file) && !file.starts_with("dev/");
    let files: BTreeSet<&str> = list.lines().filter(outside).collect();
    assert_eq!(files, BTreeSet::from(["cocoasyncer", "etc/ssl/certs/ca-certificates.crt"]));
}

#[tokio::test]
async fn it_tells_its_version_without_a_network() {
    let Some(image) = image() else { return };
    let words = ["run", "--rm", "--network", "none", "--read-only", &image.name, "--version"];
    assert_eq!(image.docker(&words).await.done().trim(), concat!("cocoasyncer ", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn it_serves_without_rights_on_a_root_that_can_not_be_written() {
    let Some(image) = image() else { return };
    let network = Network::new(&image, "serves").await;
    let site = image.start("cocoasyncer-test-image", &network.name).await;
    let add = ["service", "add", "www.example.com", "--name", "www"];
    site.exec(&add, "").await.done();
    let dns = SocketAddr::new(site.ip, 1053);
    wait("its DNS server answers", || async {
        let reply = ask(dns, "www.example.com", "A", None, Duration::from_secs(5)).await.ok()?;
        (reply.values("A") == ["203.0.113.1"]).then_some(())
    })
    .await;
    let body = serde_json::json!({"cocoaSecret": "wrong"}).to_string();
    let url = format!("http://{}:44443/v1/getClusterInfo", site.ip);
    let asked = http().post(url).header("content-type", "application/json").body(body).send().await.unwrap();
    let answer: Value = serde_json::from_str(&asked.text().await.unwrap()).unwrap();
    assert_eq!(answer["statusCode"], 401, "{answer}");
    let (code, metrics) = site.get(44480, "/metrics").await.unwrap();
    assert!(code == 200 && metrics.contains("cocoasyncer_"), "{metrics}");
    drop(site);
}

/// A static program brings its own resolver; that it works where there is nothing else is to be seen.
#[tokio::test]
async fn it_finds_others_by_name() {
    let Some(image) = image() else { return };
    let network = Network::new(&image, "names").await;
    let (a, b) = tokio::join!(
        image.start("cocoasyncer-test-names-a", &network.name),
        image.start("cocoasyncer-test-names-b", &network.name)
    );
    let join = |host: String| {
        let a = &a;
        async move { a.exec(&["node", "join", &format!("http://{host}:44443"), "--yes"], "wrong\n").await }
    };
    join(b.name.clone()).await.refused(1, &["refused the secret"]);
    let nowhere = join("nowhere.invalid".into()).await;
    assert!(nowhere.code == 1 && !nowhere.err.contains("refused the secret"), "{nowhere:?}");
    drop((a, b));
}

struct Network<'a> {
    image: &'a Image,
    name: String,
}

impl<'a> Network<'a> {
    async fn new(image: &'a Image, of: &str) -> Self {
        let network = Self { image, name: format!("cocoasyncer-test-{of}-{}", std::process::id()) };
        image.docker(&["network", "create", &network.name]).await.done();
        network
    }
}

impl Drop for Network<'_> {
    fn drop(&mut self) {
        let mut docker = Command::new("docker");
        // One that stays is seen by the next `docker network create` of its name.
        let _ = docker.env("DOCKER_HOST", &self.image.engine).args(["network", "rm", &self.name]).output();
    }
}

fn lock() -> BTreeMap<(String, String), Option<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let text = std::fs::read_to_string(path).unwrap();
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")))?;
        Some(line.trim_matches('"').to_owned())
    };
    let blocks = text.split("[[package]]").skip(1);
    blocks
        .map(|b| ((value(b, "name").unwrap(), value(b, "version").unwrap()), value(b, "checksum")))
        .collect()
}

async fn components() -> (String, Value) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/sbom.py");
    let mut command = Command::new("python3");
    command.arg(script).current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO", env!("CARGO"));
    let text = run(command, "").await.done();
    let document = serde_json::from_str(&text).unwrap();
    (text, document)
}

#[tokio::test]
async fn the_list_of_components_is_what_the_lock_file_has_and_no_more() {
    let (text, document) = components().await;
    assert_eq!(document["bomFormat"], "CycloneDX");
    assert_eq!(document["metadata"]["component"]["name"], "cocoasyncer");
    let locked = lock();
    let list = document["components"].as_array().unwrap();
    let mut names = BTreeSet::new();
    for one in list {
        let part = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let (name, version) = (part("name"), part("version"));
        let sum = locked.get(&(name.clone(), version.clone())).unwrap_or_else(|| panic!("{name} {version}"));
        assert_eq!(one["hashes"][0]["content"].as_str(), sum.as_deref(), "{name}");
        assert!(one["licenses"][0]["expression"].is_string(), "{name} has no licence");
        assert_eq!(part("purl"), format!("pkg:cargo/{name}@{version}"));
        names.insert(name);
    }
    for linked in ["kube", "tokio", "ring", "rustls", "redb", "hickory-proto", "clap"] {
        assert!(names.contains(linked), "{linked} is missing");
    }
    for other in ["proptest", "tempfile", "serde_derive", "cc"] {
        assert!(!names.contains(other), "{other} is in no program");
    }
    let known: BTreeSet<&str> =
        document["dependencies"].as_array().unwrap().iter().filter_map(|d| d["ref"].as_str()).collect();
    assert_eq!(known.len(), list.len() + 1, "one row each, and the program's own");
    assert_eq!(components().await.0, text, "the same sources, the same document");
}
