//! The generation: a number that rises with every change of the configuration and never falls, kept in a ConfigMap, so
//! that an old push never undoes a newer one.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams};
use tokio::time::Instant;

use crate::api::vocab::WorkMode;
use crate::controllers::shared::context::Context;
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::domain::marks::OwnerId;
use crate::domain::view::ClusterView;

/// The ConfigMap that remembers the cluster's generation.
pub const GENERATION_CONFIG_MAP: &str = "cocoasyncer-generation";
/// Its key for the generation.
pub const GENERATION_KEY: &str = "generation";

/// A standby looks at most so often for what the active replica has not written yet.
const LOOK: Duration = Duration::from_secs(2);
/// And waits no longer than this.
const BRIEF: Duration = Duration::from_millis(500);

/// What is remembered of the cluster across restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The generation.
    pub generation: u64,
    /// Digest of the configuration that it numbers.
    pub digest: String,
    /// When this node was first set up.
    pub created_at: Timestamp,
    /// When the configuration last changed.
    pub updated_at: Timestamp,
}

/// What is remembered, brought up to date: on a leader a changed configuration is a new generation, written before it
/// is published; a follower's generation is the leader's, and only read.
pub async fn remember(
    ctx: &Context,
    remembered: &mut Option<Remembered>,
    view: &ClusterView,
    digest: String,
) -> Result<Remembered, kube::Error> {
    if let Some(known) = remembered.as_ref().filter(|known| known.digest == digest) {
        return Ok(known.clone());
    }
    let now = ctx.now();
    let stored = load(ctx).await?;
    let first = Remembered { generation: 0, digest: String::new(), created_at: now, updated_at: now };
    let mut next = stored.clone().unwrap_or(first);
    if next.digest != digest {
        let leads = view.own().is_some_and(|own| own.spec.work_mode == WorkMode::Leader);
        next.digest = digest;
        next.updated_at = now;
        next.generation += u64::from(leads);
        store(ctx, &next).await?;
    }
    *remembered = Some(next.clone());
    Ok(next)
}

/// What a standby knows of the generation: what the active replica wrote. It never waits long, for the watchdog that
/// peers read goes with the view.
#[derive(Debug, Default)]
pub struct Heard {
    known: Option<Remembered>,
    looked: Option<Instant>,
}

impl Heard {
    /// Of a replica that showed this view last.
    pub fn of(view: &ClusterView) -> Self {
        let known = (!view.nodes.is_empty()).then(|| Remembered {
            generation: view.generation,
            digest: String::new(),
            created_at: view.created_at,
            updated_at: view.updated_at,
        });
        Self { known, looked: None }
    }

    /// What is remembered, read anew where it is not of this `digest`; none: that was never read.
    pub async fn look(&mut self, ctx: &Context, digest: &str) -> Option<Remembered> {
        let right = self.known.as_ref().is_some_and(|known| known.digest == digest);
        if !right && self.looked.is_none_or(|at| LOOK <= at.elapsed()) {
            self.looked = Some(Instant::now());
            if let Ok(Ok(Some(found))) = tokio::time::timeout(BRIEF, load(ctx)).await {
                self.known = Some(found);
            }
        }
        self.known.clone()
    }
}

/// A digest of what a push carries and an operator can change; beats and addresses are not in it, secrets only so.
pub fn digest(view: &ClusterView) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut part = |text: &str| {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    };
    for node in &view.nodes {
        part(&node.object);
        part(&serde_json::to_string(&node.spec).unwrap_or_default());
        part(node.secret.expose());
    }
    for service in view.services.iter() {
        part(&service.id.to_string());
        part(&serde_json::to_string(&service.spec).unwrap_or_default());
        part(service.release.as_deref().unwrap_or_default());
        part(if service.adopt { "adopt" } else { "" });
    }
    part(view.owner.as_ref().map(OwnerId::as_str).unwrap_or_default());
    for account in &view.accounts {
        part(account.provider.as_str());
        part(account.access_key.expose());
        part(account.access_secret.expose());
        for (key, value) in &account.data {
            part(key);
            part(value.expose());
        }
    }
    context.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

async fn load(ctx: &Context) -> Result<Option<Remembered>, kube::Error> {
    let api = Api::<ConfigMap>::namespaced(ctx.client.clone(), ctx.scope().system());
    let call = tokio::time::timeout(CALL_DEADLINE, api.get_opt(GENERATION_CONFIG_MAP)).await;
    let map = call.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())))?;
    let read = |data: BTreeMap<String, String>| {
        Some(Remembered {
            generation: data.get(GENERATION_KEY)?.parse().ok()?,
            digest: data.get("digest").cloned().unwrap_or_default(),
            created_at: data.get("createdAt")?.parse().ok()?,
            updated_at: data.get("updatedAt")?.parse().ok()?,
        })
    };
    Ok(map.and_then(|map| map.data).and_then(read))
}

async fn store(ctx: &Context, remembered: &Remembered) -> Result<(), kube::Error> {
    let Remembered { generation, digest, created_at, updated_at } = remembered;
    let data = [
        (GENERATION_KEY, generation.to_string()),
        ("digest", digest.clone()),
        ("createdAt", created_at.to_string()),
        ("updatedAt", updated_at.to_string()),
    ];
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some(GENERATION_CONFIG_MAP.to_owned()), ..ObjectMeta::default() },
        data: Some(data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ..ConfigMap::default()
    };
    let api = Api::<ConfigMap>::namespaced(ctx.client.clone(), ctx.scope().system());
    let params = PatchParams::apply("cocoasyncer/view").force();
    let patch = Patch::Apply(&map);
    let call = tokio::time::timeout(CALL_DEADLINE, api.patch(GENERATION_CONFIG_MAP, &params, &patch)).await;
    call.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into()))).map(|_| ())
}
