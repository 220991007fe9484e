//! The App API through its router, over the embedded plane. A feeder stands in for the controller: it makes the view from
//! the objects and their statuses, and nothing else.

mod codes;
mod equal;
mod forms;
mod hostile;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use cocoasyncer::api::app::{App, PublishedPort};
use cocoasyncer::catalog::builtin;
use cocoasyncer::catalog::library::{Library, Offer, Origin};
use cocoasyncer::controlplane::ControlPlane;
use cocoasyncer::domain::app::instance::AppKey;
use cocoasyncer::domain::app::observed::Capacity;
use cocoasyncer::domain::app::phase::Phase;
use cocoasyncer::domain::app::template::Template;
use cocoasyncer::domain::app::verdict::Backend;
use cocoasyncer::domain::app::view::{AppView, AppsView};
use cocoasyncer::domain::secret::Secret;
use cocoasyncer::http::app::router;
use cocoasyncer::http::app::state::{AppApiSettings, AppState, Senses};
use cocoasyncer::http::auth::{Auth, Scope, Token};
use cocoasyncer::http::server::Caller;
use cocoasyncer::telemetry::metrics::http::HttpMetrics;
use futures::StreamExt;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::support::install_crds;

/// The administrator's password of every application here.
pub const PASSWORD: &str = "canary-app-password";
/// A token that may operate.
pub const HAND: &str = "canary-hand-token";
/// A token that may read.
pub const EYE: &str = "canary-eye-token";

/// An answer: status, headers, body.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// The code of the error, or what was answered instead.
    pub fn code(&self) -> String {
        let body = self.json();
        body["Error"]["Code"].as_str().map_or_else(|| format!("none, but {body}"), str::to_owned)
    }

    #[track_caller]
    pub fn done(self, app_id: &str) {
        assert_eq!((self.status, self.json()), (200, json!({"ResponseData": {"app_id": app_id}})));
    }
}

/// The API over a plane of its own.
pub struct World {
    _plane: Option<ControlPlane>,
    pub client: Client,
    pub views: watch::Receiver<Arc<AppsView>>,
    library: Library,
    router: Router,
    feeder: tokio::task::JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.feeder.abort();
    }
}

pub fn settings() -> AppApiSettings {
    AppApiSettings {
        namespace: "default".into(),
        auth: Auth::Gateway(vec!["127.0.0.0/8".parse().unwrap()]),
        always_200: false,
    }
}

pub fn tokens() -> Auth {
    let token = |name: &str, secret, scope| Token { name: name.into(), secret: Secret::new(secret), scope };
    Auth::Tokens(vec![token("eye", EYE, Scope::Read), token("hand", HAND, Scope::Operate)])
}

/// The built-in templates and one that asks for everything.
fn library() -> Library {
    let compose = "services:\n  a:\n    image: a:1\n    privileged: true\n    volumes: ['/:/host']\n";
    let hostile = Template {
        name: "hostile".into(),
        compose: Some(compose.into()),
        env: Some("W9_VERSION=1\n".into()),
        metadata: Some(br#"{"name":"hostile","edition":[{"version":["1"]}],"requirements":{"cpu":1,"memory":1,"disk":1}}"#.to_vec()),
        ..Template::default()
    };
    let built_in =
        builtin::templates().into_iter().map(|template| Offer::new(template, true, Origin::BuiltIn));
    Library::of(built_in.chain([Offer::new(hostile, false, Origin::BuiltIn)]))
}

/// Enough for every built-in template.
pub const PLENTY: Capacity = Capacity { cores: 64.0, memory: 512.0, disk: 9000.0 };

impl World {
    pub async fn new() -> Self {
        Self::with(settings(), PLENTY).await
    }

    pub async fn with(settings: AppApiSettings, capacity: Capacity) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plane = ControlPlane::in_memory().await.unwrap();
        let client = plane.client();
        install_crds(&client).await;
        Self::over(&client.clone(), client, Some(plane), settings, capacity)
    }

    /// A world that reads by one client and writes by another.
    pub fn over(
        reader: &Client,
        client: Client,
        plane: Option<ControlPlane>,
        settings: AppApiSettings,
        capacity: Capacity,
    ) -> Self {
        let (sender, views) = watch::channel(Arc::new(AppsView::default()));
        let feeder = tokio::spawn(feed(Api::all(reader.clone()), sender));
        let logs =
            |key: AppKey, service: Option<String>, lines: u32| -> futures::future::BoxFuture<'static, _> {
                Box::pin(async move {
                    match service.as_deref() {
                        Some("none") => Err("there is no service none".to_owned()),
                        service => {
                            let line = format!("{key} {lines} password={PASSWORD}");
                            Ok(vec![(service.unwrap_or("web").to_owned(), line)])
                        }
                    }
                })
            };
        let senses = Senses {
            meter: Arc::new(move || Box::pin(async move { Some(capacity) })),
            logs: Some(Arc::new(logs)),
            backend: Some(Backend::Docker),
        };
        let library = library();
        let state = AppState::new(
            views.clone(),
            library.clone(),
            client.clone(),
            settings,
            senses,
            &HttpMetrics::default(),
        );
        Self { _plane: plane, client, views, library, router: router(state), feeder }
    }

    /// A version that the catalogue lists.
    pub fn version(&self, app: &str) -> String {
        let offer = self.library.get(app).unwrap();
        offer.checked.metadata.as_ref().unwrap().versions[0].clone()
    }

    pub async fn ask(&self, request: Request<Body>) -> Answer {
        self.ask_from("127.0.0.1:40000", request).await
    }

    pub async fn ask_from(&self, caller: &str, request: Request<Body>) -> Answer {
        let mut request = request;
        request.extensions_mut().insert(Caller(caller.parse().unwrap()));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn get_with(&self, path: &str, header: (&str, &str)) -> Answer {
        self.ask(Request::get(path).header(header.0, header.1).body(Body::empty()).unwrap()).await
    }

    pub async fn install(&self, app: &str, name: &str) -> Answer {
        let version = self.version(app);
        self.get(&format!("/AppInstall?app_name={app}&customer_app_name={name}&app_version={version}")).await
    }

    pub fn apps(&self) -> Api<App> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// An App as kubectl would apply it.
    pub async fn create(&self, namespace: &str, name: &str, spec: Value) -> App {
        let app: App = serde_json::from_value(json!({
            "apiVersion": "cocoasyncer.io/v1alpha1", "kind": "App",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        }))
        .unwrap();
        Api::namespaced(self.client.clone(), namespace).create(&PostParams::default(), &app).await.unwrap()
    }

    /// What the controller would write.
    pub async fn report(&self, name: &str, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        let app = self.apps().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
        self.shows(|view| {
            view.get(name)
                .is_some_and(|app_view| app_view.resource_version == app.resource_version().unwrap())
        })
        .await;
    }

    /// Waits until the feeder has shown it.
    pub async fn shows(&self, is_so: impl Fn(&AppsView) -> bool) {
        let mut views = self.views.clone();
        let shown = views.wait_for(|view| is_so(view));
        tokio::time::timeout(crate::support::PATIENCE, shown).await.unwrap().unwrap();
    }
}

