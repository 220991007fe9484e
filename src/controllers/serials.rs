//! Serials across restarts and replicas. A zone's serial is the clock's seconds, or one more than before where changes
//! come faster; one that ran ahead of the clock is noted in a ConfigMap, so that the next process goes on above it.
//! Where replicas serve the same zones the active one notes all, and the standbys raise theirs to that. Without
//! replicas, zones that change at an ordinary pace are never noted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Client};

use crate::controllers::shared::report::CALL_DEADLINE;
use crate::domain::names::DnsName;

/// The ConfigMap with the noted serials, by zone.
pub const SERIALS_CONFIG_MAP: &str = "cocoasyncer-serials";
/// How far beyond the serial is noted, so that a burst of changes is one write.
const RESERVE: u32 = 16;

/// Which serials are noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noting {
    /// Those that are ahead of the clock, for the next process.
    Ahead,
    /// All, for other replicas.
    All,
}

/// What is noted. Losing it costs no more than a serial that falls once. Clones are one.
#[derive(Debug, Clone)]
pub struct Serials {
    /// The ConfigMap's namespace.
    system: Arc<str>,
    noting: Noting,
    noted: Arc<Mutex<BTreeMap<DnsName, u32>>>,
}

impl Serials {
    /// Reads what others noted in the namespace `system`.
    pub async fn load(client: &Client, system: &str, noting: Noting) -> Result<Self, kube::Error> {
        let serials = Self { system: system.into(), noting, noted: Arc::default() };
        serials.reload(client).await?;
        Ok(serials)
    }

    /// Which are noted.
    pub fn noting(&self) -> Noting {
        self.noting
    }

    /// Reads anew what others noted.
    pub async fn reload(&self, client: &Client) -> Result<(), kube::Error> {
        let api = Api::<ConfigMap>::namespaced(client.clone(), &self.system);
        let call = tokio::time::timeout(CALL_DEADLINE, api.get_opt(SERIALS_CONFIG_MAP)).await;
        let map = call.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())))?;
        let data = map.and_then(|map| map.data).unwrap_or_default();
        let read = |(zone, serial): (String, String)| {
            Some((DnsName::parse(&zone, SERIALS_CONFIG_MAP).ok()?, serial.parse().ok()?))
        };
        *self.lock() = data.into_iter().filter_map(read).collect();
        Ok(())
    }

    /// What is noted, by zone.
    pub fn noted(&self) -> BTreeMap<DnsName, u32> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DnsName, u32>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes these serials, unless what is noted covers them.
    pub async fn note(&self, client: &Client, serials: &[(DnsName, u32)]) -> Result<(), kube::Error> {
        let noted = self.noted();
        let beyond = match self.noting {
            Noting::Ahead => RESERVE,
            Noting::All => 0,
        };
        // Serials count in a circle (RFC 1982): behind is whoever is less than half of it away.
        let covered = |(zone, serial): &&(DnsName, u32)| {
            noted.get(zone).is_some_and(|noted| noted.wrapping_sub(*serial) < 1 << 31)
        };
        let fresh: Vec<_> = serials.iter().filter(|one| !covered(one)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let mut next = noted.clone();
        next.extend(fresh.into_iter().map(|(zone, serial)| (zone.clone(), serial.wrapping_add(beyond))));
        store(client, &self.system, &next).await?;
        *self.lock() = next;
        Ok(())
    }
}

async fn store(client: &Client, system: &str, serials: &BTreeMap<DnsName, u32>) -> Result<(), kube::Error> {
    let name = Some(SERIALS_CONFIG_MAP.to_owned());
    let map = ConfigMap {
        metadata: ObjectMeta { name, ..ObjectMeta::default() },
        data: Some(serials.iter().map(|(zone, serial)| (zone.to_string(), serial.to_string())).collect()),
        ..ConfigMap::default()
    };
    let api = Api::<ConfigMap>::namespaced(client.clone(), system);
    let params = PatchParams::apply("cocoasyncer/zones").force();
    let patch = Patch::Apply(&map);
    let call = tokio::time::timeout(CALL_DEADLINE, api.patch(SERIALS_CONFIG_MAP, &params, &patch)).await;
    call.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into()))).map(|_| ())
}
