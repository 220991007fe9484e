//! An instance with nothing in it, for the tests of this runtime's pure parts.

use std::sync::Arc;

use crate::domain::app::instance::{AppKey, Instance, Wanted};
use crate::domain::app::metadata::Needs;
use crate::domain::app::workload::Workload;
use crate::domain::secret::Secret;

/// An application of this name.
pub fn instance(name: &str) -> Instance {
    Instance {
        key: AppKey { namespace: "default".into(), name: name.into() },
        uid: "uid-1".into(),
        wanted: Wanted::default(),
        app_name: "made".into(),
        title: "Made".into(),
        version: "1".into(),
        id: name.into(),
        workload: Workload::default(),
        digests: Default::default(),
        env: Secret::default(),
        compose: Secret::default(),
        files: Arc::default(),
        serving: None,
        ports: Vec::new(),
        shared_network: None,
        url: None,
        admin_url: None,
        user_name: None,
        password: None,
        domain: None,
        pull_secret: None,
        needs: Needs::default(),
        masks: Vec::new(),
    }
}
