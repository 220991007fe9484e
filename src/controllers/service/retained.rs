//! Records of deleted services that were to stay, for providers that keep nothing themselves: one ConfigMap a zone, so
//! that the next start serves them too. A service that takes the name up again owns them from then on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams};
use kube::{Api, Client};
use serde::{Deserialize, Serialize};

use crate::api::vocab::{Family, Line, PlatformProvider};
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::domain::names::DnsName;
use crate::domain::records::{RecordKey, RecordSet, ZoneId};

const LABEL: &str = "cocoasyncer.io/retained-zone";
const KEY: &str = "records.json";

/// Retained records by zone. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Retained {
    /// The ConfigMaps' namespace.
    system: Arc<str>,
    zones: Arc<Mutex<BTreeMap<DnsName, BTreeMap<RecordKey, RecordSet>>>>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    name: String,
    line: Line,
    family: Family,
    values: Vec<std::net::IpAddr>,
    ttl: u32,
}

impl Retained {
    /// Reads what earlier processes retained in the namespace `system`.
    pub async fn load(client: &Client, system: &str) -> Result<Self, kube::Error> {
        let retained = Self { system: system.into(), ..Self::default() };
        retained.reload(client).await?;
        Ok(retained)
    }

    /// Reads anew what is retained: another replica may have written it.
    pub async fn reload(&self, client: &Client) -> Result<(), kube::Error> {
        let api = Api::<ConfigMap>::namespaced(client.clone(), &self.system);
        let params = ListParams::default().labels(LABEL);
        let call = tokio::time::timeout(CALL_DEADLINE, api.list(&params)).await;
        let all = call.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())))?;
        let mut found = BTreeMap::new();
        for map in all.items {
            let zone = map.metadata.labels.as_ref().and_then(|labels| labels.get(LABEL));
            let zone = zone.and_then(|zone| DnsName::parse(zone, LABEL).ok());
            let rows = map.data.as_ref().and_then(|data| data.get(KEY));
            let rows: Option<Vec<Row>> = rows.and_then(|text| serde_json::from_str(text).ok());
            if let (Some(zone), Some(rows)) = (zone, rows) {
                let records = rows.into_iter().filter_map(read).collect();
                found.insert(zone, records);
            }
        }
        self.with(|zones| *zones = found);
        Ok(())
    }

    /// What is retained in `zone`.
    pub fn of(&self, zone: &DnsName) -> Vec<(RecordKey, RecordSet)> {
        self.with(|zones| {
            zones.get(zone).into_iter().flatten().map(|(k, s)| (k.clone(), s.clone())).collect()
        })
    }

    /// All zones that hold something.
    pub fn zones(&self) -> Vec<DnsName> {
        self.with(|zones| {
            zones.iter().filter(|(_, of)| !of.is_empty()).map(|(zone, _)| zone.clone()).collect()
        })
    }

    /// Notes records that stay, durably. A provider that keeps its records itself needs no note.
    pub async fn keep(
        &self,
        client: &Client,
        zone: &ZoneId,
        records: Vec<(RecordKey, RecordSet)>,
    ) -> Result<(), kube::Error> {
        if zone.provider != PlatformProvider::Local {
            return Ok(());
        }
        self.with(|zones| zones.entry(zone.zone.clone()).or_default().extend(records));
        self.store(client, &zone.zone).await
    }

    /// Forgets the records of names that a service owns again: from now on its status remembers them.
    pub async fn forget(
        &self,
        client: &Client,
        zone: &DnsName,
        owned: impl Fn(&DnsName) -> bool,
    ) -> Result<(), kube::Error> {
        let forgot = self.with(|zones| {
            let Some(of) = zones.get_mut(zone) else { return false };
            let before = of.len();
            of.retain(|key, _| !owned(&key.name));
            of.len() < before
        });
        if forgot { self.store(client, zone).await } else { Ok(()) }
    }

    async fn store(&self, client: &Client, zone: &DnsName) -> Result<(), kube::Error> {
        let rows: Vec<Row> = self.of(zone).into_iter().map(|(key, set)| row(key, set)).collect();
        let text = serde_json::to_string(&rows).map_err(kube::Error::SerdeError)?;
        let name = format!("cocoasyncer-retained-{zone}");
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some([(LABEL.to_owned(), zone.to_string())].into()),
                ..ObjectMeta::default()
            },
            data: Some([(KEY.to_owned(), text)].into()),
            ..ConfigMap::default()
        };
        let api = Api::<ConfigMap>::namespaced(client.clone(), &self.system);
        api.patch(&name, &PatchParams::apply("cocoasyncer/service").force(), &Patch::Apply(&map))
            .await
            .map(|_| ())
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<DnsName, BTreeMap<RecordKey, RecordSet>>) -> T) -> T {
        act(&mut self.zones.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read(row: Row) -> Option<(RecordKey, RecordSet)> {
    let name = DnsName::parse(&row.name, KEY).ok()?;
    let set = RecordSet::of(row.values.into_iter().collect(), row.ttl);
    Some((RecordKey { name, line: row.line, family: row.family }, set))
}

fn row(key: RecordKey, set: RecordSet) -> Row {
    let RecordKey { name, line, family } = key;
    Row { name: name.to_string(), line, family, values: set.values.iter().copied().collect(), ttl: set.ttl }
}
