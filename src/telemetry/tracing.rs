//! Logs: one subscriber to stderr, as text or JSON, whose filter can be changed while the process runs.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A filter that can't be used, or a subscriber that can't be installed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directives are wrong.
    #[error("log filter: {0:?} can't be read: write for example info or info,cocoasyncer=debug")]
    Filter(String, #[source] tracing_subscriber::filter::ParseError),
    /// Somebody installed a subscriber before.
    #[error("install the log subscriber")]
    Install(#[source] tracing_subscriber::util::TryInitError),
    /// The subscriber is gone.
    #[error("change the log filter")]
    Reload(#[source] reload::Error),
}

/// Reads and changes the filter of the running process.
#[derive(Clone)]
pub struct LogFilter {
    handle: reload::Handle<EnvFilter, Registry>,
    directives: Arc<Mutex<String>>,
}

impl LogFilter {
    /// The directives in force.
    pub fn get(&self) -> String {
        self.directives.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts other directives in force; wrong ones change nothing.
    pub fn set(&self, directives: &str) -> Result<(), LogError> {
        let filter = parse(directives)?;
        let mut current = self.directives.lock().unwrap_or_else(PoisonError::into_inner);
        self.handle.reload(filter).map_err(LogError::Reload)?;
        directives.trim().clone_into(&mut current);
        Ok(())
    }
}

/// A filter layer and its handle, installed nowhere yet.
pub fn filter(directives: &str) -> Result<(reload::Layer<EnvFilter, Registry>, LogFilter), LogError> {
    let (layer, handle) = reload::Layer::new(parse(directives)?);
    let directives = Arc::new(Mutex::new(directives.trim().to_owned()));
    Ok((layer, LogFilter { handle, directives }))
}

/// Installs the process's subscriber. Once a process.
pub fn init(format: Format, directives: &str) -> Result<LogFilter, LogError> {
    let (layer, handle) = filter(directives)?;
    let registry = tracing_subscriber::registry().with(layer);
    let done = match format {
        // The span as one object: there is one level of them.
        Format::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_span_list(false);
            registry.with(lines.with_writer(std::io::stderr)).try_init()
        }
        Format::Text => {
            let ansi = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_ansi(ansi).with_writer(std::io::stderr)).try_init()
        }
    };
    done.map_err(LogError::Install)?;
    Ok(handle)
}

/// The client's crates tell every call that fails, also the hundredth of a row; we tell a trouble once. Whoever wants
/// them names them.
const QUIET: &str = "kube_client=off,kube_runtime=off";

fn parse(directives: &str) -> Result<EnvFilter, LogError> {
    let directives = directives.trim();
    EnvFilter::builder()
        .parse(format!("{QUIET},{directives}"))
        .map_err(|err| LogError::Filter(directives.to_owned(), err))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_directives_change_nothing() {
        let (_layer, handle) = filter("info").unwrap();
        let err = handle.set("cocoasyncer=loud").unwrap_err();
        assert!(err.to_string().contains("cocoasyncer=loud"), "{err}");
        assert_eq!(handle.get(), "info");
        handle.set(" info,cocoasyncer=debug\n").unwrap();
        assert_eq!(handle.get(), "info,cocoasyncer=debug");
    }
}
