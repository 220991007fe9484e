//! Waits out what a cluster's API server refuses or fails at a start: rights, kinds and credentials are put right by
//! people while we wait, and `/readyz` says what for. What no wait mends ends the start as ever.

use std::time::Duration;

use crate::domain::retry::{Class, retry_in};
use crate::process::{Ready, Shutdown};
use crate::telemetry::chain::Chain;

/// Longest pause between two tries: whoever puts something right watches.
const LONGEST: Duration = Duration::from_secs(10);

/// How a start takes failures.
#[derive(Clone)]
pub enum Patience {
    /// The plane lies inside: what it fails at, it fails at for good.
    None,
    /// It is a cluster's: tries again until the process drains.
    Until(Shutdown),
}

impl Patience {
    /// Tries `step` until it succeeds, and says meanwhile what it waits for; `Ok(None)`: the process is to end.
    pub async fn with<T>(
        &self,
        waiting: &Ready,
        mut step: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        let Self::Until(shutdown) = self else { return step().await.map(Some) };
        let mut failures = 0;
        loop {
            let error = tokio::select! {
                done = step() => match done {
                    Ok(value) => return Ok(Some(value)),
                    Err(error) => error,
                },
                () = shutdown.draining() => return Ok(None),
            };
            if !may_pass(&error) {
                return Err(error);
            }
            waiting.waits(Chain(error.as_ref()).to_string());
            let pause = retry_in(Class::Transient, failures, 0.5).unwrap_or(LONGEST).min(LONGEST);
            failures = failures.saturating_add(1);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.draining() => return Ok(None),
            }
        }
    }
}

/// Whether an API server caused it, and not by finding an object of ours invalid.
fn may_pass(error: &anyhow::Error) -> bool {
    let by_api = |error: &kube::Error| match error {
        kube::Error::Api(status) => !matches!(status.code, 400 | 422),
        _ => true,
    };
    error.chain().any(|cause| {
        let boxed = cause.downcast_ref::<Box<kube::Error>>().map(|boxed| &**boxed);
        boxed.or_else(|| cause.downcast_ref()).is_some_and(by_api)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;
    use crate::process::Readiness;

    #[tokio::test(start_paused = true)]
    async fn an_api_servers_failure_is_waited_out_and_another_is_not() {
        let shutdown = Shutdown::new();
        let readiness = Readiness::new(&shutdown, ["node"]);
        let (mut tries, ready) = (0, readiness.take("node"));
        let failing = async || {
            tries += 1;
            match tries {
                3 => Ok(tries),
                _ => Err(kube::Error::Service("no answer".into())).context("read it"),
            }
        };
        let patience = Patience::Until(shutdown.clone());
        assert_eq!(patience.with(&ready, failing).await.unwrap(), Some(3));
        assert!(readiness.missing()[0].starts_with("node: read it: "), "{:?}", readiness.missing());
        let other = patience.with(&ready, async || Err::<(), _>(anyhow!("a bad file"))).await;
        assert_eq!(other.unwrap_err().to_string(), "a bad file");
        let lost = async || Err::<(), _>(kube::Error::Service("no answer".into()).into());
        assert!(Patience::None.with(&ready, lost).await.is_err());
        shutdown.drain();
        let ended = patience.with(&ready, async || std::future::pending::<anyhow::Result<()>>().await).await;
        assert_eq!(ended.unwrap(), None);
    }
}
