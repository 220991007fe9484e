//! What a worker is told of its App, and what of it makes a turn void.

use std::sync::Arc;

use tokio::sync::watch;

use crate::api::app::App;
use crate::domain::app::instance::AppKey;

/// What a worker is told of its App.
#[derive(Clone)]
pub struct Situation {
    /// The object.
    pub app: Arc<App>,
    /// The older App that has this name already.
    pub older: Option<AppKey>,
    /// Rises with every change of the catalogue.
    pub catalogue: u64,
    /// Rises with every change of the Secrets that it names.
    pub secrets: u64,
}

/// What of a situation makes a turn void when it changes: identity, wish, deletion, namesake, catalogue, Secrets.
pub type Stamp = (Option<String>, Option<i64>, bool, Option<AppKey>, u64, u64);

impl Situation {
    /// Whether both are the same.
    pub fn is(&self, other: &Situation) -> bool {
        self.app.metadata.resource_version == other.app.metadata.resource_version
            && self.stamp() == other.stamp()
    }

    /// What makes a turn void when it changes.
    pub fn stamp(&self) -> Stamp {
        let metadata = &self.app.metadata;
        let deleting = metadata.deletion_timestamp.is_some();
        let (catalogue, secrets) = (self.catalogue, self.secrets);
        (metadata.uid.clone(), metadata.generation, deleting, self.older.clone(), catalogue, secrets)
    }
}

/// Waits until the situation is another one than `stamp`; false: there will be none.
pub async fn void(situations: &mut watch::Receiver<Situation>, stamp: &Stamp) -> bool {
    situations.wait_for(|now| now.stamp() != *stamp).await.is_ok()
}
