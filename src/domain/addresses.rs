//! Public addresses: which can be published, and what a set of answers agrees on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use crate::api::vocab::{Family, NetworkType};
use crate::domain::names::FieldError;

/// The family of an address.
pub fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

/// Why an address is of no use to a stranger; `None` where it can be published. Documentation prefixes pass: they
/// belong to nobody, and examples live of them.
pub fn unroutable(address: IpAddr) -> Option<&'static str> {
    let v4 = |a: std::net::Ipv4Addr| {
        let shared = a.octets()[0] == 100 && (64..128).contains(&a.octets()[1]);
        match () {
            () if a.is_unspecified() || a.octets()[0] == 0 => Some("unspecified"),
            () if a.is_loopback() => Some("loopback"),
            () if a.is_private() => Some("private (RFC 1918)"),
            () if shared => Some("shared by a carrier's NAT (RFC 6598)"),
            () if a.is_link_local() => Some("link-local"),
            () if a.is_multicast() || a.is_broadcast() || 240 <= a.octets()[0] => Some("not unicast"),
            () => None,
        }
    };
    match address {
        IpAddr::V4(a) => v4(a),
        IpAddr::V6(a) => match a.to_ipv4_mapped() {
            Some(_) => Some("an IPv4 address in IPv6 clothes: write it as IPv4"),
            None => unroutable_v6(a),
        },
    }
}

fn unroutable_v6(a: Ipv6Addr) -> Option<&'static str> {
    match () {
        () if a.is_unspecified() => Some("unspecified"),
        () if a.is_loopback() => Some("loopback"),
        () if a.is_unique_local() => Some("unique local (RFC 4193)"),
        () if a.is_unicast_link_local() => Some("link-local"),
        () if a.is_multicast() => Some("not unicast"),
        () => None,
    }
}

/// Reads addresses as written in `field`, and refuses what the node can't or mustn't publish.
pub fn parse(
    texts: &[String],
    network: NetworkType,
    allow_private: bool,
    field: &str,
) -> Result<BTreeMap<Family, BTreeSet<IpAddr>>, FieldError> {
    let mut all: BTreeMap<Family, BTreeSet<IpAddr>> = BTreeMap::new();
    for (index, text) in texts.iter().enumerate() {
        let at = format!("{field}[{index}]");
        let address: IpAddr =
            text.parse().map_err(|_| FieldError::new(&at, format!("{text:?} is not an IP address")))?;
        if !network.has(family(address)) {
            let why = format!("{text} is of the wrong family: spec.networkType is {network:?}");
            return Err(FieldError::new(&at, why));
        }
        if let Some(why) = unroutable(address).filter(|_| !allow_private) {
            let why = format!("{text} is {why}; set spec.addresses.allowPrivate to publish it all the same");
            return Err(FieldError::new(&at, why));
        }
        all.entry(family(address)).or_default().insert(address);
    }
    Ok(all)
}

/// The address on which at least `agreement` answers agree. Most voices win; a tie that reaches `agreement` twice is
/// disagreement, because either could be a proxy's.
pub fn agreed(answers: &[IpAddr], agreement: u32) -> Option<IpAddr> {
    let mut votes: BTreeMap<IpAddr, u32> = BTreeMap::new();
    for answer in answers {
        *votes.entry(*answer).or_default() += 1;
    }
    let most = votes.values().copied().max()?;
    let mut leaders = votes.into_iter().filter(|(_, count)| *count == most);
    let (address, count) = leaders.next()?;
    (leaders.next().is_none() && agreement <= count).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_cannot_reach_is_refused_unless_allowed() {
        let parse_one =
            |text: &str, network, allow| parse(&[text.to_owned()], network, allow, "spec.addresses.fixed");
        for text in
            ["10.1.2.3", "127.0.0.1", "100.64.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"]
        {
            let err = parse_one(text, NetworkType::IPV4, false).unwrap_err();
            assert_eq!(err.field, "spec.addresses.fixed[0]");
            assert!(err.why.contains("allowPrivate"), "{err}");
            assert!(parse_one(text, NetworkType::IPV4, true).is_ok());
        }
        for text in ["::1", "fd00::1", "fe80::1", "ff02::1", "::", "::ffff:10.0.0.1"] {
            assert!(parse_one(text, NetworkType::Both, false).is_err(), "{text}");
        }
        assert!(parse_one("203.0.113.7", NetworkType::IPV4, false).is_ok());
        assert!(parse_one("2001:db8::7", NetworkType::Both, false).is_ok());
        assert!(parse_one("2001:db8::7", NetworkType::IPV4, false).unwrap_err().why.contains("wrong family"));
        assert!(
            parse_one("203.0.113.256", NetworkType::IPV4, false)
                .unwrap_err()
                .why
                .contains("not an IP address")
        );
    }

    #[test]
    fn echo_services_must_agree() {
        let a: IpAddr = "203.0.113.1".parse().unwrap();
        let b: IpAddr = "203.0.113.2".parse().unwrap();
        assert_eq!(agreed(&[a], 1), Some(a));
        assert_eq!(agreed(&[a], 2), None);
        assert_eq!(agreed(&[a, b, a], 2), Some(a));
        assert_eq!(agreed(&[a, b], 1), None, "a tie is no agreement");
        assert_eq!(agreed(&[], 1), None);
    }
}
