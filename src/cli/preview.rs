//! What the planner would do with the world as the objects tell it, PURE: the same functions that the service loop
//! calls, on what its last report says. It sees records that we made and no foreign ones; only the loop asks providers.

use std::collections::BTreeMap;

use crate::api::vocab::{Family, Line};
use crate::cli::world::World;
use crate::domain::cluster::Cluster;
use crate::domain::dns_plan::{DnsPlan, Found, FoundZone, plan};
use crate::domain::names::{DnsName, FieldError, ObjectId};
use crate::domain::records::{RecordKey, RecordSet, Service, Wish, ZoneId, id_of, wish};

/// One zone: what is wished for and what is thought to stand there.
pub struct Zone {
    /// Which.
    pub id: ZoneId,
    /// The wish.
    pub wish: Wish,
    /// The records of the last report.
    pub found: FoundZone,
    /// Who answers in the last report.
    pub nodes: BTreeMap<RecordKey, String>,
}

impl Zone {
    /// What would be done.
    pub fn plan(&self) -> DnsPlan {
        plan(&self.wish, &self.found)
    }

    /// Who would answer, and with what; `None` where the last record stays or nothing ever stood.
    pub fn answer(&self, key: &RecordKey) -> Option<(&str, &RecordSet)> {
        self.wish.wanted.get(key).map(|wanted| (wanted.node.as_str(), &wanted.set))
    }

    /// Every record that is wished for or kept, in order.
    pub fn keys(&self) -> Vec<RecordKey> {
        let mut keys: Vec<RecordKey> =
            self.wish.wanted.keys().chain(self.wish.kept.keys()).cloned().collect();
        keys.sort();
        keys
    }
}

/// All zones, and the services that can't be planned.
pub struct Preview {
    /// Zones in their order.
    pub zones: Vec<Zone>,
    /// Services with the field to mend.
    pub refused: BTreeMap<ObjectId, FieldError>,
}

/// Plans all zones of `world` on `cluster`, which need not be the cluster as it is.
pub fn preview(world: &World, cluster: &Cluster) -> Preview {
    let mut refused = BTreeMap::new();
    let mut by_zone: BTreeMap<ZoneId, Vec<Service>> = BTreeMap::new();
    for object in &world.services {
        match Service::parse(object) {
            Ok(service) => by_zone.entry(service.zone.clone()).or_default().push(service),
            Err(error) => drop(refused.insert(id_of(object), error)),
        }
    }
    let mut zones = Vec::new();
    for (id, services) in by_zone {
        let wish = wish(&services, cluster);
        refused.extend(wish.refused.clone());
        let (found, nodes) = found(&services);
        zones.push(Zone { id, wish, found, nodes });
    }
    Preview { zones, refused }
}

fn found(services: &[Service]) -> (FoundZone, BTreeMap<RecordKey, String>) {
    let mut zone = FoundZone::new();
    let mut nodes = BTreeMap::new();
    for service in services {
        for (&(line, family), last) in &service.last {
            let key = key(&service.name, line, family);
            let set = RecordSet::of(last.values.clone(), last.ttl);
            nodes.insert(key.clone(), last.node.clone());
            zone.insert(key, Found::ours(set));
        }
    }
    (zone, nodes)
}

fn key(name: &DnsName, line: Line, family: Family) -> RecordKey {
    RecordKey { name: name.clone(), line, family }
}
