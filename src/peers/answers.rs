//! What of a peer's answer can be used: which entry is the peer itself, and which of its words may be repeated.

use crate::domain::secret::Secret;
use crate::wire::cluster::{CocoaBasic, MASK, NodeInfo};
use crate::wire::render::without_user;

/// The entry that is the peer itself: by its code, else by its address, else by its name. Old programs mask codes.
pub(super) fn own_info<'a>(basic: &'a CocoaBasic, base_url: &str) -> Option<&'a NodeInfo> {
    let nodes = &basic.other_cocoa_syncer;
    let by = |wanted: Option<&str>, of: fn(&NodeInfo) -> &str| {
        let wanted = wanted?;
        let mut hits = nodes.iter().filter(|node| of(node) == wanted);
        // Two of one name are none: the wrong watchdog is worse than no watchdog.
        hits.next().filter(|_| hits.next().is_none())
    };
    let address = |text: &str| unmasked(without_user(text).trim_end_matches('/')).map(str::to_owned);
    by(unmasked(&basic.node_code), |node| &node.node_code)
        .or_else(|| {
            by(address(&basic.node_address).as_deref(), |node| node.node_address.trim_end_matches('/'))
        })
        .or_else(|| by(unmasked(&basic.node_name), |node| &node.node_name))
        .or_else(|| by(address(base_url).as_deref(), |node| node.node_address.trim_end_matches('/')))
        .or_else(|| if nodes.len() == 1 { nodes.first() } else { None })
}

/// A peer's words as they may be repeated: short, on one line, and without the secret that it was just told.
pub(super) fn repeatable(said: &str, secret: &Secret) -> String {
    let said = if secret.is_empty() { said.to_owned() } else { said.replace(secret.expose(), MASK) };
    said.chars().filter(|c| !c.is_control()).take(512).collect()
}

/// A text that is not masked away.
pub(super) fn unmasked(text: &str) -> Option<&str> {
    let masked = text.is_empty() || text.chars().all(|c| c == '*') || text == MASK;
    if masked { None } else { Some(text) }
}
