//! A workload as a compose document with nothing left to put in, for people and for the tools of compose. Text only; it
//! holds passwords, so it is a secret as a whole.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::domain::app::compose::keys::{ENGINE_ONLY, Shape};
use crate::domain::app::workload::{
    Check, Health, Limits, Network, Port, Protocol, PullPolicy, Range, Restart, Sandbox, Service, Source,
    Until, Workload,
};

/// The key of the shared network in the document.
const SHARED: &str = "shared";

/// The document of `workload`. Its own network is the default one; `serving` is in the shared one too. It names no project:
/// its folder does, and older tools of compose refuse the key.
pub fn compose(workload: &Workload, shared: Option<&str>, serving: Option<&str>) -> String {
    let mut configs = Map::new();
    let mut services = Map::new();
    for service in &workload.services {
        // Who waits for somebody who never starts, and need not, waits for nobody.
        let waits = service.waits.iter().filter(|wait| workload.service(&wait.on).is_some());
        let service = &Service { waits: waits.cloned().collect(), ..service.clone() };
        let shared = shared.filter(|_| serving == Some(service.name.as_str())).is_some();
        services.insert(service.name.clone(), self::service(service, shared, &mut configs));
    }
    let mut document = Map::new();
    document.insert("services".into(), services.into());
    let mut networks = Map::new();
    networks.insert("default".into(), json!({}));
    if let Some(shared) = shared {
        networks.insert(SHARED.into(), json!({"name": shared, "external": true}));
    }
    document.insert("networks".into(), networks.into());
    put(&mut document, "volumes", volumes(workload));
    put(&mut document, "configs", configs.into());
    let mut out =
        String::from("# Rendered from the template and the App: it is written anew whenever they change.\n");
    yaml(&Value::Object(document), 0, &mut out);
    out
}

fn volumes(workload: &Workload) -> Value {
    let volumes = workload.volumes.iter().map(|(name, volume)| {
        let mut node = Map::new();
        put(&mut node, "external", flag(volume.external));
        put(&mut node, "name", text(&volume.called));
        put(&mut node, "driver", text(&volume.driver));
        put(&mut node, "driver_opts", pairs(&volume.options));
        (name.clone(), Value::Object(node))
    });
    Value::Object(volumes.collect())
}

/// Puts in what is there.
fn put(map: &mut Map<String, Value>, key: &str, value: Value) {
    let nothing = match &value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    if !nothing {
        map.insert(key.to_owned(), value);
    }
}

/// A text that holds no variable.
fn plain(text: &str) -> Value {
    Value::String(text.replace('$', "$$"))
}

fn text(text: &Option<String>) -> Value {
    text.as_deref().map_or(Value::Null, plain)
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Value {
    texts.into_iter().map(|text| plain(text)).collect()
}

fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Value {
    Value::Object(pairs.into_iter().map(|(key, value)| (key.clone(), plain(value))).collect())
}

fn flag(flag: bool) -> Value {
    if flag { true.into() } else { Value::Null }
}

fn duration(duration: Option<Duration>) -> Value {
    duration.map_or(Value::Null, |time| match time.subsec_nanos() {
        0 => format!("{}s", time.as_secs()).into(),
        nanos => format!("{}s{nanos}ns", time.as_secs()).into(),
    })
}

fn service(service: &Service, shared: bool, configs: &mut Map<String, Value>) -> Value {
    let mut node = Map::new();
    put(&mut node, "image", text(&service.image));
    put(&mut node, "container_name", text(&service.container));
    put(&mut node, "hostname", text(&service.hostname));
    put(&mut node, "platform", text(&service.platform));
    let pull = match service.pull {
        PullPolicy::Missing => Value::Null,
        PullPolicy::Always => "always".into(),
        PullPolicy::Never => "never".into(),
    };
    put(&mut node, "pull_policy", pull);
    put(&mut node, "restart", restart(service.restart));
    // An empty list says something here: it takes the image's own away.
    if let Some(words) = &service.entrypoint {
        node.insert("entrypoint".into(), texts(words));
    }
    put(&mut node, "command", service.command.as_ref().map_or(Value::Null, texts));
    put(&mut node, "user", text(&service.user));
    put(&mut node, "working_dir", text(&service.working_dir));
    put(&mut node, "environment", pairs(&service.environment));
    put(&mut node, "labels", pairs(&service.labels));
    put(&mut node, "ports", service.ports.iter().map(port).collect());
    put(&mut node, "expose", service.inner_ports.iter().map(|port| Value::from(port.to_string())).collect());
    put(&mut node, "volumes", mounts(service));
    put(&mut node, "configs", contents(service, configs));
    put(&mut node, "depends_on", waits(service));
    put(&mut node, "healthcheck", health(service.health, service.check.as_ref()));
    network(&mut node, service, shared);
    put(&mut node, "stop_signal", text(&service.stop_signal));
    put(&mut node, "stop_grace_period", duration(service.stop_grace));
    if let Some((driver, options)) = &service.logging {
        let mut logging = Map::new();
        put(
            &mut logging,
            "driver",
            Some(driver).filter(|it| !it.is_empty()).map_or(Value::Null, |it| plain(it)),
        );
        put(&mut logging, "options", pairs(options));
        put(&mut node, "logging", logging.into());
    }
    limits(&mut node, &service.limits);
    sandbox(&mut node, &service.sandbox);
    engine_only(&mut node, service);
    Value::Object(node)
}

fn restart(restart: Restart) -> Value {
    match restart {
        Restart::Unsaid => Value::Null,
        Restart::UnlessStopped => "unless-stopped".into(),
        Restart::Always => "always".into(),
        Restart::OnFailure(None) => "on-failure".into(),
        Restart::OnFailure(Some(times)) => format!("on-failure:{times}").into(),
        Restart::No => "no".into(),
    }
}

fn port(port: &Port) -> Value {
    let range = |range: Range| match range.last {
        last if last == range.first => last.to_string(),
        last => format!("{}-{last}", range.first),
    };
    let protocol = match port.protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "/udp",
        Protocol::Sctp => "/sctp",
    };
    let address = port.address.as_deref().map(|address| match address.contains(':') {
        true => format!("[{address}]:"),
        false => format!("{address}:"),
    });
    let host = port.host.map(|host| format!("{}:", range(host)));
    // An address without a number leaves the number to the engine.
    let host = host.or_else(|| address.as_ref().map(|_| ":".to_owned()));
    let text = format!(
        "{}{}{}{protocol}",
        address.unwrap_or_default(),
        host.unwrap_or_default(),
        range(port.container)
    );
    plain(&text)
}

