//! Platform accounts of a push: Secrets under the leader's names where it tells them, because services may refer to
//! them; else under a name of ours.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{is_data_key, is_namespace, is_object_name};
use super::{Existing, SecretWrite, leaders_mark, marked, secret_id};
use crate::api::vocab::{PlatformProvider, UnknownProvider};
use crate::api::{ACCESS_KEY, ACCESS_SECRET, PROVIDER_LABEL};
use crate::domain::names::{FieldError, ObjectId};
use crate::domain::secret::Secret;
use crate::wire::cluster::{CocoaBasic, MASK, Platform};

/// What becomes of the accounts.
pub(super) struct Accounts {
    /// Accounts that the push tells.
    pub writes: Vec<SecretWrite>,
    /// Accounts that stay, told or not.
    pub kept: BTreeSet<ObjectId>,
}

/// Plans all platform accounts of a push.
pub(super) fn plan(push: &CocoaBasic, existing: &Existing<'_>) -> Result<Accounts, FieldError> {
    let mut accounts = Accounts { writes: Vec::new(), kept: BTreeSet::new() };
    let mut unnamed: BTreeMap<PlatformProvider, u32> = BTreeMap::new();
    let foreign: BTreeSet<ObjectId> = existing
        .secrets
        .iter()
        .filter(|secret| !marked(secret.metadata.labels.as_ref()))
        .map(secret_id)
        .collect();
    for (index, platform) in push.cloud_platform_info.iter().enumerate() {
        let at = format!("cocoaBasic.cloudPlatformInfo[{index}]");
        let provider: PlatformProvider =
            platform.platform_provider.parse().map_err(|err: UnknownProvider| {
                FieldError::new(format!("{at}.platformProvider"), err.to_string())
            })?;
        let id = id(platform, (provider, existing.system), &mut unnamed, &at)?;
        // An account that somebody set here by hand stands: this site may have its own.
        if foreign.contains(&id) || !accounts.kept.insert(id.clone()) {
            continue;
        }
        let data = data(platform, &at)?;
        let mask = Secret::new(MASK);
        if platform.access_secret.is_empty() || data.values().any(|value| *value == mask) {
            continue;
        }
        let mut labels = leaders_mark();
        labels.insert(PROVIDER_LABEL.to_owned(), provider.as_str().to_owned());
        accounts.writes.push(SecretWrite { id, labels, data });
    }
    Ok(accounts)
}

/// What becomes the Secret's data.
fn data(platform: &Platform, at: &str) -> Result<BTreeMap<String, Secret>, FieldError> {
    let more = platform.operator.as_ref().map(|told| &told.data);
    for key in more.into_iter().flat_map(BTreeMap::keys) {
        if !is_data_key(key) || [ACCESS_KEY, ACCESS_SECRET].contains(&key.as_str()) {
            return Err(FieldError::new(
                format!("{at}.operator.data"),
                "must have keys of letters, digits, dots, hyphens and underscores, and neither accessKey nor \
                 accessSecret among them",
            ));
        }
    }
    let mut data = more.cloned().unwrap_or_default();
    data.insert(ACCESS_KEY.to_owned(), platform.access_key.clone());
    data.insert(ACCESS_SECRET.to_owned(), platform.access_secret.clone());
    Ok(data)
}

fn id(
    platform: &Platform,
    (provider, system): (PlatformProvider, &str),
    unnamed: &mut BTreeMap<PlatformProvider, u32>,
    at: &str,
) -> Result<ObjectId, FieldError> {
    if let Some(told) = &platform.operator {
        if !is_namespace(&told.namespace) {
            return Err(FieldError::new(format!("{at}.operator.namespace"), "must be a namespace's name"));
        }
        if !is_object_name(&told.name) {
            return Err(FieldError::new(format!("{at}.operator.name"), "must be an object's name"));
        }
        return Ok(ObjectId { namespace: told.namespace.clone(), name: told.name.clone() });
    }
    let count = unnamed.entry(provider).or_default();
    *count += 1;
    let name = format!("leader-platform-{}", provider.as_str().to_ascii_lowercase());
    let name = if *count == 1 { name } else { format!("{name}-{count}") };
    Ok(ObjectId { namespace: system.to_owned(), name })
}
