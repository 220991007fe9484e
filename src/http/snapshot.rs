//! Everything that the API answers about one view, each rendered when first asked for and kept until the view changes:
//! a request copies bytes, and what nobody asks for is never rendered.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;

use crate::api::vocab::WorkMode;
use crate::domain::secret::Secret;
use crate::domain::view::ClusterView;
use crate::http::badge;
use crate::http::pages;
use crate::http::pages::words::Language;
use crate::wire::render::{Reveal, Scope, answer, to_json};

/// One view and its renderings.
pub struct Snapshot {
    view: Arc<ClusterView>,
    secret: Secret,
    info: [OnceLock<(&'static str, Bytes)>; 4],
    badge: OnceLock<Bytes>,
    status: [OnceLock<Bytes>; 2],
    home: [OnceLock<Bytes>; 2],
}

impl Snapshot {
    /// A view of which nothing is rendered yet.
    pub fn of(view: Arc<ClusterView>) -> Self {
        let secret = view.own().map(|own| own.secret.clone()).unwrap_or_default();
        Self {
            view,
            secret,
            info: Default::default(),
            badge: OnceLock::new(),
            status: Default::default(),
            home: Default::default(),
        }
    }

    /// The view.
    pub fn view(&self) -> &Arc<ClusterView> {
        &self.view
    }

    /// Whether `offered` is this node's secret, in constant time; without a secret nothing is.
    pub fn admits(&self, offered: &Secret) -> bool {
        self.secret.matches(offered.expose())
    }

    /// Whether this node commands the cluster.
    pub fn leads(&self) -> bool {
        self.view.own().is_some_and(|own| own.spec.work_mode == WorkMode::Leader)
    }

    /// The answer of `getClusterInfo` and its outcome's number.
    pub fn info(&self, reveal: Reveal, scope: Scope) -> (&'static str, Bytes) {
        let slot = match (reveal, scope) {
            (Reveal::Masked, Scope::Full) => 0,
            (Reveal::Masked, Scope::BeatOnly) => 1,
            (Reveal::Credentials, Scope::Full) => 2,
            (Reveal::Credentials, Scope::BeatOnly) => 3,
        };
        let render = || {
            let answer = answer(&self.view, reveal, scope);
            let code = if answer.status_code == 201 { "201" } else { "200" };
            (code, to_json(&answer).into())
        };
        self.info[slot].get_or_init(render).clone()
    }

    /// The badge.
    pub fn badge(&self) -> Bytes {
        let name = self.view.own().map(|own| own.spec.node_name.as_str()).unwrap_or_default();
        let render = || badge::svg(name, self.view.live(), self.view.nodes.len()).into();
        self.badge.get_or_init(render).clone()
    }

    /// The status page.
    pub fn status(&self, language: Language) -> Bytes {
        self.status[language as usize]
            .get_or_init(|| pages::render_status(&self.view, language).into())
            .clone()
    }

    /// The first page.
    pub fn home(&self, language: Language) -> Bytes {
        self.home[language as usize].get_or_init(|| pages::render_home(&self.view, language).into()).clone()
    }
}
