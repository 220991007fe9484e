//! The nodes' statuses: who lives, where, and which lines it answers for. Written only when they say something new; that
//! the own watchdog was fed is worth a write every few minutes, that others' were none: beats tell it, and the v1 API.

use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{Api, Resource};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::condition::{condition, merged, reasons, types};
use crate::api::node::{CocoaNode, CocoaNodeStatus, FamilyAddresses, ServedLine};
use crate::api::vocab::Line;
use crate::controllers::shared::context::Context;
use crate::controllers::shared::report::{On, apply_status, publish};
use crate::controllers::snapshot::{RESYNC, Snapshot};
use crate::domain::budget::WATCH_DOG;
use crate::domain::cluster::Vital;
use crate::domain::lines::{Assignment, Why, assign};
use crate::domain::liveness::{Life, elapsed};
use crate::domain::retry::Class;
use crate::telemetry::round::Round;

const MANAGER: &str = "cocoasyncer/node";

/// Reports every node whenever the snapshot changes.
pub async fn run(
    ctx: Context,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    stop: CancellationToken,
) {
    let mut cause = "start";
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        if let Some(snapshot) = snapshot {
            let round = Round { of: "nodes", object: "statuses", cause };
            round.run(&ctx.metrics, report(&ctx, &snapshot)).await;
        }
        cause = "due";
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RESYNC / 2) => {}
            changed = snapshots.changed() => if changed.is_ok() { cause = "news" } else { return },
        }
    }
}

async fn report(ctx: &Context, snapshot: &Snapshot) -> ((), Result<(), Class>) {
    let members = snapshot.cluster.serving(&Default::default());
    let assignment = assign(&members);
    let api = Api::<CocoaNode>::all(ctx.client.clone());
    let writes = snapshot.nodes.iter().filter_map(|node| {
        let fresh = status(node, snapshot, &assignment, ctx.now());
        let mine = node.metadata.name.as_ref() == Some(&ctx.me);
        news(node.status.as_ref(), &fresh, mine).then(|| (node.clone(), fresh))
    });
    let writes: Vec<(CocoaNode, CocoaNodeStatus)> = writes.collect();
    let write = |(node, fresh): (CocoaNode, CocoaNodeStatus)| {
        let api = api.clone();
        async move {
            let stands = apply_status(ctx, &api, &node, &fresh, MANAGER, On::Any).await.stands();
            if stands {
                tell(ctx, &node, &fresh).await;
            }
            stands
        }
    };
    let mut writes = futures::stream::iter(writes.into_iter().map(write)).buffer_unordered(8);
    let mut result = Ok(());
    while let Some(stands) = writes.next().await {
        result = if stands { result } else { Err(Class::Transient) };
    }
    ((), result)
}

async fn tell(ctx: &Context, node: &CocoaNode, fresh: &CocoaNodeStatus) {
    let status = node.status.as_ref();
    let before = status.and_then(|status| status.status_code);
    let unseen = status.is_none_or(is_unseen);
    let (good, reason, note) = match (before, fresh.status_code) {
        (_, Some(200)) if unseen => (true, "NodeLives", "it was heard of for the first time"),
        (Some(200), Some(504)) => {
            (false, "NodeLost", "it missed too many beats; its lines move to living nodes")
        }
        (Some(504), Some(200)) => {
            (true, "NodeReturned", "it has proven that it stays; its lines are its own again")
        }
        _ => return,
    };
    publish(ctx, &node.object_ref(&()), good, reason, "Judge", note.to_owned()).await;
}

/// Who was never heard of can't return.
fn is_unseen(status: &CocoaNodeStatus) -> bool {
    status.conditions.iter().any(|c| c.type_ == types::READY && c.reason == reasons::NOT_SEEN)
}

fn status(node: &CocoaNode, snapshot: &Snapshot, assignment: &Assignment, now: Timestamp) -> CocoaNodeStatus {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let old = node.status.clone().unwrap_or_default();
    let vital = snapshot.vitals.get(name);
    let lines = served(name, &old, assignment, now);
    let addresses = vital.map(|vital| addresses(name, vital, &old, snapshot, now)).unwrap_or_default();
    let conditions = conditions(name, vital, snapshot);
    CocoaNodeStatus {
        status_code: vital.map(|vital| vital.pulse.status_code()),
        watch_dog: vital.and_then(|vital| watch_dog(vital, &old)),
        serving: serving(&lines),
        published: published(&addresses),
        lines,
        addresses,
        conditions: merged(&old.conditions, conditions, node.metadata.generation, Time(now)),
        observed_generation: node.metadata.generation,
    }
}

