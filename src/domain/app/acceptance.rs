//! Whether an App can be what it says, before anything is pulled or chosen: its name, its rights, its template.

use std::collections::BTreeSet;

use crate::api::app::{App, AppSpec, RuntimeKind};
use crate::api::condition::reasons;
use crate::domain::app::finding::{Code, Effect, Finding, Right};
use crate::domain::app::instance::AppKey;
use crate::domain::app::verdict::Backend;

/// Why it can't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The condition's reason.
    pub reason: &'static str,
    /// Its words; they name the field, or the place in the template.
    pub message: String,
}

impl Refused {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// An older App has its name.
    pub fn repeated(older: &AppKey) -> Self {
        let words =
            format!("metadata.name: the older App {older} has this name already, and names are one host's");
        Self::new(reasons::NAME_REPEATED, words)
    }

    /// This node can't run what it asks for.
    pub fn no_runtime(kind: RuntimeKind) -> Self {
        let words = match kind {
            RuntimeKind::Docker => "spec.runtime: this node has no Docker engine",
            RuntimeKind::Kubernetes => "spec.runtime: this node is connected to no cluster",
            RuntimeKind::Auto => "spec.runtime: this node has neither a cluster nor a Docker engine",
        };
        Self::new(reasons::RUNTIME_UNKNOWN, words)
    }

    /// The catalogue has no such application.
    pub fn unknown(spec: &AppSpec) -> Self {
        Self::new(reasons::APP_UNKNOWN, format!("spec.appName: the catalogue has no {}", spec.app_name))
    }

    /// All that keeps a template from running, in words; `listed` are the versions that it offers.
    pub fn template(
        findings: &[Finding],
        backend: Backend,
        spec: &AppSpec,
        policy: &BTreeSet<Right>,
        listed: &[String],
    ) -> Self {
        let mut reason = reasons::RIGHTS_REFUSED;
        let mut words = Vec::new();
        for finding in findings {
            let what = format!("{}: {}", finding.place, finding.words().0);
            match finding.effect(backend) {
                Effect::Needs(right) if !(policy.contains(&right) && accepts(spec, right)) => {
                    let operator = (!policy.contains(&right)).then_some("the operator's policy");
                    let own = (!accepts(spec, right)).then_some("spec.allow");
                    let by: Vec<&str> = operator.into_iter().chain(own).collect();
                    words.push(format!("{what} (not allowed by {}: {})", by.join(" and "), right.as_str()));
                }
                _ => {
                    reason = reasons::TEMPLATE_REFUSED;
                    words.push(what);
                }
            }
        }
        if findings.iter().any(|finding| finding.code == Code::UnknownVersion) {
            reason = reasons::VERSION_UNKNOWN;
            words.extend((!listed.is_empty()).then(|| format!("there are {}", listed.join(", "))));
        }
        if words.is_empty() {
            (reason, words) = (reasons::TEMPLATE_REFUSED, vec!["the template can't be read".to_owned()]);
        }
        Self::new(reason, words.join("; "))
    }
}

fn accepts(spec: &AppSpec, right: Right) -> bool {
    spec.allow.iter().any(|allow| allow == right.as_str())
}

/// The rights that both the operator's `policy` and the App allow.
pub fn allowed(spec: &AppSpec, policy: &BTreeSet<Right>) -> Result<BTreeSet<Right>, Refused> {
    let mut rights = BTreeSet::new();
    for name in &spec.allow {
        let Some(right) = Right::parse(name) else {
            let names: Vec<&str> = Right::ALL.into_iter().map(Right::as_str).collect();
            let words = format!("spec.allow: there is no right {name:?}: there are {}", names.join(", "));
            return Err(Refused::new(reasons::INVALID, words));
        };
        rights.insert(right);
    }
    rights.retain(|right| policy.contains(right));
    Ok(rights)
}

/// An App's namespace and name.
pub fn key_of(app: &App) -> AppKey {
    AppKey {
        namespace: app.metadata.namespace.clone().unwrap_or_default(),
        name: app.metadata.name.clone().unwrap_or_default(),
    }
}

/// The App of the same name in another namespace that came before this one: a host has room for one of a name.
pub fn older_namesake(app: &App, all: &[App]) -> Option<AppKey> {
    let rank = |app: &App| (app.metadata.creation_timestamp.as_ref().map(|time| time.0), key_of(app));
    let mine = rank(app);
    let same = all.iter().filter(|other| other.metadata.name == app.metadata.name);
    same.map(rank).min().filter(|first| *first < mine).map(|(_, key)| key)
}
