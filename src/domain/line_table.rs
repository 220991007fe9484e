//! Which line an address asks from: a table of prefixes, longest match. It only reads text that others fetched.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::{Prefix, PrefixMap};

use crate::api::vocab::Line;
use crate::domain::names::FieldError;

/// Rows that all sources together may have; beyond it the text is surely not a line table.
pub const MAX_ROWS: usize = 1_000_000;
/// Octets that all sources together may have.
pub const MAX_OCTETS: usize = 64 << 20;

/// Prefixes of both families and their lines.
#[derive(Debug, Clone, Default)]
pub struct LineTable {
    v4: PrefixMap<Ipv4Net, Line>,
    v6: PrefixMap<Ipv6Net, Line>,
}

/// The line of an asker, and for whom else that answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    /// The line; `None` where no prefix covers the asker, who then gets `default`.
    pub line: Option<Line>,
    /// The answer holds for every asker who shares this many leading bits, which is what the scope of a client subnet
    /// (RFC 7871) tells caches. Never more than the length that was asked with.
    pub prefix_len: u8,
}

impl Matched {
    /// The line whose records the asker gets.
    pub fn line_or_default(self) -> Line {
        self.line.unwrap_or(Line::Default)
    }
}

impl LineTable {
    /// Reads `(name, text)` sources: a row is `CIDR LINE`, `#` begins a comment. The refusal names source and row.
    pub fn parse(sources: &[(&str, &str)]) -> Result<Self, FieldError> {
        Self::parse_at_most(sources, MAX_ROWS, MAX_OCTETS)
    }

    fn parse_at_most(sources: &[(&str, &str)], rows: usize, most: usize) -> Result<Self, FieldError> {
        let octets: usize = sources.iter().map(|(_, text)| text.len()).sum();
        if most < octets {
            let why = format!("has {octets} octets, at most {most} are allowed");
            return Err(FieldError::new("line table", why));
        }
        let mut table = Self::default();
        for (name, text) in sources {
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            for (index, row) in text.lines().enumerate() {
                let at = |field: &str| format!("{name} row {} {field}", index + 1);
                let row = row.split('#').next().unwrap_or_default();
                let mut words = row.split_whitespace();
                let Some(cidr) = words.next() else { continue };
                let Some(line) = words.next() else {
                    let why = format!("is missing: write e.g. \"{cidr} CT\"");
                    return Err(FieldError::new(at("line"), why));
                };
                if let Some(extra) = words.next() {
                    let why = format!("{extra:?} is one word too many: a row is \"CIDR LINE\"");
                    return Err(FieldError::new(at("line"), why));
                }
                let prefix = parse_prefix(cidr).map_err(|why| FieldError::new(at("prefix"), why))?;
                let line: Line = line.parse().map_err(|err| FieldError::new(at("line"), format!("{err}")))?;
                table.add(prefix, line).map_err(|why| FieldError::new(at("prefix"), why))?;
                if rows < table.len() {
                    let why = format!("is beyond the {rows} prefixes that are allowed");
                    return Err(FieldError::new(at("prefix"), why));
                }
            }
        }
        Ok(table)
    }

    /// Prefixes in it.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether it has no prefix, so that everyone is on `default`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The line of one address.
    pub fn line_of(&self, addr: IpAddr) -> Matched {
        self.line_of_subnet(addr, if addr.is_ipv4() { 32 } else { 128 })
    }

    /// The line of a subnet of `prefix_len` bits, as a resolver tells it. Where the table divides the subnet further,
    /// it gets the line of what covers it whole.
    pub fn line_of_subnet(&self, addr: IpAddr, prefix_len: u8) -> Matched {
        match addr {
            IpAddr::V4(addr) => find(&self.v4, |len| net4(addr, len), prefix_len.min(32)),
            IpAddr::V6(addr) => find(&self.v6, |len| net6(addr, len), prefix_len.min(128)),
        }
    }

