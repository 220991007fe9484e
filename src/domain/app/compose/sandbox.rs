//! What a service wants of its host beyond its own container: rights, namespaces, devices, kernel settings, addresses.

use std::collections::BTreeMap;

use crate::domain::app::compose::keys::DEFAULT_CAPABILITIES;
use crate::domain::app::compose::reading::Reading;
use crate::domain::app::compose::service;
use crate::domain::app::finding::{Code, Effect, Right};
use crate::domain::app::workload::{Network, Sandbox};
use crate::domain::app::yaml::{Node, Value};

/// Reads what the service may, and says what not every template may have.
pub fn read(node: &Node, reading: &mut Reading<'_>) -> Sandbox {
    let name = reading.service.clone().unwrap_or_default();
    let privileged = reading.flag(node, "privileged");
    if privileged {
        let needs = Effect::Needs(Right::Privileged);
        reading.say(Code::Privileged, needs, (node.get("privileged").unwrap_or(node), "privileged"), &name);
    }
    if reading.flag(node, "use_api_socket") {
        let effects = (Effect::Needs(Right::DockerSocket), Effect::Cannot);
        reading.say_each(Code::DockerSocket, effects, (node, "use_api_socket"), "use_api_socket");
    }
    let capability = |text: &str| text.to_ascii_uppercase().trim_start_matches("CAP_").to_owned();
    let namespaces = namespaces(node, reading);
    let mut cap_add = Vec::new();
    for (text, item) in reading.texts(node, "cap_add") {
        let capability = capability(text);
        if !DEFAULT_CAPABILITIES.contains(&capability.as_str()) {
            reading.say(Code::Capability, Effect::Needs(Right::Capabilities), (item, "cap_add"), &capability);
        }
        cap_add.push(capability);
    }
    let cap_drop = reading.texts(node, "cap_drop").into_iter().map(|(text, _)| capability(text)).collect();
    let devices = devices(node, reading);
    let mut sysctls = BTreeMap::new();
    for (name, value, item) in reading.pairs(node, "sysctls", &['=']) {
        reading.say(Code::Sysctl, Effect::Needs(Right::Sysctls), (item, "sysctls"), &name);
        sysctls.insert(name, value.unwrap_or_default().to_owned());
    }
    Sandbox {
        privileged,
        read_only: reading.flag(node, "read_only"),
        cap_add,
        cap_drop,
        security_opt: security(node, reading),
        sysctls,
        ulimits: ulimits(node, reading),
        devices,
        group_add: service::listed(node, "group_add", reading),
        namespaces,
        init: reading.flag(node, "init"),
        tty: reading.flag(node, "tty"),
        stdin_open: reading.flag(node, "stdin_open"),
    }
}

fn devices(node: &Node, reading: &mut Reading<'_>) -> Vec<(String, String, String)> {
    let mut devices = Vec::new();
    for item in reading.items(node, "devices") {
        let field = |key: &str| item.get(key).and_then(Node::scalar);
        let (host, inside, rights) = match item.scalar() {
            Some(text) => {
                let mut parts = text.split(':');
                (parts.next(), parts.next(), parts.next())
            }
            None => (field("source"), field("target"), field("permissions")),
        };
        let host = host.unwrap_or_default();
        let effects = (Effect::Needs(Right::Devices), Effect::Cannot);
        reading.say_each(Code::Device, effects, (item, "devices"), host);
        let (inside, rights) = (inside.unwrap_or(host), rights.unwrap_or("rwm"));
        devices.push((host.to_owned(), inside.to_owned(), rights.to_owned()));
    }
    devices
}

fn namespaces(node: &Node, reading: &mut Reading<'_>) -> BTreeMap<String, String> {
    let mut modes = BTreeMap::new();
    for (key, what) in [
        ("pid", "processes"),
        ("ipc", "IPC"),
        ("uts", "name"),
        ("userns_mode", "users"),
        ("cgroup", "control groups"),
    ] {
        let Some(mode) = reading.text(node, key) else { continue };
        let at = (node.get(key).unwrap_or(node), key);
        if mode == "host" {
            let effects = (Effect::Needs(Right::HostNamespaces), Effect::Cannot);
            reading.say_each(Code::HostNamespace, effects, at, what);
        } else if mode.starts_with("container:") {
            reading.say(Code::OtherContainer, Effect::Cannot, at, mode);
        }
        modes.insert(key.to_owned(), mode.to_owned());
    }
    modes
}

