//! `variables.json` in both generations (`edition[]`; one text with commas), and the two dialects of variables.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::app::env_file::Env;
use crate::domain::app::finding::{Code, Effect, Finding, Findings, Place};

/// Where the metadata stands.
pub const FILE: &str = "variables.json";

/// The variable with a random word for names that can't be prefixed.
pub const CODE: &str = "W9_RCODE";

/// What a template says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// Its display name.
    pub title: String,
    /// The versions that can be installed.
    pub versions: Vec<String>,
    /// What the host must have free.
    pub needs: Needs,
}

/// What an application asks of its host.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Needs {
    /// Cores.
    pub cpu: f64,
    /// GiB of memory.
    pub memory: f64,
    /// GiB of disk.
    pub disk: f64,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    name: String,
    #[serde(default)]
    trademark: String,
    release: Option<bool>,
    #[serde(default)]
    edition: Vec<Edition>,
    version: Option<String>,
    #[serde(default)]
    requirements: Requirements,
}

#[derive(Deserialize)]
struct Edition {
    #[serde(default)]
    version: Vec<String>,
}

#[derive(Deserialize, Default)]
struct Requirements {
    #[serde(default)]
    cpu: Value,
    #[serde(default)]
    memory: Value,
    #[serde(default)]
    disk: Value,
}

impl Metadata {
    /// Reads the metadata of the template `name`; none where it can't be read.
    pub fn parse(bytes: &[u8], name: &str, findings: &mut Findings) -> Option<Self> {
        let mut say = |code, effect, line: Option<u64>, what: String| {
            findings.add(Finding::both(code, effect, Place { line, ..Place::file(FILE) }, what));
        };
        let written: Written = match serde_json::from_slice(bytes) {
            Ok(written) => written,
            Err(error) => {
                let line = u64::try_from(error.line()).ok().filter(|line| 0 < *line);
                let kind = if error.is_data() { "a value of another type than expected" } else { "not JSON" };
                say(Code::Metadata, Effect::Cannot, line, kind.to_owned());
                return None;
            }
        };
        if written.name != name {
            say(Code::NameDiffers, Effect::Note, None, written.name);
        }
        if written.release == Some(false) {
            say(Code::Unreleased, Effect::Note, None, name.to_owned());
        }
        let older = written.version.iter().flat_map(|list| list.split(','));
        let listed = written.edition.iter().flat_map(|edition| &edition.version).map(String::as_str);
        let versions: Vec<String> =
            listed.chain(older).map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned).collect();
        if versions.is_empty() {
            say(Code::Metadata, Effect::Odd, None, "no version is listed".into());
        }
        let Requirements { cpu, memory, disk } = written.requirements;
        let mut number = |what: &str, value: Value| {
            let read = match &value {
                Value::Number(number) => number.as_f64(),
                Value::String(text) => text.trim().parse().ok(),
                _ => None,
            };
            let read = read.filter(|number: &f64| number.is_finite() && (0.0..1e6).contains(number));
            if read.is_none() {
                say(Code::Metadata, Effect::Odd, None, format!("requirements.{what} is not a number"));
            }
            read.unwrap_or_default()
        };
        let needs =
            Needs { cpu: number("cpu", cpu), memory: number("memory", memory), disk: number("disk", disk) };
        let title = if written.trademark.is_empty() { name.to_owned() } else { written.trademark };
        Some(Self { title, versions, needs })
    }
}

/// The generation of a template's variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `W9_ID`, `W9_HTTP_PORT_SET`, …
    W9,
    /// `APP_NAME`, `APP_HTTP_PORT`, `POWER_PASSWORD`, … of 2023.
    App,
}

impl Dialect {
    /// Which dialect `env` speaks; none where it speaks neither.
    pub fn of(env: &Env) -> Option<Self> {
        let has = |prefix: &str| env.iter().any(|(key, _)| key.starts_with(prefix));
        if has("W9_") {
            return Some(Dialect::W9);
        }
        (has("APP_") || env.get("POWER_PASSWORD").is_some()).then_some(Dialect::App)
    }