    /// A network whose askers are on `line`, to ask on its behalf: for `default` one that no prefix covers, if there is
    /// no row for it. `None` where the table has none.
    pub fn sample(&self, line: Line) -> Option<IpNet> {
        let v4 = self.v4.iter().map(|(net, line)| (IpNet::V4(*net), *line));
        let rows: Vec<(IpNet, Line)> =
            v4.chain(self.v6.iter().map(|(net, line)| (IpNet::V6(*net), *line))).collect();
        if let Some((net, _)) = rows.iter().find(|(_, of)| *of == line) {
            return Some(*net);
        }
        // Right behind some prefix there is room, unless the table covers everything.
        let behind = rows.iter().filter_map(|(net, _)| next(net.broadcast()));
        let first = IpAddr::V4(Ipv4Addr::new(1, 0, 0, 0));
        let free = [first].into_iter().chain(behind).find(|addr| self.line_of(*addr).line.is_none());
        free.filter(|_| line == Line::Default).map(IpNet::from)
    }

    fn add(&mut self, prefix: IpNet, line: Line) -> Result<(), String> {
        let before = match prefix {
            IpNet::V4(net) => self.v4.insert(net, line),
            IpNet::V6(net) => self.v6.insert(net, line),
        };
        match before {
            Some(other) if other != line => {
                Err(format!("{prefix} is on line {other} already and can't be on {line} too: keep one row"))
            }
            _ => Ok(()),
        }
    }
}

