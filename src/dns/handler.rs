//! One packet in, one packet out: whom it is from, on which line, and what the zones say to that. No sockets here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use hickory_proto::op::{OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name};

use crate::dns::message::{self, Reply, Request, Unreadable};
use crate::dns::render::reply_of;
use crate::domain::line_table::{LineTable, Matched};
use crate::domain::zone::Zones;
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

impl Brain {
    /// The reply to `packet`, ready to be sent; `None` where silence is right.
    pub fn reply(&self, packet: &[u8], peer: IpAddr, transport: Transport) -> Option<Vec<u8>> {
        let began = Instant::now();
        match Request::read(packet) {
            Ok(request) => self.answer(&request, peer.to_canonical(), transport, began),
            Err(Unreadable::Malformed(meta)) => {
                self.metrics.answered(transport, u16::from(ResponseCode::FormErr), None, began.elapsed());
                message::malformed(&meta).ok()
            }
            Err(Unreadable::Ignore) => None,
        }
    }

    /// An empty reply that sends the asker to TCP; `None` for what is no proper query.
    pub fn truncated(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let request = Request::read(packet).ok()?;
        let mut reply = Reply::bare(&request, ResponseCode::NoError);
        reply.truncated = true;
        reply.write(request.udp_limit()).ok()
    }

