//! `ports` and `expose`: short and long syntax, ranges, protocols, addresses of the host.

use crate::domain::app::compose::reading::Reading;
use crate::domain::app::finding::{Code, Effect};
use crate::domain::app::workload::{Port, Protocol, Range};
use crate::domain::app::yaml::Node;

/// The most ports of one container that siblings may be told of.
const MOST_EXPOSED: usize = 10_000;

/// Reads `ports` of a service.
pub fn published(node: &Node, reading: &mut Reading<'_>) -> Vec<Port> {
    let mut ports = Vec::new();
    for item in reading.items(node, "ports") {
        let port = match item.scalar() {
            Some(text) => {
                let port = short(text);
                if port.is_none() {
                    reading
                        .bad((item, "ports"), &format!("{text:?} is not [[address:]port:]port[/protocol]"));
                }
                port
            }
            None => long(item, reading),
        };
        let Some(port) = port else { continue };
        if let Some(address) = port.address.as_deref().filter(|address| !matches!(*address, "0.0.0.0" | "::"))
        {
            let effects = (Effect::Fine, Effect::Odd);
            reading.say_each(Code::HostAddress, effects, (item, "ports"), address);
        }
        ports.push(port);
    }
    ports
}

/// Reads `expose` of a service.
pub fn exposed(node: &Node, reading: &mut Reading<'_>) -> Vec<u16> {
    let mut ports = Vec::new();
    for (text, item) in reading.texts(node, "expose") {
        match protocol(text).and_then(|(text, _)| range(text)) {
            Some(range) if ports.len() + usize::from(range.last - range.first) < MOST_EXPOSED => {
                ports.extend(range.first..=range.last);
            }
            Some(_) => {
                reading.bad((item, "expose"), &format!("more than {MOST_EXPOSED} ports"));
                break;
            }
            None => reading.bad((item, "expose"), &format!("{text:?} is not a port")),
        }
    }
    ports
}

fn protocol(text: &str) -> Option<(&str, Protocol)> {
    match text.split_once('/') {
        None => Some((text, Protocol::Tcp)),
        Some((text, name)) => Some((text, named(name)?)),
    }
}

fn named(name: &str) -> Option<Protocol> {
    match name.to_ascii_lowercase().as_str() {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "sctp" => Some(Protocol::Sctp),
        _ => None,
    }
}

fn range(text: &str) -> Option<Range> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
    let range = Range { first: port(first)?, last: port(last)? };
    (range.first <= range.last).then_some(range)
}

/// `[[address:]host:]container[/protocol]`.
fn short(text: &str) -> Option<Port> {
    let (text, protocol) = protocol(text)?;
    let (rest, container) = text.rsplit_once(':').map_or((None, text), |(rest, last)| (Some(rest), last));
    let container = range(container)?;
    let (address, host) = match rest {
        None => (None, None),
        Some(rest) => match rest.rsplit_once(':') {
            None => (None, Some(rest)),
            Some((address, host)) => (Some(address), Some(host)),
        },
    };
    let address = address.map(|address| address.trim_matches(['[', ']']));
    if address.is_some_and(|address| address.parse::<std::net::IpAddr>().is_err()) {
        return None;
    }
    // `:container` leaves the host's port to the engine.
    let host = match host {
        None | Some("") => None,
        Some(host) => Some(range(host)?),
    };
    fits(Port { host, container, protocol, address: address.map(str::to_owned) })
}

/// A host's range stands for as many ports of the container, or is what one port may be chosen from.
fn fits(port: Port) -> Option<Port> {
    let width = |range: Range| range.last - range.first;
    let fits = port.host.is_none_or(|host| {
        width(host) == width(port.container) || port.container.first == port.container.last
    });
    fits.then_some(port)
}

fn long(item: &Node, reading: &mut Reading<'_>) -> Option<Port> {
    for (key, value) in item.entries() {
        let known = ["target", "published", "protocol", "host_ip", "mode", "name", "app_protocol"];
        if !known.contains(&key.as_str()) {
            reading.unused(None, value, &format!("ports.{key}"));
        }
    }
    let Some(container) = reading.parsed(item, ("ports.target", "a port"), range) else {
        if item.get("target").is_none() {
            reading.bad((item, "ports"), "target is missing");
        }
        return None;
    };
    let port = Port {
        host: reading.parsed(item, ("ports.published", "a port or a range"), range),
        container,
        protocol: reading.parsed(item, ("ports.protocol", "tcp, udp or sctp"), named).unwrap_or_default(),
        address: reading.text(item, "host_ip").map(str::to_owned),
    };
    fits(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let port = short(text)?;
        let range = |range: Range| format!("{}-{}", range.first, range.last);
        Some(format!(
            "{} {} {} {:?}",
            port.address.as_deref().unwrap_or("*"),
            port.host.map(range).unwrap_or_default(),
            range(port.container),
            port.protocol
        ))
    }

    #[test]
    fn the_short_syntax_is_read() {
        let cases = [
            ("80", Some("*  80-80 Tcp")),
            ("8080:80", Some("* 8080-8080 80-80 Tcp")),
            ("53:53/udp", Some("* 53-53 53-53 Udp")),
            ("127.0.0.1:53:53", Some("127.0.0.1 53-53 53-53 Tcp")),
            ("127.0.0.1::53", Some("127.0.0.1  53-53 Tcp")),
            ("[::1]:53:53/udp", Some("::1 53-53 53-53 Udp")),
            ("52000-52100:52000-52100/udp", Some("* 52000-52100 52000-52100 Udp")),
            ("9000-9010:80", Some("* 9000-9010 80-80 Tcp")),
            ("9000-9001:80-90", None),
            (":80", Some("*  80-80 Tcp")),
            ("", None),
            ("80:", None),
            ("0:80", None),
            ("65536", None),
            ("80/icmp", None),
            ("90-80", None),
            ("host:80:80", None),
        ];
        for (text, expect) in cases {
            assert_eq!(shown(text).as_deref(), expect, "{text}");
        }
    }
}
