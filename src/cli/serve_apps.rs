//! Flags of `standalone` and `run` that concern applications. No flag's meaning is decided here.

use std::path::PathBuf;

use clap::Args;

use crate::cli::app_cluster::ClusterArgs;
use crate::config::apps::AppFlags;

/// Flags of applications.
#[derive(Debug, Args)]
#[command(next_help_heading = "Applications")]
pub struct AppArgs {
    /// Folder of application templates, read anew when it changes; several by commas
    #[arg(long = "catalog", value_name = "DIR", value_delimiter = ',', env = "COCOASYNCER_CATALOG")]
    catalogs: Vec<PathBuf>,
    /// Folder of templates that the App API calls official; several by commas
    #[arg(
        long = "official-catalog",
        value_name = "DIR",
        value_delimiter = ',',
        env = "COCOASYNCER_OFFICIAL_CATALOG"
    )]
    official_catalogs: Vec<PathBuf>,
    /// The Docker engine's socket; auto: this host's, if it has one; none: no Docker
    #[arg(long, value_name = "SOCKET", default_value = "auto", env = "COCOASYNCER_DOCKER")]
    docker: String,
    /// What `--docker auto` asks first
    #[arg(long, hide = true, env = "DOCKER_HOST")]
    docker_host: Option<String>,
    /// Where applications' rendered files lie; left out: `apps` in the data directory
    #[arg(long, value_name = "DIR", env = "COCOASYNCER_APPS_DIR")]
    apps_dir: Option<PathBuf>,
    /// Namespace of the Apps that the App API makes; left out: default, or the system namespace where that is not served
    #[arg(long, value_name = "NAME", env = "COCOASYNCER_APP_NAMESPACE")]
    app_namespace: Option<String>,
    /// Who may call the App API: token: who shows one; gateway: a gateway in front has asked already
    #[arg(long, value_name = "WAY", default_value = "token", env = "COCOASYNCER_APP_AUTH")]
    app_auth: String,
    /// File with rows `NAME read|operate TOKEN`; left out: `app-tokens` in the data directory, made at the first start
    #[arg(long, value_name = "FILE", env = "COCOASYNCER_APP_TOKEN_FILE")]
    app_token_file: Option<PathBuf>,
    /// Networks that the gateway calls from; several by commas; left out: this host
    #[arg(long, value_name = "CIDR", value_delimiter = ',', env = "COCOASYNCER_APP_GATEWAY_FROM")]
    app_gateway_from: Vec<String>,
    /// Answers failed calls of the App API with HTTP 200, for clients that expect it
    #[arg(long, env = "COCOASYNCER_APP_ERRORS_AS_200")]
    app_errors_as_200: bool,
    /// Right over this host that an App may have where it asks for it by name; several by commas
    #[arg(long = "app-allow", value_name = "RIGHT", value_delimiter = ',', env = "COCOASYNCER_APP_ALLOW")]
    app_allow: Vec<String>,
    /// Applications that are installed at the same time
    #[arg(long, value_name = "N", default_value_t = 1, env = "COCOASYNCER_APP_INSTALLS_AT_ONCE")]
    app_installs_at_once: usize,
    /// This host's name or address in applications' URLs; left out: this node's public address
    #[arg(long, value_name = "HOST", env = "COCOASYNCER_APP_HOST")]
    app_host: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl AppArgs {
    /// Field by field and without `..`, so that a new flag can't be forgotten.
    pub fn flags(self) -> AppFlags {
        let Self {
            catalogs,
            official_catalogs,
            docker,
            docker_host,
            apps_dir,
            app_namespace,
            app_auth,
            app_token_file,
            app_gateway_from,
            app_errors_as_200,
            app_allow,
            app_installs_at_once,
            app_host,
            cluster,
        } = self;
        AppFlags {
            catalogs,
            official_catalogs,
            docker,
            docker_host,
            dir: apps_dir,
            namespace: app_namespace,
            auth: app_auth,
            token_file: app_token_file,
            gateway_from: app_gateway_from,
            always_200: app_errors_as_200,
            allow: app_allow,
            at_once: app_installs_at_once,
            host: app_host,
            cluster: cluster.flags(),
        }
    }
}
