//! Turns of a zone at a shared place that does as it is told.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::*;
use crate::api::vocab::Family;
use crate::domain::dns_plan::Listing;
use crate::domain::lines;
use crate::domain::records::{Cause, RecordSet, Wanted};
use crate::providers::Ways;

/// A shared place that does as it is told.
#[derive(Default)]
struct Scripted(Mutex<State>);

#[derive(Default)]
struct State {
    found: FoundZone,
    /// What every listing, and every change of these records, meets.
    unreadable: Option<Kind>,
    refused: BTreeMap<RecordKey, Kind>,
    /// Whether changes are never answered.
    hangs: bool,
    lists: usize,
    /// The keys of every batch that was handed over.
    batches: Vec<Vec<RecordKey>>,
    /// Writes that were sent: what ends a batch leaves the rest unsent.
    sent: usize,
}

impl Scripted {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn fault(kind: Kind) -> ProviderError {
    let class = if kind == Kind::Unreachable { Class::Transient } else { Class::User };
    ProviderError::new(kind, class, "as told")
}

#[async_trait]
impl DnsProvider for Scripted {
    fn ways(&self) -> Ways {
        Ways { shared: true, marks_after: true, batch: 2 }
    }

    async fn zone_of(&self, _name: &DnsName) -> Result<Option<DnsName>, ProviderError> {
        Ok(None)
    }

    async fn list(&self, _zone: &DnsName) -> Result<Listing, ProviderError> {
        self.with(|state| {
            state.lists += 1;
            let listing = Listing { found: state.found.clone(), limits: Limits::default() };
            state.unreadable.map_or(Ok(listing), |kind| Err(fault(kind)))
        })
    }

    async fn apply(&self, _zone: &DnsName, changes: &[Change]) -> Vec<Result<Option<Found>, ProviderError>> {
        if self.with(|state| state.hangs) {
            std::future::pending::<()>().await;
        }
        self.with(|state| {
            state.batches.push(changes.iter().map(|change| change.key.clone()).collect());
            let mut ended = None;
            let mut one = |change: &Change| {
                if let Some(kind) = ended {
                    return Err(fault(kind));
                }
                state.sent += 1;
                if let Some(kind) = state.refused.get(&change.key) {
                    ended = kind.ends_the_batch().then_some(*kind);
                    return Err(fault(*kind));
                }
                let found = change.to.clone().map(Found::ours);
                match &found {
                    Some(found) => drop(state.found.insert(change.key.clone(), found.clone())),
                    None => drop(state.found.remove(&change.key)),
                }
                Ok(found)
            };
            changes.iter().map(&mut one).collect()
        })
    }
}

fn key(name: &str) -> RecordKey {
    let name = DnsName::parse(&format!("{name}.example.com"), "").unwrap();
    RecordKey { name, line: Line::Default, family: Family::V4 }
}

fn set(last: u8) -> RecordSet {
    RecordSet::of([std::net::IpAddr::from([203, 0, 113, last])].into(), 60)
}

fn id(name: &str) -> ObjectId {
    ObjectId { namespace: "default".into(), name: name.into() }
}

/// All names at this address, for this cause.
fn wish(names: &[&str], last: u8, cause: Cause) -> Wish {
    let mut wish = Wish::default();
    for name in names {
        let (service, put) = (id(name).into(), Default::default());
        let why = lines::Why::Own;
        let wanted = Wanted {
            set: set(last),
            node: "me".into(),
            why,
            sharers: Default::default(),
            service,
            succeeds: false,
            cause,
            put,
        };
        wish.names.insert(key(name).name, id(name));
        wish.wanted.insert(key(name), wanted);
    }
    wish
}

struct World {
    provider: Arc<Scripted>,
    zone: Zone,
}

impl World {
    fn new(standing: &[&str]) -> Self {
        let provider = Arc::new(Scripted::default());
        let found = standing.iter().map(|name| (key(name), Found::ours(set(1))));
        provider.with(|state| state.found = found.collect());
        let name = DnsName::parse("example.com", "").unwrap();
        Self { zone: Zone::new(name, "me".into(), provider.clone()), provider }
    }

