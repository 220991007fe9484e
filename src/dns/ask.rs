//! A question by real DNS to one server, for `resolve` and for tests. It asks once and reports; it follows nothing.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_proto::serialize::binary::DecodeError;
use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::dns::message::MAX_PAYLOAD;

/// How long one datagram is waited for before it is sent again.
const RESEND: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The name or type can't be asked for.
    #[error("{what} can't be asked for")]
    Question {
        /// The name or type.
        what: String,
        /// Why.
        #[source]
        source: ProtoError,
    },
    /// The server can't be reached.
    #[error("can't talk to {server}")]
    Talk {
        /// The server.
        server: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No answer came in time.
    #[error("no answer from {server} within {}", Seconds(*.within))]
    Silent {
        /// The server.
        server: SocketAddr,
        /// How long was waited.
        within: Duration,
    },
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The response code as people write it: `NOERROR`, `NXDOMAIN`, `REFUSED` and so on.
    pub rcode: String,
    /// Whether the server is the authority.
    pub authoritative: bool,
    /// Whether it says that the answer is cut short (never after TCP).
    pub truncated: bool,
    /// Whether it came by TCP.
    pub tcp: bool,
    /// The answer section.
    pub answers: Vec<Found>,
    /// The authority section.
    pub authority: Vec<Found>,
    /// The scope of the client subnet in the reply, if there is one.
    pub scope: Option<u8>,
    /// How long it took.
    pub took: Duration,
}

/// One record of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its owner, as it came.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Seconds.
    pub ttl: u32,
    /// Its data as in a zone file.
    pub value: String,
}

impl Reply {
    /// The values of the answers of one type, sorted.
    pub fn values(&self, kind: &str) -> Vec<String> {
        let of_kind = self.answers.iter().filter(|found| found.kind == kind);
        let mut values: Vec<String> = of_kind.map(|found| found.value.clone()).collect();
        values.sort();
        values
    }
}

/// Asks `server` for `name` of type `kind` (`A`, `AAAA`, ...), on behalf of `subnet` where one is given. By UDP, again
/// by TCP where the answer is cut short.
pub async fn ask(
    server: SocketAddr,
    name: &str,
    kind: &str,
    subnet: Option<IpNet>,
    within: Duration,
) -> Result<Reply, AskError> {
    let question = question(name, kind, subnet)?;
    answered(server, within, exchange(server, &question)).await
}

/// Asks `server` by TCP alone.
pub async fn ask_by_tcp(
    server: SocketAddr,
    name: &str,
    kind: &str,
    within: Duration,
) -> Result<Reply, AskError> {
    let question = question(name, kind, None)?;
    let asking = async {
        let began = Instant::now();
        let packet = question.to_vec().map_err(io::Error::other)?;
        Ok(read(&by_tcp(server, &question, &packet).await?, began, true))
    };
    answered(server, within, asking).await
}

async fn answered(
    server: SocketAddr,
    within: Duration,
    asking: impl Future<Output = io::Result<Reply>>,
) -> Result<Reply, AskError> {
    match timeout(within, asking).await {
        Err(_) => Err(AskError::Silent { server, within }),
        Ok(Err(source)) => Err(AskError::Talk { server, source }),
        Ok(Ok(reply)) => Ok(reply),
    }
}

fn question(name: &str, kind: &str, subnet: Option<IpNet>) -> Result<Message, AskError> {
    let refused = |what: &str, source| AskError::Question { what: what.to_owned(), source };
    let mut asked = Name::from_utf8(name).map_err(|source| refused(name, source))?;
    asked.set_fqdn(true);
    let kind: RecordType =
        kind.to_ascii_uppercase().parse().map_err(|err: DecodeError| refused(kind, err.into()))?;
    let mut message = Message::query();
    message.add_query(Query::query(asked, kind));
    let mut edns = Edns::new();
    edns.set_max_payload(MAX_PAYLOAD);
    if let Some(subnet) = subnet {
        edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::from(subnet.trunc())));
    }
    message.set_edns(edns);
    Ok(message)
}

async fn exchange(server: SocketAddr, question: &Message) -> io::Result<Reply> {
    let began = Instant::now();
    let packet = question.to_vec().map_err(io::Error::other)?;
    let reply = by_udp(server, question, &packet).await?;
    if !reply.metadata.truncation {
        return Ok(read(&reply, began, false));
    }
    let reply = by_tcp(server, question, &packet).await?;
    Ok(read(&reply, began, true))
}

async fn by_udp(server: SocketAddr, question: &Message, packet: &[u8]) -> io::Result<Message> {
    let local: IpAddr = match server {
        SocketAddr::V4(_) => IpAddr::from([0; 4]),
        SocketAddr::V6(_) => IpAddr::from([0; 16]),
    };
    let socket = UdpSocket::bind((local, 0)).await?;
    // Connected, so that only this server's datagrams come in and a closed port is an error at once.
    socket.connect(server).await?;
    let mut buffer = vec![0; 65_535];
    loop {
        socket.send(packet).await?;
        let resend = tokio::time::Instant::now() + RESEND;
        while let Ok(length) = tokio::time::timeout_at(resend, socket.recv(&mut buffer)).await {
            if let Some(reply) = matching(question, buffer.get(..length?).unwrap_or_default()) {
                return Ok(reply);
            }
        }
    }
}

async fn by_tcp(server: SocketAddr, question: &Message, packet: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(packet.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), packet].concat()).await?;
    loop {
        let length = stream.read_u16().await?;
        let mut buffer = vec![0; usize::from(length)];
        stream.read_exact(&mut buffer).await?;
        if let Some(reply) = matching(question, &buffer) {
            return Ok(reply);
        }
    }
}

/// The reply if it is one to this question: a forger must guess the id.
fn matching(question: &Message, packet: &[u8]) -> Option<Message> {
    let reply = Message::from_vec(packet).ok()?;
    let same = reply.metadata.id == question.metadata.id
        && (reply.queries == question.queries || reply.queries.is_empty());
    same.then_some(reply)
}

fn read(reply: &Message, began: Instant, tcp: bool) -> Reply {
    let found = |record: &Record| Found {
        name: record.name.to_string(),
        kind: record.record_type().to_string(),
        ttl: record.ttl,
        value: record.data.to_string(),
    };
    let subnet = reply.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet));
    let scope = match subnet {
        Some(EdnsOption::Subnet(subnet)) => Some(subnet.scope_prefix()),
        _ => None,
    };
    Reply {
        rcode: code(reply.metadata.response_code),
        authoritative: reply.metadata.authoritative,
        truncated: reply.metadata.truncation,
        tcp,
        answers: reply.answers.iter().map(found).collect(),
        authority: reply.authorities.iter().map(found).collect(),
        scope,
        took: began.elapsed(),
    }
}

fn code(rcode: ResponseCode) -> String {
    match u16::from(rcode) {
        0 => "NOERROR".into(),
        1 => "FORMERR".into(),
        2 => "SERVFAIL".into(),
        3 => "NXDOMAIN".into(),
        4 => "NOTIMP".into(),
        5 => "REFUSED".into(),
        16 => "BADVERS".into(),
        other => format!("RCODE{other}"),
    }
}
