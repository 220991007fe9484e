//! `app logs`: asks the App API, for what runs the containers is known to the operator alone.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::Ctx;
use crate::cli::app::asking::ApiArgs;
use crate::cli::error::CliError;
use crate::domain::names::FieldError;
use crate::wire::app::params::{MAX_LINES, is_name};

/// Flags of `app logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// The App's name
    name: String,
    /// Only this service's lines
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// How many lines
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LINES)))]
    lines: u32,
    #[command(flatten)]
    api: ApiArgs,
}

#[derive(Debug, Deserialize, Serialize)]
struct Line {
    service: String,
    line: String,
}

/// Shows.
pub(super) async fn logs(args: LogsArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    if !is_name(&args.name) {
        return Err(FieldError::new("NAME", "must be digits and lower-case letters").into());
    }
    let mut query = vec![("lines", args.lines.to_string())];
    query.extend(args.service.map(|service| ("service", service)));
    let lines: Vec<Line> = args.api.ask(&format!("/apps/{}/logs", args.name), &query, ctx).await?;
    if ctx.out.value(&lines)? {
        return Ok(());
    }
    for Line { service, line } in lines {
        // What an application prints must not move the cursor.
        let line: String = line.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
        ctx.out.line(format!("{service} | {line}"))?;
    }
    Ok(())
}
