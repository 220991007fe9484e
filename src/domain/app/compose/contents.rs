//! Configs and secrets: files of containers whose content stands in the document, in a variable or in the template.

use crate::domain::app::compose::reading::Reading;
use crate::domain::app::compose::{Declared, mounts};
use crate::domain::app::finding::{Code, Effect};
use crate::domain::app::workload::{Content, Mount, Source};
use crate::domain::app::yaml::Node;

/// A declared config or secret.
#[derive(Debug, Clone)]
pub enum Declaration {
    /// Its content.
    Text(String),
    /// A file of the template.
    File(String),
    /// Nobody knows its content; that is said where it is declared.
    Nothing,
}

/// Reads one declaration of `configs` or `secrets`.
pub fn declared(name: &str, node: &Node, reading: &mut Reading<'_>) -> Declaration {
    if let Some(file) = node.get("file") {
        mounts::file_of_template(file, "file", reading);
        return file.scalar().and_then(mounts::inside).map_or(Declaration::Nothing, Declaration::File);
    }
    if reading.flag(node, "external") {
        reading.say(Code::NotHonoured, Effect::Cannot, (node, name), "external");
        return Declaration::Nothing;
    }
    if let Some(content) = node.get("content").and_then(Node::scalar) {
        return Declaration::Text(content.to_owned());
    }
    let variable = node.get("environment").and_then(Node::scalar);
    let value = variable.map(|name| reading.env.get(name).unwrap_or_default().to_owned());
    value.map_or(Declaration::Nothing, Declaration::Text)
}

/// Reads `configs` and `secrets` of a service. What isn't text is mounted from the template instead.
pub fn read(node: &Node, declared: &Declared, reading: &mut Reading<'_>) -> (Vec<Content>, Vec<Mount>) {
    let (mut contents, mut binds) = (Vec::new(), Vec::new());
    for (key, secret) in [("configs", false), ("secrets", true)] {
        for item in reading.items(node, key) {
            let name =
                item.scalar().or_else(|| item.get("source").and_then(Node::scalar)).unwrap_or_default();
            let Some(declaration) = declared.files.get(&(secret, name.to_owned())) else {
                reading.say(Code::UnknownFile, Effect::Cannot, (item, key), name);
                continue;
            };
            let folder = if secret { "/run/secrets/" } else { "/" };
            let target = match reading.text(item, "target") {
                Some(target) if target.starts_with('/') => target.to_owned(),
                target => format!("{folder}{}", target.unwrap_or(name)),
            };
            let path = format!("{key}.mode");
            let mode = reading.parsed(item, (&path, "a mode such as 0440"), mode).unwrap_or(0o444);
            let text = match declaration {
                Declaration::Nothing => continue,
                Declaration::Text(text) => text.clone(),
                Declaration::File(path) => {
                    let bytes = reading.files.get(path).map(|file| file.bytes.to_vec()).unwrap_or_default();
                    match String::from_utf8(bytes) {
                        Ok(text) => text,
                        Err(_) => {
                            let source = Source::Template(path.clone());
                            binds.push(Mount { source, target, read_only: true, subpath: None });
                            continue;
                        }
                    }
                }
            };
            if !reading.takes(text.len(), (item, key)) {
                break;
            }
            contents.push(Content { target, text, mode, secret });
        }
    }
    (contents, binds)
}

/// A mode: octal where it begins with a nought, else the number that YAML made of it.
pub fn mode(text: &str) -> Option<u32> {
    let octal = text.strip_prefix("0o").or_else(|| text.strip_prefix('0')).filter(|rest| !rest.is_empty());
    let mode = octal.map_or_else(|| text.parse().ok(), |octal| u32::from_str_radix(octal, 8).ok());
    mode.filter(|mode| *mode <= 0o7777)
}