fn mounts(service: &Service) -> Value {
    let mount = |mount: &crate::domain::app::workload::Mount| {
        let mut node = Map::new();
        let mut kind = |kind: &str, source: Value| {
            node.insert("type".into(), kind.into());
            put(&mut node, "source", source);
        };
        match &mount.source {
            Source::Volume(name) => kind("volume", plain(name)),
            Source::Anonymous => kind("volume", Value::Null),
            Source::Template(path) => kind("bind", plain(&format!("./{path}"))),
            Source::Host(path) => kind("bind", plain(path)),
            Source::Memory(..) => kind("tmpfs", Value::Null),
        }
        node.insert("target".into(), plain(&mount.target));
        put(&mut node, "read_only", flag(mount.read_only));
        if let Some(path) = &mount.subpath {
            node.insert("volume".into(), json!({"subpath": plain(path)}));
        }
        if let Source::Memory(size, mode) = &mount.source {
            let mut tmpfs = Map::new();
            put(&mut tmpfs, "size", (*size).into());
            put(&mut tmpfs, "mode", (*mode).into());
            put(&mut node, "tmpfs", tmpfs.into());
        }
        Value::Object(node)
    };
    service.mounts.iter().map(mount).collect()
}

/// The contents become configs of the document, each under a name of its own.
fn contents(service: &Service, configs: &mut Map<String, Value>) -> Value {
    let content = |content: &crate::domain::app::workload::Content| {
        let name = format!("content-{}", configs.len() + 1);
        configs.insert(name.clone(), json!({"content": plain(&content.text)}));
        json!({"source": name, "target": plain(&content.target), "mode": content.mode})
    };
    service.contents.iter().map(content).collect()
}

fn waits(service: &Service) -> Value {
    let wait = |wait: &crate::domain::app::workload::Wait| {
        let until = match wait.until {
            Until::Started => "service_started",
            Until::Healthy => "service_healthy",
            Until::Completed => "service_completed_successfully",
        };
        let mut node = Map::new();
        node.insert("condition".into(), until.into());
        put(&mut node, "required", if wait.required { Value::Null } else { false.into() });
        (wait.on.clone(), Value::Object(node))
    };
    Value::Object(service.waits.iter().map(wait).collect())
}

fn health(health: Health, check: Option<&Check>) -> Value {
    let Some(check) = check.filter(|_| health == Health::Checked) else {
        return if health == Health::Off { json!({"disable": true}) } else { Value::Null };
    };
    let kind = if check.shell { "CMD-SHELL" } else { "CMD" };
    let mut node = Map::new();
    let test = [Value::from(kind)].into_iter().chain(check.command.iter().map(|word| plain(word)));
    node.insert("test".into(), test.collect());
    put(&mut node, "interval", duration(check.interval));
    put(&mut node, "timeout", duration(check.timeout));
    put(&mut node, "retries", check.retries.into());
    put(&mut node, "start_period", duration(check.start_period));
    put(&mut node, "start_interval", duration(check.start_interval));
    Value::Object(node)
}

