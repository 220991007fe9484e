//! One service's container. What its processes find in their environment lies in a Secret, and so does every word of a
//! command that holds a secret: whoever may read pods must not read passwords.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::domain::app::kubernetes::volumes::{self, Shelf};
use crate::domain::app::kubernetes::{Draft, Level, cores, octets, probes, security};
use crate::domain::app::workload::{Health, PullPolicy, Service};

/// The variable with a health check's text, where that holds a secret.
pub(crate) const CHECK_VARIABLE: &str = "COCOASYNCER_CHECK";
/// What a container is promised where the template only bounds it: enough to be placed by, not so much that a small node
/// is full at once.
const PROMISED: (u64, u64) = (100, 128 << 20);

/// `text` so that a cluster gives it on as it stands: `$(NAME)` and `$$` mean something there.
pub(crate) fn literal(text: &str) -> String {
    match text.contains("$(") || text.contains("$$") {
        true => text.replace('$', "$$"),
        false => text.to_owned(),
    }
}

/// A service's container, called `name`; what it reads goes into `shelf`.
pub(crate) fn container(
    draft: &mut Draft<'_>,
    service: &Service,
    name: &str,
    level: Level,
    shelf: &mut Shelf,
) -> Value {
    let image = service.image.clone().unwrap_or_default();
    let mut container = json!({ "name": name, "image": image });
    let mut values = Values::default();
    for (key, value) in &service.environment {
        let told = draft.names.told(value);
        match is_variable(key) {
            true => drop(values.data.insert(key.clone(), encoded(&told))),
            false => {
                draft.degrade(format!("{}.environment", service.name), format!("a pod can't have {key}"))
            }
        }
    }
    for (key, words) in [("command", &service.entrypoint), ("args", &service.command)] {
        let Some(words) = words else { continue };
        let words: Vec<Value> = words.iter().map(|word| values.word(draft, word)).collect();
        if !words.is_empty() {
            container[key] = Value::Array(words);
        }
    }
    if service.entrypoint.as_ref().is_some_and(Vec::is_empty) {
        emptied(draft, service, &mut container);
    }
    let hidden = values.check(draft, service);
    values.give(draft, service, &mut container, shelf);
    let mounts = volumes::mounts(draft, service, shelf);
    if !mounts.is_empty() {
        container["volumeMounts"] = Value::Array(mounts);
    }
    rest(draft, service, &mut container);
    container["securityContext"] = security::container(draft, service, level);
    probes::probes(draft, service, hidden, &mut container);
    container
}

/// An image's entrypoint that is taken away leaves the command to be run by itself.
fn emptied(draft: &mut Draft<'_>, service: &Service, container: &mut Value) {
    let Some(map) = container.as_object_mut() else { return };
    match map.remove("args") {
        Some(words) => drop(map.insert("command".into(), words)),
        None => draft.degrade(
            format!("{}.entrypoint", service.name),
            "a cluster can't take an image's entrypoint away without a command in its place",
        ),
    }
}

/// What of it needs no thought.
fn rest(draft: &mut Draft<'_>, service: &Service, container: &mut Value) {
    if let Some(folder) = &service.working_dir {
        container["workingDir"] = Value::from(folder.as_str());
    }
    for (key, set) in [("tty", service.sandbox.tty), ("stdin", service.sandbox.stdin_open)] {
        if set {
            container[key] = Value::from(true);
        }
    }
    let pull = match service.pull {
        PullPolicy::Missing => "IfNotPresent",
        PullPolicy::Always => "Always",
        PullPolicy::Never => "Never",
    };
    container["imagePullPolicy"] = Value::from(pull);
    let resources = resources(draft, service);
    if !resources.is_empty() {
        container["resources"] = Value::Object(resources);
    }
    if let Some(signal) = &service.stop_signal {
        let words = format!("it is stopped with the image's own signal and not {signal}");
        draft.degrade(format!("{}.stop_signal", service.name), words);
    }
    if let Some(platform) = &service.platform {
        let words = format!("the cluster's nodes are not asked to be {platform}");
        draft.degrade(format!("{}.platform", service.name), words);
    }
}

