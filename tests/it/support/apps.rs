//! A site that runs applications on a real Docker engine: the App API with its token, App objects, templates of the test,
//! and what stands at the engine. The site is killed before what it made is taken away, however the test ends.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptions;
use cocoasyncer::api::app::App;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::engine::Lab;
use crate::support::process::{Site, http, wait_within};

/// How long an application may take for a change, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// Two services with one volume, which do what the files in it say: `db` is well and `web` answers, with version `gated`
/// not before the files `go-db` and `go-web` are there; `db` does not stop while `hold` is there; version `bad` spoils
/// `page` and ends.
const PAIR: &str = r#"services:
  db:
    image: cocoasyncer-test/tiny:1
    container_name: $W9_ID-db
    restart: unless-stopped
    init: true
    stop_grace_period: 60s
    command:
      - sh
      - -c
      - |
        trap 'while [ -e /data/hold ]; do sleep 0.1; done; exit 0' TERM
        while :; do sleep 1 & wait $$!; done
    healthcheck:
      test: ["CMD-SHELL", "[ $W9_VERSION != gated ] || [ -e /data/go-db ]"]
      interval: 1s
      retries: 200
    volumes: ["data:/data"]
  web:
    image: cocoasyncer-test/tiny:1
    container_name: $W9_ID
    restart: unless-stopped
    init: true
    environment: {WORD: $W9_POWER_PASSWORD}
    command:
      - sh
      - -c
      - |
        if [ $W9_VERSION = bad ]; then echo spoilt > /data/page; echo "no such luck"; exit 7; fi
        mkdir /www; ln -s /data/page /www/page; echo $W9_VERSION > /www/version
        exec httpd -f -p 80 -h /www
    depends_on:
      db: {condition: service_healthy}
    healthcheck:
      test: ["CMD-SHELL", "wget -q -O - http://127.0.0.1/version && { [ $W9_VERSION != gated ] || [ -e /data/go-web ]; }"]
      interval: 1s
      retries: 200
    ports: ["$W9_HTTP_PORT_SET:80"]
    volumes: ["data:/data"]
volumes:
  data:
networks:
  default:
    name: $W9_NETWORK
    external: true
"#;

/// A site and the engine it works on. The order matters: the site ends first.
pub struct Host {
    pub site: Site,
    pub lab: Lab,
}

/// What of an application's container must be the same again after an accident that is none of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub name: String,
    pub id: String,
    pub started: String,
}

impl Host {
    /// A site that runs, with these templates: name and compose document. `pair` is always there.
    pub async fn start(lab: Lab, templates: &[(&str, &str)], flags: &[&str]) -> Self {
        Self::start_with(lab, templates, flags, |_| ()).await
    }

    /// The same, with `more` in the catalogue's folder.
    pub async fn start_with(
        lab: Lab,
        templates: &[(&str, &str)],
        flags: &[&str],
        more: impl FnOnce(&Path),
    ) -> Self {
        let all = ["--public-address", "203.0.113.1", "--app-host", "127.0.0.1", "--docker", lab.address()];
        let mut site = Site::new("a", &[&all[..], flags].concat());
        let liked = liked();
        for (name, compose) in [("pair", PAIR)].iter().chain(templates) {
            template(&site, name, compose, liked);
        }
        let catalog = site.home.path().join("catalog");
        more(&catalog);
        site.flags.extend(["--catalog".to_owned(), catalog.display().to_string()]);
        site.start().await;
        Self { site, lab }
    }

    /// SIGKILL, and another start.
    pub async fn falls(&mut self) {
        self.site.kill();
        self.site.start().await;
    }

    /// A call of the App API.
    pub async fn call(&self, action: &str, query: &[(&str, &str)]) -> (u16, Value) {
        let tokens = std::fs::read_to_string(self.site.data().join("app-tokens")).unwrap();
        let mut rows = tokens.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row.get(1) == Some(&"operate")).unwrap();
        let request = http().post(format!("http://{}/{action}", self.site.at.api));
        let answer = request.query(query).bearer_auth(row[2]).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    /// A call that must succeed; its `ResponseData`.
    pub async fn done(&self, action: &str, query: &[(&str, &str)]) -> Value {
        let (status, answer) = self.call(action, query).await;
        assert!(status == 200 && answer.get("Error").is_none(), "{action} {query:?}: {status} {answer}");
        answer["ResponseData"].clone()
    }

