//! The board: the latest pulse and addresses of every node. Beats and address searches write it, the snapshot reads
//! it; whoever waits is woken only when something changed that could move a record.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::api::node::{CocoaNode, Liveness};
use crate::domain::cluster::{Addresses, Vital};
use crate::domain::liveness::{Pulse, Reading};

/// Vitals by object name.
pub type Vitals = BTreeMap<String, Vital>;

/// The board. Cloning is cheap; all clones are one board.
#[derive(Clone)]
pub struct Board {
    vitals: watch::Sender<Arc<Vitals>>,
    /// How each node's addresses were learned, or why not.
    learned: watch::Sender<Arc<BTreeMap<String, Learned>>>,
}

/// How addresses were learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// `fixed`, `echo`, `service`, `node` or `peer`.
    pub source: &'static str,
    /// What went wrong last, in words; the addresses are then the last known ones.
    pub trouble: Option<String>,
}

impl Default for Board {
    fn default() -> Self {
        Self { vitals: watch::Sender::new(Arc::default()), learned: watch::Sender::new(Arc::default()) }
    }
}

impl Board {
    /// Puts nodes on the board as their status last told, and takes off those that are gone.
    pub fn keep(&self, nodes: &[CocoaNode], now: Timestamp) {
        self.vitals.send_if_modified(|vitals| {
            let known =
                |node: &CocoaNode| vitals.contains_key(node.metadata.name.as_deref().unwrap_or_default());
            if nodes.len() == vitals.len() && nodes.iter().all(known) {
                return false;
            }
            let mut next = Vitals::new();
            for node in nodes {
                let name = node.metadata.name.clone().unwrap_or_default();
                let vital = vitals.get(&name).cloned().unwrap_or_else(|| Vital::reported(node, now));
                next.insert(name, vital);
            }
            *vitals = Arc::new(next);
            true
        });
    }

    /// Takes a reading of a peer; returns its pulse before and after.
    pub fn read(
        &self,
        name: &str,
        reading: Reading,
        settings: &Liveness,
        now: Timestamp,
    ) -> Option<(Pulse, Pulse)> {
        let mut turned = None;
        self.vitals.send_if_modified(|vitals| {
            let Some(vital) = Arc::make_mut(vitals).get_mut(name) else { return false };
            let before = vital.pulse;
            vital.pulse = before.step(reading, settings, now);
            turned = Some((before, vital.pulse));
            before.life != vital.pulse.life
        });
        turned
    }

    /// Feeds this node's own watchdog.
    pub fn feed(&self, name: &str, now: Timestamp) {
        self.vitals.send_if_modified(|vitals| {
            let Some(vital) = Arc::make_mut(vitals).get_mut(name) else { return false };
            let began = !vital.pulse.lives();
            let since = if began { now } else { vital.pulse.since };
            vital.pulse = Pulse::own(since, now);
            began
        });
    }

    /// Takes what was learned of a node's addresses. A family that an attempt could not learn keeps what it had.
    pub fn learn(&self, name: &str, addresses: Addresses, learned: Learned) {
        self.vitals.send_if_modified(|vitals| {
            let Some(vital) = vitals.get(name) else { return false };
            let mut next = addresses;
            if learned.trouble.is_some() {
                for (family, values) in &vital.addresses {
                    next.entry(*family).or_insert_with(|| values.clone());
                }
            }
            if vital.addresses == next {
                return false;
            }
            if let Some(vital) = Arc::make_mut(vitals).get_mut(name) {
                vital.addresses = next;
            }
            true
        });
        self.learned.send_if_modified(|all| {
            if all.get(name) == Some(&learned) {
                return false;
            }
            Arc::make_mut(all).insert(name.to_owned(), learned);
            true
        });
    }

    /// The vitals now.
    pub fn vitals(&self) -> Arc<Vitals> {
        self.vitals.borrow().clone()
    }

    /// How addresses were learned.
    pub fn learned(&self) -> Arc<BTreeMap<String, Learned>> {
        self.learned.borrow().clone()
    }

    /// Wakes when a node lived or died, or an address changed.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Vitals>> {
        self.vitals.subscribe()
    }
}
