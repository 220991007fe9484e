//! Planning: twelve thousand records against twelve hundred, both where nothing has to change and where a death moves a
//! line of every service.

use std::collections::{BTreeMap, BTreeSet};

use cocoasyncer::api::vocab::Family;
use cocoasyncer::domain::cluster::{Cluster, Vital};
use cocoasyncer::domain::dns_plan::{Found, FoundZone, plan};
use cocoasyncer::domain::liveness::Pulse;
use cocoasyncer::domain::records::{Service, wish};
use k8s_openapi::jiff::Timestamp;

use crate::measure::{Pairs, seconds};
use crate::objects;
use crate::report::{Figure, Promise};

const TURNS: usize = 25;

struct World {
    services: Vec<Service>,
    whole: Cluster,
    without_one: Cluster,
    standing: FoundZone,
}

impl World {
    fn of(services: usize) -> anyhow::Result<Self> {
        let now = Timestamp::now();
        let nodes = (1..=50)
            .map(|index| objects::node(index, "http://node.invalid"))
            .collect::<Result<Vec<_>, _>>()?;
        let vitals = |lost: usize| -> BTreeMap<String, Vital> {
            let vital = |index: usize| {
                let addresses =
                    BTreeMap::from([(Family::V4, BTreeSet::from([objects::public(index).into()]))]);
                let pulse = if index == lost { Pulse::unseen(now) } else { Pulse::own(now, now) };
                (format!("n{index:02}"), Vital { pulse, addresses })
            };
            (1..=50).map(vital).collect()
        };
        let services: Vec<Service> = (0..services)
            .map(|index| Ok(Service::parse(&objects::service(index * objects::ZONES)?)?))
            .collect::<anyhow::Result<_>>()?;
        let whole = Cluster::of(&nodes, &vitals(0), now);
        let wanted = wish(services.iter(), &whole).wanted;
        let found = Found::ours;
        let standing = wanted.into_iter().map(|(key, wanted)| (key, found(wanted.set))).collect();
        Ok(Self { services, without_one: Cluster::of(&nodes, &vitals(3), now), whole, standing })
    }

    fn quiet(&self) -> f64 {
        seconds(|| plan(&wish(self.services.iter(), &self.whole), &self.standing)) * 1000.0
    }

    fn failover(&self) -> f64 {
        seconds(|| plan(&wish(self.services.iter(), &self.without_one), &self.standing)) * 1000.0
    }
}

/// Measures.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    let (small, large) = (World::of(200)?, World::of(2000)?);
    anyhow::ensure!(small.standing.len() == 1200 && large.standing.len() == 12_000, "six records a service");
    let moved = plan(&wish(large.services.iter(), &large.without_one), &large.standing).changes.len();
    anyhow::ensure!(moved == 2000, "a death moves one line of every service, not {moved} records");
    let figure = |what, pairs: Pairs| {
        let (large, small) = pairs.medians();
        Figure {
            what,
            measured: pairs.ratio(),
            unit: "x",
            promise: Promise::AtMost(12.0),
            ratio: (pairs.ratio(), "1,200 records"),
            raw: format!("{large:.2} ms for 12,000 records, {small:.3} ms for 1,200"),
        }
    };
    let quiet = Pairs::measure(TURNS, || Ok(large.quiet()), || Ok(small.quiet()))?;
    let failover = Pairs::measure(TURNS, || Ok(large.failover()), || Ok(small.failover()))?;
    Ok(vec![
        figure("planning 12,000 records, nothing to do", quiet),
        figure("planning 12,000 records, 2,000 move", failover),
    ])
}