async fn feed(api: Api<App>, sender: watch::Sender<Arc<AppsView>>) {
    let mut apps: BTreeMap<(String, String), App> = BTreeMap::new();
    let mut events = cocoasyncer::watching::objects(api, watcher::Config::default());
    while let Some(event) = events.next().await {
        let id = |app: &App| (app.name_any(), app.namespace().unwrap_or_default());
        match event {
            // Half of a list is no view: an App that comes later in it would seem to be missing.
            Ok(Event::Init) => continue,
            Ok(Event::InitApply(app)) => {
                apps.insert(id(&app), app);
                continue;
            }
            Ok(Event::InitDone) => {}
            Ok(Event::Apply(app)) => drop(apps.insert(id(&app), app)),
            Ok(Event::Delete(app)) => drop(apps.remove(&id(&app))),
            // A world whose control plane fails shows nothing.
            Err(_) => return,
        }
        let mut shown: Vec<&App> = Vec::new();
        for app in apps.values() {
            match shown.last() {
                Some(last) if last.name_any() == app.name_any() => {
                    if app.creation_timestamp() < last.creation_timestamp() {
                        shown.pop();
                        shown.push(app);
                    }
                }
                _ => shown.push(app),
            }
        }
        sender.send_replace(Arc::new(AppsView { apps: shown.into_iter().map(view).collect() }));
    }
}

fn view(app: &App) -> AppView {
    let status = app.status.clone().unwrap_or_default();
    let phase = match &app.metadata.deletion_timestamp {
        Some(_) => Phase::Uninstalling,
        None => Phase::parse(&status.status).unwrap_or(Phase::Queuing),
    };
    AppView {
        key: AppKey { namespace: app.namespace().unwrap_or_default(), name: app.name_any() },
        uid: app.uid().unwrap_or_default(),
        resource_version: app.resource_version().unwrap_or_default(),
        app_name: app.spec.app_name.clone(),
        title: status.title.unwrap_or_else(|| app.spec.app_name.clone()),
        official: status.official,
        phase,
        message: String::new(),
        version: app.spec.app_version.clone(),
        ports: status.ports as Vec<PublishedPort>,
        compose_file: status.compose_file,
        url: status.url,
        admin_url: status.admin_url,
        user_name: status.user_name,
        password: Some(Secret::new(PASSWORD)),
        masks: vec![Secret::new(PASSWORD)],
        default_domain: status.domain,
        set_domain: app.spec.domain.clone(),
        progress: status.progress,
    }
}

/// The status of an application that runs.
pub fn running() -> Value {
    json!({
        "statusCode": "30", "status": "running", "title": "WordPress", "official": true,
        "ports": [{"host": 9001, "container": 80, "protocol": "TCP"}],
        "url": "http://203.0.113.1:9001", "adminUrl": "http://203.0.113.1:9001/wp-admin", "userName": "admin",
        "composeFile": "/var/lib/cocoasyncer/apps/blog/docker-compose.yml", "domain": "blog.example.com",
    })
}