    /// Installs by the App API.
    pub async fn install(&self, app: &str, version: &str, name: &str) {
        let query = [("app_name", app), ("customer_app_name", name), ("app_version", version)];
        assert_eq!(self.done("AppInstall", &query).await, json!({ "app_id": name }));
    }

    /// Asks for `action` by the App API.
    pub async fn operate(&self, action: &str, name: &str) {
        assert_eq!(self.done(action, &[("app_id", name)]).await, json!({ "app_id": name }));
    }

    /// The status by the App API; none: there is no such application.
    pub async fn status(&self, name: &str) -> Option<String> {
        let (status, answer) = self.call("AppStatus", &[("app_id", name)]).await;
        match answer["Error"]["Code"].as_str() {
            Some("Param.APPID.NotExist") => None,
            Some(other) => panic!("AppStatus {name}: {status} {other}"),
            None => Some(answer["ResponseData"]["status"].as_str().unwrap().to_owned()),
        }
    }

    /// Waits until the App API calls it so.
    pub async fn becomes(&self, name: &str, status: &str) {
        self.wait(&format!("{name} is {status}"), async || {
            let now = self.status(name).await;
            (now.as_deref() == Some(status)).then_some(())
        })
        .await;
    }

    /// Waits until it runs, which it must not fail to do on the way; what AppList tells of how it is reached.
    pub async fn runs(&self, name: &str) -> Value {
        self.becomes(name, "running").await;
        let list = self.done("AppList", &[("customer_app_name", name)]).await;
        assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
        assert!(list[0]["running_info"].is_object(), "it ran a moment ago: {list}; {}", self.picture().await);
        list[0]["running_info"].clone()
    }

    /// Removes by the App API and waits until it is gone.
    pub async fn uninstalls(&self, name: &str, query: &[(&str, &str)]) {
        self.done("AppUninstall", &[&[("app_id", name)], query].concat()).await;
        self.gone(name).await;
    }

    /// Waits until the App is gone.
    pub async fn gone(&self, name: &str) {
        let what = format!("{name} is gone");
        self.wait(&what, async || self.status(name).await.is_none().then_some(())).await;
    }

    /// That an uninstall with its data left nothing: at the engine, of folders, of Secrets.
    pub async fn left_nothing(&self, name: &str) {
        assert_eq!(self.lab.things(name).await, Vec::<String>::new());
        assert!(!self.site.data().join("apps").join(name).exists(), "its folder stands");
        assert_eq!(self.secrets(name).await, Vec::<String>::new());
    }

    /// The Secrets of an application.
    pub async fn secrets(&self, name: &str) -> Vec<String> {
        let all = Api::<Secret>::all(self.site.client().await).list(&ListParams::default()).await.unwrap();
        let names = all.items.into_iter().filter_map(|secret| secret.metadata.name);
        names
            .filter(|secret| secret == &format!("app-{name}") || secret.starts_with(&format!("app-{name}-")))
            .collect()
    }

    /// The App objects.
    pub async fn apps(&self) -> Api<App> {
        self.apps_in("default").await
    }

    /// Those of a namespace.
    pub async fn apps_in(&self, namespace: &str) -> Api<App> {
        Api::namespaced(self.site.client().await, namespace)
    }

    /// An App object.
    pub async fn app(&self, name: &str) -> App {
        self.apps().await.get(name).await.unwrap()
    }

    /// Applies an App object.
    pub async fn apply(&self, name: &str, spec: Value) {
        self.apply_in("default", name, spec).await.unwrap();
    }