/// Whether a status is worth a write: one that only counts the watchdog on seldom is.
fn news(old: Option<&CocoaNodeStatus>, fresh: &CocoaNodeStatus, mine: bool) -> bool {
    let Some(old) = old else { return true };
    let (Some(before), Some(now)) = (&old.watch_dog, &fresh.watch_dog) else { return old != fresh };
    let same = CocoaNodeStatus { watch_dog: Some(before.clone()), ..fresh.clone() } == *old;
    !same || now.0 < before.0 || (mine && WATCH_DOG <= elapsed(before.0, now.0))
}

fn watch_dog(vital: &Vital, old: &CocoaNodeStatus) -> Option<Time> {
    // Whole seconds: a status is for people and for the next start, not for beats.
    let read = vital.pulse.watch_dog.and_then(|dog| Timestamp::from_second(dog.as_second()).ok());
    read.map(Time).or_else(|| old.watch_dog.clone())
}

fn served(name: &str, old: &CocoaNodeStatus, assignment: &Assignment, now: Timestamp) -> Vec<ServedLine> {
    let mine = assignment.iter().filter_map(|(at, holder)| {
        let holder = holder.as_ref()?;
        (holder.node == name).then_some((at, holder.why != Why::Own))
    });
    let line = |(&(line, family), taken_over): (&(Line, _), bool)| {
        let before =
            old.lines.iter().find(|l| (l.line, l.family, l.taken_over) == (line, family, taken_over));
        let since = before.map_or(Time(now), |before| before.since.clone());
        ServedLine { line, family, taken_over, since }
    };
    mine.map(line).collect()
}

fn serving(lines: &[ServedLine]) -> String {
    let mut words: Vec<String> =
        lines.iter().map(|l| format!("{}{}", l.line, if l.taken_over { "+" } else { "" })).collect();
    words.dedup();
    words.join(",")
}

fn addresses(
    name: &str,
    vital: &Vital,
    old: &CocoaNodeStatus,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Vec<FamilyAddresses> {
    let source = snapshot.learned.get(name).map(|learned| learned.source);
    let one = |(family, values): (&_, &std::collections::BTreeSet<_>)| {
        let before = old.addresses.iter().find(|of| of.family == *family);
        let values: Vec<_> = values.iter().copied().collect();
        let same = before.filter(|before| before.values == values);
        FamilyAddresses {
            family: *family,
            source: source.or(before.map(|b| b.source.as_str())).unwrap_or("peer").to_owned(),
            learned_at: same.map_or(Time(now), |before| before.learned_at.clone()),
            values,
        }
    };
    vital.addresses.iter().filter(|(_, values)| !values.is_empty()).map(one).collect()
}

fn published(addresses: &[FamilyAddresses]) -> String {
    let values = addresses.iter().flat_map(|of| &of.values);
    values.map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn conditions(name: &str, vital: Option<&Vital>, snapshot: &Snapshot) -> Vec<Condition> {
    let valid = match snapshot.cluster.refused.get(name) {
        Some(error) => condition(types::VALID, false, reasons::INVALID, error.to_string()),
        None => condition(types::VALID, true, reasons::AS_WISHED, ""),
    };
    let drained = snapshot.cluster.members.get(name).is_some_and(|member| member.drained);
    let (good, reason, message) = match vital.map(|vital| vital.pulse.life) {
        Some(Life::Alive) if drained => {
            (true, reasons::DRAINED, "it lives, but is drained: others answer where they can")
        }
        Some(Life::Alive) => (true, reasons::ALIVE, ""),
        Some(Life::Returning) => (
            false,
            reasons::RETURNING,
            "it answers again and gets its lines back when it has proven that it stays",
        ),
        Some(Life::Lost) => {
            (false, reasons::LOST, "it missed too many beats: living nodes answer for its lines")
        }
        Some(Life::Unseen) | None => (false, reasons::NOT_SEEN, "it has not been heard of yet"),
    };
    let ready = condition(types::READY, good, reason, message);
    let known = vital.is_some_and(|vital| vital.addresses.values().any(|set| !set.is_empty()));
    let trouble = snapshot.learned.get(name).and_then(|learned| learned.trouble.clone());
    let addresses = match trouble {
        Some(trouble) => condition(types::ADDRESSES_KNOWN, false, reasons::NOT_LEARNED, trouble),
        None if known => condition(types::ADDRESSES_KNOWN, true, reasons::LEARNED, ""),
        None => condition(
            types::ADDRESSES_KNOWN,
            false,
            reasons::NOT_LEARNED,
            "no source has named an address yet",
        ),
    };
    vec![valid, ready, addresses]
}
