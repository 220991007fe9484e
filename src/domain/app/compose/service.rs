//! One service: every key of it, and what it comes to.

use std::collections::BTreeMap;

use crate::domain::app::compose::keys::{self, Shape, Use, known};
use crate::domain::app::compose::reading::Reading;
use crate::domain::app::compose::{Declared, contents, mounts, ports, process, resources, sandbox, values};
use crate::domain::app::finding::{Code, Effect};
use crate::domain::app::workload::{Dns, Service, Until, Wait};
use crate::domain::app::yaml::{Node, Value};

/// Reads the service `name`.
pub fn read(name: &str, node: &Node, declared: &Declared, reading: &mut Reading<'_>) -> Service {
    for (key, value) in node.entries() {
        match known(keys::SERVICE, key) {
            Some(Use::Full) => {}
            using => reading.unused(using, value, key),
        }
    }
    if !matches!(node.value, Value::Map(_)) {
        reading.bad((node, ""), "a service is a map");
    }
    let text = |key: &str, reading: &mut Reading<'_>| reading.text(node, key).map(str::to_owned);
    let sandbox = sandbox::read(node, reading);
    let (contents, binds) = contents::read(node, declared, reading);
    let mut mounts = mounts::read(node, declared, reading);
    mounts.extend(binds);
    let (health, check) = process::health(node, reading);
    let (joins, network) = sandbox::network_mode(node, reading);
    reading.pairs(node, "annotations", &['=']);
    Service {
        name: name.to_owned(),
        line: node.line,
        container: container(node, reading),
        image: image(name, node, reading),
        ports: ports::published(node, reading),
        inner_ports: ports::exposed(node, reading),
        mounts,
        waits: waits(node, reading),
        health,
        profiles: listed(node, "profiles", reading),
        joins,
        environment: process::environment(node, reading),
        command: process::line(node, "command", reading),
        entrypoint: process::line(node, "entrypoint", reading),
        user: process::user(node, reading),
        working_dir: text("working_dir", reading),
        hostname: text("hostname", reading),
        restart: process::restart(node, reading),
        check,
        limits: resources::read(node, reading),
        sandbox,
        contents,
        aliases: networks(node, declared, reading),
        extra_hosts: sandbox::hosts(node, reading),
        dns: Dns {
            servers: listed(node, "dns", reading),
            search: listed(node, "dns_search", reading),
            options: listed(node, "dns_opt", reading),
        },
        labels: mapped(node, "labels", reading),
        stop_signal: text("stop_signal", reading),
        stop_grace: reading.parsed(node, ("stop_grace_period", "a duration"), values::duration),
        network,
        logging: logging(node, reading),
        pull: process::pull(node, reading),
        platform: text("platform", reading),
        engine_only: engine_only(node),
    }
}

/// The texts under `key`.
pub fn listed(node: &Node, key: &str, reading: &mut Reading<'_>) -> Vec<String> {
    reading.texts(node, key).into_iter().map(|(text, _)| text.to_owned()).collect()
}

fn container(node: &Node, reading: &mut Reading<'_>) -> Option<String> {
    let name = reading.text(node, "container_name")?.to_owned();
    if !values::is_container_name(&name) {
        let at = node.get("container_name").unwrap_or(node);
        reading.bad((at, "container_name"), &format!("{name:?} is no name for a container"));
    }
    Some(name)
}

fn image(name: &str, node: &Node, reading: &mut Reading<'_>) -> Option<String> {
    let image = reading.text(node, "image").map(str::to_owned);
    if let Some(build) = node.get("build") {
        // With an image beside it, what would be built can be pulled.
        let effect = if image.is_some() { Effect::Odd } else { Effect::Cannot };
        reading.say(Code::Build, effect, (build, "build"), name);
    } else if image.is_none() {
        reading.say(Code::NoImage, Effect::Cannot, (node, "image"), name);
    }
    let image = image?;
    let at = node.get("image").unwrap_or(node);
    match values::image(&image) {
        None => reading.say(Code::BadImage, Effect::Cannot, (at, "image"), &image),
        Some(read) if read.digest.is_none() && read.tag.is_none_or(|tag| tag == "latest") => {
            reading.say(Code::FloatingTag, Effect::Note, (at, "image"), &image);
        }
        Some(_) => {}
    }
    Some(image)
}

