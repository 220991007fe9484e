//! One template: its files as they were read, and the check that goes through the whole pipeline.

use std::collections::BTreeMap;

use crate::domain::app::compose;
use crate::domain::app::env_file::Env;
use crate::domain::app::fill;
use crate::domain::app::finding::{Code, Effect, Finding, Findings, Place};
use crate::domain::app::instance::Files;
use crate::domain::app::metadata::{self, Dialect, Metadata};
use crate::domain::app::verdict;
use crate::domain::app::workload::Workload;

/// The name of the variables' file.
pub const ENV: &str = ".env";

/// Whether `name` can be an application's in a catalogue: `spec.appName`'s rule.
pub fn is_app_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 63
        && name.starts_with(inner)
        && name.ends_with(inner)
        && name.chars().all(|c| inner(c) || c == '-')
}

/// A template's folder in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// The folder's name, which is the application's.
    pub name: String,
    /// `docker-compose.yml`.
    pub compose: Option<Vec<u8>>,
    /// `.env`.
    pub env: Option<Vec<u8>>,
    /// `variables.json`.
    pub metadata: Option<Vec<u8>>,
    /// Everything in the folder by its path, which has no `.` or `..` and no slash at its ends.
    pub entries: BTreeMap<String, Entry>,
    /// What went wrong while reading.
    pub troubles: Vec<Finding>,
}

/// A file or folder of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A file of so many octets.
    File(u64),
    /// A folder.
    Folder,
}

/// A template that was looked at.
#[derive(Debug)]
pub struct Checked {
    /// The template's name.
    pub name: String,
    /// What it says of itself, where that can be read.
    pub metadata: Option<Metadata>,
    /// What it would run, where that can be told.
    pub workload: Option<Workload>,
    /// What was found, in the order of files and lines.
    pub findings: Vec<Finding>,
}

/// Checks `template`.
pub fn check(template: &Template) -> Checked {
    let mut findings = Findings::default();
    missing(template, &mut findings);
    let env = template.env.as_deref().map(|bytes| installed(bytes, &template.name, &mut findings));
    let env = env.unwrap_or_default();
    // Short ones are words such as `admin`, which findings may well say.
    let secrets = env.iter().filter(|(key, variable)| is_secret(key) && 8 <= variable.value.len());
    findings.mask(secrets.map(|(_, variable)| variable.value.clone()));
    let metadata = template.metadata.as_deref();
    let metadata = metadata.and_then(|bytes| Metadata::parse(bytes, &template.name, &mut findings));
    let workload = template.compose.as_deref().and_then(|bytes| {
        let workload = compose::read(bytes, &env, template, &Files::new(), &mut findings)?;
        verdict::judge(&workload, template, &mut findings);
        Some(workload)
    });
    variables(&env, template, metadata.as_ref(), &mut findings);
    if let (Some(dialect), Some(workload)) = (Dialect::of(&env), &workload) {
        web_port(dialect, &env, workload, &mut findings);
    }
    Checked { name: template.name.clone(), metadata, workload, findings: findings.sorted() }
}

/// The variables as an install under the template's own name has them: what the file says of names that every install makes
/// anew is only an example, and no fault of the template.
fn installed(bytes: &[u8], name: &str, findings: &mut Findings) -> Env {
    let plain = Env::parse(bytes, ENV, &mut Findings::default());
    let mut put = BTreeMap::new();
    if let Some(dialect) = Dialect::of(&plain).filter(|_| compose::values::is_container_name(name)) {
        let names = dialect.identity().iter().map(|key| (*key, fill::id(name)));
        let made = names.chain([(metadata::CODE, "c0de".to_owned())]);
        put.extend(
            made.filter(|(key, _)| plain.get(key).is_some()).map(|(key, value)| (key.to_owned(), value)),
        );
    }
    Env::parse_over(bytes, ENV, &|_| None, &put, findings)
}

/// What went wrong while reading, and which files are missing.
pub fn missing(template: &Template, findings: &mut Findings) {
    template.troubles.iter().for_each(|trouble| findings.add(trouble.clone()));
    let unread = |file: &str| template.troubles.iter().any(|trouble| trouble.place.file == file);
    let mut missing = |file: &str, effect| {
        if !unread(file) {
            findings.add(Finding::both(Code::Missing, effect, Place::file(file), file));
        }
    };
    if template.compose.is_none() {
        missing(compose::FILE, Effect::Cannot);
    }
    if template.metadata.is_none() {
        missing(metadata::FILE, Effect::Odd);
    }
}

/// What the variables say that metadata and installing don't fit.
fn variables(env: &Env, template: &Template, metadata: Option<&Metadata>, findings: &mut Findings) {
    let Some(dialect) = Dialect::of(env) else { return };
    let compose = template.compose.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    for (key, variable) in env.iter() {
        let mut say = |code, effect, subject: &str| {
            findings.add(Finding::both(code, effect, Place::line(ENV, variable.line, key), subject));
        };
        let value = variable.value.as_str();
        if dialect.is_host_port(key) && value.parse::<u16>().map_or(true, |port| port == 0) {
            say(Code::BadPort, Effect::Odd, key);
        }
        if key == dialect.version() {
            let listed = metadata.is_none_or(|m| m.versions.iter().any(|version| version == value));
            if !listed {
                say(Code::VersionUnlisted, Effect::Odd, value);
            }
            if !compose.contains(key) {
                say(Code::VersionUnused, Effect::Odd, key);
            }
        }
        let secret = is_secret(key) && !variable.derived && 8 <= value.len();
        if secret && !dialect.is_made(key) {
            say(Code::LiteralSecret, Effect::Note, key);
        }
    }
}

/// Whether a variable of this name holds a secret.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    let ends = [
        "PASSWORD",
        "PASSWD",
        "SECRET",
        "SECRET_KEY",
        "SECRET_KEY_BASE",
        "_TOKEN",
        "API_KEY",
        "ENCRYPTION_KEY",
    ];
    ends.iter().any(|end| key.ends_with(end)) || key.contains("_SECRET_") || key.contains("JWT_SECRET")
}

/// The port that tells whether the application answers must be some service's.
fn web_port(dialect: Dialect, env: &Env, workload: &Workload, findings: &mut Findings) {
    let Some((key, variable)) = dialect.web_port().and_then(|name| env.iter().find(|(key, _)| *key == name))
    else {
        return;
    };
    let place = Place::line(ENV, variable.line, key);
    let Ok(port) = variable.value.parse::<u16>() else {
        findings.add(Finding::both(Code::BadPort, Effect::Odd, place, key));
        return;
    };
    let has = |service: &crate::domain::app::workload::Service| {
        let published = service.ports.iter().any(|p| (p.container.first..=p.container.last).contains(&port));
        published || service.inner_ports.contains(&port)
    };
    if !workload.services.iter().any(has) {
        findings.add(Finding::both(Code::WebPort, Effect::Odd, place, port.to_string()));
    }
}
