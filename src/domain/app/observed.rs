//! What stands of an application, as a runtime saw it: facts, no judgement.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;

use crate::domain::app::metadata::Needs;

/// What was seen of one application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Those of the workload's images that are there (Docker).
    pub images: BTreeSet<String>,
    /// Whether the application's network is there (Docker).
    pub network: bool,
    /// Whether its rendered files lie where they should, as they should (Docker).
    pub files: bool,
    /// Volumes of the application by the template's names.
    pub volumes: BTreeSet<String>,
    /// What runs, by service.
    pub services: BTreeMap<String, Container>,
    /// Services that the application has no more, or a second container of one: by the runtime's id.
    pub strays: BTreeSet<String>,
    /// Whether all its objects stand as they would be rendered now (Kubernetes).
    pub applied: bool,
}

/// One container, or in a cluster the pod that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The runtime's id.
    pub id: String,
    /// The digest of what it was made from.
    pub digest: String,
    /// The image that it was made from, as the template names it.
    pub image: String,
    /// What it does.
    pub state: State,
    /// What its health check says; none: it has none.
    pub health: Option<Wellness>,
    /// How often the runtime restarted it.
    pub restarts: u32,
    /// How it ended last.
    pub exit: Option<i64>,
    /// When it started last.
    pub started: Option<Timestamp>,
    /// When it ended last.
    pub ended: Option<Timestamp>,
    /// Its address in the application's network.
    pub address: Option<IpAddr>,
    /// What the runtime says of its trouble, without a secret.
    pub trouble: Option<String>,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was made and never started.
    Created,
    /// It runs.
    Running,
    /// It ended and the runtime brings it back.
    Restarting,
    /// Somebody froze it.
    Paused,
    /// It ended.
    Exited,
    /// The runtime can't do anything with it any more.
    Dead,
    /// It waits for the cluster: for its image, a node, a volume.
    Pending,
    /// It was told to end and is not gone yet: whatever it still answers is no answer of what shall run.
    Ending,
}

/// What a health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wellness {
    /// It has not said anything yet.
    Starting,
    /// It is well.
    Healthy,
    /// It is not.
    Unhealthy,
}

/// Whether the serving port answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It answers.
    Answers,
    /// It does not: why.
    Silent(String),
    /// Nothing to ask.
    Nobody,
}

/// What a host has.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Capacity {
    /// Cores.
    pub cores: f64,
    /// GiB of memory that are available.
    pub memory: f64,
    /// GiB of disk that are free.
    pub disk: f64,
}

/// Memory that must be available for each GiB that the template asks for. Source: the contract of the App API.
const MEMORY_FACTOR: f64 = 1.2;
/// GiB of disk that must stay free beside what the template asks for. Source: the same.
const DISK_RESERVE: f64 = 2.0;

impl Capacity {
    /// What there is too little of for `needs`; none: there is enough.
    pub fn lacks(self, needs: Needs) -> Option<String> {
        let rows = [
            ("cpu", "cores", needs.cpu, self.cores),
            ("memory", "GiB of memory", needs.memory * MEMORY_FACTOR, self.memory),
            ("disk", "GiB of disk", needs.disk + DISK_RESERVE, self.disk),
        ];
        let short = rows.iter().filter(|(.., needs, has)| has < needs);
        let words: Vec<String> = short
            .map(|(what, unit, needs, has)| format!("{what}: {needs:.1} {unit} needed, {has:.1} left"))
            .collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_is_as_the_contract_has_it() {
        let needs = Needs { cpu: 2.0, memory: 4.0, disk: 3.0 };
        let has = |cores, memory, disk| Capacity { cores, memory, disk }.lacks(needs);
        assert_eq!(has(2.0, 4.8, 5.0), None);
        assert!(has(1.9, 4.8, 5.0).unwrap().starts_with("cpu: 2.0 cores needed, 1.9 left"));
        assert!(has(2.0, 4.7, 5.0).unwrap().starts_with("memory: 4.8 GiB"));
        assert!(has(2.0, 4.8, 4.9).unwrap().starts_with("disk: 5.0 GiB"));
        assert_eq!(has(0.0, 0.0, 0.0).unwrap().matches(';').count(), 2);
    }
}
