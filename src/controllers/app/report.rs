//! The statuses of Apps: one projection of what was seen and what is being done. Written only when it says something new;
//! the only writer. What must outlive the process (`queuedAt`, `revision`, `upgrade`, ...) stands in the draft, and is
//! put there by the worker.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{Api, Resource};
use tracing::info;

use crate::api::app::{App, AppStatus, LocalRef, Progress, ServiceState};
use crate::api::condition::{condition, merged, reasons, types};
use crate::controllers::app::choices::secret_name;
use crate::controllers::app::key_of;
use crate::controllers::app::prepare::Refusal;
use crate::controllers::app::shared::AppContext;
use crate::controllers::shared::report::{On, apply_status, cut, is_unserved, publish, unserved};
use crate::domain::app::instance::{AppKey, Instance};
use crate::domain::app::kubernetes::Level;
use crate::domain::app::observed::{Observed, Probe, State, Wellness};
use crate::domain::app::phase::{Doing, Judgement, Phase, judge};
use crate::domain::app::plan;
use crate::runtimes::{Caveats, Runtime};

const MANAGER: &str = "cocoasyncer/app";
/// A condition's message is read on a terminal.
const MESSAGE: usize = 900;

/// What a worker knows at one moment.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// The instance, where there is one.
    pub instance: Option<&'a Instance>,
    /// What was seen; none: nothing could be.
    pub seen: Option<&'a Observed>,
    /// Whether it answers.
    pub probe: &'a Probe,
    /// What is being done.
    pub doing: &'a Doing,
    /// Why the object is wrong, where it is.
    pub invalid: Option<&'a Refusal>,
    /// What is not in all as it should be: reasons and words.
    pub notes: &'a [(&'static str, String)],
    /// How far it is.
    pub progress: Option<&'a Progress>,
    /// Words that say more than the judgement's own.
    pub words: Option<&'a str>,
}

impl Told<'_> {
    /// What can be told of an application of which nothing is known but what is being done.
    pub fn only(doing: &Doing) -> Told<'_> {
        Told {
            instance: None,
            seen: None,
            probe: &Probe::Nobody,
            doing,
            invalid: None,
            notes: &[],
            progress: None,
            words: None,
        }
    }
}

/// The status of one App: as it stands, and as it is being drafted.
pub struct Reporter {
    ctx: AppContext,
    key: AppKey,
    written: AppStatus,
    /// What the next report writes.
    pub draft: AppStatus,
}

impl Reporter {
    /// Goes on from what stands.
    pub fn new(ctx: AppContext, key: AppKey, stands: AppStatus) -> Self {
        Self { ctx, key, written: stands.clone(), draft: stands }
    }

    /// Where the application was by the last report.
    pub fn phase(&self) -> Option<Phase> {
        Phase::parse(&self.written.status)
    }

    /// Judges, drafts and writes.
    pub async fn report(&mut self, app: &App, runtime: Option<&dyn Runtime>, told: Told<'_>) -> Judgement {
        let now = self.ctx.base.now();
        let nothing = Observed::default();
        let mut judged = judge(told.instance, told.seen.unwrap_or(&nothing), told.probe, told.doing, now);
        if let Some(words) = told.words {
            judged.message = words.to_owned();
        }
        if let Some(instance) = told.instance {
            judged.message = instance.masked(&judged.message);
        }
        judged.message = cut(judged.message, MESSAGE);
        self.place(&judged, now);
        self.describe(runtime, told);
        self.draft.progress = told.progress.cloned();
        let caveats = runtime.zip(told.instance).map(|(runtime, instance)| runtime.caveats(instance));
        let conditions = conditions(&judged, &self.draft, told, &caveats.unwrap_or_default());
        let generation = app.metadata.generation;
        self.draft.conditions = merged(&self.written.conditions, conditions, generation, Time(now));
        self.draft.observed_generation = generation;
        let before = self.phase();
        if self.save(app).await && before != Some(judged.phase) {
            self.tell(app, before, &judged).await;
        }
        judged
    }

