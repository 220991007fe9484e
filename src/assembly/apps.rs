//! What applications need, joined: the catalogue, the runtimes, the loop of each role, and what the App API asks of them.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use prometheus::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::assembly::tokens;
use crate::catalog::library::{Library, Offer};
use crate::catalog::sources::{Source, Sources};
use crate::config::apps::AppAuth;
use crate::config::{Plane, Settings};
use crate::controllers::admission::Rules;
use crate::controllers::app::shared::{AppContext, Runtimes};
use crate::controllers::catalog::LOOK_EVERY;
use crate::controllers::lease::fence::Fence;
use crate::controllers::lease::runtime::FencedRuntime;
use crate::controllers::shared::context::{Context, Role};
use crate::controllers::{app, catalog};
use crate::domain::app::instance::AppKey;
use crate::domain::app::kubernetes::Options;
use crate::domain::app::view::AppsView;
use crate::http::app::state::{AppApiSettings, AppState, Senses};
use crate::http::auth::Auth;
use crate::process::Tasks;
use crate::runtimes::Runtime;
use crate::runtimes::docker::DockerRuntime;
use crate::runtimes::kubernetes::KubernetesRuntime;
use crate::telemetry::metrics::app::AppMetrics;
use crate::telemetry::metrics::catalog::CatalogMetrics;
use crate::telemetry::metrics::http::HttpMetrics;

/// What the App API is made of.
#[derive(Clone)]
pub struct Faces {
    /// Has seen none of the views.
    unseen: watch::Receiver<Arc<AppsView>>,
    library: Library,
    senses: Senses,
    settings: AppApiSettings,
    rules: Rules,
}

/// What the loops of applications are made of.
pub struct Applications {
    views: watch::Sender<Arc<AppsView>>,
    faces: Faces,
    /// Falls once the whole catalogue has been read: before that, an application that is not in it may only not have been
    /// read yet.
    known: CancellationToken,
    docker: Option<Arc<dyn Runtime>>,
    kubernetes: Option<Options>,
    rules: app::shared::Settings,
    metrics: AppMetrics,
}

impl Applications {
    /// Starts the catalogue's loop.
    pub async fn start(
        settings: &Settings,
        ctx: &Context,
        registry: &Registry,
        stop: &CancellationToken,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Self> {
        let auth = match &settings.apps.auth {
            AppAuth::Gateway(from) => Auth::Gateway(from.clone()),
            AppAuth::Tokens { file, made } => Auth::Tokens(tokens::read(file, *made)?),
        };
        let library = Library::of(Vec::<Offer>::new());
        let known = catalogue(settings, ctx, &library, registry, stop, tasks).await?;
        let metrics = AppMetrics::default();
        metrics.register(registry).context("register the applications' metrics")?;
        let docker = docker(settings)?;
        // A plane alone starts no pods.
        let kubernetes = matches!(settings.plane, Plane::Cluster(_)).then(|| settings.apps.cluster.clone());
        let senses = senses(docker.clone(), kubernetes.as_ref().map(|options| cluster(ctx, options)));
        let host = settings.apps.host.clone().or_else(|| public_host(settings));
        let rules = app::shared::Settings {
            allow: settings.apps.allow.clone(),
            at_once: settings.apps.at_once,
            host,
            zones: Vec::new(),
        };
        let judging = Rules {
            library: library.clone(),
            policy: rules.allow.clone(),
            docker: docker.is_some(),
            kubernetes: kubernetes.is_some(),
        };
        let (views, unseen) = watch::channel(Arc::default());
        let api = AppApiSettings {
            namespace: settings.apps.namespace.clone(),
            auth,
            always_200: settings.apps.always_200,
        };
        let faces = Faces { unseen, library, senses, settings: api, rules: judging };
        Ok(Self { views, faces, known, docker, kubernetes, rules, metrics })
    }

    /// The loop of a role: `ctx` writes through `fence`, and so do the runtimes.
    pub fn work(
        &self,
        ctx: Context,
        fence: &Fence,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let around =
            |inner: Arc<dyn Runtime>| Arc::new(FencedRuntime::new(inner, fence.clone())) as Arc<dyn Runtime>;
        let docker = self.docker.clone().map(around);
        let kubernetes = self.kubernetes.as_ref().map(|options| around(cluster(&ctx, options)));
        let (role, runtimes) = (ctx.role, Runtimes { docker, kubernetes });
        let (library, rules) = (self.faces.library.clone(), self.rules.clone());
        let apps = AppContext::new(ctx, library, runtimes, rules, self.metrics.clone());
        let (views, known) = (self.views.clone(), self.known.clone());
        async move {
            if stop.run_until_cancelled(known.cancelled()).await.is_none() {
                return;
            }
            match role {
                Role::Active => app::run(apps, views, stop).await,
                Role::Standby => app::standby::run(apps, views, stop).await,
            }
        }
    }

    /// What the App API is made of.
    pub fn faces(&self) -> Faces {
        self.faces.clone()
    }
}

impl Faces {
    /// The App API's state.
    pub fn state(&self, client: Client, http: &HttpMetrics) -> Arc<AppState> {
        let Self { unseen, library, senses, settings, rules: _ } = self;
        AppState::new(unseen.clone(), library.clone(), client, settings.clone(), senses.clone(), http)
    }

