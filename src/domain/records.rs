//! Services x line assignment x addresses: the records that should stand in one zone, and what must be left as it is.

mod fit;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::service::ManagedService;
use crate::api::vocab::{DeletionPolicy, Family, Line, PlatformProvider};
use crate::api::{ADOPT_ANNOTATION, RELEASE_ANNOTATION, RELEASED_BY_LEADER};
use crate::domain::cluster::{Cluster, Member};
use crate::domain::lines::{Assignment, Holder, Why, assign};
use crate::domain::names::{DnsName, FieldError, ObjectId};
use crate::domain::sharing::{HEAVIEST, Sharing, Weights};

/// What a record set is found by: name, line and type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// Full name.
    pub name: DnsName,
    /// The line; `default` sorts first, so it is written first.
    pub line: Line,
    /// The type.
    pub family: Family,
}

/// The addresses of a record set. A copy shares them: thousands of sets name the same few sites, in the wish, in the zone
/// and in what was found there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(Arc<BTreeSet<IpAddr>>);

impl Deref for Values {
    type Target = BTreeSet<IpAddr>;

    fn deref(&self) -> &BTreeSet<IpAddr> {
        &self.0
    }
}

impl From<BTreeSet<IpAddr>> for Values {
    fn from(all: BTreeSet<IpAddr>) -> Self {
        Self(Arc::new(all))
    }
}

impl<const N: usize> From<[IpAddr; N]> for Values {
    fn from(all: [IpAddr; N]) -> Self {
        BTreeSet::from(all).into()
    }
}

impl FromIterator<IpAddr> for Values {
    fn from_iter<T: IntoIterator<Item = IpAddr>>(all: T) -> Self {
        BTreeSet::from_iter(all).into()
    }
}

/// What a record set says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordSet {
    /// Its values, at least one.
    pub values: Values,
    /// Seconds it may be kept.
    pub ttl: u32,
    /// In which proportion its values are given; none: as provider and resolvers like.
    pub weights: Weights<IpAddr>,
}

impl RecordSet {
    /// A set without weights.
    pub fn of(values: Values, ttl: u32) -> Self {
        Self { values, ttl, weights: Weights::default() }
    }

    /// Whether it is as `wished`. Weights that nobody wished for are somebody's at the provider, and stay.
    pub fn is_as(&self, wished: &RecordSet) -> bool {
        let RecordSet { values, ttl, weights } = wished;
        (&self.values, self.ttl) == (values, *ttl) && (weights.is_empty() || self.weights == *weights)
    }
}

/// Zone, platform and account: what one list call and one batch cover.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId {
    /// The platform.
    pub provider: PlatformProvider,
    /// The account's Secret, where the service names one.
    pub account: Option<ObjectId>,
    /// The zone.
    pub zone: DnsName,
}

impl ZoneId {
    /// Whether both zones lie in one account, where a name can stand only once.
    pub fn is_beside(&self, other: &ZoneId) -> bool {
        (self.provider, &self.account) == (other.provider, &other.account)
    }

    /// Whether one of the zones lies below the other, in one account: then a name can be written in both.
    pub fn nests_with(&self, other: &ZoneId) -> bool {
        let below = self.zone.is_within(&other.zone) || other.zone.is_within(&self.zone);
        self.zone != other.zone && self.is_beside(other) && below
    }
}

/// What stood in a service's status for one line and family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// The node.
    pub node: String,
    /// The values.
    pub values: Values,
    /// The TTL.
    pub ttl: u32,
    /// Since when.
    pub since: Timestamp,
    /// Whether the line was not the node's own.
    pub taken_over: bool,
    /// The owners that shared it by the specs, whether they could answer or not.
    pub sharers: Weights<String>,
}

