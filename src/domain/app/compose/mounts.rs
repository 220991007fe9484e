//! `volumes`, `tmpfs` and other paths: what is mounted, and whether it may be.

use crate::domain::app::compose::reading::Reading;
use crate::domain::app::compose::{Declared, contents, values};
use crate::domain::app::finding::{Code, Effect, Right};
use crate::domain::app::template::Entry;
use crate::domain::app::workload::{Mount, Source};
use crate::domain::app::yaml::Node;

/// What a ConfigMap holds (Kubernetes' documentation).
const CONFIG_MAP: u64 = 1 << 20;
/// Options of the short syntax that compose knows, access apart.
const OPTIONS: [&str; 14] = [
    "z",
    "Z",
    "cached",
    "delegated",
    "consistent",
    "nocopy",
    "copy",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "private",
    "rprivate",
    "rbind",
];

/// Reads `volumes` and `tmpfs` of a service.
pub fn read(node: &Node, declared: &Declared, reading: &mut Reading<'_>) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for item in reading.items(node, "volumes") {
        let mount = match item.scalar() {
            Some(text) => short(text, item, reading),
            None => long(item, reading),
        };
        let Some(mount) = mount else { continue };
        if !mount.target.starts_with('/') {
            reading.bad((item, "volumes"), &format!("target {:?} is not absolute", mount.target));
        }
        match &mount.source {
            Source::Volume(name) if !declared.volumes.contains_key(name) => {
                reading.say(Code::UnknownVolume, Effect::Cannot, (item, "volumes"), name);
            }
            Source::Template(path) => template_path(path, &mount, item, reading),
            Source::Host(path) => host_path(path, mount.read_only, (item, "volumes"), reading),
            _ => {}
        }
        mounts.push(mount);
    }
    for (text, item) in reading.texts(node, "tmpfs") {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        if !target.starts_with('/') {
            reading.bad((item, "tmpfs"), &format!("{target:?} is not absolute"));
        }
        mounts.push(Mount {
            source: memory(options),
            target: target.to_owned(),
            read_only: options.split(',').any(|option| option == "ro"),
            subpath: None,
        });
    }
    mounts
}

/// `size=64m,mode=1777`: what an engine knows of a file system in memory. A mode is octal there.
fn memory(options: &str) -> Source {
    let option = |name: &str| options.split(',').find_map(|option| option.strip_prefix(name));
    let mode = option("mode=").and_then(|mode| u32::from_str_radix(mode, 8).ok());
    Source::Memory(option("size=").and_then(values::size), mode.filter(|mode| *mode <= 0o7777))
}

/// `[source:]target[:options]`.
fn short(text: &str, item: &Node, reading: &mut Reading<'_>) -> Option<Mount> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => {
            reading.bad((item, "volumes"), &format!("{text:?} is not [source:]target[:options]"));
            return None;
        }
    };
    if target.is_empty() || (source.is_empty() && 1 < parts.len()) {
        reading.bad((item, "volumes"), &format!("{text:?} lacks its source or target"));
        return None;
    }
    let mut read_only = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" => {}
            known if OPTIONS.contains(&known) => {}
            unknown => reading.say(Code::MountMode, Effect::Odd, (item, "volumes"), unknown),
        }
    }
    let source =
        if source.is_empty() { Source::Anonymous } else { sourced(source, (item, "volumes"), reading)? };
    Some(Mount { source, target: target.to_owned(), read_only, subpath: None })
}

/// A volume's name, or a path: compose tells them apart by the first character.
fn sourced(source: &str, at: (&Node, &str), reading: &mut Reading<'_>) -> Option<Source> {
    if source.starts_with('/') {
        return Some(Source::Host(plain(source)));
    }
    if source.starts_with('~') {
        return Some(Source::Host(source.to_owned()));
    }
    if !source.starts_with('.') {
        return Some(Source::Volume(source.to_owned()));
    }
    match inside(source) {
        Some(path) => Some(Source::Template(path)),
        None => {
            reading.say(Code::PathLeaves, Effect::Cannot, at, source);
            None
        }
    }
}

