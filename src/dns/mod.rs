//! The authoritative DNS server: sockets, limits and the wire. What it answers is decided in `domain::zone`.
//!
//! hickory does the wire format; the loops around it are ours, because the framework beside it starts a task for every
//! datagram without limit, answers what it can't read as it sees fit, and drops the OPT record of a full answer.

pub mod ask;
pub mod handler;
pub mod limit;
pub mod message;
pub mod source;
pub mod tcp;
pub mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dns::handler::Brain;
use crate::dns::limit::{LimitSettings, Limiter};
use crate::dns::tcp::TcpSettings;

/// How many ports are tried where the system may choose one, until one is free for both transports.
const PORT_TRIES: usize = 64;

/// An address that can't be served on.
#[derive(Debug, thiserror::Error)]
#[error("can't serve DNS on {address} ({transport}): {hint}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// `UDP` or `TCP`.
    pub transport: &'static str,
    hint: &'static str,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Limits of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// Of answers by UDP.
    pub limit: LimitSettings,
    /// Of connections.
    pub tcp: TcpSettings,
}

/// Sockets that wait to be served.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<(UdpSocket, TcpListener)>,
    addresses: Vec<SocketAddr>,
}

/// Takes UDP and TCP on each address. Port 0 finds one port that is free for both.
///
/// An unspecified address answers from the address that the route chooses: on a machine with several, name each.
pub async fn bind(addresses: &[SocketAddr]) -> Result<Bound, BindError> {
    let mut bound = Bound { sockets: Vec::new(), addresses: Vec::new() };
    for address in addresses {
        let (at, udp, tcp) = bind_both(*address).await?;
        bound.sockets.push((udp, tcp));
        bound.addresses.push(at);
    }
    Ok(bound)
}

async fn bind_both(address: SocketAddr) -> Result<(SocketAddr, UdpSocket, TcpListener), BindError> {
    let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        let udp = UdpSocket::bind(address).await.map_err(|err| refusal(address, "UDP", err))?;
        let at = udp.local_addr().map_err(|err| refusal(address, "UDP", err))?;
        tries -= 1;
        match TcpListener::bind(at).await {
            Ok(tcp) => return Ok((at, udp, tcp)),
            Err(err) if err.kind() == io::ErrorKind::AddrInUse && 0 < tries => {}
            Err(err) => return Err(refusal(at, "TCP", err)),
        }
    }
}

fn refusal(address: SocketAddr, transport: &'static str, source: io::Error) -> BindError {
    let hint = match source.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use, often by the system's own resolver; stop that one or choose another address or port"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE; give it or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        _ => "the system refused",
    };
    BindError { address, transport, hint, source }
}

impl Bound {
    /// The address, with the port that was found; of several the first.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.addresses.first().copied()
    }

    /// All addresses, in the order in which they were asked for.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers until `shutdown`, then lets answers on their way out.
    pub async fn serve(self, brain: Brain, settings: Settings, shutdown: CancellationToken) {
        let tasks = TaskTracker::new();
        let limiter = Arc::new(Limiter::new(settings.limit));
        let slots = Arc::new(tcp::Slots::new(settings.tcp));
        let start = Instant::now();
        let readers = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8));
        for (udp, tcp) in self.sockets {
            let udp = Arc::new(udp);
            for _ in 0..readers {
                let (brain, limiter) = (brain.clone(), Arc::clone(&limiter));
                let (socket, shutdown) = (Arc::clone(&udp), shutdown.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = udp::serve(&socket, &brain, &limiter, start) => {}
                        () = shutdown.cancelled() => {}
                    }
                });
            }
            let (brain, slots, shutdown) = (brain.clone(), Arc::clone(&slots), shutdown.clone());
            let connections = tasks.clone();
            tasks.spawn(async move { tcp::serve(tcp, brain, slots, connections, shutdown).await });
        }
        tasks.close();
        tasks.wait().await;
    }
}
