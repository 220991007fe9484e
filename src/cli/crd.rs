//! `crd`: the definitions as YAML, on standard output or as files.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::api::crds;
use crate::cli::Ctx;
use crate::cli::error::CliError;

/// Flags of `crd`.
#[derive(Debug, Args)]
pub struct CrdArgs {
    /// Writes one file a definition into this folder instead
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// Prints or writes the definitions.
pub fn print(args: CrdArgs, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    for crd in crds::all() {
        let yaml = crds::yaml(&crd).context("write a definition as YAML")?;
        match &args.write {
            None => ctx.out.bytes(format!("---\n{yaml}").as_bytes())?,
            Some(folder) => {
                let path = folder.join(crds::file_name(&crd));
                std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
                std::fs::write(&path, yaml).with_context(|| format!("write {}", path.display()))?;
                ctx.out.line(path.display().to_string())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