/// A ManagedService whose fields have been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The object.
    pub id: ObjectId,
    /// When it was created; of two for one name the older counts.
    pub created: Option<Timestamp>,
    /// Where its records live.
    pub zone: ZoneId,
    /// Full name.
    pub name: DnsName,
    /// Seconds.
    pub ttl: u32,
    /// The nodes that serve it; empty: all.
    pub nodes: BTreeSet<String>,
    /// Nodes that share the lines that several of them own.
    pub weights: BTreeMap<String, u8>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether its records stay when it goes.
    pub retain: bool,
    /// The digest of the held plan that its owner released.
    pub release: Option<String>,
    /// Whether foreign records under its name may be taken over.
    pub adopt: bool,
    /// Its records as last reported.
    pub last: BTreeMap<(Line, Family), Last>,
    /// Records whose creation has begun, with what was to be put there: one found unmarked is a half of ours.
    pub begun: BTreeMap<(Line, Family), Values>,
}

impl Service {
    /// Reads an object; the refusal names the field.
    pub fn parse(object: &ManagedService) -> Result<Self, FieldError> {
        let meta = &object.metadata;
        let id = id_of(object);
        let spec = &object.spec;
        let zone = DnsName::parse(&spec.domain, "spec.domain")?;
        if zone.as_str().starts_with('*') || !zone.as_str().contains('.') {
            return Err(FieldError::new(
                "spec.domain",
                format!("{} is not a zone: write e.g. example.com", zone),
            ));
        }
        let name = zone.child(&spec.record, "spec.record")?;
        if !(1..=86400).contains(&spec.ttl) {
            return Err(FieldError::new(
                "spec.ttl",
                format!("{} is out of range: use 1 to 86400 seconds", spec.ttl),
            ));
        }
        if let Some((node, weight)) = spec.weights.iter().find(|(_, w)| !(1..=HEAVIEST).contains(*w)) {
            let why = format!("{weight} of {node} is out of range: use 1 to {HEAVIEST}");
            return Err(FieldError::new("spec.weights", why));
        }
        let account = spec.account_ref.as_ref();
        let account = account.map(|r| ObjectId { namespace: id.namespace.clone(), name: r.name.clone() });
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key)).cloned();
        Ok(Self {
            created: meta.creation_timestamp.as_ref().map(|t| t.0),
            zone: ZoneId { provider: spec.platform_provider, account, zone },
            name,
            ttl: spec.ttl,
            nodes: spec.nodes.iter().cloned().collect(),
            weights: spec.weights.clone(),
            deleting: meta.deletion_timestamp.is_some(),
            retain: spec.deletion_policy == DeletionPolicy::Retain,
            release: annotation(RELEASE_ANNOTATION),
            adopt: annotation(ADOPT_ANNOTATION).is_some_and(|value| value == "true"),
            last: last_of(object),
            begun: begun_of(object),
            id,
        })
    }
}

