//! Streams (RFC 7766): queries one after another on a connection, each answered in turn; a bounded number of
//! connections, of one network only a part of them, and none that idles.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dns::handler::Brain;
use crate::dns::limit::network;
use crate::telemetry::dns::Transport;

/// Limits of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSettings {
    /// Connections open at a time.
    pub connections: usize,
    /// Of these from one IPv4 /24 or IPv6 /56.
    pub per_network: usize,
    /// How long a connection may take for its next query as a whole, or to take an answer.
    pub idle: Duration,
}

impl Default for TcpSettings {
    fn default() -> Self {
        Self { connections: 512, per_network: 64, idle: Duration::from_secs(10) }
    }
}

/// Who holds how many connections.
pub struct Slots {
    settings: TcpSettings,
    open: Mutex<(usize, HashMap<u128, usize>)>,
}

/// One connection's place; freed when dropped.
struct Slot {
    slots: Arc<Slots>,
    network: u128,
}

impl Slots {
    /// All places free.
    pub fn new(settings: TcpSettings) -> Self {
        Self { settings, open: Mutex::default() }
    }

    fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Slot> {
        let peer = peer.to_canonical();
        let network = network(peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_network = open.1.get(&network).copied().unwrap_or_default();
        let crowded = self.settings.per_network <= of_network && !peer.is_loopback();
        if self.settings.connections <= open.0 || crowded {
            return None;
        }
        open.0 += 1;
        open.1.insert(network, of_network + 1);
        Some(Slot { slots: Arc::clone(self), network })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.0 = open.0.saturating_sub(1);
        if let Some(count) = open.1.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.1.remove(&self.network);
            }
        }
    }
}

/// Takes connections until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    brain: Brain,
    slots: Arc<Slots>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => match slots.take(peer.ip()) {
                Some(slot) => {
                    let (brain, shutdown) = (brain.clone(), shutdown.clone());
                    tasks.spawn(async move {
                        converse(stream, peer.ip(), &brain, slot.slots.settings.idle, &shutdown).await;
                        drop(slot);
                    });
                }
                None => brain.metrics.connection_refused(),
            },
            Err(err) => {
                // Out of descriptors, most likely: taking the next at once would only spin.
                tracing::warn!(%err, "can't take a DNS connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// No query has business to be longer; whoever announces more is not spoken to.
const LONGEST: usize = 4096;

/// Answers what comes on one connection, until it ends, errs, idles or the server stops; an answer begun is finished.
async fn converse(
    mut stream: TcpStream,
    peer: IpAddr,
    brain: &Brain,
    idle: Duration,
    shutdown: &CancellationToken,
) {
    let _best_effort = stream.set_nodelay(true);
    let mut query = Vec::new();
    loop {
        let read = tokio::select! {
            read = timeout(idle, read_query(&mut stream, &mut query)) => read,
            () = shutdown.cancelled() => return,
        };
        let Ok(Ok(())) = read else { return };
        let Some(reply) = brain.reply(&query, peer, Transport::Tcp) else { return };
        let Ok(length) = u16::try_from(reply.len()) else { return };
        // One write, so that length and message share a segment (RFC 7766 section 8).
        let framed = [&length.to_be_bytes(), reply.as_slice()].concat();
        let Ok(Ok(())) = timeout(idle, stream.write_all(&framed)).await else { return };
    }
}

async fn read_query(stream: &mut TcpStream, query: &mut Vec<u8>) -> io::Result<()> {
    let length = usize::from(stream.read_u16().await?);
    if LONGEST < length {
        return Err(io::ErrorKind::InvalidData.into());
    }
    query.clear();
    query.resize(length, 0);
    stream.read_exact(query).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_never_takes_all_places() {
        let settings = TcpSettings { connections: 3, per_network: 2, ..TcpSettings::default() };
        let slots = Arc::new(Slots::new(settings));
        let take = |peer: &str| slots.take(peer.parse().unwrap());
        let first = take("192.0.2.1");
        let held = [take("192.0.2.2"), take("198.51.100.1")];
        assert!(first.is_some() && held.iter().all(Option::is_some));
        assert!(take("203.0.113.1").is_none(), "all places are taken");
        drop(held);
        let _again = take("192.0.2.3").unwrap();
        assert!(take("192.0.2.4").is_none(), "the network has its share");
        drop(first);
        assert!(take("192.0.2.4").is_some(), "a place is free again");
    }
}