fn long(item: &Node, reading: &mut Reading<'_>) -> Option<Mount> {
    let known = ["type", "source", "target", "read_only", "bind", "volume", "tmpfs", "consistency", "image"];
    for (key, value) in item.entries() {
        if !known.contains(&key.as_str()) && !key.starts_with("x-") {
            reading.unused(None, value, &format!("volumes.{key}"));
        }
    }
    let target = reading.text(item, "target").map(str::to_owned);
    let Some(target) = target else {
        reading.bad((item, "volumes"), "target is missing");
        return None;
    };
    let read_only = reading.flag(item, "read_only");
    let source = reading.text(item, "source").map(str::to_owned);
    let source = match (reading.text(item, "type").unwrap_or("volume"), source) {
        ("volume", None) => Source::Anonymous,
        ("volume", Some(name)) => Source::Volume(name),
        ("tmpfs", _) => {
            let tmpfs = item.get("tmpfs").unwrap_or(item);
            let size = reading.parsed(tmpfs, ("volumes.tmpfs.size", "a size"), values::size);
            Source::Memory(size, reading.parsed(tmpfs, ("volumes.tmpfs.mode", "a mode"), contents::mode))
        }
        ("bind", Some(path)) => {
            // Here a path without a dot in front is a path all the same.
            let plain = path.starts_with(['/', '~', '.']);
            let path = if plain { path } else { format!("./{path}") };
            sourced(&path, (item, "volumes"), reading)?
        }
        ("bind", None) => {
            reading.bad((item, "volumes"), "a bind needs a source");
            return None;
        }
        (kind, _) => {
            reading.say(
                Code::NotHonoured,
                Effect::Cannot,
                (item, "volumes.type"),
                &format!("volumes.type {kind}"),
            );
            return None;
        }
    };
    let volume = item.get("volume").filter(|_| matches!(source, Source::Volume(_)));
    let subpath = volume.and_then(|volume| reading.text(volume, "subpath")).map(str::to_owned);
    if let Some(path) = subpath.as_deref().filter(|path| inside(path).is_none()) {
        reading.say(Code::PathLeaves, Effect::Cannot, (item, "volumes.volume.subpath"), path);
    }
    Some(Mount { source, target, read_only, subpath })
}

/// A path of the template as its entries are named, `""` for the template itself; none where it leads out.
pub fn inside(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!path.starts_with('/')).then(|| parts.join("/"))
}

/// An absolute path without `.`, `..` and doubled slashes: `/var/./run/../run` is `/var/run`.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn template_path(path: &str, mount: &Mount, item: &Node, reading: &mut Reading<'_>) {
    let at = (item, "volumes");
    let shown = format!("./{path}");
    match reading.template.entries.get(path) {
        _ if path.is_empty() => {
            reading.say_each(Code::WritableFolder, (Effect::Fine, Effect::Odd), at, &shown);
        }
        None => reading.say(Code::MissingBind, Effect::Odd, at, &shown),
        Some(Entry::File(size)) if CONFIG_MAP < *size => {
            reading.say_each(Code::ConfigTooLarge, (Effect::Fine, Effect::Cannot), at, &shown);
        }
        Some(Entry::File(_)) => {}
        Some(Entry::Folder) => {
            let below = format!("{path}/");
            let files = reading.template.entries.range(below.clone()..);
            let sizes =
                files.take_while(|(path, _)| path.starts_with(&below)).map(|(_, entry)| match entry {
                    Entry::File(size) => *size,
                    Entry::Folder => 0,
                });
            if CONFIG_MAP < sizes.sum() {
                reading.say_each(Code::ConfigTooLarge, (Effect::Fine, Effect::Cannot), at, &shown);
            }
            if !mount.read_only {
                reading.say_each(Code::WritableFolder, (Effect::Fine, Effect::Odd), at, &shown);
            }
        }
    }
}

/// Says what a path of the host means: nothing for its clock's zone, all of the host for the engine's socket.
pub fn host_path(path: &str, read_only: bool, at: (&Node, &str), reading: &mut Reading<'_>) {
    let path = plain(path);
    if read_only && matches!(path.as_str(), "/etc/localtime" | "/etc/timezone") {
        reading.say(Code::HostClock, Effect::Note, at, &path);
        return;
    }
    // A folder above the socket gives the socket too.
    let holds_socket =
        path.ends_with("docker.sock") || matches!(path.as_str(), "/" | "/var" | "/run" | "/var/run");
    if holds_socket {
        let effects = (Effect::Needs(Right::DockerSocket), Effect::Cannot);
        reading.say_each(Code::DockerSocket, effects, at, &path);
    }
    if !path.ends_with("docker.sock") {
        let effects = (Effect::Needs(Right::HostPath), Effect::Cannot);
        reading.say_each(Code::HostPath, effects, at, &path);
    }
}

/// Says whether the file that a config, a secret or an `env_file` names is in the template.
pub fn file_of_template(node: &Node, key: &str, reading: &mut Reading<'_>) {
    let Some(path) = node.scalar() else { return };
    match inside(path) {
        None => reading.say(Code::PathLeaves, Effect::Cannot, (node, key), path),
        Some(inside) => {
            let there = matches!(reading.template.entries.get(&inside), Some(Entry::File(_)));
            if !there {
                reading.say(Code::Missing, Effect::Cannot, (node, key), path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leaves_the_template_is_none_of_its() {
        let cases = [
            ("./src/a", Some("src/a")),
            ("src//./a/", Some("src/a")),
            (".", Some("")),
            ("./src/../.env", Some(".env")),
            ("..", None),
            ("./src/../../other/.env", None),
            ("/etc/passwd", None),
        ];
        for (path, expect) in cases {
            assert_eq!(inside(path).as_deref(), expect, "{path}");
        }
        assert_eq!(plain("/var/./lib/../run//docker.sock"), "/var/run/docker.sock");
        assert_eq!(plain("/../.."), "/");
    }
}
