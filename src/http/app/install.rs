//! AppInstall: the document's checks in the old service's order, all before anything is written, then an App.

use std::collections::BTreeSet;

use kube::ResourceExt;
use kube::api::ObjectMeta;

use crate::api::app::{App, AppSpec, Power, RuntimeKind, Uninstall};
use crate::catalog::library::Offer;
use crate::domain::app::fill::has_version;
use crate::domain::app::finding::Finding;
use crate::domain::app::instance::AppKey;
use crate::domain::app::phase::Phase;
use crate::domain::app::verdict::{Backend, Verdict, verdict};
use crate::domain::app::view::AppsView;
use crate::http::app::objects::{self, WriteError};
use crate::http::app::state::{AppState, is_as_new};
use crate::wire::app::Failure;
use crate::wire::app::params::{Params, customer_name};
use crate::wire::app::words::{Code, Language};

/// Installs; answers the id.
pub(super) async fn install(
    state: &AppState,
    params: &Params,
    language: Language,
) -> Result<String, Failure> {
    let app_name = params.required("app_name", Code::AppNameBlank)?;
    let name = params.required("customer_app_name", Code::CustomerAppNameBlank)?;
    let version = params.required("app_version", Code::AppVersionBlank)?;
    let not_there = || format!("app_name: the catalogue has no such app; `{CATALOG}` lists what there is");
    let offer = state.library.get(app_name).ok_or_else(|| Failure::new(Code::AppNameNotExis, not_there()))?;
    installable(&offer, version, state.senses.backend, language)?;
    let name = customer_name(name)?;
    free(&state.view(), name)?;
    let needs = offer.checked.metadata.as_ref().map(|metadata| metadata.needs).unwrap_or_default();
    if let Some(lacking) = (state.senses.meter)().await.and_then(|has| has.lacks(needs)) {
        return Err(Failure::new(Code::RequirementNotEnough, lacking).of(name));
    }
    let key = AppKey { namespace: state.settings.namespace.clone(), name: name.to_owned() };
    let app = App {
        metadata: ObjectMeta {
            name: Some(key.name.clone()),
            namespace: Some(key.namespace.clone()),
            ..ObjectMeta::default()
        },
        spec: spec(app_name, version),
        status: None,
    };
    match objects::create(&state.client, &key, &app).await {
        Ok(made) => {
            let written = made.resource_version().unwrap_or_default();
            state.caught_up(|view| view.get(name).is_some_and(|app| is_as_new(app, &written))).await;
            Ok(key.name)
        }
        Err(WriteError::Exists) => {
            // Somebody was quicker; the view will tell how far that one is.
            state.caught_up(|view| view.get(name).is_some()).await;
            Err(free(&state.view(), name).err().unwrap_or_else(|| WriteError::Exists.told(&key)))
        }
        Err(error) => Err(error.told(&key)),
    }
}

/// What tells people which applications there are.
const CATALOG: &str = "cocoasyncer app catalog";

fn spec(app_name: &str, version: &str) -> AppSpec {
    AppSpec {
        app_name: app_name.to_owned(),
        app_version: version.to_owned(),
        power: Power::Running,
        restarted_at: None,
        runtime: RuntimeKind::Auto,
        variables: Default::default(),
        secret_variables: Default::default(),
        domain: None,
        resources: None,
        pull_secret_ref: None,
        allow: Vec::new(),
        keep_versions: 1,
        uninstall: Uninstall::default(),
    }
}

/// Whether this version of the offer can be installed at all: a template that does not run where it would go is refused
/// now, and not after a pull.
fn installable(
    offer: &Offer,
    version: &str,
    backend: Option<Backend>,
    language: Language,
) -> Result<(), Failure> {
    let findings = &offer.checked.findings;
    let none = BTreeSet::new();
    let fails = |backend: &Backend| verdict(findings, *backend, &none) == Verdict::Cannot;
    let known = backend.map_or(vec![Backend::Docker, Backend::Kubernetes], |backend| vec![backend]);
    if let Some(backend) = known.first().filter(|_| known.iter().all(fails)) {
        let cannot = |finding: &&Finding| finding.verdict(*backend, &none) == Verdict::Cannot;
        let told = findings.iter().find(cannot).map(|finding| {
            let (en, zh) = finding.words();
            format!("{}: {}", finding.place, language.pick(&zh, &en))
        });
        return Err(Failure::new(Code::AppNameNotExis, told.unwrap_or_default()));
    }
    let metadata = offer.checked.metadata.as_ref();
    if !has_version(&offer.template, metadata, version) {
        let listed = metadata.map(|metadata| metadata.versions.as_slice()).unwrap_or_default();
        let why = format!("app_version: must be one of {}", listed.join(", "));
        return Err(Failure::new(Code::AppVersionNotExist, why));
    }
    Ok(())
}

/// Whether nobody has the name, in whatever namespace.
fn free(view: &AppsView, name: &str) -> Result<(), Failure> {
    let Some(there) = view.get(name) else { return Ok(()) };
    let (code, why) = match there.phase {
        Phase::Queuing => (Code::CustomerAppNameWait, "waits to be installed"),
        Phase::Uninstalling => (Code::CustomerAppNameRepeat, "is still being uninstalled"),
        _ => (Code::CustomerAppNameRepeat, "is installed already"),
    };
    Err(Failure::new(code, format!("customer_app_name: {name} {why}")).of(name))
}
