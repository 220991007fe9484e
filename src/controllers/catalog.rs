//! Keeps the catalogue as its sources are: folders are looked at every few seconds, ConfigMaps are watched. It decides
//! nothing about applications, and replaces the library only when an offer changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::CATALOG_LABEL;
use crate::catalog::library::Library;
use crate::catalog::sources::{Map, MapKey, Sources};
use crate::controllers::stores::within;
use crate::domain::scope::Scope;
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::catalog::CatalogMetrics;
use crate::watching::objects;

/// How often folders are looked at. A change is taken at the second look that sees it.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the loop is made of.
pub struct Wiring {
    /// The control plane with the ConfigMaps.
    pub client: Client,
    /// Where they may lie.
    pub scope: Arc<Scope>,
    /// What is kept up to date.
    pub library: Library,
    /// Where templates come from. Have its folders looked at before, so that whoever starts beside this loop finds them.
    pub sources: Sources,
    /// Its figures.
    pub metrics: CatalogMetrics,
    /// How often folders are looked at: [`LOOK_EVERY`], but in tests.
    pub every: Duration,
}

/// Keeps the library up to date until `stop`; `first` is called once folders and ConfigMaps have been read, so that
/// whoever must know whether there is an application waits for it.
pub async fn run(wiring: Wiring, stop: CancellationToken, first: impl FnOnce() + Send) {
    let Wiring { client, scope, library, sources, metrics, every } = wiring;
    let places: Vec<Place> = scope.places().into_iter().map(|place| place.map(Arc::from)).collect();
    let system = scope.system().to_owned();
    let (listed, said) = (BTreeMap::new(), Said::default());
    let mut keeper = Keeper { library, metrics, system, said, listed };
    let sources = Arc::new(Mutex::new(sources));
    let mut unheard: BTreeSet<Place> = places.iter().cloned().collect();
    let mut events = select_all(places.into_iter().map(|place| follow(&client, place)));
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut first, mut looked) = (Some(first), false);
    // What was read before this loop began is published in any case.
    let mut changed = true;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                changed |= look(&sources).await;
                looked = true;
            }
            event = events.next() => match event {
                Some((place, Ok(event))) => {
                    // Between its beginning and its end a list is not known yet.
                    if !matches!(event, Event::Init | Event::InitApply(_)) {
                        unheard.remove(&place);
                    }
                    changed |= keeper.take(place, event, &mut lock(&sources));
                }
                Some((place, Err(error))) => {
                    unheard.remove(&place);
                    keeper.interrupted(&place, &error);
                }
                None => return,
            }
        }
        keeper.tell(&lock(&sources));
        // Half a list is no catalogue; but a cluster that doesn't answer holds up no folder.
        if changed && looked && keeper.listed.is_empty() {
            keeper.publish(&lock(&sources));
            changed = false;
        }
        if unheard.is_empty()
            && looked
            && let Some(first) = first.take()
        {
            first();
        }
    }
}

/// A namespace, or the whole cluster.
type Place = Option<Arc<str>>;

/// What happens to the templates of one place.
fn follow(client: &Client, place: Place) -> BoxStream<'static, (Place, watcher::Result<Event<ConfigMap>>)> {
    let labelled = watcher::Config::default().labels(CATALOG_LABEL);
    let events = objects(within::<ConfigMap>(client, place.as_deref()), labelled);
    events.map(move |event| (place.clone(), event)).boxed()
}

/// Hundreds of folders are some milliseconds of work, which must not stand in anybody's way.
async fn look(sources: &Arc<Mutex<Sources>>) -> bool {
    let sources = sources.clone();
    let looked = tokio::task::spawn_blocking(move || lock(&sources).look()).await;
    looked.unwrap_or_else(|error| {
        warn!(error = %error, "the catalogue's folders could not be looked at");
        false
    })
}

fn lock(sources: &Mutex<Sources>) -> std::sync::MutexGuard<'_, Sources> {
    sources.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was said already: each trouble is told once.
#[derive(Default)]
struct Said {
    troubles: BTreeMap<String, String>,
    left_out: BTreeSet<(String, String)>,
    interrupted: bool,
}

