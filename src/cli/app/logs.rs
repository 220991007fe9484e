//! `app logs`: asks the App API, for what runs the containers is known to the operator alone.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::Ctx;
use crate::cli::error::CliError;
use crate::cli::prompt;
use crate::config::DEFAULT_API;
use crate::config::apps::TOKENS;
use crate::domain::names::FieldError;
use crate::wire::app::params::{MAX_LINES, is_name};

/// Longest wait for the answer.
const DEADLINE: Duration = Duration::from_secs(30);

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
    /// Base URL of the App API; left out: this machine's
    #[arg(long, value_name = "URL", env = "COCOASYNCER_APP_API")]
    api: Option<String>,
    /// File with a token that may operate, alone or in rows as --app-token-file has them; left out: the data directory's
    #[arg(long, value_name = "FILE", env = "COCOASYNCER_APP_CLIENT_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    response_data: Option<Vec<Line>>,
    error: Option<Trouble>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Line {
    service: String,
    line: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Trouble {
    code: String,
    message: String,
    detail: String,
}

/// Shows.
pub(super) async fn logs(args: LogsArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    if !is_name(&args.name) {
        return Err(FieldError::new("NAME", "must be digits and lower-case letters").into());
    }
    let base = args.api.clone().unwrap_or_else(local);
    let url = format!("{}/apps/{}/logs", base.trim_end_matches('/'), args.name);
    let client =
        reqwest::Client::builder().timeout(DEADLINE).no_proxy().build().map_err(anyhow::Error::from)?;
    let mut request = client
        .get(&url)
        .header("language", ctx.lang.pick("en", "zh"))
        .query(&[("lines", args.lines.to_string())])
        .query(&args.service.iter().map(|service| ("service", service)).collect::<Vec<_>>());
    let made = Some(ctx.access.data_dir().join(TOKENS)).filter(|file| file.is_file());
    if let Some(file) = args.token_file.or(made) {
        let text = prompt::secret(prompt::From::File(&file), "--token-file")?;
        let why = "holds no token that may operate";
        let token = token(text.expose()).ok_or_else(|| FieldError::new("--token-file", why))?;
        request = request.bearer_auth(token);
    }
    let asked = async { request.send().await?.json::<Answer>().await };
    let answer = asked.await.map_err(|error| {
        CliError::failed(format!("{base} gives no answer of the App API: {}", error.without_url()))
    })?;
    if let Some(Trouble { code, message, detail }) = answer.error {
        let words = format!("{message} {detail} ({code})");
        return Err(match code.as_str() {
            "Param.APPID.NotExist" => CliError::NotFound(words),
            _ => CliError::failed(words),
        });
    }
    let lines = answer.response_data.unwrap_or_default();
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

/// The first token that may operate in rows `NAME read|operate TOKEN`, or the only word that there is.
fn token(text: &str) -> Option<&str> {
    let row = |line: &'_ str| -> Option<(usize, usize)> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, "operate", token] = words[..] else { return None };
        (!name.starts_with('#')).then(|| (line.len() - token.len(), line.len()))
    };
    let found =
        text.lines().map(str::trim).find_map(|line| row(line).and_then(|(from, to)| line.get(from..to)));
    found.or_else(|| (text.split_whitespace().count() == 1).then(|| text.trim()))
}

/// Where this machine's operator listens, unless it was told otherwise.
fn local() -> String {
    let port = DEFAULT_API.rsplit(':').next().unwrap_or(DEFAULT_API);
    format!("http://127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_may_operate_is_found() {
        assert_eq!(token("# a operate x\n\neye read aaa\nhand operate bbb\n"), Some("bbb"));
        assert_eq!(token("ccc\n"), Some("ccc"));
        assert_eq!(token("eye read aaa"), None);
    }
}
