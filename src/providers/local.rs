//! The provider of the DNS server inside: it writes the zones that the server reads, and nobody else does. It keeps
//! nothing on disk; after a start it is told what stood, before anything is planned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use async_trait::async_trait;

use crate::domain::dns_plan::{Change, Found, FoundZone, Limits, Listing};
use crate::domain::names::{DnsName, FieldError};
use crate::domain::records::{RecordKey, RecordSet};
use crate::domain::retry::Class;
use crate::domain::zone::Zones;
use crate::domain::zone::content::{NameServer, Timers, Zone, next_serial};
use crate::providers::{DnsProvider, Kind, ProviderError, Ways, longest, outside};

/// So far behind the clock, in seconds, the serial of a new zone begins on a replica that follows another one.
const BEHIND: u32 = 60;

/// Seconds since 1970, for serials.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The zones of this node.
pub struct LocalProvider {
    zones: Arc<ArcSwap<Zones>>,
    clock: Clock,
    timers: Timers,
    /// The mailbox in every SOA, as a name; none: `hostmaster` in each zone.
    hostmaster: Option<DnsName>,
    /// Held while zones are exchanged, so that writers don't overtake each other.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The name servers of every zone.
    servers: Vec<NameServer>,
    /// The last serials of zones that are gone: one that comes back goes on from there.
    gone: BTreeMap<DnsName, u32>,
    /// Whether another replica's serials are the ones that count.
    follows: bool,
}

impl LocalProvider {
    /// A provider that publishes into `zones`, which the DNS server reads. `clock` gives seconds since 1970.
    pub fn new(zones: Arc<ArcSwap<Zones>>, clock: Clock) -> Self {
        Self { zones, clock, timers: Timers::default(), hostmaster: None, state: Mutex::default() }
    }

    /// The provider with this mailbox, written as a name, in the SOA of every zone.
    pub fn with_hostmaster(self, hostmaster: Option<DnsName>) -> Self {
        Self { hostmaster, ..self }
    }

    /// Goes on above these serials, which an earlier process has published.
    pub fn go_on_from(&self, serials: BTreeMap<DnsName, u32>) {
        self.lock().gone.extend(serials);
    }

    /// From now on serials come from another replica, by [`LocalProvider::catch_up`]: one that must change before that
    /// is heard rises by one, which the clock of the other has passed.
    pub fn follow(&self) {
        self.lock().follows = true;
    }

    /// From now on this replica's own serials count.
    pub fn lead(&self) {
        self.lock().follows = false;
    }

    /// Raises the serials of zones to what another replica has published of them. None ever falls.
    pub fn catch_up(&self, serials: &BTreeMap<DnsName, u32>) {
        let state = self.lock();
        let before = self.zones.load_full();
        let behind = |zone: &Arc<Zone>| {
            let told = *serials.get(zone.name())?;
            (1..1 << 31).contains(&told.wrapping_sub(zone.soa().serial)).then(|| zone.with_changes([], told))
        };
        let raised: Vec<Zone> = before.iter().filter_map(behind).collect();
        if !raised.is_empty() {
            let mut next = Zones::clone(&before);
            raised.into_iter().for_each(|zone| next.insert(zone));
            self.zones.store(Arc::new(next));
        }
        drop(state);
    }

    /// The serials of all zones.
    pub fn serials(&self) -> Vec<(DnsName, u32)> {
        self.zones.load().iter().map(|zone| (zone.name().clone(), zone.soa().serial)).collect()
    }

    /// Serials that are ahead of the clock, because changes came faster than seconds: a process that began by the clock
    /// would fall behind them.
    pub fn ahead(&self) -> Vec<(DnsName, u32)> {
        let now = self.seconds();
        let zones = self.zones.load();
        let serials = zones.iter().map(|zone| (zone.name().clone(), zone.soa().serial));
        serials.filter(|(_, serial)| (1..1 << 31).contains(&serial.wrapping_sub(now))).collect()
    }

