//! `standalone` and `run`: flags into settings, settings into a process. No flag's meaning is decided here.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::assembly;
use crate::cli::connect::Access;
use crate::cli::error::CliError;
use crate::cli::serve_apps::AppArgs;
use crate::cli::serve_webhook::WebhookArgs;
use crate::config::{
    DEFAULT_API, DEFAULT_API_RATE, DEFAULT_DNS, DEFAULT_LEASE_SECONDS, DEFAULT_OPS, DEFAULT_PLANE, Flags,
    LogFormat, PlaneFlags, Settings,
};
use crate::domain::names::FieldError;
use crate::telemetry::tracing;

/// Flags of `standalone`.
#[derive(Debug, Args)]
pub struct StandaloneArgs {
    /// Where the control plane listens for kubectl
    #[arg(long, value_name = "ADDR:PORT", default_value = DEFAULT_PLANE, env = "COCOASYNCER_PLANE_LISTEN", help_heading = "Control plane")]
    plane_listen: String,
    /// Where to write the kubeconfig; left out: `kubeconfig` in the data directory
    #[arg(long, value_name = "FILE", env = "COCOASYNCER_WRITE_KUBECONFIG", help_heading = "Control plane")]
    write_kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Namespaces whose Secrets, ConfigMaps and workloads are read and written, by commas; the system namespace is always
    /// among them; left out: all, which needs rights over the whole cluster
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        env = "COCOASYNCER_NAMESPACES",
        help_heading = "Control plane"
    )]
    namespaces: Vec<String>,
    /// Calls of the API server a second in the long run, twice as many at once; the replicas' lease apart
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEFAULT_API_RATE,
        env = "COCOASYNCER_API_RATE",
        help_heading = "Control plane"
    )]
    api_rate: u32,
    /// How long the lease lasts by which replicas in a cluster agree on who writes; after a crash another one takes over
    /// within this time
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = DEFAULT_LEASE_SECONDS,
        env = "COCOASYNCER_LEASE_SECONDS"
    )]
    lease_seconds: u32,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    webhook: WebhookArgs,
}

