//! From a template to an instance: the App's values and the install's choices put in.

pub mod variables;
pub mod ports;
pub mod digest;
pub mod people;
#[cfg(test)]
mod laws;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::app::Resources;
use crate::domain::app::compose;
use crate::domain::app::compose::values;
use crate::domain::app::env_file::Env;
use crate::domain::app::fill::variables::{Known, field};
use crate::domain::app::finding::{Code, Effect, Finding, Findings, Right};
use crate::domain::app::instance::{AppKey, Choices, Files, Instance, Wanted};
use crate::domain::app::metadata::Metadata;
use crate::domain::app::render;
use crate::domain::app::template::{self, ENV, Template, is_secret};
use crate::domain::app::verdict::{Backend, LONGEST_NAME, Verdict, judge};
use crate::domain::app::workload::{Protocol, Workload};
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

/// `$W9_ID` of an application: its name, with a letter before a digit, which no name in a cluster's DNS begins with, and
/// before a single character, which no engine takes for a container's name. What would then be another's, such as `a1`
/// beside `1`, has one letter more, so that no two names share one.
pub fn id(name: &str) -> String {
    let rest = name.trim_start_matches('a');
    match rest.starts_with(|c: char| c.is_ascii_digit()) || rest.len() <= 1 {
        true => format!("a{name}"),
        false => name.to_owned(),
    }
}

/// Shorter values are words such as `admin`, which any text may hold.
const SHORTEST_MASK: usize = 8;

/// Fills `template`; what keeps it from running on the backend where it can't, all of it.
///
/// Variables take the template's values; over them what the install chose (`W9_ID`, `W9_VERSION`, `W9_POWER_PASSWORD`, …);
/// over that the App's own. `spec.resources` bounds the service that people talk to, which is what they know of.
pub fn instantiate(
    template: &Template,
    files: Arc<Files>,
    order: &Order<'_>,
) -> Result<Instance, Vec<Finding>> {
    let mut findings = Findings::default();
    let given = order.secret_variables.values().chain([&order.choices.password]);
    let given = given.map(|secret| secret.expose().to_owned()).filter(|text| SHORTEST_MASK <= text.len());
    findings.mask(given.collect::<Vec<_>>().into_iter());
    template::missing(template, &mut findings);
    let known = Known::of(template);
    let metadata = template.metadata.as_deref();
    let metadata = metadata.and_then(|bytes| Metadata::parse(bytes, &template.name, &mut findings));
    refuse(&known, metadata.as_ref(), order, &mut findings);
    let put = variables::put(&known, order, &mut findings);
    let env = variables::parse(template, &put, &mut findings);
    findings.mask(secrets(&env).map(str::to_owned).collect::<Vec<_>>().into_iter());
    let bytes = template.compose.as_deref().unwrap_or_default();
    let read = compose::read(bytes, &env, template, &files, &mut findings);
    if let Some(workload) = &read {
        judge(workload, template, &mut findings);
    }
    let mut alone = put;
    alone.retain(|key, _| !order.choices.ports.contains_key(key));
    let slots = ports::survey(template, &known, &alone);
    let mut workload = read.unwrap_or_default();
    ports::apply(&mut workload, &slots, &order.choices.ports);
    let seen = people::Seen::of(&known, &env, &workload, &slots, order);
    bound(&mut workload, seen.serving.as_ref().map(|serving| serving.service.as_str()), order, &mut findings);
    let forbids = |finding: &Finding| finding.verdict(order.backend, order.allowed) == Verdict::Cannot;
    let forbidding: Vec<Finding> = findings.sorted().into_iter().filter(forbids).collect();
    if !forbidding.is_empty() || workload.services.is_empty() {
        return Err(forbidding);
    }
    Ok(finished(template, files, order, (metadata.unwrap_or_default(), env, workload, seen)))
}

/// Whether `version` of `template` can be installed.
pub fn has_version(template: &Template, metadata: Option<&Metadata>, version: &str) -> bool {
    fits(&Known::of(template), metadata, version)
}

fn fits(known: &Known, metadata: Option<&Metadata>, version: &str) -> bool {
    let default = known.dialect.and_then(|dialect| known.plain.get(dialect.version()));
    let listed = metadata.map(|metadata| metadata.versions.as_slice()).unwrap_or_default();
    // What the template itself would run is as good as listed, and one that lists nothing leaves the choice to its user.
    listed.iter().any(|listed| listed == version)
        || default == Some(version)
        || listed.is_empty() && values::is_tag(version)
}

/// What of the App itself can't be.
fn refuse(known: &Known, metadata: Option<&Metadata>, order: &Order<'_>, findings: &mut Findings) {
    let name = id(&order.key.name);
    if LONGEST_NAME < name.len() {
        findings.add(Finding::both(Code::NameTooLong, Effect::Cannot, field("metadata.name"), name));
    }
    if !fits(known, metadata, order.version) {
        let place = field("spec.appVersion");
        findings.add(Finding::both(Code::UnknownVersion, Effect::Cannot, place, order.version));
    }
}

