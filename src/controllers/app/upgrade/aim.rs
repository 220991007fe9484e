//! What a turn is for: one version that stands, or a change that begins, goes on or is undone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tracing::{info, warn};

use super::{PROBING, PULLING, ROLLING_BACK, SWITCHING};
use crate::api::app::{App, Power, Upgrade};
use crate::api::condition::reasons;
use crate::controllers::app::prepare::{self, Prepared, Refusal, offered};
use crate::controllers::app::revision::{self, Pinned, Written};
use crate::controllers::app::worker::Worker;
use crate::runtimes::Runtime;

/// What a turn is for.
pub enum Aim {
    /// One version, which shall stand.
    Stand(Box<Prepared>),
    /// From the first to the second.
    Change(Box<Prepared>, Box<Prepared>),
    /// Back to the first from the second.
    Back(Box<Prepared>, Box<Prepared>),
    /// Something was decided: look again.
    Again,
}

impl Worker {
    /// What this turn is for.
    pub(in crate::controllers::app) async fn aim(
        &mut self,
        app: &App,
        runtime: &dyn Runtime,
    ) -> Result<Aim, Refusal> {
        self.invalid = None;
        let Some(number) = self.reporter.draft.revision else {
            let (offer, pinned) = offered(&self.ctx, &app.spec)?;
            self.reporter.draft.official = offer.official;
            return Ok(Aim::Stand(Box::new(prepare::prepare(&self.ctx, app, runtime, pinned).await?)));
        };
        let uid = app.metadata.uid.clone().unwrap_or_default();
        self.current = self.pinned(&uid, number, self.current.clone()).await?;
        let Some((_, current)) = self.current.clone() else {
            let (_, pinned) = offered(&self.ctx, &app.spec)?;
            let mut prepared = prepare::prepare(&self.ctx, app, runtime, pinned).await?;
            let words =
                "its template is not kept (too large, or its Secret was removed): it follows the catalogue";
            prepared.notes.insert(0, (reasons::PARTLY_HONOURED, words.to_owned()));
            return Ok(Aim::Stand(Box::new(prepared)));
        };
        let old = Box::new(prepare::prepare(&self.ctx, app, runtime, current).await?);
        match self.reporter.draft.upgrade.clone() {
            Some(upgrade) => self.go_on(app, runtime, &uid, old, upgrade).await,
            None => self.begin(app, runtime, &uid, number, old).await,
        }
    }

    async fn pinned(
        &self,
        uid: &str,
        number: i64,
        known: Option<(i64, Pinned)>,
    ) -> Result<Option<(i64, Pinned)>, Refusal> {
        if let Some(known) = known.filter(|(known, _)| *known == number) {
            return Ok(Some(known));
        }
        let found = revision::load(&self.ctx, (&self.key, uid), number).await.map_err(Refusal::plane)?;
        Ok(found.map(|pinned| (number, pinned)))
    }

    /// Goes on with a change that is under way, if it is still wanted.
    async fn go_on(
        &mut self,
        app: &App,
        runtime: &dyn Runtime,
        uid: &str,
        old: Box<Prepared>,
        upgrade: Upgrade,
    ) -> Result<Aim, Refusal> {
        self.next = self.pinned(uid, upgrade.to, self.next.clone()).await?;
        let spec = &app.spec;
        let begun = matches!(upgrade.step.as_str(), SWITCHING | PROBING | ROLLING_BACK);
        let next = self.next.clone().map(|(_, pinned)| pinned);
        let wanted = spec.power == Power::Running
            && next.as_ref().is_some_and(|next| next.same_wish(&spec.app_version, &spec.variables));
        if !wanted && !begun {
            info!(app = %self.key, to = upgrade.to, "change of version given up");
            self.reporter.draft.upgrade = None;
            self.close(app, upgrade.to).await;
            return Ok(Aim::Again);
        }
        // Without its template the new version's containers are still known by their marks.
        let next = next.unwrap_or_else(|| old.pinned.clone());
        let new = match prepare::prepare(&self.ctx, app, runtime, next).await {
            Ok(new) => Box::new(new),
            Err(_) if begun => Box::new(prepare::prepare(&self.ctx, app, runtime, old.pinned.clone()).await?),
            Err(refusal) => return Err(refusal),
        };
        if upgrade.step == ROLLING_BACK {
            return Ok(Aim::Back(old, new));
        }
        if !wanted {
            self.step(app, ROLLING_BACK).await;
            return Ok(Aim::Back(old, new));
        }
        Ok(Aim::Change(old, new))
    }

    /// Begins a change where the App wants one.
    async fn begin(
        &mut self,
        app: &App,
        runtime: &dyn Runtime,
        uid: &str,
        number: i64,
        old: Box<Prepared>,
    ) -> Result<Aim, Refusal> {
        let (spec, draft) = (&app.spec, &mut self.reporter.draft);
        let generation = app.metadata.generation.unwrap_or_default();
        if draft.rolled_back.as_ref().is_some_and(|undone| undone.generation == generation) {
            return Ok(Aim::Stand(old));
        }
        draft.rolled_back = None;
        if old.pinned.same_wish(&spec.app_version, &spec.variables) || spec.power == Power::Stopped {
            return Ok(Aim::Stand(old));
        }
        let new = match offered(&self.ctx, spec) {
            Ok((_, pinned)) => prepare::prepare(&self.ctx, app, runtime, pinned).await,
            Err(refusal) => Err(refusal),
        };
        let new = match new {
            Ok(new) => Box::new(new),
            // What runs goes on: only the wish is wrong.
            Err(refusal) => {
                self.invalid = Some(refusal);
                return Ok(Aim::Stand(old));
            }
        };
        let last = self.reporter.draft.revisions.iter().map(|revision| revision.number).max();
        let to = last.unwrap_or(number).max(number) + 1;
        let written = revision::save(&self.ctx, (&self.key, uid), to, &new.pinned).await;
        if written.map_err(Refusal::plane)? == Written::TooLarge {
            warn!(app = %self.key, "its template is too large to be kept: it changes without a way back");
            self.record(to, &new.pinned);
            return Ok(Aim::Again);
        }
        let since = Time(self.ctx.base.now());
        self.reporter.draft.upgrade = Some(Upgrade { from: number, to, step: PULLING.to_owned(), since });
        self.next = Some((to, new.pinned.clone()));
        self.reporter.save(app).await;
        let words = format!("from {} to {}", old.pinned.version, new.pinned.version);
        self.reporter.event(app, true, reasons::UPGRADING, words).await;
        Ok(Aim::Change(old, new))
    }
}
