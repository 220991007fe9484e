//! The template's variables as an App has them: its own values under what the install chose and what its user wants. They
//! take their places while `.env` is read, so that the lines that refer to them see them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::domain::app::env_file::Env;
use crate::domain::app::fill::{Order, id};
use crate::domain::app::finding::{Code, Effect, Finding, Findings, Place};
use crate::domain::app::interpolate;
use crate::domain::app::metadata::{CODE, Dialect};
use crate::domain::app::template::{ENV, Template};
use crate::domain::app::verdict::Backend;

/// What a template's variables are, before anybody sets one.
pub struct Known {
    /// As the file alone has them.
    pub plain: Env,
    /// The generation that they are of.
    pub dialect: Option<Dialect>,
    /// Names in the compose document or in the file's own values.
    pub used: BTreeSet<String>,
}

impl Known {
    /// Looks at `template`.
    pub fn of(template: &Template) -> Self {
        let plain = parse(template, &BTreeMap::new(), &mut Findings::default());
        let texts = [&template.compose, &template.env].map(|bytes| bytes.as_deref().unwrap_or_default());
        let texts = texts.map(String::from_utf8_lossy);
        let used: BTreeSet<String> =
            texts.iter().flat_map(|text| interpolate::names(text)).map(str::to_owned).collect();
        let speaks = |prefix: &str| used.iter().any(|name| name.starts_with(prefix));
        let dialect = Dialect::of(&plain).or_else(|| speaks("W9_").then_some(Dialect::W9));
        Self { plain, dialect, used }
    }

    /// Whether the template has this variable.
    pub fn has(&self, name: &str) -> bool {
        self.plain.get(name).is_some() || self.used.contains(name)
    }

    /// The variables that choose ports of the host.
    pub fn port_variables(&self) -> impl Iterator<Item = &str> {
        let is_port = |key: &str| self.dialect.is_some_and(|dialect| dialect.is_host_port(key));
        self.plain.iter().map(|(key, _)| key).filter(move |key| is_port(key))
    }
}

/// Reads `.env` with `put` in it; variables that only the document asks for stand beside.
pub fn parse(template: &Template, put: &BTreeMap<String, String>, findings: &mut Findings) -> Env {
    let bytes = template.env.as_deref().unwrap_or_default();
    let mut env = Env::parse_over(bytes, ENV, &|_| None, put, findings);
    for (key, value) in put {
        if env.get(key).is_none() {
            env.set_beside(key, value);
        }
    }
    env
}

/// Where an App's own fields are at fault.
pub fn field(name: &str) -> Place {
    Place { key: Some(name.to_owned()), ..Place::file("App") }
}

/// The values that take the places of the template's. A user's go before all but the ports, which were chosen with them in
/// mind.
pub fn put(known: &Known, order: &Order<'_>, findings: &mut Findings) -> BTreeMap<String, String> {
    let mut put = BTreeMap::new();
    let Some(dialect) = known.dialect else {
        user(known, order, &mut put, findings);
        return put;
    };
    let mut set = |key: &str, value: &str| {
        if known.has(key) && !value.is_empty() {
            put.insert(key.to_owned(), value.to_owned());
        }
    };
    let name = id(&order.key.name);
    dialect.identity().iter().for_each(|key| set(key, &name));
    set(dialect.version(), order.version);
    set(dialect.password(), order.choices.password.expose());
    set(CODE, &order.choices.code);
    user(known, order, &mut put, findings);
    for (key, port) in order.choices.ports.iter().filter(|(key, _)| known.has(key)) {
        put.insert(key.clone(), port.to_string());
    }
    let (key, replace) = dialect.url();
    // Where the application would use an address that its author fixed, it stays.
    let free = known.plain.get(replace) == Some("true") || !known.used.contains(key);
    if let Some(old) = known.plain.get(key).filter(|_| free && !put.contains_key(key)) {
        let port = put.get(dialect.web_host_port()).map(String::as_str);
        let port = port.or_else(|| known.plain.get(dialect.web_host_port()));
        if let Some(url) = outer_address(old, port, order) {
            put.insert(key.to_owned(), url);
        }
    }
    put
}

/// The address under which people reach the application, with a port where the template's had one. A cluster serves a
/// domain on its own ports.
fn outer_address(old: &str, port: Option<&str>, order: &Order<'_>) -> Option<String> {
    let (scheme, rest) = match old.find("://") {
        Some(at) => old.split_at(at + 3),
        None => ("", old),
    };
    let outside = order.domain.is_some() && order.backend == Backend::Kubernetes;
    let port = port.filter(|port| rest.contains(':') && !outside && *port != "80");
    let host = host(order.domain.or(order.host)?);
    Some(match port {
        Some(port) => format!("{scheme}{host}:{port}"),
        None => format!("{scheme}{host}"),
    })
}

/// A host as it stands in a URL.
pub fn host(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.to_owned(),
    }
}

/// Puts in what the App's owner wants. The password is his to choose only where it is read from a Secret: data that he
/// brings along may have one.
fn user(known: &Known, order: &Order<'_>, put: &mut BTreeMap<String, String>, findings: &mut Findings) {
    let plain = order.variables.iter().map(|(key, value)| (key, value.as_str(), "spec.variables"));
    let secret = order.secret_variables.iter();
    let secret = secret.map(|(key, value)| (key, value.expose(), "spec.secretVariables"));
    for (key, value, list) in plain.chain(secret) {
        let mut refuse = |code, what: &str| {
            let place = field(&format!("{list}.{key}"));
            findings.add(Finding::both(code, Effect::Cannot, place, what));
        };
        let is_secret = list == "spec.secretVariables";
        if !known.has(key) {
            refuse(Code::UnknownVariable, &format!("{list}.{key}"));
        } else if known.dialect.is_some_and(|dialect| is_reserved(dialect, key, is_secret)) {
            refuse(Code::ReservedVariable, &format!("{list}.{key}"));
        } else if value.contains('\0') {
            refuse(Code::BadValue, &format!("{list}.{key}: no value can hold a null character"));
        } else if known.port_variables().any(|port| port == key)
            && value.parse::<u16>().map_or(true, |port| port == 0)
        {
            refuse(Code::BadPort, &format!("{list}.{key}"));
        } else {
            put.insert(key.clone(), value.to_owned());
        }
    }
}

fn is_reserved(dialect: Dialect, key: &str, secret: bool) -> bool {
    let made = [dialect.version(), dialect.network(), CODE];
    made.contains(&key) || dialect.identity().contains(&key) || key == dialect.password() && !secret
}
