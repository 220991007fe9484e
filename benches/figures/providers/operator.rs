//! The whole operator with the stand-in's account: the plane on disk, the loops in this process, no beats but those that
//! are given.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use cocoasyncer::api::service::ManagedService;
use cocoasyncer::api::vocab::{Line, PlatformProvider};
use cocoasyncer::api::{ACCESS_KEY, ACCESS_SECRET, PROVIDER_LABEL};
use cocoasyncer::controlplane::{ControlPlane, Options};
use cocoasyncer::domain::marks::{OwnerId, remark};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;
use tempfile::TempDir;

use super::fake::{Fake, KEY};
use crate::measure::until;
use crate::objects::create_all;
use crate::plane::directory;
use crate::support::{OWNER, World, cocoa_node, managed};

/// The vendor's quota of each kind of write, calls a second.
pub const QUOTA: f64 = 60.0;
/// Longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(20);

/// A site: its name and its lines. Its address is its place in the list.
pub type Sites<'a> = [(&'a str, &'a [Line])];

/// An operator at work, as the first of its sites.
pub struct Operator {
    pub world: World,
    pub fake: Fake,
    _dir: TempDir,
}

/// The vendor's code of a line.
pub fn code(line: Line) -> &'static str {
    match line {
        Line::Default => "default",
        Line::CT => "telecom",
        Line::CU => "unicom",
        Line::CMCC => "mobile",
        Line::CNEdu => "edu",
        Line::OverSea => "oversea",
    }
}

/// A service's name, in the plane and in its zone.
pub fn name(index: usize) -> String {
    format!("s{index:04}")
}

fn service(index: usize) -> ManagedService {
    let name = name(index);
    let mut service = managed(&name, &name);
    service.spec.platform_provider = PlatformProvider::Ali;
    service
}

fn address(site: usize) -> String {
    format!("203.0.113.{}", site + 1)
}

impl Operator {
    /// An operator whose first so many services have their records at the vendor already, as they should be.
    pub async fn start(sites: &Sites<'_>, standing: usize) -> anyhow::Result<Self> {
        let dir = directory()?;
        let plane =
            ControlPlane::open(Options { dir: Some(dir.path().into()), ..Options::default() }).await?;
        let fake = Fake::start()?;
        fake.plant(rows(sites, 0..standing)?)?;
        let world = World::over(plane, "n1").await;
        let operator = Self { world, fake, _dir: dir };
        operator.give_account().await?;
        for (index, (name, lines)) in sites.iter().enumerate() {
            operator.world.create_node(&cocoa_node(name, lines, &address(index))).await;
        }
        operator.create(0..standing).await?;
        if 0 < standing {
            operator.until_ready(standing).await?;
            operator.until_quiet().await?;
            anyhow::ensure!(operator.fake.count("AddDomainRecord")? == 0, "what stands there is written");
            operator.fake.forget()?;
        }
        Ok(operator)
    }

    async fn give_account(&self) -> anyhow::Result<()> {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": { "name": "platform-ali", "namespace": "default", "labels": { PROVIDER_LABEL: "Ali" } },
            "stringData": { ACCESS_KEY: KEY.0, ACCESS_SECRET: KEY.1, "endpoint": self.fake.endpoint },
        }))?;
        create_all(&Api::namespaced(self.world.client.clone(), "default"), vec![secret], 1).await
    }

    /// Creates services.
    pub async fn create(&self, services: Range<usize>) -> anyhow::Result<()> {
        create_all(&self.world.services(), services.map(service).collect(), 64).await
    }

    /// Waits until there are so many services and all are Ready.
    pub async fn until_ready(&self, count: usize) -> anyhow::Result<()> {
        let is_ready = |service: &ManagedService| {
            let conditions = service.status.iter().flat_map(|status| &status.conditions);
            conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
        };
        until("all services are ready", PATIENCE, PAUSE, || async {
            let services = self.world.services().list(&Default::default()).await.ok()?;
            (services.items.len() == count && services.iter().all(is_ready)).then_some(())
        })
        .await
    }

    /// Waits until the vendor has been called so often.
    pub async fn until_called(&self, action: &str, times: usize) -> anyhow::Result<()> {
        until(&format!("{action} was called {times} times"), PATIENCE, PAUSE, || async {
            (times <= self.fake.count(action).ok()?).then_some(())
        })
        .await
    }

    /// Waits until the vendor has not been called for a second.
    pub async fn until_quiet(&self) -> anyhow::Result<()> {
        let mut last = BTreeMap::new();
        loop {
            let now = self.fake.counts()?;
            if now == last {
                return Ok(());
            }
            last = now;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// The records of services as the stand-in is given them.
fn rows(sites: &Sites<'_>, services: Range<usize>) -> anyhow::Result<Vec<[String; 4]>> {
    let mark = remark(&OwnerId::parse(OWNER, "")?);
    let lines = || {
        let numbered = sites.iter().enumerate();
        numbered.flat_map(|(site, (_, lines))| lines.iter().map(move |line| (*line, address(site))))
    };
    let of = |index: usize| {
        let mark = mark.clone();
        lines().map(move |(line, value)| [name(index), code(line).into(), value, mark.clone()])
    };
    Ok(services.flat_map(of).collect())
}

/// Calls of a scenario: what was made, and what could not be done with fewer.
pub struct Calls {
    pub of: &'static str,
    pub made: usize,
    pub necessary: usize,
}

impl Calls {
    /// What was made since the calls were last forgotten.
    pub fn count(of: &'static str, operator: &Operator, necessary: usize) -> anyhow::Result<Self> {
        Ok(Self { of, made: operator.fake.counts()?.values().sum(), necessary })
    }

    /// How many times the necessary.
    pub fn ratio(&self) -> f64 {
        self.made as f64 / self.necessary as f64
    }
}
