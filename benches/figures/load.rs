//! Load over loopback from threads of this process, the same for whoever is measured: a few sockets, each with several
//! questions on their way, so that the server is the one who is busy.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// Threads that ask.
const THREADS: usize = 2;
/// Sockets of each.
const SOCKETS: usize = 4;
/// Datagrams on their way on each socket.
const WINDOW: usize = 32;
/// After this a datagram is lost.
const LOST: Duration = Duration::from_millis(200);

/// Requests a second that `at` answers on connections that are kept.
pub fn http(at: SocketAddr, request: &[u8], lasting: Duration) -> anyhow::Result<f64> {
    threads(|_| {
        let mut streams: Vec<Connection> =
            (0..SOCKETS).map(|_| Connection::open(at, request)).collect::<anyhow::Result<_>>()?;
        let began = Instant::now();
        let mut answered = 0;
        while began.elapsed() < lasting {
            for connection in &mut streams {
                connection.stream.write_all(request)?;
            }
            for connection in &mut streams {
                connection.read_one()?;
            }
            answered += streams.len();
        }
        Ok(answered as f64 / began.elapsed().as_secs_f64())
    })
}

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    /// Connects and asks once, to learn how long an answer is.
    fn open(at: SocketAddr, request: &[u8]) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        let mut octet = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut octet)?;
            answer.push(octet[0]);
        }
        let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        let all = answer.len() + length.context("the answer has no length")?;
        let mut rest = vec![0; all - answer.len()];
        stream.read_exact(&mut rest)?;
        let connection = Self { stream, answer: vec![0; all] };
        ensure!(head.starts_with("http/1.1 200"), "answered {head}");
        Ok(connection)
    }

    fn read_one(&mut self) -> anyhow::Result<()> {
        self.stream.read_exact(&mut self.answer)?;
        ensure!(self.answer.starts_with(b"HTTP/1.1 200"), "an answer of another length");
        Ok(())
    }
}

/// Datagrams a second that `at` answers with NOERROR and at least one record.
pub fn dns(at: SocketAddr, packets: &[Vec<u8>], lasting: Duration) -> anyhow::Result<f64> {
    threads(|thread| {
        let sockets = (0..SOCKETS)
            .map(|_| {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.connect(at)?;
                socket.set_read_timeout(Some(LOST))?;
                Ok(socket)
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut packets = packets.iter().cycle().skip(thread * packets.len() / THREADS);
        let mut buffer = [0; 1500];
        let (mut answered, mut lost) = (0_usize, 0_usize);
        let began = Instant::now();
        while began.elapsed() < lasting {
            for socket in &sockets {
                for packet in packets.by_ref().take(WINDOW) {
                    socket.send(packet)?;
                }
            }
            for socket in &sockets {
                for _ in 0..WINDOW {
                    match socket.recv(&mut buffer) {
                        Ok(length) => {
                            ensure!(11 < length && buffer[3] & 0x0f == 0 && 0 < buffer[7], "a wrong answer");
                            answered += 1;
                        }
                        Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                            lost += 1;
                            break;
                        }
                        Err(err) => return Err(err.into()),
                    }
                }
            }
        }
        ensure!(lost * 100 < answered, "{lost} windows lost for {answered} answers");
        Ok(answered as f64 / began.elapsed().as_secs_f64())
    })
}

/// The sum of what all threads reach.
fn threads(work: impl Fn(usize) -> anyhow::Result<f64> + Sync) -> anyhow::Result<f64> {
    let work = &work;
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        all.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?).sum()
    })
}
