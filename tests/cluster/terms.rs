//! Whether each write was made by the replica whose term it was: what the ways to the API server and the stand-in of
//! Alidns noted, held against the changes of the Lease. It starts and stops nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::world::{Replica, World};

/// Something that changed the world.
struct Write {
    /// When it was asked for; of a change of the lease, when that was answered.
    at: Instant,
    /// Which replica did it; none where that could not be seen.
    by: Option<usize>,
    what: String,
}

/// What a replica's way to the API server noted.
fn by_replica(number: usize, replica: &Replica) -> impl Iterator<Item = Write> {
    let calls = replica.proxy.ledger().calls().into_iter();
    let writes = calls.filter(|call| call.asked.writes() && matches!(call.code, 200..300));
    writes.map(move |call| {
        let at = if call.asked.resource == "leases" { call.at } else { call.began };
        Write { at, by: Some(number), what: call.asked.to_string() }
    })
}

/// Fails where a replica wrote anything but the Lease while it did not hold it, or longer after its last change of it
/// than the lease lasts. `processes` tells of which replica each process was. Returns how many writes there were, and at
/// how many of them at Ali the process was gone before it could be told.
#[track_caller]
pub fn wrote_within_their_terms(
    world: &World,
    replicas: &[Replica],
    processes: &BTreeMap<u32, usize>,
    lease: Duration,
) -> (usize, usize) {
    let all = replicas.iter().enumerate().flat_map(|(number, replica)| by_replica(number, replica));
    let (mut changes, mut writes): (Vec<Write>, Vec<Write>) =
        all.partition(|write| write.what.contains(" leases.coordination.k8s.io"));
    let at_ali =
        world.ali.calls().into_iter().filter(|call| call.is_done() && !call.action.starts_with("Describe"));
    writes.extend(at_ali.map(|call| {
        let by = call.caller.and_then(|process| processes.get(&process).copied());
        Write { at: call.began, by, what: format!("{} {} at Ali", call.action, call.param("RR")) }
    }));
    changes.sort_by_key(|change| change.at);
    let mut unseen = 0;
    for Write { at, by, what } in &writes {
        let change = changes.iter().rev().find(|change| change.at <= *at);
        let change = change.unwrap_or_else(|| panic!("{what}: before anybody held the lease"));
        let since = *at - change.at;
        assert!(since < lease, "{what}: {since:?} after the last change of the lease");
        match by {
            None => unseen += 1,
            by => assert_eq!(*by, change.by, "{what}: {since:?} after the other one had changed the lease"),
        }
    }
    (writes.len(), unseen)
}
