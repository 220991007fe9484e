//! Settings of a process: plain values, checked once, each refusal naming the flag. It knows no command line parser, no
//! environment and no file's content; what a setting means is said where it is used.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use kube::core::ObjectMeta;

use crate::api::node::{AddressSource, CocoaNode, CocoaNodeSpec, Echo, Liveness, SecretKeyRef};
use crate::api::vocab::{Line, NetworkType, WorkMode};
use crate::config::apps::{AppFlags, Apps};
use crate::config::checks::{
    ADDRESS, apart, authority, existing, first_node, lease_seconds, listen, log, networks, node_name, parsed,
    scope,
};
use crate::config::webhook::{Webhook, WebhookFlags};
use crate::domain::marks::OwnerId;
use crate::domain::names::{DnsName, FieldError};
use crate::domain::scope::Scope;

pub mod app_cluster;
pub mod apps;
pub mod checks;
pub mod state;
pub mod webhook;

/// Where the embedded plane listens unless told otherwise; not a real cluster's 6443, so that both fit on one host.
pub const DEFAULT_PLANE: &str = "127.0.0.1:16443";
/// Where the v1 API listens unless told otherwise.
pub const DEFAULT_API: &str = "127.0.0.1:44443";
/// Where health, readiness and metrics are told unless told otherwise.
pub const DEFAULT_OPS: &str = "127.0.0.1:44480";
/// Where the DNS server listens unless told otherwise; 53 needs a privilege and is often taken.
pub const DEFAULT_DNS: &str = "127.0.0.1:1053";
/// Calls of a cluster's API server a second unless told otherwise: the first statuses of thousands of services take some
/// of its time, and nobody else's.
pub const DEFAULT_API_RATE: u32 = 200;
/// The kubeconfig's name in the data directory.
pub const KUBECONFIG: &str = "kubeconfig";

/// All settings of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Object name of the CocoaNode that this process is.
    pub node: String,
    /// Where the objects live.
    pub plane: Plane,
    /// Which namespaces are served.
    pub scope: Scope,
    /// Calls of a cluster's API server a second, in the long run.
    pub api_rate: u32,
    /// What it listens on.
    pub listen: Listen,
    /// Files with rows `CIDR LINE`; read anew when they change.
    pub line_tables: Vec<PathBuf>,
    /// Folders whose objects are applied at start and on change.
    pub manifests: Vec<PathBuf>,
    /// The old program's `config.yaml`, made into objects once.
    pub old_config: Option<PathBuf>,
    /// The CocoaNode that is created for this process where none has its name.
    pub first_node: FirstNode,
    /// Peers from these networks are told credentials by `getClusterInfo`; nobody else.
    pub reveal_credentials_to: Vec<IpNet>,
    /// Whether a reverse proxy stands in front: told in the v1 API's documents; what a proxy forwards is never believed.
    pub reverse_proxy: bool,
    /// Who answers for the zones of the DNS server inside.
    pub authority: Authority,
    /// Who marks this installation's records, whatever is kept; none: as kept.
    pub owner_id: Option<OwnerId>,
    /// Applications.
    pub apps: Apps,
    /// The webhook; none: it is off.
    pub webhook: Option<Webhook>,
    /// What is logged.
    pub log: Log,
    /// The host's name, a pod's in a cluster: what this replica calls itself begins with it.
    pub host: String,
    /// How long the lease of replicas lasts, in seconds, 6 to 60.
    pub lease_seconds: u32,
}

/// How long the lease of replicas lasts unless told otherwise, in seconds.
pub const DEFAULT_LEASE_SECONDS: u32 = crate::domain::budget::LEASE.as_secs() as u32;

/// Where the objects live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plane {
    /// In this process.
    Embedded(Embedded),
    /// In a cluster.
    Cluster(ClusterAccess),
}

impl Plane {
    /// Where what must survive lies, for a plane inside.
    pub fn data_dir(&self) -> Option<&Path> {
        match self {
            Plane::Embedded(embedded) => Some(&embedded.data_dir),
            Plane::Cluster(_) => None,
        }
    }
}

/// The embedded plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Everything that must survive a restart lies here.
    pub data_dir: PathBuf,
    /// Where it listens for kubectl.
    pub listen: SocketAddr,
    /// Where the kubeconfig is written, mode 0600.
    pub kubeconfig: PathBuf,
}

/// The way to a cluster; both empty: the Pod's service account, else the user's kubeconfig.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterAccess {
    /// A kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; none: its current one.
    pub context: Option<String>,
}