fn network(node: &mut Map<String, Value>, service: &Service, shared: bool) {
    match (&service.joins, service.network) {
        (Some(joined), _) => drop(node.insert("network_mode".into(), plain(&format!("service:{joined}")))),
        (None, Network::Host) => drop(node.insert("network_mode".into(), "host".into())),
        (None, Network::None) => drop(node.insert("network_mode".into(), "none".into())),
        (None, Network::Own) => {
            let mut own = Map::new();
            put(&mut own, "aliases", texts(&service.aliases));
            let mut networks = Map::new();
            networks.insert("default".into(), own.into());
            if shared {
                networks.insert(SHARED.into(), json!({}));
            }
            node.insert("networks".into(), networks.into());
        }
    }
    let hosts = service.extra_hosts.iter().map(|(name, address)| plain(&format!("{name}={address}")));
    put(node, "extra_hosts", hosts.collect());
    put(node, "dns", texts(&service.dns.servers));
    put(node, "dns_search", texts(&service.dns.search));
    put(node, "dns_opt", texts(&service.dns.options));
}

fn limits(node: &mut Map<String, Value>, limits: &Limits) {
    let cores = |milli: Option<u64>| {
        milli.map_or(Value::Null, |milli| format!("{}.{:03}", milli / 1000, milli % 1000).into())
    };
    let octets = |octets: Option<u64>| octets.map_or(Value::Null, |octets| octets.to_string().into());
    put(node, "shm_size", octets(limits.shm));
    let (mut most, mut kept, mut resources) = (Map::new(), Map::new(), Map::new());
    put(&mut most, "cpus", cores(limits.cpu));
    put(&mut most, "memory", octets(limits.memory));
    put(&mut kept, "cpus", cores(limits.cpu_reserved));
    put(&mut kept, "memory", octets(limits.memory_reserved));
    if let Some(gpus) = limits.gpus {
        let count = if gpus < 0 { "all".into() } else { Value::from(gpus) };
        kept.insert("devices".into(), json!([{"capabilities": ["gpu"], "count": count}]));
    }
    put(&mut resources, "limits", most.into());
    put(&mut resources, "reservations", kept.into());
    if !resources.is_empty() {
        node.insert("deploy".into(), json!({"resources": resources}));
    }
}

fn sandbox(node: &mut Map<String, Value>, sandbox: &Sandbox) {
    for (key, value) in [
        ("privileged", sandbox.privileged),
        ("read_only", sandbox.read_only),
        ("init", sandbox.init),
        ("tty", sandbox.tty),
        ("stdin_open", sandbox.stdin_open),
    ] {
        put(node, key, flag(value));
    }
    put(node, "cap_add", texts(&sandbox.cap_add));
    put(node, "cap_drop", texts(&sandbox.cap_drop));
    put(node, "security_opt", texts(&sandbox.security_opt));
    put(node, "sysctls", pairs(&sandbox.sysctls));
    put(node, "group_add", texts(&sandbox.group_add));
    let ulimit =
        |(name, (soft, hard)): (&String, &(i64, i64))| (name.clone(), json!({"soft": soft, "hard": hard}));
    put(node, "ulimits", Value::Object(sandbox.ulimits.iter().map(ulimit).collect()));
    let device =
        |(host, inside, rights): &(String, String, String)| plain(&format!("{host}:{inside}:{rights}"));
    put(node, "devices", sandbox.devices.iter().map(device).collect());
    for (key, mode) in &sandbox.namespaces {
        node.insert(key.clone(), plain(mode));
    }
}

/// What was kept as lines goes back to what it was.
fn engine_only(node: &mut Map<String, Value>, service: &Service) {
    for (key, text) in &service.engine_only {
        let shape = ENGINE_ONLY.iter().find(|(name, _)| name == key).map(|(_, shape)| *shape);
        let value = match shape {
            Some(Shape::List) => text.split('\n').map(plain).collect(),
            Some(Shape::Map) => {
                let entries = text.split('\n').filter_map(|line| line.split_once('='));
                Value::Object(entries.map(|(key, value)| (key.to_owned(), plain(value))).collect())
            }
            Some(Shape::Text) | None => plain(text),
        };
        put(node, key, value);
    }
}

/// Writes a value as YAML in blocks, every text that could be taken for something else between double quotes.
fn yaml(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                out.push_str(&format!("{indent}{}:", scalar(key)));
                below(value, depth + 1, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("{indent}-"));
                below(item, depth + 1, out);
            }
        }
        _ => {}
    }
}

fn below(value: &Value, depth: usize, out: &mut String) {
    let text = match value {
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Object(_) | Value::Array(_) => {
            out.push('\n');
            return yaml(value, depth, out);
        }
        Value::String(text) => scalar(text),
        other => other.to_string(),
    };
    out.push(' ');
    out.push_str(&text);
    out.push('\n');
}

fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // What YAML doesn't print, and what some readers take for the end of a line.
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