/// The object's id.
pub fn id_of(object: &ManagedService) -> ObjectId {
    let meta = &object.metadata;
    ObjectId {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

fn last_of(object: &ManagedService) -> BTreeMap<(Line, Family), Last> {
    let records = object.status.iter().flat_map(|status| &status.records);
    let read = records.filter_map(|record| {
        let values: Values = record.values.iter().filter_map(|v| v.parse().ok()).collect();
        let (node, since) = (record.node.clone(), record.since.0);
        let sharers = record.weights.clone().into();
        let last = Last { node, values, ttl: record.ttl, since, taken_over: record.taken_over, sharers };
        (!last.values.is_empty()).then_some(((record.line, record.family), last))
    });
    read.collect()
}

fn begun_of(object: &ManagedService) -> BTreeMap<(Line, Family), Values> {
    let all = object.status.iter().flat_map(|status| &status.begun);
    let values = |values: &[String]| values.iter().filter_map(|value| value.parse().ok()).collect();
    all.map(|begun| ((begun.line, begun.family), values(&begun.values))).collect()
}

/// Why a record is to change; decides what the guard on mass changes lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The node that answered is lost, or its address is.
    Loss,
    /// The line's owner is back.
    Return,
    /// Somebody drained or pinned.
    Drain,
    /// The node has a new address.
    Address,
    /// Somebody edited a service or a node.
    Edit,
    /// The service is being deleted.
    Deleted,
    /// What stands at the provider is not what we last wrote.
    Drift,
}

impl Cause {
    /// Whether the guard on mass changes lets it through whatever the number: a failover is never held.
    pub fn is_never_held(self) -> bool {
        matches!(self, Cause::Loss | Cause::Return | Cause::Drain | Cause::Address)
    }
}

/// A record that should stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it says.
    pub set: RecordSet,
    /// Whose addresses these are.
    pub node: String,
    /// Why that node.
    pub why: Why,
    /// The owners that share the line by the specs, whether they can answer or not.
    pub sharers: Weights<String>,
    /// The service that wants it.
    pub service: Arc<ObjectId>,
    /// Whether that node answers because the one that last did is lost, though the line may be its own as well.
    pub succeeds: bool,
    /// Why it would change if what stands there differs from it.
    pub cause: Cause,
    /// What we last put there, or began to: a record of just these values is ours even without its mark.
    pub put: [Option<Values>; 2],
}

impl Wanted {
    /// Whether unmarked records of these values are ours all the same, for it was us who put them there.
    pub fn claims(&self, values: &Values) -> bool {
        let known = |value: &IpAddr| self.put.iter().flatten().any(|put| put.contains(value));
        values.iter().all(known)
    }

    fn is_same_target(&self, other: &Wanted) -> bool {
        let Wanted { set, node, why, sharers, service, succeeds: _, cause: _, put: _ } = self;
        (set, node, why) == (&other.set, &other.node, &other.why)
            && (sharers, service) == (&other.sharers, &other.service)
    }
}

/// What is wished for in one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Records that should stand.
    pub wanted: BTreeMap<RecordKey, Wanted>,
    /// Records that should stand and that other nodes write, each its own: where all nodes write into one place.
    pub others: BTreeMap<RecordKey, Wanted>,
    /// Whether all nodes write into one place and this one has its configuration from another: then it clears away only
    /// what goes with a deleted service.
    pub follows: bool,
    /// Records of lost nodes' lines that those nodes go on writing.
    pub contended: BTreeSet<RecordKey>,
    /// Lines of these records that the provider can't tell apart: whoever asks from there gets the default's answer.
    pub untold: BTreeSet<Line>,
    /// The provider's smallest TTL, where it is above what some service wishes for.
    pub ttl_floor: Option<u32>,
    /// Whether weights were left out because the provider can't weigh.
    pub unweighed: bool,
    /// Records of services that are being deleted, as they would be if they stayed: while their deletion is held they
    /// still follow a failover.
    pub farewell: BTreeMap<RecordKey, Wanted>,
    /// Records that stay as they are because nobody living can answer for them.
    pub kept: BTreeMap<RecordKey, ObjectId>,
    /// Names under which nothing is touched, because their service can't be planned or retains its records.
    pub frozen: BTreeSet<DnsName>,
    /// Names that a service of ours owns; an owned record outside them is an orphan.
    pub names: BTreeMap<DnsName, ObjectId>,
    /// Services that can't be served, with the field to mend.
    pub refused: BTreeMap<ObjectId, FieldError>,
    /// Names whose service may take foreign records over.
    pub adopt: BTreeSet<DnsName>,
    /// Names whose service is being deleted.
    pub deleting: BTreeSet<DnsName>,
    /// Names whose deletion the leader has judged: this node's guard leaves them alone.
    pub judged: BTreeSet<DnsName>,
    /// Digests of held plans that were released.
    pub released: BTreeSet<String>,
}

