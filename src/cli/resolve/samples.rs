//! One prefix a line, PURE: the first of a line table that the whole table really gives to that line.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::api::vocab::Line;
use crate::domain::line_table::LineTable;
use crate::domain::names::FieldError;

/// From where a question is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The line it stands for, if any.
    pub line: Option<Line>,
    /// The network; none: the asker's own address.
    pub subnet: Option<IpNet>,
}

/// A sample of every line that `sources` (name and text) know, `default` first: somebody whom no row covers.
pub fn samples(sources: &[(&str, &str)]) -> Result<Vec<Sample>, FieldError> {
    let table = LineTable::parse(sources)?;
    let mut all = vec![Sample { line: Some(Line::Default), subnet: uncovered(&table) }];
    for line in Line::ALL.into_iter().filter(|line| *line != Line::Default) {
        let mut rows =
            sources.iter().flat_map(|(_, text)| text.lines()).filter_map(|row| prefix_of(row, line));
        // A longer prefix of another line may begin where this one begins: then it is no sample of this line.
        let good = rows.find(|net| table.line_of(net.network()).line == Some(line));
        all.extend(good.map(|subnet| Sample { line: Some(line), subnet: Some(short(subnet)) }));
    }
    Ok(all)
}

fn prefix_of(row: &str, line: Line) -> Option<IpNet> {
    let mut words = row.split('#').next()?.split_whitespace();
    let (prefix, of) = (words.next()?, words.next()?);
    if of != line.as_str() {
        return None;
    }
    prefix.parse().ok().or_else(|| prefix.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Resolvers tell at most 24 bits of an IPv4 and 56 of an IPv6 asker (RFC 7871 section 11.1); so do we, where the
/// prefix is no longer than that anyway.
fn short(net: IpNet) -> IpNet {
    let most = if net.addr().is_ipv4() { 24 } else { 56 };
    IpNet::new(net.network(), net.prefix_len().max(most)).unwrap_or(net)
}

/// A documentation network that no row covers; none where all are: then the asker's own address must do.
fn uncovered(table: &LineTable) -> Option<IpNet> {
    let unused = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/24", "240.0.0.0/24"];
    let mut nets = unused.into_iter().filter_map(|text| text.parse::<IpNet>().ok());
    nets.find(|net| {
        // Neither the whole network nor its first address may be on a line: a server may judge by either.
        let matched = [table.line_of_subnet(net.addr(), net.prefix_len()), table.line_of(net.addr())];
        matched.iter().all(|matched| matches!(matched.line, None | Some(Line::Default)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_gets_a_prefix_that_the_table_gives_it() {
        let text = "192.0.2.0/24 CT\n198.51.100.0/25 CU\n198.51.100.0/24 CMCC # shadowed where it begins\n203.0.113.0/28 CMCC\n2001:db8::/32 CNEdu\n";
        let all = samples(&[("t", text)]).unwrap();
        let said: Vec<String> =
            all.iter().map(|sample| format!("{} {}", sample.line.unwrap(), sample.subnet.unwrap())).collect();
        assert_eq!(
            said,
            [
                "default 198.18.0.0/24",
                "CT 192.0.2.0/24",
                "CU 198.51.100.0/25",
                "CMCC 203.0.113.0/28",
                "CNEdu 2001:db8::/56",
            ]
        );
    }

    #[test]
    fn without_a_table_there_is_only_somebody_on_no_line() {
        let all = samples(&[]).unwrap();
        assert_eq!(
            all,
            [Sample { line: Some(Line::Default), subnet: Some("192.0.2.0/24".parse().unwrap()) }]
        );
    }
}
