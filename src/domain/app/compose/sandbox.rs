//! What a service wants of its host beyond its own container: rights, namespaces, devices, kernel settings, addresses.

use crate::domain::app::compose::keys::DEFAULT_CAPABILITIES;
use crate::domain::app::compose::reading::Reading;
use crate::domain::app::finding::{Code, Effect, Right};
use crate::domain::app::yaml::{Node, Value};

/// Says what the service wants that not every template may have.
pub fn look(node: &Node, reading: &mut Reading<'_>) {
    let name = reading.service.clone().unwrap_or_default();
    if reading.flag(node, "privileged") {
        let needs = Effect::Needs(Right::Privileged);
        reading.say(Code::Privileged, needs, (node.get("privileged").unwrap_or(node), "privileged"), &name);
    }
    if reading.flag(node, "use_api_socket") {
        let effects = (Effect::Needs(Right::DockerSocket), Effect::Cannot);
        reading.say_each(Code::DockerSocket, effects, (node, "use_api_socket"), "use_api_socket");
    }
    namespaces(node, reading);
    for (text, item) in reading.texts(node, "cap_add") {
        let capability = text.trim_start_matches("CAP_").to_ascii_uppercase();
        if !DEFAULT_CAPABILITIES.contains(&capability.as_str()) {
            reading.say(Code::Capability, Effect::Needs(Right::Capabilities), (item, "cap_add"), &capability);
        }
    }
    reading.texts(node, "cap_drop");
    for item in reading.items(node, "devices") {
        let device = item.scalar().or_else(|| item.get("source").and_then(Node::scalar)).unwrap_or_default();
        let device = device.split(':').next().unwrap_or(device);
        let effects = (Effect::Needs(Right::Devices), Effect::Cannot);
        reading.say_each(Code::Device, effects, (item, "devices"), device);
    }
    for (name, _, item) in reading.pairs(node, "sysctls", &['=']) {
        reading.say(Code::Sysctl, Effect::Needs(Right::Sysctls), (item, "sysctls"), &name);
    }
    if let Some(gpus) = node.get("gpus").filter(|gpus| !gpus.is_null()) {
        reading.say(Code::Gpu, Effect::Odd, (gpus, "gpus"), "gpu");
    }
    security(node, reading);
    limits(node, reading);
    hosts(node, reading);
}

fn namespaces(node: &Node, reading: &mut Reading<'_>) {
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
    }
}

/// Reads `network_mode`; answers the service whose network this one shares.
pub fn network_mode(node: &Node, reading: &mut Reading<'_>) -> Option<String> {
    let mode = reading.text(node, "network_mode")?;
    let at = (node.get("network_mode").unwrap_or(node), "network_mode");
    match mode.split_once(':') {
        Some(("service", name)) => return Some(name.to_owned()),
        Some(("container", _)) => reading.say(Code::OtherContainer, Effect::Cannot, at, mode),
        _ => match mode {
            "host" => {
                let name = reading.service.clone().unwrap_or_default();
                let effects = (Effect::Needs(Right::HostNetwork), Effect::Cannot);
                reading.say_each(Code::HostNetwork, effects, at, &name);
            }
            "none" => {}
            // The engine's own bridge knows no names: the application's network is what is meant.
            "bridge" | "default" => reading.say(Code::LeftOut, Effect::Note, at, "network_mode"),
            _ => reading.say(Code::NotHonoured, Effect::Odd, at, "network_mode"),
        },
    }
    None
}

fn security(node: &Node, reading: &mut Reading<'_>) {
    for (text, item) in reading.texts(node, "security_opt") {
        let text = text.replace('=', ":");
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
}

fn limits(node: &Node, reading: &mut Reading<'_>) {
    let Some(ulimits) = node.get("ulimits") else { return };
    for (name, value) in ulimits.entries() {
        let numbers: Vec<&Node> = match &value.value {
            Value::Map(entries) => entries.iter().map(|(_, node)| node).collect(),
            _ => vec![value],
        };
        if numbers.iter().any(|n| n.scalar().is_none_or(|text| text.parse::<i64>().is_err())) {
            reading.bad((value, "ulimits"), &format!("{name} must be a number, or soft and hard"));
        }
    }
    // A cluster's nodes set them, and most set them high enough.
    reading.say_each(Code::LeftOut, (Effect::Fine, Effect::Note), (ulimits, "ulimits"), "ulimits");
}

fn hosts(node: &Node, reading: &mut Reading<'_>) {
    for (name, address, item) in reading.pairs(node, "extra_hosts", &[':', '=']) {
        match address {
            None => reading.bad((item, "extra_hosts"), &format!("{name:?} lacks its address")),
            Some("host-gateway") => {
                let effects = (Effect::Fine, Effect::Odd);
                reading.say_each(Code::HostGateway, effects, (item, "extra_hosts"), &name);
            }
            Some(_) => {}
        }
    }
    for key in ["dns", "dns_search", "dns_opt", "group_add"] {
        reading.texts(node, key);
    }
}
