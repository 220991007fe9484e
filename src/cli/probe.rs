//! `probe`: asks a running node from outside whether it answers: its v1 API, its readiness, its DNS server by UDP and by
//! TCP. For Helm's test, for container health checks and for people. It changes nothing.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::time::Instant;

use crate::cli::Ctx;
use crate::cli::error::CliError;
use crate::dns::ask::{ask, ask_by_tcp};
use crate::domain::names::FieldError;

/// How long one question may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long is waited before somebody who didn't answer is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Flags of `probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// The v1 API, e.g. http://cocoasyncer:44443
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// The operations port, e.g. http://cocoasyncer-metrics:44480; the node must be ready
    #[arg(long, value_name = "URL")]
    ops: Option<String>,
    /// The DNS server, e.g. cocoasyncer-dns:53; asked by UDP and by TCP
    #[arg(long, value_name = "HOST:PORT")]
    dns: Option<String>,
    /// Seconds until whoever doesn't answer has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=3600))]
    within: u64,
}

/// Asks all that were named; each must answer.
pub async fn probe(args: ProbeArgs, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    if args.api.is_none() && args.ops.is_none() && args.dns.is_none() {
        return Err(FieldError::new("--api", "name at least one of --api, --ops and --dns").into());
    }
    let until = Instant::now() + Duration::from_secs(args.within);
    let page =
        |base: &Option<String>, path: &str| Some(format!("{}{path}", base.as_ref()?.trim_end_matches('/')));
    for url in [page(&args.api, "/v1/status"), page(&args.ops, "/readyz")].into_iter().flatten() {
        answers(until, || http(&url)).await?;
        ctx.out.line(format!("{url} answers"))?;
    }
    if let Some(server) = &args.dns {
        answers(until, || dns(server)).await?;
        ctx.out.line(format!("{server} answers by UDP and by TCP"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks until there is an answer or the time is over; at least once.
async fn answers<F: Future<Output = anyhow::Result<()>>>(
    until: Instant,
    ask: impl Fn() -> F,
) -> anyhow::Result<()> {
    loop {
        match ask().await {
            Err(_) if Instant::now() + PAUSE < until => tokio::time::sleep(PAUSE).await,
            answered => return answered,
        }
    }
}

async fn http(url: &str) -> anyhow::Result<()> {
    // The Service itself is meant, never a proxy on the way.
    let client = reqwest::Client::builder().timeout(DEADLINE).no_proxy().build()?;
    let answer = client.get(url).send().await.with_context(|| format!("ask {url}"))?;
    if answer.status().is_success() {
        return Ok(());
    }
    let status = answer.status();
    // What is not ready says what it waits for; of a long page the beginning is enough.
    let mut text = answer.text().await.unwrap_or_default();
    text.truncate(text.floor_char_boundary(300));
    bail!("{url} says {status}: {}", text.trim())
}

/// Any answer will do: a server that has no zone yet refuses, and lives.
async fn dns(server: &str) -> anyhow::Result<()> {
    let mut found = tokio::net::lookup_host(server).await.with_context(|| format!("find {server}"))?;
    let address = found.next().with_context(|| format!("{server} has no address"))?;
    ask(address, ".", "SOA", None, DEADLINE).await.with_context(|| format!("ask {server} by UDP"))?;
    ask_by_tcp(address, ".", "SOA", DEADLINE).await.with_context(|| format!("ask {server} by TCP"))?;
    Ok(())
}
