//! Every key of the compose specification and what becomes of it on each backend. Data only.

use crate::domain::app::finding::Effect;

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is honoured on both backends, or looked at elsewhere.
    Full,
    /// It changes nothing that matters: on both, or in a cluster only.
    Dropped(Backends),
    /// What its author wanted does not come about.
    Lost(Backends),
    /// It needs what no template of a catalogue has: files from elsewhere.
    Elsewhere,
}

/// Where a key is not honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backends {
    /// On both.
    Both,
    /// In a cluster only.
    Cluster,
}

impl Backends {
    /// `effect` where the key is not honoured.
    pub fn effects(self, effect: Effect) -> (Effect, Effect) {
        match self {
            Backends::Both => (effect, effect),
            Backends::Cluster => (Effect::Fine, effect),
        }
    }
}

/// What becomes of `key`; none: no key of compose. Extensions (`x-`) are nobody's business.
pub fn known(keys: &[(&str, Use)], key: &str) -> Option<Use> {
    if key.starts_with("x-") {
        return Some(Use::Full);
    }
    keys.iter().find(|(name, _)| *name == key).map(|(_, using)| *using)
}

const DROP: Use = Use::Dropped(Backends::Both);
const DROP_K: Use = Use::Dropped(Backends::Cluster);
const LOST: Use = Use::Lost(Backends::Both);
const LOST_K: Use = Use::Lost(Backends::Cluster);

/// Keys of the document.
pub const DOCUMENT: &[(&str, Use)] = &[
    ("version", Use::Full),
    ("name", Use::Full),
    ("services", Use::Full),
    ("networks", Use::Full),
    ("volumes", Use::Full),
    ("configs", Use::Full),
    ("secrets", Use::Full),
    ("include", Use::Elsewhere),
    ("models", LOST),
];

/// Keys of a network. Every application has a network of its own; only the shared one is the host's.
pub const NETWORK: &[(&str, Use)] = &[
    ("name", Use::Full),
    ("external", Use::Full),
    ("driver", DROP_K),
    ("driver_opts", DROP_K),
    ("attachable", DROP),
    ("enable_ipv4", DROP_K),
    ("enable_ipv6", DROP_K),
    ("internal", LOST_K),
    ("ipam", DROP_K),
    ("labels", Use::Full),
];

/// Keys of a volume.
pub const VOLUME: &[(&str, Use)] = &[
    ("name", DROP),
    ("external", Use::Full),
    ("driver", Use::Full),
    ("driver_opts", Use::Full),
    ("labels", Use::Full),
];

/// Keys of a service.
pub const SERVICE: &[(&str, Use)] = &[
    ("annotations", Use::Full),
    ("attach", DROP),
    ("blkio_config", LOST),
    ("build", Use::Full),
    ("cap_add", Use::Full),
    ("cap_drop", Use::Full),
    ("cgroup", Use::Full),
    ("cgroup_parent", LOST_K),
    ("command", Use::Full),
    ("configs", Use::Full),
    ("container_name", Use::Full),
    ("cpu_count", DROP),
    ("cpu_percent", DROP),
    ("cpu_period", LOST_K),
    ("cpu_quota", LOST_K),
    ("cpu_rt_period", LOST),
    ("cpu_rt_runtime", LOST),
    ("cpu_shares", DROP_K),
    ("cpus", Use::Full),
    ("cpuset", LOST_K),
    ("credential_spec", LOST),
    ("depends_on", Use::Full),
    ("deploy", Use::Full),
    ("develop", DROP),
    ("device_cgroup_rules", LOST_K),
    ("devices", Use::Full),
    ("dns", Use::Full),
    ("dns_opt", Use::Full),
    ("dns_search", Use::Full),
    ("domainname", DROP_K),
    ("entrypoint", Use::Full),
    ("env_file", Use::Full),
    ("environment", Use::Full),
    ("expose", Use::Full),
    ("extends", Use::Elsewhere),
    ("external_links", LOST),
    ("extra_hosts", Use::Full),
    ("gpus", Use::Full),
    ("group_add", Use::Full),
    ("healthcheck", Use::Full),
    ("hostname", Use::Full),
    ("image", Use::Full),
    ("init", DROP_K),
    ("ipc", Use::Full),
    ("isolation", DROP),
    ("label_file", DROP),
    ("labels", Use::Full),
    ("links", Use::Full),
    ("logging", DROP_K),
    ("mac_address", LOST_K),
    ("mem_limit", Use::Full),
    ("mem_reservation", Use::Full),
    ("mem_swappiness", LOST_K),
    ("memswap_limit", LOST_K),
    ("models", LOST),
    ("network_mode", Use::Full),
    ("networks", Use::Full),
    ("oom_kill_disable", LOST_K),
    ("oom_score_adj", LOST_K),
    ("pid", Use::Full),
    ("pids_limit", LOST_K),
    ("platform", DROP_K),
    ("ports", Use::Full),
    ("post_start", LOST),
    ("pre_stop", LOST),
    ("privileged", Use::Full),
    ("profiles", Use::Full),
    ("provider", LOST),
    ("pull_policy", Use::Full),
    ("read_only", Use::Full),
    ("restart", Use::Full),
    ("runtime", LOST_K),
    ("scale", Use::Full),
    ("secrets", Use::Full),
    ("security_opt", Use::Full),
    ("shm_size", Use::Full),
    ("stdin_open", Use::Full),
    ("stop_grace_period", Use::Full),
    ("stop_signal", DROP_K),
    ("storage_opt", LOST_K),
    ("sysctls", Use::Full),
    ("tmpfs", Use::Full),
    ("tty", Use::Full),
    ("ulimits", Use::Full),
    ("use_api_socket", Use::Full),
    ("user", Use::Full),
    ("userns_mode", Use::Full),
    ("uts", Use::Full),
    ("volumes", Use::Full),
    ("volumes_from", LOST_K),
    ("working_dir", Use::Full),
];

/// What stands under a key that is taken over as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// Texts.
    List,
    /// Pairs.
    Map,
}

/// Keys of a service that only an engine knows and that are taken over as they stand.
pub const ENGINE_ONLY: &[(&str, Shape)] = &[
    ("cgroup_parent", Shape::Text),
    ("cpu_period", Shape::Text),
    ("cpu_quota", Shape::Text),
    ("cpu_shares", Shape::Text),
    ("cpuset", Shape::Text),
    ("device_cgroup_rules", Shape::List),
    ("domainname", Shape::Text),
    ("mac_address", Shape::Text),
    ("mem_swappiness", Shape::Text),
    ("memswap_limit", Shape::Text),
    ("oom_kill_disable", Shape::Text),
    ("oom_score_adj", Shape::Text),
    ("pids_limit", Shape::Text),
    ("runtime", Shape::Text),
    ("storage_opt", Shape::Map),
    ("volumes_from", Shape::List),
];

/// Keys of `deploy`; what only a swarm has is dropped.
pub const DEPLOY: &[(&str, Use)] = &[
    ("resources", Use::Full),
    ("replicas", Use::Full),
    ("restart_policy", Use::Full),
    ("endpoint_mode", DROP),
    ("labels", DROP),
    ("mode", DROP),
    ("placement", DROP),
    ("rollback_config", DROP),
    ("update_config", DROP),
];

/// Keys of `healthcheck`.
pub const HEALTH: &[&str] =
    &["test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"];

/// Capabilities that the engine gives to every container, so that asking for one of them asks for nothing. Source: the
/// engine's default profile.
pub const DEFAULT_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
