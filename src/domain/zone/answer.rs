//! What is said to a question, before it becomes octets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::domain::names::DnsName;
use crate::domain::records::RecordSet;
use crate::domain::zone::content::Soa;

/// How a question ended (RFC 1035 section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rcode {
    /// Answered, or the name has nothing of that type.
    NoError,
    /// There is no such name.
    NxDomain,
    /// Not our zone.
    Refused,
}

/// What to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'z> {
    /// How it ended.
    pub rcode: Rcode,
    /// Whether we are the authority.
    pub authoritative: bool,
    /// The answer itself.
    pub answers: Vec<Rr<'z>>,
    /// The SOA of a negative answer.
    pub authority: Vec<Rr<'z>>,
    /// Addresses of the name servers that the answer names; may be left out where there is no room.
    pub additional: Vec<Rr<'z>>,
    /// Whether another line might have got another answer; if not, caches may keep it for everyone.
    pub tailored: bool,
}

/// One resource record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rr<'z> {
    /// Whose it is.
    pub owner: Owner<'z>,
    /// Seconds.
    pub ttl: u32,
    /// What it says.
    pub data: Data<'z>,
}

/// The owner of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'z> {
    /// The name that was asked for, in the asker's spelling (which some resolvers use as a nonce).
    Asked,
    /// Another name.
    Name(&'z DnsName),
}

/// The data of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data<'z> {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A name server.
    Ns(&'z DnsName),
    /// The start of authority.
    Soa(&'z Soa),
    /// The one small answer to ANY (RFC 8482 section 4.2).
    AnyIsObsolete,
}

impl<'z> Answer<'z> {
    /// These records, with authority.
    pub(super) fn positive(answers: Vec<Rr<'z>>) -> Self {
        Self {
            rcode: Rcode::NoError,
            authoritative: true,
            answers,
            authority: Vec::new(),
            additional: Vec::new(),
            tailored: false,
        }
    }
}

impl<'z> Rr<'z> {
    /// The records of a set.
    pub(super) fn of_set(owner: Owner<'z>, set: &'z RecordSet) -> impl Iterator<Item = Self> {
        set.values.iter().map(move |value| {
            let data = match value {
                IpAddr::V4(value) => Data::A(*value),
                IpAddr::V6(value) => Data::Aaaa(*value),
            };
            Self { owner, ttl: set.ttl, data }
        })
    }
}