fn secrets(env: &Env) -> impl Iterator<Item = &str> {
    let secret = env.iter().filter(|(key, variable)| is_secret(key) && SHORTEST_MASK <= variable.value.len());
    secret.map(|(_, variable)| variable.value.as_str())
}

/// Puts the App's bounds in the place of the template's.
fn bound(workload: &mut Workload, serving: Option<&str>, order: &Order<'_>, findings: &mut Findings) {
    let Some(resources) = order.resources else { return };
    let mut quantity = |key: &str, text: &Option<String>, unit: f64| {
        let text = text.as_deref()?;
        let read = values::quantity(text).map(|number| number * unit).filter(|number| 1.0 <= *number);
        if read.is_none() {
            let (place, what) = (field(&format!("spec.resources.{key}")), format!("{text:?} is no quantity"));
            findings.add(Finding::both(Code::BadValue, Effect::Cannot, place, what));
        }
        read.map(|number| number as u64)
    };
    let (cpu, memory) = (quantity("cpu", &resources.cpu, 1000.0), quantity("memory", &resources.memory, 1.0));
    let at = workload.services.iter().position(|service| Some(service.name.as_str()) == serving);
    let Some(service) = workload.services.get_mut(at.unwrap_or_default()) else { return };
    let limits = &mut service.limits;
    (limits.cpu, limits.memory) = (cpu.or(limits.cpu), memory.or(limits.memory));
    // What is kept for certain can't be more than the most.
    limits.cpu_reserved = limits.cpu_reserved.map(|kept| kept.min(limits.cpu.unwrap_or(kept)));
    limits.memory_reserved = limits.memory_reserved.map(|kept| kept.min(limits.memory.unwrap_or(kept)));
}

fn finished(
    template: &Template,
    files: Arc<Files>,
    order: &Order<'_>,
    (metadata, env, workload, seen): (Metadata, Env, Workload, people::Seen),
) -> Instance {
    let text = env.render();
    let shared = seen.shared_network.as_deref();
    let serves = |name: &str| seen.serving.as_ref().is_some_and(|serving| serving.service == name);
    let digest = |service: &crate::domain::app::workload::Service| {
        let shared = shared.filter(|_| serves(&service.name));
        let ground = digest::Ground { workload: &workload, files: &files, env: &text, shared };
        (service.name.clone(), digest::of(service, &ground))
    };
    let digests = workload.services.iter().map(digest).collect();
    let serving = seen.serving.as_ref().map(|serving| serving.service.as_str());
    let compose = render::compose(&workload, shared, serving);
    Instance {
        key: order.key.clone(),
        uid: order.uid.to_owned(),
        wanted: order.wanted,
        app_name: template.name.clone(),
        title: if metadata.title.is_empty() { template.name.clone() } else { metadata.title },
        version: order.version.to_owned(),
        id: id(&order.key.name),
        masks: masks(&env, &workload, order),
        digests,
        env: Secret::new(text),
        compose: Secret::new(compose),
        files,
        serving: seen.serving,
        ports: seen.ports,
        shared_network: seen.shared_network,
        url: seen.url,
        domain: order.domain.map(str::to_owned),
        pull_secret: order.pull_secret.map(str::to_owned),
        admin_url: seen.admin_url,
        user_name: seen.user_name,
        password: seen.password,
        needs: metadata.needs,
        workload,
    }
}

/// What must not be seen, the longest first, so that none hides a part of another.
fn masks(env: &Env, workload: &Workload, order: &Order<'_>) -> Vec<Secret> {
    // A secret of three characters is none, and masking it would make words unreadable.
    let given = order.secret_variables.values().map(Secret::expose).filter(|text| 4 <= text.len());
    let environments = workload.services.iter().flat_map(|service| &service.environment);
    let named = environments.filter(|(key, value)| is_secret(key) && SHORTEST_MASK <= value.len());
    let contents = workload.services.iter().flat_map(|service| &service.contents);
    let contents = contents.filter(|content| content.secret).map(|content| content.text.trim());
    let mut texts: BTreeSet<&str> = secrets(env).chain(given).collect();
    texts.extend(named.map(|(_, value)| value.as_str()));
    texts.extend(contents.filter(|text| SHORTEST_MASK <= text.len()));
    texts.insert(order.choices.password.expose());
    texts.remove("");
    let mut texts: Vec<&str> = texts.into_iter().collect();
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    texts.into_iter().map(Secret::new).collect()
}

/// The ports of the host that `template` would publish with the App's variables.
pub fn wanted_ports(template: &Template, variables: &BTreeMap<String, String>) -> Vec<WantedPort> {
    ports::wanted(template, variables)
}

/// Chooses a port for each of `wanted`: the one remembered, else the one it would like, else the next free one above it,
/// never a well-known one that was not asked for. `taken` are others' ports. None: so many in a row are not free.
pub fn allocate(
    wanted: &[WantedPort],
    remembered: &BTreeMap<String, u16>,
    taken: &BTreeSet<(u16, Protocol)>,
) -> Option<BTreeMap<String, u16>> {
    ports::allocate(wanted, remembered, taken)
}