/// Keys that only an engine knows, as the text that stands there: of a list an item a line, of a map `key=value`.
fn engine_only(node: &Node) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for (key, shape) in keys::ENGINE_ONLY {
        let lines: Vec<String> = match (shape, node.get(key).map(|node| &node.value)) {
            (Shape::Text | Shape::List, Some(Value::Scalar(text))) => vec![text.clone()],
            (Shape::List, Some(Value::List(items))) => {
                items.iter().filter_map(Node::scalar).map(str::to_owned).collect()
            }
            (Shape::Map, Some(Value::Map(entries))) => {
                let line = |(key, value): &(String, Node)| Some(format!("{key}={}", value.scalar()?));
                entries.iter().filter_map(line).collect()
            }
            _ => continue,
        };
        // A line is an entry: what holds a break of its own is nothing that an engine takes.
        let lines: Vec<String> =
            lines.into_iter().filter(|line| !line.is_empty() && !line.contains('\n')).collect();
        if !lines.is_empty() {
            kept.insert((*key).to_owned(), lines.join("\n"));
        }
    }
    kept
}

fn logging(node: &Node, reading: &mut Reading<'_>) -> Option<(String, BTreeMap<String, String>)> {
    let logging = node.get("logging").filter(|logging| !logging.is_null())?;
    let driver = reading.text(logging, "driver").unwrap_or_default().to_owned();
    let options = mapped(logging, "options", reading);
    (!driver.is_empty() || !options.is_empty()).then_some((driver, options))
}

/// The pairs under `key` as a map.
fn mapped(node: &Node, key: &str, reading: &mut Reading<'_>) -> BTreeMap<String, String> {
    let pairs = reading.pairs(node, key, &['=']);
    pairs.into_iter().map(|(name, value, _)| (name, value.unwrap_or_default().to_owned())).collect()
}

/// Looks at `networks`; answers the names that the service has in them, each once.
fn networks(node: &Node, declared: &Declared, reading: &mut Reading<'_>) -> Vec<String> {
    let Some(networks) = node.get("networks") else { return Vec::new() };
    let mut aliases = Vec::new();
    let each = match &networks.value {
        Value::List(items) => items.iter().filter_map(|item| Some((item.scalar()?, item))).collect(),
        _ => networks.entries().iter().map(|(name, node)| (name.as_str(), node)).collect::<Vec<_>>(),
    };
    for (name, item) in each {
        if !declared.networks.contains(name) {
            reading.say(Code::UnknownNetwork, Effect::Cannot, (item, "networks"), name);
        }
        for key in ["ipv4_address", "ipv6_address"] {
            if let Some(address) = reading.text(item, key) {
                let at = (item.get(key).unwrap_or(item), "networks");
                reading.say_each(Code::FixedAddress, (Effect::Fine, Effect::Odd), at, address);
            }
        }
        for alias in listed(item, "aliases", reading) {
            if !aliases.contains(&alias) {
                aliases.push(alias);
            }
        }
    }
    aliases
}

fn waits(node: &Node, reading: &mut Reading<'_>) -> Vec<Wait> {
    let mut waits = Vec::new();
    let simple = |on: &str, line| Wait { on: on.to_owned(), until: Until::Started, required: true, line };
    // A link orders as well; what follows the colon is only another name for it.
    for (text, item) in reading.texts(node, "links") {
        waits.push(simple(text.split(':').next().unwrap_or(text), item.line));
    }
    for source in reading.texts(node, "volumes_from") {
        waits.push(simple(source.0.split(':').next().unwrap_or(source.0), source.1.line));
    }
    let Some(depends) = node.get("depends_on") else { return waits };
    if depends.entries().is_empty() {
        for (on, item) in reading.texts(node, "depends_on") {
            waits.push(simple(on, item.line));
        }
        return waits;
    }
    for (on, how) in depends.entries() {
        let until =
            reading.parsed(how, ("depends_on.condition", "a condition of compose"), |text| match text {
                "service_started" => Some(Until::Started),
                "service_healthy" => Some(Until::Healthy),
                "service_completed_successfully" => Some(Until::Completed),
                _ => None,
            });
        let required = how.get("required").is_none() || reading.flag(how, "required");
        waits.push(Wait { until: until.unwrap_or_default(), required, ..simple(on, how.line) });
    }
    waits
}
