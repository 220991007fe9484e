//! A conversation with one name server over TCP: each question is signed, each answer is checked, each step has a
//! deadline and a bound. It knows nothing of records that we manage.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::serialize::binary::DecodeError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use crate::api::vocab::PlatformProvider;
use crate::domain::names::DnsName;
use crate::providers::local::Clock;
use crate::providers::rfc2136::account::Server;
use crate::providers::rfc2136::message::{A, AAAA, AXFR, IN, Message, Rcode, Record, SOA, TXT, question};
use crate::providers::rfc2136::tsig::{Check, Distrust, Key};
use crate::telemetry::metrics::provider::ProviderMetrics;

/// How long and how much a server may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To be connected to.
    pub connect: Duration,
    /// For one whole answer, from the question's first octet on.
    pub answer: Duration,
    /// For a whole transfer.
    pub transfer: Duration,
    /// Most octets of a transfer.
    pub octets: usize,
    /// Most records of a transfer.
    pub records: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            transfer: Duration::from_secs(120),
            octets: 64 << 20,
            records: 1_000_000,
        }
    }
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The key, its secret or the clock.
    Key,
    /// The zone: it is not there.
    Zone,
    /// What the key may do.
    Rights,
    /// It isn't signed, as by one who doesn't believe the key; it may be about any of the three.
    Unclear,
    /// A prerequisite, the server, or the message.
    Else,
}

/// Why there is no answer that counts.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// No server takes a connection; the last one's cause.
    #[error("can't connect to {server}")]
    Connect {
        /// The last server tried.
        server: Server,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The connection broke.
    #[error("{server} broke off the connection")]
    Broken {
        /// The server.
        server: Server,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// No whole answer came in time.
    #[error("no whole answer from {server} within {} s", within.as_secs_f64())]
    Silent {
        /// The server.
        server: Server,
        /// How long was waited.
        within: Duration,
    },
    /// What came is no answer to the question.
    #[error("{server} answers something that is not DNS")]
    Garbage {
        /// The server.
        server: Server,
        /// Where it ends to make sense, if it began to.
        #[source]
        source: Option<DecodeError>,
    },
    /// A zone that is too large, or one that doesn't end.
    #[error("the transfer from {server} exceeds {bound}")]
    TooLarge {
        /// The server.
        server: Server,
        /// Which bound.
        bound: String,
    },
    /// An answer that nobody with the key has signed.
    #[error("the answer of {server} is not believed")]
    Distrusted {
        /// The server.
        server: Server,
        /// Why.
        #[source]
        source: Distrust,
    },
    /// The server says no.
    #[error("{server} says {rcode}")]
    Refused {
        /// The server.
        server: Server,
        /// Its code; that of the signature where it says something.
        rcode: Rcode,
        /// With BADTIME: by how many seconds its clock is ahead of ours.
        ahead: Option<i64>,
        /// What it means. Some servers tell those who are not believed no more than those who may not.
        means: Meaning,
    },
}

/// What all conversations on one line share: the key chooses the view.
pub struct View<'a> {
    /// Tried in turn.
    pub servers: &'a [Server],
    /// Signs.
    pub key: &'a Key,
    /// Deadlines and bounds.
    pub patience: Patience,
    /// Seconds since 1970.
    pub clock: &'a Clock,
    /// Where requests are counted.
    pub metrics: &'a ProviderMetrics,
    /// How many of the servers take connections and then don't answer: the others are tried before them.
    pub passed_over: AtomicUsize,
}

impl View<'_> {
    /// Whether another server should be asked: so many have been, and the last one didn't answer.
    pub fn has_another<T>(&self, asked: usize, answer: &Result<T, SessionError>) -> bool {
        let lost = matches!(answer, Err(SessionError::Broken { .. } | SessionError::Silent { .. }));
        lost && asked < self.servers.len()
    }

    /// Finds out what an unclear refusal in `zone` means: whoever believes the key tells it about the zone.
    pub async fn explain(&self, zone: &DnsName, mut error: SessionError) -> SessionError {
        if let SessionError::Refused { means, .. } = &mut error
            && *means == Meaning::Unclear
        {
            let asked = async {
                let mut session = Session::open(self).await?;
                let message = question(session.id(), zone.as_str(), SOA);
                session.ask("soa", message).await
            };
            *means = match asked.await {
                Ok(answer) if answer.zone().as_ref() == Some(zone) => Meaning::Rights,
                // So says a server that has no such zone; Knot doesn't sign it.
                Ok(_) | Err(SessionError::Refused { rcode: Rcode::REFUSED, .. }) => Meaning::Zone,
                Err(SessionError::Refused { .. }) => Meaning::Key,
                Err(_) => Meaning::Unclear,
            };
        }
        error
    }

    fn count<T>(&self, call: &'static str, began: Instant, answer: &Result<T, SessionError>) {
        let result = match answer {
            Ok(_) => "ok",
            Err(error) => error.verdict().0.as_str(),
        };
        if matches!(answer, Err(SessionError::Broken { .. } | SessionError::Silent { .. })) {
            let next = (self.passed_over.load(Ordering::Relaxed) + 1) % self.servers.len().max(1);
            self.passed_over.store(next, Ordering::Relaxed);
        }
        self.metrics.called(PlatformProvider::RFC2136.as_str(), call, result, began.elapsed());
    }
}

