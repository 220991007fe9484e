//! Who marks records at DNS providers that others use too: one id for an installation, the same on all its nodes. A
//! leader that finds none makes one up; a follower takes its leader's from a push, and never makes one. It must not
//! change by itself: records with another id's marks are somebody else's.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::node::CocoaNode;
use crate::api::vocab::WorkMode;
use crate::api::{OWNER_CONFIG_MAP, OWNER_KEY};
use crate::controllers::shared::context::{Context, Role};
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::domain::marks::OwnerId;
use crate::domain::names::FieldError;
use crate::telemetry::chain::Chain;
use crate::watching;

/// How soon it is looked for again where it is not known: this node may have become a leader.
const AGAIN: Duration = Duration::from_secs(30);
/// What an id that was made up begins with.
const PREFIX: &str = "cocoa-";
/// How many random characters follow: 62 bits.
const RANDOM: usize = 12;

/// Why the id is not known.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The control plane refused or failed.
    #[error("{step}")]
    Call {
        /// What was tried.
        step: &'static str,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
    /// What is kept can't be read; it is never replaced unasked.
    #[error(
        "ConfigMap {namespace}/{OWNER_CONFIG_MAP} holds no owner id: write the right one into it, or set --owner-id"
    )]
    Unreadable {
        /// The ConfigMap's namespace.
        namespace: String,
        /// Why not.
        #[source]
        source: FieldError,
    },
    /// The system gave no random bytes.
    #[error("no random bytes for the owner id")]
    Random,
}

/// The id at the start of a process, as the node `me`: the `fixed` one of a setting, which is kept from then on, else
/// what is kept, else on a leader a new one. It is kept in the namespace `system`. A standby keeps nothing and makes
/// nothing.
pub async fn load(
    client: &Client,
    system: &str,
    me: &str,
    fixed: Option<&OwnerId>,
    role: Role,
) -> Result<Option<OwnerId>, OwnerError> {
    let maps = &maps(client, system);
    let Some(fixed) = fixed else {
        let node = Api::<CocoaNode>::all(client.clone());
        let node = called("read this process's own CocoaNode", node.get_opt(me)).await?;
        return settle(maps, None, role == Role::Active && leads(node.as_ref())).await;
    };
    if role == Role::Standby {
        return Ok(Some(fixed.clone()));
    }
    match kept(maps).await {
        Ok(Some(kept)) if kept == *fixed => return Ok(Some(kept)),
        Ok(Some(kept)) => {
            warn!(owner = %fixed, before = %kept, "--owner-id differs from what was kept: records marked with the former are foreign until adopted")
        }
        Ok(None) => info!(owner = %fixed, "--owner-id is kept"),
        Err(error @ OwnerError::Unreadable { .. }) => {
            warn!(error = %Chain(&error), owner = %fixed, "replaced by --owner-id")
        }
        Err(error) => return Err(error),
    }
    let params = PatchParams::apply("cocoasyncer/owner").force();
    let patch = Patch::Apply(config_map(fixed));
    called("keep the owner id", maps.patch(OWNER_CONFIG_MAP, &params, &patch)).await?;
    Ok(Some(fixed.clone()))
}

/// Keeps `owner` at the id until `stop`. One that is `fixed` by a setting stays what it is in this process.
pub async fn run(
    ctx: Context,
    fixed: Option<OwnerId>,
    owner: watch::Sender<Option<OwnerId>>,
    stop: CancellationToken,
) {
    let maps = maps(&ctx.client, ctx.scope().system());
    let mut watched = watching::object(maps.clone(), OWNER_CONFIG_MAP);
    let mut said: Option<String> = None;
    loop {
        let known = owner.borrow().clone();
        tokio::select! {
            () = stop.cancelled() => return,
            // Errors too: whatever can't be read is told once, below.
            _ = watched.next() => {}
            () = tokio::time::sleep(AGAIN), if known.is_none() => {}
        }
        let leads = ctx.role == Role::Active && leads(ctx.stores.node(&ctx.me).as_ref());
        let trouble = match settle(&maps, known.clone(), leads).await {
            Ok(kept) => {
                let next = fixed.clone().or(kept);
                if let (Some(before), Some(next)) = (&known, &next)
                    && before != next
                {
                    warn!(owner = %next, %before, "another owner id: records marked with the former are foreign until adopted");
                }
                if known != next {
                    owner.send_replace(next);
                }
                None
            }
            Err(error) => Some(Chain(&error).to_string()),
        };
        if let Some(error) = trouble.as_ref().filter(|trouble| said.as_ref() != Some(*trouble)) {
            warn!(error = %error, "the owner id is not read anew: the last one stays");
        }
        said = trouble;
    }
}

