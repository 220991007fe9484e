//! Messages of DNS as octets: questions and updates as they are sent, answers as they come. It reads only what the
//! provider needs and takes any record as it comes, so that a zone with types unknown here can still be listed. Nothing in
//! an answer is trusted: every length is checked.

use std::fmt;

use hickory_proto::rr::Name;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

use crate::domain::names::DnsName;
use crate::providers::rfc2136::tsig::TSIG;

/// IPv4 address.
pub const A: u16 = 1;
/// Alias.
pub const CNAME: u16 = 5;
/// Start of a zone.
pub const SOA: u16 = 6;
/// Text.
pub const TXT: u16 = 16;
/// IPv6 address.
pub const AAAA: u16 = 28;
/// Whole zone (RFC 5936).
pub const AXFR: u16 = 252;
/// Class of the Internet.
pub const IN: u16 = 1;
/// In an update: "not this" (RFC 2136 section 2.4 and 2.5).
pub const NONE: u16 = 254;
/// In an update: "whatever it says".
pub const ANY: u16 = 255;

/// A pointer to the name in the question: the zone.
const ZONE: [u8; 2] = [0xc0, 12];
const OPCODE_UPDATE: u8 = 5 << 3;

/// The response code of an answer, with the extended one of its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rcode(pub u16);

impl Rcode {
    /// Done.
    pub const NOERROR: Rcode = Rcode(0);
    /// The server failed.
    pub const SERVFAIL: Rcode = Rcode(2);
    /// No such name.
    pub const NXDOMAIN: Rcode = Rcode(3);
    /// The server doesn't do this.
    pub const NOTIMP: Rcode = Rcode(4);
    /// Not allowed.
    pub const REFUSED: Rcode = Rcode(5);
    /// Not the zone's authority, or the key is not right.
    pub const NOTAUTH: Rcode = Rcode(9);
    /// A name lies outside the zone.
    pub const NOTZONE: Rcode = Rcode(10);
    /// The signature is wrong.
    pub const BADSIG: Rcode = Rcode(16);
    /// The key is unknown.
    pub const BADKEY: Rcode = Rcode(17);
    /// The clocks differ.
    pub const BADTIME: Rcode = Rcode(18);
    /// The signature is too short.
    pub const BADTRUNC: Rcode = Rcode(22);

    /// Whether a prerequisite was not fulfilled: NXDOMAIN, YXDOMAIN, YXRRSET, NXRRSET (RFC 2136 section 2.2).
    pub fn is_prerequisite(self) -> bool {
        matches!(self.0, 3 | 6..=8)
    }
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
            "NXRRSET", "NOTAUTH", "NOTZONE",
        ];
        match (names.get(usize::from(self.0)), self.0) {
            (Some(name), _) => f.pad(name),
            (None, 16) => f.pad("BADSIG"),
            (None, 17) => f.pad("BADKEY"),
            (None, 18) => f.pad("BADTIME"),
            (None, 22) => f.pad("BADTRUNC"),
            (None, other) => write!(f, "RCODE{other}"),
        }
    }
}

/// Writes a name; its end is a pointer to the question's where it lies in `zone`.
pub fn put_name(into: &mut Vec<u8>, name: &str, zone: Option<&DnsName>) {
    let inside = zone.and_then(|zone| match name.strip_suffix(zone.as_str()) {
        Some("") => Some(""),
        Some(head) => head.strip_suffix('.'),
        None => None,
    });
    for label in inside.unwrap_or(name).split('.').filter(|label| !label.is_empty()) {
        // Names have been parsed: no label is longer than 63.
        into.push(u8::try_from(label.len()).unwrap_or(63));
        into.extend(label.as_bytes());
    }
    match inside {
        Some(_) => into.extend(ZONE),
        None => into.push(0),
    }
}

fn header(id: u16, opcode: u8, name: &str, kind: u16) -> Vec<u8> {
    let mut message = Vec::with_capacity(512);
    message.extend(id.to_be_bytes());
    message.extend([opcode, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    put_name(&mut message, name, None);
    message.extend(kind.to_be_bytes());
    message.extend(IN.to_be_bytes());
    message
}

/// A question; recursion is not desired.
pub fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    header(id, 0, name, kind)
}

/// Records of one section of an update, written for one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    octets: Vec<u8>,
    count: u16,
}

