//! What a template runs, in no runtime's dialect: services, their images, ports and mounts, and who waits for whom.
//! Its environment and command lines hold passwords, so nothing here prints them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// One application's services, volumes and files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// Services that start, in the order of the template.
    pub services: Vec<Service>,
    /// Names of the services that no chosen profile starts.
    pub idle: BTreeSet<String>,
    /// Volumes by name.
    pub volumes: BTreeMap<String, Volume>,
}

impl Workload {
    /// The service of this name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }
}

/// A declared volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Somebody else makes it and keeps it.
    pub external: bool,
    /// How it is called where that isn't left to us.
    pub called: Option<String>,
    /// Its driver; none: the engine's.
    pub driver: Option<String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

/// One service.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The line where it begins.
    pub line: u64,
    /// The name that its container has, and siblings call it by.
    pub container: Option<String>,
    /// The image it runs.
    pub image: Option<String>,
    /// Ports that the host publishes.
    pub ports: Vec<Port>,
    /// Ports that siblings use, `expose` in compose.
    pub inner_ports: Vec<u16>,
    /// What is mounted where.
    pub mounts: Vec<Mount>,
    /// What must have happened before it starts.
    pub waits: Vec<Wait>,
    /// How its health is told.
    pub health: Health,
    /// Profiles, one of which must be chosen; none: it always starts.
    pub profiles: Vec<String>,
    /// The service whose network it shares.
    pub joins: Option<String>,
    /// What its processes find in their environment: `env_file` with `environment` over it.
    pub environment: BTreeMap<String, String>,
    /// What it runs instead of the image's command.
    pub command: Option<Vec<String>>,
    /// What it runs instead of the image's entrypoint; an empty list takes the image's away.
    pub entrypoint: Option<Vec<String>>,
    /// As whom it runs: `uid`, `uid:gid` or names that the image knows.
    pub user: Option<String>,
    /// Where its process starts.
    pub working_dir: Option<String>,
    /// How it calls itself.
    pub hostname: Option<String>,
    /// When it comes back.
    pub restart: Restart,
    /// The template's own check, where `health` is [`Health::Checked`].
    pub check: Option<Check>,
    /// Bounds.
    pub limits: Limits,
    /// What it may beyond, or not as much as, other containers.
    pub sandbox: Sandbox,
    /// Files from configs and secrets of the document whose content stands in it or in a variable.
    pub contents: Vec<Content>,
    /// Names that it has in its network beside its own.
    pub aliases: Vec<String>,
    /// Names that it finds in its hosts file; the address may be `host-gateway`.
    pub extra_hosts: Vec<(String, String)>,
    /// Name servers, search domains and options of its resolver.
    pub dns: Dns,
    /// The template's own labels.
    pub labels: BTreeMap<String, String>,
    /// How it is stopped: a signal; none: the image's.
    pub stop_signal: Option<String>,
    /// How long it may take to stop.
    pub stop_grace: Option<Duration>,
    /// Where its network is.
    pub network: Network,
    /// The driver of its log with the driver's options; none: the engine's.
    pub logging: Option<(String, BTreeMap<String, String>)>,
    /// When its image is pulled.
    pub pull: PullPolicy,
    /// The platform that its image must be of, `linux/arm64`.
    pub platform: Option<String>,
    /// Keys of compose that only a Docker engine knows, taken over as they stand: `cpuset`, `pids_limit`, `oom_score_adj`
    /// and such. By the key's name, as the text that stood there.
    pub engine_only: BTreeMap<String, String>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Whether it does its work and ends: somebody waits for its end, or it says that it stays away after a good one
    /// and serves nobody.
    pub fn is_one_shot(&self, all: &Workload) -> bool {
        let waited =
            |other: &Service| other.waits.iter().any(|w| w.on == self.name && w.until == Until::Completed);
        let serves = !self.ports.is_empty() || !self.inner_ports.is_empty() || self.health == Health::Checked;
        match self.restart {
            Restart::Always | Restart::UnlessStopped => false,
            Restart::No | Restart::OnFailure(_) if !serves => true,
            _ => all.services.iter().any(waited),
        }
    }
}

/// When a service comes back by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Restart {
    /// The template says nothing: compose's `no`, though what serves comes back by our doing.
    #[default]
    Unsaid,
    /// Whenever it ends, and after the engine's own restart, unless somebody stopped it.
    UnlessStopped,
    /// Whenever it ends.
    Always,
    /// When it ends badly; at most so many times.
    OnFailure(Option<u32>),
    /// Never.
    No,
}

