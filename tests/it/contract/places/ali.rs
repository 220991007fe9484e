//! Alidns, by its stand-in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::domain::dns_plan::Limits;
use cocoasyncer::domain::marks::OwnerId;
use cocoasyncer::domain::names::DnsName;
use cocoasyncer::domain::records::RecordKey;
use cocoasyncer::domain::secret::Secret;
use cocoasyncer::providers::DnsProvider;
use cocoasyncer::providers::ali::account::Account;
use cocoasyncer::providers::ali::{AliProvider, Patience};

use crate::contract::bench::{
    BELOW, Bench, Doomed, ME, Mark, Moment, Nature, Stranger, THEIR_TTL, Truth, name, row,
};
use crate::contract::story::Sets;
use crate::support::ali::FakeAli;
use crate::support::ali::faults::{Fault, Mishap, Trouble};
use crate::support::ali::zones::{Edition, Record};
use crate::support::servers::ZONE;

const LINES: [(Line, &str); 6] = [
    (Line::Default, "default"),
    (Line::CT, "telecom"),
    (Line::CU, "unicom"),
    (Line::CMCC, "mobile"),
    (Line::CNEdu, "edu"),
    (Line::OverSea, "oversea"),
];

/// Ours.
const MARK: &str = "cocoasyncer-v1,it";

struct Ali(Arc<FakeAli>);

pub async fn open() -> Option<Box<dyn Bench>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let fake = FakeAli::start().await;
    fake.add_key("main", "canary-id", "canary-secret");
    fake.add_zone("main", ZONE, Edition::EnterpriseUltimate);
    fake.add_zone("main", BELOW, Edition::Free);
    fake.set_lines(BELOW, &["default", "telecom"]);
    // How the quotas are kept is shown elsewhere.
    fake.no_limits();
    fake.writes_take(Duration::ZERO);
    Some(Box::new(Ali(Arc::new(fake))))
}

impl Ali {
    fn records(&self, key: &RecordKey) -> Vec<Record> {
        let mut records = self.0.records(ZONE);
        records.retain(|record| self::key(record, &name(ZONE)).is_some_and(|(of, _)| of == *key));
        records
    }
}

/// The set that a record is of, where it is an address on one of our lines.
fn key(record: &Record, zone: &DnsName) -> Option<(RecordKey, IpAddr)> {
    let family = Family::ALL.into_iter().find(|family| family.record_type() == record.kind)?;
    let (line, _) = LINES.into_iter().find(|(_, code)| *code == record.line)?;
    let name = zone.child(&record.rr, "rr").unwrap();
    Some((RecordKey { name, line, family }, record.value.parse().unwrap()))
}

fn code(line: Line) -> &'static str {
    LINES.iter().find(|(known, _)| *known == line).unwrap().1
}

#[async_trait]
impl Bench for Ali {
    fn nature(&self) -> Nature {
        Nature {
            limits: Limits { lines: Line::ALL.into(), ttl_floor: 1 },
            limits_below: Limits { lines: [Line::Default, Line::CT].into(), ttl_floor: 600 },
            holds: |_| true,
            by_hand: true,
            marks_each: true,
            makes: 1_200,
            hosted: true,
        }
    }

    fn provider(&self) -> Arc<dyn DnsProvider> {
        self.0.end_troubles();
        let endpoint = self.0.endpoint();
        let data = [("accessKey", "canary-id"), ("accessSecret", "canary-secret"), ("endpoint", &endpoint)];
        let data = data.map(|(key, text)| (key.to_owned(), Secret::new(text)));
        let account = Account::parse(&data.into()).unwrap();
        let me = OwnerId::parse(ME, "").unwrap();
        // Deadlines are no matter here, and time may be made to run.
        let long = Duration::from_secs(100_000);
        let patience = Patience { call: long, change: long };
        Arc::new(AliProvider::with_patience(account, me, Default::default(), patience).unwrap())
    }

    async fn doomed(&self, calls: usize, moment: Moment) -> Option<Doomed> {
        let provider = self.provider();
        self.0.forget_calls();
        let fault = match moment {
            Moment::Before => Fault::Instead(Mishap::Hang),
            Moment::After => Fault::DoneBut(Mishap::Hang),
        };
        self.0.trouble(Trouble::anywhere(fault).skip(calls).times(1));
        let fake = self.0.clone();
        let dies = Box::pin(async move { fake.until("it dies", |fake| calls < fake.calls().len()).await });
        Some(Doomed { provider, dies })
    }

    async fn plant(&self, strangers: &[Stranger]) {
        for stranger in strangers {
            let rr = |name: &DnsName| name.relative_to(&self::name(ZONE)).unwrap().to_owned();
            let record =
                Record::new(&rr(&stranger.name), stranger.kind, code(stranger.line), &stranger.value);
            let remark = if stranger.mark == Mark::You { "cocoasyncer-v1,you" } else { "" };
            self.0.plant(ZONE, record.ttl(THEIR_TTL).remark(remark));
            if let Some((at, text)) = stranger.claim() {
                self.0.plant(ZONE, Record::new(&rr(&at), "TXT", "default", text).ttl(THEIR_TTL));
            }
        }
    }

    async fn inherit(&self, sets: &Sets) {
        for (key, set) in sets {
            let rr = key.name.relative_to(&name(ZONE)).unwrap();
            for value in set.values.iter() {
                let record = Record::new(rr, key.family.record_type(), code(key.line), &value.to_string());
                self.0.plant(ZONE, record.ttl(set.ttl).remark(MARK));
            }
        }
    }

    async fn erase(&self, key: &RecordKey) {
        self.records(key).iter().for_each(|record| self.0.erase(ZONE, record.id));
    }

    async fn alter(&self, key: &RecordKey, value: IpAddr) {
        let records = self.records(key);
        let (first, more) = records.split_first().unwrap();
        self.0.alter(ZONE, first.id, |record| record.value = value.to_string());
        more.iter().for_each(|record| self.0.erase(ZONE, record.id));
    }

    async fn truth(&self, zone: &DnsName) -> Truth {
        let mut truth = Truth::default();
        for record in self.0.records(zone.as_str()) {
            match key(&record, zone) {
                Some((key, value)) if record.remark == MARK => {
                    truth.ours.push(row(&key, &value, record.ttl));
                }
                _ => truth.rest.push(record.text()),
            }
        }
        truth.sorted()
    }

    /// The provider keeps the published quotas by itself: here its clock runs ahead between any two steps.
    fn hurry(&self) {
        tokio::time::pause();
        tokio::spawn(async {
            loop {
                // A paused clock leaps when all wait, for the network, too; not so while a thread is at work.
                tokio::task::spawn_blocking(std::thread::yield_now).await.unwrap();
                tokio::time::advance(Duration::from_millis(18)).await;
            }
        });
    }
}
