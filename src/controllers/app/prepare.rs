//! From an App to an instance, or to the reason why not: everything that can be refused before anything is pulled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::Api;

use crate::api::app::{App, AppSpec, LocalKeyRef, Power, RuntimeKind};
use crate::api::condition::reasons;
use crate::catalog::library::Offer;
use crate::controllers::app::choices::{self, in_time};
use crate::controllers::app::revision::Pinned;
use crate::controllers::app::shared::AppContext;
use crate::controllers::app::situation::Situation;
use crate::domain::app::acceptance::{Refused, allowed, key_of};
use crate::domain::app::fill::{Order, instantiate, wanted_ports};
use crate::domain::app::finding::{Effect, Finding, Right};
use crate::domain::app::instance::{AppKey, Instance, Wanted};
use crate::domain::app::registry::{self, Credentials};
use crate::domain::app::template::check;
use crate::domain::app::verdict::Backend;
use crate::domain::retry::Class;
use crate::domain::secret::Secret;
use crate::runtimes::{Kind, Runtime, RuntimeError};
use crate::telemetry::chain::Chain;

/// Why an application can't be what its App says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The condition's reason.
    pub reason: &'static str,
    /// Its words.
    pub message: String,
    /// Who can mend it.
    pub class: Class,
    /// Whether the object is wrong, and not the world.
    pub invalid: bool,
}

impl Refusal {
    /// The App is wrong.
    pub fn user(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), class: Class::User, invalid: true }
    }

    /// The world is, for now.
    pub fn transient(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), class: Class::Transient, invalid: false }
    }

    /// The control plane is.
    pub fn plane(error: kube::Error) -> Self {
        let words = format!("the control plane: {}", Chain(&error));
        Self::transient(reasons::RUNTIME_FAILED, words)
    }

    /// We are.
    pub fn ours(error: impl std::fmt::Display) -> Self {
        Self { class: Class::Bug, ..Self::transient(reasons::RUNTIME_FAILED, error.to_string()) }
    }

    /// The runtime is.
    pub fn runtime(error: &RuntimeError) -> Self {
        let reason = reason_of(error.kind);
        Self { reason, message: Chain(error).to_string(), class: error.class, invalid: false }
    }
}

impl From<Refused> for Refusal {
    fn from(Refused { reason, message }: Refused) -> Self {
        Self::user(reason, message)
    }
}

/// The condition's reason for a runtime's failure.
pub fn reason_of(kind: Kind) -> &'static str {
    match kind {
        Kind::ImageUnknown => reasons::IMAGE_UNKNOWN,
        Kind::Credentials => reasons::REGISTRY_CREDENTIALS,
        Kind::RegistryUnreachable => reasons::REGISTRY_UNREACHABLE,
        Kind::NoSpace => reasons::NO_SPACE,
        Kind::NameTaken => reasons::NAME_TAKEN,
        Kind::PortTaken => reasons::PORT_TAKEN,
        Kind::Unreachable => reasons::RUNTIME_UNREACHABLE,
        Kind::Rights => reasons::NOT_PERMITTED,
        Kind::Refused | Kind::Other => reasons::RUNTIME_FAILED,
    }
}

