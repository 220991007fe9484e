//! The snapshot: objects and board at one moment, read and validated once, for all workers. It is the `observe` and
//! `validate` of every plan and changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::core::DeserializeGuard;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::node::CocoaNode;
use crate::api::service::ManagedService;
use crate::api::vocab::{PlatformProvider, WorkMode};
use crate::controllers::accounts::{Ask, Directory, Place, Unplaced};
use crate::controllers::board::{Board, Learned, Vitals};
use crate::controllers::shared::chance::about;
use crate::controllers::shared::context::Context;
use crate::domain::cluster::{Cluster, next_expiry};
use crate::domain::names::{FieldError, ObjectId};
use crate::domain::records::{Service, ZoneId, id_of, repeated};
use crate::providers::DnsProvider;

/// At the latest after this long everything is looked at again, events or not.
pub const RESYNC: Duration = Duration::from_secs(60);
/// Changes that come in a crowd are looked at together.
const GATHER: Duration = Duration::from_millis(20);

/// A service with the object it was read from.
#[derive(Debug, Clone)]
pub struct Managed {
    /// What was read; shared with the snapshots before, as long as the object stays as it is.
    pub service: Arc<Service>,
    /// The object.
    pub object: Arc<DeserializeGuard<ManagedService>>,
}

impl Managed {
    /// The object; a service was read from it, so it could be read.
    pub fn object(&self) -> Option<&ManagedService> {
        self.object.0.as_ref().ok()
    }
}

/// Everything a worker may know.
#[derive(Clone)]
pub struct Snapshot {
    /// When it was taken.
    pub now: Timestamp,
    /// The nodes that take part.
    pub cluster: Arc<Cluster>,
    /// All nodes, in the order of their names.
    pub nodes: Arc<Vec<CocoaNode>>,
    /// Their vitals.
    pub vitals: Arc<Vitals>,
    /// How addresses were learned.
    pub learned: Arc<BTreeMap<String, Learned>>,
    /// Services by zone.
    pub zones: BTreeMap<ZoneId, Arc<Vec<Managed>>>,
    /// Services whose fields can't be read.
    pub refused: Arc<BTreeMap<ObjectId, Refused>>,
    /// Services whose records have no place, and why; without a reason: it is not known yet.
    pub unplaced: Arc<BTreeMap<ObjectId, (Managed, Option<Unplaced>)>>,
    /// What the services need to know of the platforms' accounts.
    pub asks: Arc<BTreeSet<Ask>>,
    /// The accounts.
    pub directory: Arc<Directory>,
}

impl Snapshot {
    /// All services that could be read, placed or not.
    pub fn services(&self) -> impl Iterator<Item = &Managed> {
        let placed = self.zones.values().flat_map(|zone| zone.iter());
        placed.chain(self.unplaced.values().map(|(managed, _)| managed))
    }

    /// Whether the node `me` has its configuration from another.
    pub fn follows(&self, me: &str) -> bool {
        let mut nodes = self.nodes.iter();
        nodes.any(|node| {
            node.metadata.name.as_deref() == Some(me) && node.spec.work_mode == WorkMode::Follower
        })
    }

    /// Where the records of a zone live; none where this node can't reach them.
    pub fn provider_of(&self, ctx: &Context, id: &ZoneId) -> Option<Arc<dyn DnsProvider>> {
        match id.provider {
            PlatformProvider::Local => (ctx.provider_for)(id),
            PlatformProvider::Ali | PlatformProvider::RFC2136 => self.directory.provider(id),
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("now", &self.now)
            .field("zones", &self.zones.len())
            .finish_non_exhaustive()
    }
}

/// A service whose fields can't be read.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The field to mend.
    pub error: FieldError,
    /// The object.
    pub object: Arc<DeserializeGuard<ManagedService>>,
}

