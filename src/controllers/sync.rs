//! Leader to followers: whoever leads pushes its configuration whenever it changed and every 35 s, as peers of the old
//! kind expect. A follower pushes nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::vocab::WorkMode;
use crate::controllers::lease::fence::Fence;
use crate::controllers::shared::keyed::Keyed;
use crate::domain::liveness::Life;
use crate::domain::retry::Class;
use crate::domain::secret::Secret;
use crate::domain::view::ClusterView;
use crate::peers::{PeerClient, PeerError, PushOutcome};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::reconcile::ReconcileMetrics;
use crate::telemetry::round::Round;
use crate::wire::render::{Audience, Push};

/// How often an unchanged configuration is pushed all the same.
const PERIOD: Duration = Duration::from_secs(35);
/// How soon a failed push is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a push may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Edits that come in a crowd are pushed together.
const GATHER: Duration = Duration::from_millis(200);

#[derive(Clone, PartialEq)]
struct Follower {
    address: String,
    secret: Secret,
    /// Whether it is of our kind; the old kind is told everything in its own way.
    ours: bool,
}

impl Follower {
    fn audience(&self) -> Audience {
        if self.ours { Audience::Ours } else { Audience::Legacy }
    }
}

/// What is being pushed now, rendered once for all who are pushed it at a time and kept no longer than that: a large
/// cluster's push is a megabyte, and a follower each would make it fifty.
#[derive(Clone, Default)]
struct Renderings(Arc<Mutex<Option<Rendering>>>);

struct Rendering {
    of: Arc<ClusterView>,
    to: Audience,
    push: Weak<Push>,
}

impl Renderings {
    fn of(&self, view: &Arc<ClusterView>, audience: Audience) -> Arc<Push> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = last.as_ref().filter(|last| Arc::ptr_eq(&last.of, view) && last.to == audience);
        if let Some(push) = same.and_then(|last| last.push.upgrade()) {
            return push;
        }
        let push = Arc::new(Push::of(view, audience));
        *last = Some(Rendering { of: view.clone(), to: audience, push: Arc::downgrade(&push) });
        push
    }
}

/// Pushes until `stop`, or until the term of `fence` ends.
pub async fn run(
    peers: PeerClient,
    metrics: ReconcileMetrics,
    fence: Fence,
    mut views: watch::Receiver<Arc<ClusterView>>,
    stop: CancellationToken,
) {
    let mut tasks = Keyed::new();
    let (source, renderings) = (views.clone(), Renderings::default());
    loop {
        let wished = followers(&views.borrow_and_update());
        tasks.follow(wished, |name, follower, stop| {
            let from = (source.clone(), renderings.clone());
            push((peers.clone(), metrics.clone(), fence.clone()), name, follower, from, stop)
        });
        tokio::select! {
            () = stop.cancelled() => return,
            changed = views.changed() => if changed.is_err() { return },
        }
    }
}

fn followers(view: &ClusterView) -> BTreeMap<String, Follower> {
    if view.own().is_none_or(|own| own.spec.work_mode != WorkMode::Leader) {
        return BTreeMap::new();
    }
    let others =
        view.nodes.iter().filter(|node| node.object != view.me && node.spec.work_mode == WorkMode::Follower);
    // Who misses beats would miss a push too; as soon as it answers it is pushed to.
    let answers = |life: Life| matches!(life, Life::Alive | Life::Returning);
    let known = others.filter(|node| !node.secret.is_empty() && answers(node.pulse.life));
    known
        .map(|node| {
            let follower = Follower {
                address: node.spec.node_address.clone(),
                secret: node.secret.clone(),
                ours: !node.pulse.legacy,
            };
            (node.object.clone(), follower)
        })
        .collect()
}

async fn push(
    (peers, metrics, fence): (PeerClient, ReconcileMetrics, Fence),
    name: String,
    to: Follower,
    (mut views, renderings): (watch::Receiver<Arc<ClusterView>>, Renderings),
    stop: CancellationToken,
) {
    let (mut said, mut cause): (Option<String>, _) = (None, "start");
    loop {
        let view = views.borrow_and_update().clone();
        let rendered = renderings.of(&view, to.audience());
        let call = peers.push(&to.address, &to.secret, rendered.addressed(&to.secret), DEADLINE);
        let pushing = async {
            let outcome = fence.guard("push", call).await;
            let result = match &outcome {
                Ok(Ok(PushOutcome::Taken)) => Ok(()),
                Ok(Ok(PushOutcome::Refused(_))) => Err(Class::User),
                Ok(Err(error)) => Err(error.class()),
                Err(_) => Err(Class::Transient),
            };
            (outcome, result)
        };
        // After its term nobody pushes: a newer push of another replica may be there already.
        let pushed = Round { of: "push", object: &name, cause }.run(&metrics, pushing).await;
        let Ok(outcome) = pushed else { return };
        // Not kept while waiting for the next.
        drop(rendered);
        metrics.peer_called("push", outcome.as_ref().map(|_| ()).map_err(PeerError::class));
        let trouble = match outcome {
            Ok(PushOutcome::Taken) => None,
            Ok(PushOutcome::Refused(why)) => Some(format!("refused: {why}")),
            Err(error) => Some(Chain(&error).to_string()),
        };
        if trouble != said {
            match &trouble {
                Some(error) => warn!(node = %name, error = %error, "push failed"),
                None => info!(node = %name, generation = view.generation, "follower took the push"),
            }
            said.clone_from(&trouble);
        }
        let wait = tokio::time::sleep(if trouble.is_some() { AGAIN } else { PERIOD });
        tokio::pin!(wait);
        cause = if trouble.is_some() { "again" } else { "due" };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = &mut wait => break,
                changed = views.changed() => {
                    if changed.is_err() { return }
                    if views.borrow_and_update().generation != view.generation && trouble.is_none() {
                        cause = "news";
                        tokio::time::sleep(GATHER).await;
                        break;
                    }
                }
            }
        }
    }
}
