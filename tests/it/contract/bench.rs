//! What a case needs of a place beside the provider: to do things behind its back, and to read the truth past it.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::domain::dns_plan::{Limits, Owner};
use cocoasyncer::domain::names::DnsName;
use cocoasyncer::domain::records::RecordKey;
use cocoasyncer::providers::DnsProvider;
use futures::future::BoxFuture;

use super::story::Sets;
use crate::support::servers::ZONE;

/// The zone below [`ZONE`], which every place has, too.
pub const BELOW: &str = "sub.example.com";
/// Who we are at every place.
pub const ME: &str = "it";
/// Seconds; of what others put there.
pub const THEIR_TTL: u32 = 3600;

/// What a place can do by its nature.
pub struct Nature {
    /// What it can do in [`ZONE`].
    pub limits: Limits,
    /// What it can do in [`BELOW`].
    pub limits_below: Limits,
    /// Whether it can hold this record of somebody else's.
    pub holds: fn(&Stranger) -> bool,
    /// Whether others can write there.
    pub by_hand: bool,
    /// Whether each record has a mark, so that ours can stand in one set with another's.
    pub marks_each: bool,
    /// How many records it makes in a test's time, where that is not any number.
    pub makes: usize,
    /// Whether somebody sets zones up; else one begins with its first record.
    pub hosted: bool,
}

/// Whose a stranger's record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Nobody says.
    None,
    /// Another installation of ours.
    You,
    /// external-dns, by a text at the name itself.
    ExternalDns,
    /// external-dns, by a text at the name with the type before it.
    ExternalDnsTyped,
}

/// A record that isn't ours.
#[derive(Debug, Clone)]
pub struct Stranger {
    pub name: DnsName,
    pub line: Line,
    /// `A`, `MX`, …
    pub kind: &'static str,
    pub value: String,
    pub mark: Mark,
}

impl Stranger {
    /// An unmarked one in [`ZONE`].
    pub fn new(record: &str, line: Line, kind: &'static str, value: &str) -> Self {
        Self { name: in_zone(record), line, kind, value: value.to_owned(), mark: Mark::None }
    }

    pub fn marked(self, mark: Mark) -> Self {
        Self { mark, ..self }
    }

    /// Its key, where it is an address.
    pub fn key(&self) -> Option<RecordKey> {
        let family = Family::ALL.into_iter().find(|family| family.record_type() == self.kind)?;
        Some(RecordKey { name: self.name.clone(), line: self.line, family })
    }

    /// The text by which external-dns claims it, and where that stands.
    pub fn claim(&self) -> Option<(DnsName, &'static str)> {
        let at = match self.mark {
            Mark::ExternalDns => self.name.clone(),
            Mark::ExternalDnsTyped => name(&format!("{}-{}", self.kind.to_lowercase(), self.name)),
            Mark::None | Mark::You => return None,
        };
        Some((at, "heritage=external-dns,external-dns/owner=prod,external-dns/resource=ingress/x/y"))
    }

    /// Whose a listing says it is.
    pub fn owner(&self) -> Owner {
        match self.mark {
            Mark::None => Owner::Unmarked,
            Mark::You => Owner::Foreign("CocoaSyncer \"you\"".into()),
            Mark::ExternalDns | Mark::ExternalDnsTyped => Owner::Foreign("external-dns \"prod\"".into()),
        }
    }
}

/// A zone as it is, read past the provider. Lists, so that what is there twice is seen twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// Records that bear our mark, as [`row`]s.
    pub ours: Vec<String>,
    /// All else, marks without a record among it, in the place's own words.
    pub rest: Vec<String>,
}

impl Truth {
    pub fn sorted(mut self) -> Self {
        self.ours.sort();
        self.rest.sort();
        self
    }
}

/// One record as [`Truth`] says it.
pub fn row(key: &RecordKey, value: &IpAddr, ttl: u32) -> String {
    format!("{key} {value} {ttl}")
}

/// When a provider dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the call is heard.
    Before,
    /// After all is done, before the answer is heard.
    After,
}

/// A provider that will not survive, and what tells when it is to die.
pub struct Doomed {
    pub provider: Arc<dyn DnsProvider>,
    pub dies: BoxFuture<'static, ()>,
}

/// One provider's place.
#[async_trait]
pub trait Bench: Send + Sync {
    fn nature(&self) -> Nature;

    /// The provider as a process has it: every call is a process of its own, and the one before has ended.
    fn provider(&self) -> Arc<dyn DnsProvider>;

    /// One that dies at its call number `calls`; none where nothing can come between its calls, for it makes none.
    async fn doomed(&self, _calls: usize, _moment: Moment) -> Option<Doomed> {
        None
    }

    /// Puts records of ours there, which a process made long ago; for a place that makes few in a test's time.
    async fn inherit(&self, _sets: &Sets) {
        unreachable!("it makes them itself");
    }

    /// Puts records of others there.
    async fn plant(&self, strangers: &[Stranger]);

    /// Takes a set away with its marks, as somebody else would.
    async fn erase(&self, key: &RecordKey);

    /// Gives a set of ours this one value, as somebody would who doesn't look at marks.
    async fn alter(&self, key: &RecordKey, value: IpAddr);

    /// A zone as it is.
    async fn truth(&self, zone: &DnsName) -> Truth;

    /// Makes time go by faster, where the provider keeps to a pace.
    fn hurry(&self) {}
}

pub fn name(text: &str) -> DnsName {
    DnsName::parse(text, "test").unwrap()
}

/// The full name of a record in [`ZONE`].
pub fn in_zone(record: &str) -> DnsName {
    name(ZONE).child(record, "test").unwrap()
}

/// Says that a case is none for a place.
#[allow(clippy::print_stderr, reason = "a skip is loud")]
pub fn not_here(why: &str) {
    eprintln!("SKIPPED: {why}");
}
