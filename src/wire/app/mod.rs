//! The App API's documents, spelt as its published document spells them: `ResponseData` and `Error` on top, names with
//! underscores below, codes with the document's own mistakes (`NotExis`). No I/O.
//!
//! A member that has no value is `null` and never left out, so that a reader finds the same members always; `Error`
//! alone is absent where there is none, as the document has it.

pub mod params;
pub mod words;

use std::collections::BTreeSet;

use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::app::instance::masked;
use crate::domain::app::phase::Phase;
use crate::domain::app::template::Checked;
use crate::domain::app::verdict::{Backend, verdict};
use crate::domain::app::view::{AppView, AppsView};
use crate::wire::app::words::{Code, Language};
use crate::wire::cluster::MASK;
use crate::wire::render::{Reveal, to_json};

/// Where icons are served.
pub const ICONS: &str = "/apps/icons";

/// What is asked for. Source: the document's list of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Installs an application.
    Install,
    /// Removes one.
    Uninstall,
    /// Restarts one.
    Restart,
    /// Starts one.
    Start,
    /// Stops one.
    Stop,
    /// Tells how far one is.
    Status,
    /// Tells of all.
    List,
    /// Tells an application's last words; beyond the document.
    Logs,
    /// Tells what can be installed; beyond the document.
    Catalog,
}

impl Action {
    /// Those of the document.
    pub const DOCUMENTED: [Action; 7] = [
        Action::Install,
        Action::Uninstall,
        Action::Restart,
        Action::Start,
        Action::Stop,
        Action::Status,
        Action::List,
    ];

    /// Its route below the API's root.
    pub const fn path(self) -> &'static str {
        match self {
            Action::Install => "/AppInstall",
            Action::Uninstall => "/AppUninstall",
            Action::Restart => "/AppRestart",
            Action::Start => "/AppStart",
            Action::Stop => "/AppStop",
            Action::Status => "/AppStatus",
            Action::List => "/AppList",
            Action::Logs => "/apps/{app_id}/logs",
            Action::Catalog => "/apps/catalog",
        }
    }

    /// Whether it changes nothing.
    pub const fn reads(self) -> bool {
        matches!(self, Action::Status | Action::List | Action::Logs | Action::Catalog)
    }

    /// Whether `ResponseData` of a success is `{"app_id": …}`, and so that of a failure, where the id is known.
    pub const fn answers_id(self) -> bool {
        !self.reads()
    }
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The document's code.
    pub code: Code,
    /// What exactly, naming the parameter; holds no secret.
    pub detail: String,
    /// Which application, where that is known.
    pub app_id: Option<String>,
}

impl Failure {
    /// A failure of no known application.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), app_id: None }
    }

    /// The same, of this application.
    pub fn of(self, app_id: impl Into<String>) -> Self {
        Self { app_id: Some(app_id.into()), ..self }
    }
}

/// An answer. `T` is what the action answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppAnswer<T> {
    /// What the action answers; null where it failed and nothing is known.
    #[serde(rename = "ResponseData")]
    pub response_data: Option<T>,
    /// Why the call failed; absent where it did not.
    #[serde(rename = "Error", skip_serializing_if = "Option::is_none")]
    #[schema(inline = false)]
    pub error: Option<ErrorInfo>,
}

/// Which application.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppId {
    /// Digits and lower-case letters; the customer_app_name.
    pub app_id: String,
}

/// Why a call failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorInfo {
    /// The document's code, e.g. `Param.APPID.NotExist`.
    #[serde(rename = "Code")]
    pub code: &'static str,
    /// Its words in the caller's language.
    #[serde(rename = "Message")]
    pub message: String,
    /// What exactly.
    #[serde(rename = "Detail")]
    pub detail: String,
}

/// An application in AppStatus.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppStatusInfo {
    /// The application's id.
    pub app_id: String,
    /// The catalogue's name.
    pub name: String,
    /// The customer's name.
    pub customer_name: String,
    /// The display name.
    pub trade_mark: String,
    /// `00` queuing, `10` pulling, `11` creating, `12` initing, `30` running, `40` stop, `50` error.
    pub status_code: &'static str,
    /// The code's word; in AppStatus `stopping`, `stopped` or `uninstalling` where AppList says `stop`.
    pub status: &'static str,
    /// Whether the template is of an official catalogue.
    pub official_app: bool,
    /// Path of a picture.
    pub image_url: String,
}

/// An application in AppList.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppDetailInfo {
    /// What AppStatus tells, with the list's words.
    #[serde(flatten)]
    pub status: AppStatusInfo,
    /// How it is reached; null unless the status is running.
    pub running_info: Option<RunningInfo>,
}

/// How an application is reached.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunningInfo {
    /// Its web port on the host, or its first one.
    pub port: Option<u16>,
    /// Path of the compose file on the host.
    pub compose_file: Option<String>,
    /// Where people reach it.
    pub url: Option<String>,
    /// Where its administrator logs in.
    pub admin_url: Option<String>,
    /// Its first user.
    pub user_name: Option<String>,
    /// That user's password; `***` for a caller who may only read.
    pub password: Option<String>,
    /// The name under which it is served by default.
    pub default_domain: Option<String>,
    /// The name that its owner chose.
    pub set_domain: Option<String>,
}