/// Connects to the first of a server's addresses that lets it.
async fn reach(server: &Server, within: Duration) -> io::Result<TcpStream> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut last = io::ErrorKind::NotFound.into();
    for address in timeout(within, lookup_host((server.host.as_str(), server.port))).await.map_err(late)?? {
        match timeout(within, TcpStream::connect(address)).await.map_err(late).flatten() {
            Ok(stream) => return Ok(stream),
            Err(err) => last = err,
        }
    }
    Err(last)
}

/// An open conversation.
pub struct Session<'a> {
    view: &'a View<'a>,
    server: Server,
    stream: TcpStream,
    next: u16,
}

impl<'a> Session<'a> {
    /// Connects to the first server that takes a connection.
    pub async fn open(view: &'a View<'a>) -> Result<Self, SessionError> {
        let began = Instant::now();
        let opened = Self::connect(view).await;
        view.count("connect", began, &opened);
        opened
    }

    async fn connect(view: &'a View<'a>) -> Result<Self, SessionError> {
        let mut last = None;
        let (passed_over, first) = view.servers.split_at(view.passed_over.load(Ordering::Relaxed));
        for server in first.iter().chain(passed_over) {
            match reach(server, view.patience.connect).await {
                Ok(stream) => {
                    // A signed question is one write: it shall not wait for an acknowledgement.
                    stream.set_nodelay(true).ok();
                    return Ok(Self { view, server: server.clone(), stream, next: 0 });
                }
                Err(err) => last = Some((server.clone(), err)),
            }
        }
        let (server, err) = last.unwrap_or_else(|| {
            (Server { host: String::new(), port: 0 }, io::ErrorKind::AddrNotAvailable.into())
        });
        Err(SessionError::Connect { server, source: Arc::new(err) })
    }

    /// An id for the next message.
    pub fn id(&mut self) -> u16 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    /// Sends a message and returns its answer: signed, and without a complaint in its code. It is counted as a `call`.
    pub async fn ask(&mut self, call: &'static str, message: Vec<u8>) -> Result<Message, SessionError> {
        let began = Instant::now();
        let answer = self.asked(message).await;
        self.view.count(call, began, &answer);
        answer
    }

    /// The whole zone, its records of the types that we manage only.
    pub async fn transfer(&mut self, zone: &DnsName) -> Result<Vec<Record>, SessionError> {
        let began = Instant::now();
        let records = self.transferred(zone).await;
        self.view.count("axfr", began, &records);
        records
    }

    async fn asked(&mut self, message: Vec<u8>) -> Result<Message, SessionError> {
        let until = Instant::now() + self.view.patience.answer;
        let (id, mut check) = self.send(message, until).await?;
        let (packet, answer) = self.receive(id, until).await?;
        self.believe(&mut check, &packet, answer)
    }