/// Flags of a node, wherever its objects live.
#[derive(Debug, Args)]
struct ServerArgs {
    /// Object name of the CocoaNode that this process is; left out: the host's name
    #[arg(long, value_name = "NAME", env = "COCOASYNCER_NODE")]
    node: Option<String>,
    /// Where the v1 API listens
    #[arg(long, value_name = "ADDR:PORT", default_value = DEFAULT_API, env = "COCOASYNCER_API_LISTEN")]
    api_listen: String,
    /// Where health, readiness and metrics are told
    #[arg(long, value_name = "ADDR:PORT", default_value = DEFAULT_OPS, env = "COCOASYNCER_OPS_LISTEN")]
    ops_listen: String,
    /// Where the DNS server listens, UDP and TCP; several by commas, `none` for no DNS server
    #[arg(long, value_name = "ADDR:PORT", value_delimiter = ',', default_value = DEFAULT_DNS, env = "COCOASYNCER_DNS_LISTEN")]
    dns_listen: Vec<String>,
    /// File with rows `CIDR LINE`, read anew when it changes; several by commas
    #[arg(long = "line-table", value_name = "FILE", value_delimiter = ',', env = "COCOASYNCER_LINE_TABLE")]
    line_tables: Vec<PathBuf>,
    /// Folder whose objects are applied at start and whenever it changes; several by commas
    #[arg(long, value_name = "DIR", value_delimiter = ',', env = "COCOASYNCER_MANIFESTS")]
    manifests: Vec<PathBuf>,
    /// The old program's config.yaml, made into objects once
    #[arg(long, value_name = "FILE", env = "COCOASYNCER_OLD_CONFIG")]
    old_config: Option<PathBuf>,
    /// Friendly name; left out: the node's object name
    #[arg(
        long,
        value_name = "TEXT",
        env = "COCOASYNCER_DISPLAY_NAME",
        help_heading = "This node, at its first start"
    )]
    display_name: Option<String>,
    /// Code that no other node has; left out: the node's object name
    #[arg(
        long,
        value_name = "TEXT",
        env = "COCOASYNCER_NODE_CODE",
        help_heading = "This node, at its first start"
    )]
    node_code: Option<String>,
    /// Base URL under which its peers reach it; left out: where the v1 API listens
    #[arg(
        long,
        value_name = "URL",
        env = "COCOASYNCER_ADDRESS",
        help_heading = "This node, at its first start"
    )]
    address: Option<String>,
    /// leader: commands the cluster; follower: takes its configuration
    #[arg(
        long,
        value_name = "MODE",
        default_value = "leader",
        env = "COCOASYNCER_WORK_MODE",
        help_heading = "This node, at its first start"
    )]
    work_mode: String,
    /// Its own lines, of default, CT, CU, CMCC, CNEdu, OverSea; `None` for none
    #[arg(
        long,
        value_name = "LINE",
        value_delimiter = ',',
        default_value = "default",
        env = "COCOASYNCER_LINES",
        help_heading = "This node, at its first start"
    )]
    lines: Vec<String>,
    /// Families it publishes: IPV4, IPV6 or Both
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "IPV4",
        env = "COCOASYNCER_NETWORK_TYPE",
        help_heading = "This node, at its first start"
    )]
    network_type: String,
    /// Its public address; several by commas
    #[arg(
        long = "public-address",
        value_name = "IP",
        value_delimiter = ',',
        env = "COCOASYNCER_PUBLIC_ADDRESS",
        help_heading = "This node, at its first start"
    )]
    public_addresses: Vec<String>,
    /// A service that answers with the asker's address; several by commas
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        env = "COCOASYNCER_ECHO",
        help_heading = "This node, at its first start"
    )]
    echo: Vec<String>,
    /// How many of those services must agree
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        env = "COCOASYNCER_ECHO_AGREEMENT",
        help_heading = "This node, at its first start"
    )]
    echo_agreement: u32,
    /// Publishes private addresses too
    #[arg(long, env = "COCOASYNCER_ALLOW_PRIVATE", help_heading = "This node, at its first start")]
    allow_private: bool,
    /// File with its shared secret; left out: one is made up
    #[arg(
        long,
        value_name = "FILE",
        env = "COCOASYNCER_SECRET_FILE",
        help_heading = "This node, at its first start"
    )]
    secret_file: Option<PathBuf>,
    /// Peers in these networks are told credentials by getClusterInfo; several by commas
    #[arg(long, value_name = "CIDR", value_delimiter = ',', env = "COCOASYNCER_REVEAL_CREDENTIALS_TO")]
    reveal_credentials_to: Vec<String>,
    /// Tells the API's clients that a reverse proxy stands in front; nothing else depends on it
    #[arg(long, env = "COCOASYNCER_REVERSE_PROXY")]
    reverse_proxy: bool,
    /// Mail address in the zones' SOA; left out: hostmaster@ the zone
    #[arg(long, value_name = "MAIL", env = "COCOASYNCER_HOSTMASTER", help_heading = "Zones")]
    hostmaster: Option<String>,
    /// Name server of the zones; several by commas; left out: ns in each zone
    #[arg(
        long = "name-server",
        value_name = "NAME",
        value_delimiter = ',',
        env = "COCOASYNCER_NAME_SERVER",
        help_heading = "Zones"
    )]
    name_servers: Vec<String>,
    /// Marks this installation's records at shared DNS providers, for one whose id was lost; left out: the id that it has
    #[arg(long, value_name = "ID", env = "COCOASYNCER_OWNER_ID", help_heading = "Zones")]
    owner_id: Option<String>,
    #[command(flatten)]
    apps: AppArgs,
    /// What is logged, e.g. `info,cocoasyncer=debug`
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "COCOASYNCER_LOG",
        help_heading = "Output"
    )]
    log: String,
    /// Form of the log: text or json
    #[arg(
        long,
        value_name = "FORM",
        default_value = "text",
        env = "COCOASYNCER_LOG_FORMAT",
        help_heading = "Output"
    )]
    log_format: String,
}

