//! The applications as the App API shows them, from their objects and the secrets that the workers know.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;

use crate::api::app::{App, AppStatus, Power};
use crate::api::condition::types;
use crate::controllers::app::shared::{AppContext, Known};
use crate::domain::app::acceptance::key_of;
use crate::domain::app::instance::AppKey;
use crate::domain::app::phase::Phase;
use crate::domain::app::view::{AppView, AppsView};

/// So long the first view waits at most for the secrets of what is installed: who asks right after a start must not be
/// told that an application has no password. Less than callers wait for the first view.
pub const LEARN: Duration = Duration::from_millis(1500);

/// Whether the secrets of all that is installed are known.
pub fn is_learned(apps: &[App], secrets: &BTreeMap<AppKey, Known>) -> bool {
    let installed = |app: &&App| app.status.as_ref().is_some_and(|status| status.revision.is_some());
    apps.iter().filter(installed).all(|app| secrets.contains_key(&key_of(app)))
}

/// The view; counts the phases on the way.
pub fn view(ctx: &AppContext, apps: &[App], secrets: &BTreeMap<AppKey, Known>) -> AppsView {
    let mut oldest: BTreeMap<String, &App> = BTreeMap::new();
    for app in apps {
        let rank = |app: &App| (app.creation_timestamp().map(|time| time.0), key_of(app));
        let first = oldest.entry(app.name_any()).or_insert(app);
        if rank(app) < rank(first) {
            *first = app;
        }
    }
    let mut counts: BTreeMap<Phase, i64> = BTreeMap::new();
    let now = ctx.base.now();
    apps.iter().for_each(|app| *counts.entry(phase(app, now)).or_default() += 1);
    ctx.metrics.apps(&counts);
    AppsView { apps: oldest.into_values().map(|app| one(ctx, app, secrets)).collect() }
}

/// Where an App is; one that nobody has looked at yet waits. What was just asked for shows at once: the report follows.
fn phase(app: &App, now: Timestamp) -> Phase {
    let reported = app.status.as_ref().and_then(|status| Phase::parse(&status.status));
    match (app.metadata.deletion_timestamp.is_some(), reported) {
        (true, _) => Phase::Uninstalling,
        (false, Some(Phase::Running | Phase::Initing)) if app.spec.power == Power::Stopped => Phase::Stopping,
        (false, Some(Phase::Running)) if restarts_next(app, now) => Phase::Creating,
        (false, phase) => phase.unwrap_or(Phase::Queuing),
    }
}

/// Whether it shall be restarted by an edit that its status does not know yet: who asked for it must not take the state
/// before for the state after.
fn restarts_next(app: &App, now: Timestamp) -> bool {
    let Some(status) = app.status.as_ref() else { return false };
    let new = status.observed_generation < app.metadata.generation;
    let moments = app.spec.restarted_at.as_ref().zip(status.since.as_ref());
    new && moments.is_some_and(|(at, since)| since.0 <= at.0 && at.0 <= now)
}

fn one(ctx: &AppContext, app: &App, secrets: &BTreeMap<AppKey, Known>) -> AppView {
    let nothing = AppStatus::default();
    let (key, status) = (key_of(app), app.status.as_ref().unwrap_or(&nothing));
    let known = secrets.get(&key);
    let offer = ctx.library.get(&app.spec.app_name);
    let title = offer.as_ref().and_then(|offer| Some(offer.checked.metadata.as_ref()?.title.clone()));
    let ready = status.conditions.iter().find(|condition| condition.type_ == types::READY);
    AppView {
        uid: app.uid().unwrap_or_default(),
        resource_version: app.resource_version().unwrap_or_default(),
        app_name: app.spec.app_name.clone(),
        title: status.title.clone().or(title).unwrap_or_else(|| app.spec.app_name.clone()),
        official: offer.map_or(status.official, |offer| offer.official),
        phase: phase(app, ctx.base.now()),
        message: ready.map(|condition| condition.message.clone()).unwrap_or_default(),
        version: app.spec.app_version.clone(),
        ports: status.ports.clone(),
        compose_file: status.compose_file.clone(),
        url: status.url.clone(),
        admin_url: status.admin_url.clone(),
        user_name: status.user_name.clone(),
        password: known.and_then(|known| known.password.clone()),
        masks: known.map(|known| known.masks.clone()).unwrap_or_default(),
        default_domain: status.domain.clone(),
        set_domain: app.spec.domain.clone(),
        progress: status.progress.clone(),
        key,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_just_asked_for_shows_before_the_report_does() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let said = |spec: &str, value: serde_json::Value, observed: i64| {
            let app: App = serde_json::from_value(json!({
                "metadata": { "name": "a", "generation": 2 },
                "spec": { "appName": "a", "appVersion": "1", spec: value },
                "status": { "status": "running", "statusCode": "30", "observedGeneration": observed,
                    "since": "2026-01-01T00:00:10Z" },
            }))
            .unwrap();
            phase(&app, now)
        };
        assert_eq!(said("power", json!("Stopped"), 1), Phase::Stopping);
        assert_eq!(said("domain", json!("a.example.com"), 1), Phase::Running);
        assert_eq!(said("restartedAt", json!("2026-01-01T00:00:59Z"), 1), Phase::Creating);
        assert_eq!(
            said("restartedAt", json!("2026-01-01T00:00:59Z"), 2),
            Phase::Running,
            "it was looked at since"
        );
        assert_eq!(
            said("restartedAt", json!("2026-01-01T00:00:09Z"), 1),
            Phase::Running,
            "it was done before"
        );
        assert_eq!(
            said("restartedAt", json!("2026-01-01T00:02:00Z"), 1),
            Phase::Running,
            "its time has not come"
        );
    }
}