/// What the process listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The v1 API with `/metrics`.
    pub api: SocketAddr,
    /// `/healthz`, `/readyz` and `/metrics`.
    pub ops: SocketAddr,
    /// DNS, UDP and TCP each; empty: no DNS server.
    pub dns: Vec<SocketAddr>,
}

/// The CocoaNode that is created at first start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstNode {
    /// Friendly name.
    pub display_name: String,
    /// Unique code.
    pub code: String,
    /// Base URL under which its peers reach it.
    pub address: String,
    /// Leader or follower.
    pub work_mode: WorkMode,
    /// Its own lines.
    pub lines: Vec<Line>,
    /// Families it publishes.
    pub network: NetworkType,
    /// Its public addresses; empty: none are fixed.
    pub fixed: Vec<IpAddr>,
    /// Echo services that tell them; empty: none are asked.
    pub echo: Vec<String>,
    /// How many echo services must agree.
    pub echo_agreement: u32,
    /// Whether private addresses may be published.
    pub allow_private: bool,
    /// A file with its shared secret; none: one is made up.
    pub secret_file: Option<PathBuf>,
}

/// Who answers for the zones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    /// Mailbox in the SOA as a name, its `@` a dot; none: `hostmaster` in each zone.
    pub hostmaster: Option<DnsName>,
    /// The zones' name servers; empty: `ns` in each zone.
    pub name_servers: Vec<DnsName>,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Directives as `tracing` knows them, e.g. `info,cocoasyncer=debug`.
    pub filter: String,
    /// Text for people or JSON for machines.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What was written on the command line, unchecked: one field a flag, `None` and empty where it was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the flag of its name, told in the command line's help")]
pub struct Flags {
    pub node: Option<String>,
    pub system_namespace: String,
    pub namespaces: Vec<String>,
    pub api_rate: u32,
    pub host_name: String,
    pub api_listen: String,
    pub ops_listen: String,
    pub dns_listen: Vec<String>,
    pub line_tables: Vec<PathBuf>,
    pub manifests: Vec<PathBuf>,
    pub old_config: Option<PathBuf>,
    pub display_name: Option<String>,
    pub node_code: Option<String>,
    pub address: Option<String>,
    pub work_mode: String,
    pub lines: Vec<String>,
    pub network_type: String,
    pub public_addresses: Vec<String>,
    pub echo: Vec<String>,
    pub echo_agreement: u32,
    pub allow_private: bool,
    pub secret_file: Option<PathBuf>,
    pub reveal_credentials_to: Vec<String>,
    pub reverse_proxy: bool,
    pub hostmaster: Option<String>,
    pub name_servers: Vec<String>,
    pub owner_id: Option<String>,
    pub apps: AppFlags,
    pub log: String,
    pub log_format: String,
    pub lease_seconds: u32,
}

/// The flags of `standalone` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the flag of its name, told in the command line's help")]
pub struct PlaneFlags {
    pub data_dir: PathBuf,
    pub plane_listen: String,
    pub write_kubeconfig: Option<PathBuf>,
}

impl Settings {
    /// Settings of `standalone`: the plane lies inside.
    pub fn standalone(flags: Flags, plane: PlaneFlags) -> Result<Self, FieldError> {
        let PlaneFlags { data_dir, plane_listen, write_kubeconfig } = plane;
        if data_dir.as_os_str().is_empty() {
            return Err(FieldError::new("--data-dir", "must not be empty: name a folder"));
        }
        let kubeconfig = write_kubeconfig.unwrap_or_else(|| data_dir.join(KUBECONFIG));
        let embedded =
            Embedded { listen: parsed("--plane-listen", &plane_listen, ADDRESS)?, data_dir, kubeconfig };
        let plane_at = embedded.listen;
        let settings = Self::of(flags, Plane::Embedded(embedded))?;
        apart(
            "--plane-listen",
            plane_at,
            &[("--api-listen", settings.listen.api), ("--ops-listen", settings.listen.ops)],
        )?;
        Ok(settings)
    }

    /// Settings of `run`: the plane is a cluster.
    pub fn in_cluster(
        flags: Flags,
        access: ClusterAccess,
        webhook: WebhookFlags,
    ) -> Result<Self, FieldError> {
        let settings =
            Self { webhook: Webhook::checked(webhook)?, ..Self::of(flags, Plane::Cluster(access))? };
        if let Some(webhook) = &settings.webhook {
            let others = [("--api-listen", settings.listen.api), ("--ops-listen", settings.listen.ops)];
            apart("--webhook-listen", webhook.listen, &others)?;
        }
        Ok(settings)
    }

