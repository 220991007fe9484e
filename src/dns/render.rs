//! An answer of the zones as records on the wire.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, HINFO, NS, SOA};
use hickory_proto::rr::{Name, RData, Record};

use crate::dns::message::{Reply, Request};
use crate::domain::names::DnsName;
use crate::domain::zone::answer::{Answer, Data, Owner, Rcode, Rr};
use crate::domain::zone::content::Soa;

/// The reply that says `answer` to a question for `asked`, for `scope` bits of the client's subnet.
pub fn reply_of<'a>(request: &'a Request, asked: &Name, answer: &Answer<'_>, scope: u8) -> Reply<'a> {
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
    let shared =
        wire.iter().rev().zip(asked.iter().rev()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let own = usize::from(wire.num_labels()).checked_sub(shared)?;
    let head = wire.iter().take(own);
    let total = asked.iter().count();
    let mut spelt = Name::from_labels(head.chain(asked.iter().skip(total - shared))).ok()?;
    spelt.set_fqdn(true);
    Some(spelt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_takes_the_questions_spelling_as_far_as_they_end_alike() {
        let cases = [
            ("ns-a.example.com", "wWw.eXample.cOm.", "ns-a.eXample.cOm."),
            ("example.com", "eXample.cOm.", "eXample.cOm."),
            ("a.b.example.com", "B.example.COM.", "a.B.example.COM."),
            ("ns1.example.net", "wWw.eXample.cOm.", "ns1.example.net."),
            ("example.com", ".", "example.com."),
        ];
        for (name, asked, expect) in cases {
            let name = DnsName::parse(name, "test").unwrap();
            let spelt = wire_name(&name, &Name::from_ascii(asked).unwrap()).unwrap();
            assert!(spelt.eq_case(&Name::from_ascii(expect).unwrap()), "{spelt} for {asked}");
        }
    }
}
