//! Tells the DNS server inside what it serves beside records: which zones exist, who their name servers are, and which
//! line tables came as ConfigMaps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::vocab::PlatformProvider;
use crate::controllers::serials::{Noting, Serials};
use crate::controllers::service::retained::Retained;
use crate::controllers::service::zone::last_known;
use crate::controllers::shared::context::{Context, Role};
use crate::controllers::snapshot::Snapshot;
use crate::domain::names::{DnsName, FieldError};
use crate::domain::zone::content::NameServer;
use crate::providers::DnsProvider;
use crate::providers::local::LocalProvider;
use crate::telemetry::chain::Chain;

/// Takes and forgets line tables by their source's name.
pub trait LineTableSink: Send + Sync {
    /// Takes a text; a refused one changes nothing.
    fn set(&self, source: &str, text: &str) -> Result<bool, FieldError>;
    /// Forgets a source.
    fn remove(&self, source: &str) -> Result<bool, FieldError>;
}

/// So long after a change a standby looks for the serials that the active replica noted with it.
const LOOK: Duration = Duration::from_secs(2);
/// And waits no longer than this: nothing but the serial is late.
const BRIEF: Duration = Duration::from_millis(500);

/// The DNS server inside, as this loop knows it.
#[derive(Clone)]
pub struct Inside {
    /// Its zones' only writer.
    pub local: Arc<LocalProvider>,
    /// Absolute names of its name servers; empty: the nodes themselves, in each zone.
    pub name_servers: Vec<DnsName>,
    /// Records that stay after their service.
    pub retained: Retained,
    /// Takes line tables.
    pub tables: Arc<dyn LineTableSink>,
    /// Serials that others noted.
    pub serials: Serials,
}

/// Keeps zones, name servers and line tables at what the objects say; `seeded` is told once the zones hold what they
/// held before this process started, so that no asker meets an empty zone.
pub async fn run(
    ctx: Context,
    inside: Inside,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    seeded: CancellationToken,
    stop: CancellationToken,
) {
    let Inside { local, name_servers, retained, tables, serials } = inside;
    local.go_on_from(serials.noted());
    match ctx.role {
        Role::Active => {
            local.catch_up(&serials.noted());
            local.lead();
        }
        Role::Standby => local.follow(),
    }
    let mut known = BTreeMap::new();
    // When a standby looks for serials again.
    let mut look: Option<Instant> = None;
    // Waiting for a change marks it as seen, so what was dealt with is known by itself.
    let mut done: Option<Arc<Snapshot>> = None;
    loop {
        let dealt = |snapshot: &Arc<Snapshot>| done.as_ref().is_some_and(|done| Arc::ptr_eq(done, snapshot));
        let snapshot = snapshots.borrow_and_update().clone().filter(|snapshot| !dealt(snapshot));
        if let Some(snapshot) = snapshot {
            done = Some(snapshot.clone());
            if ctx.role == Role::Standby && vanishes(&local, &retained, &snapshot) {
                // The active replica may have noted that its records stay. Where that can't be read they stay.
                if let Err(error) = retained.reload(&ctx.client).await {
                    warn!(error = %Chain(&error), "retained records are not read anew");
                }
            }
            if let Err(error) = zones(&local, &name_servers, &retained, &snapshot, &seeded) {
                warn!(error = %error, "zones stay as they are");
            }
            line_tables(&ctx, tables.as_ref(), &mut known);
            seeded.cancel();
            match ctx.role {
                Role::Active => note(&ctx, &local, &serials).await,
                Role::Standby => look = look.or(Some(Instant::now() + LOOK)),
            }
        }
        let due = look.unwrap_or_else(Instant::now);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(due), if look.is_some() => {
                look = None;
                if let Ok(Ok(())) = tokio::time::timeout(BRIEF, serials.reload(&ctx.client)).await {
                    local.catch_up(&serials.noted());
                }
                continue;
            }
            changed = snapshots.changed() => if changed.is_err() { return },
        }
    }
}

async fn note(ctx: &Context, local: &LocalProvider, serials: &Serials) {
    let wanted = match serials.noting() {
        Noting::Ahead => local.ahead(),
        Noting::All => local.serials(),
    };
    if let Err(error) = serials.note(&ctx.client, &wanted).await {
        warn!(error = %Chain(&error), "a zone's serial may fall at the next start: it could not be noted");
    }
}

/// Whether a zone that is served has no service any more, and nothing is known to be retained in it.
fn vanishes(local: &LocalProvider, retained: &Retained, snapshot: &Snapshot) -> bool {
    let served = |zone: &DnsName| {
        snapshot.zones.keys().any(|id| id.provider == PlatformProvider::Local && id.zone == *zone)
    };
    let kept = retained.zones();
    local.serials().iter().any(|(zone, _)| !served(zone) && !kept.contains(zone))
}

fn zones(
    local: &LocalProvider,
    fixed: &[DnsName],
    retained: &Retained,
    snapshot: &Snapshot,
    seeded: &CancellationToken,
) -> Result<(), FieldError> {
    let served = snapshot.zones.iter().filter(|(id, _)| id.provider == PlatformProvider::Local);
    if !seeded.is_cancelled() {
        for (id, services) in served.clone() {
            local.resume(&id.zone, last_known(services, &retained.of(&id.zone)));
        }
        for zone in retained.zones() {
            local.resume(&zone, last_known(&[], &retained.of(&zone)));
        }
    }
    let zones: BTreeSet<DnsName> = served.map(|(id, _)| id.zone.clone()).chain(retained.zones()).collect();
    local.set_name_servers(&name_servers(fixed, snapshot))?;
    local.retain_zones(&zones)
}

/// Every node serves every zone from its own view, so all of them together are its name servers, dead or alive: who
/// asks tries the next.
fn name_servers(fixed: &[DnsName], snapshot: &Snapshot) -> Vec<NameServer> {
    if !fixed.is_empty() {
        let absolute = |name: &DnsName| NameServer { name: format!("{name}."), addresses: BTreeSet::new() };
        return fixed.iter().map(absolute).collect();
    }
    let addresses = |name: &str| -> BTreeSet<IpAddr> {
        let vital = snapshot.vitals.get(name);
        vital.into_iter().flat_map(|vital| vital.addresses.values().flatten().copied()).collect()
    };
    let of = |name: &String| NameServer {
        name: format!("ns-{}", name.replace('.', "-")),
        addresses: addresses(name),
    };
    snapshot.cluster.members.keys().map(of).filter(|server| !server.addresses.is_empty()).collect()
}

fn line_tables(ctx: &Context, sink: &dyn LineTableSink, known: &mut BTreeMap<String, String>) {
    let mut now = BTreeMap::new();
    for map in ctx.stores.line_tables() {
        for (key, text) in map.data.iter().flatten() {
            let source =
                format!("ConfigMap {}/{} {key}", map.namespace().unwrap_or_default(), map.name_any());
            now.insert(source, text.clone());
        }
    }
    for gone in known.keys().filter(|source| !now.contains_key(*source)) {
        if let Err(error) = sink.remove(gone) {
            warn!(source = %gone, error = %error, "line table not removed");
        }
    }
    for (source, text) in now.iter().filter(|(source, text)| known.get(*source) != Some(text)) {
        match sink.set(source, text) {
            Ok(changed) => info!(source = %source, changed, "line table taken"),
            Err(error) => warn!(source = %source, error = %error, "line table refused, the last one stays"),
        }
    }
    *known = now;
}
