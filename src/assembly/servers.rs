//! The servers: their sockets, bound before anything else happens, and what each serves from.

use anyhow::Context as _;
use kube::Client;

use crate::assembly::loops::Loops;
use crate::config::{Listen, Settings};
use crate::dns;
use crate::dns::handler::Brain;
use crate::process::{Readiness, Shutdown, Tasks};
use crate::telemetry::dns::DnsMetrics;
use crate::telemetry::tracing::LogFilter;

/// Sockets that wait to be served.
pub struct Sockets {
    dns: dns::Bound,
}

impl Sockets {
    /// Binds them all; a refusal names the flag and the address.
    pub async fn bind(listen: &Listen) -> anyhow::Result<Self> {
        let dns = dns::bind(&listen.dns).await.context("--dns-listen")?;
        Ok(Self { dns })
    }

    /// Serves until the process drains.
    pub fn serve(
        self,
        settings: &Settings,
        _client: Client,
        loops: &Loops,
        _log: LogFilter,
        readiness: &Readiness,
        shutdown: &Shutdown,
        tasks: &mut Tasks,
    ) -> anyhow::Result<()> {
        let stop = shutdown.token();
        let tables = loops.tables.clone();
        tasks.spawn_infallible("line tables", tables.watch(settings.line_tables.clone(), stop.clone()));
        let metrics = DnsMetrics::new().context("make the DNS metrics")?;
        let brain = Brain { zones: loops.zones.clone(), lines: loops.tables.current(), metrics };
        let (ready, seeded) = (readiness.take("dns"), loops.seeded.clone());
        tasks.spawn_infallible("dns", async move {
            // No answer is better than the answer of an empty zone.
            if stop.run_until_cancelled(seeded.cancelled()).await.is_some() {
                ready.ready();
                self.dns.serve(brain, dns::Settings::default(), stop).await;
            }
        });
        Ok(())
    }
}
