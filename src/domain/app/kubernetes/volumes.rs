//! Claims for named volumes, and what a container mounts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::domain::app::instance::Instance;
use crate::domain::app::kubernetes::names::label;
use crate::domain::app::kubernetes::{Draft, VOLUME_ANNOTATION, files, hash, octets};
use crate::domain::app::workload::{Mount, Service, Source};

/// The folder of a claim that is mounted: a fresh file system has `lost+found` at its root, which databases take for data.
const WITHIN: &str = "data";

/// A pod's volumes, and the work that must be done before its containers start.
#[derive(Default)]
pub(crate) struct Shelf {
    /// Volumes by name.
    pub(crate) volumes: Vec<Value>,
    /// Containers that run before.
    pub(crate) before: Vec<Value>,
    /// ConfigMaps and Secrets that the pod reads.
    pub(crate) objects: Vec<Value>,
    /// Whether something that stays is mounted.
    pub(crate) stays: bool,
}

impl Shelf {
    pub(crate) fn add(&mut self, volume: Value) {
        if !self.volumes.iter().any(|known| known["name"] == volume["name"]) {
            self.volumes.push(volume);
        }
    }
}

/// A folder of the template that is written to: it is a volume in a cluster, called so.
pub(crate) fn folder_volume(path: &str) -> String {
    format!("folder-{}", if path.is_empty() { "template" } else { path })
}

/// Whether `path` of the template is a file.
pub(crate) fn is_file(instance: &Instance, path: &str) -> bool {
    instance.files.contains_key(path)
}

/// The volume that a mount needs; none where it keeps nothing.
pub(crate) fn kept(instance: &Instance, mount: &Mount) -> Option<String> {
    match &mount.source {
        Source::Volume(name) => Some(name.clone()),
        Source::Template(path) if !mount.read_only && !is_file(instance, path) => Some(folder_volume(path)),
        _ => None,
    }
}

/// A claim for each volume that is mounted. One node at a time may write: a cluster surely has that, and who shares a
/// volume is put on one node.
pub(crate) fn claims(draft: &mut Draft<'_>) -> Vec<Value> {
    let instance = draft.instance;
    let mut volumes = BTreeSet::new();
    for service in &instance.workload.services {
        volumes.extend(service.mounts.iter().filter_map(|mount| kept(instance, mount)));
    }
    let gib = instance.needs.disk.ceil();
    let gib =
        if 1.0 <= gib && gib < 65_536.0 { gib as u64 } else { u64::from(draft.options.volume_gib.max(1)) };
    let mut claims = Vec::new();
    for volume in volumes {
        let said = instance.workload.volumes.get(&volume);
        if said.is_some_and(|said| said.driver.is_some() || !said.options.is_empty()) {
            let words = "the cluster's storage class decides, not the template's driver";
            draft.degrade(format!("volumes.{volume}"), words);
        }
        let mut spec = json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": octets(gib << 30) } },
        });
        if let Some(class) = &draft.options.storage_class {
            spec["storageClassName"] = Value::from(class.as_str());
        }
        let name = draft.names.claim(&volume);
        let body = json!({ "metadata": { "annotations": { VOLUME_ANNOTATION: volume } }, "spec": spec });
        let mut claim = draft.object("v1", "PersistentVolumeClaim", &name, body);
        // Nobody owns it, so that no garbage collector takes data that are to be kept; an uninstall removes it itself.
        if let Some(metadata) = claim["metadata"].as_object_mut() {
            metadata.remove("ownerReferences");
        }
        claims.push(claim);
    }
    claims
}

/// What a service mounts, in the order of its template.
pub(crate) fn mounts(draft: &mut Draft<'_>, service: &Service, shelf: &mut Shelf) -> Vec<Value> {
    let mut mounts: Vec<Value> = Vec::new();
    for mount in &service.mounts {
        if let Some(made) = one(draft, service, mount, shelf) {
            // The last one at a place holds, as with an engine.
            mounts.retain(|known| known["mountPath"] != made["mountPath"]);
            mounts.push(made);
        }
    }
    if !service.contents.is_empty() {
        mounts.extend(files::contents(draft, service, shelf));
    }
    if let Some(size) = service.limits.shm {
        let name = label(&format!("shm-{}", service.name), 63);
        shelf.add(json!({ "name": name, "emptyDir": { "medium": "Memory", "sizeLimit": octets(size) } }));
        mounts.push(json!({ "name": name, "mountPath": "/dev/shm" }));
    }
    mounts
}

fn one(draft: &mut Draft<'_>, service: &Service, mount: &Mount, shelf: &mut Shelf) -> Option<Value> {
    let place = format!("{}.volumes", service.name);
    let target = mount.target.as_str();
    match &mount.source {
        Source::Volume(name) => Some(claimed(draft, name, mount, shelf)),
        Source::Anonymous => Some(scratch(service, mount, json!({}), shelf)),
        Source::Memory(size, mode) => {
            let mut memory = json!({ "medium": "Memory" });
            if let Some(size) = size {
                memory["sizeLimit"] = Value::from(octets(*size));
            }
            if mode.is_some_and(|mode| mode & 0o777 != 0o777) {
                draft.degrade(place, format!("{target} in memory has the mode 0777"));
            }
            Some(scratch(service, mount, memory, shelf))
        }
        Source::Host(path) => {
            if !matches!(path.as_str(), "/etc/localtime" | "/etc/timezone") {
                draft.degrade(place, format!("{path} of the host is not mounted at {target}"));
            }
            None
        }
        Source::Template(path) if is_file(draft.instance, path) => {
            if !mount.read_only {
                // Most templates leave `:ro` out and only read.
                draft.degrade(place, format!("{target} can only be read: it comes from a ConfigMap"));
            }
            Some(files::file(draft, service, mount, path, shelf))
        }
        Source::Template(path) if mount.read_only => Some(files::folder(draft, service, mount, path, shelf)),
        Source::Template(path) => {
            let made = claimed(draft, &folder_volume(path), mount, shelf);
            files::copied(draft, service, path, &made, shelf);
            Some(made)
        }
    }
}

fn claimed(draft: &Draft<'_>, volume: &str, mount: &Mount, shelf: &mut Shelf) -> Value {
    let name = label(&format!("v-{volume}"), 63);
    shelf.stays = true;
    shelf.add(json!({ "name": name, "persistentVolumeClaim": { "claimName": draft.names.claim(volume) } }));
    let within = mount.subpath.as_deref().map(|path| path.trim_matches('/')).filter(|path| !path.is_empty());
    let within = within.map_or(WITHIN.to_owned(), |path| format!("{WITHIN}/{path}"));
    let mut made = json!({ "name": name, "mountPath": mount.target, "subPath": within });
    if mount.read_only {
        made["readOnly"] = Value::from(true);
    }
    made
}

fn scratch(service: &Service, mount: &Mount, kind: Value, shelf: &mut Shelf) -> Value {
    let name = format!("t-{}", hash(format!("{}\n{}", service.name, mount.target).as_bytes(), 10));
    shelf.add(json!({ "name": name, "emptyDir": kind }));
    let mut made = json!({ "name": name, "mountPath": mount.target });
    if mount.read_only {
        made["readOnly"] = Value::from(true);
    }
    made
}
