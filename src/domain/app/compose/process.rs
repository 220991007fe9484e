//! What a service runs, as whom, in which environment, and when it comes back. Values only; what is wrong is said here too.

use std::collections::BTreeMap;

use crate::domain::app::compose::reading::Reading;
use crate::domain::app::compose::{mounts, values};
use crate::domain::app::env_file::Env;
use crate::domain::app::finding::{Code, Effect, Findings};
use crate::domain::app::template::ENV;
use crate::domain::app::workload::{Check, Health, PullPolicy, Restart};
use crate::domain::app::yaml::{Node, Value};

/// `command` or `entrypoint`: a list, or a line that is split into words. None: the image's.
pub fn line(node: &Node, key: &str, reading: &mut Reading<'_>) -> Option<Vec<String>> {
    let value = node.get(key).filter(|value| !value.is_null())?;
    let texts = reading.texts(node, key);
    let words = match value.scalar() {
        None => Some(texts.into_iter().map(|(text, _)| text.to_owned()).collect()),
        Some(text) => values::words(text),
    };
    if words.is_none() {
        reading.bad((value, key), "a quote is not closed");
    }
    // An empty command leaves the image's; an empty entrypoint takes it away.
    words.filter(|words: &Vec<String>| !words.is_empty() || key == "entrypoint")
}

/// `user`.
pub fn user(node: &Node, reading: &mut Reading<'_>) -> Option<String> {
    let user = reading.text(node, "user")?;
    let named = user.split(':').next().unwrap_or(user);
    // A cluster can do root by number without asking the image.
    if named.parse::<u32>().is_err() && named != "root" {
        let at = node.get("user").unwrap_or(node);
        reading.say_each(Code::UserName, (Effect::Fine, Effect::Odd), (at, "user"), user);
    }
    Some(user.to_owned())
}

/// `restart`, else what `deploy.restart_policy` says.
pub fn restart(node: &Node, reading: &mut Reading<'_>) -> Restart {
    let Some(policy) = reading.text(node, "restart") else { return deployed(node, reading) };
    let at = (node.get("restart").unwrap_or(node), "restart");
    let (word, times) = policy.split_once(':').map_or((policy, None), |(word, times)| (word, Some(times)));
    let count = times.and_then(|times| times.parse::<u32>().ok());
    let counts = times.is_none() || word == "on-failure" && count.is_some();
    match word {
        "no" | "false" if counts => Restart::No,
        "always" if counts => Restart::Always,
        "unless-stopped" if counts => Restart::UnlessStopped,
        "on-failure" if counts => Restart::OnFailure(count),
        // The engine's tools refuse it, and what is meant is plain.
        "none" | "never" if times.is_none() => {
            let what = format!("restart: {policy}, which is taken as no,");
            reading.say(Code::LeftOut, Effect::Note, at, &what);
            Restart::No
        }
        _ => {
            let what = format!("{policy:?} is not no, always, on-failure[:times] or unless-stopped");
            reading.bad(at, &what);
            Restart::Unsaid
        }
    }
}

fn deployed(node: &Node, reading: &mut Reading<'_>) -> Restart {
    let Some(policy) = node.get("deploy").and_then(|deploy| deploy.get("restart_policy")) else {
        return Restart::Unsaid;
    };
    let number = |text: &str| text.parse::<u32>().ok();
    let most = reading.parsed(policy, ("deploy.restart_policy.max_attempts", "a number"), number);
    match policy.get("condition").and_then(Node::scalar) {
        Some("none") => Restart::No,
        Some("on-failure") => Restart::OnFailure(most),
        Some("unless-stopped") => Restart::UnlessStopped,
        _ => Restart::Always,
    }
}

/// `pull_policy`; images are never built, and those that age are pulled at each install.
pub fn pull(node: &Node, reading: &mut Reading<'_>) -> PullPolicy {
    match reading.text(node, "pull_policy") {
        Some("never") => PullPolicy::Never,
        Some("always" | "daily" | "weekly" | "refresh") => PullPolicy::Always,
        Some(every) if every.starts_with("every_") => PullPolicy::Always,
        _ => PullPolicy::Missing,
    }
}