struct Keeper {
    library: Library,
    metrics: CatalogMetrics,
    said: Said,
    /// The operator's own namespace: its templates may replace others'.
    system: String,
    /// The ConfigMaps of lists that are coming in.
    listed: BTreeMap<Place, BTreeSet<MapKey>>,
}

impl Keeper {
    /// Takes what the watch says. Answers whether any offer changed.
    fn take(&mut self, place: Place, event: Event<ConfigMap>, sources: &mut Sources) -> bool {
        self.said.interrupted = false;
        match event {
            Event::Init => {
                self.listed.insert(place, BTreeSet::new());
                false
            }
            Event::InitApply(map) => {
                if let Some(listed) = self.listed.get_mut(&place) {
                    listed.insert(key(&map));
                }
                apply(&map, &self.system, sources)
            }
            // What was deleted while nobody watched is missing in the list.
            Event::InitDone => {
                let listed = self.listed.remove(&place);
                listed.is_some_and(|listed| sources.keep_maps(place.as_deref(), &listed))
            }
            Event::Apply(map) => apply(&map, &self.system, sources),
            Event::Delete(map) => sources.remove_map(&key(&map)),
        }
    }

    fn interrupted(&mut self, place: &Place, error: &watcher::Error) {
        if !self.said.interrupted {
            warn!(error = %Chain(error), "watch of the catalogue's ConfigMaps interrupted, it goes on by itself");
        }
        self.said.interrupted = true;
        // It begins anew.
        self.listed.remove(place);
    }

    /// Tells of what can't be read, once, and of its end.
    fn tell(&mut self, sources: &Sources) {
        for (folder, readable) in sources.readable() {
            self.metrics.looked(&folder.display().to_string(), readable);
        }
        let now: BTreeMap<String, String> = sources
            .troubles()
            .into_iter()
            .map(|(path, why)| (path.display().to_string(), why.to_owned()))
            .collect();
        for (path, why) in now.iter().filter(|(path, why)| self.said.troubles.get(*path) != Some(why)) {
            warn!(%path, %why, "part of the catalogue can't be read: what it gave before stays");
        }
        for path in self.said.troubles.keys().filter(|path| !now.contains_key(*path)) {
            info!(%path, "part of the catalogue can be read again");
        }
        self.said.troubles = now;
    }

    fn publish(&mut self, sources: &Sources) {
        let sorted = sources.sorted();
        let mut left_out = BTreeSet::new();
        for (offer, by) in &sorted.shadowed {
            let (origin, by) = (offer.origin.to_string(), by.origin.to_string());
            if left_out.insert((origin.clone(), by.clone()))
                && !self.said.left_out.contains(&(origin.clone(), by.clone()))
            {
                info!(app = %offer.template.name, %origin, %by, "another template of this name holds");
            }
        }
        for offer in &sorted.refused {
            let named = (offer.origin.to_string(), offer.template.name.clone());
            if left_out.insert(named.clone()) && !self.said.left_out.contains(&named) {
                warn!(origin = %named.0, name = %named.1, "template left out: its name can't be an application's");
            }
        }
        self.said.left_out = left_out;
        let states = [
            ("offered", sorted.offers.len()),
            ("shadowed", sorted.shadowed.len()),
            ("refused", sorted.refused.len()),
        ];
        self.metrics.changed(&BTreeMap::from(states));
        info!(templates = sorted.offers.len(), "catalogue taken");
        self.library.replace(sorted.offers);
    }
}

fn key(map: &ConfigMap) -> MapKey {
    (map.namespace().unwrap_or_default(), map.name_any())
}

fn apply(map: &ConfigMap, system: &str, sources: &mut Sources) -> bool {
    let key = key(map);
    let Some(app) = map.labels().get(CATALOG_LABEL) else { return sources.remove_map(&key) };
    let texts = map.data.iter().flatten().map(|(key, text)| (key.as_str(), text.as_bytes()));
    let bytes = map.binary_data.iter().flatten().map(|(key, bytes)| (key.as_str(), bytes.0.as_slice()));
    let own = key.0 == system;
    let created = map.metadata.creation_timestamp.as_ref().map_or(i64::MAX, |time| time.0.as_second());
    sources.set_map(Map { key, app, created, own, data: texts.chain(bytes).collect() })
}
