//! The compose document: read, filled with variables, and turned into a workload. Lenient: what is wrong is a finding
//! with its place, and the reading goes on; every key of compose is known, honoured or not.

pub mod keys;
pub mod reading;
pub mod values;
pub mod ports;
pub mod mounts;
pub mod service;
pub mod sandbox;
pub mod process;
pub mod resources;
pub mod contents;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::app::compose::contents::Declaration;
use crate::domain::app::compose::keys::{Use, known};
use crate::domain::app::compose::reading::Reading;
use crate::domain::app::env_file::Env;
use crate::domain::app::finding::{Code, Effect, Finding, Findings, Place};
use crate::domain::app::instance::Files;
use crate::domain::app::interpolate::{Fault, Scope};
use crate::domain::app::template::Template;
use crate::domain::app::workload::{Volume, Workload};
use crate::domain::app::yaml::{Node, Value};

/// The document's file.
pub const FILE: &str = "docker-compose.yml";
/// How much all scalars may come to, variables put in.
const MOST_OUT: usize = 4 << 20;

/// The most services of one application; real ones have a dozen.
const MOST_SERVICES: usize = 250;
/// How much the environments and files of all services may come to, in octets: one file may be read for each of them.
const MOST_ROOM: usize = 16 << 20;

/// Reads the document; none where there is nothing to run in it. `files` are the template's others, for those that a
/// service's environment or a config is read from; a check does without.
pub fn read(
    bytes: &[u8],
    env: &Env,
    template: &Template,
    files: &Files,
    findings: &mut Findings,
) -> Option<Workload> {
    let mut cannot = |code, line, what: String| {
        let place = Place { line, ..Place::file(FILE) };
        findings.add(Finding::both(code, Effect::Cannot, place, what));
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        cannot(Code::NotYaml, None, "it is not UTF-8".into());
        return None;
    };
    let mut document = match Node::parse(text) {
        Ok(document) => document,
        Err(trouble) => {
            cannot(Code::NotYaml, trouble.line, trouble.what);
            return None;
        }
    };
    let services = document.get("services").map(Node::entries).unwrap_or_default();
    if services.is_empty() {
        cannot(Code::NoServices, document.get("services").map(|node| node.line), "services".into());
        return None;
    }
    if MOST_SERVICES < services.len() {
        cannot(
            Code::TooLarge,
            None,
            format!("{} services, at most {MOST_SERVICES} are read", services.len()),
        );
        return None;
    }
    fill(&mut document, env, findings);
    let mut reading = Reading { template, files, env, findings, service: None, room: MOST_ROOM };
    let declared = Declared::read(&document, &mut reading);
    let mut workload = Workload { volumes: declared.volumes.clone(), ..Workload::default() };
    let chosen: BTreeSet<&str> =
        env.get("COMPOSE_PROFILES").unwrap_or_default().split(',').map(str::trim).collect();
    for (name, node) in document.get("services").map(Node::entries).unwrap_or_default() {
        reading.service = Some(name.clone());
        let service = service::read(name, node, &declared, &mut reading);
        let starts = service.profiles.is_empty()
            || service
                .profiles
                .iter()
                .any(|profile| chosen.contains("*") || chosen.contains(profile.as_str()));
        if starts {
            workload.services.push(service);
        } else {
            reading.findings.soften(name);
            reading.say(Code::Profile, Effect::Note, (node, "profiles"), name);
            workload.idle.insert(service.name);
        }
    }
    link(&document, &mut workload);
    if workload.services.is_empty() {
        reading.service = None;
        reading.say(Code::NoServices, Effect::Cannot, (&document, "services"), "profiles");
    }
    Some(workload)
}

/// `links: [db:database]`: another name for a service, which all of the application's own network may as well know.
fn link(document: &Node, workload: &mut Workload) {
    for (_, node) in document.get("services").map(Node::entries).unwrap_or_default() {
        let Some(Value::List(links)) = node.get("links").map(|links| &links.value) else { continue };
        for (name, alias) in links.iter().filter_map(|link| link.scalar()?.split_once(':')) {
            let linked = workload.services.iter_mut().find(|service| service.name == name);
            if let Some(service) = linked.filter(|service| !service.aliases.iter().any(|it| it == alias)) {
                service.aliases.push(alias.to_owned());
            }
        }
    }
}

