//! Why a command failed, for the person who typed it: one sentence, its causes, and the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::words::Lang;
use crate::domain::names::FieldError;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A value on the command line is wrong.
    #[error(transparent)]
    Usage(#[from] FieldError),
    /// What was named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// Nobody answers at the control plane's address.
    #[error("no control plane answers at {url}: is `cocoasyncer standalone` running?")]
    Unreachable {
        /// Its address.
        url: String,
        /// What happened.
        #[source]
        source: Box<kube::Error>,
    },
    /// Nobody answers at the API server's address.
    #[error(
        "no API server answers at {url}: is the cluster up, and the context the right one (`kubectl config current-context`)?"
    )]
    NoCluster {
        /// Its address.
        url: String,
        /// What happened.
        #[source]
        source: Box<kube::Error>,
    },
    /// Standard output is gone or full.
    #[error("write to standard output")]
    Output(#[from] io::Error),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl CliError {
    /// A failure in words.
    pub fn failed(words: impl Into<String>) -> Self {
        Self::Failed(anyhow::Error::msg(words.into()))
    }

    /// The exit code, as `--help` has it.
    pub fn code(&self) -> u8 {
        match self {
            // Whoever reads had enough (`| head`): that is no failure of ours.
            CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            CliError::Failed(_) | CliError::Output(_) => 1,
            CliError::Usage(_) => 2,
            CliError::NotFound(_) => 3,
            CliError::Unreachable { .. } | CliError::NoCluster { .. } => 5,
        }
    }

    /// Writes the failure with its causes to standard error.
    pub fn report(&self, lang: Lang) -> ExitCode {
        if self.code() != 0 {
            let text = format!("{}: {}\n", lang.pick("error", "错误"), self.words(lang));
            // Where standard error is gone too, the exit code alone must tell.
            let _ = io::stderr().write_all(text.as_bytes());
        }
        ExitCode::from(self.code())
    }

    /// The failure and its causes in one line.
    pub fn words(&self, lang: Lang) -> String {
        let mut text = match (self, lang) {
            (CliError::Unreachable { url, .. }, Lang::Zh) => {
                format!("{url} 没有控制平面应答:`cocoasyncer standalone` 在运行吗?")
            }
            (CliError::NoCluster { url, .. }, Lang::Zh) => {
                format!(
                    "{url} 没有 API server 应答:集群在运行吗,上下文对吗(`kubectl config current-context`)?"
                )
            }
            _ => self.to_string(),
        };
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            let words = next.to_string();
            // Some libraries repeat their cause in their own words.
            if !text.contains(&words) {
                text.push_str(": ");
                text.push_str(&words);
            }
            cause = next.source();
        }
        text
    }
}
