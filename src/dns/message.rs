//! Requests and replies on the wire, on hickory's codec. It reads what strangers send: whatever comes in, it neither
//! panics nor guesses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::ProtoError;
use hickory_proto::op::{Header, HeaderCounts, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder, DecodeError};

/// The largest UDP answer that we send or say that we take: fits every path unfragmented (DNS flag day 2020).
pub const MAX_PAYLOAD: u16 = 1232;
/// The largest UDP answer to whoever doesn't speak EDNS (RFC 1035 section 2.3.4).
const PLAIN_PAYLOAD: u16 = 512;
/// Records that a query may carry. A few is usual (OPT, a signature); thousands only keep us busy with their names.
const MOST_RECORDS: u32 = 16;
const OPT: u16 = 41;
const CLIENT_SUBNET: u16 = 8;

/// A request that could be read.
#[derive(Debug, Clone)]
pub struct Request {
    /// Header fields.
    pub meta: Metadata,
    /// The question; other operations than QUERY may have none.
    pub query: Option<Query>,
    /// What the OPT record says, if there is one.
    pub edns: Option<RequestEdns>,
}

/// The OPT record of a request (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestEdns {
    /// Octets that the asker can take by UDP.
    pub payload: u16,
    /// The EDNS version; only 0 exists.
    pub version: u8,
    /// Whether DNSSEC records are welcome; only echoed.
    pub dnssec_ok: bool,
    /// The network on whose behalf is asked (RFC 7871).
    pub subnet: Option<Subnet>,
}

/// A client subnet option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The network; `None` for family 0, with which a client declines to be located.
    pub addr: Option<IpAddr>,
    /// Bits of it that are told; 0 declines as well.
    pub source: u8,
}

/// A packet that is no request for us to answer as such.
#[derive(Debug)]
pub enum Unreadable {
    /// Too short, or itself a reply: answering would only feed loops.
    Ignore,
    /// To be answered with FORMERR under this header.
    Malformed(Box<Metadata>),
}

/// What is sent back.
#[derive(Debug)]
pub struct Reply<'a> {
    /// The request, if it could be read as far as its question.
    pub request: &'a Request,
    /// The code; codes above 15 need EDNS.
    pub rcode: ResponseCode,
    /// Whether we are the authority.
    pub authoritative: bool,
    /// Whether it is cut short on purpose, so that the asker comes again by TCP.
    pub truncated: bool,
    /// Answer section.
    pub answers: Vec<Record>,
    /// Authority section.
    pub authority: Vec<Record>,
    /// Additional section without OPT; left out as far as there is no room.
    pub additional: Vec<Record>,
    /// Bits for which the answer holds, echoed with the client's subnet.
    pub scope: u8,
}

impl Request {
    /// Reads a packet.
    pub fn read(packet: &[u8]) -> Result<Self, Unreadable> {
        let mut decoder = BinDecoder::new(packet);
        let header = Header::read(&mut decoder).map_err(|_| Unreadable::Ignore)?;
        if header.metadata.message_type == MessageType::Response {
            return Err(Unreadable::Ignore);
        }
        let is_query = header.metadata.op_code == OpCode::Query;
        match read_body(&mut decoder, &header) {
            Ok(request) if request.query.is_some() => Ok(request),
            // What we don't implement we needn't be able to read.
            _ if !is_query => Ok(Self { meta: header.metadata, query: None, edns: None }),
            _ => Err(Unreadable::Malformed(Box::new(header.metadata))),
        }
    }

    /// The largest answer that may go back by UDP.
    pub fn udp_limit(&self) -> u16 {
        self.edns.map_or(PLAIN_PAYLOAD, |edns| edns.payload.clamp(PLAIN_PAYLOAD, MAX_PAYLOAD))
    }
}

fn read_body(decoder: &mut BinDecoder<'_>, header: &Header) -> Result<Request, DecodeError> {
    let counts = header.counts;
    let mut request = Request { meta: header.metadata, query: None, edns: None };
    if counts.queries != 1 {
        return Ok(request);
    }
    let query = Query::read(decoder)?;
    let before = u32::from(counts.answers) + u32::from(counts.authorities);
    if MOST_RECORDS < before + u32::from(counts.additionals) {
        return Err(DecodeError::InsufficientBytes);
    }
    for _ in 0..before {
        read_record(decoder)?;
    }
    for _ in 0..counts.additionals {
        let record = read_record(decoder)?;
        if record.kind != OPT {
            continue;
        }
        if request.edns.is_some() || !record.owner.is_root() {
            return Err(DecodeError::DuplicateEdns);
        }
        request.edns = Some(read_opt(&record)?);
    }
    if !decoder.is_empty() {
        return Err(DecodeError::InsufficientBytes);
    }
    request.query = Some(query);
    Ok(request)
}