impl ServerArgs {
    /// Field by field and without `..`, so that a new flag can't be forgotten.
    fn flags(self, host_name: String, access: &Access) -> Flags {
        let Self {
            node,
            api_listen,
            ops_listen,
            dns_listen,
            line_tables,
            manifests,
            old_config,
            display_name,
            node_code,
            address,
            work_mode,
            lines,
            network_type,
            public_addresses,
            echo,
            echo_agreement,
            allow_private,
            secret_file,
            reveal_credentials_to,
            reverse_proxy,
            hostmaster,
            name_servers,
            owner_id,
            apps,
            log,
            log_format,
        } = self;
        Flags {
            host_name,
            system_namespace: access.system_namespace().to_owned(),
            namespaces: Vec::new(),
            api_rate: DEFAULT_API_RATE,
            node,
            api_listen,
            ops_listen,
            dns_listen,
            line_tables,
            manifests,
            old_config,
            display_name,
            node_code,
            address,
            work_mode,
            lines,
            network_type,
            public_addresses,
            echo,
            echo_agreement,
            allow_private,
            secret_file,
            reveal_credentials_to,
            reverse_proxy,
            hostmaster,
            name_servers,
            owner_id,
            apps: apps.flags(),
            log,
            log_format,
            lease_seconds: DEFAULT_LEASE_SECONDS,
        }
    }
}

/// Runs a node with its plane inside, until it is told to stop.
pub async fn standalone(args: StandaloneArgs, access: &Access) -> Result<ExitCode, CliError> {
    operate(standalone_settings(args, access)?).await
}

/// Runs a node with a cluster, until it is told to stop.
pub async fn run(args: RunArgs, access: &Access) -> Result<ExitCode, CliError> {
    let RunArgs { namespaces, api_rate, lease_seconds, server, webhook } = args;
    let flags = Flags { namespaces, api_rate, lease_seconds, ..server.flags(host_name(), access) };
    operate(Settings::in_cluster(flags, access.cluster(), webhook.flags())?).await
}

async fn operate(settings: Settings) -> Result<ExitCode, CliError> {
    let format = match settings.log.format {
        LogFormat::Text => tracing::Format::Text,
        LogFormat::Json => tracing::Format::Json,
    };
    let log = tracing::init(format, &settings.log.filter).map_err(anyhow::Error::from)?;
    assembly::operate(settings, log).await?;
    Ok(ExitCode::SUCCESS)
}

fn standalone_settings(args: StandaloneArgs, access: &Access) -> Result<Settings, FieldError> {
    let StandaloneArgs { plane_listen, write_kubeconfig, server } = args;
    let plane = PlaneFlags { data_dir: access.data_dir(), plane_listen, write_kubeconfig };
    Settings::standalone(server.flags(host_name(), access), plane)
}

/// The host's name as the system knows it.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::api::vocab::Line;
    use crate::config::Plane;

    #[derive(Parser)]
    struct Line0 {
        #[command(flatten)]
        args: StandaloneArgs,
        #[command(flatten)]
        access: Access,
    }

    fn settings(words: &str) -> Result<Settings, FieldError> {
        let words = ["standalone", "--data-dir", "/data"].into_iter().chain(words.split_whitespace());
        let parsed = Line0::try_parse_from(words).unwrap_or_else(|err| panic!("{err}"));
        standalone_settings(parsed.args, &parsed.access)
    }

    #[test]
    fn flags_reach_the_settings() {
        let all = settings(
            "--node tokyo --api-listen 127.0.0.1:1 --dns-listen 127.0.0.1:2,[::1]:2 --lines CT,CU --network-type Both \
             --public-address 203.0.113.7,2001:db8::7 --address https://t.example.com/ --reveal-credentials-to 192.0.2.0/24 \
             --name-server ns1.example.com --owner-id ours --log-format json --work-mode follower",
        )
        .unwrap();
        assert_eq!(all.node, "tokyo");
        assert_eq!(all.listen.dns.len(), 2);
        assert_eq!(all.first_node.lines, [Line::CT, Line::CU]);
        assert_eq!(all.first_node.address, "https://t.example.com");
        assert_eq!(all.first_node.fixed.len(), 2);
        assert_eq!(all.owner_id.unwrap().as_str(), "ours");
        assert!(
            matches!(all.plane, Plane::Embedded(inside) if inside.kubeconfig.ends_with("data/kubeconfig"))
        );
        assert!(settings("--dns-listen none --lines None").unwrap().listen.dns.is_empty());
    }

    #[test]
    fn a_bad_value_is_refused_by_its_flag() {
        assert_eq!(settings("--lines mobile").unwrap_err().field, "--lines");
        assert_eq!(settings("--api-listen 44443").unwrap_err().field, "--api-listen");
    }
}