impl Records {
    /// How many octets they take.
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// Adds a record at `name` in `zone`.
    pub fn put(&mut self, zone: &DnsName, name: &str, what: (u16, u16), ttl: u32, data: &[u8]) {
        let (kind, class) = what;
        put_name(&mut self.octets, name, Some(zone));
        self.octets.extend(kind.to_be_bytes());
        self.octets.extend(class.to_be_bytes());
        self.octets.extend(ttl.to_be_bytes());
        self.octets.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.octets.extend(data);
        self.count += 1;
    }
}

/// An update of `zone`: what must be so, and what to do then (RFC 2136 section 2).
pub fn update<'a>(
    id: u16,
    zone: &DnsName,
    parts: impl Iterator<Item = (&'a Records, Option<&'a Records>)> + Clone,
) -> Vec<u8> {
    let mut message = header(id, OPCODE_UPDATE, zone.as_str(), SOA);
    let must = parts.clone().map(|(must, _)| must);
    let will = parts.filter_map(|(_, will)| will);
    let count = |records: &mut dyn Iterator<Item = &Records>| records.map(|part| part.count).sum::<u16>();
    let counts = [count(&mut must.clone()).to_be_bytes(), count(&mut will.clone()).to_be_bytes()];
    message.splice(6..10, counts.concat());
    must.chain(will).for_each(|part| message.extend(&part.octets));
    message
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name, lower-case and without a trailing dot; none where it has octets that no name of ours has.
    pub name: Option<String>,
    /// Its type.
    pub kind: u16,
    /// Its class.
    pub class: u16,
    /// Seconds.
    pub ttl: u32,
    /// Its data as it came.
    pub data: Vec<u8>,
}

/// The TSIG record of an answer (RFC 8945 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Where it begins in the message.
    pub at: usize,
    /// The key's name.
    pub key: Option<String>,
    /// The algorithm's.
    pub algorithm: Option<String>,
    /// When it was made, seconds since 1970.
    pub time: u64,
    /// Seconds by which clocks may differ.
    pub fudge: u16,
    /// The signature itself.
    pub mac: Vec<u8>,
    /// The id that was signed.
    pub id: u16,
    /// What the server finds wrong with our signature.
    pub error: u16,
    /// With BADTIME: the server's time.
    pub other: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// That of the question.
    pub id: u16,
    /// Whether it is an answer at all.
    pub response: bool,
    /// Whether it answers an update.
    pub is_update: bool,
    /// Whether the server is the authority.
    pub authoritative: bool,
    /// The response code of the header.
    pub rcode: Rcode,
    /// Records that answer.
    pub answers: Vec<Record>,
    /// Records of the authority.
    pub authorities: Vec<Record>,
    /// How many additional records there are, the signature among them.
    pub additionals: u16,
    /// The signature, if any.
    pub signature: Option<Signature>,
}

impl Message {
    /// Reads a message; the error says that it can't be one.
    pub fn read(packet: &[u8]) -> Result<Self, DecodeError> {
        let mut from = BinDecoder::new(packet);
        let mut next = || from.read_u16().map(|value| value.unverified(/* any is valid */));
        let (id, flags) = (next()?, next()?);
        let (questions, answers, authorities, additionals) = (next()?, next()?, next()?, next()?);
        for _ in 0..questions {
            Name::read(&mut from)?;
            from.read_u32()?;
        }
        let mut message = Self {
            id,
            response: flags & 0x8000 != 0,
            is_update: flags & 0x7800 == u16::from(OPCODE_UPDATE) << 8,
            authoritative: flags & 0x0400 != 0,
            rcode: Rcode(flags & 0x000f),
            answers: section(&mut from, answers)?,
            authorities: section(&mut from, authorities)?,
            additionals,
            signature: None,
        };
        for index in 0..additionals {
            let at = from.index();
            let record = record(&mut from)?;
            // It counts at the very end only (RFC 8945 section 5.1).
            if record.kind == TSIG && index + 1 == additionals {
                message.signature = Some(signature(at, &record)?);
            }
        }
        Ok(message)
    }

    /// The zone that an answer to a question for a SOA names: by the record, or by its absence.
    pub fn zone(&self) -> Option<DnsName> {
        // What follows an alias would tell the alias' zone.
        let records = if self.answers.is_empty() { &self.authorities } else { &self.answers };
        let start = records.iter().find(|record| self.authoritative && record.kind == SOA)?;
        DnsName::parse(start.name.as_deref()?, "").ok()
    }

