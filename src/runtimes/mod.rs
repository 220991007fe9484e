//! What runs workloads. A runtime observes and takes one step at a time; which step, and what a failure means for the
//! application, is decided above. What is not marked as the App's is never touched.

pub mod memory;
pub mod docker;
pub mod kubernetes;

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::domain::app::instance::{AppKey, Instance};
use crate::domain::app::kubernetes::Level;
use crate::domain::app::observed::{Capacity, Observed, Probe};
use crate::domain::app::plan::Step;
use crate::domain::app::registry::Credentials;
use crate::domain::app::verdict::Backend;
use crate::domain::app::workload::Protocol;
use crate::domain::retry::Class;

/// What went wrong, as far as it tells what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The registry has no such image or tag.
    ImageUnknown,
    /// The registry wants other credentials.
    Credentials,
    /// The registry can't be reached, or answers no pull in time.
    RegistryUnreachable,
    /// The disk is full.
    NoSpace,
    /// A name (of a container, network, volume, object) is somebody else's.
    NameTaken,
    /// A port of the host is somebody else's.
    PortTaken,
    /// The engine or the cluster can't be reached.
    Unreachable,
    /// We may not do that.
    Rights,
    /// The runtime refuses what the template asks for.
    Refused,
    /// Anything else.
    Other,
}

impl Kind {
    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::ImageUnknown => "image_unknown",
            Kind::Credentials => "credentials",
            Kind::RegistryUnreachable => "registry_unreachable",
            Kind::NoSpace => "no_space",
            Kind::NameTaken => "name_taken",
            Kind::PortTaken => "port_taken",
            Kind::Unreachable => "unreachable",
            Kind::Rights => "rights",
            Kind::Refused => "refused",
            Kind::Other => "other",
        }
    }
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct RuntimeError {
    /// What was tried, what the runtime said and what to do; without a secret in it.
    pub what: String,
    /// Who can mend it.
    pub class: Class,
    /// What went wrong.
    pub kind: Kind,
    /// The cause below, if any.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl RuntimeError {
    /// A failure in our own words.
    pub fn new(kind: Kind, class: Class, what: impl Into<String>) -> Self {
        Self { what: what.into(), class, kind, source: None }
    }
}

/// How far a step is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, e.g. `pulling nginx:1.28`.
    pub what: String,
    /// Octets (of a pull, a copy) done.
    pub done: u64,
    /// Of how many; 0 while unknown.
    pub total: u64,
    /// Layers of a pull: by id, done, of how many.
    pub layers: Vec<(String, u64, u64)>,
}

/// What helps a step.
pub struct Aid<'a> {
    /// Credentials of registries.
    pub credentials: &'a Credentials,
    /// Hears how far it is; must not block.
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
}

/// What an uninstall takes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clear {
    /// Images that nobody else uses.
    pub images: bool,
    /// Volumes, snapshots and files.
    pub data: bool,
}

/// What a runtime does less well for an instance than its template's author, or its owner, would like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caveats {
    /// What doesn't come about: where in the template, and in which words.
    pub partly: Vec<(String, String)>,
    /// The least strict Pod Security level that all its pods pass; none: the runtime knows no pods.
    pub level: Option<Level>,
    /// Whether it has data of which no copy is kept when its version changes.
    pub data_not_copied: bool,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The service that wrote it.
    pub service: String,
    /// The line, without its end.
    pub text: String,
}

/// Something that runs workloads. Futures may be dropped at any await: what was begun is then given up or found again by
/// the next observation.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Which it is.
    fn backend(&self) -> Backend;

    /// What stands of the application.
    async fn observe(&self, instance: &Instance) -> Result<Observed, RuntimeError>;

    /// Takes one step. A step that was taken already succeeds.
    async fn step(&self, instance: &Instance, step: &Step, aid: Aid<'_>) -> Result<(), RuntimeError>;

    /// Asks the serving port, once.
    async fn probe(&self, instance: &Instance, observed: &Observed) -> Probe;

    /// Removes what is the App's, by its marks and not by the template, which may be gone; answers what should
    /// have gone and could not, and why. What is kept on purpose is not among it.
    async fn clear(&self, key: &AppKey, uid: &str, what: Clear) -> Result<Vec<String>, RuntimeError>;

    /// The last lines of its services' logs (of one, where `service` names it), oldest first; not masked.
    async fn logs(
        &self,
        key: &AppKey,
        service: Option<&str>,
        lines: u32,
    ) -> Result<Vec<LogLine>, RuntimeError>;

    /// What of the instance comes about less well here; without asking anybody.
    fn caveats(&self, _instance: &Instance) -> Caveats {
        Caveats::default()
    }

    /// What the host has left.
    async fn capacity(&self) -> Result<Capacity, RuntimeError>;

    /// Ports of the host that are in use, whoever uses them, `key`'s own containers left out.
    async fn taken_ports(&self, key: &AppKey) -> Result<BTreeSet<(u16, Protocol)>, RuntimeError>;

    /// Where the rendered compose file of an application lies; none: nowhere.
    fn compose_file(&self, key: &AppKey) -> Option<String>;

    /// Names of applications with which something happened, by name; an empty name: anything may have. Goes on through
    /// losses of the connection.
    fn events(&self) -> BoxStream<'static, String>;
}