    /// Whether what was drafted stands: what could not be written would be a lie for as long as nothing happens.
    pub fn stands(&self) -> bool {
        self.draft == self.written
    }

    /// Writes how far it is, and nothing else.
    pub async fn progress(&mut self, app: &App, progress: Progress) {
        self.draft.progress = Some(progress);
        self.save(app).await;
    }

    /// Writes the draft if it says something new; answers whether it stands.
    pub async fn save(&mut self, app: &App) -> bool {
        if self.stands() {
            return true;
        }
        let api = Api::<App>::namespaced(self.ctx.base.client.clone(), &self.key.namespace);
        let stands = apply_status(&self.ctx.base, &api, app, &self.draft, MANAGER, On::Any).await.stands();
        if stands {
            self.written = self.draft.clone();
        }
        stands
    }

    fn place(&mut self, judged: &Judgement, now: Timestamp) {
        let word = judged.phase.word();
        if self.draft.status != word {
            if let (Some(left), Some(since)) = (Phase::parse(&self.draft.status), &self.draft.since) {
                let took = Duration::try_from(now.duration_since(since.0)).unwrap_or_default();
                self.ctx.metrics.left(left, took);
            }
            self.draft.since = Some(Time(now));
        }
        self.draft.status = word.to_owned();
        self.draft.status_code = judged.phase.code().to_owned();
    }

    fn describe(&mut self, runtime: Option<&dyn Runtime>, told: Told<'_>) {
        let draft = &mut self.draft;
        draft.services = match (told.instance, told.seen) {
            (Some(instance), Some(seen)) => services(instance, seen),
            _ => Vec::new(),
        };
        let Some(instance) = told.instance else { return };
        draft.title = Some(instance.title.clone());
        draft.ports = instance.ports.clone();
        draft.url = instance.url.clone();
        draft.admin_url = instance.admin_url.clone();
        draft.user_name = instance.user_name.clone();
        draft.credentials_ref = Some(LocalRef { name: secret_name(&self.key.name) });
        let written = told.seen.is_some_and(|seen| seen.files);
        draft.compose_file = runtime.filter(|_| written).and_then(|runtime| runtime.compose_file(&self.key));
    }

    /// Tells of a new phase in the log and as an event.
    async fn tell(&self, app: &App, before: Option<Phase>, judged: &Judgement) {
        let (from, to) = (before.map_or("new", Phase::word), judged.phase.word());
        info!(app = %self.key, from, to, reason = judged.reason, message = %judged.message, "application");
        let good = judged.phase != Phase::Error;
        let reason = match judged.phase {
            Phase::Running => "Running",
            _ => judged.reason,
        };
        let words = if judged.message.is_empty() { to.to_owned() } else { judged.message.clone() };
        self.event(app, good, reason, words).await;
    }

    /// Publishes an event about the App.
    pub async fn event(&self, app: &App, good: bool, reason: &str, words: String) {
        publish(&self.ctx.base, &app.object_ref(&()), good, reason, "Reconcile", words).await;
    }
}

/// Reports Apps outside the scope, unless somebody else serves them: whoever does has set other conditions.
pub async fn outside(ctx: &AppContext) {
    for app in ctx.base.stores.apps_outside() {
        let stands = app.status.clone().unwrap_or_default();
        if !is_unserved(&stands.conditions) {
            continue;
        }
        let (generation, now) = (app.metadata.generation, Time(ctx.base.now()));
        let conditions = merged(&stands.conditions, vec![unserved(&ctx.base)], generation, now);
        let fresh = AppStatus { conditions, observed_generation: generation, ..stands };
        Reporter {
            draft: fresh,
            ..Reporter::new(ctx.clone(), key_of(&app), app.status.clone().unwrap_or_default())
        }
        .save(&app)
        .await;
    }
}

