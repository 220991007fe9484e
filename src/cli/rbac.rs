//! `rbac`: the rights that the operator asks of a cluster, for people who review them and for the chart.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::api::rbac::TABLE;
use crate::cli::Ctx;
use crate::cli::error::CliError;

/// Said above what is written.
const HEAD: &str =
    "# What the operator asks of a cluster, printed by `cocoasyncer rbac`: `make generate` writes it anew.\n";

/// Flags of `rbac`.
#[derive(Debug, Args)]
pub struct RbacArgs {
    /// Writes the table as YAML into this file instead
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// The table as the chart's file holds it.
pub fn yaml() -> Result<String, CliError> {
    Ok(HEAD.to_owned() + &serde_saphyr::to_string(&TABLE).map_err(anyhow::Error::from)?)
}

/// Prints or writes the table.
pub fn print(args: RbacArgs, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    if let Some(path) = &args.write {
        std::fs::write(path, yaml()?).with_context(|| format!("write {}", path.display()))?;
        ctx.out.line(path.display().to_string())?;
    } else if !ctx.out.value(&TABLE)? {
        let rows = TABLE.iter().map(|right| {
            // As kubectl writes it.
            let group = if right.group.is_empty() { String::new() } else { format!(".{}", right.group) };
            let resource = match right.resource.split_once('/') {
                Some((resource, sub)) => format!("{resource}{group}/{sub}"),
                None => format!("{}{group}", right.resource),
            };
            [
                format!("{:?}", right.scope).into(),
                resource.into(),
                right.verbs.join(",").into(),
                format!("{:?}", right.feature).into(),
                right.why.into(),
            ]
        });
        ctx.out.table(["SCOPE", "RESOURCE", "VERBS", "FEATURE", "WHY"], rows.collect())?;
    }
    Ok(ExitCode::SUCCESS)
}