/// The longest match of `net(asked)`, and the shortest prefix of it within which nothing more specific lies.
fn find<P: Prefix>(map: &PrefixMap<P, Line>, net: impl Fn(u8) -> P, asked: u8) -> Matched {
    let found = map.get_lpm(&net(asked));
    let line = found.map(|(_, line)| *line);
    let matched = found.map(|(prefix, _)| prefix.prefix_len());
    // Shorter prefixes only ever contain more, so the border can be found by halving.
    let divided = |len: u8| {
        let mut within = map.children(&net(len)).map(|(prefix, _)| prefix.prefix_len());
        within.any(|inner| matched.is_none_or(|matched| matched < inner))
    };
    let (mut low, mut high) = (matched.unwrap_or(0), asked);
    while low < high {
        let middle = low + (high - low) / 2;
        if divided(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Matched { line, prefix_len: low }
}

fn next(addr: IpAddr) -> Option<IpAddr> {
    match addr {
        IpAddr::V4(addr) => addr.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(addr) => addr.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

fn net4(addr: Ipv4Addr, len: u8) -> Ipv4Net {
    Ipv4Net::new(addr, len).map_or_else(|_| Ipv4Net::from(addr), |net| net.trunc())
}

fn net6(addr: Ipv6Addr, len: u8) -> Ipv6Net {
    Ipv6Net::new(addr, len).map_or_else(|_| Ipv6Net::from(addr), |net| net.trunc())
}

fn parse_prefix(text: &str) -> Result<IpNet, String> {
    let net: IpNet = match text.parse() {
        Ok(net) => net,
        Err(_) if text.parse::<IpAddr>().is_ok() => {
            return Err(format!(
                "{text} has no prefix length: write {text}/{}",
                if text.contains(':') { 128 } else { 32 }
            ));
        }
        Err(_) => return Err(format!("{text:?} is not a CIDR: write e.g. 192.0.2.0/24 or 2001:db8::/32")),
    };
    if net.addr() != net.network() {
        return Err(format!("{text} has bits set beyond its length: the network is {}", net.trunc()));
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, asks: &[(&str, &str)]) {
        let table = LineTable::parse(&[("lines.txt", text)]).unwrap();
        for (asker, expect) in asks {
            let (addr, len) = match asker.split_once('/') {
                Some((addr, len)) => (addr.parse::<IpAddr>().unwrap(), len.parse().unwrap()),
                None => (asker.parse::<IpAddr>().unwrap(), 128),
            };
            let got = table.line_of_subnet(addr, len);
            let line = got.line.map_or("-", Line::as_str);
            assert_eq!(&format!("{line}/{}", got.prefix_len), expect, "{asker}");
        }
    }

    #[test]
    fn the_longest_prefix_wins_and_the_scope_separates_what_lies_below() {
        let text = "\u{feff}# comment\n\n10.0.0.0/8 CT # inline\n10.64.0.0/10\tCU\r\n10.64.1.0/24 CMCC\n2001:db8::/32 CNEdu\n";
        check(
            text,
            &[
                ("10.64.1.7", "CMCC/24"),
                ("10.64.2.7", "CU/23"),
                ("10.65.0.1", "CU/16"),
                ("10.0.0.1", "CT/10"),
                ("10.128.0.1", "CT/9"),
                ("11.0.0.1", "-/8"),
                ("192.0.2.1", "-/1"),
                ("10.64.0.0/16", "CU/16"),
                ("10.0.0.0/8", "CT/8"),
                ("8.0.0.0/5", "-/5"),
                ("0.0.0.0/0", "-/0"),
                ("2001:db8:ffff::1", "CNEdu/32"),
                ("2001:db9::", "-/32"),
                ("::1", "-/3"),
            ],
        );
        check("", &[("192.0.2.1", "-/0"), ("::1", "-/0")]);
        check("0.0.0.0/0 OverSea", &[("192.0.2.1", "OverSea/0"), ("::1", "-/0")]);
    }

    #[test]
    fn a_bad_row_is_refused_by_source_row_and_field() {
        let cases = [
            ("\n10.0.0.1/8 CT", "lines.txt row 2 prefix: 10.0.0.1/8 has bits set", "10.0.0.0/8"),
            ("10.0.0.0/33 CT", "lines.txt row 1 prefix: ", "is not a CIDR"),
            ("10.0.0.0 CT", "lines.txt row 1 prefix: ", "10.0.0.0/32"),
            ("10.0.0.0/8 telecom", "lines.txt row 1 line: ", "unknown line"),
            ("10.0.0.0/8", "lines.txt row 1 line: is missing", "10.0.0.0/8 CT"),
            ("10.0.0.0/8 CT CU", "lines.txt row 1 line: ", "too many"),
            ("10.0.0.0/8 CT\n10.0.0.0/8 CU", "lines.txt row 2 prefix: ", "CT already"),
        ];
        for (text, starts, contains) in cases {
            let err = LineTable::parse(&[("lines.txt", text)]).unwrap_err().to_string();
            assert!(err.starts_with(starts) && err.contains(contains), "{text:?}: {err}");
        }
        let twice = LineTable::parse(&[("a", "10.0.0.0/8 CT"), ("b", "10.0.0.0/8 CT")]).unwrap();
        assert_eq!(twice.len(), 1, "the same row twice says nothing new");
        let err = LineTable::parse(&[("a", "10.0.0.0/8 CT"), ("b", "10.0.0.0/8 CU")]).unwrap_err();
        assert!(err.field.starts_with("b row 1"), "{err}");
    }

    #[test]
    fn the_example_shows_every_line_in_both_families() {
        let text = include_str!("../../manifests/examples/lines.txt");
        let table = LineTable::parse(&[("lines.txt", text)]).unwrap();
        let v4 = ["203.0.113.10", "192.0.2.1", "192.0.2.65", "192.0.2.129", "192.0.2.193", "198.51.100.1"];
        let v6 = [
            "2001:db8:ffff::1",
            "2001:db8:1::1",
            "2001:db8:2::1",
            "2001:db8:3::1",
            "2001:db8:4::1",
            "2001:db8:5::1",
        ];
        for (at, line) in Line::ALL.into_iter().enumerate() {
            for asker in [v4[at], v6[at]] {
                let found = table.line_of(asker.parse().unwrap()).line.unwrap_or(Line::Default);
                assert_eq!(found, line, "{asker}");
            }
            let sample = table.sample(line).unwrap();
            let found = table.line_of_subnet(sample.addr(), sample.prefix_len());
            assert_eq!(found.line_or_default(), line, "{sample}");
        }
    }

    #[test]
    fn a_table_has_bounds() {
        let text = "10.0.0.0/8 CT\n11.0.0.0/8 CT\n";
        assert!(LineTable::parse_at_most(&[("x", text)], 2, text.len()).is_ok());
        let err = LineTable::parse_at_most(&[("x", text)], 1, text.len()).unwrap_err();
        assert_eq!(err.to_string(), "x row 2 prefix: is beyond the 1 prefixes that are allowed");
        let err = LineTable::parse_at_most(&[("x", text), ("y", text)], 9, 30).unwrap_err();
        assert!(err.to_string().contains("56 octets, at most 30"), "{err}");
    }

    #[test]
    fn a_table_that_covers_everything_has_no_sample_of_default() {
        let table = LineTable::parse(&[("x", "0.0.0.0/0 CT\n::/0 CU")]).unwrap();
        assert_eq!(table.sample(Line::Default), None);
        assert_eq!(table.sample(Line::CMCC), None);
        assert_eq!(LineTable::default().sample(Line::Default), Some("1.0.0.0/32".parse().unwrap()));
    }

    /// Few bits vary, so that generated prefixes nest and askers hit them.
    fn tables() -> impl Strategy<Value = Vec<(Ipv4Net, Line)>> {
        let row = (any::<u8>(), 0u8..=8, 0usize..6)
            .prop_map(|(bits, len, line)| (net4(Ipv4Addr::new(bits, 0, 0, 0), len), Line::ALL[line]));
        prop::collection::vec(row, 0..12)
    }

    fn build(rows: &[(Ipv4Net, Line)]) -> LineTable {
        let mut table = LineTable::default();
        for (net, line) in rows {
            table.v4.insert(*net, *line);
        }
        table
    }

    fn naive(rows: &[(Ipv4Net, Line)], asked: Ipv4Net) -> Option<Line> {
        let covering = rows.iter().enumerate().filter(|(_, (net, _))| net.contains(&asked));
        covering.max_by_key(|(index, (net, _))| (net.prefix_len(), *index)).map(|(_, (_, line))| *line)
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_a_naive_scan(rows in tables(), asker in any::<u8>(), len in 0u8..=10) {
            let asked = net4(Ipv4Addr::new(asker, 0, 0, 0), len);
            let got = build(&rows).line_of_subnet(asked.addr().into(), len);
            prop_assert_eq!(got.line, naive(&rows, asked));
            prop_assert!(got.prefix_len <= len);
        }

        #[test]
        fn a_cache_never_serves_one_lines_answer_to_another(
            rows in tables(), a in any::<u8>(), b in any::<u8>(), len in 0u8..=10,
        ) {
            let table = build(&rows);
            let of = |bits: u8| table.line_of_subnet(net4(Ipv4Addr::new(bits, 0, 0, 0), len).addr().into(), len);
            let first = of(a);
            let shared = net4(Ipv4Addr::new(a, 0, 0, 0), first.prefix_len);
            if shared.contains(&Ipv4Addr::new(b, 0, 0, 0)) {
                prop_assert_eq!(first.line, of(b).line, "within {}", shared);
            }
        }

        #[test]
        fn whole_addresses_within_a_scope_share_their_line(rows in tables(), a in any::<u8>(), b in any::<u8>()) {
            let table = build(&rows);
            let of = |bits: u8| table.line_of(Ipv4Addr::new(bits, 0, 0, 0).into());
            let first = of(a);
            if net4(Ipv4Addr::new(a, 0, 0, 0), first.prefix_len).contains(&Ipv4Addr::new(b, 0, 0, 0)) {
                prop_assert_eq!(first.line, of(b).line);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-fA-F:./# \nCTU]{0,80}") {
            let _read = LineTable::parse(&[("x", &text)]);
        }
    }
}
