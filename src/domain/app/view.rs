//! The applications as the App API shows them: one immutable value, made anew when an App changes.

use crate::api::app::{Progress, PublishedPort};
use crate::domain::app::instance::AppKey;
use crate::domain::app::phase::Phase;
use crate::domain::secret::Secret;

/// One application.
#[derive(Debug, Clone, PartialEq)]
pub struct AppView {
    /// The App.
    pub key: AppKey,
    /// Its uid.
    pub uid: String,
    /// The object's version: a caller who wrote it waits until the view has come so far.
    pub resource_version: String,
    /// The template's name.
    pub app_name: String,
    /// Its display name.
    pub title: String,
    /// Whether the template is of an official catalogue.
    pub official: bool,
    /// Where it is.
    pub phase: Phase,
    /// What the condition `Ready` says.
    pub message: String,
    /// The version that is wished.
    pub version: String,
    /// Published ports, the web port first.
    pub ports: Vec<PublishedPort>,
    /// Where the rendered compose file lies.
    pub compose_file: Option<String>,
    /// Where people reach it.
    pub url: Option<String>,
    /// Where its administrator logs in.
    pub admin_url: Option<String>,
    /// Its first user.
    pub user_name: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// What must not be seen in its log; empty: not known yet.
    pub masks: Vec<Secret>,
    /// The name under which it is served.
    pub default_domain: Option<String>,
    /// The name that its owner chose.
    pub set_domain: Option<String>,
    /// How far it is.
    pub progress: Option<Progress>,
}

/// All applications.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AppsView {
    /// In the order of their names; of two with one name the older alone.
    pub apps: Vec<AppView>,
}

impl AppsView {
    /// The application of this name.
    pub fn get(&self, name: &str) -> Option<&AppView> {
        self.apps.iter().find(|app| app.key.name == name)
    }
}
