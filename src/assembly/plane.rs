//! The way to a control plane: the embedded one, opened and served, or a cluster's.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client, Config};
use prometheus::Registry;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::api::app::App;
use crate::api::crds;
use crate::api::node::CocoaNode;
use crate::api::service::ManagedService;
use crate::apiserver::{ApiServer, Open};
use crate::assembly::patience::Patience;
use crate::config::{ClusterAccess, Embedded, Settings};
use crate::controllers::manifests::import::{Import, import_once};
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::controlplane::{ControlPlane, Options};
use crate::process::{Ready, Shutdown, Tasks};
use crate::telemetry::metrics::calls::CallMetrics;
use crate::telemetry::metrics::process::ProcessMetrics;
use crate::telemetry::troubles::Troubles;
use crate::wire::legacy_config::{Own, import};

/// Opens the embedded plane, serves it for kubectl, writes the kubeconfig and installs our CRDs.
pub async fn embedded(
    settings: &Embedded,
    listener: Option<TcpListener>,
    metrics: &ProcessMetrics,
    shutdown: &Shutdown,
    tasks: &mut Tasks,
) -> anyhow::Result<ControlPlane> {
    let dir = Some(settings.data_dir.clone());
    let plane =
        ControlPlane::open(Options { dir, ..Options::default() }).await.context("open the control plane")?;
    let bound = match listener {
        Some(listener) => plane.adopt(listener),
        None => plane.bind(settings.listen).await,
    };
    let bound = bound.context("--plane-listen")?;
    let metrics = metrics.clone();
    let bound = bound.tell_certificate(move |end| metrics.certificate_ends("plane", end));
    let address = bound.local_addr();
    bound
        .write_kubeconfig(&settings.kubeconfig)
        .with_context(|| format!("write the kubeconfig {}", settings.kubeconfig.display()))?;
    info!(%address, kubeconfig = %settings.kubeconfig.display(), "control plane");
    tasks.spawn_infallible("control plane", bound.serve(shutdown.token().cancelled_owned()));
    install_crds(&plane.client()).await?;
    Ok(plane)
}

/// Applies our CRDs and waits until they are served.
async fn install_crds(client: &Client) -> anyhow::Result<()> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for crd in crds::all() {
        let name = crd.metadata.name.clone().unwrap_or_default();
        let params = PatchParams::apply("cocoasyncer/crds").force();
        api.patch(&name, &params, &Patch::Apply(&crd))
            .await
            .with_context(|| format!("apply the CRD {name}"))?;
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(CALL_DEADLINE, established)
            .await
            .with_context(|| format!("the CRD {name} is not served in time"))?
            .with_context(|| format!("watch the CRD {name}"))?;
    }
    Ok(())
}

/// The way to a cluster: by the kubeconfig and context that were named, else as kubectl would or a Pod. It asks nothing
/// yet; what it will be refused is told to `troubles`.
pub async fn cluster(
    access: &ClusterAccess,
    rate: u32,
    troubles: &Troubles,
    registry: &Registry,
) -> anyhow::Result<ApiServer> {
    let metrics = CallMetrics::default();
    metrics.register(registry).context("register the API server's metrics")?;
    let access = Arc::new(access.clone());
    let open: Open = Arc::new(move || {
        let access = access.clone();
        Box::pin(async move { client(&access).await.map_err(Into::into) })
    });
    ApiServer::open(open, f64::from(rate), troubles.clone(), metrics).await.map_err(|error| anyhow!(error))
}

/// Waits until the API server serves our kinds and lets us list them; what it waits for is told by `waiting`. None: the
/// process is to end.
pub async fn served(server: &ApiServer, waiting: &Ready, patience: &Patience) -> anyhow::Result<Option<()>> {
    let client = server.client();
    let one = ListParams::default().limit(1);
    let look = async || {
        Api::<CocoaNode>::all(client.clone()).list_metadata(&one).await?;
        Api::<ManagedService>::all(client.clone()).list_metadata(&one).await?;
        Api::<App>::all(client.clone()).list_metadata(&one).await.map(drop)
    };
    let step = async || {
        let looked: Result<(), kube::Error> = look().await;
        if looked.is_err() {
            // The kubeconfig may have led to another cluster, and have been put right.
            server.renew().await;
        }
        looked.context("look for our kinds: apply what `cocoasyncer crd` prints")
    };
    patience.with(waiting, step).await
}

async fn client(access: &ClusterAccess) -> anyhow::Result<Client> {
    let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
    let mut config = match &access.kubeconfig {
        Some(path) => {
            let file =
                Kubeconfig::read_from(path).with_context(|| format!("--kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(file, &options).await.context("--kubeconfig")?
        }
        None if access.context.is_some() => Config::from_kubeconfig(&options).await.context("--context")?,
        None => Config::infer().await.context("find a cluster")?,
    };
    // Every caller has its own deadline and its own way to try again.
    config.default_retry = false;
    Client::try_from(config).context("make a client of the cluster")
}

/// Makes objects of the old program's configuration, once.
pub async fn import_old_config(client: &Client, path: &Path, settings: &Settings) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("--old-config: read {}", path.display()))?;
    let first = &settings.first_node;
    let addresses = first.object(&settings.node).spec.addresses;
    let own = Own {
        name: &settings.node,
        system: settings.scope.system(),
        lines: &first.lines,
        network: first.network,
        addresses,
    };
    let imported = import(&text, &own).with_context(|| format!("--old-config {}", path.display()))?;
    for note in &imported.notes {
        warn!(file = %path.display(), "{note}");
    }
    match import_once(client, &imported).await.context("--old-config: create its objects")? {
        Import::MadeBefore => info!("the old configuration was imported before"),
        Import::Made { created } => info!(created, "the old configuration was imported"),
    }
    Ok(())
}
