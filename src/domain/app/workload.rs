//! What a template runs, in no runtime's dialect: services, their images, ports and mounts, and who waits for whom.

use std::collections::{BTreeMap, BTreeSet};

/// One application's services and volumes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// Services that start, in the order of the template.
    pub services: Vec<Service>,
    /// Names of the services that no chosen profile starts.
    pub idle: BTreeSet<String>,
    /// Volumes by name.
    pub volumes: BTreeMap<String, Volume>,
}

/// A declared volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    /// Somebody else makes it and keeps it.
    pub external: bool,
}

/// One service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
}

/// A range of ports; of one port where both ends are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// What a port carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What.
    pub source: Source,
    /// Where, absolute.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A volume by name.
    Volume(String),
    /// A volume that lives as long as the container.
    Anonymous,
    /// A file or folder of the template, relative to it; empty: the template's folder.
    Template(String),
    /// A path of the host.
    Host(String),
    /// Memory.
    Memory,
}

/// What a service waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Health {
    /// The template says nothing; the image may.
    #[default]
    Unsaid,
    /// The template's own check.
    Checked,
    /// The template switches the image's check off.
    Off,
}