/// Reads `network_mode`: the service whose network this one shares, and where its own is.
pub fn network_mode(node: &Node, reading: &mut Reading<'_>) -> (Option<String>, Network) {
    let Some(mode) = reading.text(node, "network_mode") else { return (None, Network::Own) };
    let at = (node.get("network_mode").unwrap_or(node), "network_mode");
    match mode.split_once(':') {
        Some(("service", name)) => return (Some(name.to_owned()), Network::Own),
        Some(("container", _)) => reading.say(Code::OtherContainer, Effect::Cannot, at, mode),
        _ => match mode {
            "host" => {
                let name = reading.service.clone().unwrap_or_default();
                let effects = (Effect::Needs(Right::HostNetwork), Effect::Cannot);
                reading.say_each(Code::HostNetwork, effects, at, &name);
                return (None, Network::Host);
            }
            "none" => return (None, Network::None),
            // The engine's own bridge knows no names: the application's network is what is meant.
            "bridge" | "default" => reading.say(Code::LeftOut, Effect::Note, at, "network_mode"),
            _ => reading.say(Code::NotHonoured, Effect::Odd, at, "network_mode"),
        },
    }
    (None, Network::Own)
}

fn security(node: &Node, reading: &mut Reading<'_>) -> Vec<String> {
    let mut options = Vec::new();
    for (text, item) in reading.texts(node, "security_opt") {
        let text = if text.contains(':') { text.to_owned() } else { text.replacen('=', ":", 1) };
        options.push(text.clone());
        let at = (item, "security_opt");
        match text.split_once(':').unwrap_or((&text, "")) {
            ("no-new-privileges", _) => {}
            ("seccomp" | "apparmor" | "systempaths", "unconfined") | ("label", "disable") => {
                reading.say(Code::Unconfined, Effect::Needs(Right::Unconfined), at, &text);
            }
            ("seccomp", _) => reading.say(Code::NotHonoured, Effect::Odd, at, &text),
            _ => reading.say_each(Code::NotHonoured, (Effect::Fine, Effect::Odd), at, &text),
        }
    }
    options
}

/// Soft and hard limits: one number for both, or each.
fn ulimits(node: &Node, reading: &mut Reading<'_>) -> BTreeMap<String, (i64, i64)> {
    let mut limits = BTreeMap::new();
    let Some(ulimits) = node.get("ulimits") else { return limits };
    for (name, value) in ulimits.entries() {
        let number = |node: &Node| node.scalar().and_then(|text| text.parse::<i64>().ok());
        let bounds = match &value.value {
            Value::Map(_) => (value.get("soft").and_then(number), value.get("hard").and_then(number)),
            _ => (number(value), number(value)),
        };
        match bounds {
            (Some(soft), Some(hard)) => drop(limits.insert(name.clone(), (soft, hard))),
            _ => reading.bad((value, "ulimits"), &format!("{name} must be a number, or soft and hard")),
        }
    }
    // A cluster's nodes set them, and most set them high enough.
    reading.say_each(Code::LeftOut, (Effect::Fine, Effect::Note), (ulimits, "ulimits"), "ulimits");
    limits
}

/// `extra_hosts`: names with their addresses.
pub fn hosts(node: &Node, reading: &mut Reading<'_>) -> Vec<(String, String)> {
    let mut hosts = Vec::new();
    for (name, address, item) in reading.pairs(node, "extra_hosts", &[':', '=']) {
        let Some(address) = address else {
            reading.bad((item, "extra_hosts"), &format!("{name:?} lacks its address"));
            continue;
        };
        if address == "host-gateway" {
            let effects = (Effect::Fine, Effect::Odd);
            reading.say_each(Code::HostGateway, effects, (item, "extra_hosts"), &name);
        }
        hosts.push((name, address.trim_matches(['[', ']']).to_owned()));
    }
    hosts
}