/// The wish of all `services` of one zone. Deterministic: the order of the input plays no part.
pub fn wish<'a>(services: impl IntoIterator<Item = &'a Service>, cluster: &Cluster) -> Wish {
    let mut services: Vec<&Service> = services.into_iter().collect();
    services.sort_by_key(|service| (service.created, service.id.clone()));
    let mut wish = Wish::default();
    // Most services share one set of nodes: each set is assigned once, so that planning stays linear in the services.
    let mut assigned: BTreeMap<&BTreeSet<String>, Assignment> = BTreeMap::new();
    let sites = Sites::of(cluster);
    for service in services {
        if let Err(error) = claim_name(&mut wish.names, service) {
            wish.refused.insert(service.id.clone(), error);
            continue;
        }
        wish.released.extend(service.release.clone());
        if service.adopt {
            wish.adopt.insert(service.name.clone());
        }
        let assignment =
            assigned.entry(&service.nodes).or_insert_with(|| assign(&cluster.serving(&service.nodes)));
        if let Err(refusal) = add(&mut wish, service, &sites, assignment) {
            wish.frozen.insert(service.name.clone());
            wish.refused.insert(service.id.clone(), refusal);
        }
    }
    wish
}

fn add(
    wish: &mut Wish,
    service: &Service,
    sites: &Sites<'_>,
    assignment: &Assignment,
) -> Result<(), FieldError> {
    // Once a service, not once a record.
    let id = Arc::new(service.id.clone());
    let cluster = sites.cluster;
    if service.deleting && service.retain {
        wish.frozen.insert(service.name.clone());
        return Ok(());
    }
    if service.deleting {
        wish.deleting.insert(service.name.clone());
        if service.release.as_deref() == Some(RELEASED_BY_LEADER) {
            wish.judged.insert(service.name.clone());
        }
        for (&(line, family), holder) in assignment {
            let key = RecordKey { name: service.name.clone(), line, family };
            let wanted = holder.as_ref().map(|holder| wanted(service, &id, sites, holder, (line, family)));
            wish.farewell.extend(wanted.map(|wanted| (key, wanted)));
        }
        return Ok(());
    }
    if let Some(Obstacle::Contradiction(error) | Obstacle::Missing(error)) = obstacle(service, cluster) {
        return Err(error);
    }
    for (&(line, family), holder) in assignment {
        let key = RecordKey { name: service.name.clone(), line, family };
        match holder {
            Some(holder) => {
                drop(wish.wanted.insert(key, wanted(service, &id, sites, holder, (line, family))))
            }
            None => drop(wish.kept.insert(key, service.id.clone())),
        }
    }
    Ok(())
}

/// Notes in `names` whose a name is; who comes first keeps it.
pub fn claim_name(names: &mut BTreeMap<DnsName, ObjectId>, service: &Service) -> Result<(), FieldError> {
    match names.get(&service.name) {
        Some(first) => {
            let why = format!("{} is managed by {first} already: one name, one ManagedService", service.name);
            Err(FieldError::new("spec.record", why))
        }
        None => {
            names.insert(service.name.clone(), service.id.clone());
            Ok(())
        }
    }
}

/// The services whose name an older one of them has.
pub fn repeated<'a>(services: impl IntoIterator<Item = &'a Service>) -> BTreeMap<ObjectId, FieldError> {
    let mut services: Vec<&Service> = services.into_iter().collect();
    services.sort_by_key(|service| (service.created, service.id.clone()));
    let mut names = BTreeMap::new();
    let refused = |service: &&Service| Some((service.id.clone(), claim_name(&mut names, service).err()?));
    services.iter().filter_map(refused).collect()
}

/// Why a service can't be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Its spec contradicts itself.
    Contradiction(FieldError),
    /// The cluster lacks what it names; that may come.
    Missing(FieldError),
}

