//! Asks the serving port, once: an answer proves that somebody is there, whatever he answers short of a gateway's excuse.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::domain::app::instance::Instance;
use crate::domain::app::observed::{Observed, Probe, State};

/// How long one question may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a connection that is made has to hold before it counts.
const HOLD: Duration = Duration::from_millis(200);

/// Asks who serves `instance`.
pub async fn probe(instance: &Instance, seen: &Observed) -> Probe {
    let Some(serving) = &instance.serving else { return Probe::Nobody };
    let Some(container) = seen.services.get(&serving.service) else {
        return Probe::Silent("its container is not there".into());
    };
    if container.state != State::Running {
        return Probe::Silent("its container does not run".into());
    }
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    // Without an address of its own it has the host's, or none that we can reach but by the published port.
    let at = match (container.address, serving.host) {
        (Some(address), _) => SocketAddr::new(address, serving.port),
        (None, Some(host)) => SocketAddr::new(here, host),
        (None, None) => SocketAddr::new(here, serving.port),
    };
    let asked = async {
        match serving.http {
            true => http(at).await,
            false => tcp(at).await,
        }
    };
    match timeout(DEADLINE, asked).await {
        Ok(Ok(())) => Probe::Answers,
        Ok(Err(why)) => Probe::Silent(why),
        Err(_) => Probe::Silent(format!("no answer within {} s", DEADLINE.as_secs())),
    }
}

async fn tcp(at: SocketAddr) -> Result<(), String> {
    let mut stream = TcpStream::connect(at).await.map_err(|error| words(&error))?;
    // The engine's proxy takes connections for whoever is not there, and closes them at once.
    match timeout(HOLD, stream.read(&mut [0; 1])).await {
        Err(_) => Ok(()),
        Ok(Ok(0)) => Err("it closes connections at once".into()),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(words(&error)),
    }
}

async fn http(at: SocketAddr) -> Result<(), String> {
    let mut stream = TcpStream::connect(at).await.map_err(|error| words(&error))?;
    let ask = "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: cocoasyncer\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.map_err(|error| words(&error))?;
    let mut answer = Vec::new();
    while answer.len() < 12 {
        let mut piece = [0; 256];
        match stream.read(&mut piece).await {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(error) => return Err(words(&error)),
        }
    }
    judge(&answer)
}

/// What the first octets of an answer say.
fn judge(answer: &[u8]) -> Result<(), String> {
    // An alert of TLS: it serves, though not in the clear.
    if answer.first() == Some(&0x15) {
        return Ok(());
    }
    let line = String::from_utf8_lossy(answer);
    let status = line.strip_prefix("HTTP/").and_then(|rest| rest.split_whitespace().nth(1));
    match status.and_then(|status| status.get(..3)?.parse::<u16>().ok()) {
        Some(status @ (502..=504)) => Err(format!("HTTP {status}")),
        Some(_) => Ok(()),
        None if answer.is_empty() => Err("it closes connections without an answer".into()),
        None => Err("it does not speak HTTP".into()),
    }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "its address can't be reached".into()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_counts_unless_it_is_a_gateways_excuse() {
        for good in ["HTTP/1.1 200 OK", "HTTP/1.0 401 No", "HTTP/1.1 500 Oh", "HTTP/1.1 302 F", "\u{15}\u{3}"]
        {
            assert_eq!(judge(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in ["HTTP/1.1 502 Bad", "HTTP/1.1 503 S", "", "SSH-2.0-x"] {
            assert!(judge(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn who_closes_at_once_is_not_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let closing = tokio::spawn(async move {
            drop(listener.accept().await.unwrap());
            listener
        });
        assert!(tcp(at).await.is_err());
        let listener = closing.await.unwrap();
        let (answer, held) = tokio::join!(tcp(at), listener.accept());
        assert_eq!(answer, Ok(()));
        drop(held);
        drop(listener);
        assert_eq!(tcp(at).await, Err("connection refused".into()));
    }
}
