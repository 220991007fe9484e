//! The catalogue as the loops and the API see it: every template, checked, replaced as a whole when a source changes.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::app::instance::Files;
use crate::domain::app::template::{Checked, Template, check};

/// Where a template came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is part of the program.
    BuiltIn,
    /// Its folder.
    Folder(PathBuf),
    /// A ConfigMap: `namespace/name`, and its files.
    ConfigMap(String, Arc<Files>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::BuiltIn => f.write_str("built-in"),
            Origin::Folder(folder) => write!(f, "{}", folder.display()),
            Origin::ConfigMap(name, _) => write!(f, "configmap/{name}"),
        }
    }
}

/// A template of the catalogue.
#[derive(Debug)]
pub struct Offer {
    /// Its files.
    pub template: Template,
    /// What the check says of it.
    pub checked: Checked,
    /// Whether it is of an official source: built in, or a folder that the settings call official.
    pub official: bool,
    /// Where it came from.
    pub origin: Origin,
}

impl Offer {
    /// Looks at `template`.
    pub fn new(template: Template, official: bool, origin: Origin) -> Self {
        let checked = check(&template);
        Self { template, checked, official, origin }
    }

    /// The versions that it lists.
    pub fn versions(&self) -> &[String] {
        self.checked.metadata.as_ref().map(|metadata| metadata.versions.as_slice()).unwrap_or_default()
    }

    /// The template's files beside the three of the pipeline.
    pub fn files(&self) -> io::Result<Files> {
        match &self.origin {
            Origin::BuiltIn => Ok(super::builtin::files(&self.template.name)),
            Origin::Folder(folder) => super::contents(folder, &self.template),
            Origin::ConfigMap(_, files) => Ok(Files::clone(files)),
        }
    }
}

/// All offers by the application's name.
pub type Offers = BTreeMap<String, Arc<Offer>>;

/// The catalogue. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Library {
    offers: watch::Sender<Arc<Offers>>,
}

impl Library {
    /// A library of these offers; of two with one name the last holds.
    pub fn of(offers: impl IntoIterator<Item = impl Into<Arc<Offer>>>) -> Self {
        Self { offers: watch::Sender::new(Arc::new(by_name(offers))) }
    }

    /// The built-in templates alone.
    pub fn built_in() -> Self {
        let offer = |template| Offer::new(template, true, Origin::BuiltIn);
        Self::of(super::builtin::templates().into_iter().map(offer))
    }

    /// The offer of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Offer>> {
        self.offers.borrow().get(name).cloned()
    }

    /// All offers.
    pub fn all(&self) -> Arc<Offers> {
        self.offers.borrow().clone()
    }

    /// Tells of changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Offers>> {
        self.offers.subscribe()
    }

    /// Replaces all offers. Those that are the same as before had better be the same values too: they cost nothing then.
    pub fn replace(&self, offers: impl IntoIterator<Item = impl Into<Arc<Offer>>>) {
        self.offers.send_replace(Arc::new(by_name(offers)));
    }
}

fn by_name(offers: impl IntoIterator<Item = impl Into<Arc<Offer>>>) -> Offers {
    offers.into_iter().map(Into::into).map(|offer| (offer.template.name.clone(), offer)).collect()
}