/// A health check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The command: words to run.
    pub command: Vec<String>,
    /// Whether `command` is one text for the image's shell.
    pub shell: bool,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// Time that one may take.
    pub timeout: Option<Duration>,
    /// Failures in a row until it counts as ill.
    pub retries: Option<u32>,
    /// Time after the start in which failures don't count.
    pub start_period: Option<Duration>,
    /// Time between two checks within `start_period`.
    pub start_interval: Option<Duration>,
}

/// Bounds of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Most of the processor, in thousandths of a core.
    pub cpu: Option<u64>,
    /// Most memory, in octets.
    pub memory: Option<u64>,
    /// What of the processor it gets for certain, in thousandths of a core.
    pub cpu_reserved: Option<u64>,
    /// Memory that it gets for certain, in octets.
    pub memory_reserved: Option<u64>,
    /// Size of `/dev/shm`, in octets.
    pub shm: Option<u64>,
    /// Graphics processors: how many; -1: all.
    pub gpus: Option<i64>,
}

/// What a service may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sandbox {
    /// Everything.
    pub privileged: bool,
    /// It can't write to its image's files.
    pub read_only: bool,
    /// Capabilities beyond the engine's set, without `CAP_`.
    pub cap_add: Vec<String>,
    /// Capabilities taken away, without `CAP_`.
    pub cap_drop: Vec<String>,
    /// Options such as `no-new-privileges:true`, `seccomp:unconfined`.
    pub security_opt: Vec<String>,
    /// Kernel settings.
    pub sysctls: BTreeMap<String, String>,
    /// Limits of resources: soft and hard.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// Devices of the host: on the host, in the container, rights.
    pub devices: Vec<(String, String, String)>,
    /// Further groups.
    pub group_add: Vec<String>,
    /// Namespaces by their key (`pid`, `ipc`, `uts`, `userns_mode`, `cgroup`) with their mode.
    pub namespaces: BTreeMap<String, String>,
    /// Whether a small first process reaps the dead.
    pub init: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input stays open.
    pub stdin_open: bool,
}

/// A file of a container whose content is known here.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Where it stands, absolute.
    pub target: String,
    /// What stands in it.
    pub text: String,
    /// Its mode, `0o444` by default.
    pub mode: u32,
    /// Whether it is a secret.
    pub secret: bool,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("target", &self.target).finish_non_exhaustive()
    }
}

/// A service's resolver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Dns {
    /// Name servers.
    pub servers: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// Options.
    pub options: Vec<String>,
}

/// A service's network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Network {
    /// The application's own, or that of the service it joins.
    #[default]
    Own,
    /// The host's.
    Host,
    /// None.
    None,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum PullPolicy {
    /// When it isn't there.
    #[default]
    Missing,
    /// At each install and upgrade.
    Always,
    /// Never.
    Never,
}

/// A range of ports; of one port where both ends are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Range {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// What a port carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A published port, or a range of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// The host's; none: any free one.
    pub host: Option<Range>,
    /// The container's.
    pub container: Range,
    /// What it carries.
    pub protocol: Protocol,
    /// The one address of the host where it is published; none: all.
    pub address: Option<String>,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// What.
    pub source: Source,
    /// Where, absolute.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
    /// The folder of the volume that is mounted; none: all of it.
    pub subpath: Option<String>,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Source {
    /// A volume by name.
    Volume(String),
    /// A volume that lives as long as the container.
    Anonymous,
    /// A file or folder of the template, relative to it; empty: the template's folder.
    Template(String),
    /// A path of the host.
    Host(String),
    /// Memory: at most so many octets, with this mode.
    Memory(Option<u64>, Option<u32>),
}

/// What a service waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The service that must come first.
    pub on: String,
    /// What it must have come to.
    pub until: Until,
    /// Whether the template is wrong without it.
    pub required: bool,
    /// The line that says so.
    pub line: u64,
}

/// What a service must have come to before another starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Until {
    /// It runs.
    #[default]
    Started,
    /// It says that it is healthy.
    Healthy,
    /// It ended well.
    Completed,
}

/// How a service's health is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Health {
    /// The template says nothing; the image may.
    #[default]
    Unsaid,
    /// The template's own check.
    Checked,
    /// The template switches the image's check off.
    Off,
}