    /// Puts back what stood in `zone` before a restart. What is there already stays.
    pub fn seed(&self, zone: &DnsName, found: &FoundZone) -> Result<(), FieldError> {
        self.edit(zone, |before| {
            let missing = found.iter().filter(|(key, _)| before.record(key).is_none());
            missing.map(|(key, found)| (key, Some(&found.set))).collect()
        })
    }

    /// Makes these the name servers of every zone, now and to come; the first is the one that the SOA names. Refused as
    /// a whole where a name doesn't fit into a zone.
    pub fn set_name_servers(&self, servers: &[NameServer]) -> Result<(), FieldError> {
        let mut state = self.lock();
        if state.servers == servers {
            return Ok(());
        }
        let before = self.zones.load_full();
        let mut next = Zones::clone(&before);
        for zone in before.iter() {
            next.insert(zone.with_servers(servers, self.serial_after(zone.soa().serial, &state))?);
        }
        state.servers = servers.to_vec();
        self.zones.store(Arc::new(next));
        Ok(())
    }

    /// Exactly these zones are served: the others vanish and are refused from now on, new ones begin empty.
    pub fn retain_zones(&self, keep: &BTreeSet<DnsName>) -> Result<(), FieldError> {
        let mut state = self.lock();
        let before = self.zones.load_full();
        let mut next = Zones::clone(&before);
        next.retain(|zone| keep.contains(zone));
        let gone = before.iter().filter(|zone| !keep.contains(zone.name()));
        let gone: Vec<(DnsName, u32)> = gone.map(|zone| (zone.name().clone(), zone.soa().serial)).collect();
        let fresh: Vec<&DnsName> = keep.iter().filter(|zone| before.get(zone).is_none()).collect();
        for zone in &fresh {
            next.insert(self.fresh(zone, &state)?);
        }
        if !gone.is_empty() || !fresh.is_empty() {
            self.zones.store(Arc::new(next));
            state.gone.extend(gone);
        }
        Ok(())
    }

    /// Makes changes in one zone, which begins to exist with its first record, and publishes once, if anything differs.
    fn edit<'a>(
        &self,
        zone: &DnsName,
        changes: impl FnOnce(&Zone) -> Vec<(&'a RecordKey, Option<&'a RecordSet>)>,
    ) -> Result<(), FieldError> {
        let state = self.lock();
        let before = self.zones.load_full();
        let (zone, fresh) = match before.get(zone) {
            Some(zone) => (Arc::clone(zone), false),
            None => (Arc::new(self.fresh(zone, &state)?), true),
        };
        let mut changes = changes(&zone);
        changes.retain(|(key, set)| zone.record(key) != *set);
        // Removing the last records of a zone that is gone already must not bring it back.
        if changes.is_empty() {
            return Ok(());
        }
        let serial = if fresh { zone.soa().serial } else { self.serial_after(zone.soa().serial, &state) };
        let mut next = Zones::clone(&before);
        next.insert(zone.with_changes(changes, serial));
        self.zones.store(Arc::new(next));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, zone: &DnsName, state: &State) -> Result<Zone, FieldError> {
        let serial = match state.gone.get(zone) {
            Some(before) if state.follows => *before,
            Some(before) => self.serial_after(*before, state),
            // Its first changes come faster than seconds, and must not overtake the replica that it follows.
            None if state.follows => self.seconds().wrapping_sub(BEHIND),
            None => self.seconds(),
        };
        let fresh = Zone::new(zone.clone(), &state.servers, serial, self.timers)?;
        Ok(match &self.hostmaster {
            Some(hostmaster) => fresh.with_hostmaster(hostmaster.clone()),
            None => fresh,
        })
    }

    fn serial_after(&self, before: u32, state: &State) -> u32 {
        if state.follows { before.wrapping_add(1) } else { next_serial(before, self.seconds()) }
    }

    /// The clock modulo 2^32, for that is how serials count.
    fn seconds(&self) -> u32 {
        let seconds = (self.clock)() & u64::from(u32::MAX);
        u32::try_from(seconds).unwrap_or_default()
    }
}

