//! To be written.

use crate::config::Settings;

/// Runs a node with its plane inside.
pub async fn standalone(_settings: Settings) -> anyhow::Result<()> {
    anyhow::bail!("not assembled yet")
}

/// Runs a node with a cluster.
pub async fn run(_settings: Settings) -> anyhow::Result<()> {
    anyhow::bail!("not assembled yet")
}