/// A record as it stands, its data unread: we need none but OPT's, and that as octets, for the codec passes over what
/// RFC 7871 wants refused.
struct RawRecord<'p> {
    owner: Name,
    kind: u16,
    class: u16,
    ttl: u32,
    data: &'p [u8],
}

fn read_record<'p>(decoder: &mut BinDecoder<'p>) -> Result<RawRecord<'p>, DecodeError> {
    let owner = Name::read(decoder)?;
    let kind = decoder.read_u16()?.unverified(/* only compared */);
    let class = decoder.read_u16()?.unverified(/* a size, clamped where it is used */);
    let ttl = decoder.read_u32()?.unverified(/* only taken apart */);
    let length = decoder.read_u16()?.unverified(/* the slice is checked */);
    let data = decoder.read_slice(usize::from(length))?.unverified(/* octets */);
    Ok(RawRecord { owner, kind, class, ttl, data })
}

fn read_opt(record: &RawRecord<'_>) -> Result<RequestEdns, DecodeError> {
    let [_, version, flags, _] = record.ttl.to_be_bytes();
    let mut edns = RequestEdns { payload: record.class, version, dnssec_ok: flags & 0x80 != 0, subnet: None };
    let mut rest = record.data;
    while !rest.is_empty() {
        let Some((&[c0, c1, l0, l1], tail)) = rest.split_first_chunk::<4>() else {
            return Err(DecodeError::InsufficientBytes);
        };
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let Some((option, tail)) = tail.split_at_checked(length) else {
            return Err(DecodeError::InsufficientBytes);
        };
        rest = tail;
        // The options of another version may mean anything.
        if version == 0 && u16::from_be_bytes([c0, c1]) == CLIENT_SUBNET {
            edns.subnet = Some(read_subnet(option).ok_or(DecodeError::InsufficientBytes)?);
        }
    }
    Ok(edns)
}

/// RFC 7871 section 6: exactly as many octets as the length needs, no bit set beyond it, and no scope in a query.
fn read_subnet(option: &[u8]) -> Option<Subnet> {
    let (&[f0, f1, source, scope], octets) = option.split_first_chunk::<4>()?;
    let family = u16::from_be_bytes([f0, f1]);
    let widest = match family {
        0 => 0,
        1 => 32,
        2 => 128,
        _ => return None,
    };
    if scope != 0 || widest < source || octets.len() != usize::from(source).div_ceil(8) {
        return None;
    }
    let beyond = (8 - source % 8) % 8;
    if octets.last().is_some_and(|last| last.trailing_zeros() < u32::from(beyond)) {
        return None;
    }
    let addr = match family {
        1 => {
            let mut all = [0; 4];
            all.get_mut(..octets.len())?.copy_from_slice(octets);
            Some(IpAddr::V4(Ipv4Addr::from(all)))
        }
        2 => {
            let mut all = [0; 16];
            all.get_mut(..octets.len())?.copy_from_slice(octets);
            Some(IpAddr::V6(Ipv6Addr::from(all)))
        }
        _ => None,
    };
    Some(Subnet { addr, source })
}

impl<'a> Reply<'a> {
    /// A reply without records.
    pub fn bare(request: &'a Request, rcode: ResponseCode) -> Self {
        Self {
            request,
            rcode,
            authoritative: false,
            truncated: false,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            scope: 0,
        }
    }

    /// The reply in at most `limit` octets, cut down to the question where its answer doesn't fit.
    pub fn write(&self, limit: u16) -> Result<Vec<u8>, ProtoError> {
        if self.truncated {
            return self.write_sections(limit, false);
        }
        match self.write_sections(limit, true) {
            Err(ProtoError::NotAllRecordsWritten { .. } | ProtoError::MaxBufferSizeExceeded(_)) => {
                self.write_sections(limit, false)
            }
            done => done,
        }
    }