    /// Whether there may be other replicas of this node.
    pub fn is_shared(&self) -> bool {
        matches!(self.plane, Plane::Cluster(_))
    }

    fn of(flags: Flags, plane: Plane) -> Result<Self, FieldError> {
        let node = node_name(&flags)?;
        let listen = listen(&flags)?;
        let scope = scope(&flags)?;
        if !(1..=100_000).contains(&flags.api_rate) {
            return Err(FieldError::new("--api-rate", "must be 1 to 100000 calls a second"));
        }
        Ok(Self {
            host: flags.host_name.clone(),
            lease_seconds: lease_seconds(&flags)?,
            first_node: first_node(&flags, &node, listen.api)?,
            reveal_credentials_to: networks(&flags.reveal_credentials_to)?,
            authority: authority(&flags)?,
            owner_id: flags.owner_id.as_deref().map(|id| OwnerId::parse(id, "--owner-id")).transpose()?,
            log: log(&flags)?,
            apps: Apps::checked(flags.apps, &scope, plane.data_dir())?,
            webhook: None,
            line_tables: existing("--line-table", flags.line_tables, Path::is_file, "file")?,
            manifests: existing("--manifests", flags.manifests, Path::is_dir, "folder")?,
            old_config: existing(
                "--old-config",
                flags.old_config.into_iter().collect(),
                Path::is_file,
                "file",
            )?
            .pop(),
            reverse_proxy: flags.reverse_proxy,
            node,
            plane,
            scope,
            api_rate: flags.api_rate,
            listen,
        })
    }
}

