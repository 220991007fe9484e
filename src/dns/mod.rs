//! The authoritative DNS server: sockets, limits and the wire. What it answers is decided in `domain::zone`.
//!
//! hickory does the wire format; the loops around it are ours, because the framework beside it starts a task for every
//! datagram without limit, answers what it can't read as it sees fit, and drops the OPT record of a full answer.

pub mod ask;
pub mod handler;
pub mod limit;
pub mod message;
mod render;
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
    let mut bound = Bound { sockets: Vec::new(), addresses: addresses.to_vec() };
    // `[::]` takes IPv4 as well on most systems, which must not make `0.0.0.0` beside it an error.
    let mut order: Vec<usize> = (0..addresses.len()).collect();
    order.sort_by_key(|at| addresses.get(*at).is_some_and(SocketAddr::is_ipv4));
    for at in order {
        let Some(address) = bound.addresses.get(at).copied() else { continue };
        let both = |other: &SocketAddr| {
            other.is_ipv6() && other.ip().is_unspecified() && other.port() == address.port()
        };
        let shared = address.is_ipv4() && address.ip().is_unspecified() && address.port() != 0;
        match bind_both(address).await {
            Ok((found, udp, tcp)) => {
                bound.sockets.push((udp, tcp));
                bound.addresses.iter_mut().skip(at).take(1).for_each(|address| *address = found);
            }
            Err(err) if err.is_in_use() && shared && addresses.iter().any(both) => {}
            Err(err) => return Err(err),
        }
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

impl BindError {
    fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
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
        if self.sockets.is_empty() {
            // A server that nobody asked for has not ended by itself.
            shutdown.cancelled().await;
        }
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
        // Who listens nowhere serves nobody, and does so until the end: a task that ends earlier ends the process.
        shutdown.cancelled().await;
        tasks.close();
        tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Stdio;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;
    use crate::dns::ask::{Reply, ask, ask_by_tcp};
    use crate::dns::handler::tests::brain;

    const LONG: Duration = Duration::from_secs(20);

    struct Running {
        at: SocketAddr,
        shutdown: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    /// Loud and past the capture of output, because a check that silently isn't one is worse than none.
    fn not_checked(why: &str) {
        let _loud = writeln!(std::io::stderr(), "!!! NOT checked: {why}");
    }

    #[tokio::test]
    async fn a_server_without_a_socket_goes_on_until_it_is_told_to_end() {
        let shutdown = CancellationToken::new();
        let bound = bind(&[]).await.unwrap();
        let mut serving = std::pin::pin!(bound.serve(brain(), Settings::default(), shutdown.clone()));
        assert!(futures::poll!(&mut serving).is_pending());
        shutdown.cancel();
        timeout(LONG, serving).await.unwrap();
    }

    async fn start(settings: Settings) -> Running {
        let bound = bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
        let (at, shutdown) = (bound.local_addr().unwrap(), CancellationToken::new());
        let task = tokio::spawn(bound.serve(brain(), settings, shutdown.clone()));
        Running { at, shutdown, task }
    }

    impl Running {
        async fn ask(&self, name: &str, kind: &str, subnet: Option<&str>) -> Reply {
            let subnet = subnet.map(|subnet| subnet.parse().unwrap());
            ask(self.at, name, kind, subnet, LONG).await.unwrap()
        }

        async fn stop(self) {
            self.shutdown.cancel();
            timeout(LONG, self.task).await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn each_line_gets_its_answer_over_real_sockets() {
        let server = start(Settings::default()).await;
        for (subnet, expect) in [
            (None, "203.0.113.1"),
            (Some("192.0.2.0/24"), "203.0.113.2"),
            (Some("198.51.100.0/26"), "203.0.113.3"),
        ] {
            let reply = server.ask("test.example.com", "a", subnet).await;
            assert_eq!((reply.rcode.as_str(), reply.values("A")), ("NOERROR", vec![expect.to_owned()]));
            assert!(reply.authoritative && !reply.tcp);
            assert_eq!(reply.scope.is_some(), subnet.is_some());
        }
        let missing = server.ask("missing.example.com", "AAAA", None).await;
        assert_eq!((missing.rcode.as_str(), missing.authority[0].kind.as_str()), ("NXDOMAIN", "SOA"));
        assert_eq!(server.ask("example.org", "A", None).await.rcode, "REFUSED");
        let alone = ask_by_tcp(server.at, ".", "SOA", LONG).await.unwrap();
        assert_eq!((alone.rcode.as_str(), alone.tcp), ("REFUSED", true));
        let big = server.ask("big.example.com", "A", None).await;
        assert_eq!((big.tcp, big.truncated, big.answers.len()), (true, false, 100));
        server.stop().await;
    }

    #[tokio::test]
    async fn a_flood_is_limited_and_the_asker_still_gets_through_by_tcp() {
        let limit = LimitSettings { per_second: 1, burst: 1, slip: 1, limit_loopback: true };
        let server = start(Settings { limit, ..Settings::default() }).await;
        assert!(!server.ask("test.example.com", "A", None).await.tcp);
        let second = server.ask("test.example.com", "A", None).await;
        assert!(second.tcp, "truncated by UDP");
        assert_eq!(second.values("A"), ["203.0.113.1"]);
        server.stop().await;
    }

    #[tokio::test]
    async fn a_server_without_sockets_ends_when_it_is_told_to() {
        let shutdown = CancellationToken::new();
        let bound = bind(&[]).await.unwrap();
        let mut task = tokio::spawn(bound.serve(brain(), Settings::default(), shutdown.clone()));
        assert!(timeout(Duration::from_millis(50), &mut task).await.is_err(), "it ended by itself");
        shutdown.cancel();
        timeout(LONG, task).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_address() {
        let server = start(Settings::default()).await;
        let err = bind(&[server.at]).await.unwrap_err();
        assert!(err.to_string().contains(&server.at.to_string()), "{err}");
        assert!(err.to_string().contains("the port is in use"), "{err}");
        server.stop().await;
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let err = bind(&[taken.local_addr().unwrap()]).await.unwrap_err();
        assert_eq!(err.transport, "TCP");
    }

    #[tokio::test]
    async fn both_families_share_a_port_on_every_address() {
        let Ok(probe) = bind(&["[::]:0".parse().unwrap()]).await else {
            return not_checked("this machine has no IPv6");
        };
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let all = [SocketAddr::from(([0; 4], port)), SocketAddr::from(([0u16; 8], port))];
        let bound = bind(&all).await.unwrap();
        assert_eq!(bound.local_addrs(), all);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(bound.serve(brain(), Settings::default(), shutdown.clone()));
        for server in ["127.0.0.1", "::1"] {
            let server = SocketAddr::new(server.parse().unwrap(), port);
            let reply = ask(server, "*.wild.example.com", "AAAA", None, LONG).await.unwrap();
            assert_eq!(reply.values("AAAA"), ["2001:db8::1"]);
        }
        shutdown.cancel();
        timeout(LONG, task).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn whoever_does_not_answer_is_named() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = silent.local_addr().unwrap();
        let err = ask(at, "example.com", "A", None, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(err.to_string(), format!("no answer from {at} within 0.1 s"));
        for (name, kind) in [("a..b", "A"), ("example.com", "WHATEVER")] {
            let err = ask(at, name, kind, None, LONG).await.unwrap_err();
            assert!(err.to_string().ends_with("can't be asked for"), "{err}");
        }
    }

    #[tokio::test]
    async fn a_connection_is_answered_query_by_query_and_closed_when_it_idles() {
        let tcp = TcpSettings { idle: Duration::from_millis(200), ..TcpSettings::default() };
        let server = start(Settings { tcp, ..Settings::default() }).await;
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        let query = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x06\0\x01";
        let framed = [&[0, query.len() as u8][..], query].concat();
        // Two in one segment, then half of one, which never ends.
        stream.write_all(&[framed.as_slice(), &framed, &framed[..9]].concat()).await.unwrap();
        let mut all = Vec::new();
        timeout(LONG, stream.read_to_end(&mut all)).await.expect("closed by the server").unwrap();
        let first = usize::from(u16::from_be_bytes([all[0], all[1]])) + 2;
        assert_eq!(all.len(), 2 * first);
        assert_eq!(all[..first], all[first..]);
        server.stop().await;
    }

    #[tokio::test]
    async fn stopping_closes_open_connections() {
        let server = start(Settings::default()).await;
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        server.stop().await;
        let read = timeout(LONG, stream.read(&mut [0; 1])).await.expect("closed");
        assert!(matches!(read, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn dig_finds_nothing_to_complain_about() {
        let server = start(Settings::default()).await;
        let (ip, port) = (server.at.ip().to_string(), server.at.port().to_string());
        let cases: [(&[&str], &[&str]); 7] = [
            (&["test.example.com", "A"], &["status: NOERROR", "flags: qr aa;", "203.0.113.1"]),
            (
                &["test.example.com", "A", "+subnet=192.0.2.0/24"],
                &["CLIENT-SUBNET: 192.0.2.0/24/24", "203.0.113.2"],
            ),
            (
                &["test.example.com", "A", "+subnet=0"],
                &["status: NOERROR", "CLIENT-SUBNET: 0.0.0.0/0/0", "203.0.113.1"],
            ),
            (&["example.com", "ANY", "+notcp"], &["RFC8482"]),
            (&["example.com", "NS"], &["ns-a.example.com.", "ns-b.example.com.", "2001:db8::53"]),
            (&["big.example.com", "A"], &["ANSWER: 100", "(TCP)"]),
            (&["example.com", "A", "+edns=1", "+noednsnegotiation"], &["status: BADVERS"]),
        ];
        for (question, expect) in cases {
            let dig = tokio::process::Command::new("dig")
                .args(["-r", "+norecurse", "+tries=1", "-p", &port, &format!("@{ip}")])
                .args(question)
                .stdin(Stdio::null())
                .output()
                .await;
            let Ok(output) = dig else {
                not_checked("dig is not installed");
                break;
            };
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{question:?}\n{text}");
            for part in expect {
                assert!(text.contains(part), "{question:?} lacks {part:?}:\n{text}");
            }
            for complaint in ["Warning", "WARNING", "malformed", "mismatch", "Got bad", "extra bytes"] {
                assert!(!text.contains(complaint), "{question:?}:\n{text}");
            }
        }
        server.stop().await;
    }
}
