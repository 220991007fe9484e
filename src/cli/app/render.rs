//! `app render`: what an install would create, secrets masked.

use clap::Args;

use crate::cli::Ctx;
use crate::cli::error::CliError;

/// Flags of `app render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// The catalogue's name of the application
    app: String,
}

/// Prints.
pub(super) fn render(args: &RenderArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    ctx.out.line(&args.app)
}