impl FirstNode {
    /// The object to create, under the name of this process's node.
    pub fn object(&self, name: &str) -> CocoaNode {
        let source = AddressSource { allow_private: self.allow_private, ..AddressSource::default() };
        let addresses = match () {
            () if !self.fixed.is_empty() => Some(AddressSource {
                fixed: Some(self.fixed.iter().map(ToString::to_string).collect()),
                ..source
            }),
            () if !self.echo.is_empty() => {
                let echo = Echo {
                    services: self.echo.clone(),
                    agreement: self.echo_agreement,
                    interval_seconds: 60,
                };
                Some(AddressSource { echo: Some(echo), ..source })
            }
            () => None,
        };
        let spec = CocoaNodeSpec {
            node_name: self.display_name.clone(),
            node_code: self.code.clone(),
            node_address: self.address.clone(),
            work_mode: self.work_mode,
            isps: self.lines.clone(),
            network_type: self.network,
            secret_ref: Some(SecretKeyRef { name: name.to_owned(), namespace: None, key: None }),
            addresses,
            liveness: Liveness::default(),
            preference: 50,
            drain: None,
            pin: None,
        };
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        CocoaNode { metadata, spec, status: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> Flags {
        Flags {
            host_name: "Tokyo-1.example.com".into(),
            system_namespace: "cocoasyncer-system".into(),
            api_rate: DEFAULT_API_RATE,
            api_listen: DEFAULT_API.into(),
            ops_listen: DEFAULT_OPS.into(),
            dns_listen: vec![DEFAULT_DNS.into()],
            work_mode: "leader".into(),
            lines: vec!["default".into()],
            network_type: "IPV4".into(),
            echo_agreement: 1,
            log: "info".into(),
            log_format: "text".into(),
            lease_seconds: DEFAULT_LEASE_SECONDS,
            apps: AppFlags { docker: "none".into(), auth: "token".into(), at_once: 1, ..AppFlags::default() },
            ..Flags::default()
        }
    }

    fn plane() -> PlaneFlags {
        PlaneFlags { data_dir: "data".into(), plane_listen: DEFAULT_PLANE.into(), write_kubeconfig: None }
    }

    #[test]
    fn defaults_listen_on_loopback_and_name_the_node_after_the_host() {
        let settings = Settings::standalone(flags(), plane()).unwrap();
        assert_eq!(settings.node, "tokyo-1");
        assert_eq!(settings.first_node.address, "http://127.0.0.1:44443");
        assert_eq!(settings.first_node.code, "tokyo-1");
        let Plane::Embedded(embedded) = settings.plane else { panic!("standalone has its plane inside") };
        assert_eq!(embedded.kubeconfig, Path::new("data/kubeconfig"));
        let all = [settings.listen.api, settings.listen.ops, settings.listen.dns[0], embedded.listen];
        assert!(all.iter().all(|address| address.ip().is_loopback()));
        let object = settings.first_node.object("tokyo-1");
        assert_eq!(object.spec.isps, [Line::Default]);
        assert_eq!(object.spec.addresses, None);
    }

    #[test]
    fn every_bad_value_is_refused_by_its_flag() {
        #[track_caller]
        fn check(flag: &str, part: &str, change: impl FnOnce(&mut Flags, &mut PlaneFlags)) {
            let (mut flags, mut plane) = (flags(), plane());
            change(&mut flags, &mut plane);
            let err = Settings::standalone(flags, plane).unwrap_err();
            assert_eq!(err.field, flag);
            assert!(err.why.contains(part), "{err}");
        }
        let one = |text: &str| vec![text.to_owned()];
        check("--node", "lower-case", |f, _| f.node = Some("Tokyo_1".into()));
        check("--node", "lower-case", |f, _| f.node = Some(String::new()));
        check("--api-rate", "1 to 100000", |f, _| f.api_rate = 0);
        check("--system-namespace", "lower-case", |f, _| f.system_namespace = "Ops".into());
        check("--namespaces", "lower-case", |f, _| f.namespaces = one(""));
        check("--app-namespace", "cocoasyncer-system, ops", |f, _| {
            (f.namespaces, f.apps.namespace) = (one("ops"), Some("web".into()));
        });
        check("--data-dir", "name a folder", |_, p| p.data_dir = PathBuf::new());
        check("--plane-listen", "not an address and port", |_, p| p.plane_listen = "localhost".into());
        check("--plane-listen", "--api-listen's", |_, p| p.plane_listen = DEFAULT_API.into());
        check("--api-listen", "not an address and port", |f, _| f.api_listen = "127.0.0.1:70000".into());
        check("--ops-listen", "--api-listen's", |f, _| f.ops_listen = DEFAULT_API.into());
        check("--dns-listen", "not an address and port", |f, _| f.dns_listen = one("53"));
        check("--dns-listen", "twice", |f, _| f.dns_listen.push(DEFAULT_DNS.into()));
        check("--line-table", "no file", |f, _| f.line_tables = vec!["/nonexistent/lines".into()]);
        check("--manifests", "no folder", |f, _| f.manifests = vec!["/nonexistent".into()]);
        check("--old-config", "no file", |f, _| f.old_config = Some("/nonexistent/config.yaml".into()));
        check("--secret-file", "no file", |f, _| f.secret_file = Some("/nonexistent/secret".into()));
        check("--display-name", "1 to 64", |f, _| f.display_name = Some(String::new()));
        check("--node-code", "1 to 64", |f, _| f.node_code = Some("-x".into()));
        check("--address", "http://", |f, _| f.address = Some("tokyo:44443".into()));
        check("--address", "password", |f, _| f.address = Some("http://a:b@tokyo".into()));
        check("--address", "no host", |f, _| f.address = Some("http:///x".into()));
        check("--work-mode", "leader, follower", |f, _| f.work_mode = "boss".into());
        check("--lines", "unknown line", |f, _| f.lines = one("telecom"));
        check("--lines", "twice", |f, _| f.lines.push("default".into()));
        check("--network-type", "Both", |f, _| f.network_type = "ipv4".into());
        check("--public-address", "not an IP", |f, _| f.public_addresses = one("203.0.113.300"));
        check("--public-address", "add --allow-private", |f, _| f.public_addresses = one("10.0.0.1"));
        check("--public-address", "--network-type is IPV4", |f, _| f.public_addresses = one("2001:db8::1"));
        check("--echo", "not an http", |f, _| f.echo = one("ftp://ip.example.com"));
        check("--echo", "one source", |f, _| {
            f.echo = one("https://ip.example.com");
            f.public_addresses = one("203.0.113.1");
        });
        check("--echo-agreement", "out of range", |f, _| f.echo_agreement = 2);
        check("--reveal-credentials-to", "not a CIDR", |f, _| f.reveal_credentials_to = one("192.0.2.0/33"));
        check("--hostmaster", "not a mail address", |f, _| f.hostmaster = Some("example.com".into()));
        check("--name-server", "empty label", |f, _| f.name_servers = one("ns..example.com"));
        check("--owner-id", "1 to 20", |f, _| f.owner_id = Some("Ours".into()));
        check("--log", "write e.g.", |f, _| f.log = "cocoasyncer=noisy".into());
        check("--lease-seconds", "6 to 60", |f, _| f.lease_seconds = 5);
        check("--lease-seconds", "6 to 60", |f, _| f.lease_seconds = 61);
        check("--log-format", "text, json", |f, _| f.log_format = "xml".into());
    }
}
