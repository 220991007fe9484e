//! `node`: join, list, quit, drain, undrain, pin, unpin. Each is an edit of objects; the loops do the rest.

pub mod join;
pub mod quit;

use std::process::ExitCode;

use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::api::node::CocoaNode;
use crate::cli::Ctx;
use crate::cli::error::CliError;
use crate::cli::status;
use crate::cli::world::World;
use crate::config::checks::lines;
use crate::domain::names::FieldError;

/// Field manager of what the command line writes.
pub const FIELD_MANAGER: &str = "cocoasyncer/cli";

/// What to do with nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Take a node into the cluster: asks for its secret, checks with it, and creates its objects
    Join(join::JoinArgs),
    /// List nodes
    #[command(visible_alias = "ls")]
    List,
    /// Take a node out of the cluster, or this node out of its leader's
    Quit(quit::QuitArgs),
    /// What is done with a node while it is worked on
    #[command(flatten)]
    Care(Care),
}

/// What to do with a node while it is worked on.
#[derive(Debug, Subcommand)]
pub enum Care {
    /// Take a node out of DNS for a while without stopping it
    Drain {
        /// The node's object name
        node: String,
        /// For how long, e.g. `2h` or `30m`; left out: until `undrain`
        #[arg(long = "for", value_name = "TIME")]
        period: Option<String>,
        /// Why, for whoever reads it next
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// End a drain
    Undrain {
        /// The node's object name
        node: String,
    },
    /// Give lines to a node for a while, whoever else holds them
    Pin {
        /// The node's object name
        node: String,
        /// The lines
        #[arg(long, value_name = "LINE", value_delimiter = ',', required = true)]
        lines: Vec<String>,
        /// For how long, e.g. `2h` or `30m`; left out: until `unpin`
        #[arg(long = "for", value_name = "TIME")]
        period: Option<String>,
        /// Why, for whoever reads it next
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// End a pin
    Unpin {
        /// The node's object name
        node: String,
    },
}

/// Runs one of them.
pub async fn run(command: NodeCommand, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    match command {
        NodeCommand::Join(args) => join::run(args, ctx).await?,
        NodeCommand::List => list(ctx).await?,
        NodeCommand::Quit(args) => quit::run(args, ctx).await?,
        NodeCommand::Care(care) => return self::care(care, ctx).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Drains, pins, and ends both.
pub async fn care(care: Care, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    match care {
        Care::Drain { node, period, reason } => {
            let until = until(period.as_deref(), Timestamp::now())?;
            let drain = json!({"until": until, "reason": reason});
            edit(ctx, &node, json!({"drain": drain}), ("drained", "已维护")).await?;
        }
        Care::Undrain { node } => {
            edit(ctx, &node, json!({"drain": null}), ("undrained", "已结束维护")).await?
        }
        Care::Pin { node, lines: texts, period, reason } => {
            let until = until(period.as_deref(), Timestamp::now())?;
            let lines = lines("--lines", &texts)?;
            if lines.is_empty() {
                return Err(FieldError::new("--lines", "name at least one line").into());
            }
            let pin = json!({"lines": lines, "until": until, "reason": reason});
            edit(ctx, &node, json!({"pin": pin}), ("pinned", "已固定")).await?;
        }
        Care::Unpin { node } => edit(ctx, &node, json!({"pin": null}), ("unpinned", "已取消固定")).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let plane = ctx.access.plane().await?;
    let rows = status::node_rows(&World::load(&plane).await?);
    if ctx.out.value(&rows)? { Ok(()) } else { status::nodes(rows, ctx.out, ctx.lang) }
}

async fn edit(ctx: &mut Ctx<'_>, name: &str, spec: Value, done: (&str, &str)) -> Result<(), CliError> {
    let plane = ctx.access.plane().await?;
    World::load(&plane).await?.node(name)?;
    let nodes: Api<CocoaNode> = Api::all(plane.client.clone());
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    // A merge patch: fields that nobody gave stand as null, and null takes an earlier value away.
    let patch = Patch::Merge(json!({"spec": spec}));
    plane.answer(&format!("CocoaNode {name}"), nodes.patch(name, &params, &patch)).await?;
    ctx.out.note(format!("{name} {}", ctx.lang.pick(done.0, done.1)))
}

fn until(period: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, FieldError> {
    let Some(text) = period else { return Ok(None) };
    let refusal =
        || FieldError::new("--for", format!("{text:?} is no time ahead: write e.g. 2h, 30m or 1h 30m"));
    let period: SignedDuration = text.parse().map_err(|_| refusal())?;
    if !period.is_positive() {
        return Err(refusal());
    }
    // Whole seconds: that is what a person reads back.
    let end = now.checked_add(period).map_err(|_| refusal())?;
    Ok(Some(Timestamp::from_second(end.as_second()).map_err(|_| refusal())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drains_end_is_written_as_people_say_it() {
        let now: Timestamp = "2026-01-01T00:00:00.5Z".parse().unwrap();
        let end = |text| until(Some(text), now).map(|end| end.unwrap().to_string());
        assert_eq!(end("2h").unwrap(), "2026-01-01T02:00:00Z");
        assert_eq!(end("1h 30m").unwrap(), "2026-01-01T01:30:00Z");
        for bad in ["0s", "-1h", "soon", "2h ago"] {
            assert_eq!(end(bad).unwrap_err().field, "--for", "{bad}");
        }
        assert_eq!(until(None, now).unwrap(), None);
    }
}
