//! Servers that mean harm, or break in the middle: each is an error in good time, and nothing is done twice.

use std::net::SocketAddr;
use std::time::Duration;

use cocoasyncer::domain::retry::Class;
use cocoasyncer::domain::secret::Secret;
use cocoasyncer::providers::rfc2136::session::Patience;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::*;
use crate::support::servers::{provider, secret};

/// How a server answers a question that came.
#[derive(Clone, Copy)]
enum Way {
    Nothing,
    Closes,
    Text,
    Noise,
    OneByteASecond,
    OtherId,
    Unsigned,
    CopiesTheSignature,
}

/// A server that answers every question this way.
async fn server(way: Way) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut asked = vec![0; usize::from(length)];
                    stream.read_exact(&mut asked).await?;
                    if answer(&mut stream, asked, way).await?.is_none() {
                        break;
                    }
                }
                Ok::<_, std::io::Error>(())
            });
        }
    });
    at
}

async fn answer(stream: &mut TcpStream, mut asked: Vec<u8>, way: Way) -> std::io::Result<Option<()>> {
    asked[2] |= 0x84;
    match way {
        Way::Nothing => std::future::pending().await,
        Way::Closes => return Ok(None),
        Way::Text => {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>").await?;
            return Ok(None);
        }
        Way::Noise => asked = [&asked[..12], &[0xff; 300]].concat(),
        Way::OneByteASecond => {
            stream.write_u16(u16::try_from(asked.len()).unwrap()).await?;
            for byte in asked {
                stream.write_u8(byte).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            return Ok(Some(()));
        }
        Way::OtherId => asked[0] ^= 0xff,
        // The signature is the one additional record, so this leaves it unread.
        Way::Unsigned => asked[11] = 0,
        Way::CopiesTheSignature => {}
    }
    stream.write_u16(u16::try_from(asked.len()).unwrap()).await?;
    stream.write_all(&asked).await?;
    Ok(Some(()))
}

fn account(at: SocketAddr) -> BTreeMap<String, Secret> {
    let data = [
        ("server", at.to_string()),
        ("accessKey", "k-default".into()),
        ("accessSecret", secret("k-default").into()),
    ];
    data.into_iter().map(|(key, value)| (key.to_owned(), Secret::new(value))).collect()
}

fn brief() -> Patience {
    let short = Duration::from_millis(400);
    Patience { connect: short, answer: short, transfer: short, ..Patience::default() }
}

#[tokio::test]
async fn a_server_that_means_harm_is_an_error_in_good_time() {
    for (way, kind, words) in [
        (Way::Nothing, Kind::Unreachable, "no whole answer from"),
        (Way::Closes, Kind::Unreachable, "broke off"),
        (Way::Text, Kind::Unreachable, "broke off"),
        (Way::Noise, Kind::Unreadable, "not DNS"),
        (Way::OneByteASecond, Kind::Unreachable, "no whole answer from"),
        (Way::OtherId, Kind::Unreadable, "not DNS"),
        (Way::Unsigned, Kind::Unreadable, "not believed"),
        (Way::CopiesTheSignature, Kind::Unreadable, "not believed"),
    ] {
        let provider = provider(&account(server(way).await)).with_patience(brief());
        let began = Instant::now();
        let changes: Vec<Change> =
            (0..2_000).map(|index| to(&format!("n{index}"), None, &["192.0.2.1"])).collect();
        let mut made = provider.apply(&zone(), &changes).await;
        let errors = [
            provider.list(&zone()).await.map(drop).unwrap_err(),
            provider.zone_of(&name("www.example.com")).await.map(drop).unwrap_err(),
            made.pop().unwrap().unwrap_err(),
            made.remove(0).unwrap_err(),
        ];
        assert!(began.elapsed() < Duration::from_secs(8), "{words}: {:?}", began.elapsed());
        for error in errors {
            assert_eq!((error.kind, error.class), (kind, Class::Transient), "{error:?}");
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            assert!(source.contains(words), "{source} lacks {words}");
        }
    }
}

#[tokio::test]
async fn a_transfer_beyond_its_bounds_is_broken_off() {
    for server in servers().await {
        let few = Patience { records: 5, ..Patience::default() };
        let small = Patience { octets: 100, ..Patience::default() };
        for patience in [few, small] {
            let error = server.provider().with_patience(patience).list(&zone()).await.unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            assert!(source.contains("exceeds"), "{source}");
        }
    }
}

/// Stands before a server and, once, lets a question through but never its answer.
async fn loses_one_answer(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut lost = false;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut behind = TcpStream::connect(server).await.unwrap();
            if lost {
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut behind).await });
                continue;
            }
            lost = true;
            let (mut asks, _answers) = stream.split();
            let (mut answered, mut asked) = behind.split();
            // The question goes through until the server has begun to answer.
            let through = copy(&mut asks, &mut asked);
            tokio::select! {
                _ = through => {}
                _ = answered.read_u8() => {}
            }
        }
    });
    at
}

#[tokio::test]
async fn an_update_whose_answer_is_lost_is_done_once_and_known_to_be_done() {
    for server in servers().await {
        let before = loses_one_answer(server.at).await;
        let provider = provider(&account(before));
        let mut changes: Vec<Change> =
            (0..50).map(|index| to(&format!("n{index}"), None, &["192.0.2.1"])).collect();
        let made = timeout(Duration::from_secs(20), provider.apply(&zone(), &changes)).await.unwrap();
        assert_eq!(tally(&made), [("ok", 50)].into());
        assert_eq!(rows(&provider).await.len(), 50);
        // The same for deletions.
        let provider = provider_behind(&server).await;
        for change in &mut changes {
            (change.from, change.to) = (change.to.take().map(Found::ours), None);
        }
        let made = provider.apply(&zone(), &changes).await;
        assert_eq!(tally(&made), [("ok", 50)].into());
        assert!(rows(&provider).await.is_empty());
    }
}

async fn provider_behind(server: &NameServer) -> Rfc2136Provider {
    provider(&account(loses_one_answer(server.at).await))
}

#[tokio::test]
async fn a_server_that_never_answers_is_passed_over_for_the_next() {
    for there in servers().await {
        let silent = server(Way::Nothing).await;
        let both = there.provider_with(&[("server", &format!("{silent}, {}", there.at))]);
        let both = both.with_patience(Patience { answer: Duration::from_millis(400), ..Patience::default() });
        assert_eq!(both.zone_of(&name("www.example.com")).await.unwrap(), Some(zone()));
        make(&both, to("www", None, &["192.0.2.1"])).await.unwrap();
        assert_eq!(rows(&both).await.len(), 1);
    }
}
