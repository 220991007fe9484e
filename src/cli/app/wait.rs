//! `--wait`: follows one App until it is as asked, can't be, or the time is up. It judges by the status alone, and only by
//! one that speaks of what was asked: an older one would end the wait too early.

use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, ResourceExt};

use crate::api::app::{App, AppStatus, Power};
use crate::api::condition::{reasons, types};
use crate::cli::app::progress::Screen;
use crate::cli::error::CliError;
use crate::cli::words::Lang;
use crate::domain::app::phase::Phase;
use crate::watching;

/// Flags of commands that can wait.
#[derive(Debug, Args)]
pub struct Waiting {
    /// Wait until it is done, showing how far it is
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900, requires = "wait")]
    pub timeout: u64,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// It answers.
    Running,
    /// It is stopped.
    Stopped,
    /// It is gone.
    Gone,
}

/// How an App stands to a goal.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Done,
    OnTheWay,
    Failed(String),
}

/// Follows `app`, as it was when it was written, to `goal`.
pub async fn follow(api: Api<App>, app: &App, goal: Goal, seconds: u64, lang: Lang) -> Result<(), CliError> {
    let (name, uid, generation) = (app.name_any(), app.uid(), app.metadata.generation);
    let mut screen = Screen::stderr(lang);
    let mut last = None;
    let following = async {
        let mut seen = watching::object(api, &name);
        while let Some(seen) = seen.next().await {
            // A watch that breaks is taken up again; whoever waits has a deadline.
            let Ok(seen) = seen else { continue };
            let Some(seen) = seen.filter(|seen| seen.uid() == uid) else {
                return match goal {
                    Goal::Gone => Ok(()),
                    _ => Err(CliError::failed(format!("{name} was removed by somebody else"))),
                };
            };
            screen.show(&name, &seen)?;
            let standing = stand(&seen, goal, generation);
            last = Some(seen);
            match standing {
                Standing::Done => return Ok(()),
                Standing::Failed(why) => return Err(CliError::failed(format!("{name}: {why}"))),
                Standing::OnTheWay => {}
            }
        }
        Err(CliError::failed("the control plane ended the watch"))
    };
    let outcome = tokio::time::timeout(Duration::from_secs(seconds), following).await;
    screen.end()?;
    outcome.unwrap_or_else(|_| {
        let status = last.and_then(|app| app.status).unwrap_or_default();
        let (status, why) = (status.status.clone(), message(&status));
        Err(CliError::failed(match lang {
            Lang::En => format!("{name} is still {status} after {seconds} s: {why}"),
            Lang::Zh => format!("{name} 在 {seconds} 秒后仍为 {status}:{why}"),
        }))
    })
}

fn stand(app: &App, goal: Goal, generation: Option<i64>) -> Standing {
    let empty = AppStatus::default();
    let status = app.status.as_ref().unwrap_or(&empty);
    // What was wrong with it before keeps nobody from removing it; what keeps it from going is said when the time is up.
    if goal == Goal::Gone {
        return Standing::OnTheWay;
    }
    // An older status says nothing of what was asked.
    if status.observed_generation < generation {
        return Standing::OnTheWay;
    }
    // What runs goes on beside a wish that can't be: nothing would ever come of it.
    if let Some(refused) = condition(status, types::VALID).filter(|valid| valid.status == "False") {
        return Standing::Failed(format!("{} ({})", refused.message, refused.reason));
    }
    let phase = Phase::parse(&status.status);
    if phase == Some(Phase::Error) {
        return Standing::Failed(message(status));
    }
    match goal {
        Goal::Gone => Standing::OnTheWay,
        Goal::Stopped if phase == Some(Phase::Stopped) => Standing::Done,
        Goal::Stopped => Standing::OnTheWay,
        Goal::Running if app.spec.power == Power::Stopped => {
            Standing::Failed("somebody stopped it meanwhile".to_owned())
        }
        Goal::Running => {
            if let Some(back) = degraded(status).filter(|back| back.reason == reasons::ROLLED_BACK) {
                return Standing::Failed(back.message.clone());
            }
            let version = status.running_version.as_ref().is_none_or(|v| *v == app.spec.app_version);
            match phase {
                Some(Phase::Running) if version && status.upgrade.is_none() => Standing::Done,
                _ => Standing::OnTheWay,
            }
        }
    }
}