    fn answer(
        &self,
        request: &Request,
        peer: IpAddr,
        transport: Transport,
        began: Instant,
    ) -> Option<Vec<u8>> {
        let limit = match transport {
            Transport::Udp => request.udp_limit(),
            Transport::Tcp => u16::MAX,
        };
        let (reply, line) = match objection(request) {
            Err(rcode) => (Reply::bare(request, rcode), None),
            Ok(query) => {
                let matched = self.matched(request, peer);
                let line = matched.line_or_default();
                let zones = self.zones.load();
                let answer = zones.answer(&text_of(query.name()), u16::from(query.query_type()), line);
                let scope = if answer.tailored { matched.prefix_len } else { 0 };
                (reply_of(request, query.name(), &answer, scope), Some(line))
            }
        };
        let (rcode, bytes) = match reply.write(limit) {
            Ok(bytes) => (reply.rcode, bytes),
            Err(_) => {
                let failed = Reply::bare(request, ResponseCode::ServFail);
                (failed.rcode, failed.write(limit).ok()?)
            }
        };
        self.metrics.answered(transport, u16::from(rcode), line, began.elapsed());
        Some(bytes)
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

#[cfg(test)]
pub(super) mod tests {
    use hickory_proto::op::{Edns, Header, Message};
    use hickory_proto::rr::RecordType;
    use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
    use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::zone::sample;

    /// A brain that knows the sample's zone and lines.
    pub fn brain() -> Brain {
        Brain {
            zones: Arc::new(ArcSwap::from_pointee(sample::zones())),
            lines: Arc::new(ArcSwap::from_pointee(sample::lines())),
            metrics: DnsMetrics::new().unwrap(),
        }
    }

    fn query(name: &str, kind: u16, edns: Option<Edns>) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.metadata.checking_disabled = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::from(kind)));
        if let Some(edns) = edns {
            message.set_edns(edns);
        }
        message.to_vec().unwrap()
    }

    fn edns(payload: u16) -> Option<Edns> {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        Some(edns)
    }

    fn with_subnet(subnet: &str) -> Option<Edns> {
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Subnet(subnet.parse::<ClientSubnet>().unwrap()));
        Some(edns)
    }

    fn reply(packet: &[u8], peer: &str, transport: Transport) -> Option<Message> {
        let bytes = brain().reply(packet, peer.parse().unwrap(), transport)?;
        let reply = Message::from_vec(&bytes).expect("what we send can be read");
        assert_eq!(packet[..2], bytes[..2], "the id is echoed");
        Some(reply)
    }

    fn show(reply: &Message) -> String {
        let mut values: Vec<String> = reply.answers.iter().map(|record| record.data.to_string()).collect();
        values.sort();
        format!("{} {}", u16::from(reply.metadata.response_code), values.join(","))
    }

    #[test]
    fn the_line_is_that_of_the_network_a_resolver_names_else_that_of_the_source() {
        let cases = [
            ("192.0.2.9", None, "0 203.0.113.2", None),
            ("::ffff:192.0.2.9", None, "0 203.0.113.2", None),
            ("10.0.0.1", None, "0 203.0.113.1", None),
            ("2001:db8::9", None, "0 203.0.113.2", None),
            ("192.0.2.9", Some("198.51.100.0/26"), "0 203.0.113.3", Some(25)),
            ("192.0.2.9", Some("198.51.100.0/24"), "0 203.0.113.3", Some(24)),
            ("192.0.2.9", Some("198.51.100.192/26"), "0 203.0.113.2", Some(25)),
            ("192.0.2.9", Some("10.0.0.0/24"), "0 203.0.113.1", Some(1)),
            ("192.0.2.9", Some("0.0.0.0/0"), "0 203.0.113.2", Some(0)),
            ("198.51.100.1", Some("2001:db8:1::/48"), "0 203.0.113.2", Some(32)),
        ];
        for (peer, subnet, expect, scope) in cases {
            let packet = query("test.example.com.", 1, subnet.and_then(with_subnet));
            let reply = reply(&packet, peer, Transport::Udp).unwrap();
            assert_eq!(show(&reply), expect, "{peer} {subnet:?}");
            let option = reply.edns.as_ref().and_then(|edns| edns.option(8.into()).cloned());
            match (option, scope) {
                (Some(EdnsOption::Subnet(told)), Some(scope)) => {
                    assert_eq!(told.scope_prefix(), scope, "{peer} {subnet:?}");
                    assert_eq!(format!("{}/{}", told.addr(), told.source_prefix()), subnet.unwrap());
                }
                (None, None) => {}
                other => panic!("{peer} {subnet:?}: {other:?}"),
            }
            assert_eq!(reply.edns.is_some(), subnet.is_some(), "OPT is answered with OPT and only so");
        }
    }

    #[test]
    fn what_no_line_changes_holds_for_everyone() {
        let packet = query("x.wild.example.com.", 28, with_subnet("192.0.2.0/24"));
        let reply = reply(&packet, "10.0.0.1", Transport::Udp).unwrap();
        match reply.edns.unwrap().option(8.into()) {
            Some(EdnsOption::Subnet(subnet)) => assert_eq!(subnet.scope_prefix(), 0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_that_does_not_fit_is_cut_and_comes_whole_by_tcp() {
        for (edns_of_query, limit) in [(None, 512), (edns(100), 512), (edns(4096), 1232)] {
            let packet = query("big.example.com.", 1, edns_of_query.clone());
            let bytes = brain().reply(&packet, [10, 0, 0, 1].into(), Transport::Udp).unwrap();
            assert!(bytes.len() <= limit);
            let short = Message::from_vec(&bytes).unwrap();
            assert!(short.metadata.truncation && short.answers.is_empty(), "no half of a set");
            assert_eq!(short.edns.is_some(), edns_of_query.is_some());
            let whole = reply(&packet, "10.0.0.1", Transport::Tcp).unwrap();
            assert!(!whole.metadata.truncation);
            assert_eq!(whole.answers.len(), 100);
        }
    }

    #[test]
    fn the_header_is_an_authoritys() {
        let reply = reply(&query("TeSt.ExAmPlE.cOm.", 1, None), "10.0.0.1", Transport::Udp).unwrap();
        let meta = reply.metadata;
        assert!(meta.authoritative && meta.recursion_desired);
        assert!(!meta.recursion_available && !meta.authentic_data && !meta.checking_disabled);
        assert!(reply.queries[0].name().eq_case(&Name::from_ascii("TeSt.ExAmPlE.cOm.").unwrap()));
        assert!(reply.answers[0].name.eq_case(reply.queries[0].name()), "spelt as asked");
        let negative =
            super::tests::reply(&query("NO.ExAmPlE.cOm.", 1, None), "10.0.0.1", Transport::Udp).unwrap();
        let soa = &negative.authorities[0];
        assert_eq!((u16::from(negative.metadata.response_code), soa.ttl), (3, 60));
        assert_eq!(soa.data.to_string(), "ns-a.ExAmPlE.cOm. hostmaster.ExAmPlE.cOm. 7 3600 600 604800 60");
    }

    #[test]
    fn what_is_not_ours_to_answer_is_refused_in_its_own_way() {
        let plain = query("test.example.com.", 1, None);
        let changed = |at: usize, octets: &[u8]| {
            let mut packet = plain.clone();
            packet[at..at + octets.len()].copy_from_slice(octets);
            packet
        };
        let class = plain.len() - 2;
        let cases: Vec<(&str, Vec<u8>, Option<u16>)> = vec![
            ("ours", plain.clone(), Some(0)),
            ("elsewhere", query("example.org.", 1, None), Some(5)),
            ("the root", query(".", 2, None), Some(5)),
            ("AXFR", query("example.com.", 252, None), Some(5)),
            ("IXFR", query("example.com.", 251, None), Some(5)),
            ("CHAOS", changed(class, &[0, 3]), Some(5)),
            ("type OPT", query("example.com.", 41, None), Some(1)),
            ("MAILA", query("example.com.", 254, None), Some(4)),
            ("NOTIFY", changed(2, &[0x20]), Some(4)),
            ("UPDATE", changed(2, &[0x28]), Some(4)),
            ("an unknown operation", changed(2, &[0x78]), Some(4)),
            ("a reply", changed(2, &[0x80]), None),
            ("no question", changed(4, &[0, 0]), Some(1)),
            ("two questions", changed(4, &[0, 2]), Some(1)),
            ("a record that is not there", changed(6, &[0, 1]), Some(1)),
            ("octets behind the end", [plain.as_slice(), &[0]].concat(), Some(1)),
            ("cut short", plain[..plain.len() - 1].to_vec(), Some(1)),
            ("a header alone", plain[..12].to_vec(), Some(1)),
            ("less than a header", plain[..11].to_vec(), None),
            ("nothing", Vec::new(), None),
            ("a name that points at itself", changed(12, &[0xc0, 12]), Some(1)),
            ("a name that points ahead", changed(12, &[0xc0, 20]), Some(1)),
            ("a label of a kind that isn't", changed(12, &[0x80]), Some(1)),
        ];
        for (what, packet, expect) in cases {
            let reply = reply(&packet, "10.0.0.1", Transport::Udp);
            assert_eq!(reply.map(|reply| u16::from(reply.metadata.response_code)), expect, "{what}");
        }
        let mut newer = query("test.example.com.", 1, edns(1232));
        let version = newer.len() - 5;
        newer[version] = 1;
        let reply = reply(&newer, "10.0.0.1", Transport::Udp).unwrap();
        assert_eq!(u16::from(reply.metadata.response_code), 16, "BADVERS");
        assert_eq!(reply.edns.unwrap().version(), 0);
        let twice = [query("a.example.com.", 1, edns(1232)), newer[newer.len() - 11..].to_vec()].concat();
        let twice = [&twice[..10], &[0, 2], &twice[12..]].concat();
        let reply = super::tests::reply(&twice, "10.0.0.1", Transport::Udp).unwrap();
        assert_eq!(u16::from(reply.metadata.response_code), 1, "two OPT records");
    }

    #[test]
    fn names_compress_whatever_their_case() {
        let packet = query("eXaMpLe.CoM.", 2, edns(1232));
        let bytes = brain().reply(&packet, [10, 0, 0, 1].into(), Transport::Udp).unwrap();
        let text = bytes.to_ascii_lowercase();
        let spelt = text.windows(7).filter(|part| part == b"example").count();
        assert_eq!(spelt, 1, "once in the question, pointers from there on");
    }

    fn noise() -> impl Strategy<Value = Vec<u8>> {
        let seeds = prop::sample::select(vec![
            query("test.example.com.", 1, with_subnet("192.0.2.0/24")),
            query("a.b.wild.example.com.", 28, edns(512)),
            query("big.example.com.", 255, None),
        ]);
        let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
        let mutated = (seeds, edits, 0usize..90).prop_map(|(mut packet, edits, cut)| {
            edits.iter().for_each(|(at, octet)| {
                let at = at.index(packet.len());
                packet[at] = *octet;
            });
            packet.truncate(packet.len().max(cut) - cut / 3);
            packet
        });
        prop_oneof![4 => mutated, 1 => prop::collection::vec(any::<u8>(), 0..600)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn whatever_comes_in_what_goes_out_is_a_reply_to_it(packet in noise(), tcp in any::<bool>()) {
            thread_local!(static BRAIN: Brain = brain());
            let transport = if tcp { Transport::Tcp } else { Transport::Udp };
            let out = BRAIN.with(|brain| brain.reply(&packet, [192, 0, 2, 1].into(), transport));
            let short = BRAIN.with(|brain| brain.truncated(&packet));
            for out in out.into_iter().chain(short) {
                prop_assert!(12 <= packet.len() && packet[2] & 0x80 == 0, "noise and replies get silence");
                prop_assert!(tcp || out.len() <= 1232);
                prop_assert_eq!(&out[..2], &packet[..2]);
                let reply = Message::from_vec(&out).expect("what we send can be read");
                prop_assert!(!reply.metadata.recursion_available);
                let records = reply.answers.len() + reply.authorities.len();
                let rcode = u16::from(reply.metadata.response_code);
                prop_assert!(records == 0 || matches!(rcode, 0 | 3), "{} with {} records", rcode, records);
                if 0 < records {
                    let mut decoder = BinDecoder::new(&packet);
                    Header::read(&mut decoder).unwrap();
                    let asked = Query::read(&mut decoder).expect("only what can be read is answered");
                    prop_assert_eq!(&[asked], reply.queries.as_slice());
                }
            }
        }
    }
}