/// An instance with what belongs to it.
pub struct Prepared {
    /// The instance.
    pub instance: Instance,
    /// What it was made from.
    pub pinned: Pinned,
    /// Credentials of registries.
    pub credentials: Credentials,
    /// What of the template does not come about, or protects less, as reasons and words.
    pub notes: Vec<(&'static str, String)>,
}

/// The runtime of an App whose name is its own.
pub fn runtime(ctx: &AppContext, situation: &Situation) -> Result<Arc<dyn Runtime>, Refusal> {
    let app = &situation.app;
    if let Some(older) = &situation.older {
        return Err(Refused::repeated(older).into());
    }
    // Once chosen it stays, whatever joins us later.
    let chosen = app.status.as_ref().and_then(|status| status.runtime);
    let kind = match app.spec.runtime {
        RuntimeKind::Auto => chosen.unwrap_or_default(),
        kind => kind,
    };
    ctx.runtime(kind).ok_or_else(|| Refused::no_runtime(kind).into())
}

/// The catalogue's offer for an App, with the version that it wants.
pub fn offered(ctx: &AppContext, spec: &AppSpec) -> Result<(Arc<Offer>, Pinned), Refusal> {
    let Some(offer) = ctx.library.get(&spec.app_name) else {
        return Err(Refused::unknown(spec).into());
    };
    let files = offer.files().map_err(|error| {
        let words = format!("the template's files can't be read: {error}");
        Refusal { invalid: false, class: Class::Transient, ..Refusal::user(reasons::TEMPLATE_REFUSED, words) }
    })?;
    let pinned = Pinned {
        template: Arc::new(offer.template.clone()),
        files: Arc::new(files),
        version: spec.app_version.clone(),
        variables: spec.variables.clone(),
    };
    Ok((offer, pinned))
}

/// Fills a template for an App.
pub async fn prepare(
    ctx: &AppContext,
    app: &App,
    runtime: &dyn Runtime,
    pinned: Pinned,
) -> Result<Prepared, Refusal> {
    let (key, spec, backend) = (key_of(app), &app.spec, runtime.backend());
    let uid = app.metadata.uid.clone().unwrap_or_default();
    let allowed = allowed(spec, &ctx.settings.allow)?;
    let secret_variables = secret_variables(ctx, &key, &spec.secret_variables).await?;
    let credentials = credentials(ctx, &key, spec).await?;
    let now = ctx.base.now();
    let wanted = Wanted {
        running: spec.power == Power::Running,
        // A time that has not come restarts nothing yet: else everything would be older for ever.
        restarted: spec.restarted_at.as_ref().map(|time| time.0).filter(|time| *time <= now),
    };
    let fill = |choices: &_| {
        let order = Order {
            key: &key,
            uid: &uid,
            version: &pinned.version,
            variables: &pinned.variables,
            secret_variables: &secret_variables,
            choices,
            domain: spec.domain.as_deref(),
            pull_secret: spec.pull_secret_ref.as_ref().map(|reference| reference.name.as_str()),
            host: ctx.settings.host.as_deref(),
            resources: spec.resources.as_ref(),
            allowed: &allowed,
            wanted,
            backend,
        };
        let refused = |findings: Vec<Finding>| {
            let offer = ctx.library.get(&spec.app_name);
            let listed = offer.as_deref().map(Offer::versions).unwrap_or_default();
            Refusal::from(Refused::template(&findings, backend, spec, &ctx.settings.allow, listed))
        };
        instantiate(&pinned.template, pinned.files.clone(), &order).map_err(refused)
    };
    let ports = wanted_ports(&pinned.template, &pinned.variables);
    // What can't run at all gets no password and no ports.
    fill(&Default::default())?;
    let choices = choices::choose(ctx, runtime, (&key, &uid, &spec.app_name), &ports).await?;
    let instance = fill(&choices)?;
    let notes = notes(&pinned, backend, &allowed);
    Ok(Prepared { instance, pinned, credentials, notes })
}

/// Whether the host has what the application asks for; asked before its first container alone.
pub async fn enough(runtime: &dyn Runtime, instance: &Instance) -> Result<(), Refusal> {
    let has = runtime.capacity().await.map_err(|error| Refusal::runtime(&error))?;
    match has.lacks(instance.needs) {
        None => Ok(()),
        Some(lacks) => Err(Refusal::transient(reasons::NOT_ENOUGH_RESOURCES, lacks)),
    }
}

fn notes(pinned: &Pinned, backend: Backend, allowed: &BTreeSet<Right>) -> Vec<(&'static str, String)> {
    let note = |finding: &Finding| {
        let reason = match finding.effect(backend) {
            Effect::Needs(right) if allowed.contains(&right) => reasons::LESS_PROTECTED,
            Effect::Odd => reasons::PARTLY_HONOURED,
            _ => return None,
        };
        Some((reason, format!("{}: {}", finding.place, finding.words().0)))
    };
    check(&pinned.template).findings.iter().filter_map(note).collect()
}

async fn secret(ctx: &AppContext, key: &AppKey, name: &str, field: &str) -> Result<KubeSecret, Refusal> {
    let api = Api::<KubeSecret>::namespaced(ctx.base.client.clone(), &key.namespace);
    let found = in_time(api.get_opt(name)).await.map_err(Refusal::plane)?;
    let words = || format!("{field}: there is no Secret {}/{name}", key.namespace);
    found.ok_or_else(|| Refusal::transient(reasons::SECRET_MISSING, words()))
}

async fn secret_variables(
    ctx: &AppContext,
    key: &AppKey,
    wanted: &BTreeMap<String, LocalKeyRef>,
) -> Result<BTreeMap<String, Secret>, Refusal> {
    let mut all = BTreeMap::new();
    for (variable, reference) in wanted {
        let field = format!("spec.secretVariables.{variable}");
        let found = secret(ctx, key, &reference.name, &field).await?;
        let value = found.data.as_ref().and_then(|data| data.get(&reference.key));
        let text = value.and_then(|value| String::from_utf8(value.0.clone()).ok()).ok_or_else(|| {
            let words = format!(
                "{field}: Secret {}/{} has no text under the key {}",
                key.namespace, reference.name, reference.key
            );
            Refusal::transient(reasons::SECRET_MISSING, words)
        })?;
        all.insert(variable.clone(), Secret::new(text));
    }
    Ok(all)
}

async fn credentials(ctx: &AppContext, key: &AppKey, spec: &AppSpec) -> Result<Credentials, Refusal> {
    let Some(reference) = &spec.pull_secret_ref else { return Ok(Credentials::default()) };
    let found = secret(ctx, key, &reference.name, "spec.pullSecretRef").await?;
    let file = found.data.as_ref().and_then(|data| data.get(registry::KEY));
    let read = file.and_then(|file| Credentials::parse(&file.0).ok());
    read.ok_or_else(|| {
        let words = format!(
            "spec.pullSecretRef: Secret {}/{} has no readable .dockerconfigjson",
            key.namespace, reference.name
        );
        Refusal::transient(reasons::SECRET_MISSING, words)
    })
}
