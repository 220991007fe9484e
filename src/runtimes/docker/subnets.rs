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

/// Networks that the host has routes to, from the kernel's table; the way to everywhere is none.
fn routed(table: &str) -> Vec<Ipv4Net> {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // The kernel writes an address as a number of this machine.
        let address = |at: usize| {
            let number = u32::from_str_radix(words.get(at)?, 16).ok()?;
            Some(Ipv4Addr::from(number.to_ne_bytes()))
        };
        let (to, mask) = (address(1)?, address(7)?);
        Ipv4Net::with_netmask(to, mask).ok().filter(|net| net.prefix_len() != 0)
    };
    table.lines().skip(1).filter_map(row).collect()
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
    fn routes_are_read_from_the_kernels_table() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
            tun0\t0000C80A\t00000000\t0001\t0\t0\t0\t0000F8FF\t0\t0\t0\nbroken\n";
        let found = if cfg!(target_endian = "little") { routed(table) } else { return };
        assert_eq!(found, nets(&["192.168.0.0/24", "10.200.0.0/13"]));
        assert_eq!(free(&found), None);
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
