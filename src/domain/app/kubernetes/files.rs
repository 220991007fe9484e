//! Files of the template in containers: ConfigMaps with modes; for what is written to, a copy in a volume.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::domain::app::instance::File;
use crate::domain::app::kubernetes::names::label;
use crate::domain::app::kubernetes::volumes::Shelf;
use crate::domain::app::kubernetes::{Draft, hash};
use crate::domain::app::workload::{Mount, Service};

/// A single file of the template.
pub(crate) fn file(
    draft: &Draft<'_>,
    service: &Service,
    mount: &Mount,
    path: &str,
    shelf: &mut Shelf,
) -> Value {
    let files: BTreeMap<String, File> =
        draft.instance.files.get(path).map(|file| ("file".to_owned(), file.clone())).into_iter().collect();
    let volume = config(draft, service, path, files, shelf);
    // A mount of one file out of a volume: its neighbours in the image stay where they are.
    json!({ "name": volume, "mountPath": mount.target, "subPath": "file", "readOnly": true })
}

/// A folder of the template that is only read.
pub(crate) fn folder(
    draft: &Draft<'_>,
    service: &Service,
    mount: &Mount,
    path: &str,
    shelf: &mut Shelf,
) -> Value {
    let mut within = below(draft, path);
    if let Some(sub) = mount.subpath.as_deref().map(|sub| format!("{}/", sub.trim_matches('/'))) {
        within =
            within.into_iter().filter_map(|(p, f)| Some((p.strip_prefix(&sub)?.to_owned(), f))).collect();
    }
    let volume = if within.is_empty() {
        let name = format!("t-{}", hash(format!("{}\n{}", service.name, mount.target).as_bytes(), 10));
        shelf.add(json!({ "name": name, "emptyDir": {} }));
        name
    } else {
        config(draft, service, path, within, shelf)
    };
    json!({ "name": volume, "mountPath": mount.target, "readOnly": true })
}

/// Fills a volume, before the container starts, with those of the template's files that are not in it yet. The image
/// itself does it, since no other image is sure to be there; it needs a shell then.
pub(crate) fn copied(draft: &Draft<'_>, service: &Service, path: &str, mount: &Value, shelf: &mut Shelf) {
    let files = below(draft, path);
    let Some(image) = service.image.as_deref().filter(|_| !files.is_empty()) else { return };
    let name = label(&format!("copy-{}-{}", service.name, hash(path.as_bytes(), 6)), 63);
    let mut script = String::from("set -e");
    for file in files.keys() {
        let to = quoted(&format!("/to/{file}"));
        let from = quoted(&format!("/from/{file}"));
        if let Some((folder, _)) = file.rsplit_once('/') {
            script.push_str(&format!("\nmkdir -p {}", quoted(&format!("/to/{folder}"))));
        }
        script.push_str(&format!("\n[ -e {to} ] || cp {from} {to}"));
    }
    let volume = config(draft, service, path, files, shelf);
    let to = json!({ "name": mount["name"], "mountPath": "/to", "subPath": mount["subPath"] });
    shelf.before.push(json!({
        "name": name, "image": image, "command": ["sh", "-c", super::container::literal(&script)],
        "volumeMounts": [{ "name": volume, "mountPath": "/from", "readOnly": true }, to],
    }));
}

/// What the document itself says of files: a Secret holds them, since variables are put into them.
pub(crate) fn contents(draft: &Draft<'_>, service: &Service, shelf: &mut Shelf) -> Vec<Value> {
    let name = draft.names.part(&draft.names.base(&service.name), "files");
    let volume = label(&format!("files-{}", service.name), 63);
    let (mut data, mut items, mut mounts) = (Map::new(), Vec::new(), Vec::new());
    for (n, content) in service.contents.iter().enumerate() {
        let key = format!("f{n}");
        data.insert(key.clone(), Value::from(STANDARD.encode(&content.text)));
        items.push(json!({ "key": key, "path": key, "mode": mode(content.mode) }));
        mounts.push(json!({
            "name": volume, "mountPath": content.target, "subPath": key, "readOnly": true,
        }));
    }
    shelf.objects.push(draft.object("v1", "Secret", &name, json!({ "type": "Opaque", "data": data })));
    shelf.add(json!({ "name": volume, "secret": { "secretName": name, "items": items } }));
    mounts
}

/// The template's files below `path`, by their paths there. Its own scripts and documents are no part of `""`.
fn below(draft: &Draft<'_>, path: &str) -> BTreeMap<String, File> {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let files = draft.instance.files.iter().filter(|(file, _)| !file.ends_with('/'));
    files
        .filter_map(|(file, content)| Some((file.strip_prefix(&prefix)?.to_owned(), content.clone())))
        .collect()
}

/// A ConfigMap with `files`, and the pod's volume that shows them; gives the volume's name.
fn config(
    draft: &Draft<'_>,
    service: &Service,
    path: &str,
    files: BTreeMap<String, File>,
    shelf: &mut Shelf,
) -> String {
    let (mut text, mut binary, mut items) = (Map::new(), Map::new(), Vec::new());
    for (n, (path, file)) in files.iter().enumerate() {
        let key = format!("f{n}");
        match std::str::from_utf8(&file.bytes) {
            Ok(plain) => drop(text.insert(key.clone(), Value::from(plain))),
            Err(_) => drop(binary.insert(key.clone(), Value::from(STANDARD.encode(&file.bytes)))),
        }
        items.push(json!({ "key": key, "path": path, "mode": mode(file.mode) }));
    }
    let mut body = json!({});
    for (key, map) in [("data", text), ("binaryData", binary)] {
        if !map.is_empty() {
            body[key] = Value::Object(map);
        }
    }
    let mark = hash(path.as_bytes(), 8);
    let name = draft.names.part(&draft.names.base(&service.name), &mark);
    let volume = label(&format!("c-{mark}-{}", service.name), 63);
    let object = draft.object("v1", "ConfigMap", &name, body);
    if !shelf.objects.contains(&object) {
        shelf.objects.push(object);
    }
    shelf.add(json!({ "name": volume, "configMap": { "name": name, "items": items } }));
    volume
}

/// The permission bits; whoever the container runs as must be able to read, as with a bound file that is readable to all.
fn mode(mode: u32) -> u32 {
    mode & 0o777
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
