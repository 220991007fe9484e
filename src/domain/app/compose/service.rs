//! One service: every key of it, and what it comes to.

use crate::domain::app::compose::keys::{self, Use, known};
use crate::domain::app::compose::reading::Reading;
use crate::domain::app::compose::{Declared, mounts, ports, sandbox, values};
use crate::domain::app::finding::{Code, Effect};
use crate::domain::app::workload::{Health, Service, Until, Wait};
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
    sandbox::look(node, reading);
    process(node, reading);
    environment(node, reading);
    deploy(node, reading);
    files(node, declared, reading);
    networks(node, declared, reading);
    let (ports, inner_ports) = (ports::published(node, reading), ports::exposed(node, reading));
    Service {
        name: name.to_owned(),
        line: node.line,
        container: container(node, reading),
        image: image(name, node, reading),
        ports,
        inner_ports,
        mounts: mounts::read(node, declared, reading),
        waits: waits(node, reading),
        health: health(node, reading),
        profiles: reading.texts(node, "profiles").into_iter().map(|(text, _)| text.to_owned()).collect(),
        joins: sandbox::network_mode(node, reading),
        ..Service::default()
    }
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

/// What runs, as whom, and when it comes back.
fn process(node: &Node, reading: &mut Reading<'_>) {
    for key in ["command", "entrypoint"] {
        for (text, item) in reading.texts(node, key) {
            let alone = node.get(key).is_some_and(|value| value.scalar().is_some());
            if alone && values::words(text).is_none() {
                reading.bad((item, key), "a quote is not closed");
            }
        }
    }
    if let Some(user) = reading.text(node, "user") {
        let named = user.split(':').next().unwrap_or(user);
        // A cluster can do root by number without asking the image.
        if named.parse::<u32>().is_err() && named != "root" {
            let at = node.get("user").unwrap_or(node);
            reading.say_each(Code::UserName, (Effect::Fine, Effect::Odd), (at, "user"), user);
        }
    }
    for key in ["tty", "stdin_open", "read_only"] {
        reading.flag(node, key);
    }
    for key in ["working_dir", "hostname", "pull_policy"] {
        reading.text(node, key);
    }
    reading.parsed(node, ("stop_grace_period", "a duration"), values::duration);
    for key in ["shm_size", "mem_limit", "mem_reservation"] {
        reading.parsed(node, (key, "a size"), values::size);
    }
    reading.parsed(node, ("cpus", "a number"), |text| text.parse::<f64>().ok());
    restart(node, reading);
}

fn restart(node: &Node, reading: &mut Reading<'_>) {
    let Some(policy) = reading.text(node, "restart") else { return };
    let at = (node.get("restart").unwrap_or(node), "restart");
    let (word, times) = policy.split_once(':').map_or((policy, None), |(word, times)| (word, Some(times)));
    let counts = times.is_none_or(|times| word == "on-failure" && times.parse::<u32>().is_ok());
    match word {
        "no" | "false" | "always" | "on-failure" | "unless-stopped" if counts => {}
        // The engine's tools refuse it, and what is meant is plain.
        "none" | "never" if times.is_none() => {
            reading.say(
                Code::LeftOut,
                Effect::Note,
                at,
                &format!("restart: {policy}, which is taken as no,"),
            );
        }
        _ => reading.bad(at, &format!("{policy:?} is not no, always, on-failure[:times] or unless-stopped")),
    }
}

fn environment(node: &Node, reading: &mut Reading<'_>) {
    for (name, _, item) in reading.pairs(node, "environment", &['=']) {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            reading.bad((item, "environment"), &format!("{name:?} is no name of a variable"));
        }
    }
    for item in reading.items(node, "env_file") {
        if item.scalar().is_some() {
            mounts::file_of_template(item, "env_file", reading);
        } else if let Some(path) = item.get("path") {
            let optional = item.get("required").is_some() && !reading.flag(item, "required");
            if !optional {
                mounts::file_of_template(path, "env_file", reading);
            }
        } else {
            reading.bad((item, "env_file"), "path is missing");
        }
    }
    for key in ["labels", "annotations"] {
        reading.pairs(node, key, &['=']);
    }
}

