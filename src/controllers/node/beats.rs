//! Beats: this node feeds its own watchdog and reads its peers', one task a peer, so that a slow peer delays no
//! judgement of another. What a reading means is `domain::liveness`'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::api::node::{CocoaNode, Liveness};
use crate::controllers::board::{Board, Learned};
use crate::controllers::node::secrets::NodeSecrets;
use crate::controllers::shared::context::Context;
use crate::controllers::shared::keyed::Keyed;
use crate::controllers::snapshot::Snapshot;
use crate::domain::addresses::{family, unroutable};
use crate::domain::cluster::Addresses;
use crate::domain::liveness::{Life, Reading};
use crate::domain::secret::Secret;
use crate::peers::{PeerBeat, PeerClient, PeerError};
use crate::telemetry::chain::Chain;

/// A peer of the old kind feeds every 30 s: asking more often learns nothing.
const LEGACY_PERIOD: Duration = Duration::from_secs(30);

#[derive(Clone, PartialEq)]
struct Target {
    address: String,
    node_code: String,
    secret: Secret,
    liveness: Liveness,
    /// Whether the peer's own word on its addresses is wanted: no source is configured here.
    learn: bool,
}

/// Reads all peers' watchdogs until `stop`.
pub async fn run(
    ctx: Context,
    board: Board,
    peers: PeerClient,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    mut secrets: watch::Receiver<Arc<NodeSecrets>>,
    stop: CancellationToken,
) {
    let mut tasks = Keyed::new();
    loop {
        let known = secrets.borrow_and_update().clone();
        let snapshot = snapshots.borrow_and_update().clone();
        if let Some(snapshot) = snapshot {
            let targets = targets(&ctx.me, &snapshot.nodes, &known);
            tasks.follow(targets, |name, target, stop| {
                watch_peer(ctx.clone(), board.clone(), peers.clone(), name, target, stop)
            });
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = snapshots.changed() => if changed.is_err() { return },
            changed = secrets.changed() => if changed.is_err() { return },
        }
    }
}

fn targets(me: &str, nodes: &[CocoaNode], secrets: &NodeSecrets) -> BTreeMap<String, Target> {
    let peers = nodes.iter().filter(|node| node.metadata.name.as_deref() != Some(me));
    let target = |node: &CocoaNode| {
        let name = node.metadata.name.clone()?;
        let target = Target {
            address: node.spec.node_address.clone(),
            node_code: node.spec.node_code.clone(),
            secret: secrets.get(&name).cloned().unwrap_or_default(),
            liveness: node.spec.liveness.clone(),
            learn: node.spec.addresses.is_none(),
        };
        Some((name, target))
    };
    peers.filter_map(target).collect()
}

async fn watch_peer(
    ctx: Context,
    board: Board,
    peers: PeerClient,
    name: String,
    target: Target,
    stop: CancellationToken,
) {
    let period = Duration::from_secs(target.liveness.heartbeat_seconds.into());
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trouble: Option<String> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let answer = tokio::select! {
            () = stop.cancelled() => return,
            answer = peers.beat(&target.address, &target.secret, period) => answer,
        };
        ctx.metrics.peer_called("beat", answer.as_ref().map(|_| ()).map_err(PeerError::class));
        let other = answer
            .as_ref()
            .ok()
            .filter(|beat| !beat.node_code.is_empty() && beat.node_code != target.node_code);
        let reading = match &answer {
            // Somebody else lives at that address: that says nothing of this node.
            Ok(_) if other.is_some() => Reading::Miss,
            Ok(beat) if beat.ours => Reading::Beat { watch_dog: beat.watch_dog },
            Ok(beat) => Reading::Legacy { watch_dog: beat.watch_dog },
            Err(_) => Reading::Miss,
        };
        let said = match (&answer, other) {
            (Err(error), _) => Some(Chain(error).to_string()),
            (Ok(_), Some(_)) => {
                Some("spec.nodeAddress: a node with another nodeCode answers there".to_owned())
            }
            (Ok(_), None) => None,
        };
        if said != trouble {
            match &said {
                Some(error) => warn!(node = %name, error = %error, "beat missed"),
                None => info!(node = %name, "beats again"),
            }
            trouble = said;
        }
        if let Some((before, after)) = board.read(&name, reading, &target.liveness, ctx.now())
            && before.life != after.life
        {
            tell(&name, before.life, after.life);
        }
        if let Some(beat) = answer.as_ref().ok().filter(|_| other.is_none()) {
            if target.learn {
                board.learn(&name, told(beat, &target.address), Learned { source: "peer", trouble: None });
            }
            if !beat.ours {
                ticks.reset_after(LEGACY_PERIOD);
            }
        }
    }
}

/// The addresses a peer tells; one of the old kind tells none, and then a literal address in its URL is the best word.
fn told(beat: &PeerBeat, address: &str) -> Addresses {
    if beat.ours {
        return beat.addresses.clone();
    }
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    let literal = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().and_then(|text| text.parse().ok()),
        None => host.split(':').next().and_then(|text| text.parse().ok()),
    };
    match literal {
        Some(ip) if unroutable(ip).is_none() => [(family(ip), [ip].into())].into(),
        _ => Addresses::new(),
    }
}

fn tell(name: &str, before: Life, after: Life) {
    match after {
        Life::Lost => warn!(node = %name, "node lost"),
        Life::Alive => info!(node = %name, "node lives"),
        Life::Unseen | Life::Returning => debug!(node = %name, ?before, ?after, "node"),
    }
}

/// Feeds this node's own watchdog, twice a heartbeat so that no peer reads the same feed in two beats.
pub async fn feed(
    ctx: Context,
    board: Board,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    fed: watch::Sender<()>,
    stop: CancellationToken,
) {
    loop {
        let heartbeat = snapshots.borrow_and_update().as_ref().and_then(|snapshot| {
            let own = snapshot.nodes.iter().find(|node| node.metadata.name.as_deref() == Some(&ctx.me))?;
            Some(own.spec.liveness.heartbeat_seconds)
        });
        board.feed(&ctx.me, ctx.now());
        fed.send_replace(());
        let half = Duration::from_secs(heartbeat.unwrap_or(2).into()) / 2;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(half) => {}
            // The board may have just taken this node in: it must not wait half a beat to live.
            changed = snapshots.changed() => if changed.is_err() { return },
        }
    }
}