    fn write_sections(&self, limit: u16, full: bool) -> Result<Vec<u8>, ProtoError> {
        let mut buffer = Vec::with_capacity(256);
        let mut encoder = BinEncoder::new(&mut buffer);
        let opt = self.opt();
        encoder.set_max_size(limit.saturating_sub(u16::try_from(opt.len()).unwrap_or(limit)));
        let place = encoder.place::<Header>()?;
        let mut counts = HeaderCounts::default();
        if let Some(query) = &self.request.query {
            query.emit(&mut encoder)?;
            counts.queries = 1;
        }
        if full {
            counts.answers = count(encoder.emit_all(self.answers.iter())?);
            counts.authorities = count(encoder.emit_all(self.authority.iter())?);
            counts.additionals = match encoder.emit_all(self.additional.iter()) {
                Err(ProtoError::NotAllRecordsWritten { count: written, .. }) => count(written),
                written => count(written?),
            };
        }
        encoder.set_max_size(limit);
        encoder.emit_vec(&opt)?;
        counts.additionals += u16::from(!opt.is_empty());
        let mut metadata = Metadata::response_from_request(&self.request.meta);
        // Only resolvers have use for the bit; an authority answers without it (RFC 4035 section 3.1.6).
        metadata.checking_disabled = false;
        metadata.authoritative = self.authoritative;
        metadata.truncation = !full;
        metadata.response_code = self.rcode;
        place.replace(&mut encoder, Header { metadata, counts })?;
        let length = encoder.offset();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Our OPT record, nothing where the asker sent none.
    fn opt(&self) -> Vec<u8> {
        let Some(edns) = self.request.edns else { return Vec::new() };
        let mut options = Vec::new();
        if let Some(subnet) = edns.subnet {
            let (family, octets) = match subnet.addr {
                None => (0u16, Vec::new()),
                Some(IpAddr::V4(addr)) => (1, addr.octets().to_vec()),
                Some(IpAddr::V6(addr)) => (2, addr.octets().to_vec()),
            };
            let told = octets.into_iter().take(usize::from(subnet.source).div_ceil(8)).collect::<Vec<u8>>();
            options.extend(CLIENT_SUBNET.to_be_bytes());
            options.extend(count(4 + told.len()).to_be_bytes());
            options.extend(family.to_be_bytes());
            options.extend([subnet.source, self.scope]);
            options.extend(told);
        }
        let mut opt = vec![0];
        opt.extend(OPT.to_be_bytes());
        opt.extend(MAX_PAYLOAD.to_be_bytes());
        opt.extend([self.rcode.high(), 0, if edns.dnssec_ok { 0x80 } else { 0 }, 0]);
        opt.extend(count(options.len()).to_be_bytes());
        opt.extend(options);
        opt
    }
}

/// FORMERR for a packet of which only the header can be trusted.
pub fn malformed(metadata: &Metadata) -> Result<Vec<u8>, ProtoError> {
    let request = Request { meta: *metadata, query: None, edns: None };
    Reply::bare(&request, ResponseCode::FormErr).write(PLAIN_PAYLOAD)
}

fn count(number: usize) -> u16 {
    // Everything counted here has been written into a message, which holds at most 65,535 octets.
    u16::try_from(number).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_client_subnet_is_a_format_error() {
        let cases: [(&str, &[u8], bool); 12] = [
            ("right", &[0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2], true),
            ("family 0 declines", &[0, 8, 0, 4, 0, 0, 0, 0], true),
            ("source 0 declines", &[0, 8, 0, 4, 0, 1, 0, 0], true),
            ("another option", &[0, 10, 0, 3, 1, 2, 3], true),
            ("unknown family", &[0, 8, 0, 4, 0, 3, 0, 0], false),
            ("bits beyond the length", &[0, 8, 0, 7, 0, 1, 23, 0, 192, 0, 3], false),
            ("too few octets", &[0, 8, 0, 6, 0, 1, 24, 0, 192, 0], false),
            ("too many octets", &[0, 8, 0, 8, 0, 1, 24, 0, 192, 0, 2, 0], false),
            ("longer than its family", &[0, 8, 0, 9, 0, 1, 33, 0, 192, 0, 2, 0, 0], false),
            ("a scope in a query", &[0, 8, 0, 7, 0, 1, 24, 24, 192, 0, 2], false),
            ("cut short", &[0, 8, 0, 2, 0, 1], false),
            ("an option longer than the record", &[0, 10, 0, 9, 1], false),
        ];
        for (what, options, readable) in cases {
            let mut packet =
                b"\x12\x34\0\0\0\x01\0\0\0\0\0\x01\x01a\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0".to_vec();
            packet.extend(count(options.len()).to_be_bytes());
            packet.extend(options);
            assert_eq!(Request::read(&packet).is_ok(), readable, "{what}");
        }
    }
}
