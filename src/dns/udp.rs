//! Datagrams. A few readers share the socket and answer in place: an answer is a look-up in memory, so that work in
//! hand is bounded by the number of readers, whatever the flood.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use crate::dns::handler::Brain;
use crate::dns::limit::{Limiter, Verdict};
use crate::telemetry::dns::Transport;

/// Datagrams that one reader takes in a row before it lets others run.
const IN_A_ROW: usize = 64;
/// A query has no business to be longer; the rest of a longer datagram is cut off by the system and then malformed.
const LONGEST: usize = 4096;

/// Answers on `socket` for ever.
pub async fn serve(socket: &UdpSocket, brain: &Brain, limiter: &Limiter, start: Instant) {
    let mut buffer = vec![0; LONGEST];
    loop {
        if let Err(err) = socket.readable().await {
            // Nothing but a closed descriptor; the pause keeps a broken machine from spinning.
            tracing::warn!(%err, "can't read DNS datagrams");
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        for _ in 0..IN_A_ROW {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, peer)) => {
                    let packet = buffer.get(..length).unwrap_or_default();
                    if let Some(reply) = judge(packet, peer, brain, limiter, start) {
                        send(socket, &reply, peer).await;
                    }
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
                // On some systems an ICMP error of an earlier answer comes up here; it concerns nobody else.
                Err(_) => {}
            }
        }
        tokio::task::yield_now().await;
    }
}

fn judge(
    packet: &[u8],
    peer: SocketAddr,
    brain: &Brain,
    limiter: &Limiter,
    start: Instant,
) -> Option<Vec<u8>> {
    // Port 0 can't be answered.
    if peer.port() == 0 {
        return None;
    }
    match limiter.judge(peer.ip(), start.elapsed()) {
        Verdict::Answer => brain.reply(packet, peer.ip(), Transport::Udp),
        Verdict::Slip => {
            brain.metrics.slipped();
            brain.truncated(packet)
        }
        Verdict::Drop => {
            brain.metrics.dropped();
            None
        }
    }
}

async fn send(socket: &UdpSocket, reply: &[u8], peer: SocketAddr) {
    if let Err(err) = socket.send_to(reply, peer).await {
        tracing::debug!(%err, %peer, "an answer could not be sent");
    }
}