/// What is kept. Where nothing is, a leader keeps what it knows, or makes one up.
async fn settle(
    maps: &Api<ConfigMap>,
    known: Option<OwnerId>,
    leads: bool,
) -> Result<Option<OwnerId>, OwnerError> {
    if let Some(kept) = kept(maps).await? {
        return Ok(Some(kept));
    }
    if !leads {
        return Ok(None);
    }
    let id = known.map_or_else(random, Ok)?;
    let (params, map) = (PostParams::default(), config_map(&id));
    // Created and not applied: of two processes that start at a time one wins, and both mark with its id.
    let call = async {
        match maps.create(&params, &map).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
            created => created.map(|_| true),
        }
    };
    match called("keep the owner id", call).await? {
        true => {
            info!(owner = %id, "this installation marks its records with this owner id");
            Ok(Some(id))
        }
        false => kept(maps).await,
    }
}

async fn kept(maps: &Api<ConfigMap>) -> Result<Option<OwnerId>, OwnerError> {
    let map = called("read the owner id", maps.get_opt(OWNER_CONFIG_MAP)).await?;
    let Some(map) = map else { return Ok(None) };
    let id = map.data.unwrap_or_default().remove(OWNER_KEY).unwrap_or_default();
    OwnerId::parse(id.trim(), OWNER_KEY).map(Some).map_err(|source| {
        let namespace = maps.namespace().unwrap_or_default().to_owned();
        OwnerError::Unreadable { namespace, source }
    })
}

async fn called<T>(
    step: &'static str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, OwnerError> {
    let done = tokio::time::timeout(CALL_DEADLINE, call).await;
    let done = done.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())));
    done.map_err(|source| OwnerError::Call { step, source: Box::new(source) })
}

fn leads(node: Option<&CocoaNode>) -> bool {
    node.is_some_and(|node| node.spec.work_mode == WorkMode::Leader)
}

fn maps(client: &Client, system: &str) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), system)
}

fn config_map(id: &OwnerId) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(OWNER_CONFIG_MAP.to_owned()), ..ObjectMeta::default() },
        data: Some([(OWNER_KEY.to_owned(), id.to_string())].into()),
        ..ConfigMap::default()
    }
}

fn random() -> Result<OwnerId, OwnerError> {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    // Octets from here on would make some characters likelier than others.
    const FAIR: u8 = 252;
    let mut id = PREFIX.to_owned();
    let mut bytes = [0u8; 2 * RANDOM];
    while id.len() < PREFIX.len() + RANDOM {
        SystemRandom::new().fill(&mut bytes).map_err(|_| OwnerError::Random)?;
        let fair = bytes.iter().filter(|byte| **byte < FAIR);
        let missing = PREFIX.len() + RANDOM - id.len();
        id.extend(fair.take(missing).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])));
    }
    OwnerId::parse(&id, OWNER_KEY).map_err(|_| OwnerError::Random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_made_up_is_an_id_and_its_own() {
        let ids: std::collections::BTreeSet<String> =
            (0..64).map(|_| random().unwrap().to_string()).collect();
        assert_eq!(ids.len(), 64);
        assert!(ids.iter().all(|id| id.starts_with(PREFIX) && id.len() == 18), "{ids:?}");
    }
}