    /// One turn, all its slices; without those services whose finalizer is missing.
    async fn turn(&mut self, raw: &Wish, why: Why, unmarked: &[&str]) -> Done {
        let unmarked = unmarked.iter().map(|name| id(name)).collect();
        let wish = self.zone.fit(raw.clone());
        let (wish, plan, trouble) = self.zone.plan(wish, || raw.clone(), why).await;
        let mut done = Done { held: plan.held, trouble, ..Done::default() };
        let mut rest = plan.changes.into_iter();
        loop {
            let slice = self.zone.next_slice(&mut rest, &unmarked, &mut done);
            if slice.is_empty() {
                return done;
            }
            self.zone.apply(slice, &wish, &mut done).await;
        }
    }

    fn lists(&self) -> usize {
        self.provider.with(|state| state.lists)
    }
}

impl Done {
    /// Whether nothing went wrong.
    fn is_clean(&self) -> bool {
        self.trouble.is_none() && self.failed.is_empty()
    }
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_made_from_memory_and_everything_else_after_a_look() {
    let mut world = World::new(&["a", "b"]);
    assert!(world.turn(&wish(&["a", "b"], 1, Cause::Drift), Why::Due, &[]).await.is_clean());
    assert_eq!(world.lists(), 1);
    let done = world.turn(&wish(&["a", "b"], 2, Cause::Loss), Why::Wish, &[]).await;
    assert_eq!((world.lists(), done.changed.len()), (1, 2), "the cheapest call is the one not made");
    tokio::time::advance(FRESH).await;
    let done = world.turn(&wish(&["a", "b"], 3, Cause::Edit), Why::Wish, &[]).await;
    assert_eq!((world.lists(), done.changed.len()), (2, 2));
    tokio::time::advance(FRESH).await;
    let done = world.turn(&wish(&["a", "b", "c"], 4, Cause::Loss), Why::Wish, &[]).await;
    assert_eq!((world.lists(), done.changed.len()), (3, 3), "a creation needs a look");
    world.turn(&wish(&["a", "b", "c"], 4, Cause::Drift), Why::Due, &[]).await;
    assert_eq!(world.lists(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_cant_be_read_is_left_alone_but_for_failovers() {
    let mut world = World::new(&["a", "b"]);
    let mut before = wish(&["a", "b"], 1, Cause::Drift);
    world.turn(&before, Why::Due, &[]).await;
    world.provider.with(|state| state.unreadable = Some(Kind::Unreachable));
    before.wanted.get_mut(&key("b")).unwrap().cause = Cause::Edit;
    before.wanted.values_mut().for_each(|wanted| wanted.set = set(2));
    before.wanted.get_mut(&key("a")).unwrap().cause = Cause::Loss;
    let done = world.turn(&before, Why::Due, &[]).await;
    assert_eq!(done.changed.iter().map(|change| &change.key).collect::<Vec<_>>(), [&key("a")]);
    assert_eq!(done.trouble.unwrap().kind, Kind::Unreachable);
    let mut unread = World::new(&["a"]);
    unread.provider.with(|state| state.unreadable = Some(Kind::Credentials));
    let done = unread.turn(&wish(&["a", "b"], 2, Cause::Loss), Why::Due, &[]).await;
    assert!(done.trouble.is_some() && done.changed.is_empty(), "what was never read is not touched");
    assert!(unread.zone.standing().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_made_in_slices_and_goes_on_without_a_look_while_it_is_fresh() {
    let mut world = World::new(&[]);
    let raw = wish(&["a", "b", "c", "d", "e"], 1, Cause::Edit);
    let fitted = world.zone.fit(raw.clone());
    let (fitted, plan, _) = world.zone.plan(fitted, || raw.clone(), Why::Due).await;
    let (mut done, mut rest) = (Done::default(), plan.changes.into_iter());
    let slice = world.zone.next_slice(&mut rest, &BTreeSet::new(), &mut done);
    assert_eq!(world.zone.to_note(&slice).len(), 2);
    world.zone.apply(slice, &fitted, &mut done).await;
    assert_eq!((done.changed.len(), rest.len()), (2, 3));
    let done = world.turn(&raw, Why::Wish, &[]).await;
    assert_eq!((done.changed.len(), world.lists()), (3, 1));
    tokio::time::advance(FRESH).await;
    world.turn(&wish(&["a", "b", "c", "d", "e", "f"], 1, Cause::Edit), Why::Wish, &[]).await;
    assert_eq!(world.lists(), 2, "the look is old");
    assert!(world.provider.with(|state| state.batches.iter().all(|batch| batch.len() <= 2)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_record_rests_while_all_others_go_through() {
    let mut world = World::new(&[]);
    world.provider.with(|state| state.refused = [(key("b"), Kind::Conflict)].into());
    let raw = wish(&["a", "b", "c"], 1, Cause::Edit);
    let done = world.turn(&raw, Why::Due, &[]).await;
    assert_eq!((done.changed.len(), done.failed.len(), done.untried.len()), (2, 1, 0));
    let done = world.turn(&raw, Why::Due, &[]).await;
    assert_eq!((done.failed.len(), done.untried.len()), (1, 1), "it rests, and is told");
    assert_eq!(world.provider.with(|state| state.sent), 3);
    tokio::time::advance(Duration::from_secs(60)).await;
    world.provider.with(|state| state.refused.clear());
    assert!(world.turn(&raw, Why::Due, &[]).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn what_an_account_refuses_as_a_whole_is_asked_once_a_turn_and_not_once_a_slice() {
    let names: Vec<String> = (0..40).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(&[]);
    world.provider.with(|state| state.refused = names.iter().map(|name| (key(name), Kind::Rights)).collect());
    let raw = wish(&names, 1, Cause::Edit);
    let done = world.turn(&raw, Why::Due, &[]).await;
    assert_eq!((done.failed.len(), world.provider.with(|state| state.sent)), (40, 1));
    world.turn(&raw, Why::Due, &[]).await;
    assert_eq!(world.provider.with(|state| state.sent), 1, "and all of them rest");
    tokio::time::advance(Duration::from_secs(60)).await;
    world.turn(&raw, Why::Due, &[]).await;
    assert_eq!(world.provider.with(|state| state.sent), 2);
}

#[tokio::test(start_paused = true)]
async fn services_without_a_finalizer_wait() {
    let mut world = World::new(&[]);
    let raw = wish(&["a", "b"], 1, Cause::Edit);
    let done = world.turn(&raw, Why::Due, &["a"]).await;
    assert_eq!(done.failed.keys().collect::<Vec<_>>(), [&key("a")]);
    assert_eq!(world.zone.notes().next_try(None), None, "nobody refused it");
    assert!(world.turn(&raw, Why::Due, &[]).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_slice_without_an_answer_ends_at_its_deadline_and_is_looked_for() {
    let mut world = World::new(&["a"]);
    world.turn(&wish(&["a"], 1, Cause::Drift), Why::Due, &[]).await;
    world.provider.with(|state| state.hangs = true);
    let began = Instant::now();
    let done = world.turn(&wish(&["a"], 2, Cause::Loss), Why::Wish, &[]).await;
    assert_eq!(began.elapsed(), SLICE_DEADLINE);
    assert_eq!(done.failed[&key("a")].kind, Kind::Unreachable);
    // The work was done all the same.
    world.provider.with(|state| {
        state.hangs = false;
        state.found.insert(key("a"), Found::ours(set(2)));
    });
    let done = world.turn(&wish(&["a"], 2, Cause::Loss), Why::Due, &[]).await;
    assert!(done.is_clean() && done.changed.is_empty(), "the next look tells");
}

#[tokio::test(start_paused = true)]
async fn another_provider_is_asked_anew_and_what_rested_is_tried() {
    let mut world = World::new(&[]);
    world.provider.with(|state| state.refused = [(key("a"), Kind::Credentials)].into());
    let raw = wish(&["a"], 1, Cause::Edit);
    assert!(!world.turn(&raw, Why::Due, &[]).await.is_clean());
    let other = Arc::new(Scripted::default());
    let provider: Arc<dyn DnsProvider> = other.clone();
    assert!(world.zone.through(&provider) && !world.zone.through(&provider));
    let done = world.turn(&raw, Why::Due, &[]).await;
    assert_eq!((done.changed.len(), other.with(|state| state.lists)), (1, 1));
}
