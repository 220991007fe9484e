//! Flags that say how a cluster wants the applications in it. No flag's meaning is decided here.

use clap::Args;

use crate::config::app_cluster::ClusterFlags;

/// Flags of applications in a cluster.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Applications in a cluster")]
pub struct ClusterArgs {
    /// How published ports are reached: cluster: inside only; node: on a port of every node; load-balancer: by the cloud's
    #[arg(long, value_name = "WAY", default_value = "cluster", env = "COCOASYNCER_APP_EXPOSE")]
    app_expose: String,
    /// Class of the Ingress that serves `spec.domain`; left out: the cluster's own
    #[arg(long, value_name = "NAME", env = "COCOASYNCER_APP_INGRESS_CLASS")]
    app_ingress_class: Option<String>,
    /// Gateway that serves `spec.domain` by an HTTPRoute; left out: an Ingress is made
    #[arg(long, value_name = "NAMESPACE/NAME[/LISTENER]", env = "COCOASYNCER_APP_GATEWAY")]
    app_gateway: Option<String>,
    /// Annotation of the Ingress or HTTPRoute; may be repeated, in the variable one a line
    #[arg(
        long = "app-route-annotation",
        value_name = "KEY=VALUE",
        value_delimiter = '\n',
        env = "COCOASYNCER_APP_ROUTE_ANNOTATIONS"
    )]
    app_route_annotations: Vec<String>,
    /// Storage class of volumes; left out: the cluster's own
    #[arg(long, value_name = "NAME", env = "COCOASYNCER_APP_STORAGE_CLASS")]
    app_storage_class: Option<String>,
    /// Size of a volume where the template asks for no disk
    #[arg(long, value_name = "GIB", default_value_t = 1, env = "COCOASYNCER_APP_VOLUME_GIB")]
    app_volume_gib: u32,
    /// The cluster's DNS domain
    #[arg(
        long,
        value_name = "NAME",
        default_value = "cluster.local",
        env = "COCOASYNCER_APP_CLUSTER_DOMAIN"
    )]
    app_cluster_domain: String,
    /// The cluster's DNS server: where it is known, an application's own names go before those of its namespace
    #[arg(long, value_name = "IP", env = "COCOASYNCER_APP_CLUSTER_DNS")]
    app_cluster_dns: Option<String>,
    /// Secret in each App's namespace with credentials of registries; several by commas
    #[arg(
        long = "app-pull-secret",
        value_name = "NAME",
        value_delimiter = ',',
        env = "COCOASYNCER_APP_PULL_SECRETS"
    )]
    app_pull_secrets: Vec<String>,
}

impl ClusterArgs {
    /// Field by field and without `..`, so that a new flag can't be forgotten.
    pub fn flags(self) -> ClusterFlags {
        let Self {
            app_expose,
            app_ingress_class,
            app_gateway,
            app_route_annotations,
            app_storage_class,
            app_volume_gib,
            app_cluster_domain,
            app_cluster_dns,
            app_pull_secrets,
        } = self;
        ClusterFlags {
            expose: app_expose,
            ingress_class: app_ingress_class,
            gateway: app_gateway,
            route_annotations: app_route_annotations,
            storage_class: app_storage_class,
            volume_gib: app_volume_gib,
            cluster_domain: app_cluster_domain,
            cluster_dns: app_cluster_dns,
            pull_secrets: app_pull_secrets,
        }
    }
}
