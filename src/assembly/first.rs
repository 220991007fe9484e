//! What must exist before the loops start. Of several replicas that start at once the active one makes it, behind its
//! fence, and the others wait until they find it.

use std::time::Duration;

use anyhow::Context as _;
use kube::{Api, Client};
use tracing::{info, warn};

use crate::api::node::CocoaNode;
use crate::assembly::plane;
use crate::config::Settings;
use crate::controllers::lease::client::fenced;
use crate::controllers::lease::fence::Fence;
use crate::controllers::lease::turns::Stand;
use crate::controllers::manifests::Manifests;
use crate::controllers::node::own;
use crate::controllers::owner;
use crate::controllers::shared::context::Role;
use crate::domain::marks::OwnerId;
use crate::domain::secret::Secret;
use crate::process::Shutdown;
use crate::telemetry::chain::Chain;

/// A standby that waits for its node to be made looks for it so often.
const LOOK: Duration = Duration::from_millis(500);

/// What must exist before the loops start: what lies in the manifests folders, what the old configuration says, this
/// process's own node, and the id that marks records. The active replica makes it; others find it.
pub struct First<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The node to make, where none has its name.
    pub node: CocoaNode,
    /// Its shared secret; none: one is made up.
    pub secret: Option<Secret>,
}

/// What exists before the loops start.
pub struct Begun {
    /// Who marks records.
    pub owner: Option<OwnerId>,
    /// The folders, where there are any.
    pub manifests: Option<Manifests>,
    /// Whether it was found, and what the active replica does once is still to be done by this one, if it becomes that.
    pub late: bool,
}

impl First<'_> {
    /// Waits until it exists, or is made by this replica; nothing, where the process is to end before.
    pub async fn begin(
        &self,
        client: &Client,
        stand: &mut Stand,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Option<Begun>> {
        loop {
            let (role, fence) = stand.now();
            // Alone this process will be active in a moment; there is nobody whose work it could find.
            let alone = role == Role::Standby && !self.settings.is_shared();
            match role {
                Role::Standby if alone => {
                    tokio::select! {
                        () = shutdown.draining() => return Ok(None),
                        () = stand.changed(role, &fence) => {}
                    }
                }
                Role::Active => match self.make(client, &fence).await {
                    // Whoever is active now goes on with it.
                    Err(error) if stand.now().0 != role => {
                        warn!(error = %Chain(error.as_ref()), "the term ended during the start")
                    }
                    made => return made.map(Some),
                },
                Role::Standby => {
                    if let Some(found) = self.find(client).await? {
                        return Ok(Some(found));
                    }
                    tokio::select! {
                        () = shutdown.draining() => return Ok(None),
                        () = stand.changed(role, &fence) => {}
                        () = tokio::time::sleep(LOOK) => {}
                    }
                }
            }
        }
    }

    async fn make(&self, client: &Client, fence: &Fence) -> anyhow::Result<Begun> {
        let (settings, client) = (self.settings, fenced(client, fence));
        if let Some(path) = &settings.old_config {
            plane::import_old_config(&client, path, settings).await?;
        }
        let mut manifests = None;
        if !settings.manifests.is_empty() {
            let mut warm = Manifests::new(client.clone(), settings.manifests.clone());
            let pass = warm.pass().await;
            info!(applied = pass.applied, failed = pass.failed, refused = pass.refused, "manifests applied");
            manifests = Some(warm);
        }
        own::ensure(&client, settings.scope.system(), &self.node, self.secret.clone())
            .await
            .context("this process's own CocoaNode")?;
        self.begun(&client, Role::Active, manifests).await
    }

    async fn find(&self, client: &Client) -> anyhow::Result<Option<Begun>> {
        let nodes = Api::<CocoaNode>::all(client.clone());
        let found =
            nodes.get_opt(&self.settings.node).await.context("look for this process's own CocoaNode")?;
        if found.is_none() {
            return Ok(None);
        }
        let folders = self.settings.manifests.clone();
        let cold = (!folders.is_empty()).then(|| Manifests::new(client.clone(), folders));
        self.begun(client, Role::Standby, cold).await.map(Some)
    }

    async fn begun(
        &self,
        client: &Client,
        role: Role,
        manifests: Option<Manifests>,
    ) -> anyhow::Result<Begun> {
        let Settings { node, owner_id, scope, .. } = self.settings;
        let owner = owner::load(client, scope.system(), node, owner_id.as_ref(), role).await;
        let owner = owner.context("who marks this installation's records")?;
        Ok(Begun { owner, manifests, late: role == Role::Standby })
    }
}