fn resources(draft: &mut Draft<'_>, service: &Service) -> Map<String, Value> {
    let limits = &service.limits;
    let (mut most, mut promised) = (Map::new(), Map::new());
    let cpu = limits.cpu_reserved.or(limits.cpu.map(|cpu| cpu.min(PROMISED.0)));
    let memory = limits.memory_reserved.or(limits.memory.map(|memory| memory.min(PROMISED.1)));
    for (map, cpu, memory) in [(&mut most, limits.cpu, limits.memory), (&mut promised, cpu, memory)] {
        if let Some(cpu) = cpu.filter(|cpu| *cpu != 0) {
            map.insert("cpu".into(), Value::from(cores(cpu)));
        }
        if let Some(memory) = memory.filter(|memory| *memory != 0) {
            map.insert("memory".into(), Value::from(octets(memory)));
        }
    }
    if let Some(gpus) = limits.gpus.filter(|gpus| *gpus != 0) {
        let words = "graphics processors are asked for as nvidia.com/gpu, one where the template wants all";
        draft.degrade(format!("{}.gpus", service.name), words);
        most.insert("nvidia.com/gpu".into(), Value::from(gpus.max(1).to_string()));
    }
    let both = [("limits", most), ("requests", promised)];
    both.into_iter()
        .filter(|(_, map)| !map.is_empty())
        .map(|(k, map)| (k.into(), Value::Object(map)))
        .collect()
}

/// What lies in the service's Secret.
#[derive(Default)]
struct Values {
    data: Map<String, Value>,
    words: Map<String, Value>,
}

impl Values {
    /// A word of a command; one with a secret is only named there.
    fn word(&mut self, draft: &Draft<'_>, word: &str) -> Value {
        let told = draft.names.told(word);
        if draft.instance.masked(&told) == told {
            return Value::from(literal(&told));
        }
        let name = format!("COCOASYNCER_WORD_{}", self.words.len());
        self.words.insert(name.clone(), encoded(&told));
        Value::from(format!("$({name})"))
    }

    /// Hides a check with a secret in a variable, where a shell can read it there; whether it did.
    fn check(&mut self, draft: &mut Draft<'_>, service: &Service) -> bool {
        let Some(check) = service.check.as_ref().filter(|_| service.health == Health::Checked) else {
            return false;
        };
        let text = check.command.join(" ");
        if draft.instance.masked(&text) == text {
            return false;
        }
        // Words without a shell are made words of one; an image whose check needs a password has one.
        let words = check.command.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''")));
        let text = if check.shell { text } else { words.collect::<Vec<_>>().join(" ") };
        self.words.insert(CHECK_VARIABLE.into(), encoded(&text));
        true
    }

    fn give(self, draft: &Draft<'_>, service: &Service, container: &mut Value, shelf: &mut Shelf) {
        let base = draft.names.base(&service.name);
        if !self.data.is_empty() {
            let name = draft.names.part(&base, "env");
            container["envFrom"] = json!([{ "secretRef": { "name": name } }]);
            let body = json!({ "type": "Opaque", "data": self.data });
            shelf.objects.push(draft.object("v1", "Secret", &name, body));
        }
        if !self.words.is_empty() {
            let name = draft.names.part(&base, "words");
            let from = |key: &String| json!({ "name": key, "valueFrom": { "secretKeyRef": { "name": name, "key": key } } });
            container["env"] = Value::Array(self.words.keys().map(from).collect());
            let body = json!({ "type": "Opaque", "data": self.words });
            shelf.objects.push(draft.object("v1", "Secret", &name, body));
        }
    }
}

fn encoded(text: &str) -> Value {
    Value::from(STANDARD.encode(text))
}

/// Whether a pod can have a variable of this name, as a key of a Secret too.
fn is_variable(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !name.is_empty()
        && name.len() <= 253
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.starts_with("..")
        && name != "."
        && name.bytes().all(plain)
}