#[async_trait]
impl DnsProvider for LocalProvider {
    fn ways(&self) -> Ways {
        // All at once: a batch is published once.
        Ways { shared: false, marks_after: false, batch: usize::MAX }
    }

    async fn zone_of(&self, name: &DnsName) -> Result<Option<DnsName>, ProviderError> {
        Ok(longest(self.zones.load_full().iter().map(|zone| zone.name()), name))
    }

    fn resume(&self, zone: &DnsName, last: FoundZone) {
        if let Err(error) = self.seed(zone, &last) {
            tracing::warn!(zone = %zone, error = %error, "what stood before the start is not served yet");
        }
    }

    async fn list(&self, zone: &DnsName) -> Result<Listing, ProviderError> {
        let zones = self.zones.load_full();
        let records = zones.get(zone).into_iter().flat_map(|zone| zone.records());
        let found = records.map(|(key, set)| (key, Found::ours(set.clone()))).collect();
        Ok(Listing { found, limits: Limits::default() })
    }

    async fn apply(&self, zone: &DnsName, changes: &[Change]) -> Vec<Result<Option<Found>, ProviderError>> {
        let fits = |change: &&Change| change.key.name.is_within(zone);
        let wanted = changes.iter().filter(fits).map(|change| (&change.key, change.to.as_ref()));
        let done = self.edit(zone, |_| wanted.collect());
        let outcome = |change: &Change| match &done {
            _ if !fits(&change) => Err(outside(zone, &change.key.name)),
            Err(err) => Err(ProviderError::new(Kind::Other, Class::User, err.to_string())),
            Ok(()) => Ok(change.to.clone().map(Found::ours)),
        };
        changes.iter().map(outcome).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::api::vocab::{Family, Line};
    use crate::domain::names::ObjectId;
    use crate::domain::records::Cause;

    struct World {
        zones: Arc<ArcSwap<Zones>>,
        provider: LocalProvider,
        now: Arc<AtomicU64>,
    }

    fn world() -> World {
        let zones = Arc::new(ArcSwap::default());
        let now = Arc::new(AtomicU64::new(1_000));
        let clock = Arc::clone(&now);
        let clock: Clock = Arc::new(move || clock.load(Ordering::SeqCst));
        World { provider: LocalProvider::new(Arc::clone(&zones), clock), zones, now }
    }

    impl World {
        fn serial(&self) -> u32 {
            self.zones.load().get(&name("example.com")).unwrap().soa().serial
        }
    }

    fn name(text: &str) -> DnsName {
        DnsName::parse(text, "test").unwrap()
    }

    fn change(at: &str, to: Option<&str>) -> Change {
        Change {
            key: RecordKey { name: name(at), line: Line::CT, family: Family::V4 },
            from: None,
            to: to.map(|value| RecordSet::of([value.parse().unwrap()].into(), 60)),
            service: ObjectId { namespace: "default".into(), name: "test".into() },
            cause: Cause::Edit,
        }
    }

    #[tokio::test]
    async fn a_batch_is_published_once_and_what_changes_nothing_not_at_all() {
        let world = world();
        let zone = name("example.com");
        let batch = [
            change("a.example.com", Some("192.0.2.1")),
            change("a.example.net", Some("192.0.2.1")),
            change("b.example.com", Some("192.0.2.2")),
        ];
        let done = world.provider.apply(&zone, &batch).await;
        assert_eq!(done.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert!(done[1].as_ref().unwrap_err().to_string().contains("outside example.com"));
        assert_eq!(world.provider.list(&zone).await.unwrap().found.len(), 2);
        let (serial, published) = (world.serial(), world.zones.load_full());
        world.provider.apply(&zone, &batch).await;
        assert!(Arc::ptr_eq(&published, &world.zones.load_full()));
        world.provider.apply(&zone, &[change("a.example.com", None)]).await;
        assert_eq!(world.serial(), serial + 1, "the clock stands still, the serial rises");
        world.now.store(5_000, Ordering::SeqCst);
        world.provider.apply(&zone, &[change("b.example.com", None)]).await;
        assert_eq!(world.serial(), 5_000);
        assert!(world.provider.list(&zone).await.unwrap().found.is_empty());
    }

    #[tokio::test]
    async fn what_stood_before_a_restart_is_served_until_something_newer_is_applied() {
        let (before, after) = (world(), world());
        let zone = name("example.com");
        let both = [change("a.example.com", Some("192.0.2.1")), change("b.example.com", Some("192.0.2.1"))];
        before.provider.apply(&zone, &both).await;
        let stood = before.provider.list(&zone).await.unwrap().found;
        after.now.store(2_000, Ordering::SeqCst);
        after.provider.apply(&zone, &[change("a.example.com", Some("192.0.2.9"))]).await;
        after.provider.seed(&zone, &stood).unwrap();
        let found = after.provider.list(&zone).await.unwrap().found;
        let values: Vec<String> = found.values().map(|found| found.set.to_string()).collect();
        assert_eq!(values, ["192.0.2.9 (ttl 60)", "192.0.2.1 (ttl 60)"]);
        assert!(before.serial() < after.serial());
    }

    #[tokio::test]
    async fn zones_and_name_servers_are_as_told() {
        let world = world();
        let (zone, other) = (name("example.com"), name("example.net"));
        let server =
            |name: &str| NameServer { name: name.into(), addresses: ["192.0.2.53".parse().unwrap()].into() };
        world.provider.retain_zones(&[zone.clone(), other.clone()].into()).unwrap();
        world.provider.set_name_servers(&[server("ns-a")]).unwrap();
        assert_eq!(world.serial(), 1_001, "name servers are a change, too");
        world.provider.set_name_servers(&[server("ns-a")]).unwrap();
        assert_eq!(world.serial(), 1_001);
        assert!(world.provider.set_name_servers(&[server("ns a")]).is_err());
        assert_eq!(world.zones.load().get(&other).unwrap().soa().mname, name("ns-a.example.net"));
        world.provider.retain_zones(&[zone].into()).unwrap();
        assert!(world.zones.load().get(&other).is_none());
        assert_eq!(world.serial(), 1_001, "the zone that stays is left alone");
        world.provider.retain_zones(&BTreeSet::new()).unwrap();
        world.provider.apply(&name("example.com"), &[change("a.example.com", None)]).await;
        assert!(world.zones.load().get(&name("example.com")).is_none(), "a removal brings no zone back");
        world.provider.retain_zones(&[name("example.com")].into()).unwrap();
        assert_eq!(world.serial(), 1_002, "a zone that comes back goes on from its last serial");
    }

    #[tokio::test]
    async fn a_followers_serial_rises_with_its_changes_and_comes_to_the_leaders() {
        let (leader, follower) = (world(), world());
        let zone = name("example.com");
        follower.provider.follow();
        for world in [&leader, &follower] {
            world.provider.apply(&zone, &[change("a.example.com", Some("192.0.2.1"))]).await;
        }
        leader.now.store(2_000, Ordering::SeqCst);
        follower.now.store(2_003, Ordering::SeqCst);
        for world in [&leader, &follower] {
            world.provider.apply(&zone, &[change("a.example.com", Some("192.0.2.2"))]).await;
        }
        assert_eq!((leader.serial(), follower.serial()), (2_000, 941), "it begins a minute behind");
        let told: BTreeMap<DnsName, u32> = leader.provider.serials().into_iter().collect();
        follower.provider.catch_up(&told);
        assert_eq!(follower.serial(), 2_000);
        follower.provider.catch_up(&[(zone.clone(), 1_500)].into());
        assert_eq!(follower.serial(), 2_000, "none falls");
        follower.provider.lead();
        follower.provider.apply(&zone, &[change("a.example.com", None)]).await;
        assert_eq!(follower.serial(), 2_003);
        // One that begins to be served begins with what it is told.
        let fresh = world();
        fresh.provider.go_on_from(told);
        fresh.provider.follow();
        fresh.provider.retain_zones(&[zone].into()).unwrap();
        assert_eq!(fresh.serial(), 2_000);
    }
}
