//! The Lease object: what of it counts for the election, and how a change of it is written. Its times are for people;
//! nobody here judges by them.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;

use crate::domain::lease::{Bid, Record, Timing};

/// What of a Lease counts.
pub fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let positive = |number: i32| u32::try_from(number).ok().filter(|number| 0 < *number);
    Record {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        lasts: spec.lease_duration_seconds.and_then(positive).map(|s| Duration::from_secs(s.into())),
        transitions: spec.lease_transitions.and_then(positive).unwrap_or_default(),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// The Lease as a bid would have it: what else stands in `before` stays.
pub fn object(name: &str, before: Option<&Lease>, bid: &Bid, timing: Timing, now: Timestamp) -> Lease {
    let metadata = before.map(|before| before.metadata.clone());
    let fresh = || ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let mut metadata = metadata.unwrap_or_else(fresh);
    // Refused where the Lease is another one by now.
    metadata.resource_version.clone_from(&bid.from);
    let spec = before.and_then(|before| before.spec.clone()).unwrap_or_default();
    let acquired = spec.acquire_time.clone().filter(|_| !bid.changes_hands);
    let spec = LeaseSpec {
        holder_identity: bid.holder.clone(),
        lease_duration_seconds: Some(i32::try_from(timing.lease().as_secs()).unwrap_or(i32::MAX).max(1)),
        acquire_time: Some(acquired.unwrap_or(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(i32::try_from(bid.transitions).unwrap_or(i32::MAX)),
        ..spec
    };
    Lease { metadata, spec: Some(spec) }
}