    /// The variable that chooses the version.
    pub fn version(self) -> &'static str {
        match self {
            Dialect::W9 => "W9_VERSION",
            Dialect::App => "APP_VERSION",
        }
    }

    /// The variable with the generated password.
    pub fn password(self) -> &'static str {
        match self {
            Dialect::W9 => "W9_POWER_PASSWORD",
            Dialect::App => "POWER_PASSWORD",
        }
    }

    /// The variables that take the application's name: the identity first.
    pub fn identity(self) -> &'static [&'static str] {
        match self {
            Dialect::W9 => &["W9_ID", "W9_NAME"],
            Dialect::App => &["APP_NAME"],
        }
    }

    /// The variable with the shared network's name.
    pub fn network(self) -> &'static str {
        match self {
            Dialect::W9 => "W9_NETWORK",
            Dialect::App => "APP_NETWORK",
        }
    }

    /// The variable with the outer address, and the one that says whether the application itself needs it.
    pub fn url(self) -> (&'static str, &'static str) {
        match self {
            Dialect::W9 => ("W9_URL", "W9_URL_REPLACE"),
            Dialect::App => ("APP_URL", "APP_URL_REPLACE"),
        }
    }

    /// The variables with the first user's name, that user's password, and the path where administrators log in.
    pub fn login(self) -> [&'static str; 3] {
        match self {
            Dialect::W9 => ["W9_LOGIN_USER", "W9_LOGIN_PASSWORD", "W9_ADMIN_PATH"],
            Dialect::App => ["APP_USER", "APP_PASSWORD", "APP_ADMIN_PATH"],
        }
    }

    /// The variable that chooses the host's web port.
    pub fn web_host_port(self) -> &'static str {
        match self {
            Dialect::W9 => "W9_HTTP_PORT_SET",
            Dialect::App => "APP_HTTP_PORT",
        }
    }

    /// Whether `key` chooses a port of the host.
    pub fn is_host_port(self, key: &str) -> bool {
        match self {
            Dialect::W9 => key.starts_with("W9_") && key.contains("PORT") && key.ends_with("_SET"),
            Dialect::App => key.starts_with("APP_") && key.ends_with("_PORT") && !key.starts_with("APP_DB_"),
        }
    }

    /// The variable with the web port inside the container; the older dialect has none.
    pub fn web_port(self) -> Option<&'static str> {
        match self {
            Dialect::W9 => Some("W9_HTTP_PORT"),
            Dialect::App => None,
        }
    }

    /// Whether installing makes `key`'s value anew, so that what the file says is only an example.
    pub fn is_made(self, key: &str) -> bool {
        key == self.password() || key == CODE || key == "W9_KEY_SET"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, versions: &[&str], codes: &[&str]) -> Option<Metadata> {
        let mut findings = Findings::default();
        let metadata = Metadata::parse(text.as_bytes(), "blog", &mut findings);
        let found: Vec<String> =
            findings.sorted().iter().map(|f| format!("{} {}", f.code.as_str(), f.subject)).collect();
        assert_eq!(found, codes);
        assert_eq!(metadata.as_ref().map(|m| m.versions.clone()).unwrap_or_default(), versions);
        metadata
    }

    #[test]
    fn both_generations_are_read() {
        let new = r#"{"name":"blog","trademark":"Blog","release":true,"edition":[{"dist":"community","version":["2","1"]}],
            "requirements":{"cpu":"2","memory":"1.5","disk":3,"url":"x"}}"#;
        let metadata = check(new, &["2", "1"], &[]).unwrap();
        assert_eq!(metadata.needs, Needs { cpu: 2.0, memory: 1.5, disk: 3.0 });
        let old =
            r#"{"name":"blog","version":"8.0, 5.7,5.6","requirements":{"cpu":"1","memory":"1","disk":"1"}}"#;
        assert_eq!(check(old, &["8.0", "5.7", "5.6"], &[]).unwrap().title, "blog");
    }

    #[test]
    fn what_is_wrong_in_it_is_said() {
        check("{", &[], &["metadata not JSON"]);
        check("{\"name\":1}", &[], &["metadata a value of another type than expected"]);
        let odd = r#"{"name":"other","release":false,"requirements":{"cpu":"NaN","memory":"-1","disk":"1"}}"#;
        let said = [
            "metadata no version is listed",
            "metadata requirements.cpu is not a number",
            "metadata requirements.memory is not a number",
            "name-differs other",
            "unreleased blog",
        ];
        let mut findings = Findings::default();
        Metadata::parse(odd.as_bytes(), "blog", &mut findings).unwrap();
        let mut found: Vec<String> =
            findings.sorted().iter().map(|f| format!("{} {}", f.code.as_str(), f.subject)).collect();
        found.sort();
        assert_eq!(found, said);
    }
}