    /// What Apps are judged by before they are stored.
    pub fn rules(&self) -> Rules {
        self.rules.clone()
    }

    /// Waits until all Apps are known.
    pub async fn known(mut views: watch::Receiver<Arc<AppsView>>) {
        // A sender that went means that we are stopping: then nobody cares.
        let _ = views.changed().await;
    }

    /// The applications as they change.
    pub fn views(&self) -> watch::Receiver<Arc<AppsView>> {
        self.unseen.clone()
    }
}

fn cluster(ctx: &Context, options: &Options) -> Arc<dyn Runtime> {
    let runtime = KubernetesRuntime::new(ctx.client.clone(), options.clone());
    Arc::new(runtime.within(ctx.scope().clone()))
}

/// Reads the folders, starts to follow all sources; the token falls once ConfigMaps have been read too.
async fn catalogue(
    settings: &Settings,
    ctx: &Context,
    library: &Library,
    registry: &Registry,
    stop: &CancellationToken,
    tasks: &mut Tasks,
) -> anyhow::Result<CancellationToken> {
    let folders = settings.apps.catalogs.iter();
    let folders = folders.map(|(folder, official)| Source { folder: folder.clone(), official: *official });
    let mut sources = Sources::new(folders);
    let read = move || {
        sources.look();
        sources
    };
    let sources = tokio::task::spawn_blocking(read).await.context("read the catalogue")?;
    let metrics = CatalogMetrics::default();
    metrics.register(registry).context("register the catalogue's metrics")?;
    let wiring = catalog::Wiring {
        client: ctx.client.clone(),
        scope: ctx.scope().clone(),
        library: library.clone(),
        sources,
        metrics,
        every: LOOK_EVERY,
    };
    let known = CancellationToken::new();
    let told = known.clone();
    tasks.spawn_infallible("catalogue", catalog::run(wiring, stop.clone(), move || told.cancel()));
    Ok(known)
}

fn docker(settings: &Settings) -> anyhow::Result<Option<Arc<dyn Runtime>>> {
    let Some(socket) = &settings.apps.docker else { return Ok(None) };
    let runtime = DockerRuntime::new(&socket.to_string_lossy(), Path::new(&settings.apps.dir));
    Ok(Some(Arc::new(runtime.context("--apps-dir")?)))
}

/// The first address that is fixed for this node, else the host in its own address.
fn public_host(settings: &Settings) -> Option<String> {
    let first = &settings.first_node;
    first.fixed.first().map(ToString::to_string).or_else(|| {
        let address: http::Uri = first.address.parse().ok()?;
        Some(address.host()?.to_owned())
    })
}

/// What the App API asks of the runtimes.
fn senses(docker: Option<Arc<dyn Runtime>>, kubernetes: Option<Arc<dyn Runtime>>) -> Senses {
    let first = kubernetes.clone().or_else(|| docker.clone());
    let backend = first.as_ref().map(|runtime| runtime.backend());
    let meter = Arc::new(move || {
        let runtime = first.clone();
        let asking = async move { runtime?.capacity().await.ok() };
        Box::pin(asking) as futures::future::BoxFuture<'static, _>
    });
    let both: Vec<Arc<dyn Runtime>> = docker.into_iter().chain(kubernetes).collect();
    let logs = Arc::new(move |key: AppKey, service: Option<String>, lines: u32| {
        let both = both.clone();
        let asking = async move {
            let mut trouble = "there is no runtime".to_owned();
            for runtime in both {
                match runtime.logs(&key, service.as_deref(), lines).await {
                    Ok(found) if found.is_empty() => trouble = "no container of it has a log".to_owned(),
                    Ok(found) => {
                        return Ok(found.into_iter().map(|line| (line.service, line.text)).collect());
                    }
                    Err(error) => trouble = error.to_string(),
                }
            }
            Err(trouble)
        };
        Box::pin(asking) as futures::future::BoxFuture<'static, _>
    });
    Senses { meter, logs: Some(logs), backend }
}