/// What keeps a service from being planned in `cluster`.
pub fn obstacle(service: &Service, cluster: &Cluster) -> Option<Obstacle> {
    let missing = |field, why: String| Some(Obstacle::Missing(FieldError::new(field, why)));
    let unknown = |name: &&String| !cluster.members.contains_key(*name);
    let absent = |name: &String| format!("there is no CocoaNode {name:?} that can serve");
    let outside = |name: &&String| !service.nodes.is_empty() && !service.nodes.contains(*name);
    if let Some(name) = service.nodes.iter().find(unknown) {
        return missing("spec.nodes", absent(name));
    }
    if let Some(name) = service.weights.keys().find(outside) {
        let why = format!("{name:?} is not among spec.nodes: add it there, or take its weight out");
        return Some(Obstacle::Contradiction(FieldError::new("spec.weights", why)));
    }
    if let Some(name) = service.weights.keys().find(unknown) {
        return missing("spec.weights", absent(name));
    }
    if !cluster.serving(&service.nodes).iter().any(|member| member.lines.contains(&Line::Default)) {
        let why = "no serving node has the line default in its spec.isps: whoever is on no other line would get no answer";
        return missing("spec.nodes", why.to_owned());
    }
    None
}

/// The cluster with the addresses of its members as records share them.
struct Sites<'a> {
    cluster: &'a Cluster,
    addresses: BTreeMap<&'a str, BTreeMap<Family, Values>>,
}

impl<'a> Sites<'a> {
    fn of(cluster: &'a Cluster) -> Self {
        let shared = |member: &'a Member| {
            let all = member.addresses.iter().map(|(family, all)| (*family, all.clone().into())).collect();
            (member.name.as_str(), all)
        };
        Self { cluster, addresses: cluster.members.values().map(shared).collect() }
    }
}

fn wanted(
    service: &Service,
    id: &Arc<ObjectId>,
    sites: &Sites<'_>,
    holder: &Holder,
    at: (Line, Family),
) -> Wanted {
    let Sites { cluster, addresses } = sites;
    let sharing = Sharing::of(service, cluster, at);
    let alone = || {
        let values = addresses.get(holder.node.as_str()).and_then(|of| of.get(&at.1)).cloned();
        (values.unwrap_or_default(), Weights::default())
    };
    let (values, weights) = sharing.answer(holder).unwrap_or_else(alone);
    let set = RecordSet { values, ttl: service.ttl, weights };
    let cause = match service.last.get(&at) {
        None => Cause::Edit,
        Some(last) if sharing.concerns(last) => sharing.cause(last, &set),
        Some(last) if last.node != holder.node => moved(last, holder, cluster, at),
        Some(last) if last.values != set.values => Cause::Address,
        Some(last) if last.ttl != set.ttl => Cause::Edit,
        Some(_) => Cause::Drift,
    };
    let before = service.last.get(&at).filter(|last| last.node != holder.node);
    let before = before.and_then(|last| cluster.members.get(&last.node));
    let succeeds = before.is_some_and(|before| !before.can_answer(at.1));
    let put = [service.last.get(&at).map(|last| last.values.clone()), service.begun.get(&at).cloned()];
    let (node, sharers) = (holder.node.clone(), sharing.sharers);
    Wanted { set, node, why: holder.why, sharers, service: id.clone(), succeeds, cause, put }
}

pub(super) fn moved(last: &Last, holder: &Holder, cluster: &Cluster, at: (Line, Family)) -> Cause {
    let Some(before) = cluster.members.get(&last.node) else {
        return Cause::Edit;
    };
    match holder.why {
        // The owner is back: whatever became of who stood in.
        Why::Own if last.taken_over => Cause::Return,
        _ if !before.can_answer(at.1) => Cause::Loss,
        _ if before.drained => Cause::Drain,
        Why::Pinned => Cause::Drain,
        // Who stands in for a lost owner may change when nodes come and go: that is still the owner's loss.
        Why::TakenOver | Why::LastResort => Cause::Loss,
        Why::Own => Cause::Edit,
    }
}
