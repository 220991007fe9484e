//! Tells the DNS server inside what it serves beside records: which zones exist, who their name servers are, and which
//! line tables came as ConfigMaps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use kube::ResourceExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::vocab::PlatformProvider;
use crate::controllers::serials::Serials;
use crate::controllers::service::retained::Retained;
use crate::controllers::service::zone::last_known;
use crate::controllers::shared::context::Context;
use crate::controllers::snapshot::Snapshot;
use crate::domain::names::{DnsName, FieldError};
use crate::domain::zone::content::NameServer;
use crate::providers::DnsProvider;
use crate::providers::local::LocalProvider;

/// Takes and forgets line tables by their source's name.
pub trait LineTableSink: Send + Sync {
    /// Takes a text; a refused one changes nothing.
    fn set(&self, source: &str, text: &str) -> Result<bool, FieldError>;
    /// Forgets a source.
    fn remove(&self, source: &str) -> Result<bool, FieldError>;
}

/// The DNS server inside, as this loop knows it.
pub struct Inside {
    /// Its zones' only writer.
    pub local: Arc<LocalProvider>,
    /// Absolute names of its name servers; empty: the nodes themselves, in each zone.
    pub name_servers: Vec<DnsName>,
    /// Records that stay after their service.
    pub retained: Retained,
    /// Takes line tables.
    pub tables: Arc<dyn LineTableSink>,
    /// Serials that earlier processes noted.
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
    let Inside { local, name_servers, retained, tables, mut serials } = inside;
    local.go_on_from(serials.noted());
    let mut known = BTreeMap::new();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        if let Some(snapshot) = snapshot {
            if let Err(error) = zones(&local, &name_servers, &retained, &snapshot, &seeded) {
                warn!(error = %error, "zones stay as they are");
            }
            line_tables(&ctx, tables.as_ref(), &mut known);
            seeded.cancel();
            if let Err(error) = serials.note(&ctx.client, &local.ahead()).await {
                warn!(error = %error, "a zone's serial may fall at the next start: it could not be noted");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = snapshots.changed() => if changed.is_err() { return },
        }
    }
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
