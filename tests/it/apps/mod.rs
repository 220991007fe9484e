//! Applications in process: the embedded plane, a runtime in memory whose containers do as they are told, and a clock
//! that the test moves. A kill drops all workers where they stand.

mod install;
mod queue;
mod restart;
mod trouble;
mod upgrade;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use cocoasyncer::api::app::{App, AppStatus};
use cocoasyncer::api::service::ManagedService;
use cocoasyncer::catalog::library::{Library, Offer, Origin};
use cocoasyncer::controllers::app;
use cocoasyncer::controllers::app::shared::{AppContext, Runtimes, Settings};
use cocoasyncer::controllers::shared::context::Context;
use cocoasyncer::controllers::stores::Stores;
use cocoasyncer::controlplane::ControlPlane;
use cocoasyncer::domain::app::instance::AppKey;
use cocoasyncer::domain::app::template::Template;
use cocoasyncer::domain::app::verdict::Backend;
use cocoasyncer::domain::app::view::AppsView;
use cocoasyncer::runtimes::Runtime;
use cocoasyncer::runtimes::memory::MemoryRuntime;
use cocoasyncer::telemetry::metrics::app::AppMetrics;
use http::{Request, Response};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{install_crds, until};

const ENV: &str = "W9_REPO=web\nW9_DIST=community\nW9_VERSION=1\nW9_ID=web\nW9_NETWORK=shared\n\
W9_POWER_PASSWORD=change-me-at-install\nW9_HTTP_PORT=80\nW9_HTTP_PORT_SET=9001\n";

/// A template named `name` in three versions.
fn template(name: &str, compose: &str) -> Template {
    let metadata = json!({
        "name": name, "trademark": name.to_uppercase(), "release": true,
        "edition": [{"dist": "community", "version": ["3", "2", "1"]}],
        "requirements": {"cpu": "1", "memory": "1", "disk": "1"},
    });
    Template {
        name: name.into(),
        compose: Some(compose.into()),
        env: Some(ENV.into()),
        metadata: Some(metadata.to_string().into_bytes()),
        ..Template::default()
    }
}

