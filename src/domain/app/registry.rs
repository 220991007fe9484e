//! Credentials of image registries, from a Secret of type `kubernetes.io/dockerconfigjson`.

use std::collections::BTreeMap;

use crate::domain::secret::Secret;

/// A user of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password or token.
    pub password: Secret,
}

/// Logins by the registry's host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// By host, as an image reference names it; [`DEFAULT_HOST`] for images that name none.
    pub logins: BTreeMap<String, Login>,
}