/// The environment: `env_file` in the order of the files, `environment` over it. A name without a value takes that of the
/// template's variable, and where there is none the container has none either.
pub fn environment(node: &Node, reading: &mut Reading<'_>) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    for item in reading.items(node, "env_file") {
        let (path, required) = match item.get("path") {
            _ if item.scalar().is_some() => (item, true),
            Some(path) => (path, item.get("required").is_none() || reading.flag(item, "required")),
            None => {
                reading.bad((item, "env_file"), "path is missing");
                continue;
            }
        };
        if required {
            mounts::file_of_template(path, "env_file", reading);
        }
        let env = env_file(path, reading);
        let octets = env.iter().map(|(key, variable)| key.len() + variable.value.len()).sum();
        if !reading.takes(octets, (item, "env_file")) {
            break;
        }
        for (key, variable) in env.iter() {
            environment.insert(key.to_owned(), variable.value.clone());
        }
    }
    for (name, value, item) in reading.pairs(node, "environment", &['=']) {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            reading.bad((item, "environment"), &format!("{name:?} is no name of a variable"));
            continue;
        }
        match value.or_else(|| reading.env.get(&name)) {
            Some(value) => drop(environment.insert(name, value.to_owned())),
            None => drop(environment.remove(&name)),
        }
    }
    environment
}

fn env_file(node: &Node, reading: &mut Reading<'_>) -> Env {
    let Some(path) = node.scalar().and_then(mounts::inside) else { return Env::default() };
    if path == ENV {
        return reading.env.clone();
    }
    let Some(file) = reading.files.get(&path) else { return Env::default() };
    if !reading.takes(file.bytes.len(), (node, "env_file")) {
        return Env::default();
    }
    let over = |name: &str| reading.env.get(name).map(str::to_owned);
    let mut found = Findings::default();
    let env = Env::parse_over(&file.bytes, &path, &over, &BTreeMap::new(), &mut found);
    found.sorted().into_iter().for_each(|finding| reading.findings.add(finding));
    env
}

/// `healthcheck`.
pub fn health(node: &Node, reading: &mut Reading<'_>) -> (Health, Option<Check>) {
    let Some(check) = node.get("healthcheck") else { return (Health::Unsaid, None) };
    for (key, value) in check.entries() {
        if !super::keys::HEALTH.contains(&key.as_str()) && !key.starts_with("x-") {
            reading.unused(None, value, &format!("healthcheck.{key}"));
        }
    }
    let mut duration = |key: &str| {
        let path = format!("healthcheck.{key}");
        reading.parsed(check, (&path, "a duration such as 1m30s"), values::duration)
    };
    let mut read = Check {
        interval: duration("interval"),
        timeout: duration("timeout"),
        start_period: duration("start_period"),
        start_interval: duration("start_interval"),
        ..Check::default()
    };
    read.retries =
        reading.parsed(check, ("healthcheck.retries", "a number"), |text| text.parse::<u32>().ok());
    if reading.flag(check, "disable") {
        return (Health::Off, None);
    }
    let Some(test) = check.get("test") else { return (Health::Unsaid, None) };
    let words: Vec<String> =
        reading.texts(check, "test").into_iter().map(|(text, _)| text.to_owned()).collect();
    match (words.first().map(String::as_str), matches!(test.value, Value::Scalar(_))) {
        (Some("NONE"), _) => (Health::Off, None),
        (Some(_), true) => (Health::Checked, Some(Check { command: words, shell: true, ..read })),
        (Some(kind @ ("CMD" | "CMD-SHELL")), false) if 1 < words.len() => {
            let shell = kind == "CMD-SHELL";
            // The engine hands its shell the first word alone.
            let command = if shell { vec![words[1].clone()] } else { words[1..].to_vec() };
            (Health::Checked, Some(Check { command, shell, ..read }))
        }
        _ => {
            let what = "a list begins with CMD, CMD-SHELL or NONE, and a command follows";
            reading.bad((test, "healthcheck.test"), what);
            (Health::Unsaid, None)
        }
    }
}
