//! One packet in, one packet out: whom it is from, on which line, and what the zones say to that. No sockets here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use hickory_proto::op::{OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, HINFO, NS, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::api::vocab::Line;
use crate::dns::message::{self, Reply, Request, Unreadable};
use crate::domain::line_table::{LineTable, Matched};
use crate::domain::names::DnsName;
use crate::domain::zone::content::Soa;
use crate::domain::zone::{Answer, Data, Owner, Rcode, Rr, Zones};
use crate::telemetry::dns::{DnsMetrics, Transport};

/// What the server answers from; all parts may be exchanged while it runs.
#[derive(Clone)]
pub struct Brain {
    /// The zones.
    pub zones: Arc<ArcSwap<Zones>>,
    /// Who is on which line.
    pub lines: Arc<ArcSwap<LineTable>>,
    /// Where answers are counted.
    pub metrics: DnsMetrics,
}

/// An answer's code and line, for the counters.
type Counted = (ResponseCode, Option<Line>);

impl Brain {
    /// The reply to `packet`, ready to be sent; `None` where silence is right.
    pub fn reply(&self, packet: &[u8], peer: IpAddr, transport: Transport) -> Option<Vec<u8>> {
        let began = Instant::now();
        let (bytes, (rcode, line)) = match Request::read(packet) {
            Ok(request) => self.answer(&request, peer.to_canonical(), transport)?,
            Err(Unreadable::Malformed(meta)) => (message::malformed(&meta).ok()?, (ResponseCode::FormErr, None)),
            Err(Unreadable::Ignore) => return None,
        };
        self.metrics.answered(transport, u16::from(rcode), line, began.elapsed());
        Some(bytes)
    }

    /// An empty reply that sends the asker to TCP; `None` for what is no proper query.
    pub fn truncated(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let request = Request::read(packet).ok()?;
        let mut reply = Reply::bare(&request, ResponseCode::NoError);
        reply.truncated = true;
        reply.write(request.udp_limit()).ok()
    }

    fn answer(&self, request: &Request, peer: IpAddr, transport: Transport) -> Option<(Vec<u8>, Counted)> {
        let limit = match transport {
            Transport::Udp => request.udp_limit(),
            Transport::Tcp => u16::MAX,
        };
        let done = |reply: Reply<'_>, line| {
            let rcode = reply.rcode;
            let failed = || Reply::bare(request, ResponseCode::ServFail).write(limit).ok();
            let bytes = reply.write(limit).ok().or_else(failed)?;
            Some((bytes, (rcode, line)))
        };
        let query = match objection(request) {
            Ok(query) => query,
            Err(rcode) => return done(Reply::bare(request, rcode), None),
        };
        let zones = self.zones.load();
        let matched = self.matched(request, peer);
        let line = matched.line.unwrap_or(Line::Default);
        let answer = zones.answer(&text_of(query.name()), u16::from(query.query_type()), line);
        let scope = if answer.tailored { matched.prefix_len } else { 0 };
        done(reply_of(request, query.name(), &answer, scope), Some(line))
    }

    /// The line of whoever asks: of the network that a resolver names, else of the packet's source.
    fn matched(&self, request: &Request, peer: IpAddr) -> Matched {
        let lines = self.lines.load();
        let subnet = request.edns.and_then(|edns| edns.subnet);
        match subnet.and_then(|subnet| Some((subnet.addr?, subnet.source))) {
            Some((addr, source)) if 0 < source => lines.line_of_subnet(addr, source),
            // A client that declines to be located gets the resolver's answer, and nobody may pin it to a network.
            _ => Matched { prefix_len: 0, ..lines.line_of(peer) },
        }
    }
}