/// Takes a snapshot. Only what changed since the one `before` is read anew: a beat of one node must not cost a reading of
/// thousands of services.
pub fn take(ctx: &Context, board: &Board, directory: Arc<Directory>, before: Option<&Snapshot>) -> Snapshot {
    // By the object's place in memory: the snapshot before keeps it, so that nothing else can have come there.
    let known: HashMap<*const _, &Managed> = before
        .into_iter()
        .flat_map(Snapshot::services)
        .map(|managed| (Arc::as_ptr(&managed.object), managed))
        .collect();
    let now = ctx.now();
    let nodes = ctx.stores.nodes();
    board.keep(&nodes, now);
    let vitals = board.vitals();
    let cluster = Cluster::of(&nodes, &vitals, now);
    let mut zones: BTreeMap<ZoneId, Vec<Managed>> = BTreeMap::new();
    let (mut refused, mut unplaced, mut asks) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for object in ctx.stores.services() {
        let Ok(decoded) = &object.0 else { continue };
        let read = match known.get(&Arc::as_ptr(&object)) {
            Some(managed) => Ok(managed.service.clone()),
            None => Service::parse(decoded).map(Arc::new),
        };
        match read {
            Ok(service) => {
                asks.extend(Ask::of(&service));
                let place = directory.place(&service);
                let managed = Managed { service, object };
                let why = match place {
                    Place::At(zone) => {
                        zones.entry(zone).or_default().push(managed);
                        continue;
                    }
                    Place::NotYet => None,
                    Place::Nowhere(why) => Some(why),
                };
                unplaced.insert(managed.service.id.clone(), (managed, why));
            }
            Err(error) => {
                refused.insert(id_of(decoded), Refused { error, object: object.clone() });
            }
        }
    }
    refused.extend(take_out_repeated(&mut zones));
    Snapshot {
        now,
        cluster: Arc::new(cluster),
        nodes: Arc::new(nodes),
        vitals,
        learned: board.learned(),
        zones: zones.into_iter().map(|(id, services)| (id, Arc::new(services))).collect(),
        refused: Arc::new(refused),
        unplaced: Arc::new(unplaced),
        asks: Arc::new(asks),
        directory,
    }
}

/// Takes services out whose name an older one has in another zone of the same account, one zone below the other: within
/// a zone the wish says so itself.
fn take_out_repeated(zones: &mut BTreeMap<ZoneId, Vec<Managed>>) -> BTreeMap<ObjectId, Refused> {
    let nested = |id: &&ZoneId| zones.keys().any(|other| id.nests_with(other));
    let nested: Vec<ZoneId> = zones.keys().filter(nested).cloned().collect();
    let mut refused = BTreeMap::new();
    for id in &nested {
        let beside = zones.iter().filter(|(other, _)| id.nests_with(other) || *other == id);
        let repeated = repeated(beside.flat_map(|(_, all)| all).map(|managed| &*managed.service));
        let Some(services) = zones.get_mut(id) else { continue };
        services.retain(|managed| {
            // What is being deleted may have records to remove, from before the other came.
            let error = repeated.get(&managed.service.id).filter(|_| !managed.service.deleting);
            if let Some(error) = error.cloned() {
                let object = managed.object.clone();
                refused.insert(managed.service.id.clone(), Refused { error, object });
            }
            !refused.contains_key(&managed.service.id)
        });
    }
    refused
}

/// Publishes a snapshot whenever something changed, a drain or pin ended, or [`RESYNC`] passed.
pub async fn run(
    ctx: Context,
    board: Board,
    mut directory: watch::Receiver<Arc<Directory>>,
    out: watch::Sender<Option<Arc<Snapshot>>>,
    stop: CancellationToken,
) {
    let mut vitals = board.subscribe();
    ctx.stores.ready().await;
    while !stop.is_cancelled() {
        vitals.mark_unchanged();
        let before = out.borrow().clone();
        let accounts = directory.borrow_and_update().clone();
        let snapshot = Arc::new(take(&ctx, &board, accounts, before.as_deref()));
        drop(before);
        let until_expiry = next_expiry(snapshot.nodes.iter(), snapshot.now)
            .map(|end| Duration::try_from(end.duration_since(snapshot.now)).unwrap_or_default());
        let resync = about(RESYNC);
        let wait = until_expiry.map_or(resync, |expiry| expiry.min(resync));
        out.send_replace(Some(snapshot));
        tokio::select! {
            () = stop.cancelled() => {}
            // A death is acted on at once; edits that come in a crowd are gathered.
            changed = vitals.changed() => if changed.is_err() { return },
            changed = directory.changed() => if changed.is_err() { return },
            () = ctx.stores.changed() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(wait) => {}
        }
    }
}