fn condition<'a>(status: &'a AppStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind)
}

/// Why it is as it is: of what runs on while its change of version waits, why that waits.
pub fn message(status: &AppStatus) -> String {
    let waits = status.upgrade.as_ref().and_then(|_| degraded(status));
    let said = waits.filter(|_| status.status == Phase::Running.word()).or(condition(status, types::READY));
    let said = said.filter(|said| !said.message.is_empty());
    said.map(|said| format!("{} ({})", said.message, said.reason)).unwrap_or_default()
}

/// What is not in all as it should be.
pub fn degraded(status: &AppStatus) -> Option<&Condition> {
    condition(status, types::DEGRADED).filter(|degraded| degraded.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(spec: Value, status: Value, goal: Goal, expect: Standing) {
        let mut app: App = serde_json::from_value(json!({
            "apiVersion": "cocoasyncer.io/v1alpha1", "kind": "App", "metadata": {"name": "a"},
            "spec": {"appName": "redis", "appVersion": "7"}, "status": status,
        }))
        .unwrap();
        if spec["power"] == "Stopped" {
            app.spec.power = Power::Stopped;
        }
        assert_eq!(stand(&app, goal, Some(2)), expect);
    }

    fn said(kind: &str, is: &str, reason: &str, message: &str) -> Value {
        json!({"type": kind, "status": is, "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn only_a_status_of_what_was_asked_ends_the_wait() {
        let running = |generation: i64| json!({"status": "running", "observedGeneration": generation});
        check(json!({}), running(1), Goal::Running, Standing::OnTheWay);
        check(json!({}), running(2), Goal::Running, Standing::Done);
        check(json!({}), json!({}), Goal::Running, Standing::OnTheWay);
        check(json!({}), running(2), Goal::Stopped, Standing::OnTheWay);
        check(json!({}), running(3), Goal::Gone, Standing::OnTheWay);
        let stopped = json!({"status": "stopped", "observedGeneration": 2});
        check(json!({"power": "Stopped"}), stopped.clone(), Goal::Stopped, Standing::Done);
        let why = "somebody stopped it meanwhile".to_owned();
        check(json!({"power": "Stopped"}), stopped, Goal::Running, Standing::Failed(why));
    }

    #[test]
    fn an_error_is_told_with_its_reason_and_an_old_one_is_not() {
        let ready = said("Ready", "False", "CrashLoop", "web ended 3 times");
        let error = |generation: i64| json!({"status": "error", "observedGeneration": generation, "conditions": [ready]});
        let why = "web ended 3 times (CrashLoop)".to_owned();
        check(json!({}), error(2), Goal::Running, Standing::Failed(why.clone()));
        check(json!({}), error(2), Goal::Stopped, Standing::Failed(why));
        check(json!({}), error(2), Goal::Gone, Standing::OnTheWay);
        check(json!({}), error(1), Goal::Running, Standing::OnTheWay);
    }

    #[test]
    fn an_upgrade_is_done_when_the_new_version_answers_and_failed_when_the_old_one_is_back() {
        let on = |version: &str, more: Value| {
            let mut status = json!({"status": "running", "observedGeneration": 2, "runningVersion": version});
            status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            status
        };
        check(json!({}), on("7", json!({})), Goal::Running, Standing::Done);
        check(json!({}), on("6", json!({})), Goal::Running, Standing::OnTheWay);
        let back = said("Degraded", "True", "RolledBack", "7 does not answer");
        let failed = Standing::Failed("7 does not answer".to_owned());
        check(json!({}), on("6", json!({"conditions": [back]})), Goal::Running, failed);
        let refused = said("Valid", "False", "VersionUnknown", "there are 6, 5");
        let failed = Standing::Failed("there are 6, 5 (VersionUnknown)".to_owned());
        check(json!({}), on("6", json!({"conditions": [refused]})), Goal::Running, failed);
        check(json!({}), on("6", json!({"conditions": [refused]})), Goal::Gone, Standing::OnTheWay);
    }
}