    /// Applies an App object in a namespace.
    pub async fn apply_in(&self, namespace: &str, name: &str, spec: Value) -> Result<(), kube::Error> {
        let metadata = json!({ "name": name, "namespace": namespace });
        let app = json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "App", "metadata": metadata, "spec": spec});
        self.site.apply(app).await
    }

    /// Changes an App's spec as `kubectl patch` does.
    pub async fn edit(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.apps().await.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Deletes an App object.
    pub async fn delete(&self, name: &str) {
        self.apps().await.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// The step of the change of version that is under way.
    pub async fn upgrade_step(&self, name: &str) -> Option<String> {
        Some(self.app(name).await.status?.upgrade?.step)
    }

    /// The reason and the words of a condition.
    pub async fn condition(&self, name: &str, kind: &str) -> Option<(String, String)> {
        let status = self.app(name).await.status?;
        let found = status.conditions.into_iter().find(|condition| condition.type_ == kind)?;
        Some((found.reason, found.message))
    }

    /// The password that an install chose, and its port.
    pub async fn chosen(&self, name: &str) -> (String, u16) {
        let secrets: Api<Secret> = Api::namespaced(self.site.client().await, "default");
        let data = secrets.get(&format!("app-{name}")).await.unwrap().data.unwrap();
        let ports: Value = serde_json::from_slice(&data["ports.json"].0).unwrap();
        let port = ports[0]["port"].as_u64().unwrap();
        (String::from_utf8(data["password"].0.clone()).unwrap(), u16::try_from(port).unwrap())
    }

    /// Its containers, by name.
    pub async fn standing(&self, name: &str) -> Vec<Standing> {
        let mut all = Vec::new();
        for thing in self.lab.things(name).await {
            let Some(name) = thing.strip_prefix("container ") else { continue };
            // Between the list and the look it may go.
            let Some(found) = self.inspect(name).await else { continue };
            let started = found.state.and_then(|state| state.started_at).unwrap_or_default();
            all.push(Standing { name: name.to_owned(), id: found.id.unwrap(), started });
        }
        all
    }

    /// A container.
    pub async fn inspect(&self, name: &str) -> Option<ContainerInspectResponse> {
        self.lab.docker.inspect_container(name, None::<InspectContainerOptions>).await.ok()
    }

    /// Runs a line of shell in a container.
    pub async fn shell(&self, container: &str, line: &str) -> String {
        self.lab.exec(container, &["sh", "-c", line]).await.trim().to_owned()
    }

    /// Waits until `is_so` gives something; what stands is shown when it does not.
    pub async fn wait<T: Debug>(&self, what: &str, mut is_so: impl AsyncFnMut() -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = is_so().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain until {what}; {}", self.picture().await),
        }
    }

    async fn picture(&self) -> String {
        let Ok(apps) = self.apps().await.list(&ListParams::default()).await else { return String::new() };
        let status = |app: &App| json!({ "spec": app.spec, "status": app.status });
        let apps: BTreeMap<_, _> = apps.iter().map(|app| (app.metadata.name.clone(), status(app))).collect();
        serde_json::to_string_pretty(&json!(apps.into_iter().collect::<Vec<_>>())).unwrap()
    }
}

/// A port that the templates of one site would like, and those of no other site of this run do: what is tested elsewhere
/// shall not happen by chance. It lies below those that the system gives to whoever asks for any.
fn liked() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    10_000 + std::process::id() % 2000 * 10 + NEXT.fetch_add(1, Ordering::Relaxed) * 4
}

/// Writes a template of the test's own catalogue, with a port that it would like, and versions 1, 2, gated and bad.
fn template(site: &Site, name: &str, compose: &str, port: u32) {
    let folder = site.home.path().join("catalog").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let env = "W9_REPO=x\nW9_DIST=community\nW9_VERSION=1\nW9_ID=made\nW9_NETWORK=cocoasyncer-tests\n\
               W9_POWER_PASSWORD=made\nW9_HTTP_PORT=80\nW9_URL=internet_ip:$W9_HTTP_PORT_SET\n";
    let env = format!("{env}W9_HTTP_PORT_SET={port}\n");
    let edition = json!([{ "dist": "community", "version": ["1", "2", "gated", "bad"] }]);
    let variables = json!({ "name": name, "trademark": name, "release": true, "edition": edition });
    for (file, text) in
        [("docker-compose.yml", compose), (".env", &env), ("variables.json", &variables.to_string())]
    {
        std::fs::write(folder.join(file), text).unwrap();
    }
}

/// A page of an application; none: nobody answers, or not with 200. The host it is asked by is always the same, for some
/// applications remember it.
pub async fn page(port: u16, path: &str) -> Option<String> {
    let request = http().get(format!("http://127.0.0.1:{port}{path}")).header("host", "site.test");
    let answer = request.send().await.ok()?;
    match answer.status().as_u16() {
        200 => answer.text().await.ok(),
        _ => None,
    }
}

/// Waits until a page holds `text`.
pub async fn shows(port: u16, path: &str, text: &str) {
    let what = format!("{path} at {port} shows {text}");
    wait_within(&what, PATIENCE, || async {
        page(port, path).await.filter(|page| page.contains(text)).map(drop)
    })
    .await;
}