/// The question if it is one that zones can answer, else the code to refuse it with.
fn objection(request: &Request) -> Result<&Query, ResponseCode> {
    if request.meta.op_code != OpCode::Query {
        return Err(ResponseCode::NotImp);
    }
    if request.edns.is_some_and(|edns| edns.version != 0) {
        return Err(ResponseCode::BADVERS);
    }
    let query = request.query.as_ref().ok_or(ResponseCode::FormErr)?;
    match (query.query_class(), u16::from(query.query_type())) {
        // No zone transfers, and no CHAOS: whoever wants to know our version has no good reason.
        (_, 251 | 252) => Err(ResponseCode::Refused),
        // Types that only ever stand in other places of a message.
        (_, 0 | 41 | 250) => Err(ResponseCode::FormErr),
        (_, 249 | 253 | 254) => Err(ResponseCode::NotImp),
        (DNSClass::IN, _) => Ok(query),
        _ => Err(ResponseCode::Refused),
    }
}

/// The name in lower case; octets that our names can't hold are escaped, so that a dot is always a border.
fn text_of(name: &Name) -> String {
    let mut text = String::with_capacity(name.len());
    for label in name.iter() {
        if !text.is_empty() {
            text.push('.');
        }
        for octet in label.iter().map(u8::to_ascii_lowercase) {
            match octet {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'*' => text.push(char::from(octet)),
                other => text.push_str(&format!("\\{other:03}")),
            }
        }
    }
    text
}

fn reply_of<'a>(request: &'a Request, asked: &Name, answer: &Answer<'_>, scope: u8) -> Reply<'a> {
    let rcode = match answer.rcode {
        Rcode::NoError => ResponseCode::NoError,
        Rcode::NxDomain => ResponseCode::NXDomain,
        Rcode::Refused => ResponseCode::Refused,
    };
    let wire = |all: &[Rr<'_>]| all.iter().filter_map(|rr| record(asked, rr)).collect();
    Reply {
        authoritative: answer.authoritative,
        answers: wire(&answer.answers),
        authority: wire(&answer.authority),
        additional: wire(&answer.additional),
        scope,
        ..Reply::bare(request, rcode)
    }
}

fn record(asked: &Name, rr: &Rr<'_>) -> Option<Record> {
    let owner = match rr.owner {
        Owner::Asked => asked.clone(),
        Owner::Name(name) => wire_name(name, asked)?,
    };
    let data = match rr.data {
        Data::A(value) => RData::A(A(value)),
        Data::Aaaa(value) => RData::AAAA(AAAA(value)),
        Data::Ns(name) => RData::NS(NS(wire_name(name, asked)?)),
        Data::Soa(soa) => RData::SOA(wire_soa(soa, asked)?),
        Data::AnyIsObsolete => RData::HINFO(HINFO::new("RFC8482".into(), String::new())),
    };
    Some(Record::from_rdata(owner, rr.ttl, data))
}

fn wire_soa(soa: &Soa, asked: &Name) -> Option<SOA> {
    let timers = soa.timers;
    let seconds = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    Some(SOA::new(
        wire_name(&soa.mname, asked)?,
        wire_name(&soa.rname, asked)?,
        soa.serial,
        seconds(timers.refresh),
        seconds(timers.retry),
        seconds(timers.expire),
        timers.negative,
    ))
}

/// The name on the wire. Where it ends as the question does, it takes the question's spelling, so that it compresses
/// to a pointer whatever case the asker wrote in.
fn wire_name(name: &DnsName, asked: &Name) -> Option<Name> {
    let wire = Name::from_ascii(format!("{name}.")).ok()?;
    let shared = wire.iter().rev().zip(asked.iter().rev()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let own = usize::from(wire.num_labels()).checked_sub(shared)?;
    let head = wire.iter().take(own);
    let total = asked.iter().count();
    let mut spelt = Name::from_labels(head.chain(asked.iter().skip(total - shared))).ok()?;
    spelt.set_fqdn(true);
    Some(spelt)
}

/// The type of a code, for people.
pub fn type_name(code: u16) -> String {
    RecordType::from(code).to_string()
}