    /// The response code that counts: what the signature's record says, where it says something.
    pub fn verdict(&self) -> Rcode {
        let error = self.signature.as_ref().map_or(0, |signature| signature.error);
        if error == 0 { self.rcode } else { Rcode(error) }
    }
}

fn section(from: &mut BinDecoder<'_>, count: u16) -> Result<Vec<Record>, DecodeError> {
    (0..count).map(|_| record(from)).collect()
}

fn record(from: &mut BinDecoder<'_>) -> Result<Record, DecodeError> {
    let name = text(&Name::read(from)?);
    let kind = from.read_u16()?.unverified(/* any is valid */);
    let class = from.read_u16()?.unverified(/* any is valid */);
    let ttl = from.read_u32()?.unverified(/* any is valid */);
    let length = from.read_u16()?.unverified(/* checked as it is read */);
    let data = from.read_vec(usize::from(length))?.unverified(/* read by its type */);
    Ok(Record { name, kind, class, ttl, data })
}

fn signature(at: usize, record: &Record) -> Result<Signature, DecodeError> {
    let mut from = BinDecoder::new(&record.data);
    let algorithm = text(&Name::read(&mut from)?);
    let high = from.read_u16()?.unverified(/* any is valid */);
    let low = from.read_u32()?.unverified(/* any is valid */);
    let fudge = from.read_u16()?.unverified(/* any is valid */);
    let octets = |from: &mut BinDecoder<'_>| {
        let length = from.read_u16()?.unverified(/* checked as it is read */);
        Ok::<_, DecodeError>(from.read_vec(usize::from(length))?.unverified(/* any is valid */))
    };
    Ok(Signature {
        at,
        key: record.name.clone(),
        algorithm,
        time: u64::from(high) << 32 | u64::from(low),
        fudge,
        mac: octets(&mut from)?,
        id: from.read_u16()?.unverified(/* any is valid */),
        error: from.read_u16()?.unverified(/* any is valid */),
        other: octets(&mut from)?,
    })
}

/// A name as text, if all its octets are such as names of ours may have.
fn text(name: &Name) -> Option<String> {
    let mut text = String::with_capacity(name.len());
    for label in name.iter() {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_*".contains(b);
        if !label.iter().all(plain) {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.extend(label.iter().map(|b| char::from(b.to_ascii_lowercase())));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::parse(text, "").unwrap()
    }

    #[test]
    fn an_update_is_written_as_the_rfc_says() {
        let zone = name("example.com");
        let (mut must, mut will) = (Records::default(), Records::default());
        must.put(&zone, "www.example.com", (A, NONE), 0, &[]);
        will.put(&zone, "example.com", (A, IN), 60, &[192, 0, 2, 1]);
        will.put(&zone, "a-www.notexample.com", (A, ANY), 0, &[]);
        let packet = update(1, &zone, [(&must, Some(&will))].into_iter());
        assert_eq!(packet[..12], [0, 1, 0x28, 0, 0, 1, 0, 1, 0, 2, 0, 0]);
        let read = hickory_proto::op::Message::from_vec(&packet).unwrap();
        assert_eq!(read.answers[0].name.to_ascii(), "www.example.com.");
        let names: Vec<String> = read.authorities.iter().map(|record| record.name.to_ascii()).collect();
        assert_eq!(names, ["example.com.", "a-www.notexample.com."]);
        assert_eq!(read.authorities[0].data.to_string(), "192.0.2.1");
    }

    #[test]
    fn an_answer_cut_anywhere_is_an_error_and_never_a_panic() {
        let zone = name("example.com");
        let mut records = Records::default();
        records.put(&zone, "*.WWW.example.com", (A, IN), 60, &[192, 0, 2, 1]);
        records.put(&zone, "a b.example.com", (TXT, IN), 60, b"\x01x");
        let packet = update(1, &zone, [(&records, None)].into_iter());
        let read = Message::read(&packet).unwrap();
        let names: Vec<Option<&str>> = read.answers.iter().map(|record| record.name.as_deref()).collect();
        assert_eq!(names, [Some("*.www.example.com"), None]);
        for length in 0..packet.len() {
            assert!(Message::read(&packet[..length]).is_err(), "{length}");
        }
        assert!(Message::read(&[0xff; 64]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn noise_is_read_or_refused(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            // Counts that lead into every section, then noise.
            let packet = [&[0, 1, 0x84, 0, 0, 1, 0, 1, 0, 1, 0, 1], body.as_slice()].concat();
            let _ = Message::read(&packet);
            let _ = Message::read(&body);
        }
    }
}
