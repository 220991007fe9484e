//! Addresses for an application's network where the engine has given away all of its own: as its makers ship it, it has
//! some thirty networks' worth, and every application has a network. Only asked then: until then the engine chooses.

use std::net::Ipv4Addr;

use bollard::errors::Error;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptions;
use ipnet::Ipv4Net;

use super::engine::Engine;
use super::error::told;
use crate::domain::retry::Class;
use crate::runtimes::{Kind, RuntimeError};

/// Where the networks come from, and how large one is: room for sixty containers of an application.
const POOL: (Ipv4Addr, u8, u8) = (Ipv4Addr::new(10, 200, 0, 0), 13, 26);
/// So often somebody else may take the network that was chosen.
const TRIES: u32 = 8;

/// Whether the engine has no addresses left for a network.
pub fn are_used_up(error: &Error) -> bool {
    says(error, &["non-overlapping ipv4 address pool", "predefined address pools have been fully subnetted"])
}

/// Whether a network was chosen that is another's.
fn is_anothers(error: &Error) -> bool {
    says(error, &["pool overlaps with other one"])
}

fn says(error: &Error, words: &[&str]) -> bool {
    let Error::DockerResponseServerError { message, .. } = error else { return false };
    let lower = message.to_lowercase();
    words.iter().any(|word| lower.contains(word))
}

/// Creates a network with addresses that neither the engine nor the host knows yet.
pub async fn create(engine: &Engine, wanted: &NetworkCreateRequest) -> Result<(), RuntimeError> {
    let docker = &engine.docker;
    let what = format!("create network {}", wanted.name);
    let told = |error| told(&what, &error);
    // A host whose routes can't be read has none that we would know of.
    let routes = tokio::fs::read_to_string(&engine.routes).await.unwrap_or_default();
    let mut taken = routed(&routes);
    for _ in 0..TRIES {
        let networks = docker.list_networks(None::<ListNetworksOptions>).await.map_err(told)?;
        let configs = networks.into_iter().filter_map(|network| network.ipam?.config).flatten();
        taken.extend(configs.filter_map(|config| config.subnet?.parse::<Ipv4Net>().ok()));
        let Some(free) = free(&taken) else { break };
        let config = IpamConfig { subnet: Some(free.to_string()), ..IpamConfig::default() };
        let ipam = Ipam { config: Some(vec![config]), ..Ipam::default() };
        match docker.create_network(NetworkCreateRequest { ipam: Some(ipam), ..wanted.clone() }).await {
            Err(error) if is_anothers(&error) => taken.push(free),
            // Another install made it meanwhile.
            Err(error) if super::error::status(&error) == Some(409) => return Ok(()),
            other => return other.map(drop).map_err(told),
        }
    }
    let why = "the engine has no addresses left for a network, and neither have we: give it more by default-address-pools";
    Err(RuntimeError::new(Kind::Other, Class::Transient, format!("{what}: {why}")))
}

/// The first network of ours that touches none of these.
fn free(taken: &[Ipv4Net]) -> Option<Ipv4Net> {
    let (first, all, one) = POOL;
    let touches = |one: &Ipv4Net, other: &Ipv4Net| one.contains(other) || other.contains(one);
    let mut ours = Ipv4Net::new(first, all).ok()?.subnets(one).ok()?;
    ours.find(|net| !taken.iter().any(|taken| touches(net, taken)))
}

/// Networks that the host has routes to and addresses of its own, from the kernel's table, where an address is followed by
/// the lengths of its prefixes; the way to everywhere is none.
fn routed(table: &str) -> Vec<Ipv4Net> {
    let (mut all, mut address) = (Vec::new(), None);
    for line in table.lines().map(str::trim_start) {
        if let Some(text) = line.strip_prefix("|-- ") {
            address = text.trim().parse::<Ipv4Addr>().ok();
        } else if let (Some(address), Some(text)) = (address, line.strip_prefix('/')) {
            let length = text.split_whitespace().next().and_then(|length| length.parse().ok());
            all.extend(
                length.filter(|length| *length != 0).and_then(|length| Ipv4Net::new(address, length).ok()),
            );
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<Ipv4Net> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_first_network_that_touches_nobody_is_chosen() {
        let chosen = |taken: &[&str]| free(&nets(taken)).map(|net| net.to_string());
        assert_eq!(chosen(&["172.17.0.0/16"]).as_deref(), Some("10.200.0.0/26"));
        assert_eq!(chosen(&["10.200.0.0/26", "10.200.0.64/27"]).as_deref(), Some("10.200.0.128/26"));
        assert_eq!(chosen(&["10.200.0.0/16"]).as_deref(), Some("10.201.0.0/26"));
        assert_eq!(chosen(&["10.0.0.0/8"]), None);
    }

    #[test]
    fn routes_and_own_addresses_are_read_from_the_kernels_table() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 4\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
            \x20    |-- 10.200.0.1\n        /32 host LOCAL\n     +-- 192.168.0.0/24 2 0 2\n\
            \x20       |-- 192.168.0.0\n           /32 link BROADCAST\n           /24 link UNICAST\nbroken\n";
        let found = routed(table);
        assert_eq!(found, nets(&["10.200.0.1/32", "192.168.0.0/32", "192.168.0.0/24"]));
        assert_eq!(free(&found), Some(nets(&["10.200.0.64/26"])[0]));
    }

    #[test]
    fn the_engines_words_are_known_old_and_new() {
        let error = |message: &str| Error::DockerResponseServerError {
            status_code: 404,
            message: message.to_owned(),
        };
        let old = "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network";
        assert!(are_used_up(&error(old)));
        assert!(are_used_up(&error("all predefined address pools have been fully subnetted")));
        assert!(!are_used_up(&error("Pool overlaps with other one on this address space")));
        assert!(is_anothers(&error("Pool overlaps with other one on this address space")));
    }
}