fn services(instance: &Instance, seen: &Observed) -> Vec<ServiceState> {
    let one = |service: &crate::domain::app::workload::Service| {
        let container = seen.services.get(&service.name);
        let state = match container {
            None => "Missing",
            Some(container) if plan::done(instance, service, container) => "Done",
            Some(container) => match container.state {
                State::Created => "Created",
                State::Running => "Running",
                State::Restarting => "Restarting",
                State::Paused => "Paused",
                State::Exited => "Exited",
                State::Dead => "Dead",
                State::Pending => "Pending",
                State::Ending => "Ending",
            },
        };
        let health = container.and_then(|container| container.health).map(|health| match health {
            Wellness::Starting => "Starting",
            Wellness::Healthy => "Healthy",
            Wellness::Unhealthy => "Unhealthy",
        });
        ServiceState {
            name: service.name.clone(),
            image: service.image.clone().unwrap_or_default(),
            state: state.to_owned(),
            health: health.map(str::to_owned),
            restarts: container.map_or(0, |container| container.restarts),
        }
    };
    instance.workload.services.iter().map(one).collect()
}

fn conditions(judged: &Judgement, draft: &AppStatus, told: Told<'_>, caveats: &Caveats) -> Vec<Condition> {
    let valid = match told.invalid {
        Some(refusal) => {
            condition(types::VALID, false, refusal.reason, cut(refusal.message.clone(), MESSAGE))
        }
        None => condition(types::VALID, true, reasons::AS_WISHED, ""),
    };
    let runs = judged.phase == Phase::Running;
    let ready = condition(types::READY, runs, judged.reason, judged.message.clone());
    let progressing = match judged.phase {
        Phase::Running | Phase::Stopped | Phase::Error => match &draft.upgrade {
            Some(upgrade) => {
                let words = format!("revision {} to {}: {}", upgrade.from, upgrade.to, upgrade.step);
                condition(types::PROGRESSING, true, reasons::UPGRADING, words)
            }
            None => condition(types::PROGRESSING, false, reasons::AS_WISHED, ""),
        },
        _ => condition(types::PROGRESSING, true, judged.reason, judged.message.clone()),
    };
    let mut all = vec![valid, ready, progressing, degraded(draft, told, caveats)];
    all.extend(caveats.level.map(hardened));
    if caveats.data_not_copied {
        let words = "a cluster's volumes are not copied: a change of version that fails goes back to the old version, \
                     with the data as the new one left them; take a snapshot with your storage before you change it";
        all.push(condition(types::DATA_COPIED, false, reasons::DATA_NOT_COPIED, words));
    }
    all
}

fn hardened(level: Level) -> Condition {
    let words = format!("its pods pass the Pod Security level {}", level.as_str());
    match level {
        Level::Restricted => condition(types::HARDENED, true, reasons::AS_WISHED, words),
        _ => condition(types::HARDENED, false, reasons::LESS_PROTECTED, words + ", not restricted"),
    }
}

/// The first reason of what is not as it should be, and the words of all.
fn degraded(draft: &AppStatus, told: Told<'_>, caveats: &Caveats) -> Condition {
    let undone = draft.rolled_back.as_ref().map(|undone| {
        let left = if caveats.data_not_copied { ", its data are as that one left them" } else { "" };
        let version = &undone.app_version;
        let words = format!("the change to {version} failed and was undone{left}: {}", undone.message);
        (reasons::ROLLED_BACK, words)
    });
    let refused = told.invalid.filter(|_| draft.revision.is_some());
    let refused = refused.map(|refusal| (refusal.reason, refusal.message.clone()));
    let partly =
        caveats.partly.iter().map(|(place, words)| (reasons::PARTLY_HONOURED, format!("{place}: {words}")));
    let all: Vec<(&str, String)> =
        undone.into_iter().chain(refused).chain(told.notes.iter().cloned()).chain(partly).collect();
    let Some((reason, _)) = all.first() else {
        return condition(types::DEGRADED, false, reasons::AS_WISHED, "");
    };
    let words: Vec<&str> = all.iter().map(|(_, words)| words.as_str()).collect();
    let words = words.join("; ");
    let words = told.instance.map_or(words.clone(), |instance| instance.masked(&words));
    condition(types::DEGRADED, true, reason, cut(words, MESSAGE))
}