fn deploy(node: &Node, reading: &mut Reading<'_>) {
    let replicas = reading.parsed(node, ("scale", "a number"), |text| text.parse::<u32>().ok());
    let mut replicas = (replicas.unwrap_or(1), node.get("scale"));
    if let Some(deploy) = node.get("deploy") {
        for (key, value) in deploy.entries() {
            match known(keys::DEPLOY, key) {
                Some(Use::Full) => {}
                using => reading.unused(using, value, &format!("deploy.{key}")),
            }
        }
        let number = reading.parsed(deploy, ("deploy.replicas", "a number"), |text| text.parse::<u32>().ok());
        replicas = number.map_or(replicas, |number| (number, deploy.get("replicas")));
        if let Some(resources) = deploy.get("resources") {
            self::resources(resources, reading);
        }
    }
    let (number, Some(at)) = replicas else { return };
    if 1 < number && node.get("container_name").is_some() {
        reading.bad((at, "deploy.replicas"), "several containers can't share one container_name");
    }
}

fn resources(resources: &Node, reading: &mut Reading<'_>) {
    for part in ["limits", "reservations"] {
        let Some(part_node) = resources.get(part) else { continue };
        let path = |key: &str| format!("deploy.resources.{part}.{key}");
        reading.parsed(part_node, (&path("cpus"), "a number"), |text| text.parse::<f64>().ok());
        reading.parsed(part_node, (&path("memory"), "a size"), values::size);
        for device in reading.items(part_node, "devices") {
            let kinds: Vec<&str> =
                reading.texts(device, "capabilities").into_iter().map(|(text, _)| text).collect();
            reading.say(Code::Gpu, Effect::Odd, (device, &path("devices")), &kinds.join(", "));
        }
    }
}

/// Configs and secrets by their names.
fn files(node: &Node, declared: &Declared, reading: &mut Reading<'_>) {
    for key in ["configs", "secrets"] {
        for item in reading.items(node, key) {
            let name =
                item.scalar().or_else(|| item.get("source").and_then(Node::scalar)).unwrap_or_default();
            if !declared.files.contains(name) {
                reading.say(Code::UnknownFile, Effect::Cannot, (item, key), name);
            }
        }
    }
}

fn networks(node: &Node, declared: &Declared, reading: &mut Reading<'_>) {
    let Some(networks) = node.get("networks") else { return };
    let listed = match &networks.value {
        Value::List(items) => items.iter().filter_map(|item| Some((item.scalar()?, item))).collect(),
        _ => networks.entries().iter().map(|(name, node)| (name.as_str(), node)).collect::<Vec<_>>(),
    };
    for (name, item) in listed {
        if !declared.networks.contains(name) {
            reading.say(Code::UnknownNetwork, Effect::Cannot, (item, "networks"), name);
        }
        for key in ["ipv4_address", "ipv6_address"] {
            if let Some(address) = reading.text(item, key) {
                let at = (item.get(key).unwrap_or(item), "networks");
                reading.say_each(Code::FixedAddress, (Effect::Fine, Effect::Odd), at, address);
            }
        }
    }
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

fn health(node: &Node, reading: &mut Reading<'_>) -> Health {
    let Some(check) = node.get("healthcheck") else { return Health::Unsaid };
    for (key, value) in check.entries() {
        if !keys::HEALTH.contains(&key.as_str()) && !key.starts_with("x-") {
            reading.unused(None, value, &format!("healthcheck.{key}"));
        }
    }
    for key in ["interval", "timeout", "start_period", "start_interval"] {
        reading.parsed(check, (&format!("healthcheck.{key}"), "a duration such as 1m30s"), values::duration);
    }
    reading.parsed(check, ("healthcheck.retries", "a number"), |text| text.parse::<u32>().ok());
    if reading.flag(check, "disable") {
        return Health::Off;
    }
    let Some(test) = check.get("test") else { return Health::Unsaid };
    let words = reading.texts(check, "test");
    match (words.first().map(|(word, _)| *word), test.scalar().is_some()) {
        (Some("NONE"), _) => Health::Off,
        (Some(_), true) => Health::Checked,
        (Some("CMD" | "CMD-SHELL"), false) if 1 < words.len() => Health::Checked,
        _ => {
            reading.bad(
                (test, "healthcheck.test"),
                "a list begins with CMD, CMD-SHELL or NONE, and a command follows",
            );
            Health::Unsaid
        }
    }
}
