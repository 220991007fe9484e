//! Serials across restarts. A zone's serial is the clock's seconds, or one more than before where changes come faster; one
//! that ran ahead of the clock is noted in a ConfigMap, so that the next process goes on above it. Zones that change at
//! an ordinary pace are never noted.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Client};

use crate::controllers::shared::report::CALL_DEADLINE;
use crate::domain::names::DnsName;

/// The ConfigMap with the noted serials, by zone.
pub const SERIALS_CONFIG_MAP: &str = "cocoasyncer-serials";
/// How far beyond the serial is noted, so that a burst of changes is one write.
const RESERVE: u32 = 16;

/// What is noted. Losing it costs no more than a serial that falls once.
#[derive(Debug, Default)]
pub struct Serials {
    /// The ConfigMap's namespace.
    system: String,
    noted: BTreeMap<DnsName, u32>,
}

impl Serials {
    /// Reads what earlier processes noted in the namespace `system`.
    pub async fn load(client: &Client, system: &str) -> Result<Self, kube::Error> {
        let api = Api::<ConfigMap>::namespaced(client.clone(), system);
        let data = api.get_opt(SERIALS_CONFIG_MAP).await?.and_then(|map| map.data).unwrap_or_default();
        let read = |(zone, serial): (String, String)| {
            Some((DnsName::parse(&zone, SERIALS_CONFIG_MAP).ok()?, serial.parse().ok()?))
        };
        Ok(Self { system: system.to_owned(), noted: data.into_iter().filter_map(read).collect() })
    }

    /// What is noted, by zone.
    pub fn noted(&self) -> BTreeMap<DnsName, u32> {
        self.noted.clone()
    }

    /// Notes serials that are ahead of the clock, unless what is noted covers them.
    pub async fn note(&mut self, client: &Client, ahead: &[(DnsName, u32)]) -> Result<(), kube::Error> {
        // Serials count in a circle (RFC 1982): behind is whoever is less than half of it away.
        let covered = |(zone, serial): &&(DnsName, u32)| {
            self.noted.get(zone).is_some_and(|noted| noted.wrapping_sub(*serial) < 1 << 31)
        };
        let fresh: Vec<_> = ahead.iter().filter(|one| !covered(one)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let mut next = self.noted.clone();
        next.extend(fresh.into_iter().map(|(zone, serial)| (zone.clone(), serial.wrapping_add(RESERVE))));
        store(client, &self.system, &next).await?;
        self.noted = next;
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
