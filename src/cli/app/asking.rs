//! The App API as its caller sees it: where it listens, which token it wants, and what a refusal comes to. For what the
//! operator alone knows; everything else is read from the objects.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cli::Ctx;
use crate::cli::error::CliError;
use crate::cli::prompt;
use crate::config::DEFAULT_API;
use crate::config::apps::TOKENS;
use crate::domain::names::FieldError;

/// Longest wait for the answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where the App API is.
#[derive(Debug, Default, Args)]
pub struct ApiArgs {
    /// Base URL of the App API; left out: this machine's
    #[arg(long, value_name = "URL", env = "COCOASYNCER_APP_API")]
    api: Option<String>,
    /// File with a token that may operate, alone or in rows as --app-token-file has them; left out: the data directory's
    #[arg(long, value_name = "FILE", env = "COCOASYNCER_APP_CLIENT_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<T> {
    response_data: Option<T>,
    error: Option<Trouble>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Trouble {
    code: String,
    message: String,
    detail: String,
}

impl ApiArgs {
    /// Whether somebody said which one: then its answer is wanted and no other.
    pub fn is_named(&self) -> bool {
        self.api.is_some()
    }

    /// Asks for `path`.
    pub async fn ask<T: DeserializeOwned + Default>(
        &self,
        path: &str,
        query: &[(&str, String)],
        ctx: &Ctx<'_>,
    ) -> Result<T, CliError> {
        let base = self.api.clone().unwrap_or_else(local);
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let client =
            reqwest::Client::builder().timeout(DEADLINE).no_proxy().build().map_err(anyhow::Error::from)?;
        let mut request = client.get(&url).header("language", ctx.lang.pick("en", "zh")).query(query);
        let made = Some(ctx.access.data_dir().join(TOKENS)).filter(|file| file.is_file());
        if let Some(file) = self.token_file.clone().or(made) {
            let text = prompt::secret(prompt::From::File(&file), "--token-file")?;
            let why = "holds no token that may operate";
            let token = token(text.expose()).ok_or_else(|| FieldError::new("--token-file", why))?;
            request = request.bearer_auth(token);
        }
        let asked = async { request.send().await?.json::<Answer<T>>().await };
        let answer = asked.await.map_err(|error| {
            CliError::failed(format!("{base} gives no answer of the App API: {}", error.without_url()))
        })?;
        match answer.error {
            None => Ok(answer.response_data.unwrap_or_default()),
            Some(trouble) => Err(refused(trouble)),
        }
    }
}

fn refused(Trouble { code, message, detail }: Trouble) -> CliError {
    let words = format!("{message} {detail} ({code})");
    match code.as_str() {
        "Param.APPID.NotExist" => CliError::NotFound(words),
        // Whoever types has no header to send.
        "Auth.Token.Missing" => CliError::failed(format!(
            "{message} give its file by --token-file, or its folder by --data-dir ({code})"
        )),
        _ => CliError::failed(words),
    }
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

    #[test]
    fn who_has_no_token_is_told_how_one_is_given() {
        let trouble = |code: &str| Trouble { code: code.into(), message: "No.".into(), detail: "why".into() };
        let said = refused(trouble("Auth.Token.Missing")).to_string();
        assert!(said.contains("--token-file") && !said.contains("why"), "{said}");
        assert_eq!(refused(trouble("Param.APPID.NotExist")).code(), 3);
        assert!(refused(trouble("SystemError")).to_string().contains("why (SystemError)"));
    }
}