    async fn transferred(&mut self, zone: &DnsName) -> Result<Vec<Record>, SessionError> {
        let patience = self.view.patience;
        let until = Instant::now() + patience.transfer;
        let asked = question(self.id(), zone.as_str(), AXFR);
        let (id, mut check) = self.send(asked, Instant::now() + patience.answer).await?;
        let (mut kept, mut octets, mut records, mut starts) = (Vec::new(), 0, 0, 0);
        while starts < 2 {
            let until = until.min(Instant::now() + patience.answer);
            let (packet, answer) = self.receive(id, until).await?;
            let answer = self.believe(&mut check, &packet, answer)?;
            octets += packet.len();
            records += answer.answers.len();
            let too_large = |bound| SessionError::TooLarge { server: self.server.clone(), bound };
            if patience.octets < octets {
                return Err(too_large(format!("{} MiB", patience.octets >> 20)));
            }
            if patience.records < records {
                return Err(too_large(format!("{} records", patience.records)));
            }
            let garbage = || SessionError::Garbage { server: self.server.clone(), source: None };
            if answer.answers.is_empty() {
                return Err(garbage());
            }
            for record in answer.answers {
                let is_start = record.kind == SOA && record.name.as_deref() == Some(zone.as_str());
                match (is_start, starts) {
                    (true, _) => starts += 1,
                    // A transfer begins with the zone's SOA (RFC 5936 section 2.2).
                    (false, 0) => return Err(garbage()),
                    (false, 1) if record.class == IN && [A, AAAA, TXT].contains(&record.kind) => {
                        kept.push(record);
                    }
                    (false, _) => {}
                }
            }
        }
        match check.is_complete() {
            true => Ok(kept),
            false => Err(self.distrusted(Distrust::Unsigned)),
        }
    }

    async fn send(&mut self, mut message: Vec<u8>, until: Instant) -> Result<(u16, Check<'a>), SessionError> {
        let id = message.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
        let check = self.view.key.sign(&mut message, (self.view.clock)());
        let broken = |err| SessionError::Broken { server: self.server.clone(), source: Arc::new(err) };
        let length = u16::try_from(message.len()).map_err(|err| broken(io::Error::other(err)))?;
        let framed = [&length.to_be_bytes(), message.as_slice()].concat();
        match timeout_at(until, self.stream.write_all(&framed)).await {
            Ok(sent) => sent.map_err(broken)?,
            Err(_) => return Err(self.silent()),
        }
        Ok((id, check))
    }

    async fn receive(&mut self, id: u16, until: Instant) -> Result<(Vec<u8>, Message), SessionError> {
        let reading = async {
            let length = self.stream.read_u16().await?;
            let mut packet = vec![0; usize::from(length)];
            self.stream.read_exact(&mut packet).await?;
            Ok(packet)
        };
        let packet = match timeout_at(until, reading).await {
            Ok(Ok(packet)) => packet,
            Ok(Err(err)) => {
                return Err(SessionError::Broken { server: self.server.clone(), source: Arc::new(err) });
            }
            Err(_) => return Err(self.silent()),
        };
        match Message::read(&packet) {
            Ok(answer) if answer.response && answer.id == id => Ok((packet, answer)),
            Ok(_) => Err(SessionError::Garbage { server: self.server.clone(), source: None }),
            Err(err) => Err(SessionError::Garbage { server: self.server.clone(), source: Some(err) }),
        }
    }

    /// A complaint is taken unsigned, too: a server that doesn't know the key can't sign (RFC 8945 section 5.2). An answer
    /// that grants or shows something is not.
    fn believe(
        &self,
        check: &mut Check<'_>,
        packet: &[u8],
        answer: Message,
    ) -> Result<Message, SessionError> {
        let now = (self.view.clock)();
        let rcode = answer.verdict();
        let trusted = check.take(packet, &answer, now);
        // To a question NXDOMAIN is an answer.
        if rcode != Rcode::NOERROR && (rcode != Rcode::NXDOMAIN || answer.is_update) {
            let ahead = answer.signature.filter(|_| rcode == Rcode::BADTIME).map(|signature| {
                let octets = signature.other.iter().fold(0, |time, octet| time << 8 | u64::from(*octet));
                let theirs = if signature.other.len() == 6 { octets } else { signature.time };
                i64::try_from(theirs).unwrap_or(i64::MAX).saturating_sub_unsigned(now)
            });
            let means = match rcode {
                Rcode::BADKEY | Rcode::BADSIG | Rcode::BADTRUNC => Meaning::Key,
                Rcode::REFUSED | Rcode::NOTAUTH if trusted.is_err() => Meaning::Unclear,
                Rcode::NOTAUTH | Rcode::NOTZONE => Meaning::Zone,
                Rcode::REFUSED => Meaning::Rights,
                _ => Meaning::Else,
            };
            return Err(SessionError::Refused { server: self.server.clone(), rcode, ahead, means });
        }
        match trusted {
            Ok(()) => Ok(answer),
            Err(why) => Err(self.distrusted(why)),
        }
    }

    fn silent(&self) -> SessionError {
        SessionError::Silent { server: self.server.clone(), within: self.view.patience.answer }
    }

    fn distrusted(&self, source: Distrust) -> SessionError {
        SessionError::Distrusted { server: self.server.clone(), source }
    }
}