/// One service without a health check: it is asked on its port.
const WEB: &str = "services:
  web:
    image: web:$W9_VERSION
    container_name: $W9_ID
    restart: \"no\"
    environment: { PASSWORD: $W9_POWER_PASSWORD }
    ports: [\"$W9_HTTP_PORT_SET:80\"]
    volumes: [\"data:/data\"]
volumes: { data: }
";

/// Two services, the second with a health check that the first waits for.
const PAIR: &str = "services:
  front:
    image: front:$W9_VERSION
    container_name: $W9_ID
    ports: [\"$W9_HTTP_PORT_SET:80\"]
    depends_on: { back: { condition: service_healthy } }
  back:
    image: back:$W9_VERSION
    healthcheck: { test: [\"CMD\", \"true\"] }
    environment: { PASSWORD: $W9_POWER_PASSWORD }
    volumes: [\"data:/data\"]
volumes: { data: }
";

const PRIVILEGED: &str = "services:
  root:
    image: root:$W9_VERSION
    privileged: true
    ports: [\"$W9_HTTP_PORT_SET:80\"]
";

fn offers() -> Vec<Offer> {
    let all = [("web", WEB), ("pair", PAIR), ("root", PRIVILEGED), ("other", WEB)];
    let offer = |(name, text)| {
        Offer::new(template(name, text), true, Origin::ConfigMap("a/b".into(), Arc::default()))
    };
    all.map(offer).into()
}

fn key(namespace: &str, name: &str) -> AppKey {
    AppKey { namespace: namespace.into(), name: name.into() }
}

/// A whole operator of applications in process.
struct Apps {
    _plane: ControlPlane,
    client: Client,
    runtime: Arc<MemoryRuntime>,
    library: Library,
    settings: Settings,
    metrics: AppMetrics,
    clock: Arc<AtomicI64>,
    /// The control plane takes no status from the loops.
    refuses: Arc<AtomicBool>,
    views: watch::Receiver<Arc<AppsView>>,
    loops: Option<(JoinSet<()>, CancellationToken)>,
}

impl Apps {
    async fn new() -> Self {
        let mut apps = Self::stopped(Backend::Docker).await;
        apps.start();
        apps
    }

    /// With nothing running yet.
    async fn stopped(backend: Backend) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plane = ControlPlane::in_memory().await.unwrap();
        let client = plane.client();
        install_crds(&client).await;
        let other = json!({"metadata": {"name": "other"}});
        let namespaces = Api::<Namespace>::all(client.clone());
        namespaces.create(&PostParams::default(), &serde_json::from_value(other).unwrap()).await.unwrap();
        let clock = Arc::new(AtomicI64::new(1_800_000_000));
        let now = clock.clone();
        let now = Arc::new(move || Timestamp::from_second(now.load(Ordering::SeqCst)).unwrap());
        Self {
            _plane: plane,
            client,
            runtime: Arc::new(MemoryRuntime::new(backend, now)),
            library: Library::of(offers()),
            settings: Settings { host: Some("apps.example".into()), ..Settings::default() },
            metrics: AppMetrics::default(),
            clock,
            refuses: Arc::default(),
            views: watch::Sender::default().subscribe(),
            loops: None,
        }
    }

    fn start(&mut self) {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        let client = self.refusing();
        let stores = Stores::start(&client, &Arc::default(), &stop, &mut |_, watch| drop(tasks.spawn(watch)));
        let clock = self.clock.clone();
        let clock = Arc::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap());
        let none = Arc::new(|_: &_| None);
        let base = Context::new(client, "n1".into(), stores, clock, none, Default::default());
        let runtime: Arc<dyn Runtime> = self.runtime.clone();
        let runtimes = match self.runtime.backend() {
            Backend::Docker => Runtimes { docker: Some(runtime), kubernetes: None },
            Backend::Kubernetes => Runtimes { docker: None, kubernetes: Some(runtime) },
        };
        let (library, metrics) = (self.library.clone(), self.metrics.clone());
        let ctx = AppContext::new(base, library, runtimes, self.settings.clone(), metrics);
        let views = watch::Sender::default();
        self.views = views.subscribe();
        tasks.spawn(app::run(ctx, views, stop.clone()));
        self.loops = Some((tasks, stop));
    }

    /// The control plane as the loops see it.
    fn refusing(&self) -> Client {
        let (plane, refuses) = (self.client.clone(), self.refuses.clone());
        let call = move |request: Request<Body>| {
            let refused = refuses.load(Ordering::SeqCst) && request.uri().path().ends_with("/status");
            let plane = plane.clone();
            async move {
                match refused {
                    true => Ok(Response::builder().status(500).body(Body::empty()).unwrap()),
                    false => plane.send(request).await,
                }
            }
        };
        Client::new(tower::service_fn(call), "default")
    }

    /// Ends everything at once, as a kill would.
    async fn kill(&mut self) {
        if let Some((mut tasks, _stop)) = self.loops.take() {
            tasks.shutdown().await;
        }
    }

    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    fn api(&self, namespace: &str) -> Api<App> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn create(&self, namespace: &str, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "cocoasyncer.io/v1alpha1", "kind": "App",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        });
        let object = serde_json::from_value(object).unwrap();
        self.api(namespace).create(&PostParams::default(), &object).await.unwrap();
    }

    /// Installs `app` in version 1 under `name`.
    async fn install(&self, name: &str, app: &str) {
        self.create("default", name, json!({"appName": app, "appVersion": "1"})).await;
    }

    async fn edit(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api("default").patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    async fn delete(&self, name: &str) {
        self.api("default").delete(name, &DeleteParams::background()).await.unwrap();
    }

    async fn gone(&self, name: &str) {
        until(&format!("{name} is gone"), || async {
            self.api("default").get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
    }

    async fn get(&self, namespace: &str, name: &str) -> App {
        self.api(namespace).get(name).await.unwrap()
    }

    async fn status(&self, name: &str) -> AppStatus {
        self.get("default", name).await.status.unwrap_or_default()
    }

    /// Waits until the status has this word.
    async fn comes_to(&self, name: &str, word: &str) -> AppStatus {
        self.holds(name, &format!("is {word}"), |status| status.status == word).await
    }

    async fn holds(&self, name: &str, what: &str, is: impl Fn(&AppStatus) -> bool) -> AppStatus {
        let last = std::sync::Mutex::new(AppStatus::default());
        let found = until_or(|| async {
            let status = self.status(name).await;
            let good = is(&status).then(|| status.clone());
            *last.lock().unwrap() = status;
            good
        });
        match found.await {
            Some(status) => status,
            None => {
                panic!("{name} never {what}, but {:#?}\n{:#?}", last.lock().unwrap(), self.runtime.steps())
            }
        }
    }

    /// Waits until a condition has this reason; returns its message.
    async fn condition(&self, name: &str, kind: &str, reason: &str) -> String {
        let is = |status: &AppStatus| status.conditions.iter().any(|c| c.type_ == kind && c.reason == reason);
        let status = self.holds(name, &format!("has {kind} {reason}"), is).await;
        status.conditions.into_iter().find(|c| c.type_ == kind).unwrap().message
    }

    async fn secret(&self, name: &str) -> Option<Secret> {
        Api::<Secret>::namespaced(self.client.clone(), "default").get_opt(name).await.unwrap()
    }

    async fn password(&self, name: &str) -> String {
        let secret = self.secret(&format!("app-{name}")).await.unwrap();
        String::from_utf8(secret.data.unwrap()["password"].0.clone()).unwrap()
    }

    fn services(&self) -> Api<ManagedService> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Tells of something at the runtime, and waits until whatever follows from it has been done.
    async fn looked_at(&self, name: &str) {
        // A worker looks again only when the turn before is over.
        for _ in 0..2 {
            let seen = self.took("observe");
            self.runtime.tell(&key("default", name));
            until("it was looked at", || async { (seen < self.took("observe")).then_some(()) }).await;
        }
    }

    /// Steps that were taken of this kind: `pull`, `start`, ...
    fn took(&self, kind: &str) -> usize {
        self.runtime.calls(kind)
    }

    fn pulls(&self) -> Vec<String> {
        let steps = self.runtime.steps();
        let pulls = steps.into_iter().filter(|step| step.contains(": pull "));
        pulls.map(|step| step.split(": ").next().unwrap().to_owned()).collect()
    }
}

/// As `until`, but it gives nothing where it was in vain.
async fn until_or<T, F: Future<Output = Option<T>>>(mut is_so: impl FnMut() -> F) -> Option<T> {
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
    while tokio::time::Instant::now() < deadline {
        if let Some(found) = is_so().await {
            return Some(found);
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    None
}

fn words(status: &AppStatus) -> String {
    serde_json::to_string(status).unwrap()
}

fn ports(status: &AppStatus) -> BTreeSet<u16> {
    status.ports.iter().map(|port| port.host).collect()
}