/// A line of an application's log; beyond the document.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogEntry {
    /// The service that wrote it.
    pub service: String,
    /// The line.
    pub line: String,
}

/// An application that can be installed; beyond the document.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CatalogEntry {
    /// What AppInstall calls app_name.
    pub name: String,
    /// Its display name.
    pub title: String,
    /// Its versions, the first is the usual one.
    pub versions: Vec<String>,
    /// Cores that it asks for.
    pub cpu: f64,
    /// GiB of memory that it asks for.
    pub memory: f64,
    /// GiB of disk that it asks for.
    pub disk: f64,
    /// Whether its template is of an official catalogue.
    pub official_app: bool,
    /// On Docker, where it is given no right over the host: `runs`, `findings` or `cannot`.
    pub docker: String,
    /// The same in a cluster.
    pub kubernetes: String,
}

fn info(app: &AppView, status: &'static str) -> AppStatusInfo {
    AppStatusInfo {
        app_id: app.key.name.clone(),
        name: app.app_name.clone(),
        customer_name: app.key.name.clone(),
        trade_mark: app.title.clone(),
        status_code: app.phase.code(),
        status,
        official_app: app.official,
        image_url: format!("{ICONS}/{}.svg", app.app_name),
    }
}

/// What AppStatus tells of `app`.
pub fn status(app: &AppView) -> AppStatusInfo {
    info(app, app.phase.word())
}

/// What AppList tells of `app`.
pub fn detail(app: &AppView, reveal: Reveal) -> AppDetailInfo {
    let password = app.password.as_ref().map(|password| match reveal {
        Reveal::Credentials => password.expose().to_owned(),
        Reveal::Masked => MASK.to_owned(),
    });
    let running = || RunningInfo {
        port: app.ports.first().map(|port| port.host),
        compose_file: app.compose_file.clone(),
        url: app.url.clone(),
        admin_url: app.admin_url.clone(),
        user_name: app.user_name.clone(),
        password,
        default_domain: app.default_domain.clone(),
        set_domain: app.set_domain.clone(),
    };
    AppDetailInfo {
        status: info(app, app.phase.list_word()),
        running_info: (app.phase == Phase::Running).then(running),
    }
}

/// AppList's answer, of all applications or of one.
pub fn list(view: &AppsView, only: Option<&str>, reveal: Reveal) -> Bytes {
    let wanted = |app: &&AppView| only.is_none_or(|name| app.key.name == name);
    let apps: Vec<_> = view.apps.iter().filter(wanted).map(|app| detail(app, reveal)).collect();
    done(apps)
}

/// The answer of what can be installed: templates, and whether each is official.
pub fn catalog<'a>(offers: impl Iterator<Item = (&'a Checked, bool)>) -> Bytes {
    let none = BTreeSet::new();
    let entry = |(checked, official): (&Checked, bool)| {
        let metadata = checked.metadata.clone().unwrap_or_default();
        let verdict = |backend| verdict(&checked.findings, backend, &none).as_str().to_owned();
        CatalogEntry {
            name: checked.name.clone(),
            title: if metadata.title.is_empty() { checked.name.clone() } else { metadata.title },
            versions: metadata.versions,
            cpu: metadata.needs.cpu,
            memory: metadata.needs.memory,
            disk: metadata.needs.disk,
            official_app: official,
            docker: verdict(Backend::Docker),
            kubernetes: verdict(Backend::Kubernetes),
        }
    };
    done(offers.map(entry).collect::<Vec<_>>())
}

/// The answer of a log: lines with `app`'s secrets as `***`, whoever let them through.
pub fn log(app: &AppView, lines: Vec<(String, String)>) -> Bytes {
    let entry = |(service, line): (String, String)| LogEntry { service, line: masked(&app.masks, &line) };
    done(lines.into_iter().map(entry).collect::<Vec<_>>())
}

/// The answer of a call that was done.
pub fn done<T: Serialize>(data: T) -> Bytes {
    to_json(&AppAnswer { response_data: Some(data), error: None }).into()
}

/// The answer of a call that was done and answers an id.
pub fn done_with(app_id: &str) -> Bytes {
    done(AppId { app_id: app_id.to_owned() })
}

/// The answer of a call that failed.
pub fn failed(action: Action, failure: &Failure, language: Language) -> Bytes {
    let Failure { code, detail, app_id } = failure;
    let known = app_id.clone().filter(|_| action.answers_id());
    let error = ErrorInfo {
        code: code.as_str(),
        message: code.message(action, language).into_owned(),
        detail: detail.clone(),
    };
    let response_data: Option<Value> = known.map(|app_id| serde_json::json!({ "app_id": app_id }));
    to_json(&AppAnswer { response_data, error: Some(error) }).into()
}