/// Puts the variables of `.env` into every scalar. Values of extensions count only where they are used, by an alias.
fn fill(document: &mut Node, env: &Env, findings: &mut Findings) {
    let lookup = |name: &str| env.get(name).map(str::to_owned);
    let mut scope = Scope::new(&lookup, MOST_OUT);
    let mut path = Vec::new();
    let mut fill = |text: &str, path: &[String], line: u64| {
        let filled = scope.fill(text);
        let place = place_of(path, line);
        if path.first().is_some_and(|key| key.starts_with("x-")) {
            scope.undefined.clear();
            return filled;
        }
        for name in scope.undefined.drain(..) {
            findings.add(Finding::both(Code::Undefined, Effect::Odd, place.clone(), name));
        }
        match &filled {
            Ok(_) => {}
            Err(Fault::Required { name }) => {
                findings.add(Finding::both(Code::Required, Effect::Cannot, place, name));
            }
            Err(fault) => {
                findings.add(Finding::both(Code::Interpolation, Effect::Cannot, place, fault.to_string()));
            }
        }
        filled
    };
    document.fill(&mut path, &mut fill);
}

fn place_of(path: &[String], line: u64) -> Place {
    let (service, keys) = match path {
        [first, service, keys @ ..] if first == "services" => (Some(service.clone()), keys),
        keys => (None, keys),
    };
    let key = Some(keys.join(".")).filter(|key| !key.is_empty());
    Place { file: FILE.to_owned(), line: Some(line).filter(|line| 0 < *line), service, key }
}

/// What stands beside the services.
#[derive(Debug, Default)]
pub struct Declared {
    volumes: BTreeMap<String, Volume>,
    networks: BTreeSet<String>,
    /// Configs and secrets: whether it is a secret, and its name.
    files: BTreeMap<(bool, String), Declaration>,
}

impl Declared {
    fn read(document: &Node, reading: &mut Reading<'_>) -> Self {
        let mut declared = Self { networks: ["default".to_owned()].into(), ..Self::default() };
        for (key, node) in document.entries() {
            match known(keys::DOCUMENT, key) {
                Some(Use::Full) => {}
                using => reading.unused(using, node, key),
            }
        }
        let section = |name| document.get(name).map(Node::entries).unwrap_or_default();
        for (name, node) in section("volumes") {
            declared.volumes.insert(name.clone(), Self::volume(name, node, reading));
        }
        for (name, node) in section("networks") {
            declared.networks.insert(name.clone());
            Self::network(name, node, reading);
            for (key, value) in node.entries() {
                match known(keys::NETWORK, key) {
                    Some(Use::Full) => {}
                    using => reading.unused(using, value, &format!("networks.{name}.{key}")),
                }
            }
        }
        for (key, secret) in [("configs", false), ("secrets", true)] {
            for (name, node) in section(key) {
                let declaration = contents::declared(name, node, reading);
                declared.files.insert((secret, name.clone()), declaration);
            }
        }
        declared
    }

    /// The shared network is the one that the template's variables name.
    fn network(name: &str, node: &Node, reading: &mut Reading<'_>) {
        if node.get("external").is_none_or(|external| external.scalar() == Some("false")) {
            return;
        }
        let called = node.get("name").and_then(Node::scalar).unwrap_or(name);
        let shared = ["W9_NETWORK", "APP_NETWORK"]
            .iter()
            .filter_map(|key| reading.env.get(key))
            .any(|it| it == called);
        if !shared {
            reading.say(Code::ExternalNetwork, Effect::Odd, (node, &format!("networks.{name}")), called);
        }
    }

    fn volume(name: &str, node: &Node, reading: &mut Reading<'_>) -> Volume {
        let mut volume = Volume::default();
        for (key, value) in node.entries() {
            let path = format!("volumes.{name}.{key}");
            match (key.as_str(), known(keys::VOLUME, key)) {
                ("external", _) => {
                    // The older form is a map with the name inside.
                    volume.external = !value.entries().is_empty() || reading.flag(node, "external");
                }
                ("driver", _) => {
                    if let Some(driver) = value.scalar().filter(|driver| !matches!(*driver, "" | "local")) {
                        reading.say(Code::VolumeDriver, Effect::Cannot, (value, &path), driver);
                        volume.driver = Some(driver.to_owned());
                    }
                }
                ("driver_opts", _) => {
                    let device =
                        value.get("device").and_then(Node::scalar).filter(|path| path.starts_with('/'));
                    if let Some(device) = device {
                        mounts::host_path(device, false, (value, &path), reading);
                    }
                    let option =
                        |(key, value): &(String, Node)| Some((key.clone(), value.scalar()?.to_owned()));
                    volume.options = value.entries().iter().filter_map(option).collect();
                }
                (_, Some(Use::Full)) => {}
                (_, using) => reading.unused(using, value, &path),
            }
        }
        if volume.external {
            // One that is made here is called after the application: two of one template must not share it.
            let inner = node.get("external").and_then(|external| external.get("name"));
            let called = node.get("name").or(inner).and_then(Node::scalar);
            volume.called = Some(called.unwrap_or(name).to_owned());
            reading.say(Code::ExternalVolume, Effect::Cannot, (node, &format!("volumes.{name}")), name);
        }
        volume
    }
}
