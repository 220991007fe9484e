//! Digests of all that a container is made from: another digest, another container.

use std::fmt::Write;

use ring::digest::{Context, SHA256};
use serde::Serialize;

use crate::domain::app::instance::Files;
use crate::domain::app::workload::{Service, Source, Volume, Workload};

/// What services are made from beside themselves.
pub struct Ground<'a> {
    /// All of them, with the volumes.
    pub workload: &'a Workload,
    /// The template's files.
    pub files: &'a Files,
    /// The `.env` as it now stands, for those that mount it.
    pub env: &'a str,
    /// The shared network, for the service that is in it.
    pub shared: Option<&'a str>,
}

/// The digest of `service`. Where it stands in the document is no part of it, nor who waits for whom.
pub fn of(service: &Service, ground: &Ground<'_>) -> String {
    let mut context = Context::new(&SHA256);
    let bare = Service { line: 0, waits: Vec::new(), profiles: Vec::new(), ..service.clone() };
    part(&mut context, &bare);
    part(&mut context, &ground.shared);
    for mount in &service.mounts {
        match &mount.source {
            Source::Volume(name) => part::<Option<&Volume>>(&mut context, &ground.workload.volumes.get(name)),
            Source::Template(path) => files(&mut context, path, ground),
            Source::Anonymous | Source::Host(_) | Source::Memory(..) => {}
        }
    }
    let mut text = String::with_capacity(64);
    for octet in context.finish().as_ref() {
        // Writing into a text can't fail.
        let _ = write!(text, "{octet:02x}");
    }
    text
}

fn part<T: Serialize>(context: &mut Context, value: &T) {
    // Structs and ordered maps with texts for keys: there is nothing in them that JSON can't hold.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    octets(context, &bytes);
}

/// Each part with its length, so that no two rows of parts come to one.
fn octets(context: &mut Context, bytes: &[u8]) {
    context.update(&(bytes.len() as u64).to_be_bytes());
    context.update(bytes);
}

fn files(context: &mut Context, path: &str, ground: &Ground<'_>) {
    if path.is_empty() || path == super::ENV {
        octets(context, ground.env.as_bytes());
    }
    let below = format!("{path}/");
    let inside = |name: &str| path.is_empty() || name == path || name.starts_with(&below);
    for (name, file) in ground.files.iter().filter(|(name, _)| inside(name)) {
        octets(context, name.as_bytes());
        octets(context, &file.mode.to_be_bytes());
        octets(context, &file.bytes);
    }
}
